/* SPDX-License-Identifier: Apache-2.0 */
/* State resolution on random rooms: whatever the forks, it gives what the slow, literal form of it gives. Rooms v1, v2, v12. */
#include "rooms.h"
#include "random_rooms.h"

#include <stdio.h>

#define USERS 7
#define BRANCHES 5

static apr_hash_t *known;

static const mx_event_t *known_event(void *baton, const char *event_id)
{
    return apr_hash_get(known, event_id, APR_HASH_KEY_STRING);
}

static const char *const users[USERS] = { "@creator:h", "@mod:h", "@a:h", "@b:h", "@c:h", "@d:h", "@e:h" };

/** Most events obey the rules, as accepted ones do; some are left in that do not, and some are lost. */
static void grow(room_t *room, mx_event_t *ev)
{
    if (room_refusal(room, ev) && rnd(20))
        return;
    if (rnd(40))
        apr_hash_set(known, ev->event_id, APR_HASH_KEY_STRING, ev);
    if (room->n < ROOM_MAX - 1)
        room->state[room->n++] = ev;
}

static void step(room_t *room)
{
    random_event_t wish = random_event(room->version, users, USERS, 3);
    room->clock += rnd(4);
    if (!rnd(10))
        room->clock -= 5;
    grow(room, room_event(room, wish.sender, wish.type, wish.state_key, wish.content));
}

static mx_state_set_t set_of(room_t *room)
{
    mx_state_entry_t *entries = apr_palloc(pool, sizeof(*entries) * ROOM_MAX);
    mx_state_set_t set = { entries, 0 };
    int i;
    for (i = 0; i < room->n; i++) {
        const mx_event_t *ev = room->state[i];
        if (room_get(room, ev->type, ev->state_key) == ev)
            entries[set.nentries++] = (mx_state_entry_t){ ev->type, ev->state_key, ev->event_id };
    }
    return set;
}

/** Fast and slow, in the order given and in another one. */
static mx_state_set_t resolve(const mx_room_version_t *version, mx_state_set_t *sets, int n)
{
    mx_state_set_t slow, fast, turned, *other = apr_palloc(pool, sizeof(*other) * (apr_size_t)n);
    unsigned at = seed;
    int i;
    for (i = 0; i < n; i++)
        other[i] = sets[(i + 1) % n];
    ck_assert_ptr_null(naive_resolve(&slow, version, sets, n, known_event, NULL, pool));
    ck_assert_ptr_null(mx_state_resolve(&fast, version, sets, n, known_event, NULL, pool));
    ck_assert_ptr_null(mx_state_resolve(&turned, version, other, n, known_event, NULL, pool));
    ck_assert_msg(strcmp(text_of(&fast), text_of(&slow)) == 0, "seed %u, version %s\nfast:\n%sslow:\n%s", at, version->name,
                  text_of(&fast), text_of(&slow));
    ck_assert_str_eq(text_of(&turned), text_of(&fast));
    return fast;
}

/** The branch goes on from the resolved state. */
static void become(room_t *room, const mx_state_set_t *set)
{
    int i;
    room->n = 0;
    for (i = 0; i < set->nentries; i++) {
        const mx_event_t *ev = known_event(NULL, set->entries[i].event_id);
        if (ev)
            room->state[room->n++] = ev;
    }
}

static int conflicts;

static void one_room(const char *version)
{
    room_t *branches[BRANCHES], *root = room_new(version, NULL);
    mx_state_set_t sets[BRANCHES], out;
    int i, round, k, n;
    known = apr_hash_make(pool);
    for (i = 0; i < root->n; i++)
        apr_hash_set(known, root->state[i]->event_id, APR_HASH_KEY_STRING, root->state[i]);
    for (i = 0; i < 6; i++)
        step(root);
    for (i = 0; i < BRANCHES; i++)
        branches[i] = apr_pmemdup(pool, root, sizeof(*root));
    for (round = 0; round < 6; round++) {
        for (i = 0; i < BRANCHES; i++) {
            for (k = (int)rnd(6); k > 0; k--)
                step(branches[i]);
        }
        n = 2 + (int)rnd(BRANCHES - 1);
        for (i = 0; i < n; i++)
            sets[i] = set_of(branches[i]);
        conflicts += strcmp(text_of(&sets[0]), text_of(&sets[1])) != 0;
        out = resolve(root->version, sets, n);
        become(branches[rnd((unsigned)n)], &out);
        become(branches[rnd((unsigned)n)], &out);
    }
}

START_TEST(random_rooms_resolve_as_the_slow_form_does)
{
    static const char *const versions[] = { "1", "2", "6", "8", "11", "12" };
    const char *more = getenv("MX_TEST_ROUNDS");
    apr_pool_t *whole = pool;
    int round, rounds = more ? atoi(more) : 60, v;
    seed = 4711;
    for (round = 0; round < rounds; round++) {
        for (v = 0; v < UNIT_COUNT(versions); v++) {
            apr_pool_create(&pool, whole);
            one_room(versions[v]);
            apr_pool_destroy(pool);
        }
    }
    pool = whole;
    ck_assert_int_gt(conflicts, rounds * 20);
}
END_TEST

UNIT_MAIN("core_state_res_random", random_rooms_resolve_as_the_slow_form_does)
