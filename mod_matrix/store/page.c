/* SPDX-License-Identifier: Apache-2.0 */
/* A page of a room's timeline: a bounded scan by (room_nid, ord), then the wished events of it. */
#include "store/page.h"

/* The scan reads no pdu. One row at least comes back: what was scanned, with nulls where nothing matched. */
#define PAGE_SQL(dir, last)                                                                                            \
    "with s as materialized ("                                                                                         \
    "  select v.nid, v.ord, v.type_nid, v.sender_nid from event v"                                                     \
    "  where v.room_nid = $1::int8 and v.ord > $2::int8 and v.ord <= $3::int8 and v.ord <> 0 and " MX_EVENT_SHOWN("v") \
    "  order by v.ord " dir " limit $4::int4),"                                                                        \
    " hit as (select s.nid, s.ord from s"                                                                              \
    "  where ($6::bool is false"                                                                                       \
    "         or s.type_nid in (select t.type_nid from ev_type t where t.type like any($7::text[])))"                  \
    "  and s.type_nid not in (select t.type_nid from ev_type t where t.type like any($8::text[]))"                     \
    "  and ($9::bool is false or s.sender_nid in (select x.user_nid from mxid x where x.mxid = any($10::text[])))"     \
    "  and s.sender_nid not in (select x.user_nid from mxid x where x.mxid = any($11::text[]))"                        \
    "  order by s.ord " dir " limit $5::int4)"                                                                         \
    " select a.n, a.last, " MX_EVENT_COLUMNS                                                                           \
    " from (select count(*) as n, " last "(ord) as last from s) a left join hit h on true"                             \
    " left join event e on e.nid = h.nid left join state_event s on s.nid = e.nid order by h.ord " dir

MX_STMT(page_backward, "llliioSSoSS", PAGE_SQL("desc", "min"));
MX_STMT(page_forward, "llliioSSoSS", PAGE_SQL("asc", "max"));

#define PAGE_FIRST_EVENT_COLUMN 2

/** Without a filter every event looked at is one wanted. */
static apr_status_t read_all(mx_store_page_t *out, mx_store_t *store, const mx_store_page_ask_t *ask, apr_pool_t *pool)
{
    int limit = ask->scan < ask->limit ? ask->scan : ask->limit;
    apr_status_t rv = ask->relation ? mx_store_relation_page(&out->rows, &out->n, store, ask->relation, ask->room_nid, ask->after_ord,
                                                             ask->upto_ord, ask->dir, limit, pool)
                                    : mx_store_event_range(&out->rows, &out->n, store, ask->room_nid, ask->after_ord, ask->upto_ord,
                                                           ask->dir, limit, pool);

    if (rv != APR_SUCCESS)
        return rv;
    out->scanned = out->n;
    out->last_ord = out->n ? out->rows[out->n - 1].ord : 0;
    return APR_SUCCESS;
}

apr_status_t mx_store_page_read(mx_store_page_t *out, mx_store_t *store, const mx_store_page_ask_t *ask,
                                apr_pool_t *pool)
{
    mx_rows_t *rows;
    mx_stmt_t *stmt = ask->dir == MX_DIR_BACKWARD ? &page_backward : &page_forward;
    int i, n;
    apr_status_t rv;

    if (!ask->types && !ask->senders && !ask->nnot_types && !ask->nnot_senders)
        return read_all(out, store, ask, pool);
    rv = mx_store_run(&rows, store, pool, stmt, ask->room_nid, ask->after_ord, ask->upto_ord, ask->scan, ask->limit,
                      ask->types != NULL, ask->types, ask->ntypes, ask->not_types, ask->nnot_types,
                      ask->senders != NULL, ask->senders, ask->nsenders, ask->not_senders, ask->nnot_senders);
    if (rv != APR_SUCCESS)
        return rv;
    n = mx_rows_count(rows);
    out->rows = apr_pcalloc(pool, (n + 1) * sizeof(*out->rows));
    out->n = 0;
    out->scanned = n ? (int)mx_row_int(rows, 0, 0) : 0;
    out->last_ord = n ? mx_row_int(rows, 0, 1) : 0;
    for (i = 0; i < n; i++) {
        if (!mx_row_is_null(rows, i, PAGE_FIRST_EVENT_COLUMN))
            mx_store_event_read(&out->rows[out->n++], rows, i, PAGE_FIRST_EVENT_COLUMN);
    }
    return APR_SUCCESS;
}

const char *mx_store_page_pattern(const char *type, apr_pool_t *pool)
{
    char *out = apr_palloc(pool, 2 * strlen(type) + 1), *to = out;

    for (; *type; type++) {
        if (*type == '%' || *type == '_' || *type == '\\')
            *to++ = '\\';
        *to++ = *type == '*' ? '%' : *type;
    }
    *to = '\0';
    return out;
}
