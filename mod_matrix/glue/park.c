/* SPDX-License-Identifier: Apache-2.0 */
/* The way into waiting: with the MPM's help, with a thread, or not at all when the bound is reached. */
#include "glue/park_private.h"

#include <ap_mpm.h>
#include <apr_allocator.h>
#include <apr_atomic.h>
#include <apr_portable.h>
#include <apr_thread_cond.h>
#include <http_config.h>
#include <stdlib.h>
#include <strings.h>

#define BLOCK_LOOK_US APR_TIME_C(500000)     /* how often a blocking wait looks whether the child stops or the client left */
#define MPM_DEFAULT_FACTOR 2         /* AsyncRequestWorkerFactor, where it is not set */
#define PLACES_MAX 1000000           /* as many as MatrixMaxWaiting allows */
#define IDLE_KEEP_BYTES 16384        /* free memory that a connection which parked may hold on to: thousands of them wait */
#define BUSY_KEEP_BYTES 49152        /* … while only FEW_PARKED do: all that a request takes, so that an answer maps none */
#define FEW_PARKED 4000

int mx_park_turn(request_rec *r, mx_wait_t *wait, mx_wake_e why)
{
    mx_turn_t *turn = mx_child_turn_get();
    mx_reply_t reply = { 0 };
    const mx_error_t *err;
    int again = 0;
    err = wait->resume(&reply, &again, wait, why, turn->pool);
    if (err)
        mx_reply_error(r, err, turn->pool);
    else if (!again || why != MX_WAKE_NEWS)
        mx_reply_send(r, &reply, turn->pool);
    mx_child_turn_put(turn);
    return err || !again || why != MX_WAKE_NEWS;
}

/* ---- with a thread ---- */

typedef struct block_t {
    apr_thread_mutex_t *mutex;
    apr_thread_cond_t *cond;
    int woken;
} block_t;

static void block_wake(void *baton)
{
    block_t *block = baton;
    apr_thread_mutex_lock(block->mutex);
    block->woken = 1;
    apr_thread_cond_signal(block->cond);
    apr_thread_mutex_unlock(block->mutex);
}

/** Until something ends the wait. */
static mx_wake_e block_until(block_t *block, const conn_rec *c, apr_time_t deadline)
{
    mx_wake_e why = MX_WAKE_NEWS;
    apr_thread_mutex_lock(block->mutex);
    while (!block->woken) {
        apr_time_t left = deadline - apr_time_now();
        if (left <= 0 || apr_atomic_read32(&mx_child_lot()->stopping) || c->aborted) {
            why = left <= 0 ? MX_WAKE_DEADLINE : MX_WAKE_STOPPING;
            break;
        }
        apr_thread_cond_timedwait(block->cond, block->mutex, left < BLOCK_LOOK_US ? left : BLOCK_LOOK_US);
    }
    block->woken = 0;
    apr_thread_mutex_unlock(block->mutex);
    return why;
}

int mx_park_block(request_rec *r, mx_home_t *home, mx_wait_t *wait)
{
    block_t block = { 0 };
    mx_wake_e why;
    int answered;
    if (apr_thread_mutex_create(&block.mutex, APR_THREAD_MUTEX_DEFAULT, r->pool) || apr_thread_cond_create(&block.cond, r->pool))
        return HTTP_INTERNAL_SERVER_ERROR;
    apr_atomic_inc32(&mx_child_lot()->counts->blocked);
    do {
        wait->arm(wait, block_wake, &block);
        why = block_until(&block, r->connection, wait->deadline);
        wait->disarm(wait);
        answered = mx_park_turn(r, wait, why);
    } while (!answered);
    apr_atomic_dec32(&mx_child_lot()->counts->blocked);
    return OK;
}

static int try_block(request_rec *r, mx_home_t *home, mx_wait_t *wait)
{
    apr_uint32_t others = apr_atomic_inc32(&home->blocking);
    int rc = -1;
    if (others < (apr_uint32_t)home->server.settings->max_blocking_waits)
        rc = mx_park_block(r, home, wait);
    apr_atomic_dec32(&home->blocking);
    return rc;
}

/* ---- without a thread ---- */

static void on_wake(void *baton)
{
    mx_parked_t *p = baton;
    mx_lot_t *lot = mx_child_lot();
    apr_thread_mutex_lock(lot->mutex);
    if (p->state == PARK_WAITING)
        mx_park_take_locked(lot, p, PARK_EVENT_NEWS);
    else if (p->state == PARK_PARKING)
        p->woken = 1;
    apr_thread_mutex_unlock(lot->mutex);
}

void mx_park_wait(mx_parked_t *p)
{
    mx_lot_t *lot = mx_child_lot();
    p->wait->arm(p->wait, on_wake, p);
    apr_thread_mutex_lock(lot->mutex);
    mx_park_watch_locked(lot, p, PARK_WAITING, 0, p->wait->deadline);
    if (p->woken)
        mx_park_take_locked(lot, p, PARK_EVENT_NEWS);
    else if (apr_atomic_read32(&lot->stopping))
        mx_park_take_locked(lot, p, PARK_EVENT_STOPPING);
    apr_thread_mutex_unlock(lot->mutex);
}

/** The MPM's worker has let go of the connection: the last thing that it does with it, but for two fields it clears. */
void mx_park_suspended(conn_rec *c, request_rec *r)
{
    mx_parked_t *p = ap_get_module_config(c->conn_config, &matrix_module);
    /* the MPM may also have found the connection dead and be closing it: then it is not ours */
    if (!p || p->state != PARK_PARKING || p->owned || c->cs->state != CONN_STATE_SUSPENDED)
        return;
    p->owned = 1;
    p->let_go_tick = apr_atomic_read32(&mx_child_lot()->tick);
    mx_park_wait(p);
}

static mx_parked_t *parked_of(conn_rec *c)
{
    mx_parked_t *p = ap_get_module_config(c->conn_config, &matrix_module);
    apr_os_sock_t fd;
    if (!p) {
        if (apr_os_sock_get(&fd, ap_get_conn_socket(c)))
            return NULL;
        p = apr_pcalloc(c->pool, sizeof(*p));
        p->c = c;
        p->fd = fd;
        ap_set_module_config(c->conn_config, &matrix_module, p);
    }
    return p;
}

/** A poll whose connection dies before the MPM let go of it, and the end of the process. */
static apr_status_t forget(void *data)
{
    mx_parked_t *p = data;
    if (p->r && mx_child_lot())
        mx_park_uncount(p);
    p->r = NULL;
    return APR_SUCCESS;
}

void mx_park_uncount(mx_parked_t *p)
{
    apr_atomic_dec32(&p->home->waiting);
    apr_atomic_dec32(&mx_child_lot()->counts->parked);
}

/** What the connection may keep when its request is over; each time it parks, as others come and go. */
static void bound_memory(const conn_rec *c, apr_uint32_t parked)
{
    apr_allocator_max_free_set(apr_pool_allocator_get(c->pool), parked < FEW_PARKED ? BUSY_KEEP_BYTES : IDLE_KEEP_BYTES);
}

/** -1 if this request cannot wait without a thread or too many do. */
static int try_suspend(request_rec *r, mx_home_t *home, mx_wait_t *wait)
{
    mx_parked_t *p = parked_of(r->connection);
    mx_lot_t *lot = mx_child_lot();
    apr_uint32_t parked;
    if (!p)
        return -1;
    if (apr_atomic_inc32(&home->waiting) >= (apr_uint32_t)home->server.settings->max_waiting) {
        apr_atomic_dec32(&home->waiting);
        return -1;
    }
    parked = apr_atomic_inc32(&lot->counts->parked);
    bound_memory(r->connection, parked);
    if (parked >= lot->places) {
        apr_atomic_dec32(&lot->counts->parked);
        apr_atomic_dec32(&home->waiting);
        r->connection->keepalive = AP_CONN_CLOSE;    /* an idle connection takes as much room as a waiting one */
        return -1;
    }
    apr_pool_cleanup_register(r->pool, p, forget, apr_pool_cleanup_null);
    p->r = r;
    p->home = home;
    p->wait = wait;
    p->woken = 0;
    p->keep_alive_us = r->server->keep_alive_timeout;
    p->timeout_us = r->server->timeout;
    p->state = PARK_PARKING;
    return SUSPENDED;
}

/** HTTP/2 streams, sub-requests and redirected ones have no connection that could be let go. */
static int can_suspend(const request_rec *r)
{
    return mx_child_lot()->async && r->connection->cs && !r->connection->master && !r->main && !r->prev;
}

int mx_park(request_rec *r, mx_home_t *home, mx_wait_t *wait, mx_turn_t *turn)
{
    int rc = -1;
    mx_child_turn_put(turn);
    if (!apr_atomic_read32(&mx_child_lot()->stopping))
        rc = can_suspend(r) ? try_suspend(r, home, wait) : try_block(r, home, wait);
    if (rc >= 0 || rc == SUSPENDED)
        return rc;
    apr_atomic_inc32(&mx_child_lot()->counts->bounded);
    mx_park_turn(r, wait, MX_WAKE_DEADLINE);
    return OK;
}

/* ---- the child's start and end ---- */

/** The value of a directive of the main server's configuration, also within <IfModule> and the like. */
static const char *directive_value(const ap_directive_t *at, const char *name)
{
    const char *value = NULL, *found;
    for (; at; at = at->next) {
        if (!strcasecmp(at->directive, name))
            value = at->args;
        else if (at->first_child && (found = directive_value(at->first_child, name)))
            value = found;
    }
    return value;
}

/**
 * How many polls this child may hold so that it still accepts connections. The event MPM stops at ThreadsPerChild +
 * AsyncRequestWorkerFactor x idle threads, and counts those that wait; a quarter is left to others.
 */
static apr_uint32_t places_of_mpm(void)
{
    const char *factor = directive_value(ap_conftree, "AsyncRequestWorkerFactor");
    double places = factor ? atof(factor) : MPM_DEFAULT_FACTOR;
    int threads = 1;
    ap_mpm_query(AP_MPMQ_MAX_THREADS, &threads);
    places = (places + 1) * threads * 3 / 4;
    return places < PLACES_MAX ? (apr_uint32_t)places : PLACES_MAX;
}

apr_status_t mx_park_start(mx_lot_t **plot, mx_poke_t *others, apr_pool_t *pool)
{
    mx_lot_t *lot = apr_pcalloc(pool, sizeof(*lot));
    apr_status_t rv;
    apr_pool_create(&lot->pool, pool);
    apr_pool_tag(lot->pool, "mx_park");
    lot->timers.pool = lot->pool;
    lot->others = others;
    lot->counts = mx_poke_counts(others);
    lot->places = places_of_mpm();
    if (ap_mpm_query(AP_MPMQ_IS_ASYNC, &lot->async))
        lot->async = 0;
    rv = apr_thread_mutex_create(&lot->mutex, APR_THREAD_MUTEX_DEFAULT, lot->pool);
    if (!rv)
        rv = mx_park_poller_start(lot);
    if (rv)              /* else the poller reads it already */
        lot->stopping = 1;
    *plot = lot;
    return rv;
}

void mx_park_stopping(apr_pool_t *pchild, int graceful)
{
    mx_lot_t *lot = mx_child_lot();
    if (!lot)
        return;
    apr_atomic_set32(&lot->stopping, 1);
    mx_park_poke(lot);
}
