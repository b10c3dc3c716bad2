/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The order of writers. In a child, one thread at a time builds events for a room: the first in leads, takes the plain
 * events of all that queue behind it, stores them with one call, and hands the lead to the next in line. So a busy room
 * costs one commit for many messages instead of a queue for its row. Other children come between: the database
 * compares versions, and whoever was slower builds again.
 *
 * A waiter lives on its thread's stack. It is WAITING (may leave at its deadline), TAKEN (its leader works on it: the
 * leader is bounded by the database's own timeouts), LEADS, or DONE. The stripe's lock guards queues and waiters; it is
 * not held while events are built or stored. A leader never waits for those behind it; a waiter holds no connection.
 */
#include "room/accept.h"
#include "room/send_turn.h"

#include "base/slab.h"
#include "base/wake.h"

#define WAIT_MAX_MS 10000               /* for one's turn; then 503 */

typedef enum { WAITING, TAKEN, LEADS, DONE } waiter_state_e;

typedef struct waiter_t {
    struct waiter_t *next;
    waiter_state_e state;
    int plain;                          /* one item that may be stored with those of others */
    mx_room_accept_item_t *item;             /* if plain */
    apr_pool_t *pool;
    mx_wake_t *wake;
} waiter_t;

typedef struct queue_t {
    struct queue_t *next;
    apr_size_t id_len;
    char room_id[MX_EVENT_FIELD_MAX_BYTES + 1];
    waiter_t *first, **tail;            /* the first one leads */
} queue_t;

typedef struct stripe_t {
    apr_thread_mutex_t *lock;
    mx_slab_t *slab;                    /* of queues */
    queue_t *queues;                    /* rooms that are written to right now */
} stripe_t;

typedef struct mx_room_combiner_t {
    stripe_t stripes[MX_ROOM_STRIPES];
} combiner_t;

static apr_status_t destroy_pool(void *pool)
{
    apr_pool_destroy(pool);
    return APR_SUCCESS;
}

apr_status_t mx_room_send_init(struct mx_room_state_t *state, mx_server_t *server)
{
    combiner_t *c = apr_pcalloc(server->pool, sizeof(*c));
    apr_status_t rv = APR_SUCCESS;
    int i;
    for (i = 0; rv == APR_SUCCESS && i < MX_ROOM_STRIPES; i++) {
        apr_pool_t *own;                /* the slab grows while the server runs, under the stripe's lock alone */
        rv = apr_pool_create_unmanaged_ex(&own, NULL, NULL);
        if (rv != APR_SUCCESS)
            break;
        apr_pool_cleanup_register(server->pool, own, destroy_pool, apr_pool_cleanup_null);
        c->stripes[i].slab = mx_slab_create(sizeof(queue_t), own);
        rv = apr_thread_mutex_create(&c->stripes[i].lock, APR_THREAD_MUTEX_DEFAULT, server->pool);
    }
    state->combiner = c;
    return rv;
}

/* ---- the queue ---- */

static stripe_t *stripe_of(mx_server_t *server, const char *room_id)
{
    unsigned hash = 5381;
    const char *p;
    for (p = room_id; *p; p++)
        hash = hash * 33 + (unsigned char)*p;
    return &server->room->combiner->stripes[hash % MX_ROOM_STRIPES];
}

static queue_t *queue_find_locked(stripe_t *s, const char *room_id)
{
    apr_size_t len = strlen(room_id);
    queue_t *q;
    for (q = s->queues; q; q = q->next) {
        if (q->id_len == len && memcmp(q->room_id, room_id, len) == 0)
            return q;
    }
    q = mx_slab_get(s->slab);
    q->id_len = len;
    memcpy(q->room_id, room_id, len + 1);
    q->tail = &q->first;
    q->next = s->queues;
    s->queues = q;
    return q;
}

static void queue_drop_locked(stripe_t *s, queue_t *q)
{
    queue_t **p = &s->queues;
    while (*p != q)
        p = &(*p)->next;
    *p = q->next;
    mx_slab_put(s->slab, q);
}

static void queue_remove_locked(queue_t *q, waiter_t *w)
{
    waiter_t **p = &q->first;
    while (*p != w)
        p = &(*p)->next;
    *p = w->next;
    if (q->tail == &w->next)
        q->tail = p;
}

/** At the deadline: 1 if it has left the queue, 0 if its turn came meanwhile. */
static int give_up(stripe_t *s, queue_t *q, waiter_t *w)
{
    int waits;
    apr_thread_mutex_lock(s->lock);
    waits = w->state == WAITING;
    if (waits)
        queue_remove_locked(q, w);
    apr_thread_mutex_unlock(s->lock);
    return waits;
}

/** Sleeps until the waiter leads or is done; at the deadline it leaves, unless it is being worked on. */
static const mx_error_t *sleep_until(stripe_t *s, queue_t *q, waiter_t *w)
{
    int state = mx_wake_wait(w->wake, apr_time_from_msec(WAIT_MAX_MS));
    if (!state && give_up(s, q, w))
        return mx_error_make_status(w->pool, MX_E_UNKNOWN, 503, "The room is too busy; try again.");
    w->state = (waiter_state_e)(state ? state : mx_wake_wait(w->wake, -1));
    return NULL;
}

/** Returns when it is the waiter's turn (it LEADS) or another did its work (DONE). */
static const mx_error_t *enter(mx_server_t *server, const char *room_id, waiter_t *w)
{
    stripe_t *s = stripe_of(server, room_id);
    queue_t *q;
    int waits;
    apr_status_t rv = mx_wake_create(&w->wake, w->pool);
    if (rv != APR_SUCCESS)
        return mx_error_internal(w->pool, rv, "making a condition variable");
    apr_thread_mutex_lock(s->lock);
    q = queue_find_locked(s, room_id);
    waits = q->first != NULL;
    w->state = waits ? WAITING : LEADS;
    w->next = NULL;
    *q->tail = w;
    q->tail = &w->next;
    apr_thread_mutex_unlock(s->lock);
    return waits ? sleep_until(s, q, w) : NULL;
}

/** The leader takes the plain items that queue right behind it, its own first. Returns their number. */
static int take(mx_room_accept_item_t **items, int max, mx_server_t *server, const char *room_id, waiter_t *leader)
{
    stripe_t *s = stripe_of(server, room_id);
    waiter_t *w;
    int n = 0;
    items[n++] = leader->item;
    apr_thread_mutex_lock(s->lock);
    for (w = leader->next; w && w->plain && n < max; w = w->next) {
        w->state = TAKEN;
        items[n++] = w->item;
    }
    apr_thread_mutex_unlock(s->lock);
    return n;
}

/** The leader goes, and with it those it took; the next in line leads. */
static void leave(mx_server_t *server, const char *room_id, waiter_t *leader)
{
    stripe_t *s = stripe_of(server, room_id);
    queue_t *q;
    waiter_t *w, *next, *following;
    apr_thread_mutex_lock(s->lock);
    q = queue_find_locked(s, room_id);
    for (next = leader->next; next && next->state == TAKEN; next = next->next) {
    }
    q->first = next;
    if (next)
        next->state = LEADS;
    else
        queue_drop_locked(s, q);
    apr_thread_mutex_unlock(s->lock);
    /* who is taken stays until it is woken; the next one first, for others wait for it */
    if (next)
        mx_wake_set(next->wake, LEADS);
    for (w = leader->next; w != next; w = following) {
        following = w->next;
        mx_wake_set(w->wake, DONE);
    }
}

/* ---- for writers of other files ---- */

struct mx_room_place_t {
    waiter_t waiter;
    mx_server_t *server;
    const char *room_id;
};

const mx_error_t *mx_room_send_enter(mx_room_place_t **pplace, mx_server_t *server, const char *room_id, apr_pool_t *pool)
{
    mx_room_place_t *place = apr_pcalloc(pool, sizeof(*place));
    const mx_error_t *err;
    place->waiter.pool = pool;
    place->server = server;
    place->room_id = room_id;
    err = enter(server, room_id, &place->waiter);
    if (!err)
        *pplace = place;
    return err;
}

void mx_room_send_leave(mx_room_place_t *place)
{
    leave(place->server, place->room_id, &place->waiter);
}

/* ---- plain events, many at once ---- */

/** The same error for somebody else, in its pool. */
static const mx_error_t *error_for(const mx_error_t *err, apr_pool_t *pool)
{
    mx_error_t *copy = mx_error_copy(pool, err);
    copy->message = apr_pstrdup(pool, err->message);
    copy->detail = err->detail ? apr_pstrdup(pool, err->detail) : NULL;
    copy->extra = NULL;
    copy->prev = NULL;
    return copy;
}

static void finish_all(mx_room_accept_item_t **items, int n, const mx_error_t *err)
{
    int i;
    for (i = 0; i < n; i++) {
        if (items[i]->done)
            continue;
        items[i]->err = error_for(err, items[i]->pool);
        items[i]->done = 1;
    }
}

static void refuse(mx_room_accept_item_t *item, mx_server_t *server, const mx_room_t *room, const mx_error_t *err)
{
    const mx_error_t *failed = mx_room_accept_known(item, server, room);
    if (item->done)
        return;
    item->err = failed ? failed : err;
    item->done = 1;
}

/**
 * Builds what is left on top of the room. An item that is refused by a view which may be old stops the round (*pstale);
 * by a fresh one it is refused for good.
 */
static mx_room_accept_t *build_plain(int *pstale, mx_server_t *server, mx_room_t *room, int fresh, mx_room_accept_item_t **items,
                                int n, apr_pool_t *pool)
{
    mx_room_accept_t *batch = mx_room_accept_open(server, room, n, pool);
    int i;
    *pstale = 0;
    for (i = 0; i < n; i++) {
        const mx_error_t *err = items[i]->done ? NULL : mx_room_accept_add(batch, items[i]);
        if (!err)
            continue;
        if (!fresh) {
            *pstale = 1;
            return batch;
        }
        refuse(items[i], server, room, err);
    }
    return batch;
}

/** Rounds of building and storing until all items are done. An error is every unfinished item's. */
static const mx_error_t *plain_rounds(int *pmoved, mx_room_turn_t *turn, const char *room_id, mx_room_accept_item_t **items, int n)
{
    mx_server_t *server = turn->server;
    mx_room_t *room;
    int stale, fresh = 0;
    mx_room_accept_outcome_e outcome;
    const mx_error_t *err = mx_room_cache_get_any(&room, server, room_id, turn->pool);
    while (!err && mx_room_turn_next(turn)) {
        mx_room_accept_t *batch = build_plain(&stale, server, room, fresh, items, n, turn->pool);
        if (stale) {
            err = mx_room_get(&room, server, room_id, 1, turn->pool);
            fresh = 1;
            continue;
        }
        if (!mx_room_accept_count(batch))
            return NULL;
        mx_room_accept_in_turn(batch, turn->conn);
        err = mx_room_accept_store(&outcome, &room, batch, NULL);
        if (!err && outcome == MX_ACCEPT_STORED) {
            *pmoved = 1;
            return NULL;
        }
        if (err || outcome == MX_ACCEPT_KNOWN)
            continue;
        fresh |= outcome == MX_ACCEPT_MOVED;
        err = mx_room_turn_lost(&room, turn, room);
    }
    return err ? err : mx_room_turn_busy(turn->pool);
}

static const mx_error_t *send_plain(int *pmoved, mx_server_t *server, const char *room_id, mx_room_accept_item_t **items,
                                    int n, apr_pool_t *pool)
{
    mx_room_turn_t turn = { .server = server, .pool = pool };
    const mx_error_t *err = plain_rounds(pmoved, &turn, room_id, items, n);
    mx_room_turn_end(&turn);
    return err;
}

static void lead_plain(mx_server_t *server, const char *room_id, waiter_t *leader)
{
    mx_room_accept_item_t *items[MX_ROOM_BATCH_MAX];
    int moved = 0, n = take(items, MX_ROOM_BATCH_MAX, server, room_id, leader);
    const mx_error_t *err = send_plain(&moved, server, room_id, items, n, leader->pool);
    if (err)
        finish_all(items, n, err);
    if (moved)
        mx_server_stream_moved(server);
    leave(server, room_id, leader);
}

/** What building will ask for is read by who needs it, before the queue: a leader should find it all in the caches. */
static const mx_error_t *warm(mx_server_t *server, const char *room_id, const mx_room_draft_t *draft, apr_pool_t *pool)
{
    mx_room_current_t member;
    mx_room_t *room;
    const mx_error_t *err = mx_room_cache_get_any(&room, server, room_id, pool);
    return err ? err : mx_room_state_find(&member, server, room, "m.room.member", draft->sender, pool);
}

static const mx_error_t *send_one(const char **pevent_id, mx_server_t *server, const char *room_id,
                                  const mx_room_draft_t *draft, apr_pool_t *pool)
{
    mx_room_accept_item_t item;
    waiter_t w = { .plain = 1, .item = &item, .pool = pool };
    const mx_error_t *err = mx_room_accept_prepare(&item, server, draft, pool);
    if (!err)
        err = warm(server, room_id, draft, pool);
    if (!err)
        err = enter(server, room_id, &w);
    if (!err && w.state == LEADS)
        lead_plain(server, room_id, &w);
    if (!err)
        err = item.err;
    if (!err)
        *pevent_id = item.event_id;
    return err;
}

/* ---- everything else, all or none ---- */

/** One round on top of `room`; the first refusal ends it. */
static const mx_error_t *build_all(mx_room_accept_t **pbatch, mx_server_t *server, mx_room_t *room, mx_room_accept_item_t *items,
                                   int n, apr_pool_t *pool)
{
    mx_room_accept_t *batch = mx_room_accept_open(server, room, n, pool);
    const mx_error_t *err = NULL;
    int i;
    for (i = 0; !err && i < n; i++) {
        if (items[i].done && items[i].draft->txn_id)
            continue;
        items[i].done = 0;
        err = mx_room_accept_add(batch, &items[i]);
        if (err)
            refuse(&items[i], server, room, err);
        if (err && !items[i].err)
            err = NULL;         /* a resend */
    }
    *pbatch = batch;
    return err;
}

static const mx_error_t *all_rounds(int *pmoved, mx_room_turn_t *turn, const char *room_id, mx_room_accept_item_t *items, int n)
{
    mx_room_t *room;
    mx_room_accept_t *batch;
    mx_room_accept_outcome_e outcome;
    const mx_error_t *err = mx_room_get(&room, turn->server, room_id, 1, turn->pool);
    while (!err && mx_room_turn_next(turn)) {
        err = build_all(&batch, turn->server, room, items, n, turn->pool);
        if (err || !mx_room_accept_count(batch))
            return err;
        mx_room_accept_in_turn(batch, turn->conn);
        err = mx_room_accept_store(&outcome, &room, batch, NULL);
        if (!err && outcome == MX_ACCEPT_STORED) {
            *pmoved = 1;
            return NULL;
        }
        if (!err && outcome != MX_ACCEPT_KNOWN)
            err = mx_room_turn_lost(&room, turn, room);
    }
    return err ? err : mx_room_turn_busy(turn->pool);
}

static const mx_error_t *send_all(int *pmoved, mx_server_t *server, const char *room_id, mx_room_accept_item_t *items, int n,
                                  apr_pool_t *pool)
{
    mx_room_turn_t turn = { .server = server, .pool = pool };
    const mx_error_t *err = all_rounds(pmoved, &turn, room_id, items, n);
    mx_room_turn_end(&turn);
    return err;
}

static const mx_error_t *prepare_all(mx_room_accept_item_t **pitems, mx_server_t *server, const mx_room_draft_t *drafts,
                                     int n, apr_pool_t *pool)
{
    mx_room_accept_item_t *items = apr_pcalloc(pool, sizeof(*items) * (apr_size_t)(n > 0 ? n : 1));
    const mx_error_t *err = NULL;
    int i;
    if (n < 1 || n > MX_ROOM_DRAFTS_MAX)
        return mx_error_make(pool, MX_E_INVALID_PARAM, "Between 1 and %d events can be sent at once.", MX_ROOM_DRAFTS_MAX);
    for (i = 0; !err && i < n; i++)
        err = mx_room_accept_prepare(&items[i], server, &drafts[i], pool);
    *pitems = items;
    return err;
}

const mx_error_t *mx_room_send(const char **event_ids, mx_server_t *server, const char *room_id,
                               const mx_room_draft_t *drafts, int n, apr_pool_t *pool)
{
    waiter_t w = { .pool = pool };
    mx_room_accept_item_t *items;
    const mx_error_t *err;
    int i, moved = 0;
    if (strlen(room_id) > MX_EVENT_FIELD_MAX_BYTES)
        return mx_error_make(pool, MX_E_NOT_FOUND, "There is no such room.");
    err = mx_room_heads_bound(server, room_id, MX_EVENT_MAX_PREV, pool);
    if (err)
        return err;
    if (n == 1 && mx_room_accept_is_plain(drafts))
        return send_one(event_ids, server, room_id, drafts, pool);
    err = prepare_all(&items, server, drafts, n, pool);
    if (!err)
        err = enter(server, room_id, &w);
    if (err)
        return err;
    err = send_all(&moved, server, room_id, items, n, pool);
    if (moved)
        mx_server_stream_moved(server);
    leave(server, room_id, &w);
    for (i = 0; !err && i < n; i++)
        event_ids[i] = items[i].event_id;
    return err;
}

const mx_error_t *mx_room_begin(const char **proom_id, mx_server_t *server, const mx_room_version_t *version,
                                const mx_room_draft_t *drafts, int n, int published, const char *alias,
                                apr_pool_t *pool)
{
    mx_persist_begin_t begin = { .alias = alias, .published = published };
    mx_room_accept_outcome_e outcome = MX_ACCEPT_RETRY;
    mx_room_accept_item_t *items;
    mx_room_accept_t *batch = NULL;
    mx_room_t *room;
    int i, attempt;
    const mx_error_t *err = prepare_all(&items, server, drafts, n, pool);
    for (attempt = 0; !err && outcome != MX_ACCEPT_STORED && attempt < MX_ROOM_ROUNDS_MAX; attempt++) {
        batch = mx_room_accept_open_new(server, version, n, pool);
        for (i = 0; !err && i < n; i++)
            err = mx_room_accept_add(batch, &items[i]);
        if (!err)
            err = mx_room_accept_store(&outcome, &room, batch, &begin);
    }
    if (err)
        return err;
    if (outcome != MX_ACCEPT_STORED)
        return mx_room_turn_busy(pool);
    mx_server_stream_moved(server);
    *proom_id = mx_room_accept_room_id(batch);
    return NULL;
}
