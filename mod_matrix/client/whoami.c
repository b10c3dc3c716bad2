/* SPDX-License-Identifier: Apache-2.0 */
/* CS-API: GET /account/whoami. */
#include "api/req.h"

const mx_error_t *mx_client_get_token_owner(mx_reply_t *reply, mx_req_t *req)
{
    mx_json_t *json = mx_json_new_object(req->pool);

    mx_json_set_str(json, "user_id", req->who->user_id);
    mx_json_set_str(json, "device_id", req->who->device_id);
    mx_json_set_bool(json, "is_guest", req->who->guest);
    mx_reply_json(reply, json);
    return NULL;
}
