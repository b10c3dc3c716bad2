/* SPDX-License-Identifier: Apache-2.0 */
/* The events a new room begins with, in the order that the specification gives. CS-API: POST /createRoom. */
#include "room/create.h"

#include "room/member.h"

/** Events that the server adds by itself: create, member, power levels, alias, three of the preset, name, topic. */
#define OWN_EVENTS 9

/** A list of drafts under way. */
typedef struct building_t {
    mx_server_t *server;
    const char *creator;
    const mx_room_wish_t *wish;
    mx_room_drafts_t out;
    apr_pool_t *pool;
} building_t;

static void add(building_t *b, const char *type, const char *state_key, const mx_json_t *content)
{
    mx_room_draft_t *draft = &b->out.items[b->out.n++];

    draft->sender = b->creator;
    draft->type = type;
    draft->state_key = state_key;
    draft->content = content;
}

/** Adds an event with one string in its content. */
static void add_str(building_t *b, const char *type, const char *key, const char *value)
{
    mx_json_t *content = mx_json_new_object(b->pool);
    mx_json_set_str(content, key, value);
    add(b, type, "", content);
}

/** 1 if initial_state sets (type, ""): it goes before the preset. */
static int in_initial_state(const building_t *b, const char *type)
{
    apr_size_t i;

    for (i = 0; i < mx_json_len(b->wish->initial_state); i++) {
        const mx_json_t *item = mx_json_at(b->wish->initial_state, i);
        const char *key = mx_json_get_str(item, "state_key");
        if (mx_str_eq(mx_json_get_str(item, "type"), type) && (!key || !*key))
            return 1;
    }
    return 0;
}

/** For trusted_private_chat: who is invited is a creator too, where the version knows more than one. */
static void add_creators(building_t *b, mx_json_t *content)
{
    mx_json_t *creators = mx_json_get(content, "additional_creators");
    int i;

    if (!b->wish->version->privileged_creators || b->wish->preset != MX_PRESET_TRUSTED || !b->wish->ninvitees)
        return;
    if (!creators) {
        creators = mx_json_new_array(b->pool);
        mx_json_set(content, "additional_creators", creators);
    }
    for (i = 0; i < b->wish->ninvitees; i++) {
        if (!mx_json_has_str(creators, b->wish->invitees[i]))
            mx_json_add_str(creators, b->wish->invitees[i]);
    }
}

/** creator and room_version are the server's, whatever creation_content says. */
static void add_create(building_t *b)
{
    const mx_json_t *wished = b->wish->creation_content;
    mx_json_t *content = wished ? mx_json_copy(b->pool, wished) : mx_json_new_object(b->pool);

    mx_json_del(content, "creator");
    if (!b->wish->version->create_without_creator)
        mx_json_set_str(content, "creator", b->creator);
    mx_json_set_str(content, "room_version", b->wish->version->name);
    add_creators(b, content);
    add(b, "m.room.create", "", content);
}

static mx_json_t *power_users(const building_t *b)
{
    mx_json_t *users = mx_json_new_object(b->pool);
    int i;

    /* creators above all levels may not be listed */
    if (b->wish->version->privileged_creators)
        return users;
    mx_json_set_int(users, b->creator, MX_ROOM_LEVEL_ADMIN);
    for (i = 0; b->wish->preset == MX_PRESET_TRUSTED && i < b->wish->ninvitees; i++)
        mx_json_set_int(users, b->wish->invitees[i], MX_ROOM_LEVEL_ADMIN);
    return users;
}

static mx_json_t *power_events(const building_t *b)
{
    static const char *const moderator[] = { "m.room.avatar", "m.room.canonical_alias", "m.room.name" };
    static const char *const admin[] = {"m.room.encryption", "m.room.history_visibility", "m.room.power_levels",
                                        "m.room.server_acl"};
    mx_json_t *events = mx_json_new_object(b->pool);
    apr_size_t i;

    for (i = 0; i < sizeof(moderator) / sizeof(moderator[0]); i++)
        mx_json_set_int(events, moderator[i], MX_ROOM_LEVEL_MODERATOR);
    for (i = 0; i < sizeof(admin) / sizeof(admin[0]); i++)
        mx_json_set_int(events, admin[i], MX_ROOM_LEVEL_ADMIN);
    mx_json_set_int(events, "m.room.tombstone",
                    b->wish->version->privileged_creators ? MX_ROOM_LEVEL_ABOVE_ADMIN : MX_ROOM_LEVEL_ADMIN);
    return events;
}

/** An override of `events` that says nothing of m.room.tombstone leaves it above state_default, where creators are. */
static void keep_tombstone(const building_t *b, mx_json_t *content)
{
    mx_json_t *events = mx_json_get(content, "events");
    apr_int64_t least = mx_json_get_int(content, "state_default", MX_ROOM_LEVEL_MODERATOR);

    if (!b->wish->version->privileged_creators || mx_json_get(events, "m.room.tombstone"))
        return;
    events = mx_json_copy(b->pool, events);
    mx_json_set_int(events, "m.room.tombstone",
                    least < MX_ROOM_LEVEL_ABOVE_ADMIN ? MX_ROOM_LEVEL_ABOVE_ADMIN : least + 1);
    mx_json_set(content, "events", events);
}

/** The defaults, with the override's members in their place. */
static void add_power_levels(building_t *b)
{
    mx_json_t *content = mx_json_new_object(b->pool), *value;
    const char *key;
    void *it = NULL;

    mx_json_set(content, "users", power_users(b));
    mx_json_set_int(content, "users_default", 0);
    mx_json_set(content, "events", power_events(b));
    mx_json_set_int(content, "events_default", 0);
    mx_json_set_int(content, "state_default", MX_ROOM_LEVEL_MODERATOR);
    mx_json_set_int(content, "ban", MX_ROOM_LEVEL_MODERATOR);
    mx_json_set_int(content, "kick", MX_ROOM_LEVEL_MODERATOR);
    mx_json_set_int(content, "redact", MX_ROOM_LEVEL_MODERATOR);
    mx_json_set_int(content, "invite", b->wish->preset == MX_PRESET_PUBLIC ? MX_ROOM_LEVEL_MODERATOR : 0);
    while (b->wish->power_override && mx_json_next(b->wish->power_override, &it, &key, &value))
        mx_json_set(content, key, value);
    keep_tombstone(b, content);
    add(b, "m.room.power_levels", "", content);
}

static void add_preset(building_t *b)
{
    int public = b->wish->preset == MX_PRESET_PUBLIC;

    if (!in_initial_state(b, "m.room.join_rules"))
        add_str(b, "m.room.join_rules", "join_rule", public ? "public" : "invite");
    if (!in_initial_state(b, "m.room.history_visibility"))
        add_str(b, "m.room.history_visibility", "history_visibility", "shared");
    if (!in_initial_state(b, "m.room.guest_access"))
        add_str(b, "m.room.guest_access", "guest_access", public ? "forbidden" : "can_join");
}

static void add_initial_state(building_t *b)
{
    apr_size_t i;

    for (i = 0; i < mx_json_len(b->wish->initial_state); i++) {
        const mx_json_t *item = mx_json_at(b->wish->initial_state, i);
        const char *type = mx_json_get_str(item, "type"), *key = mx_json_get_str(item, "state_key");
        int plain = !key || !*key;
        if (plain &&
            ((b->wish->name && mx_str_eq(type, "m.room.name")) || (b->wish->topic && mx_str_eq(type, "m.room.topic"))))
            continue;
        add(b, type, key ? key : "", mx_json_get(item, "content"));
    }
}

/** CS-API: m.room.topic: the plain form, and the same as text/plain of m.topic. */
static void add_topic(building_t *b)
{
    mx_json_t *content = mx_json_new_object(b->pool), *block = mx_json_new_object(b->pool),
              *texts = mx_json_new_array(b->pool);
    mx_json_t *text = mx_json_new_object(b->pool);

    mx_json_set_str(text, "body", b->wish->topic);
    mx_json_add(texts, text);
    mx_json_set(block, "m.text", texts);
    mx_json_set_str(content, "topic", b->wish->topic);
    if (*b->wish->topic)
        mx_json_set(content, "m.topic", block);
    add(b, "m.room.topic", "", content);
}

static const mx_error_t *add_member(building_t *b, mx_membership_e membership, const char *user_id)
{
    mx_json_t *content = NULL;
    const mx_error_t *err = mx_room_member_content(&content, b->server, membership, user_id, NULL, b->pool);

    if (err)
        return err;
    if (membership == MX_MEMBERSHIP_INVITE && b->wish->is_direct)
        mx_json_set_bool(content, "is_direct", 1);
    add(b, "m.room.member", user_id, content);
    return NULL;
}

const mx_error_t *mx_room_create_drafts(mx_room_drafts_t *out, mx_server_t *server, const char *creator,
                                        const mx_room_wish_t *wish, apr_pool_t *pool)
{
    building_t b = { .server = server, .creator = creator, .wish = wish, .pool = pool };
    apr_size_t max = OWN_EVENTS + mx_json_len(wish->initial_state) + wish->ninvitees;
    const mx_error_t *err;
    int i;

    b.out.items = apr_pcalloc(pool, max * sizeof(*b.out.items));
    add_create(&b);
    err = add_member(&b, MX_MEMBERSHIP_JOIN, creator);
    add_power_levels(&b);
    if (wish->alias)
        add_str(&b, "m.room.canonical_alias", "alias", wish->alias);
    add_preset(&b);
    add_initial_state(&b);
    if (wish->name)
        add_str(&b, "m.room.name", "name", wish->name);
    if (wish->topic)
        add_topic(&b);
    for (i = 0; !err && i < wish->ninvitees; i++)
        err = add_member(&b, MX_MEMBERSHIP_INVITE, wish->invitees[i]);
    if (!err)
        *out = b.out;
    return err;
}
