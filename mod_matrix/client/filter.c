/* SPDX-License-Identifier: Apache-2.0 */
/* CS-API: /user/{userId}/filter. */
#include "api/req.h"
#include "sync/sync.h"

/* The token opens the filters of its own user alone. */
static const mx_error_t *check_own(mx_req_t *req)
{
    const char *user_id = NULL;
    const mx_error_t *err = mx_param_user_id(&user_id, req, "userId");

    if (!err && !mx_str_eq(user_id, req->who->user_id))
        err = mx_error_make(req->pool, MX_E_FORBIDDEN, "These are another user's filters.");
    return err;
}

const mx_error_t *mx_client_define_filter(mx_reply_t *reply, mx_req_t *req)
{
    const char *id = NULL;
    const mx_error_t *err = check_own(req);
    mx_json_t *json;

    if (!err) err = mx_sync_filter_put(&id, req->server, req->who->user_nid, req->body, req->pool);
    if (err) return err;
    json = mx_json_new_object(req->pool);
    mx_json_set_str(json, "filter_id", id);
    mx_reply_json(reply, json);
    return NULL;
}

const mx_error_t *mx_client_get_filter(mx_reply_t *reply, mx_req_t *req)
{
    mx_slice_t body = MX_SLICE_NONE;
    const mx_error_t *err = check_own(req);

    if (!err) err = mx_sync_filter_get(&body, req->server, req->who->user_nid, mx_param_path(req, "filterId"), req->pool);
    if (err) return err;
    reply->raw = mx_buf_create(req->pool);
    mx_buf_append(reply->raw, body.p, body.len);
    return NULL;
}
