/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The notifier: one thread and one connection for each homeserver that has somebody waiting in this child. It follows the
 * stream, fills the ring and wakes waiters; it hears pokes of this child, of the host's other children, and of other hosts.
 */
#include "store/listen.h"
#include "store/stream.h"
#include "store/typing.h"
#include "sync/devices.h"
#include "sync/presence.h"
#include <poll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#define LOOK_INTERVAL_US 250000      /* a lost poke costs no more */
#define LAGGING_INTERVAL_US 1500     /* somebody still writes below the last position: look again soon */
#define LAGGING_PATIENCE 16          /* after so many looks the interval grows by itself */
#define NOTIFY_INTERVAL_US 5000      /* other hosts are told no more often */
#define TYPING_INTERVAL_US 1000000   /* typists whose time is over are looked for no more often */
#define PRESENCE_INTERVAL_US 1000000 /* what others should soon know of presence is written no more often */
#define IDLE_END_US 60000000         /* without waiters for so long, the thread ends */
#define USER_IDLE_US 300000000       /* so long a user's rooms are kept true without a waiter */
#define USER_SWEEP_US 30000000
#define RETRY_US 1000000             /* after a lost connection */
#define LOAD_AT_ONCE 500             /* users whose rooms one query loads */

/* The thread's own. */
typedef struct notifier_t {
    mx_sync_state_t *state;
    mx_listen_t *listen;
    mx_store_t *store;               /* runs on the listening connection */
    apr_pool_t *conn_pool;           /* of the connection */
    apr_pool_t *turn;                /* cleared after each turn */
    apr_time_t looked, notified, typing_swept, users_swept, last_needed;
    apr_time_t presence_done, presence_next;   /* when it was looked after, and will be again */
    apr_int64_t told;                /* position that other hosts know of */
    apr_int64_t typing_until;        /* ms: when the first known typist stops; 0: nobody types */
    int lagging;                     /* looks in a row that found the watermark behind the sequence */
    int tell_others;                 /* commits of this host happened since they were told */
} notifier_t;

void mx_sync_notifier_poke(mx_sync_state_t *state, apr_uint32_t why)
{
    const apr_uint64_t one = 1;

    if (__atomic_fetch_or(&state->poked, why, __ATOMIC_ACQ_REL) != 0) return;
    if (write(state->wake_fd, &one, sizeof(one)) < 0) return;   /* full means readable, which is all that is wanted */
}

/* What we were poked for. */
static apr_uint32_t take_pokes(mx_sync_state_t *state)
{
    apr_uint64_t count;

    if (read(state->wake_fd, &count, sizeof(count)) < 0) return __atomic_exchange_n(&state->poked, 0, __ATOMIC_ACQ_REL);
    return __atomic_exchange_n(&state->poked, 0, __ATOMIC_ACQ_REL);
}

/* ---- following the stream ---- */

static void note_typing(notifier_t *me, const mx_sync_batch_t *batch)
{
    int i;

    for (i = 0; i < batch->n; i++) {
        const mx_sync_entry_t *entry = &batch->entries[i];

        if (entry->kind == MX_ENTRY_TYPING && entry->first_until && (!me->typing_until || entry->first_until < me->typing_until))
            me->typing_until = entry->first_until;
    }
}

/* CS-API: redactions: a redacted event is sent in its redacted form from now on. */
static void mark_redacted(mx_sync_state_t *state, mx_sync_batch_t *batch)
{
    int i;

    for (i = 0; i < batch->n; i++) {
        const mx_sync_entry_t *entry = &batch->entries[i];

        if (entry->kind == MX_ENTRY_EVENT && entry->redacts) mx_sync_ring_redacted(&state->ring, entry->room_nid, entry->redacts);
    }
}

/* The ring begins anew: who joined or left what in between is not known, so rooms are loaded again, and everybody looks for himself. */
static void begin_anew_locked(mx_sync_state_t *state, apr_int64_t upto)
{
    const mx_nid_map_slot_t *slot;
    apr_uint32_t at = 0;

    mx_sync_ring_reset(&state->ring, upto);
    mx_sync_devices_forget_locked(state);
    while ((slot = mx_nid_map_next(&state->interest.users, &at)) != NULL) {
        mx_sync_user_t *user = slot->value;

        mx_sync_interest_unlearn(&state->interest, user);
        if (user->waiters) mx_sync_waiter_load_locked(state, user);
    }
    mx_sync_waiter_wake_all_locked(state);
}

/* The batch goes into the ring, unless it is too big for that. */
static void publish(notifier_t *me, mx_sync_batch_t *batch, apr_int64_t upto)
{
    mx_sync_state_t *state = me->state;

    apr_thread_mutex_lock(state->lock);
    if (!batch) {
        begin_anew_locked(state, upto);
    } else if (batch->n == 0) {
        state->ring.head = upto;
        mx_sync_batch_unpin(batch);
    } else {
        note_typing(me, batch);
        mx_sync_batch_pin(batch);       /* one of many bytes does not stay in the ring */
        mx_sync_ring_append(&state->ring, batch);
        mark_redacted(state, batch);
        mx_sync_devices_tell_locked(state, batch);
        mx_sync_waiter_tell_locked(state, batch);
        mx_sync_batch_unpin(batch);
    }
    apr_thread_mutex_unlock(state->lock);
}

static apr_status_t look(notifier_t *me, mx_conn_t *conn)
{
    mx_sync_state_t *state = me->state;
    apr_int64_t watermark, last, head = state->ring.head;   /* only this thread moves it */
    mx_sync_batch_t *batch = NULL;
    apr_status_t rv = mx_store_stream_watermark(&watermark, &last, conn, me->turn);

    if (rv != APR_SUCCESS) return rv;
    me->looked = apr_time_now();
    me->lagging = watermark < last ? me->lagging + 1 : 0;
    if (__atomic_load_n(&state->last_seen, __ATOMIC_RELAXED) < last) __atomic_store_n(&state->last_seen, last, __ATOMIC_RELAXED);
    if (watermark <= head) return APR_SUCCESS;
    rv = mx_sync_read(&batch, state, conn, head, watermark, me->turn);
    if (rv == APR_SUCCESS) publish(me, batch, watermark);
    return rv;
}

/* ---- users whose rooms are not known yet ---- */

/* Only this thread removes users, and never a queued one: the list it took stays good without the lock. */
static mx_sync_user_t *take_pending(mx_sync_state_t *state)
{
    mx_sync_user_t *list;

    apr_thread_mutex_lock(state->lock);
    list = state->pending;
    state->pending = NULL;
    apr_thread_mutex_unlock(state->lock);
    return list;
}

static void put_pending_back(mx_sync_state_t *state, mx_sync_user_t *list)
{
    apr_thread_mutex_lock(state->lock);
    while (list) {
        mx_sync_user_t *user = list;

        list = user->pending;
        user->pending = state->pending;
        state->pending = user;
    }
    apr_thread_mutex_unlock(state->lock);
}

/* Rows say what is true now, perhaps later than the ring's head; where they do, the user is unsure until then. */
static void learn_rooms(mx_sync_state_t *state, const mx_sync_interest_row_t *rows, int n)
{
    int i;

    for (i = 0; i < n; i++) {
        mx_sync_user_t *user = mx_sync_interest_user(&state->interest, rows[i].user_nid);

        if (!user) continue;
        if (rows[i].stream > state->ring.head && rows[i].stream > user->unsure_until) user->unsure_until = rows[i].stream;
        if (rows[i].membership == MX_MEMBERSHIP_JOIN) mx_sync_interest_join(&state->interest, user, rows[i].room_nid);
    }
}

static apr_status_t load_some(mx_sync_user_t **plist, notifier_t *me, mx_conn_t *conn)
{
    mx_sync_state_t *state = me->state;
    apr_int64_t nids[LOAD_AT_ONCE];
    mx_sync_interest_row_t *rows = NULL;
    mx_sync_user_t *user = *plist;
    int n = 0, nrows = 0;
    apr_status_t rv;

    for (; user && n < LOAD_AT_ONCE; user = user->pending) nids[n++] = user->nid;
    rv = mx_store_sync_interest(&rows, &nrows, conn, nids, n, state->ring.head, me->turn);
    if (rv != APR_SUCCESS) return rv;
    apr_thread_mutex_lock(state->lock);
    learn_rooms(state, rows, nrows);
    for (user = *plist; n-- > 0; user = *plist) {
        *plist = user->pending;
        user->pending = NULL;
        user->queued = 0;
        user->loaded = 1;
        mx_sync_waiter_loaded_locked(state, user);
    }
    apr_thread_mutex_unlock(state->lock);
    return APR_SUCCESS;
}

static apr_status_t load_users(notifier_t *me, mx_conn_t *conn)
{
    mx_sync_user_t *list = take_pending(me->state);
    apr_status_t rv = APR_SUCCESS;

    while (list && rv == APR_SUCCESS) rv = load_some(&list, me, conn);
    if (list) put_pending_back(me->state, list);
    return rv;
}

/* Users who have not waited for long are forgotten. */
static void sweep_users(notifier_t *me, apr_time_t now)
{
    mx_sync_state_t *state = me->state;
    const mx_nid_map_slot_t *slot;
    mx_sync_user_t *idle[LOAD_AT_ONCE];
    apr_uint32_t at = 0;
    int n = 0;

    if (now - me->users_swept < USER_SWEEP_US) return;
    me->users_swept = now;
    apr_thread_mutex_lock(state->lock);
    while (n < LOAD_AT_ONCE && (slot = mx_nid_map_next(&state->interest.users, &at)) != NULL) {
        mx_sync_user_t *user = slot->value;

        if (!user->waiters && !user->queued && !user->held && now - user->idle_since > USER_IDLE_US) idle[n++] = user;
    }
    while (n > 0) mx_sync_interest_remove(&state->interest, idle[--n]);
    apr_thread_mutex_unlock(state->lock);
}

/* ---- the rest of a turn ---- */

/* CS-API: typing notifications: the end of a typing is told like its begin. */
static apr_status_t sweep_typing(notifier_t *me, mx_conn_t *conn, apr_time_t now)
{
    int moved = 0;
    apr_status_t rv;

    if (!me->typing_until || apr_time_as_msec(now) < me->typing_until || now - me->typing_swept < TYPING_INTERVAL_US) return APR_SUCCESS;
    me->typing_swept = now;
    rv = mx_store_typing_expire(&moved, &me->typing_until, conn, apr_time_as_msec(now), me->turn);
    if (rv == APR_SUCCESS && moved) mx_server_stream_moved(me->state->server);
    return rv;
}

/* Presence that was kept back, devices that are still there, users whose time has come. */
static apr_status_t mind_presence(notifier_t *me, mx_conn_t *conn, apr_time_t now)
{
    mx_sync_state_t *state = me->state;

    if (!state->server->settings->presence) return APR_SUCCESS;
    apr_thread_mutex_lock(state->lock);
    mx_sync_waiter_release_locked(state, now);
    apr_thread_mutex_unlock(state->lock);
    if (now < me->presence_next && !(mx_sync_presence_is_urgent(state) && now - me->presence_done >= PRESENCE_INTERVAL_US))
        return APR_SUCCESS;
    me->presence_done = now;
    return mx_sync_presence_tick(&me->presence_next, state, conn, me->turn);
}

static apr_status_t tell_hosts(notifier_t *me, apr_time_t now)
{
    apr_int64_t head = me->state->ring.head;

    if (!me->tell_others || now - me->notified < NOTIFY_INTERVAL_US) return APR_SUCCESS;
    me->tell_others = 0;
    if (head <= me->told) return APR_SUCCESS;
    me->notified = now;
    me->told = head;
    return mx_store_listen_notify(me->listen, head);
}

static apr_status_t connect_listener(notifier_t *me)
{
    mx_sync_state_t *state = me->state;
    const mx_log_ctx_t *log = state->server->log;
    apr_int64_t watermark;
    mx_conn_t *conn = NULL;
    apr_status_t rv;

    apr_pool_clear(me->conn_pool);
    rv = mx_store_listen_open(&me->listen, mx_store_dsn(state->server->store), log, me->conn_pool);
    if (rv == APR_SUCCESS) rv = mx_store_create(&me->store, mx_store_listen_source(me->listen), NULL, log, me->conn_pool);
    if (rv == APR_SUCCESS && !state->ready) {
        rv = mx_store_borrow(&conn, me->store, me->turn);
        if (rv == APR_SUCCESS) rv = mx_store_stream_watermark(&watermark, NULL, conn, me->turn);
        mx_store_return(conn);
        if (rv != APR_SUCCESS) return rv;
        apr_thread_mutex_lock(state->lock);
        mx_sync_ring_reset(&state->ring, watermark);
        mx_sync_devices_forget_locked(state);
        __atomic_store_n(&state->ready, 1, __ATOMIC_RELAXED);
        apr_thread_mutex_unlock(state->lock);
    }
    return rv;
}

static apr_interval_time_t time_to_wait(const notifier_t *me, apr_time_t now)
{
    apr_interval_time_t wait = LOOK_INTERVAL_US - (now - me->looked);

    /* a writer that takes long is asked after less and less often */
    if (me->lagging && wait > LAGGING_INTERVAL_US * (1 + me->lagging / LAGGING_PATIENCE))
        wait = LAGGING_INTERVAL_US * (1 + me->lagging / LAGGING_PATIENCE);
    if (me->tell_others && wait > NOTIFY_INTERVAL_US) wait = NOTIFY_INTERVAL_US;
    return wait > 0 ? wait : 0;
}

static int must_look(const notifier_t *me, apr_time_t now, apr_int64_t heard, apr_uint32_t pokes)
{
    if ((pokes & MX_SYNC_POKE_LOOK) || heard > me->state->ring.head) return 1;
    return now - me->looked >= (me->lagging ? LAGGING_INTERVAL_US : LOOK_INTERVAL_US);
}

static apr_status_t take_turn(notifier_t *me)
{
    mx_sync_state_t *state = me->state;
    apr_int64_t heard = 0;
    apr_status_t rv = mx_store_listen_wait(&heard, me->listen, state->wake_fd, time_to_wait(me, apr_time_now()));
    apr_uint32_t pokes = take_pokes(state);
    apr_time_t now = apr_time_now();
    mx_conn_t *conn = NULL;

    if (heard > me->told) me->told = heard;
    if (pokes & MX_SYNC_POKE_LOOK) me->tell_others = 1;
    if (rv == APR_SUCCESS) rv = mx_store_borrow(&conn, me->store, me->turn);
    if (rv != APR_SUCCESS) return rv;
    if (must_look(me, now, heard, pokes)) rv = look(me, conn);
    if (rv == APR_SUCCESS) rv = load_users(me, conn);
    if (rv == APR_SUCCESS) rv = sweep_typing(me, conn, now);
    if (rv == APR_SUCCESS) rv = mind_presence(me, conn, now);
    mx_store_return(conn);
    if (rv == APR_SUCCESS) rv = tell_hosts(me, now);
    sweep_users(me, now);
    return rv;
}

/* 1 if the thread has nothing to live for any more; it has then left the state as if it had never been. */
static int is_over(notifier_t *me)
{
    mx_sync_state_t *state = me->state;
    apr_time_t now = apr_time_now();
    int over;

    apr_thread_mutex_lock(state->lock);
    if (state->waiters) me->last_needed = now;
    over = state->stopping || (!state->waiters && now - me->last_needed > IDLE_END_US);
    if (over) {
        __atomic_store_n(&state->ready, 0, __ATOMIC_RELAXED);
        mx_sync_ring_reset(&state->ring, 0);
        mx_sync_devices_forget_locked(state);
        if (!state->waiters) {
            state->pending = state->held = NULL;
            mx_sync_interest_clear(&state->interest);
        }
        __atomic_store_n(&state->running, 0, __ATOMIC_RELAXED);
    }
    apr_thread_mutex_unlock(state->lock);
    return over;
}

static int is_stopping(const mx_sync_state_t *state)
{
    return __atomic_load_n(&state->stopping, __ATOMIC_RELAXED);
}

/* The end of the child cuts it short. */
static void wait_to_retry(mx_sync_state_t *state)
{
    struct pollfd fd = { state->wake_fd, POLLIN, 0 };
    apr_time_t end = apr_time_now() + RETRY_US, now;

    while (!is_stopping(state) && (now = apr_time_now()) < end) {
        poll(&fd, 1, (int)apr_time_as_msec(end - now) + 1);
        take_pokes(state);
    }
}

static void *APR_THREAD_FUNC run(apr_thread_t *thread, void *data)
{
    mx_sync_state_t *state = data;
    notifier_t me = { .state = state, .last_needed = apr_time_now(), .typing_until = 1 };
    int connected = 0;

    apr_pool_create(&me.conn_pool, state->run_pool);
    apr_pool_create(&me.turn, state->run_pool);
    apr_pool_tag(me.turn, "mx_sync_turn");
    while (!is_over(&me)) {
        if (!connected) connected = connect_listener(&me) == APR_SUCCESS;
        if (connected && take_turn(&me) != APR_SUCCESS) connected = 0;
        if (!connected && !is_stopping(state)) {
            mx_log(state->server->log, MX_LOG_DEBUG, 0, "the stream cannot be followed, trying again");
            wait_to_retry(state);
        }
        apr_pool_clear(me.turn);
    }
    apr_pool_destroy(me.conn_pool);
    return NULL;
}

/* A thread that ended by itself is joined here, so its pool can go. */
static void bury_locked(mx_sync_state_t *state)
{
    apr_status_t rv;

    if (!state->thread) return;
    apr_thread_join(&rv, state->thread);
    apr_pool_destroy(state->run_pool);
    state->thread = NULL;
    state->run_pool = NULL;
}

void mx_sync_notifier_start_locked(mx_sync_state_t *state)
{
    apr_allocator_t *allocator;
    apr_status_t rv;

    if (state->running || state->stopping) return;
    bury_locked(state);
    if (apr_allocator_create(&allocator) != APR_SUCCESS) return;
    rv = apr_pool_create_unmanaged_ex(&state->run_pool, NULL, allocator);
    if (rv != APR_SUCCESS) {
        apr_allocator_destroy(allocator);
        return;
    }
    apr_allocator_owner_set(allocator, state->run_pool);
    apr_pool_tag(state->run_pool, "mx_sync_notifier");
    __atomic_store_n(&state->running, 1, __ATOMIC_RELAXED);
    rv = apr_thread_create(&state->thread, NULL, run, state, state->run_pool);
    if (rv == APR_SUCCESS) return;
    mx_log(state->server->log, MX_LOG_ERROR, rv, "MX0551: no thread for the notifier: waiting clients are told nothing");
    __atomic_store_n(&state->running, 0, __ATOMIC_RELAXED);
    apr_pool_destroy(state->run_pool);
    state->run_pool = NULL;
    state->thread = NULL;
}

void mx_sync_notifier_stop(mx_sync_state_t *state)
{
    apr_thread_mutex_lock(state->lock);
    __atomic_store_n(&state->stopping, 1, __ATOMIC_RELAXED);
    apr_thread_mutex_unlock(state->lock);
    mx_sync_notifier_poke(state, MX_SYNC_POKE_LOAD);
    /* nobody starts a thread any more, so no lock is needed to wait for the last one, which needs it to end */
    bury_locked(state);
}
