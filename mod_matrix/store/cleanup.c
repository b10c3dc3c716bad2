/* SPDX-License-Identifier: Apache-2.0 */
/* Rows that have served their time. */
#include "store/cleanup.h"

static apr_status_t delete_some(int *pn, mx_store_t *store, mx_stmt_t *stmt, apr_int64_t before_ts, int limit, apr_pool_t *pool)
{
    mx_rows_t *rows = NULL;
    apr_status_t rv = mx_store_run(&rows, store, pool, stmt, before_ts, limit);
    if (rv == APR_SUCCESS)
        *pn = mx_rows_affected(rows);
    return rv;
}

/* By the index on nid: events are numbered as they come, so the old ones are in front and no index by day is needed. */
MX_STMT(cleanup_txns, "li",
        "with old as (select nid, day from txn order by nid limit $2::int4)"
        " delete from txn t using old where t.nid = old.nid and t.day = old.day and old.day < to_timestamp($1::int8 / 1000.0)::date");
MX_STMT(cleanup_uia, "li",
        "with old as (select session from uia_session where created_ts < $1::int8 order by created_ts limit $2::int4 for update skip locked),"
        " gone as (delete from uia_session u using old where u.session = old.session returning u.registration_token),"
        " freed as (select registration_token, count(*)::int4 as n from gone where registration_token is not null group by 1),"
        " back as (update registration_token r set pending = greatest(r.pending - f.n, 0) from freed f where r.token = f.registration_token)"
        " select from gone");
MX_STMT(cleanup_access_tokens, "li",
        "delete from access_token where token_hash in"
        " (select token_hash from access_token where expires_ts < $1::int8 limit $2::int4 for update skip locked)");
MX_STMT(cleanup_refresh_tokens, "li",
        "delete from refresh_token where refresh_nid in (select r.refresh_nid from refresh_token r where r.expires_ts < $1::int8"
        " and not exists (select from access_token a where a.refresh_nid = r.refresh_nid) limit $2::int4 for update skip locked)");
MX_STMT(cleanup_resolutions, "li",
        "delete from stres_memo where (room_nid, key) in (select room_nid, key from stres_memo"
        " where day < to_timestamp($1::int8 / 1000.0)::date limit $2::int4 for update skip locked)");
MX_STMT(cleanup_sliding, "li",
        "delete from sliding_state where (device_nid, conn_id, version) in (select device_nid, conn_id, version from sliding_state"
        " where used_ts < $1::int8 order by used_ts limit $2::int4 for update skip locked)");

MX_STMT(cleanup_delayed, "li",
        "delete from delayed_event where nid in (select nid from delayed_event"
        " where finalised_ts < $1::int8 order by finalised_ts limit $2::int4 for update skip locked)");

MX_STMT(cleanup_sticky, "li",
        "delete from sticky where nid in (select nid from sticky where until_ts < $1::int8 order by until_ts limit $2::int4"
        " for update skip locked)");

#define DELETE_SOME(name)                                                                                            \
    apr_status_t mx_store_##name(int *pn, mx_store_t *store, apr_int64_t before_ts, int limit, apr_pool_t *pool)     \
    {                                                                                                                \
        return delete_some(pn, store, &name, before_ts, limit, pool);                                                \
    }

DELETE_SOME(cleanup_txns)
DELETE_SOME(cleanup_uia)
DELETE_SOME(cleanup_access_tokens)
DELETE_SOME(cleanup_refresh_tokens)
DELETE_SOME(cleanup_resolutions)
DELETE_SOME(cleanup_delayed)
DELETE_SOME(cleanup_sticky)
DELETE_SOME(cleanup_sliding)
