/* SPDX-License-Identifier: Apache-2.0 */
/* CS-API: POST /account/password. */
#include "api/session.h"
#include "user/password.h"

const mx_error_t *mx_client_change_password(mx_reply_t *reply, mx_req_t *req)
{
    const char *password = NULL;
    int logout_devices = 1;
    mx_uia_t *uia = NULL;
    const mx_error_t *err = mx_api_session_uia(&uia, req);

    if (!err) err = mx_param_must_str(&password, req, mx_user_uia_body(uia), "new_password");
    if (!err) err = mx_param_body_bool(&logout_devices, req, mx_user_uia_body(uia), "logout_devices", 1);
    if (!err) err = mx_user_password_change(req->server, uia, password, logout_devices, req->pool);
    return err;
}
