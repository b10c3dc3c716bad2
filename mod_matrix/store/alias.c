/* SPDX-License-Identifier: Apache-2.0 */
/* Rows of room_alias. */
#include "store/alias.h"

MX_STMT(alias_find, "s",
        "select r.room_id, a.room_nid, a.creator_nid from room_alias a join room r on r.room_nid = a.room_nid"
        " where a.alias = $1::text");

apr_status_t mx_store_alias_find(mx_alias_row_t *out, mx_store_t *store, const char *alias, apr_pool_t *pool)
{
    mx_rows_t *rows;
    apr_status_t rv = mx_store_run(&rows, store, pool, &alias_find, alias);

    if (rv != APR_SUCCESS)
        return rv;
    if (!mx_rows_count(rows))
        return MX_STORE_NONE;
    out->room_id = mx_row_text(rows, 0, 0);
    out->room_nid = mx_row_int(rows, 0, 1);
    out->creator_nid = mx_row_int(rows, 0, 2);
    return APR_SUCCESS;
}

MX_STMT(alias_find_all, "S",
        "select q.i, r.room_id from unnest($1::text[]) with ordinality q(alias, i)"
        " join room_alias a on a.alias = q.alias join room r on r.room_nid = a.room_nid");

apr_status_t mx_store_alias_find_all(const char **ids_out, mx_store_t *store, const char *const *aliases, int n,
                                     apr_pool_t *pool)
{
    mx_rows_t *rows;
    int i;
    apr_status_t rv = mx_store_run(&rows, store, pool, &alias_find_all, aliases, n);

    if (rv != APR_SUCCESS)
        return rv;
    for (i = 0; i < n; i++)
        ids_out[i] = NULL;
    for (i = 0; i < mx_rows_count(rows); i++)
        ids_out[mx_row_int(rows, i, 0) - 1] = mx_row_text(rows, i, 1);
    return APR_SUCCESS;
}

MX_STMT(alias_insert, "slll",
        "insert into room_alias (alias, room_nid, creator_nid, created_ts)"
        " values ($1::text, $2::int8, $3::int8, $4::int8) on conflict do nothing");

apr_status_t mx_store_alias_insert(mx_store_t *store, const char *alias, apr_int64_t room_nid, apr_int64_t creator_nid,
                                   apr_int64_t created_ts, apr_pool_t *pool)
{
    mx_rows_t *rows;
    apr_status_t rv = mx_store_run(&rows, store, pool, &alias_insert, alias, room_nid, creator_nid, created_ts);

    if (rv != APR_SUCCESS)
        return rv;
    return mx_rows_affected(rows) ? APR_SUCCESS : MX_STORE_DUPLICATE;
}

MX_STMT(alias_delete, "sl", "delete from room_alias where alias = $1::text and room_nid = $2::int8");

apr_status_t mx_store_alias_delete(mx_store_t *store, const char *alias, apr_int64_t room_nid, apr_pool_t *pool)
{
    mx_rows_t *rows;
    apr_status_t rv = mx_store_run(&rows, store, pool, &alias_delete, alias, room_nid);

    if (rv != APR_SUCCESS)
        return rv;
    return mx_rows_affected(rows) ? APR_SUCCESS : MX_STORE_NONE;
}

MX_STMT(alias_of_room, "l", "select alias from room_alias where room_nid = $1::int8 order by alias");

apr_status_t mx_store_alias_of_room(const char ***paliases, int *pn, mx_store_t *store, apr_int64_t room_nid,
                                    apr_pool_t *pool)
{
    mx_rows_t *rows;
    const char **aliases;
    int i, n;
    apr_status_t rv = mx_store_run(&rows, store, pool, &alias_of_room, room_nid);

    if (rv != APR_SUCCESS)
        return rv;
    n = mx_rows_count(rows);
    aliases = apr_pcalloc(pool, (n + 1) * sizeof(*aliases));
    for (i = 0; i < n; i++)
        aliases[i] = mx_row_text(rows, i, 0);
    *paliases = aliases;
    *pn = n;
    return APR_SUCCESS;
}

MX_STMT(alias_move, "ll", "update room_alias set room_nid = $2::int8 where room_nid = $1::int8");

apr_status_t mx_store_alias_move(mx_store_t *store, apr_int64_t from_nid, apr_int64_t to_nid, apr_pool_t *pool)
{
    return mx_store_run(NULL, store, pool, &alias_move, from_nid, to_nid);
}
