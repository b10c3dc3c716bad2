/* SPDX-License-Identifier: Apache-2.0 */
/* Memberships: join, invite, leave, kick, ban, unban, knock. CS-API: room membership. The auth rules decide further on. */
#include "room/member.h"

#include "core/ident.h"
#include "core/power.h"
#include "room/upgrade.h"
#include "store/member_list.h"
#include "user/user.h"

/** A change under way. */
typedef struct change_t {
    mx_server_t *server;
    mx_room_t *room;
    const mx_room_member_change_t *ask;
    mx_membership_e actor, target;   /* now */
    mx_json_t *content;              /* of the member event to send; NULL: nothing to do */
    apr_pool_t *pool;
} change_t;

const mx_error_t *mx_room_member_content(mx_json_t **pcontent, mx_server_t *server, mx_membership_e membership,
                                         const char *user_id, const char *reason, apr_pool_t *pool)
{
    mx_json_t *content = mx_json_new_object(pool);
    const char *displayname = NULL, *avatar_url = NULL;
    const mx_error_t *err = NULL;

    if (user_id && mx_ident_is_local(user_id, server->name))
        err = mx_user_profile_for_member(&displayname, &avatar_url, server, user_id, pool);
    if (err)
        return err;
    mx_json_set_str(content, "membership", mx_membership_name(membership));
    mx_json_set_str(content, "displayname", displayname);
    mx_json_set_str(content, "avatar_url", avatar_url);
    mx_json_set_str(content, "reason", reason);
    *pcontent = content;
    return NULL;
}

/** The content to send; `profile_of` NULL: without a profile. */
static const mx_error_t *set_content(change_t *c, mx_membership_e membership, const char *profile_of)
{
    return mx_room_member_content(&c->content, c->server, membership, profile_of, c->ask->reason, c->pool);
}

static const mx_error_t *not_member(const change_t *c)
{
    return mx_error_make(c->pool, MX_E_FORBIDDEN, "You are not a member of %s.", c->room->room_id);
}

/** NULL if the actor is in the room and has the power; for the cases that send no event the rules could refuse. */
static const mx_error_t *check_power(const change_t *c, mx_power_action_e action)
{
    const mx_power_t *power;
    const mx_error_t *err = mx_room_power(&power, c->server, c->room, c->pool);

    if (!err && mx_power_user(power, c->ask->actor) < mx_power_action(power, action))
        err = mx_error_make(c->pool, MX_E_FORBIDDEN, "Your power level in %s is too low for that.", c->room->room_id);
    return err;
}

/* ---- one function per action: refuses, or makes the content, or leaves it NULL where nothing changes ---- */

/** Names who vouches for a join that needs it. */
static const mx_error_t *authorise_restricted(change_t *c)
{
    const mx_event_t *rules = NULL;
    const char *rule, *authoriser = NULL;
    const mx_error_t *err = mx_room_state_get(&rules, c->server, c->room, "m.room.join_rules", "", c->pool);

    if (err || !rules || c->target == MX_MEMBERSHIP_INVITE || c->target == MX_MEMBERSHIP_BAN)
        return err;
    rule = mx_json_get_str(mx_event_content(rules), "join_rule");
    if (!(mx_str_eq(rule, "restricted") && c->room->version->restricted_join)
        && !(mx_str_eq(rule, "knock_restricted") && c->room->version->knock_restricted))
        return NULL;
    err = mx_room_member_authoriser(&authoriser, c->server, c->room, rules, c->ask->target, c->pool);
    if (!err)
        mx_json_set_str(c->content, "join_authorised_via_users_server", authoriser);
    return err;
}

static const mx_error_t *prepare_join(change_t *c)
{
    const mx_error_t *err;

    if (c->target == MX_MEMBERSHIP_JOIN)
        return NULL;
    err = c->ask->guest ? mx_room_member_check_guest(c->server, c->room, c->pool) : NULL;
    if (!err)
        err = set_content(c, MX_MEMBERSHIP_JOIN, c->ask->target);
    if (!err)
        err = authorise_restricted(c);
    return err;
}

static const mx_error_t *prepare_invite(change_t *c)
{
    const mx_error_t *err;

    if (c->actor != MX_MEMBERSHIP_JOIN)
        return not_member(c);
    if (c->target == MX_MEMBERSHIP_BAN)
        return mx_error_make(c->pool, MX_E_FORBIDDEN, "%s is banned from the room.", c->ask->target);
    if (c->target == MX_MEMBERSHIP_JOIN)
        return mx_error_make(c->pool, MX_E_FORBIDDEN, "%s is already in the room.", c->ask->target);
    err = check_power(c, MX_POWER_INVITE);
    if (!err)
        err = mx_room_member_invitable(c->server, c->ask->target, c->ask->actor, MX_E_NOT_FOUND, c->pool);
    if (err || c->target == MX_MEMBERSHIP_INVITE)
        return err;
    err = set_content(c, MX_MEMBERSHIP_INVITE, c->ask->target);
    if (!err && c->ask->is_direct)
        mx_json_set_bool(c->content, "is_direct", 1);
    return err;
}

static const mx_error_t *prepare_leave(change_t *c)
{
    if (c->target == MX_MEMBERSHIP_LEAVE)
        return NULL;
    if (c->target == MX_MEMBERSHIP_NONE)
        return not_member(c);
    if (c->target == MX_MEMBERSHIP_BAN)
        return mx_error_make(c->pool, MX_E_FORBIDDEN, "You are banned from %s.", c->room->room_id);
    return set_content(c, MX_MEMBERSHIP_LEAVE, NULL);
}

static const mx_error_t *prepare_kick(change_t *c)
{
    if (c->actor != MX_MEMBERSHIP_JOIN)
        return not_member(c);
    /* a leave of one who is banned would lift the ban */
    if (c->target != MX_MEMBERSHIP_JOIN && c->target != MX_MEMBERSHIP_INVITE && c->target != MX_MEMBERSHIP_KNOCK)
        return mx_error_make(c->pool, MX_E_FORBIDDEN, "%s is not in the room.", c->ask->target);
    return set_content(c, MX_MEMBERSHIP_LEAVE, NULL);
}

static const mx_error_t *prepare_ban(change_t *c)
{
    if (c->actor != MX_MEMBERSHIP_JOIN)
        return not_member(c);
    if (c->target == MX_MEMBERSHIP_BAN)
        return check_power(c, MX_POWER_BAN);
    return set_content(c, MX_MEMBERSHIP_BAN, NULL);
}

static const mx_error_t *prepare_unban(change_t *c)
{
    const mx_error_t *err;

    if (c->actor != MX_MEMBERSHIP_JOIN)
        return not_member(c);
    err = check_power(c, MX_POWER_BAN);
    if (err)
        return err;
    if (c->target != MX_MEMBERSHIP_BAN)
        return mx_error_make_status(c->pool, MX_E_BAD_STATE, 403, "%s is not banned from the room.", c->ask->target);
    return set_content(c, MX_MEMBERSHIP_LEAVE, NULL);
}

/** CS-API: "Users who are currently in the room, already invited, or banned cannot knock on the room." */
static const mx_error_t *prepare_knock(change_t *c)
{
    if (c->target == MX_MEMBERSHIP_JOIN || c->target == MX_MEMBERSHIP_INVITE || c->target == MX_MEMBERSHIP_BAN)
        return mx_error_make(c->pool, MX_E_FORBIDDEN, "You cannot knock on %s: you are in it, invited or banned.",
                             c->room->room_id);
    if (!c->room->version->knock)
        return mx_error_make(c->pool, MX_E_FORBIDDEN, "Rooms of version %s cannot be knocked on.",
                             c->room->version->name);
    return c->target == MX_MEMBERSHIP_KNOCK ? NULL : set_content(c, MX_MEMBERSHIP_KNOCK, c->ask->target);
}

static const mx_error_t *(*const prepare[])(change_t *) = {
    [MX_ROOM_JOIN] = prepare_join,   [MX_ROOM_INVITE] = prepare_invite, [MX_ROOM_LEAVE] = prepare_leave,
    [MX_ROOM_KICK] = prepare_kick,   [MX_ROOM_BAN] = prepare_ban,       [MX_ROOM_UNBAN] = prepare_unban,
    [MX_ROOM_KNOCK] = prepare_knock,
};

static void add_extra(mx_json_t *content, const mx_json_t *extra)
{
    const char *key;
    mx_json_t *value;
    void *it = NULL;

    while (extra && mx_json_next(extra, &it, &key, &value))
        mx_json_set(content, key, value);
}

static const mx_error_t *send_member(const change_t *c)
{
    const char *event_id;
    mx_room_draft_t draft = {
        .sender = c->ask->actor, .type = "m.room.member", .state_key = c->ask->target, .content = c->content};

    add_extra(c->content, c->ask->extra);
    return mx_room_send(&event_id, c->server, c->room->room_id, &draft, 1, c->pool);
}

const mx_error_t *mx_room_member_change(mx_server_t *server, const char *room_id, const mx_room_member_change_t *change,
                                        apr_pool_t *pool)
{
    change_t c = { .server = server, .ask = change, .pool = pool };
    const mx_error_t *err = mx_room_get(&c.room, server, room_id, 1, pool);

    if (!err)
        err = mx_room_membership(&c.actor, server, c.room, change->actor, pool);
    if (!err)
        err = mx_room_membership(&c.target, server, c.room, change->target, pool);
    if (!err)
        err = prepare[change->action](&c);
    if (!err && c.content)
        err = send_member(&c);
    if (!err && c.content && change->action == MX_ROOM_JOIN)
        mx_room_upgrade_joined(server, c.room, change->target, pool);
    return err;
}

/* ---- all rooms of a user ---- */

/** Sends one member event for the user himself into each room where he has that membership; goes on after a failure. */
static const mx_error_t *send_everywhere(mx_server_t *server, const char *user_id, mx_membership_e now,
                                         const mx_json_t *content, apr_pool_t *pool)
{
    mx_room_draft_t draft = { .sender = user_id, .type = "m.room.member", .state_key = user_id, .content = content };
    const mx_error_t *err, *first = NULL;
    const char **ids = NULL, *event_id;
    apr_int64_t user_nid;
    int i, n = 0;
    apr_status_t rv = mx_server_user_nid_find(&user_nid, server, user_id, pool);

    if (rv == APR_SUCCESS)
        rv = mx_store_member_rooms(&ids, &n, server->store, user_nid, now, pool);
    if (rv != APR_SUCCESS && rv != MX_STORE_NONE)
        return mx_server_store_error(rv, "reading the rooms of a user", pool);
    for (i = 0; i < n; i++) {
        err = mx_room_send(&event_id, server, ids[i], &draft, 1, pool);
        if (err && !first)
            first = err;
    }
    return first;
}

const mx_error_t *mx_room_member_leave_all(mx_server_t *server, const char *user_id, apr_pool_t *pool)
{
    static const mx_membership_e present[] = { MX_MEMBERSHIP_JOIN, MX_MEMBERSHIP_INVITE, MX_MEMBERSHIP_KNOCK };
    const mx_error_t *err, *first = NULL;
    mx_json_t *content = NULL;
    apr_size_t i;

    err = mx_room_member_content(&content, server, MX_MEMBERSHIP_LEAVE, NULL, NULL, pool);
    for (i = 0; content && i < sizeof(present) / sizeof(present[0]); i++) {
        err = send_everywhere(server, user_id, present[i], content, pool);
        if (err && !first)
            first = err;
    }
    return first ? first : err;
}

const mx_error_t *mx_room_member_profile_changed(mx_server_t *server, const char *user_id, apr_pool_t *pool)
{
    mx_json_t *content = NULL;
    const mx_error_t *err = mx_room_member_content(&content, server, MX_MEMBERSHIP_JOIN, user_id, NULL, pool);

    return err ? err : send_everywhere(server, user_id, MX_MEMBERSHIP_JOIN, content, pool);
}
