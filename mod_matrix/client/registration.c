/* SPDX-License-Identifier: Apache-2.0 */
/* CS-API: POST /register, GET /register/available. */
#include "api/session.h"
#include "user/registration.h"
#include "user/user.h"

static const mx_error_t *guest_read(const mx_who_t **pguest, mx_req_t *req, const mx_json_t *body)
{
    const char *token = NULL;
    mx_who_t *who = NULL;
    const mx_error_t *err = mx_param_body_str(&token, req, body, "guest_access_token", NULL);

    if (!err && token) err = mx_user_token_lookup(&who, req->server, token, req->remote_ip, req->pool);
    if (!err) *pguest = who;
    return err;
}

static const mx_error_t *registration_read(mx_user_registration_t *out, mx_req_t *req, const mx_json_t *body)
{
    const mx_error_t *err = mx_param_body_str(&out->username, req, body, "username", NULL);

    if (!err) err = mx_param_body_str(&out->password, req, body, "password", NULL);
    if (!err) err = mx_param_body_bool(&out->inhibit_login, req, body, "inhibit_login", 0);
    if (!err) err = mx_api_session_read(&out->session, req, body);
    if (!err) err = guest_read(&out->guest, req, body);
    return err;
}

static const mx_error_t *register_user(mx_user_session_t **psession, mx_req_t *req)
{
    mx_user_registration_t reg = { 0 };
    mx_uia_t *uia = NULL;
    const mx_error_t *err = mx_user_registration_allowed(req->server, req->pool);

    if (!err) err = mx_api_session_uia(&uia, req);
    if (!err) err = registration_read(&reg, req, mx_user_uia_body(uia));
    if (!err) err = mx_user_register(psession, req->server, uia, &reg, req->pool);
    return err;
}

/* "All parameters in the request body with the exception of initial_device_display_name MUST BE ignored" */
static const mx_error_t *register_guest(mx_user_session_t **psession, mx_req_t *req)
{
    mx_user_session_request_t request = { .ip = req->remote_ip, .now = req->now };
    const mx_error_t *err =
        mx_param_body_str(&request.display_name, req, req->body, "initial_device_display_name", NULL);

    return err ? err : mx_user_register_guest(psession, req->server, &request, req->pool);
}

const mx_error_t *mx_client_register(mx_reply_t *reply, mx_req_t *req)
{
    const char *kind = mx_param_query(req, "kind");
    mx_user_session_t *session = NULL;
    const mx_error_t *err;

    if (!kind || mx_str_eq(kind, "user"))
        err = register_user(&session, req);
    else if (mx_str_eq(kind, "guest"))
        err = register_guest(&session, req);
    else
        err = mx_error_make(req->pool, MX_E_INVALID_PARAM, "kind must be user or guest.");
    if (!err) mx_reply_json(reply, mx_api_session_json(session, req));
    return err;
}

const mx_error_t *mx_client_check_username_availability(mx_reply_t *reply, mx_req_t *req)
{
    const char *username = mx_param_query(req, "username");
    mx_json_t *json = mx_json_new_object(req->pool);
    const mx_error_t *err = mx_user_registration_allowed(req->server, req->pool);

    if (!err && !username)
        err = mx_error_make(req->pool, MX_E_MISSING_PARAM, "The query parameter username is missing.");
    if (!err) err = mx_user_registration_available(req->server, username, req->pool);
    if (err) return err;
    mx_json_set_bool(json, "available", 1);
    mx_reply_json(reply, json);
    return NULL;
}
