/* SPDX-License-Identifier: Apache-2.0 */
/* Local accounts: rows of `account`. */
#include "store/user.h"

MX_STMT(
    user_find, "S",
    "select a.user_nid, m.mxid, a.password_hash, a.kind, a.admin, a.deactivated"
    " from unnest($1::text[]) with ordinality as w(mxid, nr) join mxid m on m.mxid = w.mxid join account a on a.user_nid = m.user_nid"
    " order by w.nr limit 1");
MX_STMT(
    user_insert, "lshol",
    "insert into account (user_nid, password_hash, kind, admin, created_ts) values ($1::int8, $2::text, $3::int2, $4::bool, $5::int8)");
MX_STMT(user_upgrade, "ls",
        "update account set kind = 0, password_hash = $2::text where user_nid = $1::int8 and kind = 1 and not deactivated");
MX_STMT(user_set_password, "ls",
        "update account set password_hash = $2::text where user_nid = $1::int8 and not deactivated");
MX_STMT(user_deactivate, "lo",
        "update account set deactivated = true, erased = erased or $2::bool,"
        " password_hash = case when $2::bool then null else password_hash end where user_nid = $1::int8");
MX_STMT(
    user_erase, "l",
    "with data as (delete from account_data where user_nid = $1::int8) delete from profile where user_nid = $1::int8");

apr_status_t mx_store_user_find(mx_account_row_t **pout, mx_store_t *store, const char *const *user_ids, int n,
                                apr_pool_t *pool)
{
    mx_rows_t *rows = NULL;
    mx_account_row_t *out;
    apr_status_t rv = mx_store_run(&rows, store, pool, &user_find, user_ids, n);

    if (rv) return rv;
    if (!mx_rows_count(rows)) return MX_STORE_NONE;
    out = apr_pcalloc(pool, sizeof(*out));
    out->user_nid = mx_row_int(rows, 0, 0);
    out->user_id = mx_row_text(rows, 0, 1);
    out->password_hash = mx_row_text(rows, 0, 2);
    out->guest = mx_row_int(rows, 0, 3) == 1;
    out->admin = mx_row_bool(rows, 0, 4);
    out->deactivated = mx_row_bool(rows, 0, 5);
    *pout = out;
    return APR_SUCCESS;
}

apr_status_t mx_store_user_insert(mx_conn_t *conn, const mx_account_row_t *row, apr_int64_t now_ms, apr_pool_t *pool)
{
    return mx_store_query(NULL, conn, pool, &user_insert, row->user_nid, row->password_hash, row->guest ? 1 : 0,
                          row->admin, now_ms);
}

apr_status_t mx_store_user_upgrade(mx_conn_t *conn, const mx_account_row_t *row, apr_pool_t *pool)
{
    mx_rows_t *rows = NULL;
    apr_status_t rv = mx_store_query(&rows, conn, pool, &user_upgrade, row->user_nid, row->password_hash);

    if (rv) return rv;
    return mx_rows_affected(rows) ? APR_SUCCESS : MX_STORE_NONE;
}

apr_status_t mx_store_user_set_password(mx_conn_t *conn, apr_int64_t user_nid, const char *password_hash,
                                        apr_pool_t *pool)
{
    mx_rows_t *rows = NULL;
    apr_status_t rv = mx_store_query(&rows, conn, pool, &user_set_password, user_nid, password_hash);

    if (rv) return rv;
    return mx_rows_affected(rows) ? APR_SUCCESS : MX_STORE_NONE;
}

apr_status_t mx_store_user_deactivate(mx_conn_t *conn, apr_int64_t user_nid, int erase, apr_pool_t *pool)
{
    apr_status_t rv = mx_store_query(NULL, conn, pool, &user_deactivate, user_nid, erase);

    if (!rv && erase) rv = mx_store_query(NULL, conn, pool, &user_erase, user_nid);
    return rv;
}
