/* SPDX-License-Identifier: Apache-2.0 */
/* Reads of `member` and of the events behind it. */
#include "store/member_list.h"

MX_STMT(member_find, "ll",
        "select room_nid, user_nid, nid, stream, membership, forgotten from member"
        " where room_nid = $1::int8 and user_nid = $2::int8");

apr_status_t mx_store_member_find(mx_member_row_t *out, mx_store_t *store, apr_int64_t room_nid, apr_int64_t user_nid,
                                  apr_pool_t *pool)
{
    mx_rows_t *rows;
    apr_status_t rv = mx_store_run(&rows, store, pool, &member_find, room_nid, user_nid);

    if (rv != APR_SUCCESS)
        return rv;
    if (!mx_rows_count(rows))
        return MX_STORE_NONE;
    out->room_nid = mx_row_int(rows, 0, 0);
    out->user_nid = mx_row_int(rows, 0, 1);
    out->nid = mx_row_int(rows, 0, 2);
    out->stream = mx_row_int(rows, 0, 3);
    out->membership = (mx_membership_e)mx_row_int(rows, 0, 4);
    out->forgotten = mx_row_bool(rows, 0, 5);
    return APR_SUCCESS;
}

/** Runs nothing: turns a result whose columns are MX_EVENT_COLUMNS into rows. */
static apr_status_t read_events(mx_event_row_t **prows, int *pn, apr_status_t rv, const mx_rows_t *rows,
                                apr_pool_t *pool)
{
    if (rv == APR_SUCCESS)
        *pn = mx_store_event_read_all(prows, rows, pool);
    return rv;
}

/** Turns a result of one text column into a list. */
static apr_status_t read_texts(const char ***pids, int *pn, apr_status_t rv, const mx_rows_t *rows, apr_pool_t *pool)
{
    int i, n;
    const char **ids;

    if (rv != APR_SUCCESS)
        return rv;
    n = mx_rows_count(rows);
    ids = apr_pcalloc(pool, (n + 1) * sizeof(*ids));
    for (i = 0; i < n; i++)
        ids[i] = mx_row_text(rows, i, 0);
    *pids = ids;
    *pn = n;
    return APR_SUCCESS;
}

MX_STMT(member_chain, "lli",
        "with recursive c(nid, steps, stream) as ("
        "  select m.nid, 1, m.stream from member m where m.room_nid = $1::int8 and m.user_nid = $2::int8"
        "  union all"
        "  select s.replaces, c.steps + 1, c.stream from c join state_event s on s.nid = c.nid"
        "  where s.replaces is not null and c.steps < $3::int4)"
        " select " MX_EVENT_COLUMNS ", c.stream from " MX_EVENT_FROM " join c on c.nid = e.nid order by c.steps");

apr_status_t mx_store_member_chain(mx_event_row_t **prows, int *pn, apr_int64_t *pstream, mx_store_t *store, apr_int64_t room_nid,
                                   apr_int64_t user_nid, int max, apr_pool_t *pool)
{
    mx_rows_t *rows = NULL;
    apr_status_t rv = mx_store_run(&rows, store, pool, &member_chain, room_nid, user_nid, max);

    rv = read_events(prows, pn, rv, rows, pool);
    if (rv == APR_SUCCESS)
        *pstream = *pn ? mx_row_int(rows, 0, MX_EVENT_NCOLUMNS) : 0;
    return rv;
}

MX_STMT(member_rooms, "li",
        "select r.room_id from member m join room r on r.room_nid = m.room_nid"
        " where m.user_nid = $1::int8 and m.membership = $2::int4 and m.local order by r.room_id");

apr_status_t mx_store_member_rooms(const char ***pids, int *pn, mx_store_t *store, apr_int64_t user_nid,
                                   mx_membership_e membership, apr_pool_t *pool)
{
    mx_rows_t *rows = NULL;
    apr_status_t rv = mx_store_run(&rows, store, pool, &member_rooms, user_nid, (int)membership);

    return read_texts(pids, pn, rv, rows, pool);
}

MX_STMT(member_rooms_with, "llii",
        "select r.room_id from member m join cur_state c on c.room_nid = m.room_nid and c.skey_nid = $2::int8"
        " join room r on r.room_nid = m.room_nid"
        " where m.user_nid = $1::int8 and m.membership = $3::int4 and m.local order by r.room_id limit $4::int4");

apr_status_t mx_store_member_rooms_with(const char ***pids, int *pn, mx_store_t *store, apr_int64_t user_nid,
                                        apr_int64_t skey_nid, int max, apr_pool_t *pool)
{
    mx_rows_t *rows = NULL;
    apr_status_t rv =
        mx_store_run(&rows, store, pool, &member_rooms_with, user_nid, skey_nid, (int)MX_MEMBERSHIP_JOIN, max);

    return read_texts(pids, pn, rv, rows, pool);
}

MX_STMT(member_events, "li",
        "select " MX_EVENT_COLUMNS " from " MX_EVENT_FROM " join member m on m.nid = e.nid"
        " where m.room_nid = $1::int8 and (1 << m.membership) & $2::int4 <> 0 order by e.nid");

apr_status_t mx_store_member_events(mx_event_row_t **prows, int *pn, mx_store_t *store, apr_int64_t room_nid,
                                    int memberships, apr_pool_t *pool)
{
    mx_rows_t *rows = NULL;
    apr_status_t rv = mx_store_run(&rows, store, pool, &member_events, room_nid, memberships);

    return read_events(prows, pn, rv, rows, pool);
}

MX_STMT(member_events_among, "Li",
        "select " MX_EVENT_COLUMNS " from " MX_EVENT_FROM
        " where e.nid = any($1::int8[]) and e.type_nid = $2::int4 order by e.nid");

apr_status_t mx_store_member_events_among(mx_event_row_t **prows, int *pn, mx_store_t *store, const apr_int64_t *nids,
                                          int n, int type_nid, apr_pool_t *pool)
{
    mx_rows_t *rows = NULL;
    apr_status_t rv = mx_store_run(&rows, store, pool, &member_events_among, nids, n, type_nid);

    return read_events(prows, pn, rv, rows, pool);
}

MX_STMT(member_local_joined, "lii",
        "select x.mxid from member m join mxid x on x.user_nid = m.user_nid"
        " where m.room_nid = $1::int8 and m.membership = $2::int4 and m.local order by m.nid limit $3::int4");

apr_status_t mx_store_member_local_joined(const char ***pids, int *pn, mx_store_t *store, apr_int64_t room_nid, int max,
                                          apr_pool_t *pool)
{
    mx_rows_t *rows = NULL;
    apr_status_t rv = mx_store_run(&rows, store, pool, &member_local_joined, room_nid, (int)MX_MEMBERSHIP_JOIN, max);

    return read_texts(pids, pn, rv, rows, pool);
}

/* kind 1: a guest (sql/0001_users.sql) */
MX_STMT(member_guests, "lii",
        "select x.mxid from member m join account a on a.user_nid = m.user_nid join mxid x on x.user_nid = m.user_nid"
        " where m.room_nid = $1::int8 and m.membership = $2::int4 and m.local and a.kind = 1 limit $3::int4");

apr_status_t mx_store_member_guests(const char ***pids, int *pn, mx_store_t *store, apr_int64_t room_nid, int max,
                                    apr_pool_t *pool)
{
    mx_rows_t *rows = NULL;
    apr_status_t rv = mx_store_run(&rows, store, pool, &member_guests, room_nid, (int)MX_MEMBERSHIP_JOIN, max);

    return read_texts(pids, pn, rv, rows, pool);
}

#define STATE_PDU(type)                                                                                              \
    "(select e.pdu from skey k join cur_state c on c.room_nid = r.room_nid and c.skey_nid = k.skey_nid"              \
    " join event e on e.nid = c.nid where k.state_key = '' and k.type_nid ="                                         \
    " (select type_nid from ev_type where type = '" type "'))"

MX_STMT(member_summaries, "L",
        "select w.o - 1, r.joined, r.invited, " STATE_PDU("m.room.name") ", " STATE_PDU("m.room.canonical_alias")
        " from unnest($1::int8[]) with ordinality w(room_nid, o) join room r on r.room_nid = w.room_nid");

apr_status_t mx_store_member_summaries(mx_store_summary_t *out, mx_store_t *store, const apr_int64_t *room_nids, int n, apr_pool_t *pool)
{
    mx_rows_t *rows = NULL;
    apr_status_t rv = mx_store_run(&rows, store, pool, &member_summaries, room_nids, n);
    int i;

    if (rv != APR_SUCCESS)
        return rv;
    memset(out, 0, sizeof(*out) * (apr_size_t)n);
    for (i = 0; i < mx_rows_count(rows); i++)
        out[mx_row_int(rows, i, 0)] = (mx_store_summary_t){ mx_row_int(rows, i, 1), mx_row_int(rows, i, 2), mx_row_body(rows, i, 3),
                                                            mx_row_body(rows, i, 4) };
    return APR_SUCCESS;
}

MX_STMT(member_heroes, "Lliii",
        "select w.room_nid, h.user_nid, x.mxid, h.gone from unnest($1::int8[]) with ordinality w(room_nid, o)"
        " cross join lateral (select m.user_nid, m.nid, (1 << m.membership) & $4::int4 <> 0 as gone from member m"
        "   where m.room_nid = w.room_nid and m.user_nid <> $2::int8 and (1 << m.membership) & ($3::int4 | $4::int4) <> 0"
        "   order by gone, m.nid limit $5::int4) h"
        " join mxid x on x.user_nid = h.user_nid order by w.o, h.gone, h.nid");

apr_status_t mx_store_member_heroes(mx_store_hero_t **pout, int *pn, mx_store_t *store, const apr_int64_t *room_nids, int nrooms,
                                    apr_int64_t not_user_nid, int max, apr_pool_t *pool)
{
    int here = 1 << MX_MEMBERSHIP_JOIN | 1 << MX_MEMBERSHIP_INVITE, gone = 1 << MX_MEMBERSHIP_LEAVE | 1 << MX_MEMBERSHIP_BAN, i;
    mx_rows_t *rows = NULL;
    mx_store_hero_t *out;
    apr_status_t rv = mx_store_run(&rows, store, pool, &member_heroes, room_nids, nrooms, not_user_nid, here, gone, max);

    if (rv != APR_SUCCESS)
        return rv;
    out = apr_palloc(pool, sizeof(*out) * (apr_size_t)(mx_rows_count(rows) + 1));
    for (i = 0; i < mx_rows_count(rows); i++)
        out[i] = (mx_store_hero_t){ mx_row_int(rows, i, 0), mx_row_int(rows, i, 1), mx_row_text(rows, i, 2), mx_row_bool(rows, i, 3) };
    *pout = out;
    *pn = mx_rows_count(rows);
    return APR_SUCCESS;
}

MX_STMT(member_forget, "lli",
        "update member set forgotten = true"
        " where room_nid = $1::int8 and user_nid = $2::int8 and (1 << membership) & $3::int4 <> 0");

apr_status_t mx_store_member_forget(mx_store_t *store, apr_int64_t room_nid, apr_int64_t user_nid, apr_pool_t *pool)
{
    mx_rows_t *rows;
    int memberships = 1 << MX_MEMBERSHIP_LEAVE | 1 << MX_MEMBERSHIP_BAN;
    apr_status_t rv = mx_store_run(&rows, store, pool, &member_forget, room_nid, user_nid, memberships);

    if (rv != APR_SUCCESS)
        return rv;
    return mx_rows_affected(rows) ? APR_SUCCESS : MX_STORE_NONE;
}
