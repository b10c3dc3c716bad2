/* SPDX-License-Identifier: Apache-2.0 */
/* room/resolve.c and room/auth_dag.c on rooms in a database, against the slow form over whole states. Rooms v1, v2, v12. */
#include "random_rooms.h"
#include "stored_rooms.h"

#include "room/auth_dag.h"
#include "room/resolve.h"

#include <stdio.h>

static mx_server_t *server;
static lender_t *lender;

static void start(void)
{
    homeserver_reset();
    /* the rooms are made by thousands of small commits */
    database_sql("do $$ begin execute format('alter database %I set synchronous_commit = off', current_database()); end $$");
    store = database_store(pool);
    server = homeserver_child(&lender, pool);
}

/* ---- what it should be ---- */

static stored_room_t *compared;

static const mx_event_t *compared_event(void *baton, const char *event_id)
{
    const stored_event_t *found = apr_hash_get(compared->events, event_id, APR_HASH_KEY_STRING);
    return found && !found->rejected ? found->event : NULL;
}

static const stored_event_t *event_of_nid(apr_int64_t nid)
{
    apr_hash_index_t *hi;
    for (hi = apr_hash_first(pool, compared->events); hi; hi = apr_hash_next(hi)) {
        const stored_event_t *ev = apr_hash_this_val(hi);
        if (ev->nid == nid)
            return ev;
    }
    return NULL;
}

/** A snapshot whole, with the extra event in its place. */
static mx_state_set_t whole(const mx_room_resolve_input_t *input)
{
    mx_state_item_t *items;
    mx_state_set_t set = { NULL, 0 };
    mx_state_entry_t *entries;
    int i, n;
    ck_assert_int_eq(mx_store_state_load(&items, &n, server->store, input->snap, pool), APR_SUCCESS);
    set.entries = entries = apr_palloc(pool, sizeof(*entries) * (apr_size_t)(n + 1));
    for (i = 0; i < n; i++) {
        const mx_event_t *ev = event_of_nid(items[i].nid)->event;
        if (!input->extra || items[i].skey_nid != input->extra_skey_nid)
            entries[set.nentries++] = (mx_state_entry_t){ ev->type, ev->state_key, ev->event_id };
    }
    if (input->extra)
        entries[set.nentries++] = (mx_state_entry_t){ input->extra->type, input->extra->state_key, input->extra->event_id };
    return set;
}

/** base with the changes carried out. */
static mx_state_set_t applied(const mx_room_resolved_t *resolved, const mx_event_t *extra)
{
    mx_state_item_t *items;
    mx_state_set_t set = { NULL, 0 };
    mx_state_entry_t *entries;
    int i, k = 0, n;
    ck_assert_int_eq(mx_store_state_load(&items, &n, server->store, resolved->base, pool), APR_SUCCESS);
    set.entries = entries = apr_palloc(pool, sizeof(*entries) * (apr_size_t)(n + resolved->n + 1));
    for (i = 0; i < n || k < resolved->n;) {
        apr_int64_t nid;
        if (k == resolved->n || (i < n && items[i].skey_nid < resolved->changes[k].skey_nid))
            nid = items[i++].nid;
        else {
            i += i < n && items[i].skey_nid == resolved->changes[k].skey_nid;
            nid = resolved->changes[k++].nid;
        }
        if (nid) {
            const mx_event_t *ev = nid == MX_ROOM_RESOLVE_EXTRA ? extra : event_of_nid(nid)->event;
            entries[set.nentries++] = (mx_state_entry_t){ ev->type, ev->state_key, ev->event_id };
        }
    }
    return set;
}

static mx_room_resolved_t resolve_inputs(stored_room_t *room, const mx_room_resolve_input_t *inputs, int n)
{
    mx_room_resolved_t out = { .n = -1 };
    const mx_error_t *err = mx_room_resolve(&out, server, room->nid, room->version, inputs, n, pool);
    int i;
    ck_assert_msg(err == NULL, "%s / %s", err ? err->message : "", err && err->detail ? err->detail : "");
    for (i = 1; i < out.n; i++)
        ck_assert_int_lt(out.changes[i - 1].skey_nid, out.changes[i].skey_nid);
    return out;
}

/** Resolves and compares with the slow form; `turned` in the other order, by a child that remembers nothing. */
static mx_room_resolved_t resolve_checked(stored_room_t *room, const mx_room_resolve_input_t *inputs, int n)
{
    mx_state_set_t *sets = apr_palloc(pool, sizeof(*sets) * (apr_size_t)n), slow, fast;
    mx_room_resolved_t out = resolve_inputs(room, inputs, n);
    const mx_event_t *extra = NULL;
    int i, ours = 0;
    compared = room;
    for (i = 0; i < n; i++) {
        sets[i] = whole(&inputs[i]);
        extra = inputs[i].extra ? inputs[i].extra : extra;
        ours |= inputs[i].snap == out.base;
    }
    ck_assert_int_eq(ours, 1);
    if (extra && !apr_hash_get(room->events, extra->event_id, APR_HASH_KEY_STRING)) {
        stored_event_t *made = apr_pcalloc(pool, sizeof(*made));
        made->event = extra;
        apr_hash_set(room->events, extra->event_id, APR_HASH_KEY_STRING, made);
    }
    ck_assert_ptr_null(naive_resolve(&slow, room->version, sets, n, compared_event, NULL, pool));
    fast = applied(&out, extra);
    ck_assert_msg(strcmp(text_of(&fast), text_of(&slow)) == 0, "version %s\nfast:\n%sslow:\n%s", room->version->name, text_of(&fast),
                  text_of(&slow));
    return out;
}

static mx_room_resolved_t resolve_two(branch_t *a, branch_t *b)
{
    mx_room_resolve_input_t inputs[] = { { .snap = branch_save(a) }, { .snap = branch_save(b) } };
    return resolve_checked(a->room, inputs, 2);
}

static const char *const versions[] = { "1", "2", "6", "10", "11", "12" };

/* ---- tests ---- */

START_TEST(equal_states_resolve_without_the_database)
{
    branch_t *a;
    mx_room_resolve_input_t inputs[3];
    mx_room_resolved_t out;
    long before;
    int i;
    start();
    a = stored_room(server, "12");
    for (i = 0; i < 3; i++)
        inputs[i] = (mx_room_resolve_input_t){ .snap = a->snap };
    before = lender->lent;
    out = resolve_inputs(a->room, inputs, 3);
    ck_assert_int_eq(out.base, a->snap);
    ck_assert_int_eq(out.n, 0);
    ck_assert_int_eq(lender->lent, before);
}
END_TEST

START_TEST(forks_resolve_as_the_slow_form_does)
{
    int v;
    start();
    for (v = 0; v < UNIT_COUNT(versions); v++) {
        branch_t *root = stored_room(server, versions[v]), *a = branch_fork(root, 0), *b = branch_fork(root, 100);
        branch_add(a, "@creator:h", "m.room.power_levels", "", strcmp(versions[v],
                "12") == 0 ? "{\"users\":{\"@mod:h\":60}}" : "{\"users\":{\"@creator:h\":100,\"@mod:h\":60}}");
        branch_add(a, "@mod:h", "m.room.topic", "", "{\"topic\":\"a\"}");
        branch_member(a, "@creator:h", "@user:h", "ban");
        branch_member(b, "@late:h", "@late:h", "join");
        branch_add(b, "@mod:h", "m.room.topic", "", "{\"topic\":\"b\"}");
        branch_add(b, "@mod:h", "m.room.name", "", "{\"name\":\"b\"}");
        branch_add(b, "@user:h", "m.room.member", "@user:h", "{\"membership\":\"join\",\"displayname\":\"x\"}");
        resolve_two(a, b);
        resolve_two(b, a);
    }
}
END_TEST

/* Leaders of forks build on each other: merges of merges, with what is not stored yet on top. */
START_TEST(an_event_that_is_not_stored_yet_takes_part)
{
    int v, on;
    start();
    for (v = 0; v < UNIT_COUNT(versions); v++) {
        branch_t *root = stored_room(server, versions[v]), *a = branch_fork(root, 0), *b = branch_fork(root, 100);
        const mx_event_t *extra;
        apr_int64_t auth[MX_AUTH_KEYS_MAX];
        int i;
        branch_add(a, "@mod:h", "m.room.topic", "", "{\"topic\":\"a\"}");
        branch_add(b, "@mod:h", "m.room.topic", "", "{\"topic\":\"b\"}");
        branch_member(b, "@late:h", "@late:h", "join");
        branch_save(a);
        branch_save(b);
        extra = branch_event(a, "@creator:h", "m.room.member", "@mod:h", "{\"membership\":\"ban\"}");
        for (i = 0; i < extra->nauth; i++)
            auth[i] = ((stored_event_t *)apr_hash_get(a->room->events, extra->auth_events[i], APR_HASH_KEY_STRING))->nid;
        for (on = 1; on <= 3; on++) {        /* on top of the one, of the other, of both */
            mx_room_resolve_input_t inputs[] = { { .snap = a->snap }, { .snap = b->snap } };
            mx_room_resolved_t out;
            int in_result = 0;
            for (i = 0; i < 2; i++) {
                if (!(on & 1 << i))
                    continue;
                inputs[i].extra = extra;
                inputs[i].extra_skey_nid = branch_get(a, "m.room.member", "@mod:h")->skey_nid;
                inputs[i].extra_auth = auth;
                inputs[i].nextra_auth = extra->nauth;
            }
            out = resolve_checked(a->room, inputs, 2);
            for (i = 0; i < out.n; i++)
                in_result += out.changes[i].nid == MX_ROOM_RESOLVE_EXTRA;
            ck_assert_int_eq(in_result, 1);
        }
    }
}
END_TEST

/* SS-API: checks performed on receipt of a PDU: a rejected event takes no part. */
START_TEST(rejected_events_count_as_unknown)
{
    branch_t *root, *a, *b;
    stored_event_t *kept;
    mx_room_resolved_t out;
    start();
    root = stored_room(server, "11");
    a = branch_fork(root, 0);
    b = branch_fork(root, 100);
    kept = branch_add(a, "@mod:h", "m.room.topic", "", "{\"topic\":\"a\"}");
    branch_add(b, "@mod:h", "m.room.topic", "", "{\"topic\":\"b\"}")->rejected = 1;
    out = resolve_two(a, b);
    ck_assert_int_eq(out.base, a->snap);
    ck_assert_int_eq(out.n, 0);
    ck_assert_int_gt(kept->nid, 0);
}
END_TEST

START_TEST(a_result_names_the_nearest_state)
{
    branch_t *root, *a, *b;
    mx_room_resolved_t out;
    int i;
    start();
    root = stored_room(server, "12");
    a = branch_fork(root, 0);
    b = branch_fork(root, 100);
    for (i = 0; i < 30; i++)
        branch_member(a, apr_psprintf(pool, "@a%d:h", i), apr_psprintf(pool, "@a%d:h", i), "join");
    branch_member(b, "@late:h", "@late:h", "join");
    out = resolve_two(b, a);
    ck_assert_int_eq(out.base, a->snap);
    ck_assert_int_eq(out.n, 1);
}
END_TEST

START_TEST(a_child_asks_once_and_another_learns_what_was_stored)
{
    branch_t *root, *a, *b;
    mx_room_resolve_input_t inputs[2];
    mx_room_resolved_t out, again;
    apr_int64_t snaps[2];
    mx_server_t *first = server;
    long before;
    start();
    root = stored_room(server, "12");
    a = branch_fork(root, 0);
    b = branch_fork(root, 100);
    branch_add(a, "@mod:h", "m.room.topic", "", "{\"topic\":\"a\"}");
    branch_add(b, "@mod:h", "m.room.topic", "", "{\"topic\":\"b\"}");
    out = resolve_two(a, b);
    ck_assert_int_eq(out.n, 0);              /* the later topic: b itself */
    inputs[0] = (mx_room_resolve_input_t){ .snap = b->snap };
    inputs[1] = (mx_room_resolve_input_t){ .snap = a->snap };
    first = server;
    before = lender->lent;
    again = resolve_inputs(a->room, inputs, 2);
    ck_assert_int_eq(lender->lent, before);
    ck_assert_int_eq(again.base, out.base);
    snaps[0] = a->snap < b->snap ? a->snap : b->snap;
    snaps[1] = a->snap < b->snap ? b->snap : a->snap;
    mx_room_resolve_remember(first, a->room->nid, 0, snaps, 2, root->snap, pool);   /* a lie, to see that it is believed */
    server = homeserver_child(NULL, pool);
    again = resolve_inputs(a->room, inputs, 2);
    ck_assert_str_eq(text_of(&(mx_state_set_t[]){ applied(&again, NULL) }[0]),
            text_of(&(mx_state_set_t[]){ whole(&(mx_room_resolve_input_t){ .snap = root->snap }) }[0]));
    /* what is gone is not believed */
    mx_room_resolve_remember(first, a->room->nid, 0, snaps, 2, 999999, pool);
    server = homeserver_child(NULL, pool);
    again = resolve_inputs(a->room, inputs, 2);
    ck_assert_int_eq(again.base, out.base);
    ck_assert_int_eq(again.n, 0);
}
END_TEST

static int holds(const apr_int64_t *nids, int n, apr_int64_t nid)
{
    while (n-- > 0 && nids[n] != nid)
        ;
    return n >= 0;
}

/* SS-API: auth chain. */
START_TEST(auth_chains_and_their_difference_are_nids_of_the_room)
{
    branch_t *root;
    stored_event_t *levels, *topic, *late;
    mx_room_auth_set_t sets[2] = { { NULL, 0, NULL, 0 }, { NULL, 0, NULL, 0 } };
    apr_int64_t *chain, *difference, create;
    int n, ndifference;
    start();
    root = stored_room(server, "11");
    create = branch_get(root, "m.room.create", "")->nid;
    levels = branch_get(root, "m.room.power_levels", "");
    topic = branch_add(root, "@mod:h", "m.room.topic", "", "{\"topic\":\"x\"}");
    late = branch_member(root, "@late:h", "@late:h", "join");
    branch_save(root);
    sets[0].events = &topic->nid;
    sets[0].nevents = 1;
    sets[1].auth = &late->nid;
    sets[1].nauth = 1;
    ck_assert_ptr_null(mx_room_auth_dag_chain(&chain, &n, server, root->room->nid, &sets[0], pool));
    ck_assert_int_eq(chain[0], create);
    ck_assert_int_eq(holds(chain, n, levels->nid), 1);
    ck_assert_int_eq(holds(chain, n, topic->nid), 0);
    ck_assert_ptr_null(mx_room_auth_dag_difference(&difference, &ndifference, server, root->room->nid, sets, 2, pool));
    ck_assert_int_eq(holds(difference, ndifference, late->nid), 1);
    ck_assert_int_eq(holds(difference, ndifference, branch_get(root, "m.room.member", "@mod:h")->nid), 1);
    ck_assert_int_eq(holds(difference, ndifference, create), 0);
    /* what comes later is seen: the DAG is extended */
    topic = branch_add(root, "@late:h", "m.room.member", "@late:h", "{\"membership\":\"leave\"}");
    branch_save(root);
    sets[0].events = &topic->nid;
    ck_assert_ptr_null(mx_room_auth_dag_chain(&chain, &n, server, root->room->nid, &sets[0], pool));
    ck_assert_int_eq(holds(chain, n, late->nid), 1);
}
END_TEST

/* ---- random rooms ---- */

static void step(branch_t *b)
{
    static const char *const users[] = { "@creator:h", "@mod:h", "@user:h", "@a:h", "@b:h" };
    random_event_t wish = random_event(b->room->version, users, UNIT_COUNT(users), 2);
    mx_auth_state_t state = { branch_state, b, NULL };
    mx_event_t *ev;
    b->clock += rnd(3);
    ev = branch_event(b, wish.sender, wish.type, wish.state_key, wish.content);
    if (!mx_auth_check(ev, &state, pool))
        branch_set(b, stored_add(b->room, ev));
}

START_TEST(random_forks_resolve_as_the_slow_form_does)
{
    apr_pool_t *all = pool;
    int round, v, i, k;
    start();
    seed = 99;
    for (round = 0; round < 6; round++) {
        for (v = 0; v < UNIT_COUNT(versions); v++) {
            branch_t *root, *branches[4];
            mx_room_resolve_input_t inputs[4];
            apr_pool_create(&pool, all);
            root = stored_room(server, versions[v]);
            for (i = 0; i < 4; i++)
                branches[i] = branch_fork(root, (apr_int64_t)rnd(20));
            for (k = 0; k < 5; k++) {
                for (i = 0; i < 4; i++) {
                    int steps = (int)rnd(7);
                    while (steps-- > 0)
                        step(branches[i]);
                    inputs[i] = (mx_room_resolve_input_t){ .snap = branch_save(branches[i]) };
                }
                resolve_checked(root->room, inputs, 2 + (int)rnd(3));
            }
            apr_pool_destroy(pool);
        }
    }
    pool = all;
}
END_TEST

/* ---- many ---- */

static apr_size_t peak_kb(void)
{
    char line[256];
    FILE *f = fopen("/proc/self/status", "r");
    unsigned long kb = 0;
    while (f && fgets(line, sizeof(line), f)) {
        if (sscanf(line, "VmHWM: %lu", &kb) == 1)
            break;
    }
    if (f)
        fclose(f);
    return kb;
}

#define FORKS 1000
#define FORK_EVENTS 10

START_TEST(a_thousand_forks_of_ten_events_resolve_in_bounded_memory)
{
    mx_room_resolve_input_t *inputs = apr_palloc(pool, sizeof(*inputs) * FORKS);
    mx_room_resolved_t out = { .n = -1 };
    branch_t *root, *forks[FORKS];
    apr_pool_t *own;
    apr_size_t before;
    apr_time_t began;
    int i, k;
    start();
    root = stored_room(server, "12");
    for (i = 0; i < 2000; i++)
        branch_member(root, apr_psprintf(pool, "@m%d:h", i), apr_psprintf(pool, "@m%d:h", i), "join");
    branch_save(root);
    for (i = 0; i < FORKS; i++) {
        branch_t *b = forks[i] = branch_fork(root, i);
        for (k = 0; k < FORK_EVENTS - 1; k++)
            branch_member(b, apr_psprintf(pool, "@f%d_%d:h", i, k), apr_psprintf(pool, "@f%d_%d:h", i, k), "join");
        branch_add(b, "@mod:h", "m.room.topic", "", apr_psprintf(pool, "{\"topic\":\"%d\"}", i));
    }
    for (i = 0; i < FORKS; i++)
        inputs[i] = (mx_room_resolve_input_t){ .snap = branch_save(forks[i]) };
    before = peak_kb();
    began = apr_time_now();
    apr_pool_create(&own, NULL);
    ck_assert_ptr_null(mx_room_resolve(&out, server, root->room->nid, root->room->version, inputs, FORKS, own));
    printf("%d forks of %d events, cold: %.1f ms, %ld MB more, %ld MB in all\n", FORKS, FORK_EVENTS,
           (double)(apr_time_now() - began) / 1000, (long)(peak_kb() - before) / 1024, (long)peak_kb() / 1024);
    ck_assert_int_eq(out.n, (FORKS - 1) * (FORK_EVENTS - 1) + (out.base != inputs[FORKS - 1].snap));
    ck_assert_int_lt(peak_kb() - before, 256 * 1024);
    apr_pool_destroy(own);
}
END_TEST

static branch_t *crowd(const char *version, int members)
{
    branch_t *root = stored_room(server, version);
    apr_pool_t *all = pool;
    int i;
    for (i = 0; i < members; i++) {
        branch_member(root, apr_psprintf(pool, "@m%d:h", i), apr_psprintf(pool, "@m%d:h", i), "join");
        if (i % 5000 == 4999)
            branch_save(root);
    }
    branch_save(root);
    pool = all;
    return root;
}

static int number_of(const char *variable, int otherwise)
{
    const char *text = getenv(variable);
    return text ? atoi(text) : otherwise;
}

/* Not one query whose answer grows with the room, but for that of the auth DAG. */
START_TEST(a_room_of_many_members_resolves_in_bounded_memory)
{
    int members = number_of("MX_TEST_MEMBERS", 5000), conflicts = number_of("MX_TEST_CONFLICTS", 200), i, round;
    branch_t *root, *a, *b;
    apr_pool_t *own;
    start();
    root = crowd("12", members);
    a = branch_fork(root, 0);
    b = branch_fork(root, 100);
    for (i = 0; i < conflicts; i++) {
        const char *user = apr_psprintf(pool, "@m%d:h", i);
        branch_member(a, "@creator:h", user, "ban");
        branch_add(b, user, "m.room.member", user, "{\"membership\":\"join\",\"displayname\":\"x\"}");
    }
    branch_save(a);
    branch_save(b);
    for (round = 0; round < 2; round++) {
        mx_room_resolve_input_t inputs[] = { { .snap = a->snap }, { .snap = b->snap } };
        mx_room_resolved_t out = { .n = -1 };
        apr_size_t before = peak_kb();
        apr_time_t began = apr_time_now();
        apr_pool_create(&own, NULL);
        ck_assert_ptr_null(mx_room_resolve(&out, server, root->room->nid, root->room->version, inputs, 2, own));
        apr_pool_destroy(own);
        ck_assert_int_eq(out.base, a->snap);
        ck_assert_int_eq(out.n, 0);
        printf("%d members, %d keys in conflict, %s: %.1f ms, %ld MB more, %ld MB in all\n", members, conflicts,
               round ? "asked again" : "cold", (double)(apr_time_now() - began) / 1000, (long)(peak_kb() - before) / 1024,
               (long)peak_kb() / 1024);
        ck_assert_int_lt(peak_kb() - before, 64 * 1024);
    }
}
END_TEST

DATABASE_MAIN("resolve", equal_states_resolve_without_the_database, forks_resolve_as_the_slow_form_does,
              an_event_that_is_not_stored_yet_takes_part, rejected_events_count_as_unknown, a_result_names_the_nearest_state,
              a_child_asks_once_and_another_learns_what_was_stored, random_forks_resolve_as_the_slow_form_does,
              auth_chains_and_their_difference_are_nids_of_the_room,
              a_thousand_forks_of_ten_events_resolve_in_bounded_memory, a_room_of_many_members_resolves_in_bounded_memory)
