/* SPDX-License-Identifier: Apache-2.0 */
/* Power levels when a room is replaced by one of another version. */
#include "core/power_upgrade.h"

#include "core/ident.h"
#include "core/power_private.h"

#define CANONICAL_MAX APR_INT64_C(9007199254740991)
#define LEVEL_ADMIN 100
#define STATE_DEFAULT 50
#define MODERATOR 50

static const char *const level_keys[] = { "ban", "events_default", "invite", "kick", "redact", "state_default", "users_default" };
static const char *const map_keys[] = { "events", "notifications", "users" };
#define COUNT(table) (sizeof(table) / sizeof((table)[0]))

/** A level of the old room, cut to what canonical JSON holds. */
static int read_level(apr_int64_t *plevel, const mx_power_upgrade_t *up, const mx_json_t *j)
{
    apr_int64_t level;
    if (!mx_power_level_read(&level, j, up->old_create->version->integer_power_levels))
        return 0;
    *plevel = level > CANONICAL_MAX ? CANONICAL_MAX : level < -CANONICAL_MAX ? -CANONICAL_MAX : level;
    return 1;
}

/** 1 if the new room may list the user. */
static int may_be_listed(const mx_power_upgrade_t *up, const char *user_id)
{
    if (!mx_ident_is_user_id(user_id))
        return 0;
    return !up->version->privileged_creators || (!mx_str_eq(user_id, up->creator) && !mx_json_has_str(up->creators, user_id));
}

static int is_among(const char *key, const char *const *keys, apr_size_t n)
{
    apr_size_t i;
    for (i = 0; i < n; i++) {
        if (strcmp(keys[i], key) == 0)
            return 1;
    }
    return 0;
}

static mx_json_t *copy_map(const mx_power_upgrade_t *up, const char *name, const mx_json_t *map, apr_pool_t *pool)
{
    mx_json_t *out = mx_json_new_object(pool), *value;
    int users = strcmp(name, "users") == 0;
    const char *key;
    apr_int64_t level;
    void *it = NULL;
    while (mx_json_is(map, MX_JSON_OBJECT) && mx_json_next(map, &it, &key, &value)) {
        if (mx_json_get(map, key) == value && read_level(&level, up, value) && (!users || may_be_listed(up, key)))
            mx_json_set_int(out, key, level);
    }
    return out;
}

/** Levels and maps of levels are read; what else somebody put there is copied if an event can hold it. */
static mx_json_t *copy_levels(const mx_power_upgrade_t *up, apr_pool_t *pool)
{
    mx_json_t *out = mx_json_new_object(pool), *value;
    const char *key;
    apr_int64_t level;
    void *it = NULL;
    while (up->old_levels && mx_json_next(up->old_levels, &it, &key, &value)) {
        if (mx_json_get(up->old_levels, key) != value)
            continue;                /* the key holds U+0000 behind what we see of it */
        if (is_among(key, map_keys, COUNT(map_keys)))
            mx_json_set(out, key, copy_map(up, key, value, pool));
        else if (!is_among(key, level_keys, COUNT(level_keys))) {
            if (!mx_json_has_uncanonical_number(value))
                mx_json_set(out, key, mx_json_copy(pool, value));
        }
        else if (read_level(&level, up, value))
            mx_json_set_int(out, key, level);
    }
    return out;
}

/** An object member, made if it is not there. */
static mx_json_t *map_of(mx_json_t *levels, const char *key, apr_pool_t *pool)
{
    if (!mx_json_get(levels, key))
        mx_json_set(levels, key, mx_json_new_object(pool));
    return mx_json_get(levels, key);
}

static apr_int64_t max_of(apr_int64_t a, apr_int64_t b)
{
    return a > b ? a : b;
}

/** The greatest level that anything in the room takes, 100 at least. */
static apr_int64_t top_level(const mx_json_t *levels)
{
    apr_int64_t top = LEVEL_ADMIN;
    const char *key;
    mx_json_t *value;
    apr_size_t i;
    void *it;
    for (i = 0; i < COUNT(level_keys); i++)
        top = max_of(top, mx_json_get_int(levels, level_keys[i], top));
    for (i = 0; i < COUNT(map_keys); i++) {
        const mx_json_t *map = mx_json_get(levels, map_keys[i]);
        for (it = NULL; map && mx_json_next(map, &it, &key, &value);)
            top = max_of(top, mx_json_int(value, top));
    }
    return top;
}

static void list_creator(const mx_power_upgrade_t *up, mx_json_t *users, const char *user_id, apr_int64_t level)
{
    if (may_be_listed(up, user_id) && !mx_json_get(users, user_id))
        mx_json_set_int(users, user_id, level);
}

/** Whose power came from having made the old room keeps it. */
static void list_old_creators(const mx_power_upgrade_t *up, mx_json_t *levels, apr_pool_t *pool)
{
    const mx_event_t *create = up->old_create;
    const char *named = mx_json_get_str(mx_event_content(create), "creator");
    const mx_json_t *more = mx_json_get(mx_event_content(create), "additional_creators");
    mx_json_t *users = map_of(levels, "users", pool);
    apr_int64_t top = top_level(levels);
    apr_size_t i;
    list_creator(up, users, named && !create->version->create_without_creator ? named : create->sender, top);
    for (i = 0; create->version->privileged_creators && i < mx_json_len(more); i++)
        list_creator(up, users, mx_json_str(mx_json_at(more, i)), top);
}

/** CS-API: POST /createRoom: m.room.tombstone "MUST explicitly be higher than state_default". */
static void raise_tombstone(const mx_power_upgrade_t *up, mx_json_t *levels, apr_pool_t *pool)
{
    apr_int64_t least = mx_json_get_int(levels, "state_default", STATE_DEFAULT);
    mx_json_t *events = map_of(levels, "events", pool);
    least = least < CANONICAL_MAX ? least + 1 : least;
    if (!up->old_create->version->privileged_creators)
        least = max_of(least, MX_POWER_TOMBSTONE);
    if (!mx_json_get(events, "m.room.tombstone") || mx_json_get_int(events, "m.room.tombstone", 0) < least)
        mx_json_set_int(events, "m.room.tombstone", least);
}

mx_json_t *mx_power_upgrade(const mx_power_upgrade_t *up, apr_pool_t *pool)
{
    mx_json_t *levels = copy_levels(up, pool);
    if (up->version->privileged_creators)
        raise_tombstone(up, levels, pool);
    else if (up->old_create->version->privileged_creators || !up->old_levels)
        list_old_creators(up, levels, pool);
    return levels;
}

mx_json_t *mx_power_silence(const mx_event_t *create, const mx_json_t *levels, apr_pool_t *pool)
{
    static const char *const raised[] = { "events_default", "invite" };
    const mx_power_upgrade_t same = { .old_create = create, .version = create->version };
    mx_json_t *out = levels ? mx_json_copy(pool, levels) : mx_json_new_object(pool);
    apr_int64_t level, needed = MODERATOR;
    apr_size_t i;
    int changed = 0;
    if (read_level(&level, &same, mx_json_get(levels, "users_default")) && level < CANONICAL_MAX)
        needed = max_of(needed, level + 1);
    for (i = 0; i < COUNT(raised); i++) {
        if (read_level(&level, &same, mx_json_get(levels, raised[i])) && level >= needed)
            continue;
        mx_json_set_int(out, raised[i], needed);
        changed = 1;
    }
    if (!changed)
        return NULL;
    if (!levels && !create->version->privileged_creators)
        list_old_creators(&same, out, pool);
    return out;
}
