/* SPDX-License-Identifier: Apache-2.0 */
/* CS-API: POST /logout, POST /logout/all. */
#include "api/req.h"
#include "user/device.h"

const mx_error_t *mx_client_logout(mx_reply_t *reply, mx_req_t *req)
{
    return mx_user_device_logout(req->server, req->who, req->pool);
}

const mx_error_t *mx_client_logout_all(mx_reply_t *reply, mx_req_t *req)
{
    return mx_user_device_logout_all(req->server, req->who, req->pool);
}
