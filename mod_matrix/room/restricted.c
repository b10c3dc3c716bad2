/* SPDX-License-Identifier: Apache-2.0 */
/* Joining restricted rooms: the conditions of the join rules, and who vouches for the join. CS-API: restricted rooms.
 */
#include "room/member.h"

#include "core/ident.h"
#include "core/power.h"
#include "store/member_list.h"

/** 1 if the user is joined to the room that the condition names, as far as this server knows. */
static const mx_error_t *condition_met(int *pyes, mx_server_t *server, const mx_json_t *condition, const char *user_id,
                                       apr_pool_t *pool)
{
    const char *room_id = mx_json_get_str(condition, "room_id");
    mx_membership_e membership;
    mx_room_t *room;
    const mx_error_t *err;

    *pyes = 0;
    if (!mx_str_eq(mx_json_get_str(condition, "type"), "m.room_membership") || !mx_ident_is_room_id(room_id))
        return NULL;
    err = mx_room_get(&room, server, room_id, 1, pool);
    if (err)
        return err->code == MX_E_NOT_FOUND ? NULL : err;
    err = mx_room_membership(&membership, server, room, user_id, pool);
    if (!err)
        *pyes = membership == MX_MEMBERSHIP_JOIN;
    return err;
}

static const mx_error_t *any_condition_met(int *pyes, mx_server_t *server, const mx_json_t *allow, const char *user_id,
                                           apr_pool_t *pool)
{
    apr_size_t i, n = mx_json_is(allow, MX_JSON_ARRAY) ? mx_json_len(allow) : 0;
    const mx_error_t *err = NULL;

    *pyes = 0;
    for (i = 0; !err && !*pyes && i < n && i < MX_ROOM_ALLOW_MAX; i++)
        err = condition_met(pyes, server, mx_json_at(allow, i), user_id, pool);
    return err;
}

const mx_error_t *mx_room_member_authoriser(const char **puser_id, mx_server_t *server, mx_room_t *room,
                                            const mx_event_t *join_rules, const char *user_id, apr_pool_t *pool)
{
    const mx_power_t *power = NULL;
    const char **ids = NULL;
    int i, n = 0, met = 0;
    const mx_error_t *err =
        any_condition_met(&met, server, mx_json_get(mx_event_content(join_rules), "allow"), user_id, pool);
    apr_status_t rv;

    if (!err && !met)
        err = mx_error_make(pool, MX_E_FORBIDDEN, "You are in none of the rooms whose members may join %s.",
                            room->room_id);
    if (!err)
        err = mx_room_power(&power, server, room, pool);
    if (err)
        return err;
    rv = mx_store_member_local_joined(&ids, &n, server->store, room->nid, MX_ROOM_AUTHORISERS_MAX, pool);
    if (rv != APR_SUCCESS)
        return mx_server_store_error(rv, "reading the local members of a room", pool);
    for (i = 0; i < n; i++) {
        if (mx_power_user(power, ids[i]) >= mx_power_action(power, MX_POWER_INVITE)) {
            *puser_id = ids[i];
            return NULL;
        }
    }
    return mx_error_make(pool, MX_E_FORBIDDEN, "Nobody of this server in %s may invite, so none can let you in.",
                         room->room_id);
}
