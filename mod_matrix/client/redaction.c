/* SPDX-License-Identifier: Apache-2.0 */
/* CS-API: PUT /rooms/{roomId}/redact/{eventId}/{txnId}. */
#include "api/req.h"
#include "room/room.h"

const mx_error_t *mx_client_redact_event(mx_reply_t *reply, mx_req_t *req)
{
    const char *room_id = NULL, *target = NULL, *reason = NULL, *event_id = NULL;
    mx_room_draft_t draft = {.sender = req->who->user_id,
                             .type = "m.room.redaction",
                             .content = req->body,
                             .is_admin = req->who->admin,
                             .device_nid = req->who->device_nid,
                             .txn_id = mx_param_path(req, "txnId")};
    const mx_error_t *err = mx_param_room_id(&room_id, req, "roomId");

    if (!err) err = mx_param_event_id(&target, req, "eventId");
    if (!err) err = mx_param_body_str(&reason, req, req->body, "reason", NULL);
    if (err) return err;
    draft.redacts = target;
    draft.txn_scope = apr_pstrcat(req->pool, "redact/", target, NULL);
    mx_json_del(req->body, "redacts");      /* the path says it */
    err = mx_room_send(&event_id, req->server, room_id, &draft, 1, req->pool);
    if (!err) {
        reply->json = mx_json_new_object(req->pool);
        mx_json_set_str(reply->json, "event_id", event_id);
    }
    return err;
}
