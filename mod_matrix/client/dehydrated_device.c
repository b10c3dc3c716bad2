/* SPDX-License-Identifier: Apache-2.0 */
/* MSC3814: /dehydrated_device, /dehydrated_device/{device_id}/events, under org.matrix.msc3814.v1. */
#include "api/req.h"
#include "sync/sync.h"
#include "user/dehydrated.h"

#define EVENTS_DEFAULT 100
#define EVENTS_MAX 500 /* in one answer */

static const mx_error_t *reply_id(mx_reply_t *reply, mx_req_t *req, const mx_error_t *err, const char *device_id)
{
    mx_json_t *json;

    if (err) return err;
    json = mx_json_new_object(req->pool);
    mx_json_set_str(json, "device_id", device_id);
    mx_reply_json(reply, json);
    return NULL;
}

const mx_error_t *mx_client_put_dehydrated_device(mx_reply_t *reply, mx_req_t *req)
{
    const char *device_id = NULL;
    const mx_error_t *err = mx_user_dehydrated_put(&device_id, req->server, req->who, req->body, req->now, req->pool);

    return reply_id(reply, req, err, device_id);
}

const mx_error_t *mx_client_delete_dehydrated_device(mx_reply_t *reply, mx_req_t *req)
{
    const char *device_id = NULL;
    const mx_error_t *err = mx_user_dehydrated_delete(&device_id, req->server, req->who, req->pool);

    return reply_id(reply, req, err, device_id);
}

const mx_error_t *mx_client_get_dehydrated_device(mx_reply_t *reply, mx_req_t *req)
{
    mx_dehydrated_t device;
    mx_json_writer_t *w = mx_jw_create(req->pool);
    const mx_error_t *err = mx_user_dehydrated_get(&device, req->server, req->who, req->pool);

    if (err) return err;
    mx_jw_object(w);
    mx_jw_key_str(w, "device_id", device.device_id);
    mx_jw_key_raw(w, "device_data", device.data);
    mx_jw_end_object(w);
    mx_reply_writer(reply, w);
    return NULL;
}

/* ---- its messages: one more than asked for is read, to know whether there are more ---- */

static void write_events(mx_reply_t *reply, mx_req_t *req, const mx_to_device_row_t *rows, int n, const char *next_batch)
{
    mx_json_writer_t *w = mx_jw_create(req->pool);

    mx_jw_object(w);
    mx_sync_write_messages(w, rows, n);
    if (next_batch) mx_jw_key_str(w, "next_batch", next_batch);
    mx_jw_end_object(w);
    mx_reply_writer(reply, w);
}

static const mx_error_t *reply_events(mx_reply_t *reply, mx_req_t *req, const char *from, int always_next)
{
    mx_to_device_row_t *rows = NULL;
    apr_int64_t after = 0, upto = 0, next;
    int limit = EVENTS_DEFAULT, n = 0, more;
    const mx_error_t *err = mx_param_limit(&limit, req, EVENTS_DEFAULT, EVENTS_MAX);

    if (!err && from) err = mx_sync_token_parse(&after, req->server, from, req->pool);
    if (!err) err = mx_sync_position(&upto, req->server, req->pool);
    if (!limit) limit = 1;
    if (!err)
        err = mx_user_dehydrated_messages(&rows, &n, req->server, req->who, mx_param_path(req, "device_id"), after, upto, limit + 1,
                                          req->pool);
    if (err) return err;
    more = n > limit;
    if (more) n = limit;
    next = n ? rows[n - 1].stream : after;
    write_events(reply, req, rows, n, more || always_next ? mx_sync_token_format(next, req->pool) : NULL);
    return NULL;
}

const mx_error_t *mx_client_get_dehydrated_device_events(mx_reply_t *reply, mx_req_t *req)
{
    return reply_events(reply, req, mx_param_query(req, "from"), 0);
}

/* The form of an earlier draft, which clients use: it always says where to go on. */
const mx_error_t *mx_client_post_dehydrated_device_events(mx_reply_t *reply, mx_req_t *req)
{
    const char *next_batch = NULL;
    const mx_error_t *err = mx_param_body_str(&next_batch, req, req->body, "next_batch", NULL);

    return err ? err : reply_events(reply, req, next_batch, 1);
}
