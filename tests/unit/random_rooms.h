/* SPDX-License-Identifier: Apache-2.0 */
/* What happens in random rooms, and states as text, to compare what they resolve to. */
#ifndef MX_TESTS_RANDOM_ROOMS_H
#define MX_TESTS_RANDOM_ROOMS_H

#include "naive_state_res.h"
#include "random.h"

/** A state event that somebody would like to send. */
typedef struct random_event_t {
    const char *sender, *type, *state_key, *content;
} random_event_t;

static inline const char *random_levels(const mx_room_version_t *version)
{
    const char *creator = version->privileged_creators ? "" : ",\"@creator:h\":100";
    return apr_psprintf(pool, "{\"users\":{\"@mod:h\":%u,\"@a:h\":%u%s},\"state_default\":%u,\"invite\":%u}", 25 * rnd(5), 25 * rnd(5),
                        creator, 25 * rnd(3), 25 * rnd(2));
}

/** Of these users; what takes power is tried by the first `nleaders` of them. */
static inline random_event_t random_event(const mx_room_version_t *version, const char *const *users, unsigned nusers, unsigned nleaders)
{
    static const char *const rules[] = { "public", "invite", "knock", "public" };
    static const char *const memberships[] = { "join", "join", "leave", "ban", "invite", "knock" };
    const char *sender = users[rnd(nusers)], *leader = users[rnd(nleaders)];
    switch (rnd(8)) {
    case 0:
        return (random_event_t){ leader, "m.room.power_levels", "", random_levels(version) };
    case 1:
        return (random_event_t){ leader, "m.room.join_rules", "", apr_psprintf(pool, "{\"join_rule\":\"%s\"}", rules[rnd(4)]) };
    case 2:
        return (random_event_t){ sender, "m.room.topic", "", apr_psprintf(pool, "{\"topic\":\"%u\"}", rnd(1000)) };
    case 3:
        return (random_event_t){ leader, "m.room.member", users[rnd(nusers)],
                                 apr_psprintf(pool, "{\"membership\":\"%s\"}", memberships[rnd(6)]) };
    default:
        return (random_event_t){ sender, "m.room.member", sender,
                                 apr_psprintf(pool, "{\"membership\":\"%s\",\"n\":%u}", memberships[rnd(3)], rnd(99)) };
    }
}

static inline int entry_cmp(const void *a, const void *b)
{
    const mx_state_entry_t *x = a, *y = b;
    int d = strcmp(x->type, y->type);
    return d ? d : strcmp(x->state_key, y->state_key);
}

static inline const char *text_of(const mx_state_set_t *set)
{
    mx_state_entry_t *sorted = apr_pmemdup(pool, set->entries, sizeof(*sorted) * (apr_size_t)set->nentries);
    mx_buf_t *buf = mx_buf_create(pool);
    int i;
    qsort(sorted, (size_t)set->nentries, sizeof(*sorted), entry_cmp);
    for (i = 0; i < set->nentries; i++)
        mx_buf_append_str(buf, apr_psprintf(pool, "%s|%s %s\n", sorted[i].type, sorted[i].state_key, sorted[i].event_id));
    return mx_slice_dup(mx_buf_slice(buf), pool);
}

#endif
