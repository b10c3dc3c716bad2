/* SPDX-License-Identifier: Apache-2.0 */
/* CS-API: PUT /rooms/{roomId}/typing/{userId}. */
#include "api/req.h"
#include "sync/sync.h"

const mx_error_t *mx_client_set_typing(mx_reply_t *reply, mx_req_t *req)
{
    const char *room_id = NULL, *user_id = NULL;
    apr_int64_t timeout_ms = 0;
    int typing = 0;
    const mx_error_t *err = mx_param_room_id(&room_id, req, "roomId");

    if (!err) err = mx_param_user_id(&user_id, req, "userId");
    if (!err && !mx_str_eq(user_id, req->who->user_id)) err = mx_error_make(req->pool, MX_E_FORBIDDEN, "You cannot type for another user.");
    if (!err && !mx_json_get(req->body, "typing")) err = mx_error_make(req->pool, MX_E_MISSING_PARAM, "typing is missing.");
    if (!err) err = mx_param_body_bool(&typing, req, req->body, "typing", 0);
    if (!err) err = mx_param_body_int(&timeout_ms, req, req->body, "timeout", MX_SYNC_TYPING_DEFAULT_MS, 0, APR_INT64_MAX);
    return err ? err : mx_sync_typing_set(req->server, req->who, room_id, typing ? timeout_ms : 0, req->pool);
}
