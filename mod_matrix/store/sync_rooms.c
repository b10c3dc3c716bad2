/* SPDX-License-Identifier: Apache-2.0 */
/* Rooms, timelines and state events of an answer: one query each for all rooms. */
#include "store/sync.h"

MX_STMT(sync_members, "ll",
        "select m.room_nid, m.nid, m.stream, r.last_stream, m.membership, m.forgotten, r.version, r.room_id, r.joined, r.snap_nid,"
        " r.state_redacted"
        " from member m join room r on r.room_nid = m.room_nid"
        " where m.local and m.user_nid = $1::int8 and (m.membership = 2 or m.stream > $2::int8) order by m.room_nid");
/* The span comes first, by the position's index: a planner that does not know how short it is might begin with whole rooms. */
#define MOVED(table, position)                                                                                                     \
    "(select from (select room_nid from " table " where " position " > $2::int8 and " position " <= $3::int8 order by " position   \
    " limit $4::int4) x join member m on m.room_nid = x.room_nid and m.user_nid = $1::int8 and m.membership = 2)"
MX_STMT(sync_quiet, "lllil",
        "select not exists (select from member m where m.local and m.user_nid = $1::int8 and m.stream > $2::int8)"
        " and not exists " MOVED("event", "nid") " and not exists " MOVED("(select * from event where ord > 0 and ord <> nid) late", "ord")
        " and not exists " MOVED("receipt", "stream")
        " and not exists " MOVED("typing_room", "stream")
        " and not exists (select from account_data a where a.user_nid = $1::int8 and a.stream > $2::int8 and a.stream <= $3::int8)"
        " and not exists (select from to_device t where t.device_nid = $5::int8 and t.stream > $2::int8 and t.stream <= $3::int8)"
        " and not exists (select from key_stock k where k.device_nid = $5::int8 and k.stream > $2::int8)"
        " and not exists (select from device_change c where c.stream > $2::int8 and c.viewer_nid in (0, $1::int8)"
        "   and (c.user_nid = $1::int8 or c.viewer_nid <> 0 or exists (select from member me join member o on o.room_nid = me.room_nid"
        "     and o.user_nid = c.user_nid and o.membership = 2 where me.local and me.user_nid = $1::int8 and me.membership = 2)))"
        " and not exists (select from presence p where p.stream > $2::int8 and p.stream <= $3::int8"
        "   and (p.user_nid = $1::int8 or exists (select from member me join member o on o.room_nid = me.room_nid"
        "     and o.user_nid = p.user_nid and o.membership = 2 where me.local and me.user_nid = $1::int8 and me.membership = 2)))");
MX_STMT(sync_timelines, "LLLioSoSoSoSL",
        "select t.*, q.i - 1, g.gap from unnest($1::int8[], $2::int8[], $3::int8[]) with ordinality as q(room_nid, after, upto, i)"
        " cross join lateral (select max(ord) as gap from gap where room_nid = q.room_nid and ord > q.after and ord <= q.upto) g"
        " left join lateral (select " MX_EVENT_COLUMNS " from event e left join state_event s on s.nid = e.nid"
        "   where e.room_nid = q.room_nid and e.ord > coalesce(g.gap - 1, q.after) and e.ord <= q.upto and " MX_EVENT_SHOWN("e")
        "   and ($5::bool is false or e.type_nid in (select type_nid from ev_type where type like any($6::text[])))"
        "   and ($7::bool is false or e.type_nid not in (select type_nid from ev_type where type like any($8::text[])))"
        "   and ($9::bool is false or e.sender_nid in (select user_nid from mxid where mxid = any($10::text[])))"
        "   and ($11::bool is false or e.sender_nid not in (select user_nid from mxid where mxid = any($12::text[])))"
        "   and (s.nid is not null or not e.sender_nid = any($13::int8[]))"
        "   order by e.ord desc limit $4::int4) t on true"
        " where t.nid is not null or g.gap is not null order by q.i, t.ord");
/* Two halves, each by the index: asking of each event whether it is among the members costs the product of the two. */
#define MEMBER_TYPE "(select type_nid from ev_type where type = 'm.room.member')"
MX_STMT(sync_state_rows, "LoL",
        "select " MX_EVENT_COLUMNS " from " MX_EVENT_FROM
        " where e.nid = any($1::int8[]) and ($2::bool is false or e.type_nid <> " MEMBER_TYPE ")"
        " union all select " MX_EVENT_COLUMNS " from " MX_EVENT_FROM
        " where $2::bool and e.nid = any($3::int8[]) and e.type_nid = " MEMBER_TYPE);
MX_STMT(sync_member_skeys, "L",
        "select u.user_nid, k.skey_nid from mxid u join skey k on k.state_key = u.mxid"
        " and k.type_nid = (select type_nid from ev_type where type = 'm.room.member') where u.user_nid = any($1::int8[])");
apr_status_t mx_store_sync_members(mx_sync_member_row_t **pout, int *pn, mx_conn_t *conn, apr_int64_t user_nid, apr_int64_t since,
                                   apr_pool_t *pool)
{
    mx_rows_t *rows = NULL;
    apr_status_t rv = mx_store_query(&rows, conn, pool, &sync_members, user_nid, since);
    mx_sync_member_row_t *out;
    int i;

    if (rv != APR_SUCCESS) return rv;
    out = apr_palloc(pool, sizeof(*out) * (apr_size_t)(mx_rows_count(rows) + 1));
    for (i = 0; i < mx_rows_count(rows); i++)
        out[i] = (mx_sync_member_row_t){
            .room_nid = mx_row_int(rows, i, 0), .nid = mx_row_int(rows, i, 1), .stream = mx_row_int(rows, i, 2),
            .last_stream = mx_row_int(rows, i, 3), .membership = (int)mx_row_int(rows, i, 4), .forgotten = mx_row_bool(rows, i, 5),
            .version = (int)mx_row_int(rows, i, 6), .room_id = mx_row_text(rows, i, 7), .joined = mx_row_int(rows, i, 8),
            .snap_nid = mx_row_int(rows, i, 9), .state_redacted = mx_row_int(rows, i, 10) };
    *pout = out;
    *pn = mx_rows_count(rows);
    return APR_SUCCESS;
}

apr_status_t mx_store_sync_quiet(int *pquiet, mx_conn_t *conn, apr_int64_t user_nid, apr_int64_t device_nid, apr_int64_t since,
                                 apr_int64_t upto, apr_pool_t *pool)
{
    mx_rows_t *rows = NULL;
    apr_status_t rv;

    *pquiet = upto <= since;
    if (*pquiet || upto - since > MX_SYNC_QUIET_SPAN) return APR_SUCCESS;
    rv = mx_store_query(&rows, conn, pool, &sync_quiet, user_nid, since, upto, MX_SYNC_QUIET_SPAN, device_nid);
    if (rv == APR_SUCCESS) *pquiet = mx_row_bool(rows, 0, 0);
    return rv;
}

static int count(const char **list)
{
    int n = 0;

    while (list && list[n]) n++;
    return n;
}

/* A row without an event says that its span has a gap and nothing after it. */
static void share_out(mx_sync_timeline_t *out, const mx_rows_t *rows, apr_pool_t *pool)
{
    mx_event_row_t *events = NULL;
    int i, n = mx_store_event_read_all(&events, rows, pool);

    for (i = 0; i < n; i++) {
        mx_sync_timeline_t *timeline = &out[mx_row_int(rows, i, MX_EVENT_NCOLUMNS)];

        timeline->gap = mx_row_int(rows, i, MX_EVENT_NCOLUMNS + 1);
        if (events[i].nid && !timeline->n++) timeline->rows = &events[i];
    }
}

apr_status_t mx_store_sync_timelines(mx_sync_timeline_t *out, mx_conn_t *conn, const mx_sync_span_t *spans, int nspans,
                                     const mx_sync_sql_filter_t *f, int limit, apr_pool_t *pool)
{
    apr_int64_t *columns[3];
    mx_rows_t *rows = NULL;
    apr_status_t rv;
    int i;

    for (i = 0; i < 3; i++) columns[i] = apr_palloc(pool, sizeof(apr_int64_t) * (apr_size_t)(nspans + 1));
    for (i = 0; i < nspans; i++) {
        columns[0][i] = spans[i].room_nid;
        columns[1][i] = spans[i].after;
        columns[2][i] = spans[i].upto;
    }
    rv = mx_store_query(&rows, conn, pool, &sync_timelines, columns[0], nspans, columns[1], nspans, columns[2], nspans, limit,
                        f->types != NULL, f->types, count(f->types), f->not_types != NULL, f->not_types, count(f->not_types),
                        f->senders != NULL, f->senders, count(f->senders), f->not_senders != NULL, f->not_senders,
                        count(f->not_senders), f->ignored, f->nignored);
    memset(out, 0, sizeof(*out) * (apr_size_t)nspans);
    if (rv == APR_SUCCESS) share_out(out, rows, pool);
    return rv;
}

apr_status_t mx_store_sync_state_rows(mx_event_row_t **pout, int *pn, mx_conn_t *conn, const apr_int64_t *nids, int n, int lazy,
                                      const apr_int64_t *members, int nmembers, apr_pool_t *pool)
{
    mx_rows_t *rows = NULL;
    apr_status_t rv = mx_store_query(&rows, conn, pool, &sync_state_rows, nids, n, lazy, members, nmembers);

    if (rv == APR_SUCCESS) *pn = mx_store_event_read_all(pout, rows, pool);
    return rv;
}

apr_status_t mx_store_sync_member_skeys(mx_sync_skey_row_t **pout, int *pn, mx_conn_t *conn, const apr_int64_t *user_nids, int n,
                                        apr_pool_t *pool)
{
    mx_rows_t *rows = NULL;
    apr_status_t rv = mx_store_query(&rows, conn, pool, &sync_member_skeys, user_nids, n);
    mx_sync_skey_row_t *out;
    int i;

    if (rv != APR_SUCCESS) return rv;
    out = apr_palloc(pool, sizeof(*out) * (apr_size_t)(mx_rows_count(rows) + 1));
    for (i = 0; i < mx_rows_count(rows); i++) out[i] = (mx_sync_skey_row_t){ mx_row_int(rows, i, 0), mx_row_int(rows, i, 1) };
    *pout = out;
    *pn = mx_rows_count(rows);
    return APR_SUCCESS;
}
