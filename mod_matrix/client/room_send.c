/* SPDX-License-Identifier: Apache-2.0 */
/* CS-API: PUT /rooms/{roomId}/send/{eventType}/{txnId}. */
#include "api/req.h"
#include "room/relation.h"

const mx_error_t *mx_client_send_message(mx_reply_t *reply, mx_req_t *req)
{
    const char *room_id = NULL, *event_id = NULL, *type = mx_param_path(req, "eventType");
    mx_room_draft_t draft = { .sender = req->who->user_id, .type = type, .content = req->body, .is_admin = req->who->admin,
                              .device_nid = req->who->device_nid, .txn_id = mx_param_path(req, "txnId"),
                              .txn_scope = apr_pstrcat(req->pool, "send/", type, NULL) };
    const mx_error_t *err = mx_param_room_id(&room_id, req, "roomId");

    if (!err) err = mx_room_relation_check(req->server, req->who, room_id, &draft, req->pool);
    if (!err) err = mx_room_send(&event_id, req->server, room_id, &draft, 1, req->pool);
    if (!err) {
        mx_json_writer_t *w = mx_jw_create(req->pool);
        mx_jw_object(w);
        mx_jw_key_str(w, "event_id", event_id);
        mx_jw_end_object(w);
        mx_reply_writer(reply, w);
    }
    return err;
}
