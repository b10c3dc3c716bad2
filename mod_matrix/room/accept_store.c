/* SPDX-License-Identifier: Apache-2.0 */
/* Stores a batch of accepted events, hands out their ids, and makes the view of the room that follows. */
#include "room/accept_private.h"
#include "room/heads.h"
#include "room/marks.h"

#include "core/ident.h"
#include "core/sticky.h"
#include "store/event_id.h"

int mx_room_accept_flags(const mx_event_t *event, const mx_server_t *server)
{
    int flags = event->state_key ? MX_EVENT_FLAG_STATE : 0;
    if (mx_ident_is_local(event->sender, server->name))
        flags |= MX_EVENT_FLAG_LOCAL;
    if (mx_room_heads_is_dummy(event))
        flags |= MX_EVENT_FLAG_SILENT;
    if (mx_sticky_duration_of(event) > 0)
        flags |= MX_EVENT_FLAG_STICKY;
    return flags;
}

apr_int64_t mx_room_accept_sticky_until(const mx_event_t *event, int flags)
{
    apr_int64_t now_ms, from;
    if (!(flags & MX_EVENT_FLAG_STICKY) || flags & MX_EVENT_FLAG_REJECTED)
        return 0;
    now_ms = apr_time_as_msec(apr_time_now());
    from = event->origin_server_ts < now_ms ? event->origin_server_ts : now_ms;
    return from + mx_sticky_duration_of(event) > now_ms ? from + mx_sticky_duration_of(event) : 0;
}

const char *mx_room_accept_txn_scope(apr_int64_t room_nid, const char *scope, apr_pool_t *pool)
{
    return apr_psprintf(pool, "%" APR_INT64_T_FMT ":%s", room_nid, scope ? scope : "");
}

const mx_error_t *mx_room_accept_known(mx_room_accept_item_t *item, mx_server_t *server, const mx_room_t *room)
{
    const mx_room_draft_t *d = item->draft;
    mx_slice_t id;
    apr_status_t rv;
    if (!d->txn_id)
        return NULL;
    rv = mx_store_persist_known(&id, server->store, d->device_nid, d->txn_id,
                                mx_room_accept_txn_scope(room->nid, d->txn_scope, item->pool), item->pool);
    if (rv == MX_STORE_NONE)
        return NULL;
    if (rv != APR_SUCCESS)
        return mx_server_store_error(rv, "looking up a transaction id", item->pool);
    item->event_id = mx_store_event_id_unpack(id, item->pool);
    item->done = 1;
    return NULL;
}

/** The last event is the head; heads that it does not follow (there were more than an event may name) stay. */
static void set_heads(mx_room_accept_t *b)
{
    mx_persist_batch_t *rows = &b->rows;
    const struct mx_room_private_t *priv = b->room ? b->room->priv : NULL;
    int i, left = priv && priv->nheads > MX_EVENT_MAX_PREV ? priv->nheads - MX_EVENT_MAX_PREV : 0;
    rows->heads = apr_palloc(b->pool, sizeof(*rows->heads) * (apr_size_t)(left + 1));
    rows->head_ids = apr_palloc(b->pool, sizeof(*rows->head_ids) * (apr_size_t)(left + 1));
    rows->heads[0] = -rows->nevents;
    rows->head_ids[0] = rows->events[rows->nevents - 1].id;
    for (i = 0; i < left; i++) {
        rows->heads[i + 1] = priv->heads[MX_EVENT_MAX_PREV + i];
        rows->head_ids[i + 1] = priv->head_ids[MX_EVENT_MAX_PREV + i];
    }
    rows->nheads = left + 1;
    rows->depth = b->depth;
}

static int has_sticky(const mx_persist_batch_t *rows)
{
    int i;
    for (i = 0; i < rows->nevents && !(rows->events[i].flags & MX_EVENT_FLAG_STICKY); i++)
        ;
    return i < rows->nevents;
}

static apr_status_t persist(mx_persist_result_t **presult, mx_room_accept_t *b, mx_persist_begin_t *begin)
{
    mx_persist_batch_t *rows = &b->rows;
    mx_store_mark_t *marks;
    mx_room_marks_read(&marks, &rows->nmarks, b->events, rows->nevents, b->power, b->pool);
    rows->marks = marks;
    if (!begin && !b->changes && !rows->heads && !rows->turn && b->room->priv->nheads <= MX_EVENT_MAX_PREV && !has_sticky(rows))
        return rows->nmarks ? mx_store_persist_messages(presult, b->server->store, rows, b->pool)
                            : mx_room_group_store(presult, b->server, rows, b->pool);
    if (!rows->heads)
        set_heads(b);
    rows->snap = b->snap;
    if (begin) {
        begin->room_id = b->room_id;
        begin->version = b->version->number;
        begin->creator_nid = rows->events[0].sender_nid;
        begin->ts = rows->events[0].ts;
        rows->begin = begin;
    }
    return mx_store_persist_batch(presult, b->server->store, rows, b->pool);
}

/** The row of the room after what the database said. */
static mx_room_row_t row_of_result(const mx_room_accept_t *b, const mx_persist_result_t *r)
{
    mx_room_row_t row = {.nid = r->room_nid,
                         .ver = r->ver,
                         .snap_nid = r->snap_nid,
                         .depth = r->depth,
                         .room_id = b->room_id,
                         .version = b->version->number,
                         .joined = r->joined,
                         .invited = r->invited,
                         .heads = r->heads,
                         .head_ids = r->head_ids,
                         .nheads = r->nheads,
                         .state_redacted = r->state_redacted,
                         .published = b->room ? b->room->published : b->rows.begin && b->rows.begin->published,
                         .snap_size = b->snap_size,
                         .snap_hash = b->snap_hash};
    int i;
    for (i = 0; i < r->nheads; i++) {
        if (r->heads[i] > row.last_stream)
            row.last_stream = r->heads[i];
    }
    return row;
}

/** What is known of the state after the batch. */
static mx_room_known_t *known_after(const mx_room_accept_t *b, const mx_persist_result_t *r)
{
    mx_room_change_t *changes;
    int i;
    if (!b->nchanges)
        return mx_room_known_ref(b->room->priv->known);
    changes = apr_palloc(b->pool, sizeof(*changes) * (apr_size_t)b->nchanges);
    for (i = 0; i < b->nchanges; i++) {
        const mx_event_t *ev = b->changes[i].event;
        changes[i] = (mx_room_change_t){ ev->type, ev->state_key, b->changes[i].skey_nid,
                                           r->nids[-b->changes[i].ref - 1], ev };
    }
    return mx_room_known_next(b->room ? b->room->priv->known : NULL, b->version, r->snap_nid, changes, b->nchanges);
}

static void hand_out(mx_room_accept_t *b)
{
    int i;
    for (i = 0; i < b->rows.nevents; i++) {
        b->items[i]->event_id = b->events[i]->event_id;
        b->items[i]->done = 1;
    }
}

/** A state event was redacted: what is known of the state is worn. What cannot be read now is read by whoever comes next. */
static void forget_state(mx_room_t **proom, mx_room_accept_t *b)
{
    if (mx_room_cache_reload(proom, b->server, b->room, b->pool) != NULL)
        mx_cache_remove(b->server->room->views, &b->room->nid, sizeof(b->room->nid));
}

static void stored(mx_room_t **proom, mx_room_accept_t *b, const mx_persist_result_t *r)
{
    mx_room_row_t row;
    hand_out(b);
    if (b->room && r->state_redacted != b->room->priv->state_redacted) {
        *proom = b->room;
        forget_state(proom, b);
        return;
    }
    row = row_of_result(b, r);
    row.last_stream = r->nids[r->nnids - 1];
    *proom = mx_room_cache_publish(b->server, &row, known_after(b, r), b->pool);
}

/** Another child was faster. If the state is the one we know, the database's answer is all that a new view takes. */
static const mx_error_t *moved(mx_room_t **proom, mx_room_accept_t *b, const mx_persist_result_t *r)
{
    const struct mx_room_private_t *priv = b->room->priv;
    mx_room_row_t row;
    if (r->snap_nid != b->room->snap_nid || r->state_redacted != priv->state_redacted)
        return mx_room_cache_reload(proom, b->server, b->room, b->pool);
    row = row_of_result(b, r);
    row.snap_size = priv->snap_size;
    row.snap_hash = priv->snap_hash;
    *proom = mx_room_cache_publish(b->server, &row, mx_room_known_ref(priv->known), b->pool);
    return NULL;
}

static void known(mx_room_accept_t *b, const mx_persist_result_t *r)
{
    int i;
    for (i = 0; i < r->nknown; i++) {
        mx_room_accept_item_t *item = b->items[r->known_at[i] - 1];
        item->event_id = mx_store_event_id_unpack(r->known_ids[i], item->pool);
        item->done = 1;
    }
}

const mx_error_t *mx_room_accept_store(mx_room_accept_outcome_e *poutcome, mx_room_t **proom, mx_room_accept_t *batch,
                                  mx_persist_begin_t *begin)
{
    mx_persist_result_t *r;
    const mx_error_t *err = NULL;
    apr_status_t rv = persist(&r, batch, begin);
    if (rv == MX_STORE_DUPLICATE && begin && begin->alias)
        return mx_error_make(batch->pool, MX_E_ROOM_IN_USE, "The alias %s is taken.", begin->alias);
    if (rv == MX_STORE_DUPLICATE || rv == MX_STORE_RETRY) {
        *poutcome = MX_ACCEPT_RETRY;
        return NULL;
    }
    if (rv != APR_SUCCESS)
        return mx_server_store_error(rv, "storing events", batch->pool);
    switch (r->status) {
    case MX_PERSIST_STORED:
        stored(proom, batch, r);
        *poutcome = MX_ACCEPT_STORED;
        break;
    case MX_PERSIST_CONFLICT:
        err = moved(proom, batch, r);
        *poutcome = MX_ACCEPT_MOVED;
        break;
    case MX_PERSIST_KNOWN_TXN:
        known(batch, r);
        *proom = batch->room;
        *poutcome = MX_ACCEPT_KNOWN;
        break;
    case MX_PERSIST_ALIAS_TAKEN:
        err = mx_error_make(batch->pool, MX_E_ROOM_IN_USE, "The alias %s is taken.", begin->alias);
        break;
    default:
        err = mx_error_make(batch->pool, MX_E_NOT_FOUND, "There is no such room.");
        break;
    }
    return err;
}
