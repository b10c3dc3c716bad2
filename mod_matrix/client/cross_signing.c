/* SPDX-License-Identifier: Apache-2.0 */
/* CS-API: POST /keys/device_signing/upload, /keys/signatures/upload. */
#include "api/session.h"
#include "user/cross_signing.h"

const mx_error_t *mx_client_upload_cross_signing_keys(mx_reply_t *reply, mx_req_t *req)
{
    mx_uia_t *uia = NULL;
    const mx_error_t *err = mx_api_session_uia(&uia, req);

    return err ? err : mx_user_cross_signing_upload(req->server, uia, req->who, req->pool);
}

const mx_error_t *mx_client_upload_cross_signing_signatures(mx_reply_t *reply, mx_req_t *req)
{
    mx_json_t *failures = NULL, *json = mx_json_new_object(req->pool);
    const mx_error_t *err = mx_user_cross_signing_sign(&failures, req->server, req->who, req->body, req->pool);

    if (err) return err;
    mx_json_set(json, "failures", failures);
    mx_reply_json(reply, json);
    return NULL;
}
