/* SPDX-License-Identifier: Apache-2.0 */
/* The stream as the notifier follows it: one query a kind, each by an index on the position. */
#include "store/sync.h"

/*
 * By number, and by the index of those few whose position is another (sql/0013_late_events.sql). The limit stands inside: a planner
 * that does not know how short the range is would read whole tables to join with.
 */
#define FOLLOWED                                                                                                        \
    "(select * from (select v.*, v.nid as pos from event v where v.nid > $1::int8 and v.nid <= $2::int8 and v.ord = v.nid"  \
    " union all"                                                                                                        \
    " select v.*, v.ord from event v where v.ord > $1::int8 and v.ord <= $2::int8 and v.ord > 0 and v.ord <> v.nid) r"  \
    " order by pos limit $3::int4) e"
MX_STMT(sync_stream_events, "lli",
        "select " MX_EVENT_COLUMNS ", r.room_id, t.type, u.mxid, k.state_key, tu.user_nid, pe.pdu, pe.event_id, pe.snap_nid,"
        " x.device_nid, x.txn_id, case when l.stream < e.pos then l.snap_nid else (select w.snap_nid from room_state_log w"
        "   where w.room_nid = e.room_nid and w.stream < e.pos order by w.stream desc limit 1) end, l.snap_nid,"
        " (select true from gap g where g.room_nid = e.room_nid and g.ord = e.pos), ep.marks, ep.thread, ep.mentions"
        " from " FOLLOWED " left join state_event s on s.nid = e.nid left join event_push ep on ep.nid = e.nid"
        " join room r on r.room_nid = e.room_nid join ev_type t on t.type_nid = e.type_nid join mxid u on u.user_nid = e.sender_nid"
        " left join skey k on k.skey_nid = s.skey_nid"
        " left join mxid tu on t.type = 'm.room.member' and tu.mxid = k.state_key"
        " left join event pe on pe.nid = s.replaces"
        " left join lateral (select device_nid, txn_id from txn where txn.nid = e.nid limit 1) x on true"
        " left join lateral (select o.stream, o.snap_nid from room_state_log o where o.room_nid = e.room_nid and o.stream <= e.pos"
        "   order by o.stream desc limit 1) l on true"
        " order by e.pos");
/* Members of ours behind changed state keys, as they are now. */
MX_STMT(sync_stream_moved, "lL",
        "select m.user_nid, m.room_nid, m.stream, m.membership from unnest($2::int8[]) w(skey_nid) join skey k on k.skey_nid = w.skey_nid"
        " join ev_type t on t.type_nid = k.type_nid and t.type = 'm.room.member' join mxid u on u.mxid = k.state_key and u.local"
        " join member m on m.room_nid = $1::int8 and m.user_nid = u.user_nid");
MX_STMT(sync_stream_account_data, "lli",
        "select a.stream, a.user_nid, a.room_nid, r.room_id, a.type, a.content"
        " from account_data a left join room r on r.room_nid = a.room_nid"
        " where a.stream > $1::int8 and a.stream <= $2::int8 order by a.stream limit $3::int4");
MX_STMT(sync_stream_receipts, "lli",
        "select c.stream, c.room_nid, c.user_nid, c.ts, r.room_id, u.mxid, c.type, c.thread_id, c.event_id"
        " from receipt c join room r on r.room_nid = c.room_nid join mxid u on u.user_nid = c.user_nid"
        " where c.stream > $1::int8 and c.stream <= $2::int8 order by c.stream limit $3::int4");
MX_STMT(sync_stream_typing, "llli",
        "select y.stream, y.room_nid, r.room_id, n.users, n.first_until"
        " from typing_room y join room r on r.room_nid = y.room_nid"
        " cross join lateral (select array_agg(u.mxid order by u.mxid) as users, min(p.until_ts) as first_until"
        "   from typing p join mxid u on u.user_nid = p.user_nid where p.room_nid = y.room_nid and p.until_ts > $3::int8) n"
        " where y.stream > $1::int8 and y.stream <= $2::int8 order by y.stream limit $4::int4");
MX_STMT(sync_stream_interest, "Ll",
        "select m.user_nid, m.room_nid, m.stream, m.membership from member m"
        " where m.local and m.user_nid = any($1::int8[]) and (m.membership = 2 or m.stream > $2::int8)");

apr_status_t mx_store_sync_events(mx_sync_event_row_t **pout, int *pn, int *pseen, mx_conn_t *conn, apr_int64_t after,
                                  apr_int64_t upto, int limit, apr_pool_t *pool)
{
    mx_rows_t *rows = NULL;
    apr_status_t rv = mx_store_query(&rows, conn, pool, &sync_stream_events, after, upto, limit);
    mx_sync_event_row_t *out;
    int i, n = 0;

    if (rv != APR_SUCCESS) return rv;
    out = apr_pcalloc(pool, sizeof(*out) * (apr_size_t)(mx_rows_count(rows) + 1));
    for (i = 0; i < mx_rows_count(rows); i++) {
        mx_sync_event_row_t *row = &out[n];
        int col = MX_EVENT_NCOLUMNS;

        mx_store_event_read(&row->event, rows, i, 0);
        if (row->event.flags & MX_EVENT_APART) continue;      /* a silent one may have changed the room's state */
        row->room_id = mx_row_text(rows, i, col++);
        row->type = mx_row_text(rows, i, col++);
        row->sender = mx_row_text(rows, i, col++);
        row->state_key = mx_row_text(rows, i, col++);
        row->target_nid = mx_row_int(rows, i, col++);
        row->replaced = mx_row_body(rows, i, col++);
        row->replaced_id = mx_row_bytes(rows, i, col++);
        row->replaced_snap = mx_row_int(rows, i, col++);
        row->txn_device_nid = mx_row_int(rows, i, col++);
        row->txn_id = mx_row_text(rows, i, col++);
        row->snap_was = mx_row_int(rows, i, col++);
        row->snap_is = mx_row_int(rows, i, col++);
        row->after_gap = mx_row_bool(rows, i, col++);
        row->marked = !mx_row_is_null(rows, i, col);
        row->marks = (int)mx_row_int(rows, i, col++);
        row->thread = mx_row_text(rows, i, col++);
        row->nmentions = row->marked ? mx_row_int_array(&row->mentions, rows, i, col, pool) : 0;
        n++;
    }
    *pout = out;
    *pn = n;
    *pseen = mx_rows_count(rows);
    return APR_SUCCESS;
}

static int read_data(mx_sync_data_row_t **pout, const mx_rows_t *rows, apr_pool_t *pool)
{
    int i, n = mx_rows_count(rows);
    mx_sync_data_row_t *out = apr_palloc(pool, sizeof(*out) * (apr_size_t)(n + 1));

    for (i = 0; i < n; i++)
        out[i] = (mx_sync_data_row_t){ mx_row_int(rows, i, 0), mx_row_int(rows, i, 1), mx_row_int(rows, i, 2), mx_row_text(rows, i, 3),
                                       mx_row_text(rows, i, 4), mx_row_bytes(rows, i, 5) };
    *pout = out;
    return n;
}

static int read_receipts(mx_sync_receipt_row_t **pout, const mx_rows_t *rows, apr_pool_t *pool)
{
    int i, n = mx_rows_count(rows);
    mx_sync_receipt_row_t *out = apr_palloc(pool, sizeof(*out) * (apr_size_t)(n + 1));

    for (i = 0; i < n; i++)
        out[i] = (mx_sync_receipt_row_t){ mx_row_int(rows, i, 0), mx_row_int(rows, i, 1), mx_row_int(rows, i, 2), mx_row_int(rows, i, 3),
                                          mx_row_text(rows, i, 4), mx_row_text(rows, i, 5), mx_row_text(rows, i, 6),
                                          mx_row_text(rows, i, 7), mx_row_bytes(rows, i, 8) };
    *pout = out;
    return n;
}

static int read_typing(mx_sync_typing_row_t **pout, const mx_rows_t *rows, apr_pool_t *pool)
{
    int i, n = mx_rows_count(rows);
    mx_sync_typing_row_t *out = apr_pcalloc(pool, sizeof(*out) * (apr_size_t)(n + 1));

    for (i = 0; i < n; i++) {
        out[i].stream = mx_row_int(rows, i, 0);
        out[i].room_nid = mx_row_int(rows, i, 1);
        out[i].room_id = mx_row_text(rows, i, 2);
        out[i].nusers = mx_row_is_null(rows, i, 3) ? 0 : mx_row_text_array(&out[i].user_ids, rows, i, 3, pool);
        out[i].first_until = mx_row_int(rows, i, 4);
    }
    *pout = out;
    return n;
}

apr_status_t mx_store_sync_account_data(mx_sync_data_row_t **pout, int *pn, mx_conn_t *conn, apr_int64_t after, apr_int64_t upto,
                                        int limit, apr_pool_t *pool)
{
    mx_rows_t *rows = NULL;
    apr_status_t rv = mx_store_query(&rows, conn, pool, &sync_stream_account_data, after, upto, limit);

    if (rv == APR_SUCCESS) *pn = read_data(pout, rows, pool);
    return rv;
}

apr_status_t mx_store_sync_receipts(mx_sync_receipt_row_t **pout, int *pn, mx_conn_t *conn, apr_int64_t after, apr_int64_t upto,
                                    int limit, apr_pool_t *pool)
{
    mx_rows_t *rows = NULL;
    apr_status_t rv = mx_store_query(&rows, conn, pool, &sync_stream_receipts, after, upto, limit);

    if (rv == APR_SUCCESS) *pn = read_receipts(pout, rows, pool);
    return rv;
}

apr_status_t mx_store_sync_typing(mx_sync_typing_row_t **pout, int *pn, mx_conn_t *conn, apr_int64_t after, apr_int64_t upto,
                                  apr_int64_t now_ms, int limit, apr_pool_t *pool)
{
    mx_rows_t *rows = NULL;
    apr_status_t rv = mx_store_query(&rows, conn, pool, &sync_stream_typing, after, upto, now_ms, limit);

    if (rv == APR_SUCCESS) *pn = read_typing(pout, rows, pool);
    return rv;
}

static int read_interest(mx_sync_interest_row_t **pout, const mx_rows_t *rows, apr_pool_t *pool)
{
    int i, n = mx_rows_count(rows);
    mx_sync_interest_row_t *out = apr_palloc(pool, sizeof(*out) * (apr_size_t)(n + 1));

    for (i = 0; i < n; i++)
        out[i] = (mx_sync_interest_row_t){ mx_row_int(rows, i, 0), mx_row_int(rows, i, 1), mx_row_int(rows, i, 2),
                                           (int)mx_row_int(rows, i, 3) };
    *pout = out;
    return n;
}

apr_status_t mx_store_sync_interest(mx_sync_interest_row_t **pout, int *pn, mx_conn_t *conn, const apr_int64_t *user_nids, int n,
                                    apr_int64_t since, apr_pool_t *pool)
{
    mx_rows_t *rows = NULL;
    apr_status_t rv = mx_store_query(&rows, conn, pool, &sync_stream_interest, user_nids, n, since);

    if (rv == APR_SUCCESS) *pn = read_interest(pout, rows, pool);
    return rv;
}

apr_status_t mx_store_sync_moved(mx_sync_interest_row_t **pout, int *pn, mx_conn_t *conn, apr_int64_t room_nid, const apr_int64_t *skeys,
                                 int n, apr_pool_t *pool)
{
    mx_rows_t *rows = NULL;
    apr_status_t rv = mx_store_query(&rows, conn, pool, &sync_stream_moved, room_nid, skeys, n);

    if (rv == APR_SUCCESS) *pn = read_interest(pout, rows, pool);
    return rv;
}

/* ---- the same kinds for one answer: chosen rooms, each since a position of its own ---- */

#define ASKED "unnest($1::int8[], $2::int8[]) as q(room_nid, since)"

MX_STMT(sync_room_receipts, "LLll",
        "select c.stream, c.room_nid, c.user_nid, c.ts, null::text, u.mxid, c.type, c.thread_id, c.event_id"
        " from " ASKED " join receipt c on c.room_nid = q.room_nid and c.stream > q.since and c.stream <= $3::int8"
        " join mxid u on u.user_nid = c.user_nid"
        " where c.type <> 'm.read.private' or c.user_nid = $4::int8 order by c.room_nid, c.stream");
MX_STMT(sync_room_typing, "LLll",
        "select y.stream, y.room_nid, null::text, n.users, n.first_until"
        " from " ASKED " join typing_room y on y.room_nid = q.room_nid and y.stream > q.since and y.stream <= $3::int8"
        " cross join lateral (select array_agg(u.mxid order by u.mxid) as users, min(p.until_ts) as first_until"
        "   from typing p join mxid u on u.user_nid = p.user_nid where p.room_nid = y.room_nid and p.until_ts > $4::int8) n"
        " order by y.room_nid");
MX_STMT(sync_user_data, "LLlll",
        "select a.stream, a.user_nid, a.room_nid, null::text, a.type, a.content from account_data a"
        " where a.user_nid = $4::int8 and a.room_nid = 0 and a.stream > $5::int8 and a.stream <= $3::int8"
        " union all"
        " select a.stream, a.user_nid, a.room_nid, null::text, a.type, a.content"
        " from " ASKED " join account_data a on a.user_nid = $4::int8 and a.room_nid = q.room_nid"
        "   and a.stream > q.since and a.stream <= $3::int8"
        " order by 3, 1");

static void split(apr_int64_t **prooms, apr_int64_t **psince, const mx_sync_since_t *rooms, int n, apr_pool_t *pool)
{
    int i;

    *prooms = apr_palloc(pool, sizeof(**prooms) * (apr_size_t)(n + 1));
    *psince = apr_palloc(pool, sizeof(**psince) * (apr_size_t)(n + 1));
    for (i = 0; i < n; i++) {
        (*prooms)[i] = rooms[i].room_nid;
        (*psince)[i] = rooms[i].since;
    }
}

apr_status_t mx_store_sync_room_receipts(mx_sync_receipt_row_t **pout, int *pn, mx_conn_t *conn, const mx_sync_since_t *rooms, int nrooms,
                                         apr_int64_t upto, apr_int64_t reader_nid, apr_pool_t *pool)
{
    apr_int64_t *nids, *since;
    mx_rows_t *rows = NULL;
    apr_status_t rv;

    split(&nids, &since, rooms, nrooms, pool);
    rv = mx_store_query(&rows, conn, pool, &sync_room_receipts, nids, nrooms, since, nrooms, upto, reader_nid);
    if (rv == APR_SUCCESS) *pn = read_receipts(pout, rows, pool);
    return rv;
}

apr_status_t mx_store_sync_room_typing(mx_sync_typing_row_t **pout, int *pn, mx_conn_t *conn, const mx_sync_since_t *rooms, int nrooms,
                                       apr_int64_t upto, apr_int64_t now_ms, apr_pool_t *pool)
{
    apr_int64_t *nids, *since;
    mx_rows_t *rows = NULL;
    apr_status_t rv;

    split(&nids, &since, rooms, nrooms, pool);
    rv = mx_store_query(&rows, conn, pool, &sync_room_typing, nids, nrooms, since, nrooms, upto, now_ms);
    if (rv == APR_SUCCESS) *pn = read_typing(pout, rows, pool);
    return rv;
}

apr_status_t mx_store_sync_user_data(mx_sync_data_row_t **pout, int *pn, mx_conn_t *conn, apr_int64_t user_nid, apr_int64_t since,
                                     const mx_sync_since_t *rooms, int nrooms, apr_int64_t upto, apr_pool_t *pool)
{
    apr_int64_t *nids, *sinces;
    mx_rows_t *rows = NULL;
    apr_status_t rv;

    split(&nids, &sinces, rooms, nrooms, pool);
    rv = mx_store_query(&rows, conn, pool, &sync_user_data, nids, nrooms, sinces, nrooms, upto, user_nid, since);
    if (rv == APR_SUCCESS) *pn = read_data(pout, rows, pool);
    return rv;
}
