/* SPDX-License-Identifier: Apache-2.0 */
/* Answers of /sync without httpd: what the ring says is what the database says, whoever asks and whenever. */
#include "syncing.h"

/* ---- tests ---- */

START_TEST(ring_and_database_give_the_same_answer)
{
    mx_who_t *who, *other;
    const char *room;
    mx_sync_answer_t from_ring, from_database;
    mx_sync_ask_t ask = { .patient = 1 };
    int done = 0;
    fresh();
    who = who_is("@creator:h");
    other = who_is("@b:h");
    room = homeserver_room(server, "11", "public");
    join(room, "@b:h");
    ask.who = who;
    ask.filter = mx_filter_default();
    ask.since = ask.acked = follow(server, who, ask.filter);
    SAY(room, "@b:h", "one \\u0000 \\\" two");
    homeserver_send(server, room, "@creator:h", "m.room.topic", "", "{\"topic\":\"a\"}");
    homeserver_send(server, room, "@creator:h", "m.room.topic", "", "{\"topic\":\"b\"}");
    homeserver_send(server, room, "@b:h", "m.room.member", "@b:h", "{\"displayname\":\"B\",\"membership\":\"join\"}");
    ck_assert(!mx_sync_account_data_put(server, who, 0, "a.b", unit_json("{\"x\":[1.5]}"), pool));
    ck_assert(!mx_sync_account_data_put(server, who, 0, "a.b", unit_json("{\"x\":2}"), pool));
    ck_assert(!mx_sync_account_data_put(server, other, 0, "a.b", unit_json("{\"secret\":2}"), pool));
    ck_assert(!mx_sync_typing_set(server, other, room, 20000, pool));
    {
        mx_sync_receipt_t receipt = { "m.read", SAY(room, "@creator:h", "three"), NULL };
        ck_assert(!mx_sync_receipts_put(server, other, room, &receipt, 1, pool));
        receipt.type = "m.read.private";
        ck_assert(!mx_sync_receipts_put(server, other, room, &receipt, 1, pool));
    }
    from_ring = live(&done, server, &ask);
    ck_assert_msg(done, "the ring should be able to answer");
    from_database = full(server, &ask);
    ck_assert_int_eq(from_ring.empty, 0);
    ck_assert_str_eq(text_without_ages(&from_ring), text_without_ages(&from_database));
    ck_assert_int_eq((int)mx_json_len(timeline(&from_ring, room)), 5);
    ck_assert_ptr_null(strstr(text_without_ages(&from_ring), "secret"));
    ck_assert_ptr_null(strstr(text_without_ages(&from_ring), "m.read.private"));
    mx_sync_stop(server);
}
END_TEST

/** Does the database say that nothing since then concerns him? The token moves on to now. */
static int quiet(apr_int64_t *since, const mx_who_t *who)
{
    mx_conn_t *conn = NULL;
    apr_int64_t upto = 0;
    int yes = -1;
    ck_assert_int_eq(mx_store_borrow(&conn, server->store, pool), APR_SUCCESS);
    ck_assert_int_eq(mx_store_stream_watermark_after(&upto, *since, conn, pool), APR_SUCCESS);
    ck_assert_int_eq(mx_store_sync_quiet(&yes, conn, who->user_nid, who->device_nid, *since, upto, pool), APR_SUCCESS);
    mx_store_return(conn);
    *since = upto;
    return yes;
}

START_TEST(news_of_each_kind_end_the_quiet_of_those_whom_they_concern)
{
    mx_who_t *who, *other;
    const char *room, *elsewhere;
    apr_int64_t since = 0, passed;
    int i;
    fresh();
    who = who_is("@a:h");
    other = who_is("@creator:h");
    room = homeserver_room(server, "11", "public");
    elsewhere = homeserver_room(server, "11", "public");
    ck_assert_int_eq(quiet(&since, who), 1);        /* not his rooms */
    ck_assert_int_eq(quiet(&since, who), 1);        /* and nothing at all */
    join(room, "@a:h");
    ck_assert_int_eq(quiet(&since, who), 0);
    ck_assert_int_eq(quiet(&since, who), 1);
    passed = since;
    SAY(elsewhere, "@creator:h", "not for him");
    ck_assert(!mx_sync_account_data_put(server, other, 0, "a.b", unit_json("{}"), pool));
    ck_assert(!mx_sync_typing_set(server, other, elsewhere, 20000, pool));
    ck_assert_int_eq(quiet(&since, who), 1);
    ck_assert_int_gt(since, passed);
    SAY(room, "@creator:h", "for him");
    ck_assert_int_eq(quiet(&since, who), 0);
    ck_assert(!mx_sync_account_data_put(server, who, 0, "a.b", unit_json("{}"), pool));
    ck_assert_int_eq(quiet(&since, who), 0);
    ck_assert(!mx_sync_typing_set(server, other, room, 20000, pool));
    ck_assert_int_eq(quiet(&since, who), 0);
    {
        mx_sync_receipt_t receipt = { "m.read", SAY(room, "@creator:h", "read me"), NULL };
        quiet(&since, who);
        ck_assert(!mx_sync_receipts_put(server, other, room, &receipt, 1, pool));
        ck_assert_int_eq(quiet(&since, who), 0);
    }
    homeserver_send(server, elsewhere, "@creator:h", "m.room.member", "@a:h", "{\"membership\":\"invite\"}");
    ck_assert_int_eq(quiet(&since, who), 0);
    homeserver_send(server, room, "@creator:h", "m.room.member", "@a:h", "{\"membership\":\"leave\"}");
    ck_assert_int_eq(quiet(&since, who), 0);
    SAY(room, "@creator:h", "he is gone");
    ck_assert_int_eq(quiet(&since, who), 1);
    for (i = 0; i <= MX_SYNC_QUIET_SPAN; i++) SAY(room, "@creator:h", "more than is looked at");
    ck_assert_int_eq(quiet(&since, who), 0);
}
END_TEST

START_TEST(quiet_answer_is_the_one_that_reading_everything_gives)
{
    mx_sync_ask_t ask = { .filter = mx_filter_default() };
    mx_sync_answer_t looked, read;
    const char *room;
    int i;
    fresh();
    ask.who = who_is("@a:h");
    room = homeserver_room(server, "11", "public");
    join(room, "@a:h");
    ask.since = full(server, &ask).position;
    room = homeserver_room(server, "11", "public");
    looked = full(server, &ask);
    ck_assert_int_eq(looked.empty, 1);
    for (i = 0; i <= MX_SYNC_QUIET_SPAN; i++) SAY(room, "@creator:h", "elsewhere");
    read = full(server, &ask);
    ck_assert_int_eq(read.empty, 1);
    ck_assert_int_gt(read.position, looked.position);
    {
        mx_json_t *a = body_of(&looked), *b = body_of(&read);
        mx_buf_t *x = mx_buf_create(pool), *y = mx_buf_create(pool);
        mx_json_del(a, "next_batch");
        mx_json_del(b, "next_batch");
        mx_json_write_canonical(x, a);
        mx_json_write_canonical(y, b);
        ck_assert_str_eq(mx_slice_dup(mx_buf_slice(x), pool), mx_slice_dup(mx_buf_slice(y), pool));
    }
}
END_TEST

START_TEST(ring_declines_what_it_cannot_know)
{
    mx_who_t *who;
    const char *room, *event_id;
    mx_sync_ask_t ask = { .patient = 1 };
    int done = 0, i;
    fresh();
    who = who_is("@creator:h");
    room = homeserver_room(server, "11", "public");
    ask.who = who;
    ask.filter = mx_filter_default();
    /* somebody comes: counts and heroes change */
    ask.since = follow(server, who, ask.filter);
    join(room, "@b:h");
    live(&done, server, &ask);
    ck_assert_int_eq(done, 0);
    ck_assert_ptr_nonnull(mx_json_get(joined(&(mx_sync_answer_t){ .body = full(server, &ask).body }, room), "summary"));
    /* named: it has no heroes any more */
    ask.since = follow(server, who, ask.filter);
    homeserver_send(server, room, "@creator:h", "m.room.name", "", "{\"name\":\"a\"}");
    live(&done, server, &ask);
    ck_assert_int_eq(done, 0);
    /* more than the timeline holds */
    ask.since = follow(server, who, ask.filter);
    for (i = 0; i < MX_SYNC_TIMELINE_DEFAULT; i++) {
        live(&done, server, &ask);
        ck_assert_int_eq(done, 1);
        SAY(room, "@b:h", "more");
    }
    live(&done, server, &ask);
    ck_assert_int_eq(done, 1);
    event_id = SAY(room, "@b:h", "too much");
    live(&done, server, &ask);
    ck_assert_int_eq(done, 0);
    /* redacted since */
    ask.since = follow(server, who, ask.filter);
    event_id = SAY(room, "@b:h", "regretted");
    {
        mx_room_draft_t draft = { .sender = "@b:h", .type = "m.room.redaction", .content = unit_json("{}"), .redacts = event_id };
        const char *redaction;
        mx_json_set_str((mx_json_t *)draft.content, "redacts", event_id);
        ck_assert(!mx_room_send(&redaction, server, room, &draft, 1, pool));
    }
    live(&done, server, &ask);
    ck_assert_int_eq(done, 0);
    ck_assert_ptr_null(strstr(text_without_ages(&(mx_sync_answer_t){ .body = full(server, &ask).body }), "regretted"));
    /* the whole state */
    ask.full_state = 1;
    live(&done, server, &ask);
    ck_assert_int_eq(done, 0);
    mx_sync_stop(server);
}
END_TEST

START_TEST(waiter_is_woken_by_what_concerns_it_and_by_nothing_else)
{
    mx_who_t *who;
    const char *room, *elsewhere;
    const mx_filter_t *all = mx_filter_default(), *names = filter_of("{\"room\":{\"timeline\":{\"types\":[\"m.room.name\"]}}}");
    bell_t *bell;
    apr_int64_t at;
    fresh();
    who = who_is("@b:h");
    room = homeserver_room(server, "11", "public");
    elsewhere = homeserver_room(server, "11", "public");
    join(room, "@b:h");
    at = follow(server, who, all);
    bell = bell_hang(server, who, all, at);
    SAY(elsewhere, "@creator:h", "not for you");
    ck_assert(!mx_sync_account_data_put(server, who_is("@creator:h"), 0, "a.b", unit_json("{}"), pool));
    ck_assert_int_eq(bell_rang(bell, 400000), 0);
    ck_assert_msg(bell->waiter.checked > at, "the position does not move while nothing concerns the user");
    bell = bell_hang(server, who, names, bell->waiter.checked);
    SAY(room, "@creator:h", "filtered");
    ck_assert_int_eq(bell_rang(bell, 400000), 0);
    bell = bell_hang(server, who, all, bell->waiter.checked);
    SAY(room, "@creator:h", "for you");
    ck_assert_int_eq(bell_rang(bell, WAIT_MAX_US), 1);
    /* what came before the waiter is there at once */
    bell = bell_hang(server, who, all, at);
    ck_assert_int_eq(bell->times, 1);
    mx_sync_waiter_disarm(&bell->waiter);
    /* its own joining of another room */
    at = follow(server, who, all);
    bell = bell_hang(server, who, all, at);
    join(elsewhere, "@b:h");
    ck_assert_int_eq(bell_rang(bell, WAIT_MAX_US), 1);
    at = follow(server, who, all);
    bell = bell_hang(server, who, all, at);
    SAY(elsewhere, "@creator:h", "now for you");
    ck_assert_int_eq(bell_rang(bell, WAIT_MAX_US), 1);
    mx_sync_stop(server);
}
END_TEST

START_TEST(child_that_knows_an_old_room_tells_what_others_tell)
{
    mx_sync_ask_t ask = { .filter = mx_filter_default() };
    mx_sync_answer_t answer, stale;
    mx_server_t *behind;
    mx_room_t *old;
    const char *room;
    fresh();
    behind = child();
    ask.who = who_is("@b:h");
    room = homeserver_room(server, "11", "public");
    join(room, "@b:h");
    homeserver_send(server, room, "@b:h", "m.room.member", "@b:h", "{\"membership\":\"leave\"}");
    homeserver_send(server, room, "@creator:h", "m.room.topic", "", "{\"topic\":\"a\"}");
    ck_assert(!mx_room_get(&old, behind, room, 1, pool));
    join(room, "@b:h");
    ck_assert(!mx_sync_position(&ask.since, server, pool));
    ask.acked = ask.since;
    homeserver_send(server, room, "@creator:h", "m.room.topic", "", "{\"topic\":\"b\"}");
    stale = full(behind, &ask);
    answer = full(server, &ask);
    ck_assert_ptr_nonnull(strstr(text_without_ages(&answer), "\"prev_content\":{\"topic\":\"a\"}"));
    ck_assert_str_eq(text_without_ages(&stale), text_without_ages(&answer));
    mx_sync_stop(behind);
    mx_sync_stop(server);
}
END_TEST

typedef struct visitor_t {
    mx_who_t *who;
    const mx_filter_t *filter;      /* no answer of it is cut short: the test counts */
    apr_int64_t at;
    int told;
} visitor_t;

#define NEWS_COUNT 300

/** Waits and asks until it was told all; in a pool of its own. */
static void *APR_THREAD_FUNC visit(apr_thread_t *thread, void *data)
{
    visitor_t *visitor = data;
    apr_time_t end = apr_time_now() + 45000000;
    apr_pool_t *own;
    apr_pool_create(&own, NULL);
    while (visitor->told < NEWS_COUNT && apr_time_now() < end) {
        mx_sync_ask_t ask = { .who = visitor->who, .since = visitor->at, .filter = visitor->filter, .patient = 1 };
        mx_sync_answer_t answer = { 0 };
        int rung = 0;
        bell_t bell = { .waiter = { .server = server, .user_nid = visitor->who->user_nid, .filter = ask.filter, .checked = visitor->at } };
        const char *p;
        apr_thread_mutex_create(&bell.lock, APR_THREAD_MUTEX_DEFAULT, own);
        apr_thread_cond_create(&bell.rung, own);
        mx_sync_waiter_arm(&bell.waiter, ring, &bell);
        rung = bell_rang(&bell, visitor->told % 3 ? 100000 : 500);
        ask.since = bell.waiter.checked;
        if (rung && !mx_sync_answer(&answer, server, &ask, own)) {
            apr_size_t i;
            for (i = 0, p = answer.body->p; i + 6 < answer.body->len; i++)
                visitor->told += memcmp(p + i, "m.text", 6) == 0;
            ask.since = answer.position;
        }
        visitor->at = ask.since;
        apr_pool_clear(own);
    }
    apr_pool_destroy(own);
    return NULL;
}

START_TEST(waiters_that_come_and_go_miss_nothing)
{
    apr_thread_t *threads[4];
    visitor_t visitors[4];
    const char *room;
    apr_status_t rv;
    int i;
    fresh();
    ((mx_settings_t *)server->settings)->timeline_max = 1000;
    room = homeserver_room(server, "11", "public");
    for (i = 0; i < 4; i++) {
        const char *user_id = apr_psprintf(pool, "@v%d:h", i);
        visitors[i] = (visitor_t){ .who = who_is(user_id), .filter = filter_of("{\"room\":{\"timeline\":{\"limit\":1000}}}") };
        join(room, user_id);
    }
    for (i = 0; i < 4; i++) {
        ck_assert(!mx_sync_position(&visitors[i].at, server, pool));
        ck_assert_int_eq(apr_thread_create(&threads[i], NULL, visit, &visitors[i], pool), APR_SUCCESS);
    }
    for (i = 0; i < NEWS_COUNT; i++)
        SAY(room, "@creator:h", "x");
    for (i = 0; i < 4; i++) {
        apr_thread_join(&rv, threads[i]);
        ck_assert_int_eq(visitors[i].told, NEWS_COUNT);
    }
    mx_sync_stop(server);
}
END_TEST

/** What is set while the notifier runs. */
static void bound_ring(mx_server_t *at, int max_entries, apr_size_t max_bytes)
{
    apr_thread_mutex_lock(at->sync->lock);
    at->sync->ring.max_entries = max_entries;
    at->sync->ring.max_bytes = max_bytes;
    apr_thread_mutex_unlock(at->sync->lock);
}

START_TEST(rooms_joined_while_the_ring_begins_anew_are_followed)
{
    const mx_filter_t *all = mx_filter_default();
    mx_sync_ask_t ask = { .filter = all };
    mx_who_t *who;
    const char *room;
    bell_t *bell;
    apr_int64_t at;
    int done = 0;
    mx_sync_answer_t answer;
    fresh();
    who = who_is("@creator:h");
    homeserver_room(server, "11", "public");
    at = follow(server, who, all);
    bound_ring(server, 2, 1 << 20);
    bell = bell_hang(server, who, all, at);
    room = homeserver_room(server, "11", "public");      /* more events at once than the ring may hold */
    ck_assert_int_eq(bell_rang(bell, WAIT_MAX_US), 1);
    at = follow(server, who, all);
    bell = bell_hang(server, who, all, at);
    SAY(room, "@creator:h", "for you");
    ck_assert_int_eq(bell_rang(bell, WAIT_MAX_US), 1);
    ask.who = who;
    ask.since = at;
    answer = live(&done, server, &ask);
    ck_assert_int_eq(done, 1);
    ck_assert_int_eq((int)mx_json_len(timeline(&answer, room)), 1);
    mx_sync_stop(server);
}
END_TEST

START_TEST(event_bigger_than_the_ring_wakes_all_the_same)
{
    const mx_filter_t *all = mx_filter_default();
    mx_who_t *who;
    const char *room;
    bell_t *bell;
    fresh();
    who = who_is("@creator:h");
    room = homeserver_room(server, "11", "public");
    bell = bell_hang(server, who, all, follow(server, who, all));
    bound_ring(server, 100, 1);
    SAY(room, "@creator:h", "big");
    ck_assert_int_eq(bell_rang(bell, WAIT_MAX_US), 1);
    mx_sync_stop(server);
}
END_TEST

START_TEST(another_child_hears_within_the_interval_without_a_poke)
{
    mx_server_t *far;
    mx_who_t *who;
    const char *room;
    bell_t *bell;
    fresh();
    far = child();
    who = who_is("@creator:h");
    room = homeserver_room(server, "11", "public");
    bell = bell_hang(far, who, mx_filter_default(), follow(far, who, mx_filter_default()));
    SAY(room, "@creator:h", "from afar");
    ck_assert_int_eq(bell_rang(bell, 1000000), 1);
    mx_sync_stop(far);
}
END_TEST

START_TEST(another_host_is_told_by_notify)
{
    mx_server_t *far;
    mx_who_t *who;
    const char *room;
    bell_t *bell, *near;
    apr_time_t started;
    fresh();
    far = child();
    who = who_is("@creator:h");
    room = homeserver_room(server, "11", "public");
    near = bell_hang(server, who, mx_filter_default(), follow(server, who, mx_filter_default()));
    bell = bell_hang(far, who, mx_filter_default(), follow(far, who, mx_filter_default()));
    apr_sleep(20000);
    started = apr_time_now();
    SAY(room, "@creator:h", "from afar");
    ck_assert_int_eq(bell_rang(bell, 1000000), 1);
    ck_assert_msg(apr_time_now() - started < 150000, "it took as long as the timer");
    bell_rang(near, 0);
    mx_sync_stop(far);
    mx_sync_stop(server);
}
END_TEST

START_TEST(lazy_members_are_told_once_and_again_when_the_answer_was_lost)
{
    mx_who_t *who;
    const char *room;
    mx_sync_ask_t ask = { 0 };
    mx_sync_answer_t first, second;
    fresh();
    who = who_is("@creator:h");
    room = homeserver_room(server, "11", "public");
    join(room, "@b:h");
    join(room, "@c:h");
    /* no heroes, and only its own sender in the timeline */
    homeserver_send(server, room, "@creator:h", "m.room.name", "", "{\"name\":\"a\"}");
    ask.who = who;
    ask.filter = filter_of("{\"room\":{\"state\":{\"lazy_load_members\":true},\"timeline\":{\"limit\":1}}}");
    ask.since = ask.acked = MX_SYNC_INITIAL;
    ask.since = ask.acked = full(server, &ask).position;
    SAY(room, "@b:h", "hi");
    first = full(server, &ask);
    second = full(server, &ask);
    ck_assert_ptr_nonnull(strstr(text_without_ages(&first), "\"state_key\":\"@b:h\""));
    ck_assert_ptr_null(strstr(text_without_ages(&first), "\"state_key\":\"@c:h\""));
    ck_assert_str_eq(text_without_ages(&first), text_without_ages(&second));
    ask.since = ask.acked = first.position;
    SAY(room, "@b:h", "again");
    first = full(server, &ask);
    ck_assert_ptr_null(strstr(text_without_ages(&first), "\"state_key\":\"@b:h\""));
    /* CS-API: "include_redundant_members" */
    ask.filter = filter_of("{\"room\":{\"state\":{\"lazy_load_members\":true,\"include_redundant_members\":true}}}");
    first = full(server, &ask);
    ck_assert_ptr_nonnull(strstr(text_without_ages(&first), "\"state_key\":\"@b:h\""));
}
END_TEST

START_TEST(client_that_misses_no_answer_knows_the_state_whatever_its_filter)
{
    static const char *const filters[] = { "{}", "{\"room\":{\"timeline\":{\"limit\":1}}}",
                                           "{\"room\":{\"timeline\":{\"types\":[\"m.room.message\"],\"limit\":2}}}",
                                           "{\"room\":{\"timeline\":{\"types\":[]}}}",
                                           "{\"room\":{\"timeline\":{\"not_senders\":[\"@creator:h\"]}}}" };
    mx_who_t *who;
    const char *room;
    mx_sync_ask_t ask[UNIT_COUNT(filters) * 2];
    apr_hash_t *state[UNIT_COUNT(filters) * 2], *truth = apr_hash_make(pool);
    mx_sync_answer_t answer;
    int i, turn;
    fresh();
    who = who_is("@creator:h");
    room = homeserver_room(server, "11", "public");
    for (i = 0; i < UNIT_COUNT(ask); i++) {
        ask[i] = (mx_sync_ask_t){ .who = who, .since = MX_SYNC_INITIAL, .filter = filter_of(filters[i / 2]), .use_state_after = i % 2 };
        state[i] = apr_hash_make(pool);
    }
    for (turn = 0; turn < 12; turn++) {
        int k;
        for (k = 0; k < turn % 5; k++) {
            homeserver_send(server, room, "@creator:h", "x.y", k % 2 ? "a" : "b", apr_psprintf(pool, "{\"n\":%d}", turn * 10 + k));
            if (k % 2)
                SAY(room, "@creator:h", "and a word");
        }
        for (i = turn % 3; i < UNIT_COUNT(ask); i += 1 + turn % 2) {
            answer = full(server, &ask[i]);
            learn_answer(state[i], &answer, room, ask[i].use_state_after ? "state_after" : "state");
            ask[i].since = answer.position;
        }
    }
    for (i = 0; i < UNIT_COUNT(ask); i++) {
        answer = full(server, &ask[i]);
        learn_answer(state[i], &answer, room, ask[i].use_state_after ? "state_after" : "state");
    }
    ask[0].since = MX_SYNC_INITIAL;
    answer = full(server, &ask[0]);
    learn_answer(truth, &answer, room, "state");
    for (i = 0; i < UNIT_COUNT(ask); i++)
        same_state(truth, state[i]);
}
END_TEST

DATABASE_MAIN("sync", ring_and_database_give_the_same_answer, ring_declines_what_it_cannot_know,
              news_of_each_kind_end_the_quiet_of_those_whom_they_concern, quiet_answer_is_the_one_that_reading_everything_gives,
              waiter_is_woken_by_what_concerns_it_and_by_nothing_else, child_that_knows_an_old_room_tells_what_others_tell,
              waiters_that_come_and_go_miss_nothing,
              rooms_joined_while_the_ring_begins_anew_are_followed, event_bigger_than_the_ring_wakes_all_the_same,
              another_child_hears_within_the_interval_without_a_poke,
              another_host_is_told_by_notify, lazy_members_are_told_once_and_again_when_the_answer_was_lost,
              client_that_misses_no_answer_knows_the_state_whatever_its_filter)
