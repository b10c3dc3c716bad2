/* SPDX-License-Identifier: Apache-2.0 */
/* Unread counts in memory: the same as those of the database after any history, and without asking it. */
#include "syncing.h"

#include "store/account_data.h"
#include "sync/tally.h"

#define FILTER "{\"room\":{\"timeline\":{\"unread_thread_notifications\":true,\"limit\":60}}}"
#define STEPS 220
#define READERS 5
#define ROOMS 2
#define EVENTS_MAX 1000

static lender_t *lender;                /* of `server`: counts what answers ask of the database */
static mx_server_t *other;              /* a child that has no ring: the database answers */

static void fresh_counted(void)
{
    homeserver_reset();
    server = homeserver_child(&lender, pool);
    ck_assert_int_eq(mx_sync_init(server), APR_SUCCESS);
    other = child();
}

static void set_data(const mx_who_t *who, const char *type, const char *content)
{
    ck_assert_int_eq(mx_store_account_data_put(server->store, who->user_nid, 0, type, mx_slice_str(content), pool), APR_SUCCESS);
    mx_server_stream_moved(server);
}

/* ---- a random history ---- */

typedef struct said_t {
    const char *id, *thread;
    int room;
} said_t;

static struct {
    unsigned long seed;
    mx_who_t *readers[READERS];
    mx_sync_ask_t ask[READERS];
    int joined[READERS][ROOMS];
    const char *rooms[ROOMS];
    said_t said[EVENTS_MAX];
    int nsaid;
} h;

static int pick(int n)
{
    h.seed = h.seed * 6364136223846793005UL + 1442695040888963407UL;
    return (int)((h.seed >> 33) % (unsigned long)n);
}

static void note(int room, const char *id, const char *thread)
{
    ck_assert_int_lt(h.nsaid, EVENTS_MAX);
    h.said[h.nsaid++] = (said_t){ id, thread, room };
}

static const char *relation(const char *rel_type, const char *event_id)
{
    return apr_psprintf(pool, "\"m.relates_to\":{\"rel_type\":\"%s\",\"event_id\":\"%s\"}", rel_type, event_id);
}

static const char *some_mentions(void)
{
    switch (pick(5)) {
    case 0: return ",\"m.mentions\":{\"room\":true}";
    case 1: return apr_psprintf(pool, ",\"m.mentions\":{\"user_ids\":[\"%s\",\"%s\"]}", h.readers[pick(READERS)]->user_id,
                                h.readers[pick(READERS)]->user_id);
    default: return "";
    }
}

static void say(void)
{
    static const char *const types[] = { "m.room.encrypted", "m.call.invite", "m.reaction", "x.y", "org.matrix.dummy_event" };
    int room = pick(ROOMS), reader = pick(READERS * 3);
    const char *sender = reader < READERS && h.joined[reader][room] ? h.readers[reader]->user_id : "@creator:h";
    const char *type = pick(3) ? "m.room.message" : types[pick(UNIT_COUNT(types))], *text = pick(4) ? "m.text" : "m.notice", *more = "",
               *thread = NULL;
    int parent = pick(h.nsaid);
    if (h.said[parent].room == room && !h.said[parent].thread && pick(2)) {
        thread = h.said[parent].id;
        more = apr_pstrcat(pool, ",", relation("m.thread", thread), NULL);
    } else if (h.said[parent].room == room && !pick(4))
        more = apr_pstrcat(pool, ",\"m.new_content\":{},", relation("m.replace", h.said[parent].id), NULL);
    note(room, homeserver_send(server, h.rooms[room], sender, type, NULL,
                               apr_psprintf(pool, "{\"body\":\"word %d\",\"msgtype\":\"%s\"%s%s}", pick(9), text, more, some_mentions())),
         thread);
}

static void send_state(void)
{
    const char *content = apr_psprintf(pool, "{\"topic\":\"%d\",\"replacement_room\":\"!x:h\",\"body\":\"\"}", pick(1000000));
    homeserver_send(server, h.rooms[pick(ROOMS)], "@creator:h", pick(3) ? "m.room.topic" : "m.room.tombstone", "", content);
}

static void read_some(void)
{
    const said_t *said = &h.said[h.nsaid - 1 - pick(h.nsaid < 30 ? h.nsaid : 30)];
    int reader = pick(READERS);
    mx_sync_receipt_t receipt = { pick(2) ? "m.read" : "m.read.private", said->id, NULL };
    if (!h.joined[reader][said->room])
        return;
    if (pick(2))
        receipt.thread_id = said->thread ? said->thread : "main";
    mx_sync_receipts_put(server, h.readers[reader], h.rooms[said->room], &receipt, 1, pool);
}

static void redact(void)
{
    const said_t *said = &h.said[h.nsaid - 1 - pick(h.nsaid < 20 ? h.nsaid : 20)];
    mx_room_draft_t draft = { .sender = "@creator:h", .type = "m.room.redaction", .redacts = said->id };
    const char *id;
    draft.content = unit_json(apr_psprintf(pool, "{\"redacts\":\"%s\"}", said->id));
    mx_room_send(&id, server, h.rooms[said->room], &draft, 1, pool);
}

static void change_rules(void)
{
    const char *rules[] = {
        "{}",
        apr_psprintf(pool, "{\"global\":{\"room\":[{\"rule_id\":\"%s\",\"default\":false,\"enabled\":true,\"actions\":[]}]}}", h.rooms[0]),
        apr_psprintf(pool, "{\"global\":{\"room\":[{\"rule_id\":\"%s\",\"default\":false,\"enabled\":true,\"actions\":[\"notify\"]}]}}",
                     h.rooms[1]),
        "{\"global\":{\"underride\":[{\"rule_id\":\".m.rule.message\",\"default\":true,\"enabled\":false,\"actions\":[\"notify\"]}]}}",
        "{\"global\":{\"override\":[{\"rule_id\":\"few\",\"default\":false,\"enabled\":true,\"actions\":[],"
        "\"conditions\":[{\"kind\":\"room_member_count\",\"is\":\"<6\"}]}]}}",
        "{\"global\":{\"content\":[{\"rule_id\":\"word\",\"pattern\":\"word 3\",\"default\":false,\"enabled\":true,"
        "\"actions\":[\"notify\",{\"set_tweak\":\"highlight\"}]}]}}",
    };
    set_data(h.readers[pick(READERS)], "m.push_rules", rules[pick(UNIT_COUNT(rules))]);
}

static void change_ignored(void)
{
    static const char *const ids[] = { "@nobody:far", "@creator:h", "@r0:h", "@r1:h", "@r2:h" };
    set_data(h.readers[pick(READERS)], "m.ignored_user_list",
             pick(2) ? "{\"ignored_users\":{}}" : apr_psprintf(pool, "{\"ignored_users\":{\"%s\":{}}}", ids[pick(UNIT_COUNT(ids))]));
}

static void change_membership(void)
{
    int reader = pick(READERS), room = pick(ROOMS), is = h.joined[reader][room];
    const char *id = h.readers[reader]->user_id;
    if (is && pick(2)) {
        homeserver_send(server, h.rooms[room], id, "m.room.member", id,
                        apr_psprintf(pool, "{\"membership\":\"join\",\"displayname\":\"%d\"}", pick(1000000)));
        return;
    }
    homeserver_send(server, h.rooms[room], id, "m.room.member", id, is ? "{\"membership\":\"leave\"}" : "{\"membership\":\"join\"}");
    h.joined[reader][room] = !is;
}

/** Rooms are told for this alone, and their counts with it. */
static void tag_or_type(void)
{
    int reader = pick(READERS), room = pick(ROOMS);
    mx_room_t *view;
    ck_assert(!mx_room_get(&view, server, h.rooms[room], 0, pool));
    if (pick(2))
        ck_assert(!mx_sync_account_data_put(server, h.readers[reader], view->nid, "x.y", unit_json("{}"), pool));
    else if (h.joined[reader][room])
        ck_assert(!mx_sync_typing_set(server, h.readers[reader], h.rooms[room], 60000, pool));
}

static void happen(void)
{
    int what = pick(42);
    if (what < 27) say();
    else if (what < 32) read_some();
    else if (what < 33) redact();
    else if (what < 35) change_rules();
    else if (what < 37) change_ignored();
    else if (what < 38) change_membership();
    else if (what < 40) tag_or_type();
    else send_state();
}

static void begin(unsigned long seed)
{
    int i, k;
    memset(&h, 0, sizeof(h));
    h.seed = seed;
    for (k = 0; k < ROOMS; k++) {
        h.rooms[k] = homeserver_room(server, "11", "public");
        note(k, SAY(h.rooms[k], "@creator:h", "first"), NULL);
    }
    for (i = 0; i < READERS; i++) {
        h.readers[i] = who_is(apr_psprintf(pool, "@r%d:h", i));
        for (k = 0; k < ROOMS; k++) {
            join(h.rooms[k], h.readers[i]->user_id);
            h.joined[i][k] = 1;
        }
        h.ask[i] = (mx_sync_ask_t){ .who = h.readers[i], .filter = filter_of(FILTER), .patient = 1 };
    }
    for (i = 0; i < READERS; i++) h.ask[i].since = h.ask[i].acked = follow(server, h.readers[i], h.ask[i].filter);
}

static void same(const mx_sync_answer_t *ours, const mx_sync_answer_t *truth, int step, int reader)
{
    const char *a = text_without_ages(ours), *b = text_without_ages(truth);
    int i = 0;
    while (a[i] && a[i] == b[i]) i++;
    ck_assert_msg(a[i] == b[i], "step %d, reader %d: …%.300s\nis not\n%.300s", step, reader, a + (i > 150 ? i - 150 : 0),
                  b + (i > 150 ? i - 150 : 0));
}

/** What the ring and memory say is what another child reads, which remembers nothing. 1: they said it without a query. */
static int check(int reader, int step)
{
    mx_sync_ask_t *ask = &h.ask[reader];
    mx_sync_answer_t ours, truth;
    long before;
    int done = 0, free_of_queries;
    ours = live(&done, server, ask);             /* the first asks for the position */
    before = lender_lent(lender);
    ck_assert(!mx_sync_live_answer(&ours, &done, server, ask, 0, pool));
    free_of_queries = done && lender_lent(lender) == before;
    truth = full(other, ask);
    if (done)
        same(&ours, &truth, step, reader);
    else
        ours = full(server, ask);            /* which is remembered as well */
    ask->since = ask->acked = ours.position;
    return free_of_queries;
}

static void run_history(unsigned long seed)
{
    int step, free_of_queries = 0;
    fresh_counted();
    begin(seed);
    for (step = 0; step < STEPS; step++) {
        int n = 1 + pick(3);
        while (n--) happen();
        free_of_queries += check(pick(READERS), step);
    }
    for (step = 0; step < READERS; step++) check(step, STEPS + step);
    ck_assert_int_gt(free_of_queries, STEPS / 5);
    mx_sync_stop(server);
}

START_TEST(counts_from_memory_are_those_of_the_database_in_a_random_history)
{
    run_history(7);
}
END_TEST

START_TEST(counts_from_memory_are_those_of_the_database_in_another_history)
{
    const char *seed = getenv("MX_TEST_SEED");
    run_history(seed ? strtoul(seed, NULL, 10) : 20261124);
}
END_TEST

/* ---- what it costs ---- */

#define MANY 30

static struct {
    mx_sync_ask_t ask[MANY];
    const char *room;
} crowd;

static void gather(const mx_filter_t *filter)
{
    const char *type;
    int i, nid = 0;
    crowd.room = homeserver_room(server, "11", "public");
    /* names of types are looked up once in a child's life */
    ck_assert_int_eq(mx_server_type_nid(&nid, server, "m.room.message", pool), APR_SUCCESS);
    ck_assert_int_eq(mx_server_type_name(&type, server, nid, pool), APR_SUCCESS);
    for (i = 0; i < MANY; i++) {
        crowd.ask[i] = (mx_sync_ask_t){ .who = who_is(apr_psprintf(pool, "@m%d:h", i)), .since = MX_SYNC_INITIAL, .filter = filter,
                                        .patient = 1 };
        join(crowd.room, crowd.ask[i].who->user_id);
    }
    for (i = 0; i < MANY; i++) crowd.ask[i].since = crowd.ask[i].acked = follow(server, crowd.ask[i].who, filter);
}

/** Everybody's answer of the ring; how many queries that took. Each tells `count` unread, and the one at `but` tells `his`. */
static long wake_all(int count, int but, int his)
{
    mx_sync_answer_t answer;
    long before;
    int i, done;
    live(&done, server, &(mx_sync_ask_t){ .who = crowd.ask[0].who, .since = -1, .filter = crowd.ask[0].filter });
    before = lender_lent(lender);
    for (i = 0; i < MANY; i++) {
        const mx_json_t *counts;
        ck_assert(!mx_sync_live_answer(&answer, &done, server, &crowd.ask[i], 0, pool));
        ck_assert_msg(done, "client %d is not answered by the ring", i);
        counts = mx_json_get(joined(&answer, crowd.room), "unread_notifications");
        ck_assert_msg(mx_json_get_int(counts, "notification_count", -1) == (i == but ? his : count), "client %d: %s", i,
                      text_without_ages(&answer));
        crowd.ask[i].since = crowd.ask[i].acked = answer.position;
    }
    return lender_lent(lender) - before;
}

START_TEST(message_to_many_clients_costs_no_query_per_client)
{
    const mx_filter_t *filter = filter_of("{}");
    const char *event_id = NULL;
    int i;
    fresh_counted();
    gather(filter);
    for (i = 1; i <= 3; i++) {
        event_id = SAY(crowd.room, "@creator:h", "hello");
        ck_assert_int_eq(wake_all(i, -1, 0), 0);
    }
    {
        /* who reads, counts anew: he alone */
        mx_sync_receipt_t receipt = { "m.read", event_id, NULL };
        ck_assert(!mx_sync_receipts_put(server, crowd.ask[4].who, crowd.room, &receipt, 1, pool));
    }
    ck_assert_int_eq(wake_all(3, 4, 0), 1);
    SAY(crowd.room, "@m4:h", "who writes has read");
    ck_assert_int_eq(wake_all(4, 4, 0), 0);
    /* who wants to hear of nothing: his rules are read, and his rooms counted by them */
    set_data(crowd.ask[4].who, "m.push_rules",
             "{\"global\":{\"override\":[{\"rule_id\":\".m.rule.master\",\"default\":true,\"enabled\":true,\"actions\":[]}]}}");
    SAY(crowd.room, "@creator:h", "not for him");
    ck_assert_int_eq(wake_all(5, 4, 0), 2);
    SAY(crowd.room, "@creator:h", "nor this");
    ck_assert_int_eq(wake_all(6, 4, 0), 0);
    mx_sync_stop(server);
}
END_TEST

/* ---- what the ring knows ---- */

static mx_sync_batch_t *one(mx_sync_ring_t *ring, apr_int64_t position, mx_sync_kind_e kind, apr_int64_t room, apr_int64_t user)
{
    mx_sync_batch_t *batch = mx_sync_batch_create(ring->head, position, 1);
    batch->n = 1;
    batch->entries[0] = (mx_sync_entry_t){ .kind = kind, .position = position, .room_nid = room, .user_nid = user, .type = "m.read" };
    return batch;
}

START_TEST(ring_never_calls_settled_what_was_touched)
{
    enum { ROOM = 40, USER = 3000, ENTRIES = 300000 };
    mx_sync_ring_t ring = { .max_entries = 500, .max_bytes = 100000000 };
    static apr_int64_t read_at[USER + 1][ROOM + 1], said_at[ROOM + 1];
    const mx_sync_entry_t *events[8];
    int i, sure = 0, n;
    h.seed = 3;
    mx_sync_ring_reset(&ring, 10);
    for (i = 11; i < ENTRIES; i++) {
        int room = 1 + pick(ROOM), user = 1 + pick(USER), says = !pick(50);
        apr_int64_t since = i - pick(pick(4) ? 2000 : ENTRIES), newest;
        mx_sync_ring_append(&ring, one(&ring, i, says ? MX_ENTRY_EVENT : MX_ENTRY_RECEIPT, room, user));
        if (says) said_at[room] = i;
        else read_at[user][room] = i;
        room = 1 + pick(ROOM);
        user = 1 + pick(USER);
        if (mx_sync_ring_is_settled(&ring, user, room, since)) {
            sure++;
            ck_assert_msg(read_at[user][room] <= since, "%d: read at %ld, asked since %ld", i, (long)read_at[user][room], (long)since);
        }
        n = mx_sync_ring_events(events, &ring, room, since, UNIT_COUNT(events));
        if (n < 0)
            continue;
        newest = n ? events[0]->position : 0;
        ck_assert(newest == (said_at[room] > since ? said_at[room] : 0));
        while (n-- > 0) ck_assert(events[n]->room_nid == room && events[n]->position > since);
    }
    ck_assert_int_gt(sure, ENTRIES / 3);
    ck_assert_int_le(ring.last.now.count + ring.last.before.count, 2 * MX_SYNC_LAST_MAX);
    mx_sync_ring_reset(&ring, 0);
    ck_assert_int_eq((int)ring.events.count, 0);
}
END_TEST

/* CS-API: push rules: content rules. What the ring holds of an event is enough to judge it. */
START_TEST(keyword_rules_cost_no_query_per_client_either)
{
    static const char rules[] = "{\"global\":{\"content\":[{\"rule_id\":\"ping\",\"pattern\":\"ping\",\"default\":false,\"enabled\":true,"
        "\"actions\":[\"notify\",{\"set_tweak\":\"highlight\"}]}],"
        "\"underride\":[{\"rule_id\":\".m.rule.message\",\"default\":true,\"enabled\":false,\"actions\":[\"notify\"]}]}}";
    const char *event_id;
    int i;
    fresh_counted();
    gather(filter_of("{}"));
    for (i = 0; i < MANY; i++) set_data(crowd.ask[i].who, "m.push_rules", rules);
    SAY(crowd.room, "@creator:h", "counted by the database");
    ck_assert_int_gt(wake_all(0, -1, 0), 0);
    SAY(crowd.room, "@creator:h", "ping pong");
    ck_assert_int_eq(wake_all(1, -1, 0), 0);
    SAY(crowd.room, "@creator:h", "pings are no ping, says the glob");
    ck_assert_int_eq(wake_all(2, -1, 0), 0);
    event_id = SAY(crowd.room, "@creator:h", "pingpong");
    ck_assert_int_eq(wake_all(2, -1, 0), 0);
    {
        mx_sync_receipt_t receipt = { "m.read", event_id, NULL };
        ck_assert(!mx_sync_receipts_put(server, crowd.ask[4].who, crowd.room, &receipt, 1, pool));
    }
    ck_assert_int_eq(wake_all(2, 4, 0), 1);
    mx_sync_stop(server);
}
END_TEST

DATABASE_MAIN("tally", counts_from_memory_are_those_of_the_database_in_a_random_history,
              counts_from_memory_are_those_of_the_database_in_another_history, message_to_many_clients_costs_no_query_per_client,
              ring_never_calls_settled_what_was_touched,
              keyword_rules_cost_no_query_per_client_either)
