/* SPDX-License-Identifier: Apache-2.0 */
/* CS-API: GET /rooms/{roomId}/threads. */
#include "api/paging.h"
#include "room/relation.h"

/** Threads in an answer when the client names no number. */
#define THREADS_LIMIT_DEFAULT 20

static const mx_error_t *read_ask(mx_room_thread_ask_t *ask, mx_req_t *req)
{
    const char *include = mx_param_query(req, "include");
    apr_int64_t to;
    const mx_error_t *err = mx_param_room_id(&ask->room_id, req, "roomId");

    if (!err && include && !mx_str_eq(include, "all") && !mx_str_eq(include, "participated"))
        err = mx_error_make(req->pool, MX_E_INVALID_PARAM, "include must be all or participated.");
    ask->participated = mx_str_eq(include, "participated");
    if (!err) err = mx_param_limit(&ask->limit, req, THREADS_LIMIT_DEFAULT, req->server->settings->timeline_max);
    if (!err && ask->limit < 1) err = mx_error_make(req->pool, MX_E_INVALID_PARAM, "limit must be greater than zero.");
    if (!err) err = mx_api_paging_range(&ask->from, &to, req, MX_DIR_BACKWARD);
    return err;
}

/** Roots of whose threads the reader sees nothing are left out. */
static const mx_error_t *write_page(mx_json_writer_t *w, mx_req_t *req, const mx_room_thread_page_t *page)
{
    mx_room_view_t *view = NULL;
    const mx_error_t *err = mx_room_view_create(&view, req->server, req->who, page->roots, page->n, req->now, req->pool);
    int i;

    if (!err) err = mx_room_view_bundle(view, NULL, 0);
    if (err)
        return err;
    mx_jw_object(w);
    mx_jw_key_array(w, "chunk");
    for (i = 0; !err && i < page->n; i++) {
        if (mx_room_view_has_thread(view, i))
            err = mx_room_view_write(w, view, i, MX_FORMAT_CLIENT);
    }
    mx_jw_end_array(w);
    if (page->more)
        mx_jw_key_str(w, "next_batch", mx_room_page_token(page->end, req->pool));
    mx_jw_end_object(w);
    return err;
}

const mx_error_t *mx_client_get_thread_roots(mx_reply_t *reply, mx_req_t *req)
{
    mx_json_writer_t *w = mx_jw_create(req->pool);
    mx_room_thread_ask_t ask = { .participated = 0 };
    mx_room_thread_page_t page;
    const mx_error_t *err = read_ask(&ask, req);

    if (!err) err = mx_room_thread_page(&page, req->server, req->who, &ask, req->pool);
    if (!err) err = write_page(w, req, &page);
    if (!err) mx_reply_writer(reply, w);
    return err;
}
