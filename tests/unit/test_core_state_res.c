/* SPDX-License-Identifier: Apache-2.0 */
/* State resolution on small made-up rooms with forks. Rooms v1, v2, v12: state resolution. */
#include "rooms.h"

#include "core/state_res.h"

#include <apr_hash.h>

/* All events of a test by id; a room_t stands for one side of a fork. */
static apr_hash_t *known;

static const mx_event_t *known_event(void *baton, const char *event_id)
{
    return apr_hash_get(known, event_id, APR_HASH_KEY_STRING);
}

static mx_event_t *learn(mx_event_t *ev)
{
    apr_hash_set(known, ev->event_id, APR_HASH_KEY_STRING, ev);
    return ev;
}

static mx_event_t *state(room_t *room, const char *sender, const char *type, const char *state_key, const char *content)
{
    return learn(room_add(room, sender, type, state_key, content));
}

static mx_event_t *member(room_t *room, const char *sender, const char *user, const char *membership)
{
    return learn(room_member(room, sender, user, membership));
}

/** The other side of a fork: same state so far, a clock of its own. */
static room_t *fork_of(const room_t *room, apr_int64_t later)
{
    room_t *other = apr_pmemdup(pool, room, sizeof(*room));
    other->clock += later;
    return other;
}

static mx_state_set_t set_of(room_t *room)
{
    mx_state_entry_t *entries = apr_palloc(pool, sizeof(*entries) * ROOM_MAX);
    mx_state_set_t set = { entries, 0 };
    int i;
    for (i = 0; i < room->n; i++) {
        const mx_event_t *ev = room->state[i];
        if (ev->state_key && room_get(room, ev->type, ev->state_key) == ev)
            entries[set.nentries++] = (mx_state_entry_t){ ev->type, ev->state_key, ev->event_id };
    }
    return set;
}

static const char *entry_of(const mx_state_set_t *set, const char *type, const char *state_key)
{
    const char *found = NULL;
    int i;
    for (i = 0; i < set->nentries; i++) {
        if (strcmp(set->entries[i].type, type) == 0 && strcmp(set->entries[i].state_key, state_key) == 0) {
            ck_assert_ptr_null(found);          /* never twice */
            found = set->entries[i].event_id;
        }
    }
    return found;
}

/** Resolves in both orders of the sets; the result must not depend on it. */
static mx_state_set_t resolve(room_t *a, room_t *b)
{
    mx_state_set_t sets[] = { set_of(a), set_of(b) }, turned[] = { sets[1], sets[0] }, one, two;
    int i;
    ck_assert_ptr_null(mx_state_resolve(&one, a->version, sets, 2, known_event, NULL, pool));
    ck_assert_ptr_null(mx_state_resolve(&two, a->version, turned, 2, known_event, NULL, pool));
    ck_assert_int_eq(one.nentries, two.nentries);
    for (i = 0; i < one.nentries; i++)
        ck_assert_str_eq(entry_of(&two, one.entries[i].type, one.entries[i].state_key), one.entries[i].event_id);
    return one;
}

/** @creator:h, @mod:h (50), @user:h in a public room. */
static room_t *start(const char *version)
{
    room_t *room = room_new(version, NULL);
    known = apr_hash_make(pool);
    learn((mx_event_t *)(apr_uintptr_t)room->state[0]);
    learn((mx_event_t *)(apr_uintptr_t)room->state[1]);
    state(room, "@creator:h", "m.room.power_levels", "",
         strcmp(version, "12") == 0 ? "{\"users\":{\"@mod:h\":50}}" : "{\"users\":{\"@creator:h\":100,\"@mod:h\":50}}");
    state(room, "@creator:h", "m.room.join_rules", "", "{\"join_rule\":\"public\"}");
    member(room, "@mod:h", "@mod:h", "join");
    member(room, "@user:h", "@user:h", "join");
    return room;
}

static const char *const all_versions[] = { "1", "2", "6", "10", "11", "12" };
static const char *const v2_versions[] = { "2", "6", "10", "11", "12" };

START_TEST(equal_and_single_sets_stay_as_they_are)
{
    int v;
    for (v = 0; v < UNIT_COUNT(all_versions); v++) {
        room_t *room = start(all_versions[v]);
        mx_state_set_t set = set_of(room), out;
        int i;
        ck_assert_ptr_null(mx_state_resolve(&out, room->version, &set, 1, known_event, NULL, pool));
        ck_assert_int_eq(out.nentries, set.nentries);
        out = resolve(room, room);
        ck_assert_int_eq(out.nentries, set.nentries);
        for (i = 0; i < set.nentries; i++)
            ck_assert_str_eq(entry_of(&out, set.entries[i].type, set.entries[i].state_key), set.entries[i].event_id);
    }
}
END_TEST

START_TEST(state_that_one_side_lacks_is_kept)
{
    int v;
    for (v = 0; v < UNIT_COUNT(all_versions); v++) {
        room_t *a = start(all_versions[v]), *b = fork_of(a, 100);
        mx_event_t *topic = state(a, "@mod:h", "m.room.topic", "", "{\"topic\":\"x\"}");
        mx_event_t *joined = member(b, "@late:h", "@late:h", "join");
        mx_state_set_t out = resolve(a, b);
        ck_assert_str_eq(entry_of(&out, "m.room.topic", ""), topic->event_id);
        ck_assert_str_eq(entry_of(&out, "m.room.member", "@late:h"), joined->event_id);
    }
}
END_TEST

/* By mainline position first, then by time: the later topic stands. */
START_TEST(of_two_topics_under_the_same_levels_the_later_stands)
{
    int v;
    for (v = 0; v < UNIT_COUNT(v2_versions); v++) {
        room_t *a = start(v2_versions[v]), *b = fork_of(a, 100);
        mx_event_t *later;
        mx_state_set_t out;
        state(a, "@mod:h", "m.room.topic", "", "{\"topic\":\"early\"}");
        later = state(b, "@mod:h", "m.room.topic", "", "{\"topic\":\"late\"}");
        out = resolve(a, b);
        ck_assert_str_eq(entry_of(&out, "m.room.topic", ""), later->event_id);
    }
}
END_TEST

/* A ban is a power event: what the banned user did on the other side does not stand. */
START_TEST(a_ban_beats_what_the_banned_did_meanwhile)
{
    int v;
    for (v = 0; v < UNIT_COUNT(v2_versions); v++) {
        room_t *a = start(v2_versions[v]), *b = fork_of(a, 0);
        mx_event_t *ban;
        mx_state_set_t out;
        a->clock += 100;            /* the later clock: only its being a power event puts it first */
        ban = member(a, "@creator:h", "@mod:h", "ban");
        state(b, "@mod:h", "m.room.topic", "", "{\"topic\":\"evil\"}");
        state(b, "@mod:h", "m.room.member", "@mod:h", "{\"membership\":\"join\",\"displayname\":\"x\"}");
        out = resolve(a, b);
        ck_assert_str_eq(entry_of(&out, "m.room.member", "@mod:h"), ban->event_id);
        ck_assert_ptr_null(entry_of(&out, "m.room.topic", ""));
    }
}
END_TEST

START_TEST(of_two_power_level_changes_the_more_powerful_senders_comes_first)
{
    int v;
    for (v = 0; v < UNIT_COUNT(v2_versions); v++) {
        int is12 = strcmp(v2_versions[v], "12") == 0;
        room_t *a = start(v2_versions[v]), *b = fork_of(a, -3);
        mx_event_t *demotes;
        mx_state_set_t out;
        demotes = state(a, "@creator:h", "m.room.power_levels", "", is12 ? "{\"users\":{}}" : "{\"users\":{\"@creator:h\":100}}");
        state(b, "@mod:h", "m.room.power_levels", "",
             is12 ? "{\"users\":{\"@mod:h\":50,\"@user:h\":50}}"
                  : "{\"users\":{\"@creator:h\":100,\"@mod:h\":50,\"@user:h\":50}}");
        out = resolve(a, b);
        ck_assert_str_eq(entry_of(&out, "m.room.power_levels", ""), demotes->event_id);
    }
}
END_TEST

START_TEST(closing_the_room_beats_a_join_of_the_other_side)
{
    int v;
    for (v = 0; v < UNIT_COUNT(v2_versions); v++) {
        room_t *a = start(v2_versions[v]), *b = fork_of(a, 100);
        mx_event_t *closed = state(a, "@creator:h", "m.room.join_rules", "", "{\"join_rule\":\"invite\"}");
        mx_state_set_t out;
        member(b, "@late:h", "@late:h", "join");
        out = resolve(a, b);
        ck_assert_str_eq(entry_of(&out, "m.room.join_rules", ""), closed->event_id);
        ck_assert_ptr_null(entry_of(&out, "m.room.member", "@late:h"));
    }
}
END_TEST

/* Mainline: a topic set under newer power levels stands though an older one has the later time. */
START_TEST(newer_power_levels_outweigh_a_later_clock)
{
    int v;
    for (v = 0; v < UNIT_COUNT(v2_versions); v++) {
        int is12 = strcmp(v2_versions[v], "12") == 0;
        room_t *a = start(v2_versions[v]), *b = fork_of(a, 1000);
        mx_event_t *newer;
        mx_state_set_t out;
        state(a, "@creator:h", "m.room.power_levels", "",
             is12 ? "{\"users\":{\"@mod:h\":51}}" : "{\"users\":{\"@creator:h\":100,\"@mod:h\":51}}");
        newer = state(a, "@mod:h", "m.room.topic", "", "{\"topic\":\"newer levels\"}");
        state(b, "@mod:h", "m.room.topic", "", "{\"topic\":\"later clock\"}");
        out = resolve(a, b);
        ck_assert_str_eq(entry_of(&out, "m.room.topic", ""), newer->event_id);
    }
}
END_TEST

START_TEST(three_sets_resolve_as_one)
{
    int v;
    for (v = 0; v < UNIT_COUNT(v2_versions); v++) {
        room_t *a = start(v2_versions[v]), *b = fork_of(a, 100), *c = fork_of(a, 200);
        mx_event_t *name, *latest;
        mx_state_set_t sets[3], out;
        state(a, "@mod:h", "m.room.topic", "", "{\"topic\":\"1\"}");
        state(b, "@mod:h", "m.room.topic", "", "{\"topic\":\"2\"}");
        name = state(c, "@mod:h", "m.room.name", "", "{\"name\":\"n\"}");
        latest = state(c, "@mod:h", "m.room.topic", "", "{\"topic\":\"3\"}");
        sets[0] = set_of(a);
        sets[1] = set_of(b);
        sets[2] = set_of(c);
        ck_assert_ptr_null(mx_state_resolve(&out, a->version, sets, 3, known_event, NULL, pool));
        ck_assert_str_eq(entry_of(&out, "m.room.topic", ""), latest->event_id);
        ck_assert_str_eq(entry_of(&out, "m.room.name", ""), name->event_id);
    }
}
END_TEST

START_TEST(events_that_are_unknown_or_rejected_take_no_part)
{
    room_t *a = start("11"), *b = fork_of(a, 100);
    mx_event_t *kept = state(a, "@mod:h", "m.room.topic", "", "{\"topic\":\"kept\"}");
    mx_state_set_t out;
    room_add(b, "@mod:h", "m.room.topic", "", "{\"topic\":\"rejected\"}");       /* not learned */
    out = resolve(a, b);
    ck_assert_str_eq(entry_of(&out, "m.room.topic", ""), kept->event_id);
}
END_TEST

/*
 * Auth difference: of the power levels in between, which no set holds any more, the newest depend. Without them the
 * moderator's own would not pass and the room would fall back to the oldest.
 */
START_TEST(levels_that_no_set_holds_any_more_are_replayed)
{
    int v;
    for (v = 0; v < UNIT_COUNT(v2_versions); v++) {
        room_t *old = start(v2_versions[v]), *now;
        const char *creator = strcmp(v2_versions[v], "12") == 0 ? "" : "\"@creator:h\":100,";
        mx_event_t *levels, *name;
        mx_state_set_t out;
        now = fork_of(old, 10);
        state(now, "@creator:h", "m.room.power_levels", "", apr_psprintf(pool, "{\"users\":{%s\"@user:h\":60}}", creator));
        levels = state(now, "@user:h", "m.room.power_levels", "", apr_psprintf(pool, "{\"users\":{%s\"@user:h\":50}}", creator));
        name = state(now, "@user:h", "m.room.name", "", "{\"name\":\"x\"}");
        out = resolve(old, now);
        ck_assert_str_eq(entry_of(&out, "m.room.power_levels", ""), levels->event_id);
        ck_assert_str_eq(entry_of(&out, "m.room.name", ""), name->event_id);
    }
}
END_TEST

static int loads;

static const mx_event_t *counted_event(void *baton, const char *event_id)
{
    loads++;
    return known_event(baton, event_id);
}

/* The levels in between are the whole difference; a room of members that nobody disputes is not loaded. */
START_TEST(a_given_auth_difference_counts_as_one_worked_out)
{
    int v, i;
    for (v = 0; v < UNIT_COUNT(v2_versions); v++) {
        room_t *old = start(v2_versions[v]), *now;
        const char *creator = strcmp(v2_versions[v], "12") == 0 ? "" : "\"@creator:h\":100,", *difference[1];
        mx_event_t *levels;
        mx_state_set_t out, sets[2];
        for (i = 0; i < 100; i++)
            member(old, apr_psprintf(pool, "@u%d:h", i), apr_psprintf(pool, "@u%d:h", i), "join");
        now = fork_of(old, 10);
        difference[0] = state(now, "@creator:h", "m.room.power_levels", "",
                              apr_psprintf(pool, "{\"users\":{%s\"@user:h\":60}}", creator))->event_id;
        levels = state(now, "@user:h", "m.room.power_levels", "", apr_psprintf(pool, "{\"users\":{%s\"@user:h\":50}}", creator));
        sets[0] = set_of(old);
        sets[1] = set_of(now);
        loads = 0;
        ck_assert_ptr_null(mx_state_resolve_with(&out, old->version, sets, 2, difference, 1, counted_event, NULL, pool));
        ck_assert_str_eq(entry_of(&out, "m.room.power_levels", ""), levels->event_id);
        ck_assert_int_eq(out.nentries, sets[0].nentries);
        ck_assert_int_lt(loads, 20);
    }
}
END_TEST

/* Rooms v12: conflicted state subgraph. The levels in between are in every auth chain (of the name), so no difference. */
START_TEST(only_version_12_replays_what_lies_between_conflicting_events)
{
    static const char *const versions[] = { "11", "12" };
    int v;
    for (v = 0; v < 2; v++) {
        room_t *old = start(versions[v]), *now;
        const char *creator = v ? "" : "\"@creator:h\":100,";
        const mx_event_t *oldest = room_get(old, "m.room.power_levels", "");
        mx_event_t *newest, *name;
        mx_state_set_t out;
        now = fork_of(old, 10);
        state(now, "@creator:h", "m.room.power_levels", "", apr_psprintf(pool, "{\"users\":{%s\"@user:h\":60}}", creator));
        name = state(now, "@user:h", "m.room.name", "", "{\"name\":\"x\"}");
        newest = state(now, "@user:h", "m.room.power_levels", "", apr_psprintf(pool, "{\"users\":{%s\"@user:h\":50}}", creator));
        old->state[old->n++] = name;
        out = resolve(old, now);
        ck_assert_str_eq(entry_of(&out, "m.room.power_levels", ""), v ? newest->event_id : oldest->event_id);
    }
}
END_TEST

/* Rooms v12, algorithm, step 2: undisputed state does not bind the replay; the event's own auth events do. */
START_TEST(only_version_12_starts_from_an_empty_state)
{
    static const char *const versions[] = { "11", "12" };
    int v;
    for (v = 0; v < 2; v++) {
        room_t *a = start(versions[v]), *b = fork_of(a, 100);
        mx_event_t *first = state(a, "@creator:h", "m.room.topic", "", "{\"topic\":\"1\"}");
        mx_event_t *second = state(b, "@mod:h", "m.room.topic", "", "{\"topic\":\"2\"}"), *left;
        mx_state_set_t out;
        left = member(b, "@mod:h", "@mod:h", "leave");
        a->state[a->n++] = left;
        out = resolve(a, b);
        ck_assert_str_eq(entry_of(&out, "m.room.topic", ""), v ? second->event_id : first->event_id);
        ck_assert_str_eq(entry_of(&out, "m.room.member", "@mod:h"), left->event_id);
    }
}
END_TEST

/* Reverse topological power ordering: the greater level first, whatever the clocks say. */
START_TEST(a_demotion_beats_an_earlier_ban_by_the_demoted)
{
    int v;
    for (v = 0; v < UNIT_COUNT(v2_versions); v++) {
        int is12 = strcmp(v2_versions[v], "12") == 0;
        room_t *a = start(v2_versions[v]), *b = fork_of(a, 0);
        const mx_event_t *joined = room_get(a, "m.room.member", "@user:h");
        mx_state_set_t out;
        a->clock += 100;
        state(a, "@creator:h", "m.room.power_levels", "", is12 ? "{\"users\":{}}" : "{\"users\":{\"@creator:h\":100}}");
        member(b, "@mod:h", "@user:h", "ban");
        out = resolve(a, b);
        ck_assert_str_eq(entry_of(&out, "m.room.member", "@user:h"), joined->event_id);
    }
}
END_TEST

/* Reverse topological power ordering: an event comes after its auth events, also with a clock that goes wrong. */
START_TEST(a_wrong_clock_does_not_put_an_event_before_its_auth_events)
{
    int v;
    for (v = 0; v < UNIT_COUNT(v2_versions); v++) {
        room_t *old = start(v2_versions[v]), *now = fork_of(old, 100);
        const char *creator = strcmp(v2_versions[v], "12") == 0 ? "" : "\"@creator:h\":100,";
        mx_event_t *newest;
        mx_state_set_t out;
        state(now, "@creator:h", "m.room.power_levels", "", apr_psprintf(pool, "{\"users\":{%s\"@user:h\":60}}", creator));
        now->clock = 0;
        newest = state(now, "@creator:h", "m.room.power_levels", "", apr_psprintf(pool, "{\"users\":{%s\"@user:h\":70}}", creator));
        out = resolve(old, now);
        ck_assert_str_eq(entry_of(&out, "m.room.power_levels", ""), newest->event_id);
    }
}
END_TEST

/* Rooms v1: the deepest event that passes stands; of power levels, the chain of those that allow each other. */
START_TEST(version_1_takes_the_deepest_that_passes)
{
    room_t *a = start("1"), *b = fork_of(a, -5);
    mx_event_t *deeper;
    mx_state_set_t out;
    state(a, "@mod:h", "m.room.topic", "", "{\"topic\":\"a\"}");
    state(b, "@mod:h", "m.room.name", "", "{\"name\":\"b\"}");
    deeper = state(b, "@mod:h", "m.room.topic", "", "{\"topic\":\"b\"}");
    out = resolve(a, b);
    ck_assert_str_eq(entry_of(&out, "m.room.topic", ""), deeper->event_id);
}
END_TEST

START_TEST(many_conflicts_resolve_and_stay_complete)
{
    int v, i;
    for (v = 0; v < UNIT_COUNT(v2_versions); v++) {
        room_t *a = start(v2_versions[v]), *b = fork_of(a, 1000);
        mx_state_set_t out;
        for (i = 0; i < 80; i++) {
            const char *user = apr_psprintf(pool, "@u%d:h", i);
            member(a, user, user, "join");
            if (i % 2)
                member(b, "@creator:h", user, "ban");
            else
                member(b, user, user, "join");
        }
        out = resolve(a, b);
        ck_assert_int_eq(out.nentries, set_of(a).nentries);
        for (i = 1; i < 80; i += 2) {
            const char *user = apr_psprintf(pool, "@u%d:h", i);
            ck_assert_str_eq(entry_of(&out, "m.room.member", user), room_get(b, "m.room.member", user)->event_id);
        }
    }
}
END_TEST

UNIT_MAIN("core_state_res", equal_and_single_sets_stay_as_they_are, state_that_one_side_lacks_is_kept,
          of_two_topics_under_the_same_levels_the_later_stands, a_ban_beats_what_the_banned_did_meanwhile,
          of_two_power_level_changes_the_more_powerful_senders_comes_first, closing_the_room_beats_a_join_of_the_other_side,
          newer_power_levels_outweigh_a_later_clock, three_sets_resolve_as_one,
          events_that_are_unknown_or_rejected_take_no_part, levels_that_no_set_holds_any_more_are_replayed,
          a_given_auth_difference_counts_as_one_worked_out,
          only_version_12_replays_what_lies_between_conflicting_events, only_version_12_starts_from_an_empty_state,
          a_demotion_beats_an_earlier_ban_by_the_demoted, a_wrong_clock_does_not_put_an_event_before_its_auth_events,
          version_1_takes_the_deepest_that_passes, many_conflicts_resolve_and_stay_complete)
