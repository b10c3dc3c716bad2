/* SPDX-License-Identifier: Apache-2.0 */
/* CS-API: POST /account/deactivate. */
#include "api/session.h"
#include "user/deactivation.h"

const mx_error_t *mx_client_deactivate_account(mx_reply_t *reply, mx_req_t *req)
{
    int erase = 0;
    mx_uia_t *uia = NULL;
    mx_json_t *json = mx_json_new_object(req->pool);
    const mx_error_t *err = mx_api_session_uia(&uia, req);

    if (!err) err = mx_param_body_bool(&erase, req, mx_user_uia_body(uia), "erase", 0);
    if (!err) err = mx_user_deactivate(req->server, uia, erase, req->pool);
    if (err) return err;
    mx_json_set_str(json, "id_server_unbind_result", "success"); /* there are no identifiers that could be bound */
    mx_reply_json(reply, json);
    return NULL;
}
