/* SPDX-License-Identifier: Apache-2.0 */
/* CS-API: GET and PUT /presence/{userId}/status. */
#include "api/req.h"
#include "sync/sync.h"

static const mx_error_t *read_state(mx_presence_e *pstate, mx_req_t *req)
{
    const char *word = NULL;
    const mx_error_t *err = mx_param_must_str(&word, req, req->body, "presence");

    if (err) return err;
    if (mx_sync_presence_parse(pstate, word)) return NULL;
    return mx_error_make(req->pool, MX_E_INVALID_PARAM, "presence is offline, online or unavailable.");
}

const mx_error_t *mx_client_set_presence(mx_reply_t *reply, mx_req_t *req)
{
    mx_presence_e state = MX_PRESENCE_OFFLINE;
    const char *user_id = NULL, *status_msg = NULL;
    const mx_error_t *err = mx_param_user_id(&user_id, req, "userId");

    (void)reply;
    if (!err && !mx_str_eq(user_id, req->who->user_id))
        err = mx_error_make(req->pool, MX_E_FORBIDDEN, "You cannot set the presence of another user.");
    if (!err) err = read_state(&state, req);
    if (!err) err = mx_param_body_str(&status_msg, req, req->body, "status_msg", NULL);
    if (!err && status_msg && strlen(status_msg) > MX_SYNC_STATUS_MAX_BYTES)
        err = mx_error_make(req->pool, MX_E_INVALID_PARAM, "status_msg is longer than %d bytes.", MX_SYNC_STATUS_MAX_BYTES);
    return err ? err : mx_sync_presence_set(req->server, req->who, state, status_msg, req->pool);
}

const mx_error_t *mx_client_get_presence(mx_reply_t *reply, mx_req_t *req)
{
    const char *user_id = NULL;
    mx_json_writer_t *w = mx_jw_create(req->pool);
    const mx_error_t *err = mx_param_user_id(&user_id, req, "userId");

    if (!err) err = mx_sync_presence_get(w, req->server, req->who, user_id, req->pool);
    if (!err) mx_reply_writer(reply, w);
    return err;
}
