/* SPDX-License-Identifier: Apache-2.0 */
/* CS-API: POST /rooms/{roomId}/join, POST /join/{roomIdOrAlias}. */
#include "api/room_param.h"
#include "room/room.h"

static const mx_error_t *join(mx_reply_t *reply, mx_req_t *req, const char *room_id)
{
    mx_room_member_change_t change = { .action = MX_ROOM_JOIN, .actor = req->who->user_id, .target = req->who->user_id,
                                       .guest = req->who->guest };
    mx_json_t *third_party = NULL;
    const mx_error_t *err = mx_param_body_str(&change.reason, req, req->body, "reason", NULL);

    if (!err) err = mx_param_body_object(&third_party, req, req->body, "third_party_signed");
    if (!err && third_party)
        err = mx_error_make(req->pool, MX_E_FORBIDDEN,
                            "This server takes no third-party invites: it works with no identity server.");
    if (!err) err = mx_room_member_change(req->server, room_id, &change, req->pool);
    if (err)
        return err;
    mx_reply_json(reply, mx_json_new_object(req->pool));
    mx_json_set_str(reply->json, "room_id", room_id);
    return NULL;
}

const mx_error_t *mx_client_join_room_by_id(mx_reply_t *reply, mx_req_t *req)
{
    const char *room_id = NULL;
    const mx_error_t *err = mx_param_room_id(&room_id, req, "roomId");

    return err ? err : join(reply, req, room_id);
}

const mx_error_t *mx_client_join_room(mx_reply_t *reply, mx_req_t *req)
{
    const char *room_id = NULL;
    const mx_error_t *err = mx_api_room_or_alias(&room_id, req, "roomIdOrAlias");

    return err ? err : join(reply, req, room_id);
}
