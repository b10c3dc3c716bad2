/* SPDX-License-Identifier: Apache-2.0 */
/* Pushing: marks, cursors, counts. */
#include "store/push.h"

#include "store/stream.h"

#define SPAN 2000                    /* positions that are looked through at once */
#define CALL "m.call.invite"

/*
 * Cursors, counts and marks need not be on the disk before we go on: what a crash of the database takes of them comes back as a push that
 * is repeated, for they go in the order in which they were written.
 */
#define LAZILY " cross join (select set_config('synchronous_commit', 'off', true) as c) lazily where lazily.c is not null"

MX_STMT(push_any, "", "select exists (select from pusher)");
MX_STMT(push_cursor, "", "select pos from push_cursor");
MX_STMT(push_mark, "ll",
        "select push_mark($1::int8, $2::int8, array(select type_nid from ev_type where type in ('m.room.message', 'm.room.encrypted', '" CALL
        "')), (select type_nid from ev_type where type = 'm.room.redaction'), (select type_nid from ev_type where type = 'm.room.member'))"
        " from (select 1) one" LAZILY);
MX_STMT(push_due, "LSi",
        "select p.pusher_nid, p.user_nid, p.pos, p.counted, p.changed_ts, coalesce(p.failing_ts, 0), p.told_unread, p.told_calls, u.mxid,"
        " p.app_id, p.pushkey, p.url, p.body, p.look, p.fails,"
        " (select count(*) from member m where m.user_nid = p.user_nid and m.local and m.membership = 1)"
        " from pusher p join mxid u on u.user_nid = p.user_nid"
        " where p.look <> 0 and p.due <= clock_timestamp() and p.pusher_nid <> all($1::int8[]) and p.url <> all($2::text[])"
        " order by p.due limit $3::int4");
MX_STMT(push_next, "L",
        "select greatest(ceil(extract(epoch from min(due) - clock_timestamp()) * 1000), 0)::int8 from pusher"
        " where look <> 0 and pusher_nid <> all($1::int8[])");
MX_STMT(push_events, "lllLi",
        "select " MX_EVENT_COLUMNS ", x.pos, r.room_id, x.invite from push_events($1::int8, $2::int8, $3::int8, $4::int8[], $5::int4) x"
        " join event e on e.nid = x.nid left join state_event s on s.nid = e.nid join room r on r.room_nid = e.room_nid order by x.pos");
MX_STMT(push_counts, "ll",
        "select c.room_nid, c.unread, c.calls, c.upto, r.room_id, r.last_stream > c.upto or exists (select from receipt t where t.room_nid = c.room_nid"
        " and t.user_nid = $2::int8 and t.stream > c.upto) or not exists (select from member m where m.room_nid = c.room_nid"
        " and m.user_nid = $2::int8 and m.membership = 2)"
        " from push_count c join room r on r.room_nid = c.room_nid where c.pusher_nid = $1::int8 order by c.room_nid");
MX_STMT(push_rooms, "l",
        "select r.room_nid, r.room_id from member m join room r on r.room_nid = m.room_nid"
        " where m.user_nid = $1::int8 and m.local and m.membership = 2 order by r.room_nid");
MX_STMT(push_calls, "lLlL",
        "select (select count(*) from unread_events($1::int8, q.room_nid, $3::int8, array[t.type_nid], false, $4::int8[]) v"
        "   where v.type_nid = t.type_nid)"
        " from unnest($2::int8[]) with ordinality q(room_nid, i) left join ev_type t on t.type = '" CALL "' order by q.i");
MX_STMT(push_recount, "lLLLol",
        "with gone as (delete from push_count where pusher_nid = $1::int8 and ($5::bool or room_nid = any($2::int8[]))"
        "   and not room_nid = any(array(select q.room from unnest($2::int8[], $3::int8[]) q(room, unread) where q.unread > 0))),"
        " anew as (update pusher set counted = case when $5::bool then $6::int8 else counted end where pusher_nid = $1::int8 returning 1)"
        " insert into push_count (pusher_nid, room_nid, unread, calls, upto) select $1::int8, q.room, q.unread, q.calls, $6::int8"
        " from unnest($2::int8[], $3::int8[], $4::int8[]) q(room, unread, calls) where q.unread > 0 and exists (select from anew)"
        " on conflict (pusher_nid, room_nid) do update set unread = excluded.unread, calls = excluded.calls, upto = excluded.upto");
/* $1 pusher, $2 cursor, $3 $4 what was told, $5 … $8 counts of a room, or nulls. */
#define MOVE(more)                                                                                                      \
    "with p as (update pusher set pos = greatest(pos, $2::int8), told_unread = $3::int8, told_calls = $4::int8, fails = 0,"  \
    " failing_ts = null" more " from (select 1) one" LAZILY " and pusher_nid = $1::int8 returning 1)"                   \
    " insert into push_count (pusher_nid, room_nid, unread, calls, upto) select $1::int8, $5::int8, $6::int8, $7::int8, $8::int8"  \
    " from p where $5::int8 is not null"                                                                                \
    " on conflict (pusher_nid, room_nid) do update set unread = excluded.unread, calls = excluded.calls, upto = excluded.upto"
MX_STMT(push_sent, "llllnnnn", MOVE(""));
/* A mark that was made since, or POST /pushers/set, is a reason to look again. */
#define UNMOVED "marked <= $2::int8 and changed_ts = $9::int8"
MX_STMT(push_done, "llllnnnnl",
        MOVE(", look = case when " UNMOVED " then 0 else look end, due = case when " UNMOVED " then 'infinity' else now() end"));
MX_STMT(push_failed, "lll",
        "update pusher set fails = fails + 1, failing_ts = coalesce(failing_ts, $2::int8),"
        " due = clock_timestamp() + $3::int8 * interval '1 ms' where pusher_nid = $1::int8");
MX_STMT(push_reject, "sss", "delete from pusher where app_id = $1::text and pushkey = $2::text and url = $3::text");

apr_status_t mx_store_push_any(int *pany, mx_store_t *store, apr_pool_t *pool)
{
    mx_rows_t *rows = NULL;
    apr_status_t rv = mx_store_run(&rows, store, pool, &push_any);

    if (rv == APR_SUCCESS) *pany = mx_row_bool(rows, 0, 0);
    return rv;
}

/* The watermark first: what is below it is there by the time of the next statement. */
apr_status_t mx_store_push_mark(apr_int64_t *ppos, int *pmore, mx_store_t *store, apr_pool_t *pool)
{
    apr_int64_t upto = 0, was;
    mx_rows_t *rows = NULL;
    mx_conn_t *conn = NULL;
    apr_status_t rv = mx_store_borrow(&conn, store, pool);

    if (rv == APR_SUCCESS) rv = mx_store_query(&rows, conn, pool, &push_cursor);
    if (rv == APR_SUCCESS) {
        upto = was = mx_row_int(rows, 0, 0);
        *ppos = was;
        rv = mx_store_stream_watermark_after(&upto, was, conn, pool);
        if (rv == APR_SUCCESS && upto > was) {
            rv = mx_store_query(&rows, conn, pool, &push_mark, upto, (apr_int64_t)SPAN);
            if (rv == APR_SUCCESS) *ppos = mx_row_int(rows, 0, 0);
        }
    }
    mx_store_return(conn);
    if (rv == APR_SUCCESS) *pmore = *ppos < upto;
    return rv;
}

static void read_due(mx_store_push_t *p, const mx_rows_t *rows, int i)
{
    int c = 0;

    p->nid = mx_row_int(rows, i, c++);
    p->user_nid = mx_row_int(rows, i, c++);
    p->pos = mx_row_int(rows, i, c++);
    p->counted = mx_row_int(rows, i, c++);
    p->changed_ts = mx_row_int(rows, i, c++);
    p->failing_ts = mx_row_int(rows, i, c++);
    p->told_unread = mx_row_int(rows, i, c++);
    p->told_calls = mx_row_int(rows, i, c++);
    p->user_id = mx_row_text(rows, i, c++);
    p->app_id = mx_row_text(rows, i, c++);
    p->pushkey = mx_row_text(rows, i, c++);
    p->url = mx_row_text(rows, i, c++);
    p->body = mx_row_bytes(rows, i, c++);
    p->look = (int)mx_row_int(rows, i, c++);
    p->fails = (int)mx_row_int(rows, i, c++);
    p->invites = mx_row_int(rows, i, c++);
}

apr_status_t mx_store_push_due(mx_store_push_t **pout, int *pn, apr_int64_t *pnext_ms, mx_store_t *store, const apr_int64_t *busy,
                               int nbusy, const char *const *full, int nfull, int limit, apr_pool_t *pool)
{
    mx_rows_t *rows = NULL;
    apr_status_t rv = mx_store_run(&rows, store, pool, &push_due, busy, nbusy, full, nfull, limit);
    int i;

    if (rv != APR_SUCCESS) return rv;
    *pn = mx_rows_count(rows);
    *pout = apr_pcalloc(pool, sizeof(**pout) * (apr_size_t)(*pn + 1));
    for (i = 0; i < *pn; i++) read_due(&(*pout)[i], rows, i);
    *pnext_ms = 0;
    if (*pn) return APR_SUCCESS;
    rv = mx_store_run(&rows, store, pool, &push_next, busy, nbusy);
    if (rv == APR_SUCCESS) *pnext_ms = mx_row_is_null(rows, 0, 0) ? -1 : mx_row_int(rows, 0, 0);
    return rv;
}

apr_status_t mx_store_push_events(mx_store_push_event_t **pout, int *pn, mx_store_t *store, apr_int64_t user_nid, apr_int64_t after,
                                  apr_int64_t upto, const apr_int64_t *ignored, int nignored, int limit, apr_pool_t *pool)
{
    mx_rows_t *rows = NULL;
    apr_status_t rv = mx_store_run(&rows, store, pool, &push_events, user_nid, after, upto, ignored, nignored, limit);
    int i;

    if (rv != APR_SUCCESS) return rv;
    *pn = mx_rows_count(rows);
    *pout = apr_palloc(pool, sizeof(**pout) * (apr_size_t)(*pn + 1));
    for (i = 0; i < *pn; i++) {
        mx_store_event_read(&(*pout)[i].event, rows, i, 0);
        (*pout)[i].pos = mx_row_int(rows, i, MX_EVENT_NCOLUMNS);
        (*pout)[i].room_id = mx_row_text(rows, i, MX_EVENT_NCOLUMNS + 1);
        (*pout)[i].is_invite = mx_row_bool(rows, i, MX_EVENT_NCOLUMNS + 2);
    }
    return APR_SUCCESS;
}

apr_status_t mx_store_push_counts(mx_store_push_count_t **pout, int *pn, mx_store_t *store, apr_int64_t pusher_nid, apr_int64_t user_nid,
                                  apr_pool_t *pool)
{
    mx_rows_t *rows = NULL;
    apr_status_t rv = mx_store_run(&rows, store, pool, &push_counts, pusher_nid, user_nid);
    int i;

    if (rv != APR_SUCCESS) return rv;
    *pn = mx_rows_count(rows);
    *pout = apr_palloc(pool, sizeof(**pout) * (apr_size_t)(*pn + 1));
    for (i = 0; i < *pn; i++)
        (*pout)[i] = (mx_store_push_count_t){ mx_row_int(rows, i, 0), mx_row_int(rows, i, 1), mx_row_int(rows, i, 2),
                                              mx_row_int(rows, i, 3), mx_row_text(rows, i, 4), mx_row_bool(rows, i, 5) };
    return APR_SUCCESS;
}

apr_status_t mx_store_push_rooms(apr_int64_t **pnids, const char ***pids, int *pn, mx_store_t *store, apr_int64_t user_nid,
                                 apr_pool_t *pool)
{
    mx_rows_t *rows = NULL;
    apr_status_t rv = mx_store_run(&rows, store, pool, &push_rooms, user_nid);
    int i;

    if (rv != APR_SUCCESS) return rv;
    *pn = mx_rows_count(rows);
    *pnids = apr_palloc(pool, sizeof(**pnids) * (apr_size_t)(*pn + 1));
    *pids = apr_palloc(pool, sizeof(**pids) * (apr_size_t)(*pn + 1));
    for (i = 0; i < *pn; i++) {
        (*pnids)[i] = mx_row_int(rows, i, 0);
        (*pids)[i] = mx_row_text(rows, i, 1);
    }
    return APR_SUCCESS;
}

apr_status_t mx_store_push_calls(apr_int64_t *out, mx_store_t *store, apr_int64_t user_nid, const apr_int64_t *rooms, int n,
                                 apr_int64_t upto, const apr_int64_t *ignored, int nignored, apr_pool_t *pool)
{
    mx_rows_t *rows = NULL;
    apr_status_t rv = mx_store_run(&rows, store, pool, &push_calls, user_nid, rooms, n, upto, ignored, nignored);
    int i;

    for (i = 0; rv == APR_SUCCESS && i < n; i++) out[i] = mx_row_int(rows, i, 0);
    return rv;
}

apr_status_t mx_store_push_recount(mx_store_t *store, apr_int64_t pusher_nid, const mx_store_push_count_t *counts, int n, int all,
                                   apr_int64_t upto, apr_pool_t *pool)
{
    apr_int64_t *columns = apr_palloc(pool, sizeof(*columns) * 3 * (apr_size_t)(n + 1)), *rooms = columns, *unread = columns + n,
                *calls = columns + 2 * n;
    int i;

    for (i = 0; i < n; i++) {
        rooms[i] = counts[i].room_nid;
        unread[i] = counts[i].unread;
        calls[i] = counts[i].calls;
    }
    return mx_store_run(NULL, store, pool, &push_recount, pusher_nid, rooms, n, unread, n, calls, n, all, upto);
}

apr_status_t mx_store_push_sent(mx_store_t *store, const mx_store_push_t *push, apr_int64_t pos, const mx_store_push_count_t *count,
                                apr_pool_t *pool)
{
    return mx_store_run(NULL, store, pool, &push_sent, push->nid, pos, push->told_unread, push->told_calls, count ? &count->room_nid : NULL,
                        count ? &count->unread : NULL, count ? &count->calls : NULL, count ? &count->upto : NULL);
}

apr_status_t mx_store_push_done(mx_store_t *store, const mx_store_push_t *push, apr_int64_t upto, const mx_store_push_count_t *count,
                                apr_pool_t *pool)
{
    return mx_store_run(NULL, store, pool, &push_done, push->nid, upto, push->told_unread, push->told_calls,
                        count ? &count->room_nid : NULL, count ? &count->unread : NULL, count ? &count->calls : NULL,
                        count ? &count->upto : NULL, push->changed_ts);
}

apr_status_t mx_store_push_failed(mx_store_t *store, const mx_store_push_t *push, apr_int64_t now_ms, apr_int64_t due_ms, apr_pool_t *pool)
{
    return mx_store_run(NULL, store, pool, &push_failed, push->nid, now_ms, due_ms);
}

apr_status_t mx_store_push_reject(mx_store_t *store, const mx_store_push_t *push, apr_pool_t *pool)
{
    return mx_store_run(NULL, store, pool, &push_reject, push->app_id, push->pushkey, push->url);
}
