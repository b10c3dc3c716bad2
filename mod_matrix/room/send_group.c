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

#include "base/wake.h"

#include <stdlib.h>

#define RUNNING_MAX 2               /* transactions at once: one runs while the other waits for the disk */
#define ROOMS_MAX 32                /* of one transaction … */
#define EVENTS_MAX 200              /* … and their events */
#define BYTES_MAX (1024 * 1024)     /* … and the bytes of those; a larger batch goes alone */
#define WAIT_MAX_MS 10000           /* for one's turn; then 503 */

typedef enum { WAITING, TAKEN, LEADS, DONE } member_state_e;   /* the last two are what it is woken with */

typedef struct member_t {
    struct member_t *next;
    member_state_e state;
    mx_persist_many_t work;
    apr_size_t bytes;
    apr_status_t rv;
    mx_persist_result_t *result;
    mx_wake_t *wake;
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

/** At the deadline: 1 if it has left the queue, 0 if its turn came meanwhile. */
static int leave(group_t *g, member_t *m)
{
    member_t **p = &g->first;
    int waits;
    apr_thread_mutex_lock(g->lock);
    waits = m->state == WAITING;
    if (waits) {
        while (*p != m)
            p = &(*p)->next;
        unlink_locked(g, p);
    }
    apr_thread_mutex_unlock(g->lock);
    return waits;
}

/** Sleeps until it LEADS or is DONE; MX_STORE_UNAVAILABLE at the deadline, unless it is being stored. */
static apr_status_t sleep_until(member_state_e *pstate, group_t *g, member_t *m)
{
    int state = mx_wake_wait(m->wake, apr_time_from_msec(WAIT_MAX_MS));
    if (!state && leave(g, m))
        return MX_STORE_UNAVAILABLE;
    *pstate = (member_state_e)(state ? state : mx_wake_wait(m->wake, -1));
    return APR_SUCCESS;
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

/** The next that waits leads, and those taken are done. */
static void finish(group_t *g, member_t **group, int n)
{
    member_t *next = NULL;
    int i;
    apr_thread_mutex_lock(g->lock);
    if (g->first) {
        next = unlink_locked(g, &g->first);
        next->state = LEADS;
    }
    else
        g->running--;
    apr_thread_mutex_unlock(g->lock);
    if (next)
        mx_wake_set(next->wake, LEADS);
    for (i = 1; i < n; i++)
        mx_wake_set(group[i]->wake, DONE);
}

static apr_size_t bytes_of(const mx_persist_batch_t *batch)
{
    apr_size_t bytes = 0;
    int i;
    for (i = 0; i < batch->nevents; i++)
        bytes += batch->events[i].pdu.len;
    return bytes;
}

/** 1: it may go at once. 0: it is in the queue. */
static int go_or_queue(group_t *g, member_t *m)
{
    int goes;
    apr_thread_mutex_lock(g->lock);
    goes = g->running < RUNNING_MAX;
    if (goes)
        g->running++;
    else {
        *g->tail = m;
        g->tail = &m->next;
    }
    apr_thread_mutex_unlock(g->lock);
    return goes;
}

/** Returns when it leads (*pn: with so many others, itself the first) or others have done its work (0). */
static apr_status_t join(member_t *group[ROOMS_MAX], int *pn, group_t *g, member_t *m)
{
    member_state_e state = LEADS;
    apr_status_t rv = mx_wake_create(&m->wake, m->work.pool);
    if (rv == APR_SUCCESS && !go_or_queue(g, m))
        rv = sleep_until(&state, g, m);
    if (rv != APR_SUCCESS || state != LEADS)
        return rv;
    apr_thread_mutex_lock(g->lock);
    *pn = take_locked(group, g, m);
    apr_thread_mutex_unlock(g->lock);
    return APR_SUCCESS;
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
