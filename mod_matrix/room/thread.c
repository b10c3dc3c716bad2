/* SPDX-License-Identifier: Apache-2.0 */
/* Threads of a room. CS-API: GET /rooms/{roomId}/threads. */
#include "room/relation.h"

#include "base/nid_map.h"
#include "user/push_settings.h"

#include <stdlib.h>

#define THREAD_SCAN 250              /* events in threads looked at by one query */

/** A page in the making. */
typedef struct listing_t {
    mx_server_t *server;
    const mx_room_reader_t *reader;
    mx_store_thread_ask_t ask;       /* what is left to read */
    mx_room_thread_page_t page;
    int limit, scanned;
    apr_pool_t *pool;
} listing_t;

/** CS-API: roots of ignored users are told redacted, as a client would have them that adds threads up by itself. */
static void hide_ignored(listing_t *l, mx_event_row_t *root)
{
    if (!l->ask.nignored || !bsearch(&root->sender_nid, l->ask.ignored, (size_t)l->ask.nignored, sizeof(root->sender_nid), mx_nid_cmp))
        return;
    root->pdu = mx_event_redact(l->reader->room->version, root->pdu, l->pool);
    root->flags |= MX_EVENT_FLAG_REDACTED;
}

/** Takes the visible ones of a batch until the page is full; *pfull says that it stopped before the batch's end. */
static const mx_error_t *take(int *pfull, listing_t *l, const mx_store_thread_page_t *batch)
{
    unsigned char *visible = apr_pcalloc(l->pool, (apr_size_t)batch->n + 1);
    const mx_who_t *who = l->reader->who;
    const mx_error_t *err = mx_room_visibility(visible, l->server, l->reader->room->nid, who ? who->user_nid : 0,
                                               who ? who->user_id : NULL, batch->roots, batch->n, l->pool);
    int i;

    for (i = 0; !err && i < batch->n; i++) {
        if (l->page.n == l->limit) {
            *pfull = 1;
            return NULL;
        }
        l->page.end = l->ask.upto_ord = batch->ords[i] - 1;
        if (!visible[i])
            continue;
        l->page.roots[l->page.n] = batch->roots[i];
        hide_ignored(l, &l->page.roots[l->page.n++]);
    }
    return err;
}

/** Reads one batch; *pdone when the page is full or there are no more. */
static const mx_error_t *read_batch(int *pdone, listing_t *l)
{
    mx_store_thread_page_t batch = { 0 };
    const mx_error_t *err;
    int full = 0;
    apr_status_t rv;

    l->ask.limit = l->limit - l->page.n + 1;
    rv = mx_store_thread_page(&batch, l->server->store, &l->ask, l->pool);
    if (rv != APR_SUCCESS)
        return mx_server_store_error(rv, "reading threads", l->pool);
    err = take(&full, l, &batch);
    if (err)
        return err;
    l->scanned += batch.scanned;
    l->page.more = full || batch.n == l->ask.limit || batch.scanned == l->ask.scan;
    if (!full && batch.n < l->ask.limit && batch.scanned)
        l->page.end = l->ask.upto_ord = batch.last_ord - 1;
    *pdone = full || !l->page.more || l->scanned >= MX_ROOM_PAGE_SCAN_MAX;
    return NULL;
}

const mx_error_t *mx_room_thread_page(mx_room_thread_page_t *out, mx_server_t *server, const mx_who_t *who, const mx_room_thread_ask_t *ask,
                                      apr_pool_t *pool)
{
    listing_t l = { .server = server, .limit = ask->limit, .pool = pool };
    mx_room_reader_t *reader = NULL;
    apr_int64_t *ignored = NULL;
    const mx_error_t *err = mx_room_reader_open(&reader, server, who, ask->room_id, pool);
    int done = 0;

    if (!err && who)
        err = mx_user_push_settings_ignored(&ignored, &l.ask.nignored, server, who, pool);
    if (err)
        return err;
    l.reader = reader;
    l.ask.room_nid = reader->room->nid;
    l.ask.last_ord = reader->upto_ord;
    l.ask.upto_ord = ask->from < reader->upto_ord ? ask->from : reader->upto_ord;
    l.ask.user_nid = who ? who->user_nid : 0;
    l.ask.mine = ask->participated;
    l.ask.ignored = ignored;
    l.ask.scan = THREAD_SCAN;
    l.page.end = l.ask.upto_ord;
    l.page.roots = apr_palloc(pool, sizeof(*l.page.roots) * (apr_size_t)(ask->limit + 1));
    while (!err && !done)
        err = read_batch(&done, &l);
    if (!err)
        *out = l.page;
    return err;
}
