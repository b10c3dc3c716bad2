/* SPDX-License-Identifier: Apache-2.0 */
/* Relations: children of an event, threads of a room, aggregations. */
#include "store/relation.h"

#define RECURSE_SCAN 5000            /* events that a recursive page looks at */

/* ---- children of an event ---- */

/* `room_nid + 0` in all of this: so no index of rooms tempts the planner to go through a whole room to find one event in it. */

/* $1 parent, $2 room, $3 $4 (after, upto], $5 rel_type, $6 type, $7 ignored, $8 limit. An event is in `event_relation` once. */
#define TYPE_MATCHES "($6::text is null or r.type_nid = (select t.type_nid from ev_type t where t.type = $6::text))"
#define SENDER_MATCHES "e.flags & 15 = 0 and not r.sender_nid = any($7::int8[])"

#define PAGE_SQL(rel_matches, dir)                                                                                       \
    "select " MX_EVENT_COLUMNS " from event_relation r join event e on e.nid = r.nid left join state_event s on s.nid = e.nid" \
    " where r.parent = $1::bytea and e.room_nid + 0 = $2::int8 and r.ord > $3::int8 and r.ord <= $4::int8 and " rel_matches  \
    " and " TYPE_MATCHES " and " SENDER_MATCHES " order by r.ord " dir " limit $8::int4"

/* Filters hold at every step. Ids of old room versions are chosen by servers, so a circle is possible: hence `distinct`. */
#define MATCHES "($5::text is null or r.rel_type = $5::text) and " TYPE_MATCHES " and e.room_nid + 0 = $2::int8 and " SENDER_MATCHES
#define RECURSIVE_SQL(dir)                                                                                               \
    "with recursive t(nid, id, ord, depth) as ("                                                                         \
    " select r.nid, e.event_id, r.ord, 1 from event_relation r join event e on e.nid = r.nid where r.parent = $1::bytea and " MATCHES \
    " union all"                                                                                                         \
    " select r.nid, e.event_id, r.ord, t.depth + 1 from t join event_relation r on r.parent = t.id"                      \
    " join event e on e.nid = r.nid where t.depth < $9::int4 and " MATCHES "),"                                          \
    " hit as (select distinct x.nid, x.ord from (select t.nid, t.ord from t limit $10::int4) x"                          \
    "  where x.ord > $3::int8 and x.ord <= $4::int8 order by x.ord " dir " limit $8::int4)"                              \
    " select " MX_EVENT_COLUMNS " from hit h join event e on e.nid = h.nid left join state_event s on s.nid = e.nid order by h.ord " dir

#define OF_TYPE "r.rel_type = $5::text"
#define OF_ALL "$5::text is null"

MX_STMT(relation_page_type_forward, "blllssLi", PAGE_SQL(OF_TYPE, "asc"));
MX_STMT(relation_page_type_backward, "blllssLi", PAGE_SQL(OF_TYPE, "desc"));
MX_STMT(relation_page_forward, "blllssLi", PAGE_SQL(OF_ALL, "asc"));
MX_STMT(relation_page_backward, "blllssLi", PAGE_SQL(OF_ALL, "desc"));
MX_STMT(relation_deep_forward, "blllssLiii", RECURSIVE_SQL("asc"));
MX_STMT(relation_deep_backward, "blllssLiii", RECURSIVE_SQL("desc"));

apr_status_t mx_store_relation_page(mx_event_row_t **pout, int *pn, mx_store_t *store, const mx_store_relation_ask_t *ask,
                                    apr_int64_t room_nid, apr_int64_t after_ord, apr_int64_t upto_ord, mx_dir_e dir, int limit,
                                    apr_pool_t *pool)
{
    static mx_stmt_t *const stmts[3][2] = { { &relation_page_forward, &relation_page_backward },
                                            { &relation_page_type_forward, &relation_page_type_backward },
                                            { &relation_deep_forward, &relation_deep_backward } };
    mx_stmt_t *stmt = stmts[ask->recurse ? 2 : ask->rel_type != NULL][dir == MX_DIR_BACKWARD];
    mx_rows_t *rows;
    apr_status_t rv;

    if (ask->recurse)
        rv = mx_store_run(&rows, store, pool, stmt, ask->parent, room_nid, after_ord, upto_ord, ask->rel_type, ask->type, ask->ignored,
                          ask->nignored, limit, MX_STORE_RELATION_DEPTH, RECURSE_SCAN);
    else
        rv = mx_store_run(&rows, store, pool, stmt, ask->parent, room_nid, after_ord, upto_ord, ask->rel_type, ask->type, ask->ignored,
                          ask->nignored, limit);
    if (rv == APR_SUCCESS)
        *pn = mx_store_event_read_all(pout, rows, pool);
    return rv;
}

/* ---- threads of a room ---- */

/*
 * A thread stands at its newest event that counts; one that stands outside of what was looked at is told with another page. One row at
 * least comes back: what was looked at.
 */
#define THREAD_EVENT "n.rel_type = 'm.thread' and n.parent = q.parent and e.room_nid + 0 = $1::int8 and e.flags & 15 = 0"
MX_STMT(relation_threads, "lllioLil",
        "with s as materialized (select r.ord, r.parent from event_relation r"
        "  where r.room_nid = $1::int8 and r.rel_type = 'm.thread' and r.ord <= $2::int8 order by r.ord desc limit $4::int4),"
        " a as materialized (select count(*) as n, min(s.ord) as last from s),"
        " hit as (select t.ord, p.nid from (select distinct s.parent from s) q cross join lateral ("
        "    select n.ord from event_relation n join event e on e.nid = n.nid where " THREAD_EVENT
        "    and n.ord <= $3::int8 and not e.sender_nid = any($6::int8[]) order by n.ord desc limit 1) t"
        "  join event p on p.event_id = q.parent"
        "  where t.ord <= $2::int8 and t.ord >= (select a.last from a) and p.room_nid + 0 = $1::int8 and p.flags & 167 = 0"
        "  and (p.flags & 8 <> 0 or (select o.nid from event_relation o where o.nid = p.nid) is null)"
        "  and (not $5::bool or p.sender_nid = $8::int8 or (select n.nid from event_relation n join event e on e.nid = n.nid where " THREAD_EVENT
        "    and n.sender_nid = $8::int8 limit 1) is not null)"
        "  order by t.ord desc limit $7::int4)"
        " select a.n, a.last, h.ord, " MX_EVENT_COLUMNS " from a left join hit h on true left join event e on e.nid = h.nid"
        " left join state_event s on s.nid = e.nid order by h.ord desc");

#define THREAD_FIRST_EVENT_COLUMN 3

apr_status_t mx_store_thread_page(mx_store_thread_page_t *out, mx_store_t *store, const mx_store_thread_ask_t *ask, apr_pool_t *pool)
{
    mx_rows_t *rows;
    apr_status_t rv = mx_store_run(&rows, store, pool, &relation_threads, ask->room_nid, ask->upto_ord, ask->last_ord, ask->scan, ask->mine,
                                   ask->ignored, ask->nignored, ask->limit, ask->user_nid);
    int i, n;

    if (rv != APR_SUCCESS)
        return rv;
    n = mx_rows_count(rows);
    *out = (mx_store_thread_page_t){ .roots = apr_palloc(pool, sizeof(*out->roots) * (apr_size_t)(n + 1)),
                                     .ords = apr_palloc(pool, sizeof(*out->ords) * (apr_size_t)(n + 1)),
                                     .scanned = n ? (int)mx_row_int(rows, 0, 0) : 0, .last_ord = n ? mx_row_int(rows, 0, 1) : 0 };
    for (i = 0; i < n; i++) {
        if (mx_row_is_null(rows, i, THREAD_FIRST_EVENT_COLUMN))
            continue;
        out->ords[out->n] = mx_row_int(rows, i, 2);
        mx_store_event_read(&out->roots[out->n++], rows, i, THREAD_FIRST_EVENT_COLUMN);
    }
    return APR_SUCCESS;
}

/* ---- aggregations ---- */

MX_STMT(relation_bundles, "LLBLIIlLiii",
        "select i, kind, nid, ord, snap_nid, count, mine, ts, event_id from relation_bundles($1::int8[], $2::int8[], $3::bytea[],"
        " $4::int8[], $5::int4[], $6::int4[], $7::int8, $8::int8[], $9::int4, $10::int4, $11::int4)");

apr_status_t mx_store_relation_bundles(mx_store_bundle_row_t **pout, int *pn, mx_store_t *store, const mx_store_bundle_ask_t *ask,
                                       apr_pool_t *pool)
{
    mx_rows_t *rows = NULL;
    apr_status_t rv = mx_store_run(&rows, store, pool, &relation_bundles, ask->nids, ask->n, ask->rooms, ask->n, ask->ids, ask->n,
                                   ask->senders, ask->n, ask->types, ask->n, ask->what, ask->n, ask->user_nid, ask->ignored,
                                   ask->nignored, MX_STORE_BUNDLE_EDITS_MAX, MX_STORE_BUNDLE_THREAD_MAX, MX_STORE_BUNDLE_REFERENCES_MAX);
    mx_store_bundle_row_t *out;
    int i, n;

    if (rv != APR_SUCCESS)
        return rv;
    n = mx_rows_count(rows);
    out = apr_palloc(pool, sizeof(*out) * (apr_size_t)(n + 1));
    for (i = 0; i < n; i++)
        out[i] = (mx_store_bundle_row_t){ .at = (int)mx_row_int(rows, i, 0) - 1, .kind = (mx_store_bundle_e)mx_row_int(rows, i, 1),
                                          .nid = mx_row_int(rows, i, 2), .ord = mx_row_int(rows, i, 3),
                                          .snap_nid = mx_row_int(rows, i, 4), .count = mx_row_int(rows, i, 5),
                                          .mine = mx_row_bool(rows, i, 6), .ts = mx_row_int(rows, i, 7), .id = mx_row_bytes(rows, i, 8) };
    *pout = out;
    *pn = n;
    return APR_SUCCESS;
}

/* ---- what is about to be sent ---- */

MX_STMT(relation_fault, "lbsssllss",
        "select case when exists (select from txn where device_nid = $7::int8 and txn_id = $8::text and scope = $9::text) then 0"
        " when $3::text = 'm.thread' and exists (select from event p join event_relation o on o.nid = p.nid"
        "   where p.event_id = $2::bytea and p.room_nid + 0 = $1::int8 and p.flags & 8 = 0) then 1"
        " when $3::text = 'm.annotation' and exists (select from event_relation r join event e on e.nid = r.nid"
        "   where r.parent = $2::bytea and r.rel_type = 'm.annotation' and r.sender_nid = $6::int8 and e.room_nid + 0 = $1::int8"
        "   and r.key = $5::text and r.type_nid = (select t.type_nid from ev_type t where t.type = $4::text) and e.flags & 15 = 0) then 2"
        " else 0 end");

apr_status_t mx_store_relation_fault(mx_store_relation_fault_e *pfault, mx_store_t *store, const mx_store_relation_draft_t *draft,
                                     apr_pool_t *pool)
{
    mx_rows_t *rows = NULL;
    apr_status_t rv = mx_store_run(&rows, store, pool, &relation_fault, draft->room_nid, draft->parent, draft->rel_type, draft->type,
                                   draft->key, draft->user_nid, draft->device_nid, draft->txn_id, draft->txn_scope);

    if (rv == APR_SUCCESS)
        *pfault = (mx_store_relation_fault_e)mx_row_int(rows, 0, 0);
    return rv;
}
