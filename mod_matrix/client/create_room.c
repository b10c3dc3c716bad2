/* SPDX-License-Identifier: Apache-2.0 */
/* CS-API: POST /createRoom. */
#include "api/req.h"
#include "room/room.h"

const mx_error_t *mx_client_create_room(mx_reply_t *reply, mx_req_t *req)
{
    const char *room_id = NULL;
    const mx_error_t *err = mx_room_create(&room_id, req->server, req->who, req->body, req->pool);

    if (err)
        return err;
    mx_reply_json(reply, mx_json_new_object(req->pool));
    mx_json_set_str(reply->json, "room_id", room_id);
    return NULL;
}
