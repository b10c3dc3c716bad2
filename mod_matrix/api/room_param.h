/* SPDX-License-Identifier: Apache-2.0 */
/* Parameters of the endpoints about rooms. */
#ifndef MX_API_ROOM_PARAM_H
#define MX_API_ROOM_PARAM_H

#include "api/req.h"
#include "room/room.h"

/** A path parameter that is a room id, or an alias, which is resolved (M_NOT_FOUND). Other texts: M_INVALID_PARAM. */
const mx_error_t *mx_api_room_or_alias(const char **proom_id, mx_req_t *req, const char *name);
/** The `user_id` and `reason` of invite, kick, ban and unban: M_MISSING_PARAM, M_BAD_JSON, M_INVALID_PARAM. */
const mx_error_t *mx_api_member_change(mx_req_t *req, mx_room_member_action_e action);

#endif
