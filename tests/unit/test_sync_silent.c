/* SPDX-License-Identifier: Apache-2.0 */
/* Events that no client is shown: from the ring, from the database, in pages, by themselves, and in counts. */
#include "sync_far.h"


/** Is the event shown to those who ask for it? */
static int is_shown(const char *event_id)
{
    mx_room_reader_t *reader;
    mx_event_row_t *row;
    ck_assert_ptr_null(mx_room_reader_open(&reader, server, creator, room_id, pool));
    return mx_room_reader_event(&row, reader, event_id, pool) == NULL;
}

/** Events of every type that count for the user. */
static long unread_of(const mx_who_t *who)
{
    return database_number(apr_psprintf(pool, "select count(*) from room r, unread_events(%" APR_INT64_T_FMT
                                              ", r.room_nid, 999999999, '{}', true, '{}') where room_id = '%s'", who->user_nid, room_id));
}

#define DUMMY "org.matrix.dummy_event"
#define DUMMY_OF "{\"m.mentions\":{\"user_ids\":[\"@b:h\"]},\"m.relates_to\":{\"rel_type\":\"m.thread\",\"event_id\":\"$x\"}}"

/* One of ours, one of another server that ends a fork, one that makes one. */
START_TEST(dummy_events_are_shown_to_nobody_and_count_for_nobody)
{
    mx_event_filter_t *filter = NULL;
    const char *before, *dummies[4], *after, *start;
    mx_who_t *b;
    mx_sync_ask_t ask;
    mx_sync_answer_t answer;
    int i, done;
    fresh_room();
    b = who_is("@b:h");
    before = foreign("before");
    ck_assert_int_eq(unread_of(b), 1);
    ask = ask_of(creator, follow(server, creator, mx_filter_default()));
    start = mx_sync_token_format(ask.since, pool);
    {
        bell_t *bell = bell_hang(server, creator, ask.filter, ask.since);
        dummies[0] = comes(before, "@u:far", DUMMY, NULL, DUMMY_OF);
        dummies[1] = comes(before, "@u:far", DUMMY, NULL, DUMMY_OF);
        ck_assert_int_eq(room_now()->priv->nheads, 2);
        dummies[2] = homeserver_send(server, room_id, "@creator:h", DUMMY, NULL, DUMMY_OF);
        ck_assert_int_eq(room_now()->priv->nheads, 1);
        dummies[3] = homeserver_send(server, room_id, "@b:h", DUMMY, NULL, DUMMY_OF);
        live(&done, server, &ask);
        ck_assert_int_eq(done, 1);
        ck_assert(!bell_rang(bell, 50000));
    }
    ck_assert_int_eq(unread_of(b), 1);          /* as before, though the last one is its own */
    after = homeserver_send(server, room_id, "@creator:h", "m.room.message", NULL, "{\"body\":\"after\"}");
    ck_assert_int_eq(unread_of(b), 2);
    ck_assert_int_eq(database_number("select count(*) from event_push") + database_number("select count(*) from event_relation"), 0);
    answer = live(&done, server, &ask);
    ck_assert_int_eq(done, 1);
    ck_assert_str_eq(told(&answer), IDS(after, " "));
    answer = full(server, &ask);
    ck_assert_str_eq(told(&answer), IDS(after, " "));
    ck_assert_int_eq(limited(&answer), 0);
    ck_assert_ptr_null(mx_event_filter_parse(&filter, unit_json("{\"not_types\":[\"x.y\"]}"), pool));
    ck_assert_str_eq(messages_back(mx_sync_token_format(answer.position, pool), 2), IDS(after, " ", before, " "));
    ck_assert_str_eq(messages_back_by(mx_sync_token_format(answer.position, pool), 2, filter), IDS(after, " ", before, " "));
    ck_assert_str_eq(messages_back(start, 1), IDS(before, " "));
    for (i = 0; i < 4; i++)
        ck_assert_int_eq(is_shown(dummies[i]), 0);
    ck_assert_int_eq(is_shown(after), 1);
    mx_sync_stop(server);
}
END_TEST

/* A gap before it is said all the same. */
START_TEST(gap_before_a_dummy_event_is_told)
{
    mx_sync_ask_t ask;
    mx_sync_answer_t answer;
    int done;
    fresh_room();
    ask = ask_of(creator, follow(server, creator, mx_filter_default()));
    gap_trigger(1);
    comes(head(), "@u:far", DUMMY, NULL, "{}");
    gap_trigger(0);
    live(&done, server, &ask);
    ck_assert_int_eq(done, 0);
    ck_assert(!mx_sync_answer(&answer, server, &ask, pool));
    ck_assert_int_eq(limited(&answer), 1);
    ck_assert_str_eq(told(&answer), "");
    mx_sync_stop(server);
}
END_TEST

DATABASE_MAIN("sync_silent", dummy_events_are_shown_to_nobody_and_count_for_nobody, gap_before_a_dummy_event_is_told)
