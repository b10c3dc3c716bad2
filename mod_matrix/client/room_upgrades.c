/* SPDX-License-Identifier: Apache-2.0 */
/* CS-API: POST /rooms/{roomId}/upgrade. */
#include "api/req.h"
#include "room/upgrade.h"

const mx_error_t *mx_client_upgrade_room(mx_reply_t *reply, mx_req_t *req)
{
    mx_room_upgrade_ask_t ask = { .additional_creators = mx_json_get(req->body, "additional_creators") };
    const char *room_id = NULL, *new_id = NULL;
    const mx_error_t *err = mx_param_room_id(&room_id, req, "roomId");

    if (!err) err = mx_param_must_str(&ask.version_name, req, req->body, "new_version");
    if (!err) err = mx_room_upgrade(&new_id, req->server, req->who, room_id, &ask, req->pool);
    if (err)
        return err;
    mx_reply_json(reply, mx_json_new_object(req->pool));
    mx_json_set_str(reply->json, "replacement_room", new_id);
    return NULL;
}
