/* SPDX-License-Identifier: Apache-2.0 */
/* Presence: what time and devices make of it, what it costs, and who is woken. CS-API: presence. */
#include "syncing.h"

#include "store/presence.h"

#define ACTIVE_MS 60000
#define IDLE_MS 300000
#define UNTIL_MS 40000
#define FILTER "{}"

static lender_t *lender;                /* of `server`: counts what is asked of the database */

static void fresh_counted(void)
{
    homeserver_reset();
    server = homeserver_child(&lender, pool);
    ck_assert_int_eq(mx_sync_init(server), APR_SUCCESS);
}

/* ---- time ---- */

static mx_presence_moved_t touch(apr_int64_t now_ms, mx_presence_device_t device)
{
    mx_presence_clock_t clock = { now_ms, ACTIVE_MS, IDLE_MS };
    mx_presence_moved_t moved = { -1, -1 };
    mx_conn_t *conn = NULL;
    device.user_nid = 7;
    ck_assert_int_eq(mx_store_borrow(&conn, server->store, pool), APR_SUCCESS);
    ck_assert_int_eq(mx_store_presence_touch(&moved, conn, &device, 1, NULL, 0, &clock, pool), APR_SUCCESS);
    mx_store_return(conn);
    return moved;
}

static mx_presence_moved_t sweep(apr_int64_t now_ms)
{
    mx_presence_clock_t clock = { now_ms, ACTIVE_MS, IDLE_MS };
    mx_presence_moved_t moved = { -1, -1 };
    mx_conn_t *conn = NULL;
    ck_assert_int_eq(mx_store_borrow(&conn, server->store, pool), APR_SUCCESS);
    ck_assert_int_eq(mx_store_presence_sweep(&moved, conn, 10, &clock, pool), APR_SUCCESS);
    mx_store_return(conn);
    return moved;
}

/* state * 10 + active, as the row has it */
static long state(void)
{
    return database_number("select state * 10 + active::int from presence where user_nid = 7");
}

static mx_presence_device_t seen(apr_int64_t device_nid, mx_presence_e says, apr_int64_t at_ms)
{
    return (mx_presence_device_t){ device_nid, 7, says, at_ms, at_ms + UNTIL_MS, 0 };
}

START_TEST(time_makes_active_online_idle_and_offline)
{
    const apr_int64_t t = 1000000000;
    mx_presence_moved_t moved;
    fresh_counted();
    moved = touch(t, seen(1, MX_PRESENCE_ONLINE, t));
    ck_assert(moved.moved == 1 && moved.due_ms == t + UNTIL_MS && state() == 21);
    /* it goes on as it was: nobody is told */
    moved = touch(t + 30000, seen(1, MX_PRESENCE_ONLINE, t + 30000));
    ck_assert(moved.moved == 0 && moved.due_ms == t + ACTIVE_MS && state() == 21);
    ck_assert(touch(t + 59000, seen(1, MX_PRESENCE_ONLINE, t + 59000)).moved == 0);
    moved = sweep(t + ACTIVE_MS);
    ck_assert(moved.moved == 1 && state() == 20);
    ck_assert(sweep(t + ACTIVE_MS).moved == 0);
    ck_assert(touch(t + IDLE_MS - 1000, seen(1, MX_PRESENCE_ONLINE, t + IDLE_MS - 1000)).moved == 1);   /* it was away meanwhile */
    ck_assert(state() == 21);
    ck_assert(touch(t + IDLE_MS, (mx_presence_device_t){ 1, 7, MX_PRESENCE_ONLINE, t + IDLE_MS, t + 3 * IDLE_MS, 0 }).moved == 0);
    ck_assert(sweep(t + 2 * IDLE_MS - 1001).moved == 1 && state() == 20);
    ck_assert(sweep(t + 2 * IDLE_MS - 1000).moved == 1 && state() == 10);
    moved = sweep(t + 3 * IDLE_MS);
    ck_assert(moved.moved == 1 && moved.due_ms == 0 && state() == 0);
    ck_assert_int_eq(database_number("select count(*) from presence_device"), 0);
    ck_assert_int_eq(database_number("select active_ts from presence"), t + IDLE_MS - 1000);
}
END_TEST

START_TEST(busiest_device_counts_and_the_newest_word_of_each)
{
    const apr_int64_t t = 1000000000;
    mx_presence_device_t word;
    fresh_counted();
    ck_assert(touch(t, seen(1, MX_PRESENCE_UNAVAILABLE, t)).moved == 1 && state() == 10);
    ck_assert(touch(t, seen(2, MX_PRESENCE_ONLINE, t)).moved == 1 && state() == 21);
    /* what another child saw before that changes nothing, whenever it comes */
    ck_assert(touch(t + 10, seen(1, MX_PRESENCE_ONLINE, t - 10)).moved == 0);
    ck_assert(touch(t + 20, seen(2, MX_PRESENCE_OFFLINE, t + 20)).moved == 1 && state() == 10);
    /* activity makes it online; so it stays until its client says something later */
    word = seen(1, MX_PRESENCE_UNAVAILABLE, t);
    word.active_ms = t + 30;
    ck_assert(touch(t + 30, word).moved == 1 && state() == 21);
    ck_assert(touch(t + 31, seen(1, MX_PRESENCE_UNAVAILABLE, t)).moved == 0 && state() == 21);
    ck_assert(touch(t + 40, seen(1, MX_PRESENCE_UNAVAILABLE, t + 40)).moved == 1 && state() == 10);
}
END_TEST

START_TEST(activity_of_one_who_is_not_connected_is_kept_and_shows_nobody)
{
    const apr_int64_t t = 1000000000;
    fresh_counted();
    ck_assert(touch(t, (mx_presence_device_t){ 1, 7, MX_PRESENCE_OFFLINE, 0, 0, t }).moved == 0 && state() == 0);
    ck_assert_int_eq(database_number("select active_ts from presence"), t);
    ck_assert_int_eq(database_number("select stream from presence"), 0);
}
END_TEST

/* ---- what it costs ---- */

START_TEST(sync_that_changes_nothing_asks_nothing_of_the_database)
{
    mx_who_t *a;
    long before;
    int i;
    fresh_counted();
    a = who_is("@creator:h");
    mx_sync_presence_seen(server, a, MX_PRESENCE_ONLINE, pool);
    mx_sync_presence_seen(server, a, MX_PRESENCE_ONLINE, pool);      /* nobody waits here: it does the sweeping once */
    before = lender_lent(lender);
    for (i = 0; i < 1000; i++) {
        mx_sync_presence_seen(server, a, MX_PRESENCE_ONLINE, pool);
        mx_sync_presence_active(server, a);
    }
    ck_assert_int_eq(lender_lent(lender) - before, 0);
    ck_assert_int_eq(database_number("select count(*) from presence where state = 2 and active"), 1);
}
END_TEST

/* ---- who is told ---- */

/* `presence` of an answer as text, without what depends on when it was written. */
static const char *presence_of(const mx_sync_answer_t *answer)
{
    mx_json_t *events = mx_json_get(mx_json_get(body_of(answer), "presence"), "events");
    mx_buf_t *text = mx_buf_create(pool);
    for (apr_size_t i = 0; i < mx_json_len(events); i++) mx_json_del(mx_json_get(mx_json_at(events, i), "content"), "last_active_ago");
    if (events) mx_json_write(text, events);
    return mx_slice_dup(mx_buf_slice(text), pool);
}

static void say(const char *user_id, mx_presence_e presence, const char *status)
{
    ck_assert(!mx_sync_presence_set(server, who_is(user_id), presence, status, pool));
}

static const char *room_of_two(void)
{
    const char *room = homeserver_room(server, "11", "public");
    homeserver_send(server, room, "@b:h", "m.room.member", "@b:h", "{\"membership\":\"join\"}");
    return room;
}

START_TEST(ring_tells_what_the_database_tells)
{
    mx_sync_ask_t ask = { .filter = filter_of(FILTER) };
    mx_sync_answer_t answer;
    const char *text;
    int done = 0;
    fresh_counted();
    room_of_two();
    ask.who = who_is("@b:h");
    ask.since = follow(server, ask.who, ask.filter);
    say("@creator:h", MX_PRESENCE_ONLINE, "one");
    say("@creator:h", MX_PRESENCE_ONLINE, "two");
    say("@stranger:h", MX_PRESENCE_ONLINE, "hello");
    answer = live(&done, server, &ask);
    ck_assert(done && !answer.empty);
    text = presence_of(&answer);
    ck_assert_msg(strstr(text, "\"two\"") && !strstr(text, "\"one\"") && !strstr(text, "stranger"), "%s", text);
    answer = full(server, &ask);
    ck_assert_str_eq(presence_of(&answer), text);
    ask.since = answer.position;
    answer = live(&done, server, &ask);
    ck_assert(done && answer.empty);
}
END_TEST

START_TEST(presence_wakes_once_in_an_interval_and_is_not_lost)
{
    const mx_filter_t *filter = filter_of(FILTER);
    mx_settings_t settings;
    mx_sync_ask_t ask = { .filter = filter };
    mx_sync_answer_t answer;
    apr_int64_t since;
    const char *room;
    bell_t *bell;
    mx_who_t *b;
    int done = 0;
    fresh_counted();
    settings = *server->settings;
    settings.presence_interval_ms = 60000;
    server->settings = &settings;
    room = room_of_two();
    ask.who = b = who_is("@b:h");
    since = follow(server, b, filter);
    bell = bell_hang(server, b, filter, since);
    say("@creator:h", MX_PRESENCE_ONLINE, "one");
    ck_assert(bell_rang(bell, WAIT_MAX_US));
    since = full(server, &(mx_sync_ask_t){ .who = b, .since = since, .filter = filter }).position;
    bell = bell_hang(server, b, filter, since);
    say("@creator:h", MX_PRESENCE_ONLINE, "two");
    ck_assert(!bell_rang(bell, 700000));
    /* it waited in vain, but what was kept back stands after where it has come to */
    ask.since = bell->waiter.checked;
    answer = live(&done, server, &ask);
    ck_assert(done && strstr(presence_of(&answer), "\"two\""));
    /* what else happens wakes it, and both are told */
    bell = bell_hang(server, b, filter, answer.position);
    say("@creator:h", MX_PRESENCE_ONLINE, "three");
    apr_sleep(300000);
    homeserver_send(server, room, "@creator:h", "m.x", NULL, "{}");
    ck_assert(bell_rang(bell, WAIT_MAX_US));
}
END_TEST

DATABASE_MAIN("presence", time_makes_active_online_idle_and_offline, busiest_device_counts_and_the_newest_word_of_each,
              activity_of_one_who_is_not_connected_is_kept_and_shows_nobody, sync_that_changes_nothing_asks_nothing_of_the_database,
              ring_tells_what_the_database_tells, presence_wakes_once_in_an_interval_and_is_not_lost)
