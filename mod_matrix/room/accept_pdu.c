/* SPDX-License-Identifier: Apache-2.0 */
/* The checks on a PDU of another server in their order, and storing it. SS-API: checks performed on receipt of a PDU. */
#include "room/accept_pdu_private.h"

#include "core/event_sign.h"
#include "core/ident.h"
#include "room/outlier.h"
#include "room/send_turn.h"
#include "room/sticky.h"
#include "store/event_id.h"

/* ---- what needs no room ---- */

static int signed_by(const mx_event_t *event, const char *server, mx_room_key_fn *key, void *baton, apr_pool_t *pool)
{
    const char **key_ids;
    int i, n = mx_event_signature_keys(&key_ids, event, server, pool);
    for (i = 0; i < n; i++) {
        unsigned char public_key[MX_ED25519_PUBLIC_BYTES];
        if (key(public_key, baton, server, key_ids[i], event->origin_server_ts, event->version->enforce_key_validity)
            && mx_event_verify(event, server, key_ids[i], public_key))
            return 1;
    }
    return 0;
}

static const mx_error_t *check_signatures(const mx_event_t *event, mx_room_key_fn *key, void *baton, apr_pool_t *pool)
{
    const char *servers[MX_EVENT_SIGNERS_MAX];
    int i, n = mx_event_signers(servers, event);
    for (i = 0; i < n; i++) {
        if (!signed_by(event, servers[i], key, baton, pool))
            return mx_error_make(pool, MX_E_UNAUTHORIZED, "The event carries no good signature of %s.", servers[i]);
    }
    return NULL;
}

/** SS-API: an event whose content hash does not match is processed in its redacted form. */
static const mx_error_t *hash_or_redact(mx_event_t **pevent, apr_pool_t *pool)
{
    const mx_event_t *event = *pevent;
    if (mx_event_content_hash_ok(event))
        return NULL;
    return mx_event_parse(pevent, event->version, mx_event_redact(event->version, event->pdu, pool), event->event_id, pool);
}

const mx_error_t *mx_room_accept_pdu_alone(mx_event_t **pevent, const mx_room_version_t *version, const char *room_id, mx_slice_t text,
                                           mx_room_key_fn *key, void *baton, apr_pool_t *pool)
{
    mx_event_t *event;
    const mx_error_t *err = mx_event_parse_foreign(&event, version, text, pool);
    if (err)
        return err;
    *pevent = event;
    if (strcmp(event->room_id, room_id) != 0)
        return mx_error_make(pool, MX_E_INVALID_PARAM, "The event is of another room.");
    err = key ? check_signatures(event, key, baton, pool) : NULL;
    return err ? err : hash_or_redact(pevent, pool);
}

/* ---- what it stands on ---- */

static const mx_event_row_t *row_of(const mx_event_row_t *rows, int n, const char *event_id, apr_pool_t *pool)
{
    mx_slice_t id = mx_store_event_id_pack(event_id, pool);
    int i;
    for (i = 0; i < n; i++) {
        if (mx_slice_eq(rows[i].id, id))
            return &rows[i];
    }
    return NULL;
}

static void miss(mx_room_pdu_t *out, const mx_room_receiving_t *r, const char *event_id)
{
    if (!out->missing)
        out->missing = apr_palloc(r->pool, sizeof(*out->missing) * (MX_EVENT_MAX_PREV + MX_EVENT_MAX_AUTH));
    out->missing[out->nmissing++] = event_id;
    out->outcome = MX_PDU_WAITS;
}

static const mx_error_t *add_auth(mx_room_receiving_t *r, const mx_event_row_t *row)
{
    mx_event_t *event = NULL;
    const mx_error_t *err = NULL;
    if (!(row->flags & MX_EVENT_FLAG_REJECTED))
        err = mx_event_parse(&event, r->event->version, row->pdu, mx_store_event_id_unpack(row->id, r->pool), r->pool);
    r->auth[r->nauth] = event;
    r->auth_nids[r->nauth++] = row->nid;
    return err;
}

/** Reads prev_events and auth_events by one query. An outlier has no state, so it is no event to follow. */
static const mx_error_t *read_ground(mx_room_pdu_t *out, mx_room_receiving_t *r)
{
    const mx_event_t *ev = r->event;
    const char *ids[MX_EVENT_MAX_PREV + MX_EVENT_MAX_AUTH];
    const mx_error_t *err = NULL;
    mx_event_row_t *rows;
    int i, n;
    apr_status_t rv;
    for (i = 0; i < ev->nprev + ev->nauth; i++)
        ids[i] = i < ev->nprev ? ev->prev_events[i] : ev->auth_events[i - ev->nprev];
    rv = mx_store_event_by_ids(&rows, &n, r->server->store, ids, ev->nprev + ev->nauth, r->pool);
    if (rv != APR_SUCCESS)
        return mx_server_store_error(rv, "reading what an event stands on", r->pool);
    r->prevs = apr_palloc(r->pool, sizeof(*r->prevs) * (apr_size_t)(ev->nprev + 1));
    for (i = 0; !err && i < ev->nprev + ev->nauth; i++) {
        const mx_event_row_t *row = row_of(rows, n, ids[i], r->pool);
        if (!row || row->room_nid != r->room->nid || (i < ev->nprev && (row->flags & MX_EVENT_FLAG_OUTLIER)))
            miss(out, r, ids[i]);
        else if (i < ev->nprev)
            r->prevs[r->nprevs++] = *row;
        else
            err = add_auth(r, row);
    }
    return err;
}

/* ---- authorisation ---- */

typedef struct asked_t {
    mx_room_receiving_t *r;
    apr_int64_t snap;
} asked_t;

static const mx_event_t *state_get(void *baton, const char *type, const char *state_key)
{
    asked_t *asked = baton;
    mx_room_current_t found;
    const mx_error_t *err = mx_room_accept_find(&found, asked->r, asked->snap, type, state_key);
    if (!err)
        return found.event;
    asked->r->err = err;
    return NULL;
}

/** By the listed events; from version 12 on the create event is not listed, the room's id names it. */
static const mx_event_t *own_get(void *baton, const char *type, const char *state_key)
{
    asked_t *asked = baton;
    int i;
    for (i = 0; i < asked->r->nauth; i++) {
        if (asked->r->auth[i] && mx_event_is(asked->r->auth[i], type, state_key))
            return asked->r->auth[i];
    }
    if (asked->r->room->version->room_id_is_create_hash && mx_event_type_is(type, MX_TYPE_CREATE))
        return state_get(baton, type, state_key);
    return NULL;
}

/** *pwhy: the rule that refused it, NULL if none did. */
static const mx_error_t *ask(const mx_error_t **pwhy, mx_room_receiving_t *r, apr_int64_t snap,
                             const mx_event_t *(*get)(void *baton, const char *type, const char *state_key))
{
    asked_t asked = { r, snap };
    mx_auth_state_t state = { get, &asked, NULL };
    r->err = NULL;
    *pwhy = mx_auth_check(r->event, &state, r->pool);
    return r->err;
}

static const mx_error_t *authorise(mx_room_pdu_t *out, mx_room_receiving_t *r)
{
    const mx_error_t *err = NULL;
    out->outcome = MX_PDU_REJECTED;
    out->why = mx_auth_check_list(r->event, r->auth, r->nauth, r->pool);
    if (!out->why)
        err = ask(&out->why, r, r->room->snap_nid, own_get);
    if (!err && !out->why)
        err = ask(&out->why, r, r->before, state_get);
    if (err || out->why)
        return err;
    out->outcome = MX_PDU_SOFT_FAILED;
    if (r->before != r->room->snap_nid)
        err = ask(&out->why, r, r->room->snap_nid, state_get);
    if (!err && !out->why)
        out->outcome = MX_PDU_STORED;
    return err;
}

/* ---- storing ---- */

/** *pagain: the room moved on meanwhile, or the event came another way. */
static const mx_error_t *store(int *pagain, mx_room_receiving_t *r, mx_room_pdu_outcome_e outcome)
{
    int flags = outcome == MX_PDU_REJECTED ? MX_EVENT_FLAG_REJECTED : outcome == MX_PDU_SOFT_FAILED ? MX_EVENT_FLAG_SOFT_FAILED : 0;
    mx_persist_batch_t batch = { 0 };
    mx_persist_result_t *result;
    mx_room_t *next;
    apr_status_t rv;
    const mx_error_t *err = mx_room_fork_batch(&batch, r, flags);
    if (err)
        return err;
    batch.turn = r->turn;
    rv = mx_store_persist_batch(&result, r->server->store, &batch, r->pool);
    *pagain = rv == MX_STORE_DUPLICATE || rv == MX_STORE_RETRY || (rv == APR_SUCCESS && result->status == MX_PERSIST_CONFLICT);
    if (*pagain)
        return NULL;
    if (rv != APR_SUCCESS || result->status != MX_PERSIST_STORED)
        return mx_server_store_error(rv != APR_SUCCESS ? rv : MX_STORE_NONE, "storing an event of another server", r->pool);
    if (r->outlier && outcome == MX_PDU_REJECTED)
        mx_room_outlier_rejected(r->server, r->room->nid);
    /* It is stored; a view that cannot be read now is read by whoever comes next. */
    if (mx_room_cache_reload(&next, r->server, r->room, r->pool) != NULL)
        mx_cache_remove(r->server->room->views, &r->room->nid, sizeof(r->room->nid));
    if (outcome == MX_PDU_SOFT_FAILED && batch.events[0].sticky_until)
        mx_room_sticky_failed(r->server);
    mx_server_stream_moved(r->server);
    return NULL;
}

static const mx_error_t *is_known(int *pknown, mx_room_receiving_t *r)
{
    mx_event_row_t *row;
    apr_status_t rv = mx_store_event_by_id(&row, r->server->store, r->event->event_id, r->pool);
    *pknown = rv == APR_SUCCESS;
    r->outlier = rv == APR_SUCCESS && (row->flags & MX_EVENT_FLAG_OUTLIER) && row->room_nid == r->room->nid ? row->nid : 0;
    if (r->outlier)
        *pknown = 0;
    return rv == APR_SUCCESS || rv == MX_STORE_NONE ? NULL : mx_server_store_error(rv, "looking an event up", r->pool);
}

/** Fills r->before. *pagain: a state that was read is gone by now, or (in a turn) one is to be stored that was not known to be. */
static const mx_error_t *stand(int *pagain, mx_room_receiving_t *r)
{
    mx_room_standing_t *standing = r->standing;
    const mx_error_t *err = NULL;
    if (r->turn && r->outlier && r->event->state_key && !standing->after)      /* it has become one since */
        standing->known = 0;
    if (r->turn && !standing->known) {
        *pagain = 1;
        return NULL;
    }
    if (standing->known)
        r->before = standing->before;
    else
        err = mx_room_accept_before(r);
    if (err && err->rv == MX_STORE_RETRY) {
        *pagain = 1;
        return NULL;
    }
    standing->known = !err;
    standing->before = r->before;
    return err;
}

/** One attempt on the room as it is known. */
static const mx_error_t *receive(int *pagain, mx_room_pdu_t *out, mx_room_receiving_t *r)
{
    int known;
    const mx_error_t *err = is_known(&known, r);
    *pagain = 0;
    out->outcome = MX_PDU_KNOWN;
    out->why = NULL;
    out->missing = NULL;
    out->nmissing = 0;
    if (err || known)
        return err;
    err = read_ground(out, r);
    if (err || out->nmissing)
        return err;
    err = stand(pagain, r);
    if (!err && !*pagain)
        err = authorise(out, r);
    return err || *pagain ? err : store(pagain, r, out->outcome);
}

const mx_error_t *mx_room_accept_one(int *pagain, mx_room_pdu_t *out, mx_server_t *server, mx_room_t *room, const mx_event_t *event,
                                     mx_room_standing_t *standing, mx_conn_t *turn, apr_pool_t *pool)
{
    mx_room_receiving_t r = { .server = server, .room = room, .event = event, .standing = standing, .turn = turn, .pool = pool };
    return receive(pagain, out, &r);
}

/**
 * An attempt was lost. What it stood on may be what failed, so that is found anew if the room has not moved; and if a redaction may have
 * changed what states resolve to.
 */
static const mx_error_t *lose(mx_room_t **proom, mx_room_turn_t *turn, mx_room_standing_t *standing)
{
    apr_int64_t ver = (*proom)->ver, state_redacted = (*proom)->priv->state_redacted;
    const mx_error_t *err = mx_room_get(proom, turn->server, (*proom)->room_id, 1, turn->pool);
    if (!err && ((*proom)->ver == ver || (*proom)->priv->state_redacted != state_redacted))
        memset(standing, 0, sizeof(*standing));
    return err ? err : mx_room_turn_lost(proom, turn, *proom);
}

const mx_error_t *mx_room_accept_one_rounds(mx_room_pdu_t *out, mx_room_t **proom, mx_server_t *server, const mx_event_t *event,
                                            apr_pool_t *pool)
{
    mx_room_turn_t turn = { .server = server, .pool = pool };
    mx_room_standing_t standing = { 0 };
    const mx_error_t *err = NULL;
    int again = 1;
    while (!err && again && mx_room_turn_next(&turn)) {
        if (!standing.known)
            mx_room_turn_give_back(&turn);
        err = mx_room_accept_one(&again, out, server, *proom, event, &standing, turn.conn, pool);
        if (!err && again)
            err = lose(proom, &turn, &standing);
    }
    mx_room_turn_end(&turn);
    if (err)
        return err;
    return again ? mx_room_turn_busy(pool) : mx_room_cache_get_any(proom, server, (*proom)->room_id, pool);
}
