/* SPDX-License-Identifier: Apache-2.0 */
/* The frame of the authorization rules: what is asked of every event, and of which family its type is. */
#include "core/auth_private.h"

#include "core/ident.h"

#include <stdarg.h>

const mx_error_t *mx_auth_refuse(const mx_auth_check_t *c, const char *fmt, ...)
{
    va_list ap;
    const char *message;
    va_start(ap, fmt);
    message = apr_pvsprintf(c->pool, fmt, ap);
    va_end(ap);
    return mx_error_make(c->pool, MX_E_FORBIDDEN, "%s", message);
}

const mx_event_t *mx_auth_state_get(const mx_auth_check_t *c, mx_event_type_e type, const char *state_key)
{
    return c->state->get(c->state->baton, mx_event_types[type], state_key);
}

mx_membership_e mx_auth_membership(const mx_auth_check_t *c, const char *user_id)
{
    const mx_event_t *member = mx_auth_state_get(c, MX_TYPE_MEMBER, user_id);
    return member ? member->member : MX_MEMBERSHIP_NONE;
}

void mx_auth_power_read(mx_auth_check_t *c)
{
    c->power = c->state->power;
    if (!c->power)
        c->power = mx_power_create(c->create, mx_auth_state_get(c, MX_TYPE_POWER_LEVELS, ""), c->pool);
    c->sender_power = mx_power_user(c->power, c->event->sender);
}

/** The content's room_version is absent or one we know. */
static int room_version_known(const mx_json_t *content)
{
    const mx_json_t *version = mx_json_get(content, "room_version");
    return !version || (mx_json_str(version) && mx_room_version_find(mx_json_str(version)));
}

/** Rooms v12, rule 1.4. */
static int additional_creators_ok(const mx_json_t *list)
{
    apr_size_t i;
    if (!list)
        return 1;
    if (!mx_json_is(list, MX_JSON_ARRAY))
        return 0;
    for (i = 0; i < mx_json_len(list); i++) {
        if (!mx_ident_is_user_id(mx_json_str(mx_json_at(list, i))))
            return 0;
    }
    return 1;
}

const mx_error_t *mx_auth_rule_create(const mx_auth_check_t *c)
{
    const mx_event_t *ev = c->event;
    const mx_json_t *content = mx_event_content(ev);
    const char *room_server = mx_ident_server(ev->room_id);
    if (ev->nprev)
        return mx_auth_refuse(c, "A create event has no previous events.");
    if (ev->version->room_id_is_create_hash) {
        if (mx_json_scan_get(&ev->scan, "room_id").p)
            return mx_auth_refuse(c, "A create event of this room version names no room_id.");
    } else if (!room_server || !mx_ident_is_local(ev->sender, room_server))
        return mx_auth_refuse(c, "The room's id is not of the sender's server.");
    if (!room_version_known(content))
        return mx_auth_refuse(c, "The room version is not known.");
    if (!ev->version->create_without_creator && !mx_json_get(content, "creator"))
        return mx_auth_refuse(c, "The create event names no creator.");
    if (ev->version->privileged_creators && !additional_creators_ok(mx_json_get(content, "additional_creators")))
        return mx_auth_refuse(c, "additional_creators is no list of user ids.");
    return NULL;
}

/** Rooms v1-v5, rule 4. */
static const mx_error_t *rule_aliases(const mx_auth_check_t *c)
{
    if (!c->event->state_key)
        return mx_auth_refuse(c, "An m.room.aliases event needs a state_key.");
    if (!mx_ident_is_local(c->event->sender, c->event->state_key))
        return mx_auth_refuse(c, "The state_key of m.room.aliases is not the sender's server.");
    return NULL;
}

static const mx_error_t *rule_third_party_invite_event(const mx_auth_check_t *c)
{
    if (c->sender_power < mx_power_action(c->power, MX_POWER_INVITE))
        return mx_auth_refuse(c, "The sender's power level is too low to invite.");
    return NULL;
}

/** Rooms v1 and v2, rule 11; later versions check redactions when they apply them. */
static const mx_error_t *rule_redaction(const mx_auth_check_t *c)
{
    const char *own = mx_ident_server(c->event->event_id), *other = mx_ident_server(c->event->redacts);
    if (c->event->version->event_id != MX_EVENT_ID_SERVER)
        return NULL;
    if (c->sender_power >= mx_power_action(c->power, MX_POWER_REDACT) || (own && mx_str_eq(own, other)))
        return NULL;
    return mx_auth_refuse(c, "The sender may not redact that event.");
}

typedef const mx_error_t *rule_fn(const mx_auth_check_t *c);

/* Asked when sender, required level and state_key are fine. */
static rule_fn *const rules[MX_TYPES] = {
    [MX_TYPE_POWER_LEVELS] = mx_auth_rule_power_levels,
    [MX_TYPE_REDACTION] = rule_redaction,
};

/** The create event, the room it names and m.federate. */
static const mx_error_t *rule_room(const mx_auth_check_t *c)
{
    if (!c->create)
        return mx_auth_refuse(c, "The room has no create event.");
    if (strcmp(c->create->room_id, c->event->room_id) != 0)
        return mx_auth_refuse(c, "The event is not of the room that the create event made.");
    if (c->create->closed && !mx_str_eq(mx_ident_server(c->event->sender), mx_ident_server(c->create->sender)))
        return mx_auth_refuse(c, "The room does not federate.");
    return NULL;
}

/** Every event that is neither create, member nor aliases. */
static const mx_error_t *rule_common(const mx_auth_check_t *c)
{
    const mx_event_t *ev = c->event;
    if (mx_auth_membership(c, ev->sender) != MX_MEMBERSHIP_JOIN)
        return mx_auth_refuse(c, "The sender is not in the room.");
    if (ev->type_id == MX_TYPE_THIRD_PARTY_INVITE)
        return rule_third_party_invite_event(c);
    if (c->sender_power < mx_power_event(c->power, ev->type, mx_event_is_state(ev)))
        return mx_auth_refuse(c, "The sender's power level is too low to send %s.", ev->type);
    if (ev->state_key && *ev->state_key == '@' && !mx_str_eq(ev->state_key, ev->sender))
        return mx_auth_refuse(c, "The state_key names another user.");
    return rules[ev->type_id] ? rules[ev->type_id](c) : NULL;
}

const mx_error_t *mx_auth_check(const mx_event_t *event, const mx_auth_state_t *state, apr_pool_t *pool)
{
    mx_auth_check_t c = { event, state, NULL, NULL, 0, pool };
    const mx_error_t *err;
    if (event->type_id == MX_TYPE_CREATE)
        return mx_auth_rule_create(&c);
    c.create = mx_auth_state_get(&c, MX_TYPE_CREATE, "");
    err = rule_room(&c);
    if (err)
        return err;
    if (event->version->special_aliases_auth && event->type_id == MX_TYPE_ALIASES)
        return rule_aliases(&c);
    if (event->type_id == MX_TYPE_MEMBER)
        return mx_auth_rule_member(&c);
    mx_auth_power_read(&c);
    return rule_common(&c);
}
