/* SPDX-License-Identifier: Apache-2.0 */
/* Reads of state for whoever passed the gate of room/reader.h. */
#include "room/state_read.h"

#include "room/room_private.h"

#include <stdlib.h>

static const mx_error_t *store_error(apr_status_t rv, apr_pool_t *pool)
{
    return mx_server_store_error(rv, "reading the state of a room", pool);
}

static int by_nid(const void *a, const void *b)
{
    const mx_state_item_t *x = a, *y = b;
    return x->nid < y->nid ? -1 : x->nid > y->nid;
}

apr_status_t mx_room_state_of_snapshot(mx_event_row_t **prows, int *pn, mx_server_t *server, apr_int64_t snap_nid,
                                       apr_pool_t *pool)
{
    mx_state_item_t *items;
    apr_int64_t *nids;
    int i, n;
    apr_status_t rv = mx_store_state_load(&items, &n, server->store, snap_nid, pool);
    if (rv != APR_SUCCESS)
        return rv;
    qsort(items, (size_t)n, sizeof(*items), by_nid);
    nids = apr_palloc(pool, sizeof(*nids) * (apr_size_t)(n + 1));
    for (i = 0; i < n; i++)
        nids[i] = items[i].nid;
    return mx_store_event_by_nids(prows, pn, server->store, nids, n, pool);
}

const mx_error_t *mx_room_state_read_all(mx_event_row_t **prows, int *pn, const mx_room_reader_t *reader,
                                         apr_pool_t *pool)
{
    apr_status_t rv;
    if (reader->whole)
        return mx_room_state_all(prows, pn, reader->server, reader->room, pool);
    rv = mx_room_state_of_snapshot(prows, pn, reader->server, reader->snap_nid, pool);
    return rv == APR_SUCCESS ? NULL : store_error(rv, pool);
}

static const mx_error_t *no_such_state(apr_pool_t *pool)
{
    return mx_error_make(pool, MX_E_NOT_FOUND, "The room has no state with this type and state key.");
}

/** The nid of the entry in an older state; 0: none. */
static apr_status_t find_then(apr_int64_t *pnid, const mx_room_reader_t *reader, const char *type,
                              const char *state_key, apr_pool_t *pool)
{
    mx_state_hit_t *hits;
    apr_int64_t skey_nid;
    int n;
    apr_status_t rv = mx_server_skey_nid_find(&skey_nid, reader->server, type, state_key, pool);
    *pnid = 0;
    if (rv == MX_STORE_NONE || !reader->snap_nid)
        return APR_SUCCESS;
    if (rv == APR_SUCCESS)
        rv = mx_store_state_entries(&hits, &n, reader->server->store, &reader->snap_nid, 1, &skey_nid, 1, pool);
    if (rv == APR_SUCCESS && n)
        *pnid = hits[0].nid;
    return rv;
}

static const mx_error_t *find(mx_room_current_t *out, const mx_room_reader_t *reader, const char *type,
                              const char *state_key, apr_pool_t *pool)
{
    const mx_error_t *err = NULL;
    apr_status_t rv;
    memset(out, 0, sizeof(*out));
    if (reader->whole)
        err = mx_room_state_find(out, reader->server, reader->room, type, state_key, pool);
    else if ((rv = find_then(&out->nid, reader, type, state_key, pool)) != APR_SUCCESS)
        err = store_error(rv, pool);
    if (!err && !out->nid)
        err = no_such_state(pool);
    return err;
}

const mx_error_t *mx_room_state_read_one(mx_event_row_t **prow, const mx_room_reader_t *reader, const char *type,
                                         const char *state_key, apr_pool_t *pool)
{
    mx_room_current_t found;
    mx_event_row_t *row;
    int n;
    const mx_error_t *err = find(&found, reader, type, state_key, pool);
    apr_status_t rv;
    if (err)
        return err;
    rv = mx_store_event_by_nids(&row, &n, reader->server->store, &found.nid, 1, pool);
    if (rv != APR_SUCCESS)
        return store_error(rv, pool);
    if (!n)
        return no_such_state(pool);
    *prow = row;
    return NULL;
}

const mx_error_t *mx_room_state_read_content(mx_slice_t *pcontent, const mx_room_reader_t *reader, const char *type,
                                             const char *state_key, apr_pool_t *pool)
{
    mx_room_current_t found;
    mx_json_scan_t scan;
    mx_event_row_t *row;
    const mx_error_t *err = find(&found, reader, type, state_key, pool);
    if (err)
        return err;
    if (found.event) {
        *pcontent = found.event->content;
        return NULL;
    }
    err = mx_room_state_read_one(&row, reader, type, state_key, pool);
    if (err)
        return err;
    mx_json_scan_trusted(&scan, row->pdu, pool);
    *pcontent = mx_json_scan_get(&scan, "content");
    return NULL;
}
