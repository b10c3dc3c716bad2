/* SPDX-License-Identifier: Apache-2.0 */
/* Parameters of the endpoints about rooms. */
#include "api/room_param.h"

#include "core/ident.h"

const mx_error_t *mx_api_room_or_alias(const char **proom_id, mx_req_t *req, const char *name)
{
    const char *text = mx_param_path(req, name);

    if (text[0] == '#')
        return mx_room_alias_resolve(proom_id, req->server, text, req->pool);
    return mx_param_room_id(proom_id, req, name);
}

const mx_error_t *mx_api_member_change(mx_req_t *req, mx_room_member_action_e action)
{
    mx_room_member_change_t change = { .action = action, .actor = req->who->user_id, .guest = req->who->guest };
    const char *room_id = NULL;
    const mx_error_t *err = mx_param_room_id(&room_id, req, "roomId");

    if (!err) err = mx_param_must_str(&change.target, req, req->body, "user_id");
    if (!err) err = mx_param_body_str(&change.reason, req, req->body, "reason", NULL);
    if (!err && !mx_ident_is_user_id(change.target))
        err = mx_error_make(req->pool, MX_E_INVALID_PARAM, "user_id is not a user id.");
    return err ? err : mx_room_member_change(req->server, room_id, &change, req->pool);
}
