/* SPDX-License-Identifier: Apache-2.0 */
/* CS-API: GET /pushers, POST /pushers/set. */
#include "api/req.h"
#include "user/pusher.h"

const mx_error_t *mx_client_get_pushers(mx_reply_t *reply, mx_req_t *req)
{
    mx_json_writer_t *w = mx_jw_create(req->pool);
    mx_slice_t *bodies = NULL;
    int i, n = 0;
    const mx_error_t *err = mx_user_pusher_list(&bodies, &n, req->server, req->who, req->pool);

    if (err) return err;
    mx_jw_object(w);
    mx_jw_key_array(w, "pushers");
    for (i = 0; i < n; i++) mx_jw_raw_slice(w, bodies[i]);
    mx_jw_end_array(w);
    mx_jw_end_object(w);
    mx_reply_writer(reply, w);
    return NULL;
}

const mx_error_t *mx_client_post_pusher(mx_reply_t *reply, mx_req_t *req)
{
    (void)reply;
    return mx_user_pusher_set(req->server, req->who, req->body, req->now, req->pool);
}
