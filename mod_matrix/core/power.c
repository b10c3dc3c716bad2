/* SPDX-License-Identifier: Apache-2.0 */
/* Power levels of a room. CS-API: m.room.power_levels; Rooms v12: room creators. */
#include "core/power.h"

#include "core/power_private.h"

#include <apr_lib.h>
#include <math.h>
#include <stdint.h>
#include <stdlib.h>

#define CREATOR_WITHOUT_EVENT 100      /* the creator's level while there is no m.room.power_levels */
#define STATE_DEFAULT 50
#define NOTIFICATION_DEFAULT 50

struct mx_power_t {
    const mx_event_t *create;
    const mx_json_t *content;          /* NULL: no m.room.power_levels */
    int integers_only;
    int privileged_creators;
};

/** Rooms v1: "accept values as strings": spaces, a sign, digits, spaces. */
static int level_of_string(apr_int64_t *plevel, const char *s)
{
    const char *digits;
    apr_int64_t value = 0;
    int negative;
    while (apr_isspace(*s))
        s++;
    negative = *s == '-';
    if (*s == '-' || *s == '+')
        s++;
    for (digits = s; *s >= '0' && *s <= '9'; s++) {
        if (__builtin_mul_overflow(value, 10, &value) || __builtin_add_overflow(value, *s - '0', &value))
            return 0;
    }
    if (s == digits)
        return 0;
    while (apr_isspace(*s))
        s++;
    if (*s)
        return 0;
    *plevel = negative ? -value : value;
    return 1;
}

int mx_power_level_read(apr_int64_t *plevel, const mx_json_t *j, int integers_only)
{
    double real;
    switch (mx_json_type(j)) {
    case MX_JSON_INT:
        *plevel = mx_json_int(j, 0);
        return 1;
    case MX_JSON_STRING:
        return !integers_only && mx_json_str(j) && level_of_string(plevel, mx_json_str(j));
    case MX_JSON_REAL:
        real = trunc(mx_json_real(j, 0));
        if (integers_only || fabs(real) >= (double)INT64_MAX)
            return 0;
        *plevel = (apr_int64_t)real;
        return 1;
    default:
        return 0;
    }
}

mx_power_t *mx_power_create(const mx_event_t *create, const mx_event_t *power_levels, apr_pool_t *pool)
{
    mx_power_t *power = apr_palloc(pool, sizeof(*power));
    power->create = create;
    power->content = power_levels ? mx_event_content(power_levels) : NULL;
    power->integers_only = create->version->integer_power_levels;
    power->privileged_creators = create->version->privileged_creators;
    return power;
}

static apr_int64_t level_or(const mx_power_t *power, const mx_json_t *j, apr_int64_t fallback)
{
    apr_int64_t level;
    return mx_power_level_read(&level, j, power->integers_only) ? level : fallback;
}

static apr_int64_t level_named(const mx_power_t *power, const char *key, apr_int64_t fallback)
{
    return level_or(power, mx_json_get(power->content, key), fallback);
}

int mx_power_is_creator(const mx_event_t *create, const char *user_id)
{
    const char *creator;
    if (create->version->privileged_creators && mx_json_has_str(mx_json_get(mx_event_content(create), "additional_creators"), user_id))
        return 1;
    if (create->version->create_without_creator)
        return strcmp(create->sender, user_id) == 0;
    creator = mx_json_get_str(mx_event_content(create), "creator");
    return strcmp(creator ? creator : create->sender, user_id) == 0;
}

apr_int64_t mx_power_user(const mx_power_t *power, const char *user_id)
{
    if (power->privileged_creators && mx_power_is_creator(power->create, user_id))
        return MX_POWER_CREATOR;
    if (!power->content)
        return mx_power_is_creator(power->create, user_id) ? CREATOR_WITHOUT_EVENT : 0;
    return level_or(power, mx_json_get(mx_json_get(power->content, "users"), user_id), level_named(power, "users_default", 0));
}

apr_int64_t mx_power_event(const mx_power_t *power, const char *type, int is_state)
{
    apr_int64_t fallback = is_state ? level_named(power, "state_default", STATE_DEFAULT)
                                    : level_named(power, "events_default", 0);
    return level_or(power, mx_json_get(mx_json_get(power->content, "events"), type), fallback);
}

apr_int64_t mx_power_action(const mx_power_t *power, mx_power_action_e action)
{
    static const struct {
        const char *key;
        apr_int64_t fallback;
    } actions[] = { [MX_POWER_BAN] = { "ban", 50 }, [MX_POWER_KICK] = { "kick", 50 }, [MX_POWER_INVITE] = { "invite", 0 },
                    [MX_POWER_REDACT] = { "redact", 50 } };
    return level_named(power, actions[action].key, actions[action].fallback);
}

apr_int64_t mx_power_notification(const mx_power_t *power, const char *key)
{
    return level_or(power, mx_json_get(mx_json_get(power->content, "notifications"), key), NOTIFICATION_DEFAULT);
}
