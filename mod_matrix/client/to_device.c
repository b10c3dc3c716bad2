/* SPDX-License-Identifier: Apache-2.0 */
/* CS-API: PUT /sendToDevice/{eventType}/{txnId}. */
#include "api/req.h"
#include "user/to_device.h"

const mx_error_t *mx_client_send_to_device(mx_reply_t *reply, mx_req_t *req)
{
    return mx_user_to_device_send(req->server, req->who, mx_param_path(req, "eventType"), mx_param_path(req, "txnId"),
                                  mx_json_get(req->body, "messages"), req->pool);
}
