/* SPDX-License-Identifier: Apache-2.0 */
/* CS-API: POST /refresh. */
#include "api/req.h"
#include "user/session.h"

const mx_error_t *mx_client_refresh(mx_reply_t *reply, mx_req_t *req)
{
    const char *token = NULL;
    mx_user_session_t *session = NULL;
    mx_json_t *json = mx_json_new_object(req->pool);
    const mx_error_t *err = mx_param_must_str(&token, req, req->body, "refresh_token");

    if (!err) err = mx_user_session_refresh(&session, req->server, token, req->now, req->pool);
    if (err) return err;
    mx_json_set_str(json, "access_token", session->access_token);
    mx_json_set_str(json, "refresh_token", session->refresh_token);
    mx_json_set_int(json, "expires_in_ms", session->expires_in_ms);
    mx_reply_json(reply, json);
    return NULL;
}
