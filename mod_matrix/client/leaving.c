/* SPDX-License-Identifier: Apache-2.0 */
/* CS-API: POST /rooms/{roomId}/leave, POST /rooms/{roomId}/forget. */
#include "api/req.h"
#include "room/forget.h"
#include "room/room.h"

const mx_error_t *mx_client_leave_room(mx_reply_t *reply, mx_req_t *req)
{
    mx_room_member_change_t change = { .action = MX_ROOM_LEAVE, .actor = req->who->user_id, .target = req->who->user_id,
                                       .guest = req->who->guest };
    const char *room_id = NULL;
    const mx_error_t *err = mx_param_room_id(&room_id, req, "roomId");

    if (!err) err = mx_param_body_str(&change.reason, req, req->body, "reason", NULL);
    return err ? err : mx_room_member_change(req->server, room_id, &change, req->pool);
}

const mx_error_t *mx_client_forget_room(mx_reply_t *reply, mx_req_t *req)
{
    const char *room_id = NULL;
    const mx_error_t *err = mx_param_room_id(&room_id, req, "roomId");

    return err ? err : mx_room_forget(req->server, req->who, room_id, req->pool);
}
