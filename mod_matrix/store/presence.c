/* SPDX-License-Identifier: Apache-2.0 */
/* Presence rows. */
#include "store/presence.h"

MX_STMT(presence_touch, "LLILLLLlll",
        "select moved, due from presence_touch($1::int8[], $2::int8[], $3::int4[], $4::int8[], $5::int8[], $6::int8[], $7::int8[],"
        " $8::int8, $9::int8, $10::int8)");
MX_STMT(presence_sweep, "illl", "select moved, due from presence_sweep($1::int4, $2::int8, $3::int8, $4::int8)");
MX_STMT(presence_say, "ls",
        "insert into presence_status (user_nid, status_msg) values ($1::int8, $2::text)"
        " on conflict (user_nid) do update set status_msg = excluded.status_msg where presence_status.status_msg <> excluded.status_msg");
MX_STMT(presence_unsay, "l", "delete from presence_status where user_nid = $1::int8");
MX_STMT(presence_get, "l",
        "select coalesce(p.stream, 0), x.user_nid, coalesce(p.state, 0), coalesce(p.active, false), coalesce(p.active_ts, 0),"
        " coalesce(p.due_ts, 0), s.status_msg, x.mxid from mxid x left join presence p on p.user_nid = x.user_nid"
        " left join presence_status s on s.user_nid = x.user_nid where x.user_nid = $1::int8");
MX_STMT(presence_shares, "ll",
        "select exists (select from member me join member o on o.room_nid = me.room_nid and o.user_nid = $2::int8 and o.membership = 2"
        " where me.local and me.user_nid = $1::int8 and me.membership = 2)");
#define COLUMNS "p.stream, p.user_nid, p.state, p.active, p.active_ts, 0, s.status_msg, x.mxid"
#define JOINS " join mxid x on x.user_nid = p.user_nid left join presence_status s on s.user_nid = p.user_nid"
MX_STMT(presence_news, "lliii",
        "select " COLUMNS ", array(select m.room_nid from member m join room r on r.room_nid = m.room_nid and r.joined <= $4::int4"
        "   where m.user_nid = p.user_nid and m.membership = 2 and m.local order by r.last_stream desc limit $5::int4)"
        " from presence p" JOINS " where p.stream > $1::int8 and p.stream <= $2::int8 order by p.stream limit $3::int4");
/* Rooms of the reader that carry presence, a bounded number. */
#define MINE(members, rooms)                                                                                                          \
    "with mine as materialized (select me.room_nid from member me join room r on r.room_nid = me.room_nid and r.joined <= " members  \
    "   where me.local and me.user_nid = $1::int8 and me.membership = 2 order by r.last_stream desc limit " rooms ")"
/* Who is there: `is true` keeps the rooms' members a hash that is made once. */
MX_STMT(presence_there, "lliii",
        MINE("$3::int4", "$5::int4")
        " select " COLUMNS " from (select * from presence where state > 0 and stream <= $2::int8"
        "   and (user_nid = $1::int8 or (user_nid in (select o.user_nid from mine join member o on o.room_nid = mine.room_nid"
        "     and o.membership = 2)) is true) order by stream desc limit $4::int4) p" JOINS " order by p.user_nid");
/* What changed: begins with the changes, also a bounded number, and asks of each whether there is a room in common. */
MX_STMT(presence_told, "lllLLiii",
        MINE("$6::int4", "$8::int4")
        " select " COLUMNS " from (select q.* from (select * from presence where stream > $2::int8 and stream <= $3::int8"
        "     order by stream desc limit $7::int4) q where q.user_nid = $1::int8 or exists (select from mine join member o"
        "     on o.room_nid = mine.room_nid and o.user_nid = q.user_nid and o.membership = 2)"
        "   union (select n.* from room r join member m on m.room_nid = r.room_nid and m.membership = 2"
        "     join presence n on n.user_nid = m.user_nid where r.joined <= $6::int4"
        "     and (r.room_nid = any($4::int8[]) or (r.room_nid = any($5::int8[]) and m.stream > $2::int8))"
        "     and n.state > 0 and n.stream <= $3::int8 limit $7::int4)) p" JOINS " order by p.user_nid");

static apr_int64_t *column(const mx_presence_device_t *devices, int n, apr_size_t offset, apr_pool_t *pool)
{
    apr_int64_t *out = apr_palloc(pool, sizeof(*out) * (apr_size_t)(n + 1));

    for (int i = 0; i < n; i++) memcpy(&out[i], (const char *)&devices[i] + offset, sizeof(*out));
    return out;
}

static void read_moved(mx_presence_moved_t *out, const mx_rows_t *rows)
{
    *out = (mx_presence_moved_t){ mx_row_int(rows, 0, 0), mx_row_int(rows, 0, 1) };
}

apr_status_t mx_store_presence_touch(mx_presence_moved_t *out, mx_conn_t *conn, const mx_presence_device_t *devices, int n,
                                     const apr_int64_t *told, int ntold, const mx_presence_clock_t *clock, apr_pool_t *pool)
{
#define COLUMN(member) column(devices, n, APR_OFFSETOF(mx_presence_device_t, member), pool), n
    int *states = apr_palloc(pool, sizeof(*states) * (apr_size_t)(n + 1));
    mx_rows_t *rows = NULL;
    apr_status_t rv;

    for (int i = 0; i < n; i++) states[i] = devices[i].state;
    rv = mx_store_query(&rows, conn, pool, &presence_touch, COLUMN(device_nid), COLUMN(user_nid), states, n, COLUMN(said_ms),
                        COLUMN(until_ms), COLUMN(active_ms), told, ntold, clock->now_ms, clock->active_ms, clock->idle_ms);
    if (rv == APR_SUCCESS) read_moved(out, rows);
    return rv;
#undef COLUMN
}

apr_status_t mx_store_presence_sweep(mx_presence_moved_t *out, mx_conn_t *conn, int limit, const mx_presence_clock_t *clock,
                                     apr_pool_t *pool)
{
    mx_rows_t *rows = NULL;
    apr_status_t rv = mx_store_query(&rows, conn, pool, &presence_sweep, limit, clock->now_ms, clock->active_ms, clock->idle_ms);

    if (rv == APR_SUCCESS) read_moved(out, rows);
    return rv;
}

apr_status_t mx_store_presence_status(int *pchanged, mx_conn_t *conn, apr_int64_t user_nid, const char *status_msg, apr_pool_t *pool)
{
    mx_rows_t *rows = NULL;
    apr_status_t rv = status_msg ? mx_store_query(&rows, conn, pool, &presence_say, user_nid, status_msg)
                                 : mx_store_query(&rows, conn, pool, &presence_unsay, user_nid);

    if (rv == APR_SUCCESS) *pchanged = mx_rows_affected(rows) > 0;
    return rv;
}

static void read_row(mx_presence_row_t *out, const mx_rows_t *rows, int i)
{
    *out = (mx_presence_row_t){ .stream = mx_row_int(rows, i, 0), .user_nid = mx_row_int(rows, i, 1),
                                .state = (mx_presence_e)mx_row_int(rows, i, 2), .active = mx_row_bool(rows, i, 3),
                                .active_ms = mx_row_int(rows, i, 4), .due_ms = mx_row_int(rows, i, 5),
                                .status_msg = mx_row_is_null(rows, i, 6) ? NULL : mx_row_text(rows, i, 6),
                                .user_id = mx_row_text(rows, i, 7) };
}

static mx_presence_row_t *read_rows(int *pn, const mx_rows_t *rows, apr_pool_t *pool)
{
    mx_presence_row_t *out = apr_palloc(pool, sizeof(*out) * (apr_size_t)(mx_rows_count(rows) + 1));

    for (int i = 0; i < mx_rows_count(rows); i++) read_row(&out[i], rows, i);
    *pn = mx_rows_count(rows);
    return out;
}

apr_status_t mx_store_presence_get(mx_presence_row_t *out, mx_store_t *store, apr_int64_t user_nid, apr_pool_t *pool)
{
    mx_rows_t *rows = NULL;
    apr_status_t rv = mx_store_run(&rows, store, pool, &presence_get, user_nid);

    if (rv != APR_SUCCESS) return rv;
    if (!mx_rows_count(rows)) return MX_STORE_NONE;
    read_row(out, rows, 0);
    return APR_SUCCESS;
}

apr_status_t mx_store_presence_shares(int *pshares, mx_store_t *store, apr_int64_t user_nid, apr_int64_t other_nid, apr_pool_t *pool)
{
    mx_rows_t *rows = NULL;
    apr_status_t rv = mx_store_run(&rows, store, pool, &presence_shares, user_nid, other_nid);

    if (rv == APR_SUCCESS) *pshares = mx_row_bool(rows, 0, 0);
    return rv;
}

apr_status_t mx_store_presence_news(mx_presence_row_t **pout, int *pn, mx_conn_t *conn, apr_int64_t after, apr_int64_t upto,
                                    const mx_presence_reach_t *reach, int limit, apr_pool_t *pool)
{
    mx_rows_t *rows = NULL;
    apr_status_t rv = mx_store_query(&rows, conn, pool, &presence_news, after, upto, limit, reach->max_members, reach->max_rooms);

    if (rv != APR_SUCCESS) return rv;
    *pout = read_rows(pn, rows, pool);
    for (int i = 0; i < *pn; i++) (*pout)[i].nrooms = mx_row_int_array(&(*pout)[i].rooms, rows, i, 8, pool);
    return APR_SUCCESS;
}

apr_status_t mx_store_presence_told(mx_presence_row_t **pout, int *pn, mx_conn_t *conn, const mx_presence_ask_t *ask, apr_pool_t *pool)
{
    mx_rows_t *rows = NULL;
    apr_status_t rv = ask->since < 0
        ? mx_store_query(&rows, conn, pool, &presence_there, ask->reader_nid, ask->upto, ask->reach.max_members, ask->limit,
                         ask->reach.max_rooms)
        : mx_store_query(&rows, conn, pool, &presence_told, ask->reader_nid, ask->since, ask->upto, ask->entered, ask->nentered, ask->moved,
                         ask->nmoved, ask->reach.max_members, ask->limit, ask->reach.max_rooms);

    if (rv == APR_SUCCESS) *pout = read_rows(pn, rows, pool);
    return rv;
}
