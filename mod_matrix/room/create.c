/* SPDX-License-Identifier: Apache-2.0 */
/* POST /createRoom: its body checked, and the events of the new room in the order that the specification gives. */
#include "room/create.h"

#include "core/ident.h"
#include "room/member.h"

static const mx_error_t *bad_json(const char *key, const char *what, apr_pool_t *pool)
{
    return mx_error_make(pool, MX_E_BAD_JSON, "%s must be %s.", key, what);
}

/* ---- reading the body ---- */

static const mx_error_t *read_str(const char **pout, const mx_json_t *body, const char *key, apr_pool_t *pool)
{
    const mx_json_t *value = mx_json_get(body, key);

    if (value && !mx_json_str(value))
        return bad_json(key, "a string without U+0000", pool);
    *pout = mx_json_str(value);
    return NULL;
}

static const mx_error_t *read_container(mx_json_t **pout, const mx_json_t *body, const char *key, mx_json_type_e type,
                                        apr_pool_t *pool)
{
    mx_json_t *value = mx_json_get(body, key);

    if (value && !mx_json_is(value, type))
        return bad_json(key, type == MX_JSON_OBJECT ? "an object" : "a list", pool);
    *pout = value;
    return NULL;
}

static const mx_error_t *read_types(mx_room_wish_t *wish, const mx_json_t *body, apr_pool_t *pool)
{
    const mx_json_t *direct = mx_json_get(body, "is_direct");
    mx_json_t *invite_3pid = NULL;
    const mx_error_t *err = read_str(&wish->name, body, "name", pool);

    if (!err) err = read_str(&wish->topic, body, "topic", pool);
    if (!err) err = read_str(&wish->alias_name, body, "room_alias_name", pool);
    if (!err) err = read_str(&wish->preset_name, body, "preset", pool);
    if (!err) err = read_str(&wish->visibility, body, "visibility", pool);
    if (!err) err = read_str(&wish->version_name, body, "room_version", pool);
    if (!err) err = read_container(&wish->creation_content, body, "creation_content", MX_JSON_OBJECT, pool);
    if (!err) err = read_container(&wish->power_override, body, "power_level_content_override", MX_JSON_OBJECT, pool);
    if (!err) err = read_container(&wish->initial_state, body, "initial_state", MX_JSON_ARRAY, pool);
    if (!err) err = read_container(&wish->invite, body, "invite", MX_JSON_ARRAY, pool);
    if (!err) err = read_container(&invite_3pid, body, "invite_3pid", MX_JSON_ARRAY, pool);
    if (!err && direct && !mx_json_is(direct, MX_JSON_BOOL))
        err = bad_json("is_direct", "true or false", pool);
    if (!err && mx_json_len(invite_3pid))
        err = mx_error_make(pool, MX_E_FORBIDDEN,
                            "This server invites nobody by e-mail or phone: it works with no identity server.");
    wish->is_direct = mx_json_bool(direct, 0);
    return err;
}

/* ---- checking what it says ---- */

static const mx_error_t *check_words(mx_room_wish_t *wish, apr_pool_t *pool)
{
    static const struct { const char *name; mx_room_preset_e preset;
    } presets[] = {
        {"private_chat", MX_PRESET_PRIVATE},
        {"trusted_private_chat", MX_PRESET_TRUSTED},
        {"public_chat", MX_PRESET_PUBLIC},
    };
    apr_size_t i;

    if (wish->visibility && !mx_str_eq(wish->visibility, "public") && !mx_str_eq(wish->visibility, "private"))
        return mx_error_make(pool, MX_E_INVALID_PARAM, "visibility must be public or private.");
    wish->published = mx_str_eq(wish->visibility, "public");
    wish->preset = wish->published ? MX_PRESET_PUBLIC : MX_PRESET_PRIVATE;
    for (i = 0; wish->preset_name && i < sizeof(presets) / sizeof(presets[0]); i++) {
        if (mx_str_eq(presets[i].name, wish->preset_name)) {
            wish->preset = presets[i].preset;
            return NULL;
        }
    }
    if (wish->preset_name)
        return mx_error_make(pool, MX_E_INVALID_PARAM,
                             "preset must be private_chat, trusted_private_chat or public_chat.");
    return NULL;
}

static const mx_error_t *check_version(mx_room_wish_t *wish, const mx_server_t *server, apr_pool_t *pool)
{
    static const char *const by_setting[] = { "12", "11", "10" };   /* MatrixRoomVersion */

    wish->version =
        mx_room_version_find(wish->version_name ? wish->version_name : by_setting[server->settings->room_version]);
    if (!wish->version || !wish->version->creatable)
        return mx_error_make(pool, MX_E_UNSUPPORTED_ROOM_VERSION, "This server makes no rooms of version %s.",
                             wish->version_name);
    return NULL;
}

/** Appendices: room aliases. */
static const mx_error_t *check_alias(mx_room_wish_t *wish, const mx_server_t *server, apr_pool_t *pool)
{
    if (!wish->alias_name)
        return NULL;
    wish->alias = apr_pstrcat(pool, "#", wish->alias_name, ":", server->name, NULL);
    if (!*wish->alias_name || strchr(wish->alias_name, ':') || !mx_ident_is_room_alias(wish->alias))
        return mx_error_make(pool, MX_E_INVALID_PARAM, "room_alias_name is not the local part of a room alias.");
    return NULL;
}

/** CS-API: m.room.create: versions without additional creators do not look at the member. */
const mx_error_t *mx_room_create_check_creators(const mx_json_t *creators, const char *name, apr_pool_t *pool)
{
    apr_size_t i;

    if (creators && !mx_json_is(creators, MX_JSON_ARRAY))
        return bad_json(name, "a list", pool);
    if (mx_json_len(creators) > MX_ROOM_CREATORS_MAX)
        return mx_error_make(pool, MX_E_TOO_LARGE, "%s may hold at most %d users.", name, MX_ROOM_CREATORS_MAX);
    for (i = 0; i < mx_json_len(creators); i++) {
        if (!mx_ident_is_user_id(mx_json_str(mx_json_at(creators, i))))
            return bad_json(name, "a list of user ids", pool);
    }
    return NULL;
}

static const mx_error_t *check_creation_content(const mx_room_wish_t *wish, apr_pool_t *pool)
{
    const mx_json_t *content = wish->creation_content, *value;

    if ((value = mx_json_get(content, "type")) && !mx_json_is(value, MX_JSON_STRING))
        return bad_json("creation_content.type", "a string", pool);
    if ((value = mx_json_get(content, "m.federate")) && !mx_json_is(value, MX_JSON_BOOL))
        return bad_json("creation_content.m.federate", "true or false", pool);
    if (!wish->version->privileged_creators)
        return NULL;
    return mx_room_create_check_creators(mx_json_get(content, "additional_creators"),
                                         "creation_content.additional_creators", pool);
}

/** NULL if every member of the object is a whole number. */
static const mx_error_t *check_levels(const mx_json_t *levels, const char *name, apr_pool_t *pool)
{
    const char *key;
    mx_json_t *value;
    void *it = NULL;

    if (levels && !mx_json_is(levels, MX_JSON_OBJECT))
        return bad_json(name, "an object", pool);
    while (levels && mx_json_next(levels, &it, &key, &value)) {
        if (!mx_json_is(value, MX_JSON_INT))
            return bad_json(name, "an object of whole numbers", pool);
    }
    return NULL;
}

static const mx_error_t *check_power_override(const mx_json_t *power, apr_pool_t *pool)
{
    static const char *const levels[] = {"ban",    "events_default", "invite",       "kick",
                                         "redact", "state_default",  "users_default"};
    static const char *const maps[] = { "events", "notifications", "users" };
    const mx_error_t *err = NULL;
    const mx_json_t *value;
    apr_size_t i;

    for (i = 0; i < sizeof(levels) / sizeof(levels[0]); i++) {
        value = mx_json_get(power, levels[i]);
        if (value && !mx_json_is(value, MX_JSON_INT))
            return bad_json(levels[i], "a whole number", pool);
    }
    for (i = 0; !err && i < sizeof(maps) / sizeof(maps[0]); i++)
        err = check_levels(mx_json_get(power, maps[i]), maps[i], pool);
    return err;
}

static const mx_error_t *check_initial_state(const mx_json_t *list, apr_pool_t *pool)
{
    apr_size_t i;

    for (i = 0; i < mx_json_len(list); i++) {
        const mx_json_t *item = mx_json_at(list, i), *key = mx_json_get(item, "state_key");
        if (!mx_json_is(item, MX_JSON_OBJECT))
            return bad_json("initial_state", "a list of objects", pool);
        if (!mx_json_get_str(item, "type"))
            return bad_json("initial_state[].type", "a string", pool);
        if (key && !mx_json_str(key))
            return bad_json("initial_state[].state_key", "a string", pool);
        if (!mx_json_is(mx_json_get(item, "content"), MX_JSON_OBJECT))
            return bad_json("initial_state[].content", "an object", pool);
    }
    return NULL;
}

/** The invited users, each once, without the creator. */
static const mx_error_t *check_invite(mx_room_wish_t *wish, mx_server_t *server, const char *creator, apr_pool_t *pool)
{
    apr_size_t i;
    int k;
    const mx_error_t *err = NULL;

    wish->invitees = apr_pcalloc(pool, (mx_json_len(wish->invite) + 1) * sizeof(*wish->invitees));
    for (i = 0; !err && i < mx_json_len(wish->invite); i++) {
        const char *user_id = mx_json_str(mx_json_at(wish->invite, i));
        if (!user_id)
            return bad_json("invite", "a list of strings", pool);
        if (!mx_ident_is_user_id(user_id))
            return mx_error_make(pool, MX_E_INVALID_PARAM, "invite holds what is not a user id.");
        for (k = 0; k < wish->ninvitees && strcmp(wish->invitees[k], user_id) != 0; k++)
            ;
        if (k < wish->ninvitees || strcmp(user_id, creator) == 0)
            continue;
        err = mx_room_member_invitable(server, user_id, creator, MX_E_INVALID_PARAM, pool);
        wish->invitees[wish->ninvitees++] = user_id;
    }
    return err;
}

/** Invitations among initial_state are held to the same. */
static const mx_error_t *check_state_invites(const mx_json_t *list, mx_server_t *server, const char *creator, apr_pool_t *pool)
{
    const mx_error_t *err = NULL;
    apr_size_t i;

    for (i = 0; !err && i < mx_json_len(list); i++) {
        const mx_json_t *item = mx_json_at(list, i);
        const char *membership = mx_json_get_str(mx_json_get(item, "content"), "membership");
        const char *user_id = mx_json_get_str(item, "state_key");
        if (mx_str_eq(mx_json_get_str(item, "type"), "m.room.member") && mx_str_eq(membership, "invite")
            && mx_ident_is_user_id(user_id))
            err = mx_room_member_invitable(server, user_id, creator, MX_E_INVALID_PARAM, pool);
    }
    return err;
}

/** NULL if the lists are short enough: all events go into one transaction. */
static const mx_error_t *check_sizes(const mx_room_wish_t *wish, apr_pool_t *pool)
{
    if (mx_json_len(wish->initial_state) > MX_ROOM_CREATE_STATE_MAX)
        return mx_error_make(pool, MX_E_TOO_LARGE, "initial_state may hold at most %d events.",
                             MX_ROOM_CREATE_STATE_MAX);
    if (mx_json_len(wish->invite) > MX_ROOM_CREATE_INVITES_MAX)
        return mx_error_make(pool, MX_E_TOO_LARGE, "invite may hold at most %d users.", MX_ROOM_CREATE_INVITES_MAX);
    return NULL;
}

static const mx_error_t *read_wish(mx_room_wish_t *wish, mx_server_t *server, const mx_who_t *who,
                                   const mx_json_t *body, apr_pool_t *pool)
{
    const mx_error_t *err = read_types(wish, body, pool);

    if (!err) err = check_sizes(wish, pool);
    if (!err) err = check_words(wish, pool);
    if (!err) err = check_version(wish, server, pool);
    if (!err) err = check_alias(wish, server, pool);
    if (!err) err = check_creation_content(wish, pool);
    if (!err) err = check_power_override(wish->power_override, pool);
    if (!err) err = check_initial_state(wish->initial_state, pool);
    if (!err && (mx_json_has_uncanonical_number(body)))
        err = mx_error_make(pool, MX_E_BAD_JSON, "Numbers in events must be whole and within 53 bits.");
    if (!err) err = check_state_invites(wish->initial_state, server, who->user_id, pool);
    if (!err) err = check_invite(wish, server, who->user_id, pool);
    return err;
}

const mx_error_t *mx_room_create(const char **proom_id, mx_server_t *server, const mx_who_t *who, const mx_json_t *body,
                                 apr_pool_t *pool)
{
    mx_room_wish_t wish = { 0 };
    mx_room_drafts_t drafts = { 0 };
    mx_error_t *view;
    const mx_error_t *err = read_wish(&wish, server, who, body, pool);

    if (!err)
        err = mx_room_create_drafts(&drafts, server, who->user_id, &wish, pool);
    if (!err)
        err = mx_room_begin(proom_id, server, wish.version, drafts.items, drafts.n, wish.published, wish.alias, pool);
    /* the auth rules have refused one of the events: as a request that is an impossible initial state */
    if (err && err->code == MX_E_FORBIDDEN && drafts.n) {
        view = mx_error_copy(pool, err);
        view->code = MX_E_INVALID_ROOM_STATE;
        view->status = 400;
        return view;
    }
    return err;
}
