/* SPDX-License-Identifier: Apache-2.0 */
/* Pages of a room's timeline: range, filter and visibility together, in a bounded number of reads. */
#include "room/page.h"

#include "store/page.h"
#include "sync/sync.h"
#include "user/push_settings.h"

#include <apr_hash.h>

/** Events looked at by one query when a filter may throw most of them away. */
#define PAGE_FILTERED_SCAN 1000
/** Events read by the second and further queries of a page: the first had some that the reader may not see. */
#define PAGE_NEXT_BATCH 250

const char *mx_room_page_token(apr_int64_t ord, apr_pool_t *pool)
{
    return apr_psprintf(pool, "t%" APR_INT64_T_FMT, ord);
}

const mx_error_t *mx_room_page_token_parse(apr_int64_t *pord, mx_server_t *server, const char *token, apr_pool_t *pool)
{
    apr_int64_t ord;

    if (token[0] == 's')
        return mx_sync_token_parse(pord, server, token, pool);
    if (token[0] != 't' || mx_str_to_int64(&ord, token + 1, MX_ROOM_PAGE_FIRST, MX_ROOM_PAGE_LAST) != APR_SUCCESS)
        return mx_error_make(pool, MX_E_INVALID_PARAM, "That is not a pagination token of this server.");
    /* above zero an ord is a stream position, and may lie no further ahead than one */
    if (ord > 0)
        return mx_sync_token_parse(pord, server, mx_sync_token_format(ord, pool), pool);
    *pord = ord;
    return NULL;
}

/* ---- filters ---- */

static int count(const char *const *list)
{
    int n = 0;
    while (list && list[n])
        n++;
    return n;
}

static const char **patterns(const char *const *types, int n, apr_pool_t *pool)
{
    const char **out = apr_pcalloc(pool, (n + 1) * sizeof(*out));
    int i;

    for (i = 0; i < n; i++)
        out[i] = mx_store_page_pattern(types[i], pool);
    return out;
}

/** Hands to the store what it can filter by itself. */
static void filter_ask(mx_store_page_ask_t *ask, const mx_event_filter_t *filter, apr_pool_t *pool)
{
    static const char *const none[] = { NULL };

    ask->not_types = ask->not_senders = none;
    if (!filter)
        return;
    ask->ntypes = count(filter->types);
    ask->nnot_types = count(filter->not_types);
    ask->nsenders = count(filter->senders);
    ask->nnot_senders = count(filter->not_senders);
    if (filter->types)
        ask->types = patterns(filter->types, ask->ntypes, pool);
    if (filter->not_types)
        ask->not_types = patterns(filter->not_types, ask->nnot_types, pool);
    ask->senders = filter->senders;
    if (filter->not_senders)
        ask->not_senders = filter->not_senders;
}

/** 1 if the content has a string `url`. */
static int has_url(const mx_event_row_t *row, apr_pool_t *pool)
{
    mx_json_scan_t scan;
    mx_slice_t value;

    mx_json_scan_trusted(&scan, row->pdu, pool);
    value = mx_json_scan_get(&scan, "content");
    if (!value.p)
        return 0;
    mx_json_scan_trusted(&scan, value, pool);
    value = mx_json_scan_get(&scan, "url");
    return value.len > 0 && value.p[0] == '"';
}

const mx_error_t *mx_room_page_allows(int *pyes, mx_server_t *server, const mx_event_filter_t *filter,
                                      const char *room_id, const mx_event_row_t *row, apr_pool_t *pool)
{
    const char *type = NULL, *sender = NULL;
    apr_status_t rv;

    if (!filter || mx_event_filter_is_open(filter)) {
        *pyes = 1;
        return NULL;
    }
    rv = mx_server_type_name(&type, server, row->type_nid, pool);
    if (rv == APR_SUCCESS)
        rv = mx_server_user_id(&sender, server, row->sender_nid, pool);
    if (rv != APR_SUCCESS)
        return mx_server_store_error(rv, "looking up a type or sender", pool);
    *pyes = mx_event_filter_allows(filter, type, sender, room_id, filter->contains_url >= 0 && has_url(row, pool));
    return NULL;
}

/* ---- reading ---- */

/** A page in the making. */
typedef struct reading_t {
    mx_server_t *server;
    const mx_room_page_ask_t *ask;
    mx_store_page_ask_t range;       /* what is left to read */
    mx_room_page_t page;
    int scanned, open;
    apr_int64_t *ignored;            /* users whose events are not given, state aside */
    int nignored;
    apr_pool_t *pool;
} reading_t;

/** `place` becomes the end of what was read so far. */
static void advance(reading_t *r, apr_int64_t last_ord)
{
    if (r->range.dir == MX_DIR_BACKWARD)
        r->page.end = r->range.upto_ord = last_ord - 1;
    else
        r->page.end = r->range.after_ord = last_ord;
}

/** Takes the visible and wished ones of a batch until the page is full; *pfull says that it stopped before the batch's
 * end. */
static const mx_error_t *take(int *pfull, reading_t *r, const mx_store_page_t *batch)
{
    unsigned char *visible = apr_pcalloc(r->pool, batch->n + 1);
    const mx_room_reader_t *reader = r->ask->reader;
    const mx_who_t *who = reader->who;
    const mx_error_t *err = mx_room_visibility(visible, r->server, reader->room->nid, who ? who->user_nid : 0,
                                               who ? who->user_id : NULL, batch->rows, batch->n, r->pool);
    int i, yes = 0;

    for (i = 0; !err && i < batch->n; i++) {
        if (r->page.n == r->ask->limit) {
            *pfull = 1;
            return NULL;
        }
        advance(r, batch->rows[i].ord);
        if (!visible[i] || mx_room_reader_ignores(&batch->rows[i], r->ignored, r->nignored))
            continue;
        err = mx_room_page_allows(&yes, r->server, r->ask->filter, reader->room->room_id, &batch->rows[i], r->pool);
        if (!err && yes)
            r->page.rows[r->page.n++] = batch->rows[i];
    }
    return err;
}

/** Reads one batch; *pdone when the page is full or the range is empty. */
static const mx_error_t *read_batch(int *pdone, reading_t *r)
{
    mx_store_page_t batch;
    const mx_error_t *err;
    int full = 0;
    apr_status_t rv;

    r->range.limit = r->ask->limit - r->page.n + 1;
    if (r->scanned && r->range.limit < PAGE_NEXT_BATCH)
        r->range.limit = PAGE_NEXT_BATCH;
    r->range.scan = r->open ? r->range.limit : PAGE_FILTERED_SCAN;
    rv = mx_store_page_read(&batch, r->server->store, &r->range, r->pool);
    if (rv != APR_SUCCESS)
        return mx_server_store_error(rv, "reading a page of events", r->pool);
    err = take(&full, r, &batch);
    if (err)
        return err;
    r->scanned += batch.scanned;
    r->page.more = full || batch.n == r->range.limit || batch.scanned == r->range.scan;
    if (!full && batch.n < r->range.limit && batch.scanned)
        advance(r, batch.last_ord);
    *pdone = full || !r->page.more || r->page.n >= r->ask->limit || r->scanned >= MX_ROOM_PAGE_SCAN_MAX;
    return NULL;
}

/** The range asked for, cut to what the reader may know of. */
static void set_range(reading_t *r)
{
    const mx_room_page_ask_t *ask = r->ask;
    apr_int64_t last = ask->reader->upto_ord;

    r->range.room_nid = ask->reader->room->nid;
    r->range.dir = ask->dir;
    r->range.relation = ask->relation;
    r->range.after_ord = ask->dir == MX_DIR_BACKWARD ? ask->to : ask->from;
    r->range.upto_ord = ask->dir == MX_DIR_BACKWARD ? ask->from : ask->to;
    if (r->range.upto_ord > last)
        r->range.upto_ord = last;
    filter_ask(&r->range, ask->filter, r->pool);
}

static int is_end_of_room(apr_int64_t ord)
{
    return ord == MX_ROOM_PAGE_FIRST || ord == MX_ROOM_PAGE_LAST;
}

/** Where the page begins, for one that was asked for from an end of the room; and ends, if nothing was read. */
static void set_places(reading_t *r)
{
    if (!is_end_of_room(r->ask->from))
        r->page.start = r->ask->from;
    else if (r->page.n)
        r->page.start = r->page.rows[0].ord - (r->ask->dir == MX_DIR_FORWARD);
    else
        r->page.start = r->ask->dir == MX_DIR_BACKWARD ? r->ask->reader->room->last_stream : 0;
    if (is_end_of_room(r->page.end))
        r->page.end = r->page.start;
}

const mx_error_t *mx_room_page_read(mx_room_page_t *out, mx_server_t *server, const mx_room_page_ask_t *ask,
                                    apr_pool_t *pool)
{
    reading_t r = {
        .server = server, .ask = ask, .open = !ask->filter || mx_event_filter_is_open(ask->filter), .pool = pool};
    const mx_error_t *err = NULL;
    int done = 0;

    /* children of an event are asked for with whom the reader ignores */
    if (ask->reader->who && !ask->relation)
        err = mx_user_push_settings_ignored(&r.ignored, &r.nignored, server, ask->reader->who, pool);
    set_range(&r);
    r.page.end = ask->from;
    r.page.rows = apr_pcalloc(pool, (ask->limit + 1) * sizeof(*r.page.rows));
    while (!err && !done && r.range.after_ord < r.range.upto_ord)
        err = read_batch(&done, &r);
    if (err)
        return err;
    if (r.range.after_ord >= r.range.upto_ord)
        r.page.more = 0;
    set_places(&r);
    *out = r.page;
    return NULL;
}

/* ---- lazy loading ---- */

/** The skey nids of (m.room.member, sender) of all senders of the rows, each once. */
static const mx_error_t *sender_skeys(apr_int64_t **pskeys, int *pn, mx_server_t *server, const mx_event_row_t *rows,
                                      int n, apr_pool_t *pool)
{
    apr_hash_t *seen = apr_hash_make(pool);
    apr_int64_t *skeys = apr_palloc(pool, (n + 1) * sizeof(*skeys));
    const char *user_id;
    int i, nskeys = 0;
    apr_status_t rv = APR_SUCCESS;

    for (i = 0; i < n && (rv == APR_SUCCESS || rv == MX_STORE_NONE); i++) {
        if (apr_hash_get(seen, &rows[i].sender_nid, sizeof(rows[i].sender_nid)))
            continue;
        apr_hash_set(seen, &rows[i].sender_nid, sizeof(rows[i].sender_nid), "");
        rv = mx_server_user_id(&user_id, server, rows[i].sender_nid, pool);
        if (rv == APR_SUCCESS)
            rv = mx_server_skey_nid_find(&skeys[nskeys], server, "m.room.member", user_id, pool);
        nskeys += rv == APR_SUCCESS;
    }
    if (rv != APR_SUCCESS && rv != MX_STORE_NONE)
        return mx_server_store_error(rv, "looking up senders", pool);
    *pskeys = skeys;
    *pn = nskeys;
    return NULL;
}

const mx_error_t *mx_room_page_members(mx_event_row_t **prows, int *pn, mx_server_t *server, apr_int64_t snap_nid,
                                       const mx_event_row_t *rows, int n, apr_pool_t *pool)
{
    apr_int64_t *skeys = NULL, *nids;
    mx_state_hit_t *hits = NULL;
    int i, nskeys = 0, nhits = 0;
    const mx_error_t *err;
    apr_status_t rv;

    *prows = NULL;
    *pn = 0;
    if (!n || !snap_nid)
        return NULL;
    err = sender_skeys(&skeys, &nskeys, server, rows, n, pool);
    if (err)
        return err;
    rv = mx_store_state_entries(&hits, &nhits, server->store, &snap_nid, 1, skeys, nskeys, pool);
    if (rv == APR_SUCCESS && nhits) {
        nids = apr_palloc(pool, nhits * sizeof(*nids));
        for (i = 0; i < nhits; i++)
            nids[i] = hits[i].nid;
        rv = mx_store_event_by_nids(prows, pn, server->store, nids, nhits, pool);
    }
    return rv == APR_SUCCESS ? NULL : mx_server_store_error(rv, "reading the members of a page", pool);
}
