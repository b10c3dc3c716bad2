/* SPDX-License-Identifier: Apache-2.0 */
/* CS-API: GET and POST /login. */
#include "api/session.h"
#include "user/login.h"

#define LOGIN_PASSWORD "m.login.password"

const mx_error_t *mx_client_get_login_flows(mx_reply_t *reply, mx_req_t *req)
{
    mx_json_t *json = mx_json_new_object(req->pool), *flows = mx_json_new_array(req->pool),
              *flow = mx_json_new_object(req->pool);

    mx_json_set_str(flow, "type", LOGIN_PASSWORD);
    mx_json_add(flows, flow);
    mx_json_set(json, "flows", flows);
    mx_reply_json(reply, json);
    return NULL;
}

static const mx_error_t *check_type(mx_req_t *req)
{
    const char *type = NULL;
    const mx_error_t *err = mx_param_must_str(&type, req, req->body, "type");

    if (err || mx_str_eq(type, LOGIN_PASSWORD)) return err;
    return mx_error_make_status(req->pool, MX_E_UNKNOWN, 400, "This login type is not offered here: see GET /login.");
}

/** What /.well-known/matrix/client says, where the administrator has set it. */
static void add_well_known(mx_json_t *json, mx_req_t *req)
{
    mx_json_t *well_known, *homeserver;

    if (!req->server->settings->well_known_client) return;
    well_known = mx_json_new_object(req->pool);
    homeserver = mx_json_new_object(req->pool);
    mx_json_set_str(homeserver, "base_url", req->server->settings->well_known_client);
    mx_json_set(well_known, "m.homeserver", homeserver);
    mx_json_set(json, "well_known", well_known);
}

const mx_error_t *mx_client_login(mx_reply_t *reply, mx_req_t *req)
{
    const char *user = NULL, *password = NULL;
    mx_user_session_request_t request;
    mx_user_session_t *session = NULL;
    mx_json_t *json;
    const mx_error_t *err = check_type(req);

    if (!err) err = mx_user_login_identify(&user, req->body, req->pool);
    if (!err) err = mx_param_must_str(&password, req, req->body, "password");
    if (!err) err = mx_api_session_read(&request, req, req->body);
    if (!err) err = mx_user_login(&session, req->server, user, password, &request, req->pool);
    if (err) return err;
    json = mx_api_session_json(session, req);
    add_well_known(json, req);
    mx_reply_json(reply, json);
    return NULL;
}
