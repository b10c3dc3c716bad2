/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Many PDUs of a room at once: what can be checked of each by itself is checked before the room's queue of writers, then they are put in
 * an order in which each comes after what it stands on, and stored: chains as batches (accept_batch.c), what needs more one by one.
 */
#include "room/accept_pdus_private.h"
#include "room/heads.h"
#include "room/send_turn.h"

#include "store/event_id.h"

/* ---- before the queue ---- */

static const mx_error_t *intern(mx_room_incoming_t *in, mx_server_t *server, apr_pool_t *pool)
{
    apr_status_t rv = mx_server_user_nid(&in->sender_nid, server, in->event->sender, pool);
    if (rv == APR_SUCCESS)
        rv = mx_server_type_nid(&in->type_nid, server, in->event->type, pool);
    return rv == APR_SUCCESS ? NULL : mx_server_store_error(rv, "interning what an event names", pool);
}

/** What is wrong with a PDU is its own outcome; `seen` finds the first one of an id. */
static const mx_error_t *prepare(mx_room_incoming_t *in, apr_hash_t *seen, mx_server_t *server, const mx_room_t *room, mx_slice_t text,
                                 mx_room_key_fn *key, void *baton, apr_pool_t *pool)
{
    memset(in->out, 0, sizeof(*in->out));
    in->out->outcome = MX_PDU_REFUSED;
    in->out->why = mx_room_accept_pdu_alone(&in->event, room->version, room->room_id, text, key, baton, pool);
    in->out->event_id = in->event ? in->event->event_id : NULL;
    in->settled = in->out->why != NULL;
    if (in->settled)
        return NULL;
    in->item.pool = pool;
    in->id = mx_store_event_id_pack(in->event->event_id, pool);
    in->same = apr_hash_get(seen, in->id.p, (apr_ssize_t)in->id.len);
    in->settled = in->same != NULL;
    if (in->same)
        return NULL;
    apr_hash_set(seen, in->id.p, (apr_ssize_t)in->id.len, in);
    return intern(in, server, pool);
}

/** The next event that this one stands on and that has no place yet. One whose search is under way closes a circle: passed over. */
static mx_room_incoming_t *next_below(mx_room_incoming_t *in, apr_hash_t *seen, apr_pool_t *pool)
{
    const mx_event_t *ev = in->event;
    while (in->edge < ev->nprev + ev->nauth) {
        int i = in->edge++;
        mx_slice_t id = mx_store_event_id_pack(i < ev->nprev ? ev->prev_events[i] : ev->auth_events[i - ev->nprev], pool);
        mx_room_incoming_t *found = apr_hash_get(seen, id.p, (apr_ssize_t)id.len);
        if (found && found->place == MX_INCOMING_NEW)
            return found;
    }
    return NULL;
}

/** Puts the event into the line, behind all that it stands on. */
static void put_in_line(mx_room_incoming_t **line, int *pn, mx_room_incoming_t *in, apr_hash_t *seen, apr_pool_t *pool)
{
    while (in) {
        mx_room_incoming_t *next = next_below(in, seen, pool);
        in->place = MX_INCOMING_OPEN;
        if (next)
            next->below = in;
        else {
            in->place = MX_INCOMING_PLACED;
            line[(*pn)++] = in;
            next = in->below;
        }
        in = next;
    }
}

/* ---- in the queue ---- */

static void settle_taken(mx_room_incoming_t **line, int n)
{
    int i;
    for (i = 0; i < n; i++)
        line[i]->settled |= line[i]->taken;
}

/** Rounds of one batch, the first of the line. *pstop: what comes after it; NULL as well: all are settled. */
static const mx_error_t *store_chain(mx_room_incoming_t **pstop, int *pmoved, mx_room_t **proom, mx_room_turn_t *turn,
                                     mx_room_incoming_t **line, int n)
{
    mx_room_accept_outcome_e outcome = MX_ACCEPT_RETRY;
    mx_room_accept_t *batch;
    const mx_error_t *err = NULL;
    while (!err && outcome != MX_ACCEPT_STORED && mx_room_turn_next(turn)) {
        err = mx_room_accept_batch(&batch, pstop, turn->server, *proom, line, n, turn->conn, turn->pool);
        if (err || !mx_room_accept_count(batch))
            return err;
        err = mx_room_accept_store(&outcome, proom, batch, NULL);
        if (!err && outcome == MX_ACCEPT_RETRY)
            err = mx_room_get(proom, turn->server, (*proom)->room_id, 1, turn->pool);
        if (!err && outcome != MX_ACCEPT_STORED)
            err = mx_room_turn_lost(proom, turn, *proom);
    }
    if (err || outcome != MX_ACCEPT_STORED)
        return err ? err : mx_room_turn_busy(turn->pool);
    settle_taken(line, n);
    *pmoved = 1;
    return NULL;
}

/** Up to MX_ROOM_BATCH_MAX events: chains, and what stands between them one by one. */
static const mx_error_t *accept_some(mx_server_t *server, const char *room_id, mx_room_incoming_t **line, int n, apr_pool_t *pool)
{
    mx_room_incoming_t *stop = line[0];
    mx_room_t *room;
    int moved = 0;
    const mx_error_t *err = mx_room_cache_get_any(&room, server, room_id, pool);
    while (!err && stop) {
        mx_room_turn_t turn = { .server = server, .pool = pool };
        err = store_chain(&stop, &moved, &room, &turn, line, n);
        mx_room_turn_end(&turn);
        if (err || !stop)
            break;
        err = mx_room_accept_one_rounds(stop->out, &room, server, stop->event, pool);
        stop->settled = !err;
    }
    if (moved)
        mx_server_stream_moved(server);
    return err;
}

/* ---- the calls ---- */

static const mx_error_t *accept_line(mx_server_t *server, const char *room_id, mx_room_incoming_t **line, int n, apr_pool_t *pool)
{
    const mx_error_t *err = NULL, *aside;
    int from;
    for (from = 0; !err && from < n; from += MX_ROOM_BATCH_MAX) {
        mx_room_place_t *place;
        err = mx_room_send_enter(&place, server, room_id, pool);
        if (err)
            break;
        err = accept_some(server, room_id, line + from, n - from < MX_ROOM_BATCH_MAX ? n - from : MX_ROOM_BATCH_MAX, pool);
        mx_room_send_leave(place);
    }
    aside = err ? NULL : mx_room_heads_bound(server, room_id, MX_ROOM_HEADS_MAX, pool);
    if (aside)     /* what came is stored; the task of room/heads.c comes back to it */
        mx_log(server->log, MX_LOG_DEBUG, aside->rv, "the heads of %s stay apart: %s", room_id, aside->message);
    return err;
}

/** The second one of an id has become what the first one did, unless that has made it known. */
static void copy_outcome(mx_room_incoming_t *in)
{
    *in->out = *in->same->out;
    if (in->out->outcome == MX_PDU_WAITS)
        return;
    in->out->outcome = MX_PDU_KNOWN;
    in->out->why = NULL;
}

const mx_error_t *mx_room_accept_pdus(mx_room_pdu_t *out, mx_server_t *server, const char *room_id, const mx_slice_t *texts, int n,
                                      mx_room_key_fn *key, void *baton, apr_pool_t *pool)
{
    mx_room_incoming_t *all = apr_pcalloc(pool, sizeof(*all) * (apr_size_t)(n + 1));
    mx_room_incoming_t **line = apr_palloc(pool, sizeof(mx_room_incoming_t *) * (apr_size_t)(n + 1));
    apr_hash_t *seen = apr_hash_make(pool);
    mx_room_t *room;
    int i, nline = 0;
    const mx_error_t *err = mx_room_get(&room, server, room_id, 0, pool);
    if (!err && !room->snap_nid)     /* without a state: a room that we tried to come into, and did not */
        err = mx_error_make(pool, MX_E_NOT_FOUND, "There is no such room.");
    for (i = 0; !err && i < n; i++) {
        all[i].out = &out[i];
        err = prepare(&all[i], seen, server, room, texts[i], key, baton, pool);
    }
    for (i = 0; !err && i < n; i++) {
        if (!all[i].settled && all[i].place == MX_INCOMING_NEW)
            put_in_line(line, &nline, &all[i], seen, pool);
    }
    if (!err)
        err = accept_line(server, room->room_id, line, nline, pool);
    for (i = 0; !err && i < n; i++) {
        if (all[i].same)
            copy_outcome(&all[i]);
    }
    return err;
}

const mx_error_t *mx_room_accept_pdu(mx_room_pdu_t *out, mx_server_t *server, const char *room_id, mx_slice_t text, mx_room_key_fn *key,
                                     void *baton, apr_pool_t *pool)
{
    return mx_room_accept_pdus(out, server, room_id, &text, 1, key, baton, pool);
}
