/* SPDX-License-Identifier: Apache-2.0 */
/* CS-API: GET /rooms/{roomId}/context/{eventId}. */
#include "api/event_filter.h"
#include "room/context.h"
#include "room/view.h"

/** Events around the one, when the client names no number. */
#define CONTEXT_LIMIT_DEFAULT 10

static const mx_error_t *write_events(mx_json_writer_t *w, mx_req_t *req, const char *name, const mx_event_row_t *rows,
                                      int n)
{
    const mx_error_t *err;

    mx_jw_key_array(w, name);
    err = mx_room_view_write_all(w, req->server, req->who, rows, n, MX_FORMAT_CLIENT, req->now, req->pool);
    mx_jw_end_array(w);
    return err;
}

static const mx_error_t *write_context(mx_json_writer_t *w, mx_req_t *req, const mx_room_context_t *context)
{
    const mx_error_t *err;

    mx_jw_object(w);
    mx_jw_key_str(w, "start", mx_room_page_token(context->start, req->pool));
    mx_jw_key_str(w, "end", mx_room_page_token(context->end, req->pool));
    mx_jw_key(w, "event");
    err = mx_room_view_write_all(w, req->server, req->who, context->event, 1, MX_FORMAT_CLIENT, req->now, req->pool);
    if (err)
        return err;
    err = write_events(w, req, "events_before", context->before.rows, context->before.n);
    if (!err) err = write_events(w, req, "events_after", context->after.rows, context->after.n);
    if (err)
        return err;
    mx_jw_key_array(w, "state");
    err = mx_room_view_write_plain(w, req->server, context->state, context->nstate, MX_FORMAT_CLIENT, req->now,
                                   req->pool);
    mx_jw_end_array(w);
    mx_jw_end_object(w);
    return err;
}

const mx_error_t *mx_client_get_event_context(mx_reply_t *reply, mx_req_t *req)
{
    mx_json_writer_t *w = mx_jw_create(req->pool);
    const char *room_id = NULL, *event_id = NULL;
    mx_event_filter_t *filter = NULL;
    mx_room_reader_t *reader = NULL;
    mx_room_context_t context;
    int limit = CONTEXT_LIMIT_DEFAULT;
    const mx_error_t *err = mx_param_room_id(&room_id, req, "roomId");

    if (!err) err = mx_param_event_id(&event_id, req, "eventId");
    if (!err) err = mx_param_limit(&limit, req, CONTEXT_LIMIT_DEFAULT, req->server->settings->timeline_max);
    if (!err) err = mx_api_event_filter(&filter, req);
    if (!err) err = mx_room_reader_open(&reader, req->server, req->who, room_id, req->pool);
    if (!err) err = mx_room_context_read(&context, reader, event_id, limit, filter, req->pool);
    if (!err) err = write_context(w, req, &context);
    if (!err) mx_reply_writer(reply, w);
    return err;
}
