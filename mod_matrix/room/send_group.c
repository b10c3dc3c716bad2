/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Rooms that store at the same time share a transaction. Who finds less than RUNNING_MAX of ours under way stores at once and
 * alone, so a quiet server waits for nobody; who comes later queues, and the next that may go takes all that queue, up to a
 * bound. So many busy rooms cost few commits, as many messages of one room do (room/send.c).
 *
 * A waiter lives on its thread's stack: WAITING (may leave at its deadline), TAKEN, LEADS or DONE. One lock a homeserver
 * guards queue and waiters; it is not held while something is stored.
 */
#include "room/room_private.h"

#include <apr_thread_cond.h>
#include <stdlib.h>

#define RUNNING_MAX 2               /* transactions at once: one runs while the other waits for the disk */
#define ROOMS_MAX 32                /* of one transaction … */
#define EVENTS_MAX 200              /* … and their events */
#define BYTES_MAX (1024 * 1024)     /* … and the bytes of those; a larger batch goes alone */
#define WAIT_MAX_MS 10000           /* for one's turn; then 503 */

typedef enum { WAITING, TAKEN, LEADS, DONE } member_state_e;

typedef struct member_t {
    struct member_t *next;
    member_state_e state;
    mx_persist_many_t work;
    apr_size_t bytes;
    apr_status_t rv;
    mx_persist_result_t *result;
    apr_thread_cond_t *cond;         /* NULL until it has to wait */
} member_t;

typedef struct mx_room_group_t {
    apr_thread_mutex_t *lock;
    int running;
    member_t *first, **tail;         /* who waits; nobody does while less than RUNNING_MAX run */
} group_t;

apr_status_t mx_room_group_init(struct mx_room_state_t *state, mx_server_t *server)
{
    group_t *g = apr_pcalloc(server->pool, sizeof(*g));
    g->tail = &g->first;
    state->group = g;
    return apr_thread_mutex_create(&g->lock, APR_THREAD_MUTEX_DEFAULT, server->pool);
}

/** Takes *p out of the queue. */
static member_t *unlink_locked(group_t *g, member_t **p)
{
    member_t *m = *p;
    *p = m->next;
    if (g->tail == &m->next)
        g->tail = p;
    m->next = NULL;
    return m;
}

static void leave_locked(group_t *g, member_t *m)
{
    member_t **p = &g->first;
    while (*p != m)
        p = &(*p)->next;
    unlink_locked(g, p);
}

/** Sleeps until it leads or is done; MX_STORE_UNAVAILABLE at the deadline, unless it is being stored. */
static apr_status_t wait_locked(group_t *g, member_t *m)
{
    apr_time_t deadline = apr_time_now() + apr_time_from_msec(WAIT_MAX_MS);
    while (m->state == WAITING || m->state == TAKEN) {
        apr_interval_time_t left = deadline - apr_time_now();
        if (m->state == WAITING && left <= 0) {
            leave_locked(g, m);
            return MX_STORE_UNAVAILABLE;
        }
        if (m->state == TAKEN)
            apr_thread_cond_wait(m->cond, g->lock);
        else
            apr_thread_cond_timedwait(m->cond, g->lock, left);
    }
    return APR_SUCCESS;
}

static void set_state_locked(member_t *m, member_state_e state)
{
    m->state = state;
    apr_thread_cond_signal(m->cond);
}

static int has_room(member_t *const *group, int n, apr_int64_t room_nid)
{
    while (n > 0 && group[n - 1]->work.batch->room_nid != room_nid)
        n--;
    return n > 0;
}

/** The leader first, then all that wait and fit. */
static int take_locked(member_t *group[ROOMS_MAX], group_t *g, member_t *leader)
{
    int n = 0, events = leader->work.batch->nevents;
    apr_size_t bytes = leader->bytes;
    member_t **p = &g->first;
    group[n++] = leader;
    while (*p && n < ROOMS_MAX) {
        member_t *m = *p;
        int fits = events + m->work.batch->nevents <= EVENTS_MAX && bytes + m->bytes <= BYTES_MAX;
        if (!fits || has_room(group, n, m->work.batch->room_nid)) {
            p = &m->next;
            continue;
        }
        events += m->work.batch->nevents;
        bytes += m->bytes;
        m->state = TAKEN;
        group[n++] = unlink_locked(g, p);
    }
    return n;
}

static int by_room(const void *a, const void *b)
{
    const mx_persist_many_t *x = a, *y = b;
    return x->batch->room_nid < y->batch->room_nid ? -1 : x->batch->room_nid > y->batch->room_nid;
}

static apr_status_t store_alone(member_t *m, mx_server_t *server)
{
    return mx_store_persist_messages(&m->result, server->store, m->work.batch, m->work.pool);
}

static void store_group(member_t **group, int n, mx_server_t *server)
{
    mx_persist_many_t many[ROOMS_MAX];
    apr_status_t rv;
    int i;
    if (n == 1) {
        group[0]->rv = store_alone(group[0], server);
        return;
    }
    for (i = 0; i < n; i++)
        many[i] = group[i]->work;
    qsort(many, (size_t)n, sizeof(many[0]), by_room);
    rv = mx_store_persist_many(server->store, many, n, group[0]->work.pool);
    for (i = 0; i < n; i++)
        group[i]->rv = rv;
}

/** Those taken are done, and the next that waits leads. */
static void finish(group_t *g, member_t **group, int n)
{
    int i;
    apr_thread_mutex_lock(g->lock);
    for (i = 1; i < n; i++)
        set_state_locked(group[i], DONE);
    if (g->first)
        set_state_locked(unlink_locked(g, &g->first), LEADS);
    else
        g->running--;
    apr_thread_mutex_unlock(g->lock);
}

static apr_size_t bytes_of(const mx_persist_batch_t *batch)
{
    apr_size_t bytes = 0;
    int i;
    for (i = 0; i < batch->nevents; i++)
        bytes += batch->events[i].pdu.len;
    return bytes;
}

/** Returns when it leads, with the others of its group, or is DONE. */
static apr_status_t join(member_t *group[ROOMS_MAX], int *pn, group_t *g, member_t *m)
{
    apr_status_t rv = APR_SUCCESS;
    apr_thread_mutex_lock(g->lock);
    if (g->running < RUNNING_MAX) {
        g->running++;
        m->state = LEADS;
    }
    else if ((rv = apr_thread_cond_create(&m->cond, m->work.pool)) == APR_SUCCESS) {
        *g->tail = m;
        g->tail = &m->next;
        rv = wait_locked(g, m);
    }
    if (rv == APR_SUCCESS && m->state == LEADS)
        *pn = take_locked(group, g, m);
    apr_thread_mutex_unlock(g->lock);
    return rv;
}

/** 1: nothing of the group was stored, for a reason that may be another room's. */
static int is_doubtful(const member_t *m, int alone)
{
    return !alone && m->rv != APR_SUCCESS && m->rv != MX_STORE_UNAVAILABLE;
}

apr_status_t mx_room_group_store(mx_persist_result_t **presult, mx_server_t *server, const mx_persist_batch_t *batch, apr_pool_t *pool)
{
    group_t *g = server->room->group;
    member_t *group[ROOMS_MAX];
    member_t m = { .bytes = bytes_of(batch) };
    int n = 0;
    apr_status_t rv;
    m.work = (mx_persist_many_t){ batch, &m.result, pool };
    rv = join(group, &n, g, &m);
    if (rv != APR_SUCCESS)
        return rv;
    if (n) {
        store_group(group, n, server);
        finish(g, group, n);
    }
    if (is_doubtful(&m, n == 1))
        m.rv = store_alone(&m, server);
    if (m.rv == APR_SUCCESS)
        *presult = m.result;
    return m.rv;
}
