/* SPDX-License-Identifier: Apache-2.0 */
/* CS-API: POST /rooms/{roomId}/invite. */
#include "api/room_param.h"

const mx_error_t *mx_client_invite_user(mx_reply_t *reply, mx_req_t *req)
{
    if (!mx_json_get(req->body, "user_id") && mx_json_get(req->body, "medium"))
        return mx_error_make(req->pool, MX_E_FORBIDDEN,
                             "This server invites nobody by e-mail or phone: it works with no identity server.");
    return mx_api_member_change(req, MX_ROOM_INVITE);
}
