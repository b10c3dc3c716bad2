/* SPDX-License-Identifier: Apache-2.0 */
/* CS-API: /rooms/{roomId}/state and /rooms/{roomId}/state/{eventType}/{stateKey}. */
#include "api/post.h"
#include "room/state_read.h"
#include "room/view.h"

static const mx_error_t *open_reader(mx_room_reader_t **preader, mx_req_t *req)
{
    const char *room_id = NULL;
    const mx_error_t *err = mx_param_room_id(&room_id, req, "roomId");

    return err ? err : mx_room_reader_open(preader, req->server, req->who, room_id, req->pool);
}

const mx_error_t *mx_client_get_room_state(mx_reply_t *reply, mx_req_t *req)
{
    mx_room_reader_t *reader = NULL;
    mx_event_row_t *rows = NULL;
    mx_json_writer_t *w = mx_jw_create(req->pool);
    int n = 0;
    const mx_error_t *err = open_reader(&reader, req);

    if (!err) err = mx_room_state_read_all(&rows, &n, reader, req->pool);
    if (err) return err;
    mx_jw_array(w);
    err = mx_room_view_write_plain(w, req->server, rows, n, MX_FORMAT_CLIENT, req->now, req->pool);
    mx_jw_end_array(w);
    if (!err) mx_reply_writer(reply, w);
    return err;
}

static const mx_error_t *get_content(mx_reply_t *reply, mx_req_t *req, const mx_room_reader_t *reader)
{
    mx_slice_t content = MX_SLICE_NONE;
    mx_json_writer_t *w = mx_jw_create(req->pool);
    const mx_error_t *err = mx_room_state_read_content(&content, reader, mx_param_path(req, "eventType"),
                                                       mx_param_path(req, "stateKey"), req->pool);

    if (err) return err;
    mx_jw_raw_slice(w, content);
    mx_reply_writer(reply, w);
    return NULL;
}

static const mx_error_t *get_event(mx_reply_t *reply, mx_req_t *req, const mx_room_reader_t *reader)
{
    mx_event_row_t *row = NULL;
    mx_room_view_t *view = NULL;
    mx_json_writer_t *w = mx_jw_create(req->pool);
    const mx_error_t *err = mx_room_state_read_one(&row, reader, mx_param_path(req, "eventType"),
                                                   mx_param_path(req, "stateKey"), req->pool);

    if (!err) err = mx_room_view_create(&view, req->server, req->who, row, 1, req->now, req->pool);
    if (!err) err = mx_room_view_write(w, view, 0, MX_FORMAT_CLIENT);
    if (!err) mx_reply_writer(reply, w);
    return err;
}

const mx_error_t *mx_client_get_room_state_with_key(mx_reply_t *reply, mx_req_t *req)
{
    const char *format = mx_param_query(req, "format");
    mx_room_reader_t *reader = NULL;
    const mx_error_t *err;

    if (format && strcmp(format, "content") != 0 && strcmp(format, "event") != 0)
        return mx_error_make(req->pool, MX_E_INVALID_PARAM, "The parameter format must be content or event.");
    err = open_reader(&reader, req);
    if (err) return err;
    return mx_str_eq(format, "event") ? get_event(reply, req, reader) : get_content(reply, req, reader);
}

const mx_error_t *mx_client_set_room_state_with_key(mx_reply_t *reply, mx_req_t *req)
{
    mx_room_draft_t draft = { .type = mx_param_path(req, "eventType"), .state_key = mx_param_path(req, "stateKey") };

    return mx_post_event(reply, req, &draft);
}
