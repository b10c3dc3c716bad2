/* SPDX-License-Identifier: Apache-2.0 */
/* Typing rows. */
#include "store/typing.h"

#define MOVE " on conflict (room_nid) do update set stream = excluded.stream"

MX_STMT(typing_start, "llll",
        "with known as (select 1 from typing where room_nid = $1::int8 and user_nid = $2::int8 and until_ts > $4::int8),"
        " typist as (insert into typing (room_nid, user_nid, until_ts) values ($1::int8, $2::int8, $3::int8)"
        "   on conflict (room_nid, user_nid) do update set until_ts = excluded.until_ts)"
        " insert into typing_room (room_nid, stream) select $1::int8, stream_next() where not exists (select 1 from known)" MOVE);
MX_STMT(typing_stop, "ll",
        "with gone as (delete from typing where room_nid = $1::int8 and user_nid = $2::int8 returning 1)"
        " insert into typing_room (room_nid, stream) select $1::int8, stream_next() from gone" MOVE);
MX_STMT(typing_expire, "l",
        "with gone as (delete from typing where until_ts <= $1::int8 returning room_nid)"
        " insert into typing_room (room_nid, stream)"
        " select room_nid, stream_next() from (select distinct room_nid from gone) rooms" MOVE);
MX_STMT(typing_next, "", "select min(until_ts) from typing");

apr_status_t mx_store_typing_start(int *pmoved, mx_store_t *store, apr_int64_t room_nid, apr_int64_t user_nid, apr_int64_t until_ms,
                                   apr_int64_t now_ms, apr_pool_t *pool)
{
    mx_rows_t *rows = NULL;
    apr_status_t rv = mx_store_run(&rows, store, pool, &typing_start, room_nid, user_nid, until_ms, now_ms);

    if (rv == APR_SUCCESS) *pmoved = mx_rows_affected(rows) > 0;
    return rv;
}

apr_status_t mx_store_typing_stop(int *pmoved, mx_store_t *store, apr_int64_t room_nid, apr_int64_t user_nid, apr_pool_t *pool)
{
    mx_rows_t *rows = NULL;
    apr_status_t rv = mx_store_run(&rows, store, pool, &typing_stop, room_nid, user_nid);

    if (rv == APR_SUCCESS) *pmoved = mx_rows_affected(rows) > 0;
    return rv;
}

apr_status_t mx_store_typing_expire(int *pmoved, apr_int64_t *pnext_ms, mx_conn_t *conn, apr_int64_t now_ms, apr_pool_t *pool)
{
    mx_rows_t *rows = NULL;
    apr_status_t rv = mx_store_query(&rows, conn, pool, &typing_expire, now_ms);

    if (rv != APR_SUCCESS) return rv;
    *pmoved = mx_rows_affected(rows) > 0;
    rv = mx_store_query(&rows, conn, pool, &typing_next);
    if (rv == APR_SUCCESS) *pnext_ms = mx_row_int(rows, 0, 0);
    return rv;
}
