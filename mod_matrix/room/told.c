/* SPDX-License-Identifier: Apache-2.0 */
/* States told by other servers: what of them can be believed, and their snapshots. */
#include "room/told.h"

#include "room/outlier_private.h"
#include "room/room_private.h"
#include "store/event_id.h"

#include <stdlib.h>

static int by_skey(const void *a, const void *b)
{
    const mx_room_told_entry_t *x = a, *y = b;
    if (x->skey_nid != y->skey_nid)
        return x->skey_nid < y->skey_nid ? -1 : 1;
    return x->nid < y->nid ? -1 : x->nid > y->nid;
}

const mx_room_told_entry_t *mx_room_told_find(const mx_room_told_t *told, apr_int64_t skey_nid)
{
    static const mx_room_told_entry_t none;
    int low = 0, high = told->n;
    while (low < high) {
        int mid = (low + high) / 2;
        if (told->entries[mid].skey_nid < skey_nid)
            low = mid + 1;
        else
            high = mid;
    }
    return low < told->n && told->entries[low].skey_nid == skey_nid ? &told->entries[low] : &none;
}

static const mx_error_t *no_state(const mx_room_told_t *t, const char *why)
{
    return mx_error_make(t->pool, MX_E_INVALID_ROOM_STATE, "A state that was told is none: %s.", why);
}

/** Sorted, each event once; *pwhy if one key has two. */
static void sort(mx_room_told_t *t, const mx_error_t **pwhy)
{
    int i, n = 0;
    qsort(t->entries, (size_t)t->n, sizeof(*t->entries), by_skey);
    for (i = 0; i < t->n; i++) {
        if (n && t->entries[n - 1].nid == t->entries[i].nid)
            continue;
        if (n && t->entries[n - 1].skey_nid == t->entries[i].skey_nid)
            *pwhy = no_state(t, "two of its events are of the same type and state key");
        t->entries[n++] = t->entries[i];
    }
    t->n = n;
}

static const mx_error_t *find_create(mx_room_told_t *t, const mx_error_t **pwhy)
{
    apr_int64_t skey_nid;
    apr_status_t rv = mx_server_skey_nid_find(&skey_nid, t->server, "m.room.create", "", t->pool);
    if (rv != APR_SUCCESS && rv != MX_STORE_NONE)
        return mx_server_store_error(rv, "looking a state key up", t->pool);
    t->create_nid = rv == APR_SUCCESS ? mx_room_told_find(t, skey_nid)->nid : 0;
    if (!t->create_nid)
        *pwhy = no_state(t, "it has no create event");
    return NULL;
}

const mx_error_t *mx_room_told_read(mx_room_told_t *out, const mx_error_t **pwhy, mx_server_t *server, const mx_room_outlier_room_t *room,
                                    const mx_slice_t *ids, int n, apr_pool_t *pool)
{
    mx_store_outlier_row_t *rows;
    int i, lost = 0;
    const mx_error_t *err = mx_room_outlier_known(&rows, server, room->nid, ids, n, pool);
    if (err)
        return err;
    *out = (mx_room_told_t){ .server = server, .room = room, .pool = pool };
    out->entries = apr_palloc(pool, sizeof(*out->entries) * (apr_size_t)(n + 1));
    *pwhy = NULL;
    for (i = 0; i < n; i++) {
        if (!rows[i].nid)
            lost++;
        else if (!rows[i].skey_nid)
            *pwhy = no_state(out, "one of its events is no state event");
        else if (!(rows[i].flags & MX_EVENT_FLAG_REJECTED))
            out->entries[out->n++] = (mx_room_told_entry_t){ rows[i].skey_nid, rows[i].nid, rows[i].id };
    }
    if (lost * 100 > n * MX_TOLD_LOST_PERCENT)
        *pwhy = no_state(out, "too many of its events are not to be had");
    sort(out, pwhy);
    return *pwhy ? NULL : find_create(out, pwhy);
}

const mx_event_t *mx_room_told_get(void *told, const char *type, const char *state_key)
{
    mx_room_told_t *t = told;
    const mx_room_told_entry_t *entry;
    mx_event_t *event = NULL;
    mx_event_row_t *row;
    apr_int64_t skey_nid;
    int n = 0;
    apr_status_t rv = mx_server_skey_nid_find(&skey_nid, t->server, type, state_key, t->pool);
    if (rv == MX_STORE_NONE)
        return NULL;
    entry = mx_room_told_find(t, rv == APR_SUCCESS ? skey_nid : 0);
    if (rv == APR_SUCCESS && entry->nid)
        rv = mx_store_event_by_nids(&row, &n, t->server->store, &entry->nid, 1, t->pool);
    if (rv != APR_SUCCESS)
        t->err = mx_server_store_error(rv, "reading a state", t->pool);
    else if (n)
        t->err = mx_event_parse(&event, t->room->version, row->pdu, mx_store_event_id_unpack(row->id, t->pool), t->pool);
    return event;
}

/* ---- snapshots ---- */

/** What makes `pred` the told state. */
static apr_status_t difference(mx_state_item_t **pitems, int *pn, const mx_room_told_t *t, apr_int64_t pred)
{
    mx_state_item_t *old = NULL, *items;
    int i = 0, k = 0, nold = 0, n = 0;
    apr_status_t rv = pred ? mx_store_state_load(&old, &nold, t->server->store, pred, t->pool) : APR_SUCCESS;
    if (rv != APR_SUCCESS)
        return rv;
    items = apr_palloc(t->pool, sizeof(*items) * (apr_size_t)(t->n + nold + 1));
    while (i < t->n || k < nold) {
        if (k == nold || (i < t->n && t->entries[i].skey_nid < old[k].skey_nid)) {
            items[n++] = (mx_state_item_t){ t->entries[i].skey_nid, t->entries[i].nid };
            i++;
        } else if (i == t->n || old[k].skey_nid < t->entries[i].skey_nid) {
            items[n++] = (mx_state_item_t){ old[k++].skey_nid, 0 };
        } else {
            if (old[k].nid != t->entries[i].nid)
                items[n++] = (mx_state_item_t){ t->entries[i].skey_nid, t->entries[i].nid };
            i++;
            k++;
        }
    }
    *pitems = items;
    *pn = n;
    return APR_SUCCESS;
}

const mx_error_t *mx_room_told_store(apr_int64_t *pbefore, apr_int64_t *pafter, mx_room_told_t *told, apr_int64_t pred,
                                     const mx_room_told_entry_t *own)
{
    const unsigned char *key;
    mx_state_hash_t hash = { { 0 } };
    mx_state_item_t *changes, change;
    const mx_room_told_entry_t *old;
    int i, n = 0;
    apr_status_t rv;
    const mx_error_t *err = mx_room_state_hash_key(&key, told->server, told->pool);
    if (err)
        return err;
    for (i = 0; i < told->n; i++)
        mx_store_state_hash_change(&hash, key, told->entries[i].skey_nid, MX_SLICE_NONE, told->entries[i].id, told->pool);
    rv = difference(&changes, &n, told, pred);
    if (rv == APR_SUCCESS && pred && !n)
        *pbefore = pred;
    else if (rv == APR_SUCCESS)
        rv = mx_store_state_add(pbefore, told->server->store, told->room->nid, pred, changes, n, told->n, &hash, told->pool);
    if (pred && (rv == MX_STORE_RETRY || rv == MX_STORE_NONE))      /* cleaned away meanwhile: by itself, then */
        return mx_room_told_store(pbefore, pafter, told, 0, own);
    if (rv == APR_SUCCESS && own) {
        old = mx_room_told_find(told, own->skey_nid);
        change = (mx_state_item_t){ own->skey_nid, own->nid };
        mx_store_state_hash_change(&hash, key, own->skey_nid, old->nid ? old->id : MX_SLICE_NONE, own->id, told->pool);
        rv = mx_store_state_add(pafter, told->server->store, told->room->nid, *pbefore, &change, 1, told->n + !old->nid, &hash, told->pool);
    }
    else if (rv == APR_SUCCESS)
        *pafter = *pbefore;
    return rv == APR_SUCCESS ? NULL : mx_server_store_error(rv, "storing a state that was told", told->pool);
}
