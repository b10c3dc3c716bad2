/* SPDX-License-Identifier: Apache-2.0 */
/* The published room directory. */
#include "store/directory.h"

MX_STMT(directory_next, "lli",
        "select joined, room_nid, room_id from room where published and joined > 0"
        " and (-joined, room_nid) > (-$1::int8, $2::int8) order by joined desc, room_nid limit $3::int4");
MX_STMT(directory_previous, "lli",
        "select joined, room_nid, room_id from room where published and joined > 0"
        " and (-joined, room_nid) < (-$1::int8, $2::int8) order by joined, room_nid desc limit $3::int4");

apr_status_t mx_store_directory_list(mx_directory_row_t **prows, int *pn, mx_store_t *store,
                                     const mx_directory_pos_t *from, mx_dir_e dir, int limit, apr_pool_t *pool)
{
    const mx_directory_pos_t start = { APR_INT32_MAX, 0 };
    mx_stmt_t *stmt = dir == MX_DIR_FORWARD ? &directory_next : &directory_previous;
    mx_directory_row_t *out;
    mx_rows_t *rows;
    int i, n;
    apr_status_t rv;

    if (!from)
        from = &start;
    rv = mx_store_run(&rows, store, pool, stmt, from->joined, from->room_nid, limit);
    if (rv != APR_SUCCESS)
        return rv;
    n = mx_rows_count(rows);
    out = apr_pcalloc(pool, (n + 1) * sizeof(*out));
    for (i = 0; i < n; i++) {
        out[i].pos.joined = mx_row_int(rows, i, 0);
        out[i].pos.room_nid = mx_row_int(rows, i, 1);
        out[i].room_id = mx_row_text(rows, i, 2);
    }
    *prows = out;
    *pn = n;
    return APR_SUCCESS;
}

MX_STMT(directory_count, "", "select count(*) from room where published and joined > 0");

apr_status_t mx_store_directory_count(apr_int64_t *pcount, mx_store_t *store, apr_pool_t *pool)
{
    mx_rows_t *rows;
    apr_status_t rv = mx_store_run(&rows, store, pool, &directory_count);

    if (rv == APR_SUCCESS)
        *pcount = mx_row_int(rows, 0, 0);
    return rv;
}

MX_STMT(directory_state, "LS",
        "select " MX_EVENT_COLUMNS " from " MX_EVENT_FROM " join cur_state c on c.nid = e.nid"
        " where c.room_nid = any($1::int8[]) and c.skey_nid in (select k.skey_nid from skey k join ev_type t on "
        "t.type_nid = k.type_nid"
        "  where k.state_key = '' and t.type = any($2::text[]))");

apr_status_t mx_store_directory_state(mx_event_row_t **prows, int *pn, mx_store_t *store, const apr_int64_t *room_nids,
                                      int nrooms, const char *const *types, int ntypes, apr_pool_t *pool)
{
    mx_rows_t *rows;
    apr_status_t rv = mx_store_run(&rows, store, pool, &directory_state, room_nids, nrooms, types, ntypes);

    if (rv == APR_SUCCESS)
        *pn = mx_store_event_read_all(prows, rows, pool);
    return rv;
}

MX_STMT(directory_is_published, "l", "select published from room where room_nid = $1::int8");

apr_status_t mx_store_directory_is_published(int *ppublished, mx_store_t *store, apr_int64_t room_nid, apr_pool_t *pool)
{
    mx_rows_t *rows;
    apr_status_t rv = mx_store_run(&rows, store, pool, &directory_is_published, room_nid);

    if (rv == APR_SUCCESS)
        *ppublished = mx_rows_count(rows) && mx_row_bool(rows, 0, 0);
    return rv;
}

MX_STMT(directory_publish, "lo",
        "update room set published = $2::bool where room_nid = $1::int8 and published <> $2::bool");

apr_status_t mx_store_directory_publish(mx_store_t *store, apr_int64_t room_nid, int published, apr_pool_t *pool)
{
    return mx_store_run(NULL, store, pool, &directory_publish, room_nid, published);
}

MX_STMT(directory_move, "ll",
        "update room set published = room_nid = $2::int8 where room_nid in ($1::int8, $2::int8)"
        " and exists (select from room o where o.room_nid = $1::int8 and o.published)");

apr_status_t mx_store_directory_move(mx_store_t *store, apr_int64_t from_nid, apr_int64_t to_nid, apr_pool_t *pool)
{
    return mx_store_run(NULL, store, pool, &directory_move, from_nid, to_nid);
}
