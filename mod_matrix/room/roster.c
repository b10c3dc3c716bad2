/* SPDX-License-Identifier: Apache-2.0 */
/* Lists of members. CS-API: GET /rooms/{roomId}/members, /joined_members, /joined_rooms. */
#include "room/roster.h"

#include "room/facts.h"
#include "store/member_list.h"

/** The snapshot that was current at a position, but none that the reader may not see. */
static apr_status_t snapshot_at(apr_int64_t *psnap, const mx_room_reader_t *reader, apr_int64_t at, apr_pool_t *pool)
{
    if (at >= reader->upto_ord) {
        *psnap = reader->snap_nid;
        return APR_SUCCESS;
    }
    return mx_store_state_at(psnap, reader->server->store, &reader->room->nid, 1, at, pool);
}

/** Member events of a snapshot. */
static apr_status_t events_of_snapshot(mx_event_row_t **prows, int *pn, mx_server_t *server, apr_int64_t snap_nid,
                                       apr_pool_t *pool)
{
    mx_state_item_t *items = NULL;
    apr_int64_t *nids;
    int i, type_nid, n = 0;
    apr_status_t rv = mx_server_type_nid(&type_nid, server, "m.room.member", pool);

    if (rv == APR_SUCCESS)
        rv = mx_store_state_load(&items, &n, server->store, snap_nid, pool);
    if (rv != APR_SUCCESS)
        return rv;
    nids = apr_palloc(pool, (n + 1) * sizeof(*nids));
    for (i = 0; i < n; i++)
        nids[i] = items[i].nid;
    return mx_store_member_events_among(prows, pn, server->store, nids, n, type_nid, pool);
}

const mx_error_t *mx_room_roster_events(mx_event_row_t **prows, int *pn, const mx_room_reader_t *reader, apr_int64_t at,
                                        int memberships, apr_pool_t *pool)
{
    mx_event_row_t *rows = NULL;
    apr_int64_t snap_nid = 0;
    int i, n = 0, kept = 0;
    apr_status_t rv;

    if (reader->whole && at == MX_ROOM_ROSTER_NOW) {
        rv = mx_store_member_events(prows, pn, reader->server->store, reader->room->nid, memberships, pool);
        return rv == APR_SUCCESS ? NULL : mx_server_store_error(rv, "reading the members of a room", pool);
    }
    rv = snapshot_at(&snap_nid, reader, at, pool);
    if (rv == APR_SUCCESS && snap_nid)
        rv = events_of_snapshot(&rows, &n, reader->server, snap_nid, pool);
    if (rv != APR_SUCCESS)
        return mx_server_store_error(rv, "reading the former members of a room", pool);
    for (i = 0; i < n; i++) {
        if (1 << mx_room_facts_row_membership(&rows[i], pool) & memberships)
            rows[kept++] = rows[i];
    }
    *prows = rows;
    *pn = kept;
    return NULL;
}

/** A string of the content, or null: clients expect both keys. */
static void write_member(mx_json_writer_t *w, const char *name, const mx_json_scan_t *content, const char *key)
{
    mx_slice_t value = mx_json_scan_get(content, key);

    mx_jw_key(w, name);
    if (value.len && value.p[0] == '"')
        mx_jw_raw_slice(w, value);
    else
        mx_jw_null(w);
}

static void write_joined(mx_json_writer_t *w, const mx_event_row_t *row, apr_pool_t *pool)
{
    mx_json_scan_t pdu, content;

    mx_json_scan_trusted(&pdu, row->pdu, pool);
    mx_json_scan_trusted(&content, mx_json_scan_get(&pdu, "content"), pool);
    mx_jw_key(w, mx_json_scan_str(mx_json_scan_get(&pdu, "state_key"), pool));
    mx_jw_object(w);
    write_member(w, "display_name", &content, "displayname");
    write_member(w, "avatar_url", &content, "avatar_url");
    mx_jw_end_object(w);
}

const mx_error_t *mx_room_roster_write_joined(mx_json_writer_t *w, mx_server_t *server, mx_room_t *room,
                                              apr_pool_t *pool)
{
    mx_event_row_t *rows = NULL;
    int i, n = 0;
    apr_status_t rv = mx_store_member_events(&rows, &n, server->store, room->nid, 1 << MX_MEMBERSHIP_JOIN, pool);

    if (rv != APR_SUCCESS)
        return mx_server_store_error(rv, "reading the joined members of a room", pool);
    mx_jw_object(w);
    for (i = 0; i < n; i++)
        write_joined(w, &rows[i], pool);
    mx_jw_end_object(w);
    return NULL;
}

const mx_error_t *mx_room_roster_rooms(const char ***pids, int *pn, mx_server_t *server, apr_int64_t user_nid,
                                       apr_pool_t *pool)
{
    apr_status_t rv = mx_store_member_rooms(pids, pn, server->store, user_nid, MX_MEMBERSHIP_JOIN, pool);
    return rv == APR_SUCCESS ? NULL : mx_server_store_error(rv, "reading the rooms of a user", pool);
}
