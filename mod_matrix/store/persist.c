/* SPDX-License-Identifier: Apache-2.0 */
/* Stores batches of events: turns them into columns for the functions of sql/0005_persist.sql and reads what those say. */
#include "store/persist_private.h"

#include "store/outlier.h"
#include "store/redaction.h"
#include "store/sticky.h"

/** What only batches with state have, column by column. */
typedef struct columns_t {
    apr_int64_t *before, *skey, *replaces, *after, *auth;
    int *flags, *auth_end;
    int nauth;
} columns_t;

#define COLUMN(pool, ptr, n) ((ptr) = apr_pcalloc((pool), sizeof(*(ptr)) * (apr_size_t)((n) > 0 ? (n) : 1)))

void mx_store_persist_columns(mx_persist_columns_t *c, int n, apr_pool_t *pool)
{
    COLUMN(pool, c->id, n);
    COLUMN(pool, c->pdu, n);
    COLUMN(pool, c->ts, n);
    COLUMN(pool, c->depth, n);
    COLUMN(pool, c->sender, n);
    COLUMN(pool, c->type, n);
    COLUMN(pool, c->device, n);
    COLUMN(pool, c->txn, n);
    COLUMN(pool, c->scope, n);
    c->n = 0;
    c->max = n;
    c->ntxn = 0;
}

void mx_store_persist_columns_add(mx_persist_columns_t *c, mx_store_t *store, const mx_persist_batch_t *batch, apr_pool_t *pool)
{
    int i;
    for (i = 0; i < batch->nevents; i++) {
        const mx_persist_event_t *ev = &batch->events[i];
        int at = c->n++;
        c->id[at] = ev->id;
        c->pdu[at] = mx_store_body_pack(store->body, ev->pdu, pool);
        c->ts[at] = ev->ts;
        c->depth[at] = ev->depth;
        c->sender[at] = ev->sender_nid;
        c->type[at] = ev->type_nid;
        c->device[at] = ev->device_nid;
        c->txn[at] = ev->txn_id;
        c->scope[at] = ev->txn_scope;
        if (ev->txn_id)
            c->ntxn = c->max;
    }
}

static void make_message_columns(mx_persist_columns_t *c, mx_store_t *store, const mx_persist_batch_t *batch, apr_pool_t *pool)
{
    mx_store_persist_columns(c, batch->nevents, pool);
    mx_store_persist_columns_add(c, store, batch, pool);
}

static void make_state_columns(columns_t *c, const mx_persist_batch_t *batch, apr_pool_t *pool)
{
    int i, k, n = batch->nevents;
    COLUMN(pool, c->flags, n);
    COLUMN(pool, c->before, n);
    COLUMN(pool, c->skey, n);
    COLUMN(pool, c->replaces, n);
    COLUMN(pool, c->after, n);
    COLUMN(pool, c->auth_end, n);
    COLUMN(pool, c->auth, n * 10);
    c->nauth = 0;
    for (i = 0; i < n; i++) {
        const mx_persist_event_t *ev = &batch->events[i];
        c->flags[i] = ev->flags;
        c->before[i] = ev->before;
        c->skey[i] = ev->skey_nid;
        c->replaces[i] = ev->replaces;
        c->after[i] = ev->after;
        for (k = 0; ev->skey_nid && k < ev->nauth; k++)
            c->auth[c->nauth++] = ev->auth[k];
        c->auth_end[i] = c->nauth;
    }
}

mx_persist_result_t *mx_store_persist_read(const mx_rows_t *rows, int row, apr_pool_t *pool)
{
    mx_persist_result_t *r = apr_pcalloc(pool, sizeof(*r));
    int c = 0;
    r->status = (mx_persist_status_e)mx_row_int(rows, row, c++);
    r->room_nid = mx_row_int(rows, row, c++);
    r->ver = mx_row_int(rows, row, c++);
    r->snap_nid = mx_row_int(rows, row, c++);
    r->depth = mx_row_int(rows, row, c++);
    r->nheads = mx_row_int_array(&r->heads, rows, row, c++, pool);
    mx_row_bytes_array(&r->head_ids, rows, row, c++, pool);
    r->joined = (int)mx_row_int(rows, row, c++);
    r->invited = (int)mx_row_int(rows, row, c++);
    r->state_redacted = mx_row_int(rows, row, c++);
    r->nnids = mx_row_int_array(&r->nids, rows, row, c++, pool);
    r->nsnaps = mx_row_int_array(&r->snaps, rows, row, c++, pool);
    r->nknown = mx_row_int_array(&r->known_at, rows, row, c++, pool);
    mx_row_bytes_array(&r->known_ids, rows, row, c++, pool);
    return r;
}

apr_status_t mx_store_persist_messages(mx_persist_result_t **presult, mx_store_t *store,
                                       const mx_persist_batch_t *batch, apr_pool_t *pool)
{
    MX_STMT(persist_messages, "llBBLLLIiLSS",
            "select " MX_PERSIST_RESULT
            " from persist_messages($1::int8, $2::int8, $3::bytea[], $4::bytea[], $5::int8[], $6::int8[],"
            " $7::int8[], $8::int4[], $9::int4, $10::int8[], $11::text[], $12::text[]) p");
    /* the marks come after the events, for they ask for what those have returned: one statement, one transaction */
    MX_STMT(persist_marked, "llBBLLLIiLSS" MX_STORE_MARK_TYPES,
            "with p as materialized (select * from persist_messages($1::int8, $2::int8, $3::bytea[], $4::bytea[], $5::int8[],"
            " $6::int8[], $7::int8[], $8::int4[], $9::int4, $10::int8[], $11::text[], $12::text[]))"
            " select " MX_PERSIST_RESULT ", persist_marks(p.room_nid, p.nids, $13::int4[], $14::bytea[], $15::text[], $16::text[],"
            " $17::int4[], $18::text[], $19::int4[], $20::text[], $21::int4[]) from p");
    int n = batch->nevents;
    mx_store_mark_columns_t m;
    mx_persist_columns_t c;
    mx_rows_t *rows;
    apr_status_t rv;
    make_message_columns(&c, store, batch, pool);
    if (batch->nmarks) {
        mx_store_mark_columns(&m, batch->marks, batch->nmarks, pool);
        rv = mx_store_run(&rows, store, pool, &persist_marked, batch->room_nid, batch->ver, c.id, n, c.pdu, n, c.ts, n, c.depth, n,
                          c.sender, n, c.type, n, batch->events[0].flags, c.device, c.ntxn, c.txn, c.ntxn, c.scope, c.ntxn,
                          MX_STORE_MARK_ARGS(&m));
    } else
        rv = mx_store_run(&rows, store, pool, &persist_messages, batch->room_nid, batch->ver, c.id, n, c.pdu, n, c.ts, n,
                      c.depth, n, c.sender, n, c.type, n, batch->events[0].flags, c.device, c.ntxn, c.txn, c.ntxn,
                      c.scope, c.ntxn);
    if (rv == APR_SUCCESS)
        *presult = mx_store_persist_read(rows, 0, pool);
    return rv;
}

/** The lists of a batch that are not its events, column by column. */
typedef struct lists_t {
    apr_int64_t *pred, *change_skey, *change_event, *cur_skey, *cur_event, *user, *member_event, *since, *redacted, *by;
    int *size, *change_end, *membership;
    int nchanges;                    /* of all snapshots */
    mx_slice_t *hash, *redacted_pdu;
} lists_t;

static void make_snap_lists(lists_t *l, const mx_persist_batch_t *batch, apr_pool_t *pool)
{
    int i, k, n = batch->nsnaps, changes = 0;
    for (i = 0; i < n; i++)
        changes += 1 + batch->snaps[i].nmore;
    COLUMN(pool, l->pred, n);
    COLUMN(pool, l->size, n);
    COLUMN(pool, l->hash, n);
    COLUMN(pool, l->change_skey, changes);
    COLUMN(pool, l->change_event, changes);
    COLUMN(pool, l->change_end, n);
    l->nchanges = 0;
    for (i = 0; i < n; i++) {
        const mx_persist_snap_t *s = &batch->snaps[i];
        l->pred[i] = s->pred;
        l->size[i] = s->size;
        l->hash[i] = mx_slice((const char *)s->hash.bytes, sizeof(s->hash.bytes));
        l->change_skey[l->nchanges] = s->skey_nid;
        l->change_event[l->nchanges++] = s->event;
        for (k = 0; k < s->nmore; k++) {
            l->change_skey[l->nchanges] = s->more[k].skey_nid;
            l->change_event[l->nchanges++] = s->more[k].nid;
        }
        l->change_end[i] = l->nchanges;
    }
}

static void make_lists(lists_t *l, mx_store_t *store, const mx_persist_batch_t *batch, apr_pool_t *pool)
{
    int i;
    make_snap_lists(l, batch, pool);
    COLUMN(pool, l->cur_skey, batch->ncurrent);
    COLUMN(pool, l->cur_event, batch->ncurrent);
    for (i = 0; i < batch->ncurrent; i++) {
        l->cur_skey[i] = batch->current[i].skey_nid;
        l->cur_event[i] = batch->current[i].nid;
    }
    COLUMN(pool, l->user, batch->nmembers);
    COLUMN(pool, l->membership, batch->nmembers);
    COLUMN(pool, l->member_event, batch->nmembers);
    COLUMN(pool, l->since, batch->nmembers);
    for (i = 0; i < batch->nmembers; i++) {
        l->user[i] = batch->members[i].user_nid;
        l->membership[i] = batch->members[i].membership;
        l->member_event[i] = batch->members[i].event;
        l->since[i] = batch->members[i].since;
    }
    COLUMN(pool, l->redacted, batch->nredactions);
    COLUMN(pool, l->redacted_pdu, batch->nredactions);
    COLUMN(pool, l->by, batch->nredactions);
    for (i = 0; i < batch->nredactions; i++) {
        l->redacted[i] = batch->redactions[i].nid;
        l->redacted_pdu[i] = mx_store_body_pack(store->body, batch->redactions[i].pdu, pool);
        l->by[i] = batch->redactions[i].by;
    }
}

static apr_status_t persist_on(mx_persist_result_t **presult, mx_store_t *store, mx_conn_t *conn, const mx_persist_batch_t *batch,
                               apr_pool_t *pool)
{
    MX_STMT(persist_batch, "llBBLLLIILLSSLLLLILIBLLILBllLLLLLILLLBLsiosll",
            "select " MX_PERSIST_RESULT " from persist_batch($1::int8, $2::int8,"
            " $3::bytea[], $4::bytea[], $5::int8[], $6::int8[], $7::int8[], $8::int4[], $9::int4[], $10::int8[],"
            " $11::int8[], $12::text[], $13::text[], $14::int8[], $15::int8[], $16::int8[], $17::int8[], $18::int4[],"
            " $19::int8[], $20::int4[], $21::bytea[], $22::int8[], $23::int8[], $24::int4[],"
            " $25::int8[], $26::bytea[], $27::int8, $28::int8, $29::int8[], $30::int8[], $31::int8[], $32::int8[],"
            " $33::int8[], $34::int4[], $35::int8[], $36::int8[], $37::int8[], $38::bytea[], $39::int8[],"
            " $40::text, $41::int4, $42::bool, $43::text, $44::int8, $45::int8) p");
    static const mx_persist_begin_t no_begin;
    const mx_persist_begin_t *begin = batch->begin ? batch->begin : &no_begin;
    int n = batch->nevents, ns = batch->nsnaps, nc = batch->ncurrent, nm = batch->nmembers, nr = batch->nredactions;
    mx_persist_columns_t m;
    columns_t c;
    lists_t l;
    mx_rows_t *rows;
    apr_status_t rv;
    make_message_columns(&m, store, batch, pool);
    make_state_columns(&c, batch, pool);
    make_lists(&l, store, batch, pool);
    rv = mx_store_query(&rows, conn, pool, &persist_batch, batch->room_nid, batch->ver, m.id, n, m.pdu, n, m.ts, n,
                      m.depth, n, m.sender, n, m.type, n, c.flags, n, c.before, n, m.device, m.ntxn, m.txn, m.ntxn,
                      m.scope, m.ntxn, c.skey, n, c.replaces, n, c.after, n, c.auth, c.nauth, c.auth_end, n, l.pred, ns,
                      l.size, ns, l.hash, ns, l.change_skey, l.nchanges, l.change_event, l.nchanges, l.change_end, ns, batch->heads,
                      batch->nheads, batch->head_ids, batch->nheads, batch->depth, batch->snap, batch->log_events,
                      batch->nlog, batch->log_snaps, batch->nlog, l.cur_skey, nc, l.cur_event, nc, l.user, nm,
                      l.membership, nm, l.member_event, nm, l.since, nm, l.redacted, nr, l.redacted_pdu, nr, l.by, nr,
                      begin->room_id, begin->version, begin->published, begin->alias, begin->creator_nid, begin->ts);
    if (rv == APR_SUCCESS)
        *presult = mx_store_persist_read(rows, 0, pool);
    return rv;
}

static int has_gap(const mx_persist_batch_t *batch)
{
    int i;
    for (i = 0; i < batch->nevents && !batch->events[i].after_gap; i++)
        ;
    return i < batch->nevents;
}

static int has_sticky(const mx_persist_batch_t *batch)
{
    int i;
    for (i = 0; i < batch->nevents && !batch->events[i].sticky_until; i++)
        ;
    return i < batch->nevents;
}

static int is_more(const mx_persist_batch_t *batch)
{
    return batch->redaction_waits.p || batch->redaction_ends || batch->nmarks || has_gap(batch) || has_sticky(batch);
}

static apr_status_t persist_gaps(const mx_persist_result_t *r, mx_conn_t *conn, const mx_persist_batch_t *batch, apr_pool_t *pool)
{
    apr_int64_t *nids = apr_palloc(pool, sizeof(*nids) * (apr_size_t)(batch->nevents + 1));
    int i, n = 0;
    for (i = 0; i < batch->nevents; i++) {
        if (batch->events[i].after_gap)
            nids[n++] = r->nids[i];
    }
    return n ? mx_store_outlier_gap(conn, nids, n, pool) : APR_SUCCESS;
}

static apr_status_t persist_sticky(const mx_persist_result_t *r, mx_conn_t *conn, const mx_persist_batch_t *batch, apr_pool_t *pool)
{
    apr_int64_t *nids = apr_palloc(pool, sizeof(*nids) * (apr_size_t)(batch->nevents + 1));
    apr_int64_t *until = apr_palloc(pool, sizeof(*until) * (apr_size_t)(batch->nevents + 1));
    int i, n = 0;
    for (i = 0; i < batch->nevents; i++) {
        if (!batch->events[i].sticky_until)
            continue;
        nids[n] = r->nids[i];
        until[n++] = batch->events[i].sticky_until;
    }
    return n ? mx_store_sticky_put(conn, r->room_nid, nids, until, n, pool) : APR_SUCCESS;
}

/** What persist_batch() does not do, on its transaction. */
static apr_status_t persist_more(const mx_persist_result_t *r, mx_conn_t *conn, const mx_persist_batch_t *batch, apr_pool_t *pool)
{
    apr_status_t rv = persist_gaps(r, conn, batch, pool);
    if (rv == APR_SUCCESS)
        rv = persist_sticky(r, conn, batch, pool);
    if (rv == APR_SUCCESS && batch->redaction_waits.p)
        rv = mx_store_redaction_wait(conn, r->room_nid, batch->redaction_waits, r->nids[0], pool);
    if (rv == APR_SUCCESS && batch->nmarks)
        rv = mx_store_mark_put(conn, r->room_nid, r->nids, r->nnids, batch->marks, batch->nmarks, pool);
    if (rv == APR_SUCCESS && batch->redaction_ends)
        rv = mx_store_redaction_end(conn, batch->events[0].id, r->nids[0], batch->redacted_by, pool);
    return rv;
}

/** On a transaction that has begun; it ends if the batch was stored. */
static apr_status_t persist_and_commit(mx_persist_result_t **presult, mx_store_t *store, mx_conn_t *conn, const mx_persist_batch_t *batch,
                                       apr_pool_t *pool)
{
    apr_status_t rv = persist_on(presult, store, conn, batch, pool);
    if (rv != APR_SUCCESS || (*presult)->status != MX_PERSIST_STORED)
        return rv;
    rv = persist_more(*presult, conn, batch, pool);
    return rv == APR_SUCCESS ? mx_store_commit(conn) : rv;
}

apr_status_t mx_store_persist_turn(mx_conn_t **pconn, mx_store_t *store, apr_int64_t room_nid, apr_pool_t *pool)
{
    MX_STMT(persist_turn, "l", "select 1 from room where room_nid = $1::int8 for no key update");
    mx_rows_t *rows;
    mx_conn_t *conn;
    apr_status_t rv = mx_store_borrow(&conn, store, pool);
    if (rv != APR_SUCCESS)
        return rv;
    rv = mx_store_begin(conn);
    if (rv == APR_SUCCESS)
        rv = mx_store_query(&rows, conn, pool, &persist_turn, room_nid);
    if (rv == APR_SUCCESS && !mx_rows_count(rows))
        rv = MX_STORE_NONE;
    if (rv == APR_SUCCESS)
        *pconn = conn;
    else
        mx_store_return(conn);
    return rv;
}

apr_status_t mx_store_persist_batch(mx_persist_result_t **presult, mx_store_t *store, const mx_persist_batch_t *batch,
                                    apr_pool_t *pool)
{
    mx_persist_result_t *result = NULL;
    mx_conn_t *conn;
    apr_status_t rv;
    if (batch->turn)
        return persist_and_commit(presult, store, batch->turn, batch, pool);
    rv = mx_store_borrow(&conn, store, pool);
    if (rv != APR_SUCCESS)
        return rv;
    if (!is_more(batch))
        rv = persist_on(&result, store, conn, batch, pool);
    else if ((rv = mx_store_begin(conn)) == APR_SUCCESS)
        rv = persist_and_commit(&result, store, conn, batch, pool);
    mx_store_return(conn);          /* rolls back what was not committed */
    if (rv == APR_SUCCESS)
        *presult = result;
    return rv;
}

apr_status_t mx_store_persist_known(mx_slice_t *pid, mx_store_t *store, apr_int64_t device_nid, const char *txn_id,
                                    const char *scope, apr_pool_t *pool)
{
    MX_STMT(persist_known, "lss",
            "select e.event_id from txn t join event e on e.nid = t.nid"
            " where t.device_nid = $1::int8 and t.txn_id = $2::text and t.scope = $3::text");
    mx_rows_t *rows;
    apr_status_t rv = mx_store_run(&rows, store, pool, &persist_known, device_nid, txn_id, scope);
    if (rv != APR_SUCCESS)
        return rv;
    if (!mx_rows_count(rows))
        return MX_STORE_NONE;
    *pid = mx_row_bytes(rows, 0, 0);
    return APR_SUCCESS;
}
