/* SPDX-License-Identifier: Apache-2.0 */
/* Authorization rules on m.room.power_levels. Rooms vN: the rule "If type is m.room.power_levels". */
#include "core/auth_private.h"

#include "core/ident.h"
#include "core/power_private.h"

static const char *const level_keys[] = { "ban", "events_default", "invite", "kick", "redact", "state_default", "users_default" };
#define NLEVELS (sizeof(level_keys) / sizeof(level_keys[0]))

static int reads_as_level(const mx_auth_check_t *c, const mx_json_t *j)
{
    apr_int64_t level;
    return mx_power_level_read(&level, j, c->event->version->integer_power_levels);
}

static int all_values_are_levels(const mx_auth_check_t *c, const mx_json_t *object)
{
    const char *key;
    mx_json_t *val;
    void *it = NULL;
    if (!mx_json_is(object, MX_JSON_OBJECT))
        return 0;
    while (mx_json_next(object, &it, &key, &val)) {
        if (!reads_as_level(c, val))
            return 0;
    }
    return 1;
}

/** Rooms v10, rules 9.1 and 9.2. */
static const mx_error_t *check_integers(const mx_auth_check_t *c, const mx_json_t *content)
{
    static const char *const maps[] = { "events", "notifications" };
    apr_size_t i;
    for (i = 0; i < NLEVELS; i++) {
        const mx_json_t *val = mx_json_get(content, level_keys[i]);
        if (val && !reads_as_level(c, val))
            return mx_auth_refuse(c, "The power level `%s` is no integer.", level_keys[i]);
    }
    for (i = 0; i < sizeof(maps) / sizeof(maps[0]); i++) {
        const mx_json_t *map = mx_json_get(content, maps[i]);
        if (map && !all_values_are_levels(c, map))
            return mx_auth_refuse(c, "`%s` is no object of integers.", maps[i]);
    }
    return NULL;
}

/** Rule 9.3 and, from version 12 on, 10.4. */
static const mx_error_t *check_users(const mx_auth_check_t *c, const mx_json_t *users)
{
    mx_slice_t user;
    mx_json_t *val;
    void *it = NULL;
    if (!users)
        return NULL;
    if (!all_values_are_levels(c, users))
        return mx_auth_refuse(c, "`users` is no object of integers.");
    while (mx_json_next_slice(users, &it, &user, &val)) {
        if (strlen(user.p) != user.len || !mx_ident_is_user_id(user.p))
            return mx_auth_refuse(c, "`users` holds a key that is no user id.");
        if (c->event->version->privileged_creators && mx_power_is_creator(c->create, user.p))
            return mx_auth_refuse(c, "`users` names a creator of the room, whose level cannot be set.");
    }
    return NULL;
}

/** Before and after of one entry; `has_*` 0 where it is absent. */
typedef struct alteration_t {
    apr_int64_t before, after;
    int has_before, has_after;
} alteration_t;

/** 1 if the entry was added, changed or removed. */
static int altered(alteration_t *a, const mx_auth_check_t *c, const mx_json_t *before, const mx_json_t *after)
{
    int integers_only = c->event->version->integer_power_levels;
    a->has_before = mx_power_level_read(&a->before, before, integers_only);
    a->has_after = mx_power_level_read(&a->after, after, integers_only);
    return a->has_before != a->has_after || (a->has_before && a->before != a->after);
}

static const mx_error_t *check_entry(const mx_auth_check_t *c, mx_slice_t key, const mx_json_t *before, const mx_json_t *after)
{
    alteration_t a;
    if (!altered(&a, c, before, after))
        return NULL;
    if (a.has_before && a.before > c->sender_power)
        return mx_auth_refuse(c, "The power level of `%s` is above the sender's.", key.p);
    if (a.has_after && a.after > c->sender_power)
        return mx_auth_refuse(c, "The new power level of `%s` is above the sender's.", key.p);
    return NULL;
}

static const mx_error_t *check_user(const mx_auth_check_t *c, mx_slice_t user, const mx_json_t *before, const mx_json_t *after)
{
    alteration_t a;
    if (!altered(&a, c, before, after))
        return NULL;
    if (a.has_before && a.before >= c->sender_power && !mx_slice_is(user, c->event->sender))
        return mx_auth_refuse(c, "The power level of %s is not below the sender's.", user.p);
    if (a.has_after && a.after > c->sender_power)
        return mx_auth_refuse(c, "The new power level of %s is above the sender's.", user.p);
    return NULL;
}

typedef const mx_error_t *entry_fn(const mx_auth_check_t *c, mx_slice_t key, const mx_json_t *before, const mx_json_t *after);

/** Every key of either map. */
static const mx_error_t *check_map(const mx_auth_check_t *c, const mx_json_t *before, const mx_json_t *after, entry_fn *check)
{
    const mx_error_t *err = NULL;
    mx_slice_t key;
    mx_json_t *val;
    void *it = NULL;
    while (!err && mx_json_next_slice(before, &it, &key, &val))
        err = check(c, key, val, mx_json_get_slice(after, key));
    it = NULL;
    while (!err && mx_json_next_slice(after, &it, &key, &val)) {
        if (!mx_json_get_slice(before, key))
            err = check(c, key, NULL, val);
    }
    return err;
}

const mx_error_t *mx_auth_rule_power_levels(const mx_auth_check_t *c)
{
    const mx_json_t *after = mx_event_content(c->event), *before;
    const mx_event_t *current = mx_auth_state_get(c, MX_TYPE_POWER_LEVELS, "");
    const mx_error_t *err = c->event->version->integer_power_levels ? check_integers(c, after) : NULL;
    apr_size_t i;
    if (!err)
        err = check_users(c, mx_json_get(after, "users"));
    if (err || !current)
        return err;
    before = mx_event_content(current);
    for (i = 0; !err && i < NLEVELS; i++)
        err = check_entry(c, mx_slice_str(level_keys[i]), mx_json_get(before, level_keys[i]), mx_json_get(after, level_keys[i]));
    if (!err)
        err = check_map(c, mx_json_get(before, "events"), mx_json_get(after, "events"), check_entry);
    if (!err && c->event->version->limit_notifications_power)
        err = check_map(c, mx_json_get(before, "notifications"), mx_json_get(after, "notifications"), check_entry);
    if (!err)
        err = check_map(c, mx_json_get(before, "users"), mx_json_get(after, "users"), check_user);
    return err;
}
