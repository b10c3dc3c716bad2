/* SPDX-License-Identifier: Apache-2.0 */
/* Answers of /sync that are made in chunks of rooms: together they say what one chunk says, in order and whole. */
#include "syncing.h"

#define CHUNKS_MAX 100

/** The whole answer, made in chunks of about so many bytes. *pchunks: how many there were. */
static mx_sync_answer_t in_chunks(int *pchunks, const mx_sync_ask_t *ask, apr_int64_t bytes)
{
    mx_settings_t *settings = (mx_settings_t *)server->settings;
    apr_int64_t before = settings->sync_chunk_bytes;
    int done;
    mx_sync_answer_t answer;
    mx_buf_t *all = mx_buf_create(pool);
    settings->sync_chunk_bytes = bytes;
    answer = full(server, ask);
    for (*pchunks = 1, done = !answer.rest;; ++*pchunks) {
        mx_buf_append(all, answer.body->p, answer.body->len);
        if (done)
            break;
        ck_assert_int_lt(*pchunks, CHUNKS_MAX);
        ck_assert(!mx_sync_chunks_next(&done, answer.rest));
    }
    settings->sync_chunk_bytes = before;
    answer.body = all;
    return answer;
}

static void set_membership(const char *room, const char *sender, const char *user_id, const char *membership)
{
    homeserver_send(server, room, sender, "m.room.member", user_id, apr_psprintf(pool, "{\"membership\":\"%s\"}", membership));
}

/** A reader with rooms of every section, the youngest room not in the last of them, and with everything small. */
static mx_who_t *reader_of_all_sections(void)
{
    mx_who_t *who = who_is("@b:h"), *other = who_is("@creator:h");
    int i;
    for (i = 0; i < 12; i++) {
        const char *room = homeserver_room(server, "11", i % 4 == 1 ? "invite" : i % 4 == 2 ? "knock" : "public");
        mx_sync_receipt_t receipt = { "m.read", SAY(room, "@creator:h", "first"), NULL };
        mx_room_t *known;
        if (i % 4 == 1)
            set_membership(room, "@creator:h", "@b:h", "invite");
        else
            set_membership(room, "@b:h", "@b:h", i % 4 == 2 ? "knock" : "join");
        SAY(room, "@creator:h", "second");
        ck_assert(!mx_sync_receipts_put(server, other, room, &receipt, 1, pool));
        ck_assert(!mx_sync_typing_set(server, other, room, 20000, pool));
        ck_assert(!mx_room_get(&known, server, room, 0, pool));
        ck_assert(!mx_sync_account_data_put(server, who, known->nid, "a.room", unit_json("{\"x\":1}"), pool));
        if (i % 4 == 3)
            set_membership(room, "@b:h", "@b:h", "leave");
    }
    ck_assert(!mx_sync_account_data_put(server, who, 0, "a.global", unit_json("{\"x\":[2]}"), pool));
    return who;
}

static int count_of(const mx_sync_answer_t *answer, const char *section)
{
    mx_json_t *json = mx_json_get(mx_json_get(body_of(answer), "rooms"), section);
    const char *key;
    mx_json_t *value;
    void *it = NULL;
    int n = 0;
    while (mx_json_next(json, &it, &key, &value)) n++;
    return n;
}

/** Check's own message would hold both, and refuses to be that long. */
static void same_text(const char *a, const char *b)
{
    apr_size_t i = 0, from;
    while (a[i] && a[i] == b[i]) i++;
    from = i > 100 ? i - 100 : 0;
    ck_assert_msg(!a[i] && !b[i], "they part here: %.200s\n  and %.200s", a + from, b + from);
}

static void equal_in_all_sizes(const mx_sync_ask_t *ask)
{
    static const int sizes[] = { 1, 5000, 20000 };
    const char *whole;
    int chunks;
    mx_sync_answer_t one = in_chunks(&chunks, ask, 100000000);
    ck_assert_int_eq(chunks, 1);
    whole = text_without_ages(&one);
    for (int i = 0; i < 3; i++) {
        mx_sync_answer_t many = in_chunks(&chunks, ask, sizes[i]);
        ck_assert_int_gt(chunks, sizes[i] == 1 ? 9 : 1);
        same_text(text_without_ages(&many), whole);
        ck_assert_int_eq(many.position, one.position);
    }
}

START_TEST(first_answer_in_chunks_is_the_answer_in_one)
{
    mx_sync_ask_t ask = { .since = MX_SYNC_INITIAL };
    mx_sync_answer_t one;
    int chunks;
    fresh();
    ask.who = reader_of_all_sections();
    ask.acked = ask.since;
    ask.filter = filter_of("{\"room\":{\"include_leave\":true}}");
    one = in_chunks(&chunks, &ask, 100000000);
    ck_assert_int_eq(count_of(&one, "join"), 3);
    ck_assert_int_eq(count_of(&one, "invite"), 3);
    ck_assert_int_eq(count_of(&one, "knock"), 3);
    ck_assert_int_eq(count_of(&one, "leave"), 3);
    equal_in_all_sizes(&ask);
    ask.filter = filter_of("{\"room\":{\"include_leave\":true,\"state\":{\"lazy_load_members\":true}}}");
    equal_in_all_sizes(&ask);
    ask.use_state_after = 1;
    equal_in_all_sizes(&ask);
    mx_sync_stop(server);
}
END_TEST

START_TEST(answer_since_long_ago_in_chunks_is_the_answer_in_one)
{
    mx_sync_ask_t ask = { .filter = mx_filter_default() };
    fresh();
    ask.who = who_is("@b:h");
    ck_assert(!mx_sync_position(&ask.since, server, pool));
    ask.acked = ask.since;
    reader_of_all_sections();
    equal_in_all_sizes(&ask);
    mx_sync_stop(server);
}
END_TEST

/* A client that waits goes on waiting, however many chunks it took to find nothing. */
START_TEST(chunks_without_news_are_an_empty_answer)
{
    mx_sync_ask_t ask = { .filter = filter_of("{\"room\":{\"timeline\":{\"types\":[\"x.y\"]},\"ephemeral\":{\"types\":[]},"
                                              "\"account_data\":{\"types\":[]}}}") };
    mx_sync_answer_t answer;
    int chunks, i;
    const char *rooms[5];
    fresh();
    ask.who = who_is("@creator:h");
    for (i = 0; i < 5; i++) rooms[i] = homeserver_room(server, "11", "public");
    ck_assert(!mx_sync_position(&ask.since, server, pool));
    ask.acked = ask.since;
    for (i = 0; i < 5; i++) SAY(rooms[i], "@creator:h", "not asked for");
    answer = in_chunks(&chunks, &ask, 1);
    ck_assert_int_eq(chunks, 1);
    ck_assert_int_eq(answer.empty, 1);
    ck_assert_int_gt(answer.position, ask.since);
    homeserver_send(server, rooms[4], "@creator:h", "x.y", NULL, "{}");
    answer = in_chunks(&chunks, &ask, 1);
    ck_assert_int_eq(answer.empty, 0);
    ck_assert_int_eq((int)mx_json_len(timeline(&answer, rooms[4])), 1);
    mx_sync_stop(server);
}
END_TEST

/* What the first chunk gave is kept, but the answer cannot be finished. */
START_TEST(answer_that_cannot_be_gone_on_with_says_so)
{
    mx_settings_t *settings;
    mx_sync_ask_t ask = { .since = MX_SYNC_INITIAL, .acked = MX_SYNC_INITIAL, .filter = mx_filter_default() };
    mx_sync_answer_t answer;
    const mx_error_t *err;
    int i, done = 0;
    fresh();
    ask.who = who_is("@creator:h");
    for (i = 0; i < 3; i++) homeserver_room(server, "11", "public");
    settings = (mx_settings_t *)server->settings;
    settings->sync_chunk_bytes = 1;
    answer = full(server, &ask);
    ck_assert_ptr_nonnull(answer.rest);
    database_sql("alter table receipt rename to receipt_gone");
    err = mx_sync_chunks_next(&done, answer.rest);
    database_sql("alter table receipt_gone rename to receipt");
    ck_assert_ptr_nonnull(err);
    ck_assert_int_eq(err->status, 500);
    ck_assert_int_eq(done, 0);
    mx_sync_stop(server);
}
END_TEST

DATABASE_MAIN("sync_chunks", first_answer_in_chunks_is_the_answer_in_one, answer_since_long_ago_in_chunks_is_the_answer_in_one,
              chunks_without_news_are_an_empty_answer, answer_that_cannot_be_gone_on_with_says_so)
