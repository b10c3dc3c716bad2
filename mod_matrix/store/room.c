/* SPDX-License-Identifier: Apache-2.0 */
/* Reads rooms and their current state. */
#include "store/room.h"

#define ROOM_COLUMNS                                                                                                    \
    "r.room_nid, r.ver, r.snap_nid, r.last_stream, r.depth, r.room_id, r.version, r.published, r.joined, r.invited, r.local_joined," \
    " r.heads, r.head_ids, r.state_redacted, h.size, h.hash"
#define ROOM_NCOLUMNS 16
#define ROOM_FROM "room r left join snapshot h on h.snap_nid = r.snap_nid"

static mx_room_row_t *read_room(const mx_rows_t *rows, apr_pool_t *pool)
{
    mx_room_row_t *room = apr_pcalloc(pool, sizeof(*room));
    mx_slice_t hash;
    int c = 0;
    room->nid = mx_row_int(rows, 0, c++);
    room->ver = mx_row_int(rows, 0, c++);
    room->snap_nid = mx_row_int(rows, 0, c++);
    room->last_stream = mx_row_int(rows, 0, c++);
    room->depth = mx_row_int(rows, 0, c++);
    room->room_id = mx_row_text(rows, 0, c++);
    room->version = (int)mx_row_int(rows, 0, c++);
    room->published = mx_row_bool(rows, 0, c++);
    room->joined = (int)mx_row_int(rows, 0, c++);
    room->invited = (int)mx_row_int(rows, 0, c++);
    room->local_joined = (int)mx_row_int(rows, 0, c++);
    room->nheads = mx_row_int_array(&room->heads, rows, 0, c++, pool);
    mx_row_bytes_array(&room->head_ids, rows, 0, c++, pool);
    room->state_redacted = mx_row_int(rows, 0, c++);
    room->snap_size = (int)mx_row_int(rows, 0, c++);
    hash = mx_row_bytes(rows, 0, c++);
    if (hash.len == sizeof(room->snap_hash.bytes))
        memcpy(room->snap_hash.bytes, hash.p, hash.len);
    return room;
}

#define LOAD_SQL(where)                                                                                                 \
    "select " ROOM_COLUMNS ", k.type, c.skey_nid, " MX_EVENT_COLUMNS " from " ROOM_FROM                                 \
    " left join (ev_type k join skey on skey.type_nid = k.type_nid and skey.state_key = ''"                             \
    " join cur_state c on c.skey_nid = skey.skey_nid) on c.room_nid = r.room_nid and k.type = any($1::text[])"          \
    " left join event e on e.nid = c.nid left join state_event s on s.nid = e.nid where " where

apr_status_t mx_store_room_load(mx_room_row_t **proom, mx_room_entry_t **pcore, int *pn, mx_store_t *store,
                                const char *room_id, apr_int64_t nid, apr_pool_t *pool)
{
    MX_STMT(room_load_by_id, "Ss", LOAD_SQL("r.room_id = $2::text"));
    MX_STMT(room_load_by_nid, "Sl", LOAD_SQL("r.room_nid = $2::int8"));
    static const char *const types[] = { MX_ROOM_CORE_TYPES };
    const int ntypes = sizeof(types) / sizeof(types[0]);
    mx_room_entry_t *core;
    mx_rows_t *rows;
    int i, n;
    apr_status_t rv = room_id ? mx_store_run(&rows, store, pool, &room_load_by_id, types, ntypes, room_id)
                              : mx_store_run(&rows, store, pool, &room_load_by_nid, types, ntypes, nid);
    if (rv != APR_SUCCESS)
        return rv;
    n = mx_rows_count(rows);
    if (!n)
        return MX_STORE_NONE;
    core = apr_pcalloc(pool, sizeof(*core) * (apr_size_t)n);
    *proom = read_room(rows, pool);
    *pcore = core;
    *pn = 0;
    for (i = 0; i < n; i++) {
        if (mx_row_is_null(rows, i, ROOM_NCOLUMNS))
            continue;
        core->type = mx_row_text(rows, i, ROOM_NCOLUMNS);
        core->state_key = "";
        core->skey_nid = mx_row_int(rows, i, ROOM_NCOLUMNS + 1);
        mx_store_event_read(&core->event, rows, i, ROOM_NCOLUMNS + 2);
        core++;
        (*pn)++;
    }
    return APR_SUCCESS;
}

apr_status_t mx_store_room_row(mx_room_row_t **proom, mx_store_t *store, apr_int64_t nid, apr_pool_t *pool)
{
    MX_STMT(room_row, "l", "select " ROOM_COLUMNS " from " ROOM_FROM " where r.room_nid = $1::int8");
    mx_rows_t *rows;
    apr_status_t rv = mx_store_run(&rows, store, pool, &room_row, nid);
    if (rv != APR_SUCCESS)
        return rv;
    if (!mx_rows_count(rows))
        return MX_STORE_NONE;
    *proom = read_room(rows, pool);
    return APR_SUCCESS;
}

apr_status_t mx_store_room_entry(mx_room_entry_t *out, apr_int64_t *psnap_nid, apr_int64_t *pstate_redacted,
                                 mx_store_t *store, apr_int64_t nid, const char *type, const char *state_key,
                                 apr_pool_t *pool)
{
    MX_STMT(
        room_entry, "lss",
        "select r.snap_nid, r.state_redacted, k.skey_nid, " MX_EVENT_COLUMNS " from room r"
        " left join (ev_type t join skey k on k.type_nid = t.type_nid) on t.type = $2::text and k.state_key = $3::text"
        " left join cur_state c on c.room_nid = r.room_nid and c.skey_nid = k.skey_nid"
        " left join event e on e.nid = c.nid left join state_event s on s.nid = e.nid where r.room_nid = $1::int8");
    mx_rows_t *rows;
    apr_status_t rv = mx_store_run(&rows, store, pool, &room_entry, nid, type, state_key);
    if (rv != APR_SUCCESS)
        return rv;
    if (!mx_rows_count(rows))
        return MX_STORE_NONE;
    *psnap_nid = mx_row_int(rows, 0, 0);
    *pstate_redacted = mx_row_int(rows, 0, 1);
    out->type = type;
    out->state_key = state_key;
    out->skey_nid = mx_row_int(rows, 0, 2);
    mx_store_event_read(&out->event, rows, 0, 3);
    return APR_SUCCESS;
}

apr_status_t mx_store_room_state(mx_event_row_t **prows, int *pn, apr_int64_t *psnap_nid, mx_store_t *store,
                                 apr_int64_t nid, apr_pool_t *pool)
{
    MX_STMT(room_state, "l",
            "select " MX_EVENT_COLUMNS ", r.snap_nid from room r join cur_state c on c.room_nid = r.room_nid"
            " join (" MX_EVENT_FROM ") on e.nid = c.nid where r.room_nid = $1::int8 order by e.nid");
    mx_rows_t *rows;
    apr_status_t rv = mx_store_run(&rows, store, pool, &room_state, nid);
    if (rv != APR_SUCCESS)
        return rv;
    *pn = mx_store_event_read_all(prows, rows, pool);
    *psnap_nid = *pn ? mx_row_int(rows, 0, MX_EVENT_NCOLUMNS) : 0;
    return APR_SUCCESS;
}

MX_STMT(room_typed, "lS",
        "select " MX_EVENT_COLUMNS " from cur_state c join skey k on k.skey_nid = c.skey_nid"
        " join (" MX_EVENT_FROM ") on e.nid = c.nid where c.room_nid = $1::int8"
        " and k.type_nid in (select type_nid from ev_type where type = any($2::text[])) order by e.nid");

apr_status_t mx_store_room_typed(mx_event_row_t **prows, int *pn, mx_store_t *store, apr_int64_t nid,
                                 const char *const *types, int ntypes, apr_pool_t *pool)
{
    mx_rows_t *rows = NULL;
    apr_status_t rv = mx_store_run(&rows, store, pool, &room_typed, nid, types, ntypes);
    if (rv == APR_SUCCESS)
        *pn = mx_store_event_read_all(prows, rows, pool);
    return rv;
}

apr_status_t mx_store_room_many_heads(const char ***pids, int *pn, mx_store_t *store, int heads, const char *after, int max,
                                      apr_pool_t *pool)
{
    MX_STMT(room_many_heads, "isi",
            "select room_id from room where cardinality(heads) > $1::int4 and local_joined > 0 and room_id > $2::text"
            " order by room_id limit $3::int4");
    mx_rows_t *rows;
    int i;
    apr_status_t rv = mx_store_run(&rows, store, pool, &room_many_heads, heads, after, max);
    if (rv != APR_SUCCESS)
        return rv;
    *pn = mx_rows_count(rows);
    *pids = apr_palloc(pool, sizeof(**pids) * (apr_size_t)(*pn + 1));
    for (i = 0; i < *pn; i++)
        (*pids)[i] = mx_row_text(rows, i, 0);
    return APR_SUCCESS;
}
