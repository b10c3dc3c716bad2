/* SPDX-License-Identifier: Apache-2.0 */
/* CS-API: /profile/{userId}, /profile/{userId}/{keyName}. */
#include "api/req.h"
#include "user/profile.h"

const mx_error_t *mx_client_get_user_profile(mx_reply_t *reply, mx_req_t *req)
{
    const char *user_id = NULL;
    mx_json_t *profile = NULL;
    const mx_error_t *err = mx_param_user_id(&user_id, req, "userId");

    if (!err) err = mx_user_profile_get(&profile, req->server, user_id, req->pool);
    if (!err) mx_reply_json(reply, profile);
    return err;
}

const mx_error_t *mx_client_get_profile_field(mx_reply_t *reply, mx_req_t *req)
{
    const char *user_id = NULL;
    mx_json_t *field = NULL;
    const mx_error_t *err = mx_param_user_id(&user_id, req, "userId");

    if (!err) err = mx_user_profile_get_field(&field, req->server, user_id, mx_param_path(req, "keyName"), req->pool);
    if (!err) mx_reply_json(reply, field);
    return err;
}

const mx_error_t *mx_client_set_profile_field(mx_reply_t *reply, mx_req_t *req)
{
    const char *user_id = NULL, *field = mx_param_path(req, "keyName");
    const mx_json_t *value = mx_json_get(req->body, field);
    const mx_error_t *err = mx_param_user_id(&user_id, req, "userId");

    if (!err) err = mx_user_profile_may_change(req->server, req->who, user_id, field, req->pool);
    if (!err && !value)
        err = mx_error_make(req->pool, MX_E_MISSING_PARAM, "The body must have a member named like the field.");
    if (!err) err = mx_user_profile_set(req->server, req->who, user_id, field, value, req->pool);
    return err;
}

const mx_error_t *mx_client_delete_profile_field(mx_reply_t *reply, mx_req_t *req)
{
    const char *user_id = NULL;
    const mx_error_t *err = mx_param_user_id(&user_id, req, "userId");

    return err ? err : mx_user_profile_delete(req->server, req->who, user_id, mx_param_path(req, "keyName"), req->pool);
}
