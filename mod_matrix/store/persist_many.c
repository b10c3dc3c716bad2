/* SPDX-License-Identifier: Apache-2.0 */
/* Messages of several rooms in one transaction: persist_messages_many() of sql/0011_persist_many.sql. */
#include "store/persist_private.h"

/** What is said of each room, and which room an event belongs to. */
typedef struct rooms_t {
    apr_int64_t *nid, *ver;
    int *flags, *end, *at;
} rooms_t;

static int count_events(const mx_persist_many_t *many, int n)
{
    int i, events = 0;
    for (i = 0; i < n; i++)
        events += many[i].batch->nevents;
    return events;
}

static void make_rooms(rooms_t *r, const mx_persist_many_t *many, int n, int events, apr_pool_t *pool)
{
    int i, k, end = 0;
    r->nid = apr_palloc(pool, sizeof(*r->nid) * (apr_size_t)n);
    r->ver = apr_palloc(pool, sizeof(*r->ver) * (apr_size_t)n);
    r->flags = apr_palloc(pool, sizeof(*r->flags) * (apr_size_t)n);
    r->end = apr_palloc(pool, sizeof(*r->end) * (apr_size_t)n);
    r->at = apr_palloc(pool, sizeof(*r->at) * (apr_size_t)events);
    for (i = 0; i < n; i++) {
        const mx_persist_batch_t *batch = many[i].batch;
        r->nid[i] = batch->room_nid;
        r->ver[i] = batch->ver;
        r->flags[i] = batch->events[0].flags;
        for (k = 0; k < batch->nevents; k++)
            r->at[end++] = i + 1;
        r->end[i] = end;
    }
}

static void own_bytes(mx_slice_t *bytes, int n, apr_pool_t *pool)
{
    int i;
    for (i = 0; i < n; i++)
        bytes[i] = mx_slice(mx_slice_dup(bytes[i], pool), bytes[i].len);
}

/** The result is for another thread: nothing of it may point into the rows. */
static void hand_out(const mx_persist_many_t *to, const mx_rows_t *rows, int row)
{
    mx_persist_result_t *r = mx_store_persist_read(rows, row, to->pool);
    own_bytes(r->head_ids, r->nheads, to->pool);
    own_bytes(r->known_ids, r->nknown, to->pool);
    *to->presult = r;
}

apr_status_t mx_store_persist_many(mx_store_t *store, const mx_persist_many_t *many, int n, apr_pool_t *pool)
{
    MX_STMT(persist_messages_many, "LLIIIBBLLLILSS",
            "select " MX_PERSIST_RESULT
            " from persist_messages_many($1::int8[], $2::int8[], $3::int4[], $4::int4[], $5::int4[], $6::bytea[], $7::bytea[],"
            " $8::int8[], $9::int8[], $10::int8[], $11::int4[], $12::int8[], $13::text[], $14::text[]) p");
    int i, events = count_events(many, n);
    mx_persist_columns_t c;
    mx_rows_t *rows;
    rooms_t r;
    apr_status_t rv;
    make_rooms(&r, many, n, events, pool);
    mx_store_persist_columns(&c, events, pool);
    for (i = 0; i < n; i++)
        mx_store_persist_columns_add(&c, store, many[i].batch, pool);
    rv = mx_store_run(&rows, store, pool, &persist_messages_many, r.nid, n, r.ver, n, r.flags, n, r.end, n, r.at, events,
                      c.id, events, c.pdu, events, c.ts, events, c.depth, events, c.sender, events, c.type, events,
                      c.device, c.ntxn, c.txn, c.ntxn, c.scope, c.ntxn);
    if (rv == APR_SUCCESS && mx_rows_count(rows) != n)
        rv = MX_STORE_UNAVAILABLE;      /* cannot be; what is stored is unknown */
    for (i = 0; rv == APR_SUCCESS && i < n; i++)
        hand_out(&many[i], rows, i);
    return rv;
}
