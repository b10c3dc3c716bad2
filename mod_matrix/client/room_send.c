/* SPDX-License-Identifier: Apache-2.0 */
/* CS-API: PUT /rooms/{roomId}/send/{eventType}/{txnId}. */
#include "api/post.h"

const mx_error_t *mx_client_send_message(mx_reply_t *reply, mx_req_t *req)
{
    const char *type = mx_param_path(req, "eventType");
    mx_room_draft_t draft = { .type = type, .is_admin = req->who->admin, .device_nid = req->who->device_nid,
                              .txn_id = mx_param_path(req, "txnId"), .txn_scope = apr_pstrcat(req->pool, "send/", type, NULL) };

    return mx_post_event(reply, req, &draft);
}
