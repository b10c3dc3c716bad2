/* SPDX-License-Identifier: Apache-2.0 */
/* CS-API: POST /knock/{roomIdOrAlias}. */
#include "api/room_param.h"

const mx_error_t *mx_client_knock_room(mx_reply_t *reply, mx_req_t *req)
{
    mx_room_member_change_t change = { .action = MX_ROOM_KNOCK, .actor = req->who->user_id, .target = req->who->user_id,
                                       .guest = req->who->guest };
    const char *room_id = NULL;
    const mx_error_t *err = mx_param_body_str(&change.reason, req, req->body, "reason", NULL);

    if (!err) err = mx_api_room_or_alias(&room_id, req, "roomIdOrAlias");
    if (!err) err = mx_room_member_change(req->server, room_id, &change, req->pool);
    if (err)
        return err;
    mx_reply_json(reply, mx_json_new_object(req->pool));
    mx_json_set_str(reply->json, "room_id", room_id);
    return NULL;
}
