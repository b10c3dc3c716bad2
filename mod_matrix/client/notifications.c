/* SPDX-License-Identifier: Apache-2.0 */
/* CS-API: GET /notifications. */
#include "api/req.h"
#include "sync/notified.h"

#define LIMIT_DEFAULT 50
#define TOKEN_LETTER 'n'             /* a token is "n" and the ord before which to go on */

static const mx_error_t *read_from(apr_int64_t *pfrom, mx_req_t *req)
{
    const char *from = mx_param_query(req, "from");

    *pfrom = APR_INT64_MAX;
    if (!from) return NULL;
    if (*from == TOKEN_LETTER && mx_str_to_int64(pfrom, from + 1, 1, APR_INT64_MAX) == APR_SUCCESS) return NULL;
    return mx_error_make(req->pool, MX_E_INVALID_PARAM, "from must be the next_token of an earlier answer.");
}

/* The rule has no profile_tag to tell: device specific rules are gone from the specification. */
static const mx_error_t *write_items(mx_json_writer_t *w, mx_req_t *req, const mx_sync_notified_page_t *page)
{
    mx_event_row_t *rows = apr_palloc(req->pool, sizeof(*rows) * (apr_size_t)(page->n + 1));
    mx_room_view_t *view = NULL;
    const mx_error_t *err;
    int i;

    for (i = 0; i < page->n; i++) rows[i] = page->items[i].event;
    err = mx_room_view_create(&view, req->server, req->who, rows, page->n, req->now, req->pool);
    if (!err) err = mx_room_view_bundle(view, NULL, 0);
    mx_jw_key_array(w, "notifications");
    for (i = 0; !err && i < page->n; i++) {
        const mx_sync_notified_t *item = &page->items[i];

        mx_jw_object(w);
        mx_jw_key_json(w, "actions", item->actions);
        mx_jw_key(w, "event");
        err = mx_room_view_write(w, view, i, MX_FORMAT_SYNC);
        mx_jw_key_bool(w, "read", item->read);
        mx_jw_key_str(w, "room_id", item->room_id);
        mx_jw_key_int(w, "ts", item->event.ts);
        mx_jw_end_object(w);
    }
    mx_jw_end_array(w);
    return err;
}

const mx_error_t *mx_client_get_notifications(mx_reply_t *reply, mx_req_t *req)
{
    mx_json_writer_t *w = mx_jw_create(req->pool);
    const char *only = mx_param_query(req, "only");
    mx_sync_notified_page_t page = { .n = 0 };
    apr_int64_t from = 0;
    int limit = 0;
    const mx_error_t *err = read_from(&from, req);

    if (!err) err = mx_param_limit(&limit, req, LIMIT_DEFAULT, req->server->settings->timeline_max);
    if (!err && limit < 1) err = mx_error_make(req->pool, MX_E_INVALID_PARAM, "limit must be greater than zero.");
    if (!err && only && !mx_str_eq(only, "highlight")) err = mx_error_make(req->pool, MX_E_INVALID_PARAM, "only must be highlight.");
    if (!err) err = mx_sync_notified_page(&page, req->server, req->who, from, limit, only != NULL, req->now, req->pool);
    if (err) return err;
    mx_jw_object(w);
    err = write_items(w, req, &page);
    if (!err && page.next) mx_jw_key_str(w, "next_token", apr_psprintf(req->pool, "%c%" APR_INT64_T_FMT, TOKEN_LETTER, page.next));
    if (err) return err;
    mx_jw_end_object(w);
    mx_reply_writer(reply, w);
    return NULL;
}
