/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What an event of another server stands on and what it makes of the room: the state before it, the forward extremities, and
 * the state that the room is in then. SS-API: PDUs, room state resolution.
 */
#include "room/accept_pdu_private.h"
#include "room/marks.h"

#include "core/ident.h"
#include "room/resolve.h"
#include "store/event_id.h"

#include <stdlib.h>

#define MEMBER_TYPE "m.room.member"

/** Snapshot after a stored event; a rejected one changes nothing. */
static apr_int64_t after_of(const mx_event_row_t *row)
{
    return row->skey_nid && row->snap_after && !(row->flags & MX_EVENT_FLAG_REJECTED) ? row->snap_after : row->snap_nid;
}

static void add_distinct(apr_int64_t *nids, int *pn, apr_int64_t nid)
{
    int i;
    for (i = 0; i < *pn && nids[i] != nid; i++)
        ;
    nids[i] = nid;
    if (i == *pn)
        (*pn)++;
}

static int nid_cmp(const void *a, const void *b)
{
    apr_int64_t x = *(const apr_int64_t *)a, y = *(const apr_int64_t *)b;
    return x < y ? -1 : x > y;
}

/* ---- reading states ---- */

static const mx_error_t *read_rows(mx_event_row_t **prows, int *pn, mx_room_receiving_t *r, const apr_int64_t *nids, int n)
{
    apr_status_t rv = mx_store_event_by_nids(prows, pn, r->server->store, nids, n, r->pool);
    return rv == APR_SUCCESS ? NULL : mx_server_store_error(rv, "reading events by number", r->pool);
}

static const mx_error_t *fill(mx_room_current_t *out, mx_room_receiving_t *r, apr_int64_t nid)
{
    mx_event_row_t *row;
    int n;
    const mx_error_t *err = read_rows(&row, &n, r, &nid, 1);
    if (!err && n != 1)
        err = mx_error_internal(r->pool, MX_STORE_NONE, "a state names an event that is not there");
    if (!err)
        mx_room_known_fill(out, r->room->version, nid, row->pdu, mx_store_event_id_unpack(row->id, r->pool), r->pool);
    return err;
}

const mx_error_t *mx_room_fork_find(mx_room_current_t *out, mx_room_receiving_t *r, apr_int64_t snap_nid, const char *type,
                                    const char *state_key)
{
    apr_int64_t skey_nid;
    mx_state_hit_t *hits;
    int n;
    apr_status_t rv;
    memset(out, 0, sizeof(*out));
    if (snap_nid == r->room->snap_nid)
        return mx_room_state_find(out, r->server, r->room, type, state_key, r->pool);
    rv = mx_server_skey_nid_find(&skey_nid, r->server, type, state_key, r->pool);
    if (rv == MX_STORE_NONE)
        return NULL;
    if (rv == APR_SUCCESS)
        rv = mx_store_state_entries(&hits, &n, r->server->store, &snap_nid, 1, &skey_nid, 1, r->pool);
    if (rv != APR_SUCCESS)
        return mx_server_store_error(rv, "reading a state", r->pool);
    return n ? fill(out, r, hits[0].nid) : NULL;
}

/* ---- measuring states ---- */

/** A state that is `base` with changes; nid MX_ROOM_RESOLVE_EXTRA is the event that is being stored. */
typedef struct made_t {
    apr_int64_t base;
    const mx_state_item_t *changes; int n;
    int size;
    mx_state_hash_t hash;
} made_t;

static mx_slice_t id_of(const mx_room_receiving_t *r, apr_int64_t nid, const mx_event_row_t *rows, int n)
{
    int i;
    if (nid == MX_ROOM_RESOLVE_EXTRA)
        return mx_store_event_id_pack(r->event->event_id, r->pool);
    for (i = 0; i < n && rows[i].nid != nid; i++)
        ;
    return i < n ? rows[i].id : MX_SLICE_NONE;
}

/** What the state has for the keys of the changes: out[i], 0 for none. */
static const mx_error_t *old_entries(apr_int64_t **pout, mx_room_receiving_t *r, apr_int64_t snap_nid,
                                     const mx_state_item_t *changes, int n)
{
    apr_int64_t *skeys = apr_palloc(r->pool, sizeof(*skeys) * (apr_size_t)(n + 1));
    apr_int64_t *out = apr_pcalloc(r->pool, sizeof(*out) * (apr_size_t)(n + 1));
    mx_state_hit_t *hits;
    int i, k, nhits = 0;
    apr_status_t rv;
    for (i = 0; i < n; i++)
        skeys[i] = changes[i].skey_nid;
    rv = n && snap_nid ? mx_store_state_entries(&hits, &nhits, r->server->store, &snap_nid, 1, skeys, n, r->pool) : APR_SUCCESS;
    if (rv != APR_SUCCESS)
        return mx_server_store_error(rv, "reading a state", r->pool);
    for (k = 0; k < nhits; k++) {
        for (i = 0; i < n && skeys[i] != hits[k].skey_nid; i++)
            ;
        out[i] = hits[k].nid;
    }
    *pout = out;
    return NULL;
}

/** Fills size and hash from those of the base. */
static const mx_error_t *measure(made_t *made, mx_room_receiving_t *r)
{
    const unsigned char *key;
    apr_int64_t *old, *nids = apr_palloc(r->pool, sizeof(*nids) * (apr_size_t)(2 * made->n + 1));
    mx_event_row_t *rows;
    int i, n = 0, nrows = 0;
    apr_status_t rv = made->base ? mx_store_state_measure(&made->size, &made->hash, r->server->store, made->base, r->pool) : APR_SUCCESS;
    const mx_error_t *err = rv != APR_SUCCESS ? mx_server_store_error(rv, "reading a state", r->pool)
                                              : mx_room_state_hash_key(&key, r->server, r->pool);
    if (!err)
        err = old_entries(&old, r, made->base, made->changes, made->n);
    for (i = 0; !err && i < made->n; i++) {
        if (old[i])
            nids[n++] = old[i];
        if (made->changes[i].nid > 0)
            nids[n++] = made->changes[i].nid;
    }
    if (!err)
        err = read_rows(&rows, &nrows, r, nids, n);
    for (i = 0; !err && i < made->n; i++) {
        mx_slice_t new_id = made->changes[i].nid ? id_of(r, made->changes[i].nid, rows, nrows) : MX_SLICE_NONE;
        mx_store_state_hash_change(&made->hash, key, made->changes[i].skey_nid, old[i] ? id_of(r, old[i], rows, nrows) : MX_SLICE_NONE,
                                   new_id, r->pool);
        made->size += (made->changes[i].nid != 0) - (old[i] != 0);
    }
    return err;
}

/* ---- the state before ---- */

static const mx_error_t *store_resolved(mx_room_receiving_t *r, const mx_room_resolved_t *resolved)
{
    made_t made = { .base = resolved->base, .changes = resolved->changes, .n = resolved->n };
    const mx_error_t *err = measure(&made, r);
    apr_status_t rv;
    if (err)
        return err;
    rv = mx_store_state_add(&r->before, r->server->store, r->room->nid, made.base, made.changes, made.n, made.size, &made.hash, r->pool);
    return rv == APR_SUCCESS ? NULL : mx_server_store_error(rv, "storing a resolved state", r->pool);
}

const mx_error_t *mx_room_fork_before(mx_room_receiving_t *r)
{
    mx_room_resolve_input_t inputs[MX_EVENT_MAX_PREV] = { { 0 } };
    apr_int64_t snaps[MX_EVENT_MAX_PREV];
    mx_room_resolved_t resolved;
    const mx_error_t *err;
    int i, n = 0;
    for (i = 0; i < r->nprevs; i++)
        add_distinct(snaps, &n, after_of(&r->prevs[i]));
    r->before = n ? snaps[0] : 0;
    if (n < 2)
        return NULL;
    qsort(snaps, (size_t)n, sizeof(*snaps), nid_cmp);
    for (i = 0; i < n; i++)
        inputs[i].snap = snaps[i];
    err = mx_room_resolve(&resolved, r->server, r->room->nid, r->room->version, inputs, n, r->pool);
    if (err)
        return err;
    r->before = resolved.base;
    if (resolved.n)
        err = store_resolved(r, &resolved);
    if (!err)
        mx_room_resolve_remember(r->server, r->room->nid, snaps, n, r->before, r->pool);
    return err;
}

/* ---- the room afterwards ---- */

typedef struct forked_t {
    mx_room_receiving_t *r;
    mx_persist_batch_t *batch;
    mx_persist_event_t *row;
    mx_ref_t after;                  /* snapshot after the event */
    apr_int64_t *others; int nothers;    /* heads that stay beside it */
} forked_t;

static int is_prev(const mx_event_t *event, mx_slice_t id, apr_pool_t *pool)
{
    int i;
    for (i = 0; i < event->nprev; i++) {
        if (mx_slice_eq(mx_store_event_id_pack(event->prev_events[i], pool), id))
            return 1;
    }
    return 0;
}

/** The event becomes a head; those that it follows are none any more. */
static void set_heads(forked_t *f)
{
    const struct mx_room_private_t *priv = f->r->room->priv;
    mx_persist_batch_t *b = f->batch;
    int i, accepted = !f->row->flags || f->row->flags == MX_EVENT_FLAG_STATE;
    b->heads = apr_palloc(f->r->pool, sizeof(*b->heads) * (apr_size_t)(priv->nheads + 1));
    b->head_ids = apr_palloc(f->r->pool, sizeof(*b->head_ids) * (apr_size_t)(priv->nheads + 1));
    if (accepted) {
        b->heads[b->nheads] = -1;
        b->head_ids[b->nheads++] = f->row->id;
    }
    for (i = 0; i < priv->nheads; i++) {
        if (accepted && is_prev(f->r->event, priv->head_ids[i], f->r->pool))
            continue;
        b->heads[b->nheads] = priv->heads[i];
        b->head_ids[b->nheads++] = priv->head_ids[i];
    }
    f->others = b->heads + (accepted ? 1 : 0);
    f->nothers = b->nheads - (accepted ? 1 : 0);
    b->depth = accepted && f->row->depth > priv->depth ? f->row->depth : priv->depth;
    b->snap = f->r->room->snap_nid;
}

static mx_persist_snap_t *add_snap(forked_t *f, const made_t *made)
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

/** The snapshot after a state event. MX_ROOM_RESOLVE_EXTRA is its reference as well: -1, the first of the batch. */
static const mx_error_t *add_after(forked_t *f)
{
    mx_state_item_t change = { f->row->skey_nid, MX_ROOM_RESOLVE_EXTRA };
    made_t made = { .base = f->r->before, .changes = apr_pmemdup(f->r->pool, &change, sizeof(change)), .n = 1 };
    const mx_error_t *err = measure(&made, f->r);
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
    const mx_error_t *err = read_rows(&rows, &n, r, f->others, f->nothers);
    if (err)
        return err;
    inputs[0].snap = r->before;
    if (f->row->skey_nid) {
        inputs[0].extra = r->event;
        inputs[0].extra_skey_nid = f->row->skey_nid;
        inputs[0].extra_auth = r->auth_nids;
        inputs[0].nextra_auth = r->nauth;
    }
    for (i = 0; i < n; i++)
        add_distinct(snaps, &nsnaps, after_of(&rows[i]));
    for (i = 0; i < nsnaps; i++)
        inputs[i + 1].snap = snaps[i];
    return mx_room_resolve(out, r->server, r->room->nid, r->room->version, inputs, nsnaps + 1, r->pool);
}

/** The room's state becomes the resolved one. */
static const mx_error_t *set_resolved(mx_room_resolved_t *resolved, forked_t *f)
{
    made_t made = { .base = resolved->base, .changes = resolved->changes, .n = resolved->n };
    const mx_error_t *err;
    f->batch->snap = resolved->base;
    if (!resolved->n)
        return NULL;
    err = measure(&made, f->r);
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
    err = old_entries(&old, r, r->room->snap_nid, all, n);
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
    const mx_error_t *err = item->nid == MX_ROOM_RESOLVE_EXTRA ? NULL : fill(&current, f->r, item->nid ? item->nid : old);
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
    mx_room_resolved_t resolved = { f->r->before, own, f->row->skey_nid ? 1 : 0 };
    const mx_error_t *err = NULL;
    *own = (mx_state_item_t){ f->row->skey_nid, MX_ROOM_RESOLVE_EXTRA };
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
    row->flags = flags | (ev->state_key ? MX_EVENT_FLAG_STATE : 0);
    row->before = r->before;
    memcpy(row->auth, r->auth_nids, sizeof(row->auth[0]) * (apr_size_t)r->nauth);
    row->nauth = r->nauth;
    if (!ev->state_key)
        return NULL;
    err = mx_room_fork_find(&replaced, r, r->before, ev->type, ev->state_key);
    if (!err)
        row->replaces = replaced.nid;
    return err;
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
    set_heads(&f);
    if (f.row->skey_nid && !(flags & MX_EVENT_FLAG_REJECTED))
        err = add_after(&f);
    if (!err && !flags)
        err = set_room(&f);
    if (!err && !flags && r->event->redacts)
        err = mx_room_accept_redacts(batch, r);
    if (!err && !(flags & MX_EVENT_FLAG_REJECTED))
        err = mx_room_accept_redacted(batch, r);
    if (!err && !flags && !batch->redacted_by)
        err = set_marks(batch, r);
    return err;
}
