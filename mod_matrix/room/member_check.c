/* SPDX-License-Identifier: Apache-2.0 */
/* Who may become a member, as far as the auth rules of rooms do not say: guests, invitations that cannot be delivered. */
#include "room/member.h"

#include "core/ident.h"
#include "store/member_list.h"
#include "user/invite_permission.h"
#include "user/user.h"

/** CS-API: invite permission. What an invitation that is ignored becomes is /sync's to say. */
static const mx_error_t *check_blocked(mx_server_t *server, const char *user_id, const char *inviter_id, apr_pool_t *pool)
{
    mx_user_invites_t invites = { .block_all = 0 };
    apr_int64_t user_nid;
    const mx_error_t *err;
    apr_status_t rv = mx_server_user_nid_find(&user_nid, server, user_id, pool);

    if (rv == MX_STORE_NONE)
        return NULL;
    if (rv != APR_SUCCESS)
        return mx_server_store_error(rv, "reading whether a user takes invitations", pool);
    err = mx_user_invites_read(&invites, server, user_nid, pool);
    if (!err && mx_user_invites_rule(&invites, inviter_id, pool) == MX_INVITE_BLOCK)
        err = mx_error_make(pool, MX_E_INVITE_BLOCKED, "%s takes no invitations from you.", user_id);
    return err;
}

const mx_error_t *mx_room_member_invitable(mx_server_t *server, const char *user_id, const char *inviter_id, mx_errcode_e unknown,
                                           apr_pool_t *pool)
{
    int exists = 0;
    const mx_error_t *err;

    if (!mx_ident_is_local(user_id, server->name))
        return mx_error_make(pool, MX_E_FORBIDDEN, "%s cannot be invited: this server does not reach other servers.",
                             user_id);
    err = mx_user_exists(&exists, server, user_id, pool);
    if (!err && !exists)
        err = mx_error_make(pool, unknown, "There is no user %s.", user_id);
    return err ? err : check_blocked(server, user_id, inviter_id, pool);
}

const mx_error_t *mx_room_member_check_guest(mx_server_t *server, mx_room_t *room, apr_pool_t *pool)
{
    const mx_event_t *event = NULL;
    const mx_error_t *err = mx_room_state_get(&event, server, room, "m.room.guest_access", "", pool);

    if (!err && !(event && mx_str_eq(mx_json_get_str(mx_event_content(event), "guest_access"), "can_join")))
        err = mx_error_make(pool, MX_E_GUEST_ACCESS_FORBIDDEN, "Guests may not join %s.", room->room_id);
    return err;
}

const mx_error_t *mx_room_member_check_state(mx_server_t *server, const mx_who_t *who, const char *room_id,
                                             const char *target, const mx_json_t *content, apr_pool_t *pool)
{
    mx_membership_e wanted = mx_membership_parse(mx_json_get_str(content, "membership")), now;
    mx_room_t *room;
    const mx_error_t *err;

    if (wanted != MX_MEMBERSHIP_INVITE && !(wanted == MX_MEMBERSHIP_JOIN && who->guest))
        return NULL;
    err = mx_room_get(&room, server, room_id, 1, pool);
    if (!err)
        err = mx_room_membership(&now, server, room, target, pool);
    if (err || now == wanted)
        return err;
    if (wanted == MX_MEMBERSHIP_JOIN)
        return mx_room_member_check_guest(server, room, pool);
    return mx_ident_is_user_id(target) ? mx_room_member_invitable(server, target, who->user_id, MX_E_NOT_FOUND, pool) : NULL;
}

void mx_room_member_expel_guests(mx_server_t *server, const char *room_id, apr_pool_t *pool)
{
    mx_room_member_change_t change = {.action = MX_ROOM_LEAVE, .guest = 1};
    const char **ids = NULL;
    mx_room_t *room = NULL;
    int i, n = 0;

    if (mx_room_get(&room, server, room_id, 1, pool) || !mx_room_member_check_guest(server, room, pool))
        return;
    if (mx_store_member_guests(&ids, &n, server->store, room->nid, MX_ROOM_EXPELLED_MAX, pool) != APR_SUCCESS)
        return;
    for (i = 0; i < n; i++) {
        change.actor = change.target = ids[i];
        mx_room_member_change(server, room_id, &change, pool);
    }
}
