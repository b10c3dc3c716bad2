/* SPDX-License-Identifier: Apache-2.0 */
/* Authorization rules on m.room.member. Rooms vN: authorization rules, the rule "If type is m.room.member". */
#include "core/auth_private.h"

#include "core/ident.h"

/** What the membership rules ask for, read once. */
typedef struct change_t {
    const mx_auth_check_t *c;
    const char *target;
    mx_membership_e sender_now, target_now;
} change_t;

/** "invite" if the room has none. */
static const char *join_rule(const mx_auth_check_t *c)
{
    const mx_event_t *ev = mx_auth_state_get(c, MX_TYPE_JOIN_RULES, "");
    return ev && ev->join_rule ? ev->join_rule : "invite";
}

static apr_int64_t target_power(const change_t *ch)
{
    return mx_power_user(ch->c->power, ch->target);
}

/** The first join: its only previous event is the create event, and it is the creator's. */
static int is_creators_first_join(const change_t *ch)
{
    const mx_event_t *ev = ch->c->event, *create = ch->c->create;
    int creators = ev->version->create_without_creator ? strcmp(ch->target, create->sender) == 0
                                                       : mx_power_is_creator(create, ch->target);
    return creators && ev->nprev == 1 && strcmp(ev->prev_events[0], create->event_id) == 0;
}

/** The user named as authorising is joined and may invite. */
static int is_authorised_by_member(const change_t *ch)
{
    mx_auth_check_t whole = *ch->c;
    const char *user = mx_json_get_str(mx_event_content(whole.event), "join_authorised_via_users_server");
    if (!user || mx_auth_membership(ch->c, user) != MX_MEMBERSHIP_JOIN)
        return 0;
    mx_auth_power_read(&whole);
    return mx_power_user(whole.power, user) >= mx_power_action(whole.power, MX_POWER_INVITE);
}

static const mx_error_t *rule_join(const change_t *ch)
{
    const mx_room_version_t *v = ch->c->event->version;
    const char *rule = join_rule(ch->c);
    int expected = ch->target_now == MX_MEMBERSHIP_JOIN || ch->target_now == MX_MEMBERSHIP_INVITE;
    if (is_creators_first_join(ch))
        return NULL;
    if (!mx_str_eq(ch->c->event->sender, ch->target))
        return mx_auth_refuse(ch->c, "Nobody can join for another user.");
    if (ch->sender_now == MX_MEMBERSHIP_BAN)
        return mx_auth_refuse(ch->c, "The user is banned from the room.");
    if (strcmp(rule, "public") == 0)
        return NULL;
    if (strcmp(rule, "invite") == 0 || (v->knock && strcmp(rule, "knock") == 0))
        return expected ? NULL : mx_auth_refuse(ch->c, "The user was not invited to the room.");
    if ((v->restricted_join && strcmp(rule, "restricted") == 0)
        || (v->knock_restricted && strcmp(rule, "knock_restricted") == 0)) {
        if (expected || is_authorised_by_member(ch))
            return NULL;
        return mx_auth_refuse(ch->c, "Nobody who may invite has authorised the join.");
    }
    return mx_auth_refuse(ch->c, "The join rule of the room lets nobody in.");
}

static const mx_error_t *rule_invite(const change_t *ch)
{
    const mx_json_t *third_party = mx_json_get(mx_event_content(ch->c->event), "third_party_invite");
    if (third_party)
        return mx_auth_rule_third_party(ch->c, third_party);
    if (ch->sender_now != MX_MEMBERSHIP_JOIN)
        return mx_auth_refuse(ch->c, "The sender is not in the room.");
    if (ch->target_now == MX_MEMBERSHIP_JOIN)
        return mx_auth_refuse(ch->c, "The user is already in the room.");
    if (ch->target_now == MX_MEMBERSHIP_BAN)
        return mx_auth_refuse(ch->c, "The user is banned from the room.");
    if (ch->c->sender_power < mx_power_action(ch->c->power, MX_POWER_INVITE))
        return mx_auth_refuse(ch->c, "The sender's power level is too low to invite.");
    return NULL;
}

static const mx_error_t *rule_leave_oneself(const change_t *ch)
{
    if (ch->target_now == MX_MEMBERSHIP_JOIN || ch->target_now == MX_MEMBERSHIP_INVITE
        || (ch->c->event->version->knock && ch->target_now == MX_MEMBERSHIP_KNOCK))
        return NULL;
    return mx_auth_refuse(ch->c, "The user is not in the room.");
}

static const mx_error_t *rule_leave(const change_t *ch)
{
    if (mx_str_eq(ch->c->event->sender, ch->target))
        return rule_leave_oneself(ch);
    if (ch->sender_now != MX_MEMBERSHIP_JOIN)
        return mx_auth_refuse(ch->c, "The sender is not in the room.");
    if (ch->target_now == MX_MEMBERSHIP_BAN && ch->c->sender_power < mx_power_action(ch->c->power, MX_POWER_BAN))
        return mx_auth_refuse(ch->c, "The sender's power level is too low to lift a ban.");
    if (ch->c->sender_power < mx_power_action(ch->c->power, MX_POWER_KICK) || target_power(ch) >= ch->c->sender_power)
        return mx_auth_refuse(ch->c, "The sender's power level is too low to remove the user.");
    return NULL;
}

static const mx_error_t *rule_ban(const change_t *ch)
{
    if (ch->sender_now != MX_MEMBERSHIP_JOIN)
        return mx_auth_refuse(ch->c, "The sender is not in the room.");
    if (ch->c->sender_power < mx_power_action(ch->c->power, MX_POWER_BAN) || target_power(ch) >= ch->c->sender_power)
        return mx_auth_refuse(ch->c, "The sender's power level is too low to ban the user.");
    return NULL;
}

static const mx_error_t *rule_knock(const change_t *ch)
{
    const mx_room_version_t *v = ch->c->event->version;
    const char *rule = join_rule(ch->c);
    if (!v->knock)
        return mx_auth_refuse(ch->c, "The room version knows no knocking.");
    if (strcmp(rule, "knock") != 0 && !(v->knock_restricted && strcmp(rule, "knock_restricted") == 0))
        return mx_auth_refuse(ch->c, "The room lets nobody knock.");
    if (strcmp(ch->c->event->sender, ch->target) != 0)
        return mx_auth_refuse(ch->c, "Nobody can knock for another user.");
    if (ch->sender_now == MX_MEMBERSHIP_BAN)
        return mx_auth_refuse(ch->c, "The user is banned from the room.");
    if (ch->sender_now == MX_MEMBERSHIP_INVITE || ch->sender_now == MX_MEMBERSHIP_JOIN)
        return mx_auth_refuse(ch->c, "The user is already invited or in the room.");
    return NULL;
}

static const mx_error_t *(*const changes[])(const change_t *ch) = {
    [MX_MEMBERSHIP_INVITE] = rule_invite, [MX_MEMBERSHIP_JOIN] = rule_join, [MX_MEMBERSHIP_KNOCK] = rule_knock,
    [MX_MEMBERSHIP_LEAVE] = rule_leave, [MX_MEMBERSHIP_BAN] = rule_ban,
};

/** Rooms v8, rule 4.2, as far as it needs no keys: what names no user names no server that could have signed. */
static int authoriser_ok(const mx_auth_check_t *c)
{
    if (!c->event->version->restricted_join || !c->event->has_authoriser)
        return 1;                     /* most contents are not worth a look into their tree */
    return mx_ident_is_user_id(mx_json_get_str(mx_event_content(c->event), "join_authorised_via_users_server"));
}

const mx_error_t *mx_auth_rule_member(const mx_auth_check_t *c)
{
    mx_auth_check_t whole = *c;
    change_t ch = { .c = &whole, .target = c->event->state_key };
    if (!ch.target || !c->event->membership)
        return mx_auth_refuse(c, "A membership event needs a state_key and a membership.");
    if (!authoriser_ok(c))
        return mx_auth_refuse(c, "join_authorised_via_users_server names no user.");
    ch.sender_now = mx_auth_membership(c, c->event->sender);
    ch.target_now = mx_str_eq(ch.target, c->event->sender) ? ch.sender_now : mx_auth_membership(c, ch.target);
    if (c->event->member == MX_MEMBERSHIP_NONE)
        return mx_auth_refuse(c, "The membership is not known.");
    if (c->event->member != MX_MEMBERSHIP_JOIN)
        mx_auth_power_read(&whole);
    return changes[c->event->member](&ch);
}
