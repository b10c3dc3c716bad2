/* SPDX-License-Identifier: Apache-2.0 */
/* CS-API: POST /rooms/{roomId}/ban, POST /rooms/{roomId}/unban. */
#include "api/room_param.h"

const mx_error_t *mx_client_ban(mx_reply_t *reply, mx_req_t *req)
{
    return mx_api_member_change(req, MX_ROOM_BAN);
}

const mx_error_t *mx_client_unban(mx_reply_t *reply, mx_req_t *req)
{
    return mx_api_member_change(req, MX_ROOM_UNBAN);
}
