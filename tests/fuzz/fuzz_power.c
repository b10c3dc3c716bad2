/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Any content of m.room.power_levels is read without surprise; the rules refuse it with a reason or accept it; and what an upgrade
 * makes of it are first levels that the new version's rules accept. An input is a byte (the versions) and a JSON object: the
 * levels, with those to change them into in "next" and the create event's content in "create".
 */
#include "fuzz.h"

#include "core/auth_rules.h"
#include "core/power_upgrade.h"

#define CREATOR "@c:h"
#define MEMBER "@m:h"

typedef struct room_t {
    const mx_event_t *create, *creator, *member, *levels;
} room_t;

static const mx_event_t *get(void *baton, const char *type, const char *state_key)
{
    const room_t *room = baton;
    const mx_event_t *all[] = { room->create, room->creator, room->member, room->levels };
    apr_size_t i;
    for (i = 0; i < sizeof(all) / sizeof(all[0]); i++) {
        if (all[i] && mx_event_is(all[i], type, state_key))
            return all[i];
    }
    return NULL;
}

static mx_event_t *event(const mx_room_version_t *version, const char *room_id, const char *sender, const char *type,
                         const char *state_key, const mx_json_t *content, apr_pool_t *pool)
{
    static const char *prev[] = { "$x:h" };
    mx_event_t *ev = NULL;
    mx_event_draft_t d = { .version = version, .room_id = room_id, .sender = sender, .type = type, .state_key = state_key,
                           .content = fuzz_canonical(content, pool), .prev_events = prev, .nprev = room_id ? 1 : 0, .origin = "h" };
    if (strcmp(type, "m.room.create") == 0)
        d.nprev = 0;
    mx_event_build(&ev, &d, pool);
    return ev;                       /* NULL: too large */
}

static const mx_json_t *member(apr_pool_t *pool)
{
    mx_json_t *content = mx_json_new_object(pool);
    mx_json_set_str(content, "membership", "join");
    return content;
}

/** 0 if the content is too large for an event. */
static int make_room(room_t *room, const mx_room_version_t *version, const mx_json_t *create, const char *creator, apr_pool_t *pool)
{
    mx_json_t *content = create ? mx_json_copy(pool, create) : mx_json_new_object(pool);
    memset(room, 0, sizeof(*room));
    mx_json_set_str(content, "room_version", version->name);
    if (!version->create_without_creator)
        mx_json_set_str(content, "creator", creator);
    room->create = event(version, version->room_id_is_create_hash ? NULL : "!r:h", creator, "m.room.create", "", content, pool);
    if (!room->create)
        return 0;
    room->creator = event(version, room->create->room_id, creator, "m.room.member", creator, member(pool), pool);
    room->member = event(version, room->create->room_id, MEMBER, "m.room.member", MEMBER, member(pool), pool);
    return 1;
}

static const mx_error_t *check(room_t *room, const mx_event_t *ev, apr_pool_t *pool)
{
    mx_auth_state_t state = { get, room, NULL };
    const mx_error_t *err = mx_auth_check(ev, &state, pool);
    FUZZ_CHECK(!err || (err->code == MX_E_FORBIDDEN && *err->message));
    return err;
}

static void read_all(const room_t *room, apr_pool_t *pool)
{
    const mx_power_t *power = mx_power_create(room->create, room->levels, pool);
    mx_power_action_e action;
    apr_int64_t creator = mx_power_user(power, CREATOR), other = mx_power_user(power, MEMBER);
    int privileged = room->create->version->privileged_creators;
    for (action = MX_POWER_BAN; action <= MX_POWER_REDACT; action++)
        mx_power_action(power, action);
    mx_power_event(power, "m.room.name", 1);
    mx_power_event(power, "m.room.message", 0);
    mx_power_notification(power, "room");
    FUZZ_CHECK(!privileged || creator == MX_POWER_CREATOR);
    FUZZ_CHECK(privileged || creator != MX_POWER_CREATOR || room->levels);
    FUZZ_CHECK(other == mx_power_user(power, MEMBER));
}

/** The levels of the room that follows: by the creator or by a member, who is then its creator. */
static void check_upgrade(const room_t *old, const mx_room_version_t *version, const char *upgrader, apr_pool_t *pool)
{
    const mx_power_upgrade_t up = { old->create, old->levels ? mx_event_content(old->levels) : NULL, version, upgrader, NULL };
    mx_json_t *levels = mx_power_upgrade(&up, pool);
    room_t next;
    mx_event_t *ev;
    FUZZ_CHECK(!mx_json_has_uncanonical_number(levels));
    FUZZ_CHECK(make_room(&next, version, NULL, upgrader, pool));
    ev = event(version, next.create->room_id, upgrader, "m.room.power_levels", "", levels, pool);
    if (!ev)
        return;
    FUZZ_CHECK(check(&next, ev, pool) == NULL);
    next.levels = ev;
    if (version->privileged_creators) {
        const mx_power_t *power = mx_power_create(next.create, ev, pool);
        FUZZ_CHECK(mx_power_event(power, "m.room.tombstone", 1) > mx_power_event(power, "org.example.any", 1)
                   || mx_json_get_int(levels, "state_default", 0) == APR_INT64_C(9007199254740991)
                   || mx_json_get(mx_json_get(levels, "events"), "org.example.any"));
    }
}

static void check_silence(room_t *room, apr_pool_t *pool)
{
    const mx_json_t *before = room->levels ? mx_event_content(room->levels) : NULL;
    mx_json_t *levels = mx_power_silence(room->create, before, pool);
    if (!levels)
        return;
    FUZZ_CHECK(mx_json_get_int(levels, "events_default", 0) >= 50 || mx_json_get_int(levels, "invite", 0) >= 50);
    FUZZ_CHECK(mx_power_silence(room->create, levels, pool) == NULL);
}

static void fuzz_one(const char *p, apr_size_t len, apr_pool_t *pool)
{
    const mx_room_version_t *version, *to;
    mx_json_t *levels, *next, *create;
    room_t room;
    if (!len || mx_json_parse(&levels, NULL, p + 1, len - 1, NULL, pool) != MX_JSON_OK || !mx_json_is(levels, MX_JSON_OBJECT))
        return;
    version = mx_room_version_at((unsigned char)*p % 12);
    to = mx_room_version_at((unsigned char)*p / 12 % 12);
    next = mx_json_get(levels, "next");
    create = mx_json_get(levels, "create");
    if (!make_room(&room, version, mx_json_is(create, MX_JSON_OBJECT) ? create : NULL, CREATOR, pool))
        return;
    room.levels = event(version, room.create->room_id, CREATOR, "m.room.power_levels", "", levels, pool);
    if (!room.levels)
        return;
    read_all(&room, pool);
    if (mx_json_is(next, MX_JSON_OBJECT)) {
        const char *senders[] = { CREATOR, MEMBER };
        int i;
        for (i = 0; i < 2; i++) {
            const mx_event_t *change = event(version, room.create->room_id, senders[i], "m.room.power_levels", "", next, pool);
            if (change)
                check(&room, change, pool);
        }
    }
    check_upgrade(&room, to, CREATOR, pool);
    check_upgrade(&room, to, MEMBER, pool);
    check_silence(&room, pool);
}
