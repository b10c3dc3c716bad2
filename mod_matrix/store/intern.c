/* SPDX-License-Identifier: Apache-2.0 */
/* Strings and their integers. A row is looked for before it is inserted: an insert that conflicts burns an identity value. */
#include "store/intern.h"

#define INTERN_TRIES 3      /* find, insert, find what another inserted meanwhile */

/** The integer in the first column; MX_STORE_NONE without a row. */
static apr_status_t only_int(apr_int64_t *pnid, apr_status_t rv, const mx_rows_t *rows)
{
    if (rv != APR_SUCCESS)
        return rv;
    if (!mx_rows_count(rows))
        return MX_STORE_NONE;
    *pnid = mx_row_int(rows, 0, 0);
    return APR_SUCCESS;
}

/** `found` by `find`, else inserted by `insert`: statements with the same parameters (text, or int4 and text). */
static apr_status_t find_or_insert(apr_int64_t *pnid, mx_store_t *store, mx_stmt_t *find, mx_stmt_t *insert, int number,
                                   const char *text, apr_pool_t *pool)
{
    mx_rows_t *rows = NULL;
    apr_status_t rv = MX_STORE_NONE;
    int i, with_number = find->types[0] == 'i';
    for (i = 0; i < INTERN_TRIES && rv == MX_STORE_NONE; i++) {
        mx_stmt_t *stmt = i == 1 ? insert : find;
        rv = with_number ? mx_store_run(&rows, store, pool, stmt, number, text) : mx_store_run(&rows, store, pool, stmt, text);
        rv = only_int(pnid, rv, rows);
    }
    return rv;
}

MX_STMT(server_find, "s", "select server_nid from server where name = $1::text");
MX_STMT(server_insert, "s", "insert into server (name) values ($1::text) on conflict do nothing returning server_nid");

MX_STMT(user_find, "s", "select user_nid from mxid where mxid = $1::text");
MX_STMT(user_insert, "sio",
        "insert into mxid (mxid, server_nid, local) values ($1::text, $2::int4, $3::bool) on conflict do nothing returning user_nid");

apr_status_t mx_store_intern_user_find(apr_int64_t *pnid, mx_store_t *store, const char *user_id, apr_pool_t *pool)
{
    mx_rows_t *rows = NULL;
    apr_status_t rv = mx_store_run(&rows, store, pool, &user_find, user_id);
    return only_int(pnid, rv, rows);
}

apr_status_t mx_store_intern_user(apr_int64_t *pnid, mx_store_t *store, const mx_intern_user_t *user, apr_pool_t *pool)
{
    mx_rows_t *rows = NULL;
    apr_int64_t server_nid;
    apr_status_t rv = mx_store_intern_user_find(pnid, store, user->user_id, pool);
    if (rv != MX_STORE_NONE)
        return rv;
    rv = find_or_insert(&server_nid, store, &server_find, &server_insert, 0, user->server, pool);
    if (rv != APR_SUCCESS)
        return rv;
    rv = mx_store_run(&rows, store, pool, &user_insert, user->user_id, (int)server_nid, user->local);
    rv = only_int(pnid, rv, rows);
    return rv == MX_STORE_NONE ? mx_store_intern_user_find(pnid, store, user->user_id, pool) : rv;
}

MX_STMT(type_find, "s", "select type_nid from ev_type where type = $1::text");
MX_STMT(type_insert, "s", "insert into ev_type (type) values ($1::text) on conflict do nothing returning type_nid");

apr_status_t mx_store_intern_type(int *pnid, mx_store_t *store, const char *type, apr_pool_t *pool)
{
    apr_int64_t nid = 0;
    apr_status_t rv = find_or_insert(&nid, store, &type_find, &type_insert, 0, type, pool);
    if (rv == APR_SUCCESS)
        *pnid = (int)nid;
    return rv;
}

MX_STMT(skey_find, "ss",
        "select s.skey_nid from skey s join ev_type t on t.type_nid = s.type_nid where t.type = $1::text and s.state_key = $2::text");
MX_STMT(skey_find_by_type, "is", "select skey_nid from skey where type_nid = $1::int4 and state_key = $2::text");
MX_STMT(skey_insert, "is",
        "insert into skey (type_nid, state_key) values ($1::int4, $2::text) on conflict do nothing returning skey_nid");

apr_status_t mx_store_intern_skey_find(apr_int64_t *pnid, mx_store_t *store, const char *type, const char *state_key, apr_pool_t *pool)
{
    mx_rows_t *rows = NULL;
    apr_status_t rv = mx_store_run(&rows, store, pool, &skey_find, type, state_key);
    return only_int(pnid, rv, rows);
}

apr_status_t mx_store_intern_skey(apr_int64_t *pnid, mx_store_t *store, int type_nid, const char *state_key, apr_pool_t *pool)
{
    return find_or_insert(pnid, store, &skey_find_by_type, &skey_insert, type_nid, state_key, pool);
}

MX_STMT(user_ids_by_nids, "L",
        "select u.mxid from unnest($1::int8[]) with ordinality q(nid, i) left join mxid u on u.user_nid = q.nid order by q.i");

apr_status_t mx_store_intern_user_ids(const char **ids_out, mx_store_t *store, const apr_int64_t *nids, int n, apr_pool_t *pool)
{
    mx_rows_t *rows = NULL;
    int i;
    apr_status_t rv = mx_store_run(&rows, store, pool, &user_ids_by_nids, nids, n);
    for (i = 0; rv == APR_SUCCESS && i < n; i++)
        ids_out[i] = mx_row_text(rows, i, 0);
    return rv;
}

MX_STMT(type_by_nid, "i", "select type from ev_type where type_nid = $1::int4");

apr_status_t mx_store_intern_type_name(const char **ptype, mx_store_t *store, int type_nid, apr_pool_t *pool)
{
    mx_rows_t *rows = NULL;
    apr_status_t rv = mx_store_run(&rows, store, pool, &type_by_nid, type_nid);
    if (rv != APR_SUCCESS)
        return rv;
    if (!mx_rows_count(rows))
        return MX_STORE_NONE;
    *ptype = mx_row_text(rows, 0, 0);
    return APR_SUCCESS;
}
