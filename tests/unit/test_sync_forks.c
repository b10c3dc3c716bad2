/* SPDX-License-Identifier: Apache-2.0 */
/* What clients are told when events of other servers come: late ones, gaps, forks that resolve against what the timeline said. */
#include "sync_far.h"

/* ---- late events ---- */

/** Stores a PDU as an outlier: known, without a place. */
static apr_int64_t store_outlier(const mx_event_t *event)
{
    MX_STMT(test_outlier, "lliilbb",
            "insert into event (nid, room_nid, ord, ts, sender_nid, depth, type_nid, flags, event_id, pdu)"
            " select stream_next(), $1::int8, 0, 1, $2::int8, $5::int8, $3::int4, $4::int4, $6::bytea, $7::bytea returning nid");
    mx_rows_t *rows;
    apr_int64_t sender;
    int type;
    ck_assert_int_eq(mx_server_user_nid(&sender, server, event->sender, pool), APR_SUCCESS);
    ck_assert_int_eq(mx_server_type_nid(&type, server, event->type, pool), APR_SUCCESS);
    ck_assert_int_eq(mx_store_run(&rows, server->store, pool, &test_outlier, room_now()->nid, sender, type, (int)MX_EVENT_FLAG_OUTLIER,
                                  event->depth, mx_store_event_id_pack(event->event_id, pool), event->pdu), APR_SUCCESS);
    return mx_row_int(rows, 0, 0);
}

/** The outlier gets its place, now. */
static void place(apr_int64_t nid)
{
    MX_STMT(test_place, "ll",
            "with placed as (update event set ord = stream_next(), flags = 0, snap_nid = (select snap_nid from room where room_nid = $1::int8)"
            " where nid = $2::int8 returning ord)"
            " update room set last_stream = placed.ord, ver = ver + 1 from placed where room_nid = $1::int8");
    ck_assert_int_eq(mx_store_run(NULL, server->store, pool, &test_place, room_now()->nid, nid), APR_SUCCESS);
    mx_server_stream_moved(server);
}

START_TEST(late_event_is_told_once_at_its_position_to_everybody)
{
    const char *before, *between, *late, *after, *got;
    mx_sync_ask_t old, middle, fast;
    mx_sync_answer_t answer;
    mx_event_t *event;
    apr_int64_t nid;
    bell_t *bell;
    int done;
    fresh_room();
    old = ask_of(creator, position());
    before = SAY(room_id, "@b:h", "before");
    event = make_after(head(), "@u:far", "m.room.message", NULL, "{\"body\":\"late\"}");
    nid = store_outlier(event);
    late = event->event_id;
    between = SAY(room_id, "@b:h", "between");
    middle = ask_of(creator, position());
    answer = full(server, &old);
    ck_assert_str_eq(told(&answer), IDS(before, " ", between, " "));
    /* who waits is woken */
    fast = ask_of(creator, follow(server, creator, mx_filter_default()));
    bell = bell_hang(server, creator, mx_filter_default(), fast.since);
    place(nid);
    ck_assert(bell_rang(bell, WAIT_MAX_US));
    after = SAY(room_id, "@b:h", "after");
    answer = live(&done, server, &fast);
    ck_assert_int_eq(done, 1);
    ck_assert_str_eq(told(&answer), IDS(late, " ", after, " "));
    ck_assert_str_eq(text_without_ages(&answer), text_without_ages(&(mx_sync_answer_t){ .body = full(server, &fast).body }));
    fast.since = row_of(late)->ord;
    answer = live(&done, server, &fast);
    ck_assert_int_eq(done, 1);
    ck_assert_str_eq(told(&answer), IDS(after, " "));
    /* who comes later reads it */
    answer = full(server, &middle);
    ck_assert_str_eq(told(&answer), IDS(late, " ", after, " "));
    answer = full(server, &old);
    ck_assert_str_eq(told(&answer), IDS(before, " ", between, " ", late, " ", after, " "));
    old.since = row_of(late)->ord;
    answer = full(server, &old);
    ck_assert_str_eq(told(&answer), IDS(after, " "));
    got = messages_back(mx_sync_token_format(position(), pool), 4);
    ck_assert_str_eq(got, IDS(after, " ", late, " ", between, " ", before, " "));
    mx_sync_stop(server);
}
END_TEST

static int quiet_since(apr_int64_t since)
{
    mx_conn_t *conn = NULL;
    int yes = -1;
    ck_assert_int_eq(mx_store_borrow(&conn, server->store, pool), APR_SUCCESS);
    ck_assert_int_eq(mx_store_sync_quiet(&yes, conn, creator->user_nid, creator->device_nid, since, position(), pool), APR_SUCCESS);
    mx_store_return(conn);
    return yes;
}

START_TEST(late_event_ends_the_quiet)
{
    apr_int64_t nid, since;
    fresh_room();
    nid = store_outlier(make_after(head(), "@u:far", "m.room.message", NULL, "{}"));
    since = position();
    homeserver_room(server, "11", "public");        /* the creator's own, but no news of the first one */
    ck_assert_int_eq(quiet_since(position()), 1);
    since = position();
    place(nid);
    ck_assert_int_eq(quiet_since(since), 0);
}
END_TEST

/* ---- gaps ---- */

static void gap_before(const char *event_id)
{
    MX_STMT(test_gap, "ll", "insert into gap (room_nid, ord) values ($1::int8, $2::int8)");
    ck_assert_int_eq(mx_store_run(NULL, server->store, pool, &test_gap, room_now()->nid, row_of(event_id)->ord), APR_SUCCESS);
}

START_TEST(timeline_begins_at_the_newest_gap_and_says_so)
{
    const char *a, *b, *c, *d;
    mx_sync_ask_t ask, initial = { 0 };
    mx_sync_answer_t answer;
    apr_int64_t after_gaps;
    fresh_room();
    ask = ask_of(creator, position());
    a = foreign("a");
    b = foreign("b");
    c = foreign("c");
    after_gaps = position();
    d = SAY(room_id, "@b:h", "d");
    answer = full(server, &ask);
    ck_assert_int_eq(limited(&answer), 0);
    gap_before(b);
    gap_before(c);
    answer = full(server, &ask);
    ck_assert_int_eq(limited(&answer), 1);
    ck_assert_str_eq(told(&answer), IDS(c, " ", d, " "));
    ck_assert_str_eq(prev_batch(&answer), mx_sync_token_format(row_of(c)->ord - 1, pool));
    ck_assert_str_eq(messages_back(prev_batch(&answer), 2), IDS(b, " ", a, " "));
    ck_assert_str_eq(messages_back(mx_sync_token_format(position(), pool), 4), IDS(d, " ", c, " ", b, " ", a, " "));
    initial = ask_of(creator, MX_SYNC_INITIAL);
    answer = full(server, &initial);
    ck_assert_int_eq(limited(&answer), 1);
    ck_assert_str_eq(told(&answer), IDS(c, " ", d, " "));
    /* one that is known already cuts no more */
    ask.since = after_gaps;
    answer = full(server, &ask);
    ck_assert_int_eq(limited(&answer), 0);
    ck_assert_str_eq(told(&answer), IDS(d, " "));
    /* nor one that the timeline does not reach */
    ask.since = MX_SYNC_INITIAL;
    ask.filter = filter_of("{\"room\":{\"timeline\":{\"limit\":1}}}");
    answer = full(server, &ask);
    ck_assert_str_eq(told(&answer), IDS(d, " "));
    ck_assert_str_eq(prev_batch(&answer), mx_sync_token_format(row_of(d)->ord - 1, pool));
}
END_TEST

START_TEST(gap_is_told_even_if_the_filter_refuses_what_follows_it)
{
    const char *a, *b;
    mx_sync_ask_t ask;
    mx_sync_answer_t answer;
    fresh_room();
    ask = ask_of(creator, position());
    ask.filter = filter_of("{\"room\":{\"timeline\":{\"not_senders\":[\"@u:far\"]}}}");
    a = SAY(room_id, "@b:h", "a");
    b = foreign("b");
    answer = full(server, &ask);
    ck_assert_str_eq(told(&answer), IDS(a, " "));
    gap_before(b);
    answer = full(server, &ask);
    ck_assert_int_eq(limited(&answer), 1);
    ck_assert_str_eq(told(&answer), "");
    ck_assert_str_eq(prev_batch(&answer), mx_sync_token_format(row_of(b)->ord - 1, pool));
}
END_TEST

START_TEST(ring_leaves_a_gap_to_the_database)
{
    const char *id;
    mx_sync_ask_t ask, filtered;
    mx_sync_answer_t answer;
    bell_t *bell;
    int done;
    fresh_room();
    ask = ask_of(creator, follow(server, creator, mx_filter_default()));
    filtered = ask;
    filtered.filter = filter_of("{\"room\":{\"timeline\":{\"types\":[\"x.y\"]}}}");
    bell = bell_hang(server, creator, filtered.filter, ask.since);
    gap_trigger(1);
    id = foreign("far away");
    gap_trigger(0);
    ck_assert(bell_rang(bell, WAIT_MAX_US));
    live(&done, server, &ask);
    ck_assert_int_eq(done, 0);
    live(&done, server, &filtered);
    ck_assert_int_eq(done, 0);
    ck_assert(!mx_sync_answer(&answer, server, &ask, pool));
    ck_assert_int_eq(limited(&answer), 1);
    ck_assert_str_eq(told(&answer), IDS(id, " "));
    /* from there on it is a room like others */
    ask.since = answer.position;
    id = foreign("b");
    answer = live(&done, server, &ask);
    ck_assert_int_eq(done, 1);
    ck_assert_str_eq(told(&answer), IDS(id, " "));
    mx_sync_stop(server);
}
END_TEST

/* ---- forks ---- */

START_TEST(client_believes_the_topic_that_won_whichever_came_first)
{
    int turn;
    for (turn = 0; turn < 2; turn++) {
        const char *winner;
        const mx_event_t *event[2], *found;
        apr_hash_t *believed = apr_hash_make(pool), *with_after = apr_hash_make(pool);
        mx_sync_answer_t answer;
        mx_sync_ask_t ask, after, fast;
        int done;
        fresh_room();
        ask = after = ask_of(creator, position());
        after.use_state_after = 1;
        fast = ask_of(creator, follow(server, creator, mx_filter_default()));
        /* of equals the one with the later time is applied last, and wins */
        event[turn] = make_after(head(), "@u:far", "m.room.topic", "", "{\"topic\":\"one\"}");
        event[1 - turn] = make_after(head(), "@u:far", "m.room.topic", "", "{\"topic\":\"two\"}");
        winner = event[1 - turn]->event_id;
        take_in(event[0]);
        take_in(event[1]);
        ck_assert_ptr_null(mx_room_state_get(&found, server, room_now(), "m.room.topic", "", pool));
        ck_assert_str_eq(found->event_id, winner);
        answer = full(server, &ask);
        learn_answer(believed, &answer, room_id, "state");
        ck_assert_str_eq(apr_hash_get(believed, "m.room.topic ", APR_HASH_KEY_STRING), winner);
        ck_assert_int_eq(limited(&answer), turn);
        ck_assert_str_eq(told(&answer), turn ? "" : IDS(event[0]->event_id, " ", event[1]->event_id, " "));
        if (turn)
            ck_assert_str_eq(prev_batch(&answer), mx_sync_token_format(row_of(event[1]->event_id)->ord, pool));
        answer = full(server, &after);
        ck_assert_int_eq(limited(&answer), 0);
        ck_assert_str_eq(told(&answer), IDS(event[0]->event_id, " ", event[1]->event_id, " "));
        learn_answer(with_after, &answer, room_id, "state_after");
        ck_assert_str_eq(apr_hash_get(with_after, "m.room.topic ", APR_HASH_KEY_STRING), winner);
        live(&done, server, &fast);
        ck_assert_int_eq(done, !turn);
        ck_assert(!mx_sync_answer(&answer, server, &fast, pool));
        believed = apr_hash_make(pool);
        learn_answer(believed, &answer, room_id, "state");
        ck_assert_str_eq(apr_hash_get(believed, "m.room.topic ", APR_HASH_KEY_STRING), winner);
        mx_sync_stop(server);
    }
}
END_TEST

/** The section of the answer that has the room. */
static const char *section(const mx_sync_answer_t *answer)
{
    static const char *const names[] = { "join", "invite", "knock", "leave" };
    mx_json_t *rooms = mx_json_get(body_of(answer), "rooms");
    int i;
    for (i = 0; i < UNIT_COUNT(names); i++) {
        if (mx_json_get(mx_json_get(rooms, names[i]), room_id))
            return names[i];
    }
    return "none";
}

static const char *answered(const mx_sync_ask_t *ask, mx_sync_answer_t *answer)
{
    ck_assert(!mx_sync_answer(answer, server, ask, pool));
    return section(answer);
}

START_TEST(user_whom_a_resolution_puts_out_or_in_is_told)
{
    const char *base, *topic, *demoted;
    mx_who_t *b;
    mx_sync_ask_t ask, other;
    mx_sync_answer_t answer;
    apr_hash_t *believed = apr_hash_make(pool);
    bell_t *bell;
    int done;
    fresh_room();
    b = who_is("@b:h");
    base = head();
    ask = ask_of(b, follow(server, b, mx_filter_default()));
    other = ask_of(creator, follow(server, creator, mx_filter_default()));
    SAY(room_id, "@b:h", "still here");
    /* a ban from before that: the room goes on without him */
    bell = bell_hang(server, b, mx_filter_default(), position());
    comes(base, "@u:far", "m.room.member", "@b:h", "{\"membership\":\"ban\"}");
    ck_assert(bell_rang(bell, WAIT_MAX_US));
    live(&done, server, &ask);
    ck_assert_int_eq(done, 0);
    ck_assert_str_eq(answered(&ask, &answer), "leave");
    ck_assert_ptr_nonnull(strstr(text_without_ages(&answer), "\"membership\":\"ban\""));
    ask.since = answer.position;
    live(&done, server, &other);
    ck_assert_int_eq(done, 0);
    ck_assert_str_eq(answered(&other, &answer), "join");
    ck_assert_int_eq(mx_json_get_int(mx_json_get(joined(&answer, room_id), "summary"), "m.joined_member_count", -1), 2);
    other.since = answer.position;
    topic = foreign("he does not hear that");
    ck_assert_str_eq(answered(&ask, &answer), "none");
    /* the ban was not for him to give who gave it: he is in again, by no event of his */
    bell = bell_hang(server, b, mx_filter_default(), position());
    demoted = comes(base, "@creator:h", "m.room.power_levels", "", "{\"users\":{\"@creator:h\":100}}");
    ck_assert(bell_rang(bell, WAIT_MAX_US));
    live(&done, server, &ask);
    ck_assert_int_eq(done, 0);
    ck_assert_str_eq(answered(&ask, &answer), "join");
    learn_answer(believed, &answer, room_id, "state");
    ck_assert_ptr_nonnull(apr_hash_get(believed, "m.room.create ", APR_HASH_KEY_STRING));
    ck_assert_str_eq(apr_hash_get(believed, "m.room.power_levels ", APR_HASH_KEY_STRING), demoted);
    ck_assert_str_eq(apr_hash_get(believed, "m.room.member @b:h", APR_HASH_KEY_STRING), base);
    ask.since = answer.position;
    /* the others learn it from the state, for no event of the timeline says so */
    ck_assert_str_eq(answered(&other, &answer), "join");
    ck_assert_ptr_nonnull(strstr(ids_of(state_of(&answer, "state")), base));
    ck_assert_int_eq(mx_json_get_int(mx_json_get(joined(&answer, room_id), "summary"), "m.joined_member_count", -1), 3);
    /* and he hears the room, live */
    topic = SAY(room_id, "@creator:h", "welcome back");
    answer = live(&done, server, &ask);
    ck_assert_int_eq(done, 1);
    ck_assert_str_eq(told(&answer), IDS(topic, " "));
    mx_sync_stop(server);
}
END_TEST

START_TEST(user_put_out_by_a_resolution_may_read_what_was_before_it)
{
    const char *base, *said;
    mx_room_reader_t *reader;
    mx_event_row_t *row;
    mx_who_t *b;
    fresh_room();
    b = who_is("@b:h");
    homeserver_send(server, room_id, "@b:h", "m.room.member", "@b:h", "{\"membership\":\"leave\"}");
    base = head();
    join(room_id, "@b:h");
    said = SAY(room_id, "@b:h", "here");
    /* the door was closed while he came in: his leave is the last word */
    comes(base, "@creator:h", "m.room.join_rules", "", "{\"join_rule\":\"invite\"}");
    {
        mx_membership_e now;
        ck_assert_ptr_null(mx_room_membership(&now, server, room_now(), "@b:h", pool));
        ck_assert_int_eq(now, MX_MEMBERSHIP_LEAVE);
    }
    ck_assert_ptr_null(mx_room_reader_open(&reader, server, b, room_id, pool));
    ck_assert_ptr_null(mx_room_reader_event(&row, reader, said, pool));
    said = SAY(room_id, "@creator:h", "alone");
    ck_assert_ptr_null(mx_room_reader_open(&reader, server, b, room_id, pool));
    ck_assert_int_lt(reader->upto_ord, row_of(said)->ord);
    ck_assert_int_ge(reader->upto_ord, row_of(base)->ord + 2);
}
END_TEST

/* ---- many clients, much chance ---- */

static unsigned dice_state;

static int dice(int sides)
{
    dice_state = dice_state * 1664525u + 1013904223u;
    return (int)(dice_state >> 8) % sides;
}

/** One who syncs now and then, and what it believes. */
typedef struct client_t {
    mx_sync_ask_t ask;
    int open;                        /* its timeline is not filtered: it misses nothing without being told */
    apr_hash_t *believed;            /* type and key: event id */
    apr_int64_t last_ord;
    const char *where;               /* section of the room, as it was told last */
} client_t;

/** What the room's state at a position says is what the client believes. What was taken out of it nobody can tell. */
static void check_believed(const client_t *client)
{
    apr_int64_t snap, room_nid = room_now()->nid;
    mx_state_item_t *items;
    apr_int64_t *nids;
    mx_event_row_t *rows = NULL;
    int i, n, nrows = 0;
    ck_assert_int_eq(mx_store_state_at(&snap, server->store, &room_nid, 1, client->ask.since, pool), APR_SUCCESS);
    ck_assert_int_eq(mx_store_state_load(&items, &n, server->store, snap, pool), APR_SUCCESS);
    nids = apr_palloc(pool, sizeof(*nids) * (apr_size_t)(n + 1));
    for (i = 0; i < n; i++)
        nids[i] = items[i].nid;
    ck_assert_int_eq(mx_store_event_by_nids(&rows, &nrows, server->store, nids, n, pool), APR_SUCCESS);
    for (i = 0; i < nrows; i++) {
        const mx_json_t *pdu = unit_json(mx_slice_dup(rows[i].pdu, pool));
        const char *key = apr_pstrcat(pool, mx_json_get_str(pdu, "type"), " ", mx_json_get_str(pdu, "state_key"), NULL);
        const char *believed = apr_hash_get(client->believed, key, APR_HASH_KEY_STRING);
        ck_assert_msg(mx_str_eq(believed, mx_store_event_id_unpack(rows[i].id, pool)), "%s is %s, and %s is believed, at %ld", key,
                      mx_store_event_id_unpack(rows[i].id, pool), believed ? believed : "nothing", (long)client->ask.since);
    }
}

/** The ids of all that the timeline shows between two positions, oldest first. */
static const char *shown(apr_int64_t after, apr_int64_t upto, int *pn)
{
    mx_event_row_t *rows;
    const char *out = "";
    int i;
    ck_assert_int_eq(mx_store_event_range(&rows, pn, server->store, room_now()->nid, after, upto, MX_DIR_FORWARD, 10000, pool),
                     APR_SUCCESS);
    for (i = 0; i < *pn; i++)
        out = apr_pstrcat(pool, out, mx_store_event_id_unpack(rows[i].id, pool), " ", NULL);
    return out;
}

static int has_gap(apr_int64_t after, apr_int64_t upto)
{
    return (int)database_number(apr_psprintf(pool, "select count(*) from gap where ord > %" APR_INT64_T_FMT " and ord <= %" APR_INT64_T_FMT,
                                             after, upto));
}

/** Every event once and in order; what is left out is what lies before prev_batch, and that is said. */
static void check_timeline(client_t *client, const mx_sync_answer_t *answer, apr_int64_t since)
{
    mx_json_t *events = timeline(answer, room_id);
    const char *got = told(answer), *all;
    apr_int64_t prev = since < 0 ? 0 : since, ord;
    apr_size_t i;
    int n = 0;
    for (i = 0; i < mx_json_len(events); i++) {
        ord = row_of(mx_json_get_str(mx_json_at(events, i), "event_id"))->ord;
        ck_assert_int_gt(ord, client->last_ord);
        client->last_ord = ord;
    }
    if (!client->open)
        return;
    if (limited(answer) == 1)
        ck_assert(mx_sync_token_read(&prev, prev_batch(answer)));
    all = shown(prev, answer->position, &n);
    ck_assert_str_eq(got, all);
    ck_assert_int_eq(has_gap(prev + 1, answer->position), 0);
    if (limited(answer) != 1)
        ck_assert_int_eq(has_gap(prev, answer->position), 0);
}

static void check_where(client_t *client)
{
    apr_int64_t snap, room_nid = room_now()->nid;
    mx_membership_e is;
    ck_assert_int_eq(mx_store_state_at(&snap, server->store, &room_nid, 1, client->ask.since, pool), APR_SUCCESS);
    ck_assert_ptr_null(mx_room_facts_membership(&is, server, &snap, 1, client->ask.who->user_id, pool));
    ck_assert_msg((is == MX_MEMBERSHIP_JOIN) == (strcmp(client->where, "join") == 0), "%s is told %s and is %d", client->ask.who->user_id,
                  client->where, is);
}

/** The answer without the room's summary, and whose keys are to be forgotten: the database tells them more often than need be. */
static const char *text_without_hints(const mx_sync_answer_t *answer)
{
    mx_json_t *body = unit_json(text_without_ages(answer));
    mx_json_t *room = mx_json_get(mx_json_get(mx_json_get(body, "rooms"), "join"), room_id);
    mx_buf_t *text = mx_buf_create(pool);
    if (room)
        mx_json_del(room, "summary");
    mx_json_del(mx_json_get(body, "device_lists"), "left");
    mx_json_write_canonical(text, body);
    return mx_slice_dup(mx_buf_slice(text), pool);
}

/** From the ring, if that can say it; then the database says the same. */
static mx_sync_answer_t ask_again(client_t *client, int *plive)
{
    mx_sync_answer_t answer, whole;
    int done = 0;
    if (client->ask.since >= 0) {
        mx_sync_ask_t ask = client->ask;
        answer = live(&done, server, &ask);
    }
    whole = full(server, &client->ask);
    if (!done)
        return whole;
    if (whole.position == answer.position)
        ck_assert_str_eq(text_without_hints(&answer), text_without_hints(&whole));
    (*plive)++;
    return answer;
}

static void turn_of(client_t *client, int *plive)
{
    apr_int64_t since = client->ask.since;
    mx_sync_answer_t answer = ask_again(client, plive);
    const char *at = section(&answer);
    client->ask.since = client->ask.acked = answer.position;
    if (strcmp(at, "none") != 0)
        client->where = at;
    check_where(client);
    if (strcmp(client->where, "join") != 0)
        return;
    learn_answer(client->believed, &answer, room_id, client->ask.use_state_after ? "state_after" : "state");
    check_believed(client);
    if (client->ask.who == creator)
        check_timeline(client, &answer, since);
}

/** Something happens in the room. Whoever may not do it is refused, and nothing happens. */
static void happen(apr_array_header_t *ids, int turn)
{
    static const char *const types[] = { "m.room.topic", "m.room.name", "x.y" }, *const state_keys[] = { "", "", "k" };
    static const char *const senders[] = { "@u:far", "@creator:h", "@b:h" };
    const char *prev = APR_ARRAY_IDX(ids, ids->nelts - 1 - dice(ids->nelts < 5 ? ids->nelts : 5), const char *);
    const char *sender = senders[dice(3)], *id = NULL, *content = apr_psprintf(pool, "{\"n\":%d}", turn);
    int what = dice(10), kind = dice(3);
    mx_event_t *event = NULL;
    if (what == 0)
        homeserver_try(&id, server, room_id, "@b:h", "m.room.member", "@b:h",
                       apr_psprintf(pool, "{\"membership\":\"%s\"}", dice(3) ? "join" : "leave"));
    else if (what <= 2)
        homeserver_try(&id, server, room_id, sender[1] == 'u' ? "@b:h" : sender, "m.room.message", NULL, content);
    else if (what == 3)
        homeserver_try(&id, server, room_id, "@creator:h", types[kind], state_keys[kind], content);
    else if (what == 4)
        event = make_after(prev, "@creator:h", "m.room.power_levels", "",
                           apr_psprintf(pool, "{\"users\":{\"@creator:h\":100,\"@u:far\":%d}}", dice(3) ? 50 : 0));
    else if (what == 5)
        event = make_after(prev, "@u:far", "m.room.member", "@b:h", dice(2) ? "{\"membership\":\"ban\"}" : "{\"membership\":\"leave\"}");
    else if (what <= 7)
        event = make_after(prev, sender, types[kind], state_keys[kind], content);
    else
        event = make_after(prev, sender, "m.room.message", NULL, content);
    if (event && !mx_room_accept_pdu(&last, server, room_id, event->pdu, keys, NULL, pool) && last.outcome == MX_PDU_STORED)
        id = event->event_id;
    if (id)
        APR_ARRAY_PUSH(ids, const char *) = id;
}

#define TURNS 100

/** The story of a room, by its seed. */
static void story(unsigned seed)
{
    static const struct { const char *filter; int after, open; } kinds[] = {
        { "{}", 0, 1 }, { "{}", 1, 1 }, { "{\"room\":{\"timeline\":{\"limit\":3}}}", 0, 1 },
        { "{\"room\":{\"timeline\":{\"limit\":3}}}", 1, 1 }, { "{\"room\":{\"timeline\":{\"types\":[\"m.room.message\"]}}}", 0, 0 },
        { "{\"room\":{\"timeline\":{\"not_senders\":[\"@u:far\"]}}}", 0, 0 }, { "{\"room\":{\"timeline\":{\"types\":[]}}}", 1, 0 } };
    client_t clients[UNIT_COUNT(kinds) + 1];
    apr_array_header_t *ids = apr_array_make(pool, TURNS, sizeof(const char *));
    apr_int64_t outlier = 0;
    int i, turn, lives = 0;
    dice_state = seed;
    fresh_room();
    for (i = 0; i < UNIT_COUNT(clients); i++) {
        int own = i == UNIT_COUNT(kinds);
        clients[i] = (client_t){ .ask = ask_of(own ? who_is("@b:h") : creator, MX_SYNC_INITIAL), .believed = apr_hash_make(pool), .where = "none" };
        if (own) continue;
        clients[i].ask.filter = filter_of(kinds[i].filter);
        clients[i].ask.use_state_after = kinds[i].after;
        clients[i].open = kinds[i].open;
    }
    follow(server, creator, mx_filter_default());
    follow(server, clients[UNIT_COUNT(kinds)].ask.who, mx_filter_default());
    APR_ARRAY_PUSH(ids, const char *) = head();
    for (turn = 0; turn < TURNS; turn++) {
        if (dice(12) == 0)
            gap_trigger(1);
        happen(ids, turn);
        gap_trigger(0);
        if (outlier && dice(3) == 0) {
            place(outlier);
            outlier = 0;
        } else if (!outlier && dice(8) == 0)
            outlier = store_outlier(make_after(head(), "@u:far", "m.room.message", NULL, apr_psprintf(pool, "{\"late\":%d}", turn)));
        for (i = 0; i < UNIT_COUNT(clients); i++)
            if (dice(1 + i % 4) == 0) turn_of(&clients[i], &lives);
    }
    for (i = 0; i < UNIT_COUNT(clients); i++)
        turn_of(&clients[i], &lives);
    ck_assert_int_gt(lives, TURNS / 8);
    ck_assert_int_gt(database_number("select count(*) from gap"), 0);
    mx_sync_stop(server);
}

#define STORIES 2

START_TEST(clients_know_a_forked_room_and_miss_nothing_unsaid)
{
    const char *chosen = getenv("MX_SEED");
    int seed;
    for (seed = 1; !chosen && seed <= STORIES; seed++)
        story((unsigned)seed);
    if (chosen)
        story((unsigned)atoi(chosen));
}
END_TEST

DATABASE_MAIN("sync_forks", late_event_is_told_once_at_its_position_to_everybody, late_event_ends_the_quiet,
              timeline_begins_at_the_newest_gap_and_says_so, gap_is_told_even_if_the_filter_refuses_what_follows_it,
              ring_leaves_a_gap_to_the_database,
              client_believes_the_topic_that_won_whichever_came_first, user_whom_a_resolution_puts_out_or_in_is_told,
              user_put_out_by_a_resolution_may_read_what_was_before_it, clients_know_a_forked_room_and_miss_nothing_unsaid)
