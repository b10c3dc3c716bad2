/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What an event of another server makes of the room: the forward extremities, and the state that the room is in then.
 * SS-API: PDUs, room state resolution.
 */
#include "room/accept_pdu_private.h"
#include "room/accept_private.h"
#include "room/marks.h"

#include "core/ident.h"
#include "room/resolve.h"
#include "store/event_id.h"

#define MEMBER_TYPE "m.room.member"
#define BEHIND_MAX 200               /* events that are looked through for heads behind them */

/* ---- the room afterwards ---- */

typedef struct forked_t {
    mx_room_receiving_t *r;
    mx_persist_batch_t *batch;
    mx_persist_event_t *row;
    mx_ref_t after;                  /* snapshot after the event */
    apr_int64_t *others; int nothers;    /* heads that stay beside it */
} forked_t;

/** What the event follows: its previous events and, where those were rejected or soft-failed, what is behind them. */
typedef struct behind_t {
    const char *ids[BEHIND_MAX];
    int n, walked;                   /* walked: those whose rows have been looked at */
} behind_t;

static void add_behind(behind_t *b, const char *const *ids, int n)
{
    int i, k;
    for (i = 0; i < n && b->n < BEHIND_MAX; i++) {
        for (k = 0; k < b->n && strcmp(b->ids[k], ids[i]) != 0; k++)
            ;
        if (k == b->n)
            b->ids[b->n++] = ids[i];
    }
}

static const mx_error_t *walk_behind(behind_t *b, forked_t *f, const mx_event_row_t *rows, int n)
{
    mx_room_receiving_t *r = f->r;
    const mx_error_t *err = NULL;
    int i;
    for (i = 0; !err && i < n; i++) {
        mx_event_t *event;
        if (!(rows[i].flags & (MX_EVENT_FLAG_REJECTED | MX_EVENT_FLAG_SOFT_FAILED)))
            continue;
        err = mx_event_parse(&event, r->room->version, rows[i].pdu, mx_store_event_id_unpack(rows[i].id, r->pool), r->pool);
        if (!err)
            add_behind(b, event->prev_events, event->nprev);
    }
    return err;
}

/** Rejected and soft-failed events are no heads, so the heads that they followed would stay for ever; one query a step back. */
static const mx_error_t *find_behind(behind_t *b, forked_t *f)
{
    mx_room_receiving_t *r = f->r;
    const mx_error_t *err;
    mx_event_row_t *rows;
    int n;
    b->n = b->walked = 0;
    add_behind(b, r->event->prev_events, r->event->nprev);
    b->walked = b->n;
    err = walk_behind(b, f, r->prevs, r->nprevs);
    while (!err && b->walked < b->n) {
        apr_status_t rv = mx_store_event_by_ids(&rows, &n, r->server->store, b->ids + b->walked, b->n - b->walked, r->pool);
        if (rv != APR_SUCCESS)
            return mx_server_store_error(rv, "reading what is behind an event", r->pool);
        b->walked = b->n;
        err = walk_behind(b, f, rows, n);
    }
    return err;
}

static int is_behind(const behind_t *b, mx_slice_t id, apr_pool_t *pool)
{
    int i;
    for (i = 0; i < b->n; i++) {
        if (mx_slice_eq(mx_store_event_id_pack(b->ids[i], pool), id))
            return 1;
    }
    return 0;
}

/** The event becomes a head; those that it follows are none any more. */
static const mx_error_t *set_heads(forked_t *f)
{
    behind_t behind;
    const struct mx_room_private_t *priv = f->r->room->priv;
    mx_persist_batch_t *b = f->batch;
    int i, accepted = !(f->row->flags & (MX_EVENT_FLAG_REJECTED | MX_EVENT_FLAG_SOFT_FAILED));
    const mx_error_t *err = accepted ? find_behind(&behind, f) : NULL;
    if (err)
        return err;
    b->heads = apr_palloc(f->r->pool, sizeof(*b->heads) * (apr_size_t)(priv->nheads + 1));
    b->head_ids = apr_palloc(f->r->pool, sizeof(*b->head_ids) * (apr_size_t)(priv->nheads + 1));
    if (accepted) {
        b->heads[b->nheads] = -1;
        b->head_ids[b->nheads++] = f->row->id;
    }
    for (i = 0; i < priv->nheads; i++) {
        if (accepted && is_behind(&behind, priv->head_ids[i], f->r->pool))
            continue;
        b->heads[b->nheads] = priv->heads[i];
        b->head_ids[b->nheads++] = priv->head_ids[i];
    }
    f->others = b->heads + (accepted ? 1 : 0);
    f->nothers = b->nheads - (accepted ? 1 : 0);
    b->depth = accepted && f->row->depth > priv->depth ? f->row->depth : priv->depth;
    b->snap = f->r->room->snap_nid;
    return NULL;
}

static mx_persist_snap_t *add_snap(forked_t *f, const mx_room_made_t *made)
{
    mx_persist_snap_t *snap = &f->batch->snaps[f->batch->nsnaps++];
    snap->pred = made->base;
    snap->skey_nid = made->changes[0].skey_nid;
    snap->event = made->changes[0].nid;
    snap->more = made->changes + 1;
    snap->nmore = made->n - 1;
    snap->size = made->size;
    snap->hash = made->hash;
    return snap;
}

/** The event where it stands for itself. MX_ROOM_RESOLVE_EXTRA is its reference as well: -1, the first of the batch. */
static apr_int64_t self(const forked_t *f)
{
    return f->r->outlier ? f->r->outlier : MX_ROOM_RESOLVE_EXTRA;
}

/** The snapshot after a state event; after an outlier, whose number other states may have, it is stored now. */
static const mx_error_t *add_after(forked_t *f)
{
    mx_state_item_t change = { f->row->skey_nid, self(f) };
    mx_room_made_t made = { .base = f->r->before, .changes = apr_pmemdup(f->r->pool, &change, sizeof(change)), .n = 1 };
    const mx_error_t *err;
    if (f->r->outlier) {
        mx_room_standing_t *standing = f->r->standing;
        err = standing->after ? NULL : mx_room_accept_store_state(&standing->after, f->r, made.base, made.changes, made.n);
        f->after = f->row->after = standing->after;
        return err;
    }
    err = mx_room_accept_measure(&made, f->r);
    if (err)
        return err;
    add_snap(f, &made);
    f->after = f->row->after = -f->batch->nsnaps;
    return NULL;
}

/** What the states after all heads resolve to. */
static const mx_error_t *resolve_heads(mx_room_resolved_t *out, forked_t *f)
{
    mx_room_receiving_t *r = f->r;
    mx_room_resolve_input_t *inputs = apr_pcalloc(r->pool, sizeof(*inputs) * (apr_size_t)(f->nothers + 1));
    apr_int64_t *snaps = apr_palloc(r->pool, sizeof(*snaps) * (apr_size_t)(f->nothers + 1));
    mx_event_row_t *rows;
    int i, n, nsnaps = 0;
    const mx_error_t *err = mx_room_accept_rows(&rows, &n, r, f->others, f->nothers);
    if (err)
        return err;
    inputs[0].snap = r->outlier && f->row->skey_nid ? f->after : r->before;
    if (f->row->skey_nid && !r->outlier) {
        inputs[0].extra = r->event;
        inputs[0].extra_skey_nid = f->row->skey_nid;
        inputs[0].extra_auth = r->auth_nids;
        inputs[0].nextra_auth = r->nauth;
    }
    for (i = 0; i < n; i++)
        mx_room_accept_add_distinct(snaps, &nsnaps, mx_room_accept_after_of(&rows[i]));
    for (i = 0; i < nsnaps; i++)
        inputs[i + 1].snap = snaps[i];
    return mx_room_resolve(out, r->server, r->room->nid, r->room->version, inputs, nsnaps + 1, r->pool);
}

/** The room's state becomes the resolved one. */
static const mx_error_t *set_resolved(mx_room_resolved_t *resolved, forked_t *f)
{
    mx_room_made_t made = { .base = resolved->base, .changes = resolved->changes, .n = resolved->n };
    const mx_error_t *err;
    f->batch->snap = resolved->base;
    if (!resolved->n)
        return NULL;
    err = mx_room_accept_measure(&made, f->r);
    if (err)
        return err;
    add_snap(f, &made);
    f->batch->snap = -f->batch->nsnaps;
    return NULL;
}

/* ---- mirrors of the current state ---- */

/** What turns the room's state until now into the resolved one, entries that stay as they are left out. */
static const mx_error_t *difference(mx_state_item_t **pitems, int *pn, apr_int64_t **pold, mx_room_receiving_t *r,
                                    const mx_room_resolved_t *resolved)
{
    mx_state_item_t *base, *all;
    const mx_error_t *err;
    apr_int64_t *old;
    int i, k = 0, n = 0, nbase = 0, kept = 0;
    apr_status_t rv = resolved->base == r->room->snap_nid ? APR_SUCCESS
        : mx_store_state_diff(&base, &nbase, r->server->store, r->room->snap_nid, resolved->base, r->pool);
    if (rv != APR_SUCCESS)
        return mx_server_store_error(rv, "comparing states", r->pool);
    all = apr_palloc(r->pool, sizeof(*all) * (apr_size_t)(nbase + resolved->n + 1));
    for (i = 0; i < nbase || k < resolved->n;) {      /* both are sorted; the later word is the resolution's */
        if (k < resolved->n && (i == nbase || resolved->changes[k].skey_nid <= base[i].skey_nid)) {
            i += i < nbase && base[i].skey_nid == resolved->changes[k].skey_nid;
            all[n++] = resolved->changes[k++];
        } else
            all[n++] = base[i++];
    }
    err = mx_room_accept_entries(&old, r, r->room->snap_nid, all, n);
    for (i = 0; !err && i < n; i++) {
        if (all[i].nid == old[i])
            continue;
        old[kept] = old[i];
        all[kept++] = all[i];
    }
    *pitems = all;
    *pold = old;
    *pn = kept;
    return err;
}

/** The member row of one changed entry; a membership that is no more is one who left. */
static const mx_error_t *add_member(forked_t *f, const mx_state_item_t *item, apr_int64_t old)
{
    mx_persist_member_t *member = &f->batch->members[f->batch->nmembers];
    mx_room_current_t current = { .event = f->r->event };
    const mx_error_t *err = item->nid == MX_ROOM_RESOLVE_EXTRA ? NULL : mx_room_accept_fill(&current, f->r, item->nid ? item->nid : old);
    apr_status_t rv;
    if (err || !current.event || !current.event->state_key || strcmp(current.event->type, MEMBER_TYPE) != 0
        || !mx_ident_is_user_id(current.event->state_key))
        return err;
    rv = mx_server_user_nid(&member->user_nid, f->r->server, current.event->state_key, f->r->pool);
    if (rv != APR_SUCCESS)
        return mx_server_store_error(rv, "interning a user id", f->r->pool);
    member->membership = MX_MEMBERSHIP_LEAVE;
    if (item->nid)
        member->membership = mx_membership_parse(mx_json_get_str(mx_event_content(current.event), "membership"));
    member->event = item->nid ? item->nid : old;
    member->since = -1;
    f->batch->nmembers++;
    return NULL;
}

static const mx_error_t *set_mirrors(forked_t *f, const mx_room_resolved_t *resolved)
{
    mx_persist_batch_t *b = f->batch;
    apr_int64_t *old = NULL;
    int i;
    const mx_error_t *err = difference(&b->current, &b->ncurrent, &old, f->r, resolved);
    if (!err)
        b->members = apr_pcalloc(f->r->pool, sizeof(*b->members) * (apr_size_t)(b->ncurrent + 1));
    for (i = 0; !err && i < b->ncurrent; i++)
        err = add_member(f, &b->current[i], old[i]);
    if (!err && b->ncurrent) {
        b->log_events = apr_palloc(f->r->pool, sizeof(*b->log_events));
        b->log_snaps = apr_palloc(f->r->pool, sizeof(*b->log_snaps));
        b->log_events[0] = -1;
        b->log_snaps[0] = b->snap;
        b->nlog = 1;
    }
    return err;
}

/** An accepted event: heads, snapshots, current state. */
static const mx_error_t *set_room(forked_t *f)
{
    mx_state_item_t *own = apr_palloc(f->r->pool, sizeof(*own));
    mx_room_resolved_t resolved = { .base = f->r->before, .changes = own, .n = f->row->skey_nid ? 1 : 0 };
    const mx_error_t *err = NULL;
    *own = (mx_state_item_t){ f->row->skey_nid, self(f) };
    if (f->nothers)
        err = resolve_heads(&resolved, f);
    if (!err && f->nothers)
        err = set_resolved(&resolved, f);
    else
        f->batch->snap = f->row->skey_nid ? f->after : f->r->before;
    return err ? err : set_mirrors(f, &resolved);
}

/* ---- the row ---- */

static const mx_error_t *fill_row(forked_t *f, int flags)
{
    mx_room_receiving_t *r = f->r;
    const mx_event_t *ev = r->event;
    mx_persist_event_t *row = f->row;
    mx_room_current_t replaced;
    const mx_error_t *err;
    apr_status_t rv = mx_server_user_nid(&row->sender_nid, r->server, ev->sender, r->pool);
    if (rv == APR_SUCCESS)
        rv = mx_server_type_nid(&row->type_nid, r->server, ev->type, r->pool);
    if (rv == APR_SUCCESS && ev->state_key)
        rv = mx_server_skey_nid(&row->skey_nid, r->server, ev->type, ev->state_key, r->pool);
    if (rv != APR_SUCCESS)
        return mx_server_store_error(rv, "interning what an event names", r->pool);
    row->id = mx_store_event_id_pack(ev->event_id, r->pool);
    row->pdu = ev->pdu;
    row->ts = ev->origin_server_ts;
    row->depth = ev->depth;
    row->flags = flags | mx_room_accept_flags(ev, r->server);
    row->sticky_until = mx_room_accept_sticky_until(ev, row->flags);
    row->before = r->before;
    memcpy(row->auth, r->auth_nids, sizeof(row->auth[0]) * (apr_size_t)r->nauth);
    row->nauth = r->nauth;
    if (!ev->state_key)
        return NULL;
    err = mx_room_accept_find(&replaced, r, r->before, ev->type, ev->state_key);
    if (!err)
        row->replaces = replaced.nid;
    return err;
}

/** What follows events before which others are missing begins after the gap, once it is shown. An outlier gets its place. */
static void set_gap(forked_t *f, int flags)
{
    int i;
    for (i = 0; i < f->r->nprevs && !(f->r->prevs[i].flags & MX_EVENT_FLAG_AFTER_GAP); i++)
        ;
    f->row->after_gap = !flags && i < f->r->nprevs;
    if (flags && i < f->r->nprevs)
        f->row->flags |= MX_EVENT_FLAG_AFTER_GAP;
    if (f->r->outlier)
        f->row->flags |= MX_EVENT_FLAG_OUTLIER;
}

/** What the event relates to and whom it concerns: of those in the timeline. */
static const mx_error_t *set_marks(mx_persist_batch_t *batch, mx_room_receiving_t *r)
{
    const mx_power_t *power = NULL;
    mx_store_mark_t *marks;
    const mx_error_t *err = mx_room_power(&power, r->server, r->room, r->pool);
    mx_room_marks_read(&marks, &batch->nmarks, &r->event, 1, power, r->pool);
    batch->marks = marks;
    return err;
}

const mx_error_t *mx_room_fork_batch(mx_persist_batch_t *batch, mx_room_receiving_t *r, int flags)
{
    forked_t f = { .r = r, .batch = batch, .row = apr_pcalloc(r->pool, sizeof(*f.row)) };
    const mx_error_t *err = fill_row(&f, flags);
    if (err)
        return err;
    batch->room_nid = r->room->nid;
    batch->ver = r->room->ver;
    batch->events = f.row;
    batch->nevents = 1;
    batch->snaps = apr_pcalloc(r->pool, sizeof(*batch->snaps) * 2);
    err = set_heads(&f);
    if (!err && f.row->skey_nid && !(flags & MX_EVENT_FLAG_REJECTED))
        err = add_after(&f);
    if (!err && !flags)
        err = set_room(&f);
    if (!err && !flags && r->event->redacts)
        err = mx_room_accept_redacts(batch, r);
    if (!err && !(flags & MX_EVENT_FLAG_REJECTED))
        err = mx_room_accept_redacted(batch, r);
    set_gap(&f, flags);
    if (!err && !flags && !batch->redacted_by)
        err = set_marks(batch, r);
    return err;
}
