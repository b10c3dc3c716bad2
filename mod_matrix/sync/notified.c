/* SPDX-License-Identifier: Apache-2.0 */
/* Notifications of a user, read when they are asked for. */
#include "sync/notified.h"

#include "store/notified.h"
#include "sync/judge.h"
#include <apr_hash.h>

/** A page in the making. */
typedef struct listing_t {
    mx_server_t *server;
    const mx_who_t *who;
    mx_user_push_settings_t *settings;
    const mx_push_set_t *rules;
    apr_hash_t *judges;              /* by room id */
    apr_int64_t oldest_ts;
    int limit, highlights, over;
    mx_sync_notified_page_t page;
    apr_pool_t *pool;
} listing_t;

static const mx_error_t *judge_of(mx_sync_judge_t **pjudge, listing_t *l, const char *room_id)
{
    const mx_error_t *err = NULL;

    *pjudge = apr_hash_get(l->judges, room_id, APR_HASH_KEY_STRING);
    if (*pjudge) return NULL;
    err = mx_sync_judge_create(pjudge, l->server, l->who, l->rules, room_id, l->pool);
    if (!err) apr_hash_set(l->judges, room_id, APR_HASH_KEY_STRING, *pjudge);
    return err;
}

static const mx_error_t *take(listing_t *l, const mx_store_notified_t *row)
{
    mx_sync_judge_t *judge = NULL;
    mx_push_verdict_t verdict;
    apr_pool_t *scratch;
    const mx_error_t *err = judge_of(&judge, l, row->room_id);

    if (err) return err;
    apr_pool_create(&scratch, l->pool);
    verdict = mx_sync_judge_event(NULL, judge, row->event.pdu, scratch);
    apr_pool_destroy(scratch);
    if (verdict.notify && (verdict.highlight || !l->highlights))
        l->page.items[l->page.n++] = (mx_sync_notified_t){ row->event, row->room_id, verdict.actions, row->read };
    return NULL;
}

static const mx_error_t *take_all(listing_t *l, const mx_store_notified_t *rows, int n)
{
    const mx_error_t *err = NULL;
    int i;

    for (i = 0; !err && i < n && l->page.n < l->limit; i++) {
        if (rows[i].event.ts < l->oldest_ts) {
            l->over = 1;
            l->page.next = 0;
            return NULL;
        }
        err = take(l, &rows[i]);
    }
    if (i < n) l->page.next = rows[i].event.ord + 1;
    return err;
}

static const mx_error_t *read_page(listing_t *l, apr_int64_t from)
{
    const mx_error_t *err = NULL;
    int scanned = 0;

    l->page.next = from;
    while (!err && !l->over && l->page.next && l->page.n < l->limit && scanned < MX_SYNC_NOTIFIED_SCAN_MAX) {
        mx_store_notified_t *rows = NULL;
        int n = 0;
        apr_status_t rv = mx_store_notified_events(&rows, &n, &l->page.next, l->server->store, l->who->user_nid, l->page.next,
                                                   l->settings->ignored, l->settings->nignored, MX_SYNC_NOTIFIED_SCAN, l->pool);

        if (rv != APR_SUCCESS) return mx_server_store_error(rv, "reading notifications", l->pool);
        scanned += MX_SYNC_NOTIFIED_SCAN;
        err = take_all(l, rows, n);
    }
    return err;
}

const mx_error_t *mx_sync_notified_page(mx_sync_notified_page_t *out, mx_server_t *server, const mx_who_t *who, apr_int64_t from, int limit,
                                        int highlights, apr_time_t now, apr_pool_t *pool)
{
    listing_t l = { .server = server, .who = who, .limit = limit, .highlights = highlights, .pool = pool };
    const mx_error_t *err = mx_user_push_settings_get(&l.settings, server, who, NULL, pool);

    if (err) return err;
    l.rules = mx_user_push_settings_rules(l.settings, pool);
    l.judges = apr_hash_make(pool);
    l.oldest_ts = apr_time_as_msec(now) - server->settings->notifications_kept_ms;
    l.page.items = apr_palloc(pool, sizeof(*l.page.items) * (apr_size_t)(limit + 1));
    err = read_page(&l, from);
    if (!err) *out = l.page;
    return err;
}
