/* SPDX-License-Identifier: Apache-2.0 */
/* Profile fields: rows of `profile`. */
#include "store/profile.h"

MX_STMT(profile_load, "sS",
        "select p.field, p.value from mxid m join account a on a.user_nid = m.user_nid"
        " left join profile p on p.user_nid = m.user_nid and (cardinality($2::text[]) = 0 or p.field = any($2::text[]))"
        " where m.mxid = $1::text order by p.field");
/* Two changes at once could each fit and together not: one waits for the other, and counts in a snapshot of its own. */
MX_STMT(profile_lock, "l", "select 1 from account where user_nid = $1::int8 for update");
/* An object's member takes its key, its value, two quotes, a colon and a comma. */
MX_STMT(
    profile_set, "lsbl",
    "insert into profile (user_nid, field, value) select $1::int8, $2::text, $3::bytea"
    " where (select coalesce(sum(octet_length(field) + octet_length(value) + 4), 0) from profile"
    "  where user_nid = $1::int8 and field <> $2::text) + octet_length($2::text) + octet_length($3::bytea) + 5 < $4::int8"
    " on conflict (user_nid, field) do update set value = excluded.value");
MX_STMT(profile_delete, "ls", "delete from profile where user_nid = $1::int8 and field = $2::text");

apr_status_t mx_store_profile_load(mx_profile_row_t **pout, int *pn, mx_store_t *store, const char *user_id,
                                   const char *const *fields, int nfields, apr_pool_t *pool)
{
    mx_rows_t *rows = NULL;
    mx_profile_row_t *out;
    apr_status_t rv = mx_store_run(&rows, store, pool, &profile_load, user_id, fields, nfields);
    int n = mx_rows_count(rows);

    if (rv) return rv;
    if (!n) return MX_STORE_NONE;
    if (mx_row_is_null(rows, 0, 0)) n = 0; /* the account's own row of the outer join */
    out = apr_pcalloc(pool, sizeof(*out) * (apr_size_t)(n ? n : 1));
    for (int i = 0; i < n; i++) {
        out[i].field = mx_row_text(rows, i, 0);
        out[i].value = mx_row_bytes(rows, i, 1);
    }
    *pout = out;
    *pn = n;
    return APR_SUCCESS;
}

apr_status_t mx_store_profile_set(mx_store_t *store, apr_int64_t user_nid, const mx_profile_row_t *row,
                                  apr_int64_t max_bytes, apr_pool_t *pool)
{
    mx_rows_t *rows = NULL;
    mx_conn_t *conn = NULL;
    apr_status_t rv = mx_store_borrow(&conn, store, pool);

    if (!rv) rv = mx_store_begin(conn);
    if (!rv) rv = mx_store_query(NULL, conn, pool, &profile_lock, user_nid);
    if (!rv) rv = mx_store_query(&rows, conn, pool, &profile_set, user_nid, row->field, row->value, max_bytes);
    if (!rv && !mx_rows_affected(rows)) rv = MX_STORE_NONE;
    if (!rv) rv = mx_store_commit(conn);
    mx_store_return(conn);
    return rv;
}

apr_status_t mx_store_profile_delete(mx_store_t *store, apr_int64_t user_nid, const char *field, apr_pool_t *pool)
{
    return mx_store_run(NULL, store, pool, &profile_delete, user_nid, field);
}
