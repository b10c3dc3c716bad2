/* SPDX-License-Identifier: Apache-2.0 */
/* Access and refresh tokens: rows of `access_token`, `refresh_token` and `token_epoch`. */
#include "store/token.h"

MX_STMT(
    token_lookup, "b",
    "select t.user_nid, m.mxid, t.device_nid, d.device_id, t.expires_ts, d.last_seen_ts, e.epoch, t.refresh_nid, a.kind, a.admin,"
    " a.deactivated, exists (select from refresh_token p where p.next_nid = t.refresh_nid)"
    " from access_token t join device d on d.device_nid = t.device_nid join account a on a.user_nid = t.user_nid"
    " join mxid m on m.user_nid = t.user_nid join token_epoch e on e.shard = (t.user_nid & 63)::int2"
    " where t.token_hash = $1::bytea");
MX_STMT(token_epochs, "", "select array_agg(epoch order by shard) from token_epoch");
/* Cut access tokens stay as expired ones, so that their holder is told to refresh and not that he was logged out. */
MX_STMT(
    token_confirm, "lll",
    "with old as (select refresh_nid from refresh_token where next_nid = $1::int8),"
    " cut as (update access_token set refresh_nid = null, expires_ts = least(coalesce(expires_ts, $3::int8), $3::int8)"
    "  where refresh_nid in (select refresh_nid from old)),"
    " gone as (delete from refresh_token where refresh_nid in (select refresh_nid from old))"
    " update token_epoch set epoch = epoch + 1 where shard = ($2::int8 & 63)::int2 and exists (select from old) returning epoch");
MX_STMT(
    token_open, "lssslbnbns",
    "with acc as (select user_nid from account where user_nid = $1::int8 and not deactivated"
    "  and password_hash is not distinct from $10::text for share),"
    " dev as (insert into device (user_nid, device_id, display_name, created_ts, last_seen_ts, last_seen_ip)"
    "  select user_nid, $2::text, $3::text, $5::int8, $5::int8, $4::text from acc"
    "  on conflict (user_nid, device_id) do update set last_seen_ts = excluded.last_seen_ts, last_seen_ip = excluded.last_seen_ip"
    "  returning device_nid),"
    " old_access as (delete from access_token where device_nid in (select device_nid from dev) returning 1),"
    " old_refresh as (delete from refresh_token where device_nid in (select device_nid from dev)),"
    " refresh as (insert into refresh_token (token_hash, device_nid, expires_ts)"
    "  select $8::bytea, device_nid, $9::int8 from dev where $8::bytea is not null returning refresh_nid),"
    " access as (insert into access_token (token_hash, device_nid, user_nid, expires_ts, refresh_nid)"
    "  select $6::bytea, device_nid, $1::int8, $7::int8, (select refresh_nid from refresh) from dev),"
    " moved as (update token_epoch set epoch = epoch + 1 where shard = ($1::int8 & 63)::int2 and exists (select from old_access)"
    "  returning epoch)"
    " select device_nid, (select epoch from moved) from dev");
MX_STMT(token_refresh_find, "b",
        "select r.refresh_nid, r.device_nid, d.user_nid, r.next_nid, r.expires_ts, a.deactivated"
        " from refresh_token r join device d on d.device_nid = r.device_nid join account a on a.user_nid = d.user_nid"
        " where r.token_hash = $1::bytea for update of r");
MX_STMT(token_refresh_exchange, "llllbnbnl",
        "with unused as (delete from refresh_token where refresh_nid = $4::int8),"
        " forgotten as (delete from access_token where device_nid = $2::int8 and expires_ts < $9::int8),"
        " refresh as (insert into refresh_token (token_hash, device_nid, expires_ts)"
        "  values ($7::bytea, $2::int8, $8::int8) returning refresh_nid),"
        " link as (update refresh_token set next_nid = (select refresh_nid from refresh) where refresh_nid = $1::int8)"
        " insert into access_token (token_hash, device_nid, user_nid, expires_ts, refresh_nid)"
        " select $5::bytea, $2::int8, $3::int8, $6::int8, refresh_nid from refresh");

static mx_slice_t hash_slice(const unsigned char hash[MX_SHA256_BYTES])
{
    return mx_slice((const char *)hash, MX_SHA256_BYTES);
}

apr_status_t mx_store_token_lookup(mx_token_row_t **pout, mx_store_t *store, const unsigned char hash[MX_SHA256_BYTES],
                                   apr_pool_t *pool)
{
    mx_rows_t *rows = NULL;
    mx_token_row_t *out;
    apr_status_t rv = mx_store_run(&rows, store, pool, &token_lookup, hash_slice(hash));

    if (rv) return rv;
    if (!mx_rows_count(rows)) return MX_STORE_NONE;
    out = apr_pcalloc(pool, sizeof(*out));
    out->user_nid = mx_row_int(rows, 0, 0);
    out->user_id = mx_row_text(rows, 0, 1);
    out->device_nid = mx_row_int(rows, 0, 2);
    out->device_id = mx_row_text(rows, 0, 3);
    out->expires_ts = mx_row_int(rows, 0, 4);
    out->last_seen_ts = mx_row_int(rows, 0, 5);
    out->epoch = mx_row_int(rows, 0, 6);
    out->refresh_nid = mx_row_int(rows, 0, 7);
    out->guest = mx_row_int(rows, 0, 8) == 1;
    out->admin = mx_row_bool(rows, 0, 9);
    out->deactivated = mx_row_bool(rows, 0, 10);
    out->unconfirmed = mx_row_bool(rows, 0, 11);
    *pout = out;
    return APR_SUCCESS;
}

apr_status_t mx_store_token_epochs(apr_int64_t out[MX_TOKEN_SHARDS], mx_store_t *store, apr_pool_t *pool)
{
    mx_rows_t *rows = NULL;
    apr_int64_t *epochs;
    apr_status_t rv = mx_store_run(&rows, store, pool, &token_epochs);

    if (rv) return rv;
    if (mx_row_int_array(&epochs, rows, 0, 0, pool) != MX_TOKEN_SHARDS) return MX_STORE_ERROR;
    memcpy(out, epochs, sizeof(*out) * MX_TOKEN_SHARDS);
    return APR_SUCCESS;
}

apr_status_t mx_store_token_confirm(apr_int64_t *pepoch, mx_conn_t *conn, apr_int64_t refresh_nid, apr_int64_t user_nid,
                                    apr_int64_t now_ms, apr_pool_t *pool)
{
    mx_rows_t *rows = NULL;
    apr_status_t rv = mx_store_query(&rows, conn, pool, &token_confirm, refresh_nid, user_nid, now_ms);

    if (!rv) *pepoch = mx_rows_count(rows) ? mx_row_int(rows, 0, 0) : 0;
    return rv;
}

apr_status_t mx_store_token_open(apr_int64_t *pepoch, mx_conn_t *conn, const mx_token_open_t *open, apr_pool_t *pool)
{
    mx_rows_t *rows = NULL;
    apr_status_t rv = mx_store_query(
        &rows, conn, pool, &token_open, open->user_nid, open->device_id, open->display_name, open->ip, open->now_ms,
        open->access_hash, open->access_expires_ts, open->refresh_hash, open->refresh_expires_ts, open->password_hash);

    if (rv) return rv;
    if (!mx_rows_count(rows)) return MX_STORE_NONE;
    *pepoch = mx_row_int(rows, 0, 1);
    return APR_SUCCESS;
}

apr_status_t mx_store_token_refresh_find(mx_refresh_row_t *out, mx_conn_t *conn,
                                         const unsigned char hash[MX_SHA256_BYTES], apr_pool_t *pool)
{
    mx_rows_t *rows = NULL;
    apr_status_t rv = mx_store_query(&rows, conn, pool, &token_refresh_find, hash_slice(hash));

    if (rv) return rv;
    if (!mx_rows_count(rows)) return MX_STORE_NONE;
    out->refresh_nid = mx_row_int(rows, 0, 0);
    out->device_nid = mx_row_int(rows, 0, 1);
    out->user_nid = mx_row_int(rows, 0, 2);
    out->next_nid = mx_row_int(rows, 0, 3);
    out->expires_ts = mx_row_int(rows, 0, 4);
    out->deactivated = mx_row_bool(rows, 0, 5);
    return APR_SUCCESS;
}

apr_status_t mx_store_token_refresh_exchange(mx_conn_t *conn, const mx_refresh_row_t *old, const mx_token_open_t *open,
                                             apr_int64_t forget_ts, apr_pool_t *pool)
{
    return mx_store_query(NULL, conn, pool, &token_refresh_exchange, old->refresh_nid, old->device_nid, old->user_nid,
                          old->next_nid, open->access_hash, open->access_expires_ts, open->refresh_hash,
                          open->refresh_expires_ts, forget_ts);
}
