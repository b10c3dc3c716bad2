/* SPDX-License-Identifier: Apache-2.0 */
/* A child's start: one mx_server_t for each homeserver, and the pools that turns of work run in. */
#include "glue/child.h"

#include "base/crypto.h"
#include "base/http_out.h"
#include "glue/database.h"
#include "glue/dbd.h"
#include "glue/park.h"
#include "room/delayed.h"
#include "room/heads.h"
#include "room/room.h"
#include "room/sticky.h"
#include "server/cleanup.h"
#include "server/runner.h"
#include "sync/sync.h"
#include "user/user.h"
#include "workers/push.h"

#include <apr_allocator.h>
#include <apr_thread_mutex.h>

#define TURN_KEEP_BYTES 262144       /* what an idle turn pool may hold on to */
#define RATE_MAX_KEYS 100000

/** Everything of a child; made in child_init, gone with the process. */
typedef struct mx_child_t {
    apr_pool_t *pool;                /* its allocator has a mutex: threads make sub-pools of it */
    const mx_conf_t *conf;
    mx_home_t *homes;                /* by mx_host_t.number */
    mx_poke_t *poke;
    mx_lot_t *lot;
    apr_thread_mutex_t *turn_mutex;
    mx_turn_t *turns;                   /* idle ones; as many as there were turns at once */
} mx_child_t;

static mx_child_t *child;

const mx_conf_t *mx_child_conf(void)
{
    return child ? child->conf : NULL;
}

mx_home_t *mx_child_home(const server_rec *s)
{
    const mx_vhost_t *vhost = mx_glue_vhost(s);
    return child && vhost->server == s && vhost->host ? &child->homes[vhost->host->number] : NULL;
}

mx_lot_t *mx_child_lot(void)
{
    return child ? child->lot : NULL;
}

mx_poke_t *mx_child_poke(void)
{
    return child ? child->poke : NULL;
}

mx_home_t *mx_child_home_at(int number)
{
    return child && number < child->conf->nhosts ? &child->homes[number] : NULL;
}

static apr_pool_t *pool_with_allocator(apr_pool_t *parent, apr_size_t keep_bytes, int shared, const char *tag)
{
    apr_allocator_t *allocator;
    apr_thread_mutex_t *mutex;
    apr_pool_t *pool;
    apr_allocator_create(&allocator);
    apr_allocator_max_free_set(allocator, keep_bytes);
    apr_pool_create_ex(&pool, parent, NULL, allocator);
    apr_allocator_owner_set(allocator, pool);
    if (shared) {
        apr_thread_mutex_create(&mutex, APR_THREAD_MUTEX_DEFAULT, pool);
        apr_allocator_mutex_set(allocator, mutex);
    }
    apr_pool_tag(pool, tag);
    return pool;
}

static mx_turn_t *turn_create(void)
{
    apr_pool_t *pool = pool_with_allocator(child->pool, TURN_KEEP_BYTES, 0, "mx_turn");
    mx_turn_t *turn = apr_pcalloc(pool, sizeof(*turn));
    apr_pool_create(&turn->pool, pool);
    apr_pool_tag(turn->pool, "mx_turn_work");
    return turn;
}

mx_turn_t *mx_child_turn_get(void)
{
    mx_turn_t *turn;
    apr_thread_mutex_lock(child->turn_mutex);
    turn = child->turns;
    if (turn)
        child->turns = turn->next;
    apr_thread_mutex_unlock(child->turn_mutex);
    return turn ? turn : turn_create();
}

void mx_child_turn_put(mx_turn_t *turn)
{
    apr_pool_clear(turn->pool);
    apr_thread_mutex_lock(child->turn_mutex);
    turn->next = child->turns;
    child->turns = turn;
    apr_thread_mutex_unlock(child->turn_mutex);
}

static void poke_others(void *baton)
{
    const mx_home_t *home = baton;
    mx_poke_send(child->poke, home->poke_bit);
}

static apr_status_t home_start(mx_home_t *home, const mx_host_t *host)
{
    mx_server_t *server = &home->server;
    apr_status_t rv = apr_thread_mutex_create(&home->ready_mutex, APR_THREAD_MUTEX_DEFAULT, child->pool);
    home->host = host;
    home->ready = host->ready != 0;
    server->name = host->name;
    server->key = host->key;
    server->settings = &host->vhost->set;
    server->log = &host->log;
    server->pool = child->pool;
    home->poke_bit = mx_poke_bit(host->name);
    server->poke_others = poke_others;
    server->poke_baton = home;
    server->rate = mx_rate_create(RATE_MAX_KEYS, child->pool);
    if (!rv)
        rv = mx_dbd_create(&home->dbd, host, child->pool);
    if (!rv)
        rv = mx_store_create(&server->store, mx_dbd_source(home->dbd), host->vhost->dbd_params, server->log, child->pool);
    if (!rv)
        rv = mx_server_init(server);
    if (!rv)
        rv = mx_user_init(server);
    if (!rv)
        rv = mx_room_init(server);
    if (!rv)
        rv = mx_sync_init(server);
    if (!rv)
        rv = mx_runner_init(server);
    if (!rv)
        rv = mx_server_cleanup_init(server);
    if (!rv)
        rv = mx_room_heads_init(server);
    if (!rv)
        rv = mx_room_delayed_init(server);
    if (!rv)
        rv = mx_room_sticky_init(server);
    if (!rv)
        rv = mx_workers_push_init(server);
    if (!rv && home->ready)
        mx_runner_begin(server);
    return rv;
}

/** Runs before anything of the child's pool goes: threads first. */
static apr_status_t child_end(void *unused)
{
    int i;
    for (i = 0; i < child->conf->nhosts; i++) {
        if (child->homes[i].broken)
            continue;
        mx_runner_stop(&child->homes[i].server);
        mx_sync_stop(&child->homes[i].server);
    }
    mx_park_poller_stop(child->lot);
    mx_poke_detach(child->poke);
    child = NULL;
    return APR_SUCCESS;
}

void mx_child_init(apr_pool_t *pchild, server_rec *s)
{
    const mx_conf_t *conf = mx_check_conf(s);
    const mx_host_t *host;
    apr_pool_t *pool;
    if (!conf || !conf->nhosts)
        return;
    pool = pool_with_allocator(pchild, TURN_KEEP_BYTES, 1, "mx_child");
    child = apr_pcalloc(pool, sizeof(*child));
    child->pool = pool;
    child->conf = conf;
    child->homes = apr_pcalloc(pool, (apr_size_t)conf->nhosts * sizeof(mx_home_t));
    apr_thread_mutex_create(&child->turn_mutex, APR_THREAD_MUTEX_DEFAULT, pool);
    child->poke = mx_poke_attach(s, pool);
    mx_json_init();
    mx_crypto_init();
    mx_http_out_init();
    for (host = conf->hosts; host; host = host->next) {
        apr_status_t rv = home_start(&child->homes[host->number], host);
        if (rv)
            ap_log_error(APLOG_MARK, APLOG_ERR, rv, host->server, "MX0520: %s cannot start in this child", host->name);
        child->homes[host->number].broken = rv != APR_SUCCESS;
    }
    if (mx_park_start(&child->lot, child->poke, pool))
        ap_log_error(APLOG_MARK, APLOG_ERR, 0, s, "MX0521: this child cannot hold waiting polls: they are answered at once");
    apr_pool_pre_cleanup_register(pchild, NULL, child_end);
}
