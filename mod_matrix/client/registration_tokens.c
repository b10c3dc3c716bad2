/* SPDX-License-Identifier: Apache-2.0 */
/* CS-API: GET /register/m.login.registration_token/validity. */
#include "api/req.h"
#include "user/registration.h"

const mx_error_t *mx_client_registration_token_validity(mx_reply_t *reply, mx_req_t *req)
{
    const char *token = mx_param_query(req, "token");
    mx_json_t *json = mx_json_new_object(req->pool);
    const mx_error_t *err;
    int valid = 0;

    if (!token) return mx_error_make(req->pool, MX_E_MISSING_PARAM, "The query parameter token is missing.");
    err = mx_user_registration_token_valid(&valid, req->server, token, req->now, req->pool);
    if (err) return err;
    mx_json_set_bool(json, "valid", valid);
    mx_reply_json(reply, json);
    return NULL;
}
