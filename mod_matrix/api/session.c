/* SPDX-License-Identifier: Apache-2.0 */
/* What the endpoints that open sessions or need user-interactive authentication share. */
#include "api/session.h"

const mx_error_t *mx_api_session_read(mx_user_session_request_t *out, mx_req_t *req, const mx_json_t *body)
{
    mx_user_session_request_t request = { .ip = req->remote_ip, .now = req->now };
    const mx_error_t *err = mx_param_body_str(&request.device_id, req, body, "device_id", NULL);

    if (!err) err = mx_param_body_str(&request.display_name, req, body, "initial_device_display_name", NULL);
    if (!err) err = mx_param_body_bool(&request.refresh_token, req, body, "refresh_token", 0);
    if (!err) *out = request;
    return err;
}

mx_json_t *mx_api_session_json(const mx_user_session_t *session, mx_req_t *req)
{
    mx_json_t *json = mx_json_new_object(req->pool);

    mx_json_set_str(json, "user_id", session->user_id);
    mx_json_set_str(json, "home_server", req->server->name);
    mx_json_set_str(json, "access_token", session->access_token);
    mx_json_set_str(json, "device_id", session->device_id);
    mx_json_set_str(json, "refresh_token", session->refresh_token);
    if (session->expires_in_ms) mx_json_set_int(json, "expires_in_ms", session->expires_in_ms);
    return json;
}

const mx_error_t *mx_api_session_uia(mx_uia_t **puia, mx_req_t *req)
{
    mx_uia_call_t call = {
        .method = req->method, .path = req->path, .who = req->who, .body = req->body, .now = req->now
    };

    if (req->who && req->who->guest)
        return mx_error_make(req->pool, MX_E_GUEST_ACCESS_FORBIDDEN, "Guests may not do this.");
    return mx_user_uia_open(puia, req->server, &call, req->pool);
}
