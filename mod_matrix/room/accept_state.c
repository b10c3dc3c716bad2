/* SPDX-License-Identifier: Apache-2.0 */
/* States that events of other servers stand on: reading them, measuring those that are made of them, and the state before an event. */
#include "room/accept_pdu_private.h"

#include "base/nid_map.h"
#include "room/resolve.h"
#include "store/event_id.h"

#include <stdlib.h>

/** Snapshot after a stored event; a rejected one changes nothing. */
apr_int64_t mx_room_accept_after_of(const mx_event_row_t *row)
{
    return row->skey_nid && row->snap_after && !(row->flags & MX_EVENT_FLAG_REJECTED) ? row->snap_after : row->snap_nid;
}

void mx_room_accept_add_distinct(apr_int64_t *nids, int *pn, apr_int64_t nid)
{
    int i;
    for (i = 0; i < *pn && nids[i] != nid; i++)
        ;
    nids[i] = nid;
    if (i == *pn)
        (*pn)++;
}

/* ---- reading states ---- */

const mx_error_t *mx_room_accept_rows(mx_event_row_t **prows, int *pn, mx_room_receiving_t *r, const apr_int64_t *nids, int n)
{
    apr_status_t rv = mx_store_event_by_nids(prows, pn, r->server->store, nids, n, r->pool);
    return rv == APR_SUCCESS ? NULL : mx_server_store_error(rv, "reading events by number", r->pool);
}

const mx_error_t *mx_room_accept_fill(mx_room_current_t *out, mx_room_receiving_t *r, apr_int64_t nid)
{
    mx_event_row_t *row;
    int n;
    const mx_error_t *err = mx_room_accept_rows(&row, &n, r, &nid, 1);
    if (!err && n != 1)
        err = mx_error_internal(r->pool, MX_STORE_NONE, "a state names an event that is not there");
    if (!err)
        mx_room_known_fill(out, r->room->version, nid, row->pdu, mx_store_event_id_unpack(row->id, r->pool), r->pool);
    return err;
}

const mx_error_t *mx_room_accept_find(mx_room_current_t *out, mx_room_receiving_t *r, apr_int64_t snap_nid, const char *type,
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
    return n ? mx_room_accept_fill(out, r, hits[0].nid) : NULL;
}

/* ---- measuring states ---- */

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
const mx_error_t *mx_room_accept_entries(apr_int64_t **pout, mx_room_receiving_t *r, apr_int64_t snap_nid,
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
const mx_error_t *mx_room_accept_measure(mx_room_made_t *made, mx_room_receiving_t *r)
{
    const unsigned char *key;
    apr_int64_t *old, *nids = apr_palloc(r->pool, sizeof(*nids) * (apr_size_t)(2 * made->n + 1));
    mx_event_row_t *rows;
    int i, n = 0, nrows = 0;
    apr_status_t rv = made->base ? mx_store_state_measure(&made->size, &made->hash, r->server->store, made->base, r->pool) : APR_SUCCESS;
    const mx_error_t *err = rv != APR_SUCCESS ? mx_server_store_error(rv, "reading a state", r->pool)
                                              : mx_room_state_hash_key(&key, r->server, r->pool);
    if (!err)
        err = mx_room_accept_entries(&old, r, made->base, made->changes, made->n);
    for (i = 0; !err && i < made->n; i++) {
        if (old[i])
            nids[n++] = old[i];
        if (made->changes[i].nid > 0)
            nids[n++] = made->changes[i].nid;
    }
    if (!err)
        err = mx_room_accept_rows(&rows, &nrows, r, nids, n);
    for (i = 0; !err && i < made->n; i++) {
        mx_slice_t new_id = made->changes[i].nid ? id_of(r, made->changes[i].nid, rows, nrows) : MX_SLICE_NONE;
        mx_store_state_hash_change(&made->hash, key, made->changes[i].skey_nid, old[i] ? id_of(r, old[i], rows, nrows) : MX_SLICE_NONE,
                                   new_id, r->pool);
        made->size += (made->changes[i].nid != 0) - (old[i] != 0);
    }
    return err;
}

/* ---- the state before ---- */

const mx_error_t *mx_room_accept_store_state(apr_int64_t *psnap_nid, mx_room_receiving_t *r, apr_int64_t base,
                                             const mx_state_item_t *changes, int n)
{
    mx_room_made_t made = { .base = base, .changes = changes, .n = n };
    const mx_error_t *err = mx_room_accept_measure(&made, r);
    apr_status_t rv;
    if (err)
        return err;
    rv = mx_store_state_add(psnap_nid, r->server->store, r->room->nid, made.base, made.changes, made.n, made.size, &made.hash, r->pool);
    return rv == APR_SUCCESS ? NULL : mx_server_store_error(rv, "storing a state", r->pool);
}

const mx_error_t *mx_room_accept_before(mx_room_receiving_t *r)
{
    mx_room_resolve_input_t inputs[MX_EVENT_MAX_PREV] = { { 0 } };
    apr_int64_t snaps[MX_EVENT_MAX_PREV];
    mx_room_resolved_t resolved;
    const mx_error_t *err;
    int i, n = 0;
    for (i = 0; i < r->nprevs; i++)
        mx_room_accept_add_distinct(snaps, &n, mx_room_accept_after_of(&r->prevs[i]));
    r->before = n ? snaps[0] : 0;
    if (n < 2)
        return NULL;
    qsort(snaps, (size_t)n, sizeof(*snaps), mx_nid_cmp);
    for (i = 0; i < n; i++)
        inputs[i].snap = snaps[i];
    err = mx_room_resolve(&resolved, r->server, r->room->nid, r->room->version, inputs, n, r->pool);
    if (err)
        return err;
    r->before = resolved.base;
    if (resolved.n)
        err = mx_room_accept_store_state(&r->before, r, resolved.base, resolved.changes, resolved.n);
    if (!err)
        mx_room_resolve_remember(r->server, r->room->nid, resolved.state_redacted, snaps, n, r->before, r->pool);
    return err;
}
