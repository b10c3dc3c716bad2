/* SPDX-License-Identifier: Apache-2.0 */
/* CS-API: GET /rooms/{roomId}/relations/{eventId}[/{relType}[/{eventType}]]. */
#include "api/paging.h"
#include "room/relation.h"
#include "room/view.h"

/** Events in an answer when the client names no number. */
#define RELATIONS_LIMIT_DEFAULT 20

static const mx_error_t *read_ask(mx_room_relation_ask_t *ask, mx_req_t *req)
{
    const mx_error_t *err = mx_param_room_id(&ask->room_id, req, "roomId");

    if (!err) err = mx_param_event_id(&ask->event_id, req, "eventId");
    if (!err) err = mx_api_paging_dir(&ask->dir, req, "b");
    if (!err) err = mx_api_paging_range(&ask->from, &ask->to, req, ask->dir);
    if (!err) err = mx_param_limit(&ask->limit, req, RELATIONS_LIMIT_DEFAULT, req->server->settings->timeline_max);
    if (!err) err = mx_param_query_bool(&ask->recurse, req, "recurse", 0);
    return err;
}

static const mx_error_t *write_page(mx_json_writer_t *w, mx_req_t *req, const mx_room_page_t *page)
{
    const char *from = mx_param_query(req, "from");
    const mx_error_t *err;

    mx_jw_object(w);
    mx_jw_key_array(w, "chunk");
    err = mx_room_view_write_all(w, req->server, req->who, page->rows, page->n, MX_FORMAT_CLIENT, req->now, req->pool);
    mx_jw_end_array(w);
    if (page->more)
        mx_jw_key_str(w, "next_batch", mx_room_page_token(page->end, req->pool));
    if (from)
        mx_jw_key_str(w, "prev_batch", from);
    if (mx_param_query(req, "recurse"))
        mx_jw_key_int(w, "recursion_depth", mx_str_eq(mx_param_query(req, "recurse"), "true") ? MX_STORE_RELATION_DEPTH : 1);
    mx_jw_end_object(w);
    return err;
}

static const mx_error_t *answer(mx_reply_t *reply, mx_req_t *req, const char *rel_type, const char *type)
{
    mx_json_writer_t *w = mx_jw_create(req->pool);
    mx_room_relation_ask_t ask = { .rel_type = rel_type, .type = type };
    mx_room_page_t page;
    const mx_error_t *err = read_ask(&ask, req);

    if (!err) err = mx_room_relation_page(&page, req->server, req->who, &ask, req->pool);
    if (!err) err = write_page(w, req, &page);
    if (!err) mx_reply_writer(reply, w);
    return err;
}

const mx_error_t *mx_client_get_relating_events(mx_reply_t *reply, mx_req_t *req)
{
    return answer(reply, req, NULL, NULL);
}

const mx_error_t *mx_client_get_relating_events_with_rel_type(mx_reply_t *reply, mx_req_t *req)
{
    return answer(reply, req, mx_param_path(req, "relType"), NULL);
}

const mx_error_t *mx_client_get_relating_events_with_rel_type_and_event_type(mx_reply_t *reply, mx_req_t *req)
{
    return answer(reply, req, mx_param_path(req, "relType"), mx_param_path(req, "eventType"));
}
