/* SPDX-License-Identifier: Apache-2.0 */
/* Sessions of user-interactive authentication: rows of `uia_session`. */
#include "store/uia.h"

/* Expired sessions go in small batches with each new one; a use they had reserved of a registration token is free
 * again. */
MX_STMT(
    uia_insert, "ssnbll",
    "with old as (select session from uia_session where created_ts <= $6::int8 order by created_ts limit 20 for update skip locked),"
    " gone as (delete from uia_session u using old where u.session = old.session returning u.registration_token),"
    " freed as (select registration_token, count(*)::int4 as n from gone where registration_token is not null group by 1),"
    " back as (update registration_token r set pending = greatest(r.pending - f.n, 0) from freed f where r.token = f.registration_token)"
    " insert into uia_session (session, operation, user_nid, request, created_ts)"
    " values ($1::text, $2::text, $3::int8, $4::bytea, $5::int8)");
MX_STMT(
    uia_load, "sl",
    "select operation, user_nid, request, stages, created_ts from uia_session where session = $1::text and created_ts > $2::int8");
MX_STMT(uia_rebind, "sb", "update uia_session set request = $2::bytea where session = $1::text and stages = '{}'");
MX_STMT(uia_pass, "ssn",
        "update uia_session set user_nid = coalesce(user_nid, $3::int8),"
        " stages = case when $2::text = any(stages) then stages else array_append(stages, $2::text) end"
        " where session = $1::text");
MX_STMT(
    uia_pass_token, "sssl",
    "with tok as (select token from registration_token where token = $3::text and (expires_ts is null or expires_ts > $4::int8)"
    "  and (uses_allowed is null or pending + completed < uses_allowed) for update),"
    " ses as (update uia_session u set stages = array_append(u.stages, $2::text), registration_token = tok.token from tok"
    "  where u.session = $1::text and u.registration_token is null returning u.registration_token)"
    " update registration_token r set pending = r.pending + 1 from ses where r.token = ses.registration_token");
MX_STMT(
    uia_finish, "s",
    "with gone as (delete from uia_session where session = $1::text returning registration_token),"
    " used as (update registration_token r set pending = greatest(r.pending - 1, 0), completed = r.completed + 1 from gone"
    "  where r.token = gone.registration_token)"
    " select 1 from gone");

static apr_status_t some_or_none(apr_status_t rv, const mx_rows_t *rows)
{
    if (rv) return rv;
    return mx_rows_affected(rows) ? APR_SUCCESS : MX_STORE_NONE;
}

apr_status_t mx_store_uia_insert(mx_store_t *store, const mx_uia_row_t *row, apr_int64_t expired_ts, apr_pool_t *pool)
{
    return mx_store_run(NULL, store, pool, &uia_insert, row->session, row->operation,
                        row->user_nid ? &row->user_nid : NULL, row->request, row->created_ts, expired_ts);
}

apr_status_t mx_store_uia_load(mx_uia_row_t **pout, mx_store_t *store, const char *session, apr_int64_t expired_ts,
                               apr_pool_t *pool)
{
    mx_rows_t *rows = NULL;
    mx_uia_row_t *out;
    apr_status_t rv = mx_store_run(&rows, store, pool, &uia_load, session, expired_ts);

    if (rv) return rv;
    if (!mx_rows_count(rows)) return MX_STORE_NONE;
    out = apr_pcalloc(pool, sizeof(*out));
    out->session = apr_pstrdup(pool, session);
    out->operation = mx_row_text(rows, 0, 0);
    out->user_nid = mx_row_int(rows, 0, 1);
    out->request = mx_row_bytes(rows, 0, 2);
    out->nstages = mx_row_text_array(&out->stages, rows, 0, 3, pool);
    out->created_ts = mx_row_int(rows, 0, 4);
    *pout = out;
    return APR_SUCCESS;
}

apr_status_t mx_store_uia_rebind(mx_store_t *store, const char *session, mx_slice_t request, apr_pool_t *pool)
{
    mx_rows_t *rows = NULL;
    apr_status_t rv = mx_store_run(&rows, store, pool, &uia_rebind, session, request);

    return some_or_none(rv, rows);
}

apr_status_t mx_store_uia_pass(mx_store_t *store, const char *session, const char *stage, apr_int64_t user_nid,
                               apr_pool_t *pool)
{
    mx_rows_t *rows = NULL;
    apr_status_t rv = mx_store_run(&rows, store, pool, &uia_pass, session, stage, user_nid ? &user_nid : NULL);

    return some_or_none(rv, rows);
}

apr_status_t mx_store_uia_pass_token(mx_store_t *store, const char *session, const char *stage, const char *token,
                                     apr_int64_t now_ms, apr_pool_t *pool)
{
    mx_rows_t *rows = NULL;
    apr_status_t rv = mx_store_run(&rows, store, pool, &uia_pass_token, session, stage, token, now_ms);

    return some_or_none(rv, rows);
}

apr_status_t mx_store_uia_finish(mx_conn_t *conn, const char *session, apr_pool_t *pool)
{
    mx_rows_t *rows = NULL;
    apr_status_t rv = mx_store_query(&rows, conn, pool, &uia_finish, session);

    if (rv) return rv;
    return mx_rows_count(rows) ? APR_SUCCESS : MX_STORE_NONE;
}
