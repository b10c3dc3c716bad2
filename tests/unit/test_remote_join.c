/* SPDX-License-Identifier: Apache-2.0 */
/* Rooms that we come into through another server: its answer to send_join becomes the room. SS-API: joining rooms. */
#include "other_server.h"

#include "room/receive.h"
#include "room/remote_join.h"

static mx_room_remote_joined_t got;
static const char *const versions[] = { "1", "2", "3", "4", "5", "6", "7", "8", "9", "10", "11", "12" };

/** What the other server answers; tests change it. */
static mx_slice_t state[8000], auth[8000];
static mx_room_remote_t answer;

/** A room of @u:far with some history, of that version. */
static far_line_t *far_room(const char *version, int members)
{
    far_line_t *line = far_line(mx_room_version_find(version));
    int i;
    if (!line->version->room_id_is_create_hash)
        line->room_id = "!room:far";
    far_add(line, "@u:far", "m.room.create", "", apr_psprintf(pool, "{\"creator\":\"@u:far\",\"room_version\":\"%s\"}", version));
    far_member(line, "@u:far", "join");
    far_add(line, "@u:far", "m.room.power_levels", "",
            line->version->privileged_creators ? "{\"users\":{}}" : "{\"users\":{\"@u:far\":100}}");
    far_add(line, "@u:far", "m.room.join_rules", "", "{\"join_rule\":\"public\"}");
    far_add(line, "@u:far", "m.room.history_visibility", "", "{\"history_visibility\":\"shared\"}");
    far_add(line, "@u:far", "m.room.topic", "", "{\"topic\":\"old\"}");
    far_add(line, "@u:far", "m.room.topic", "", "{\"topic\":\"new\"}");
    for (i = 0; i < members; i++)
        far_member(line, apr_psprintf(pool, "@m%d:far", i), "join");
    for (i = 6; i < members; i += 7)
        far_member(line, apr_psprintf(pool, "@m%d:far", i), "leave");
    room_id = line->room_id;
    return line;
}

/** What send_join would be answered on that line, for a join of `user`; newest first, which is no order to store them in. */
static mx_event_t *ask(far_line_t *line, const char *user)
{
    mx_event_t *join = far_make(line, user, "m.room.member", user, "{\"membership\":\"join\"}", NULL);
    apr_hash_index_t *hi;
    int i;
    memset(&answer, 0, sizeof(answer));
    for (i = 0; i < line->n; i++)
        state[i] = line->state[line->n - 1 - i]->pdu;
    for (hi = apr_hash_first(pool, far_events); hi; hi = apr_hash_next(hi)) {
        void *value;
        const mx_event_t *event;
        apr_hash_this(hi, NULL, NULL, &value);
        event = ((far_event_t *)value)->event;
        if (event->state_key && far_state(line, event->type, event->state_key) != event)
            auth[answer.nauth++] = event->pdu;
    }
    answer.room_id = line->room_id;
    answer.version = line->version->name;
    answer.state = state;
    answer.nstate = line->n;
    answer.auth = auth;
    answer.join = join->pdu;
    answer.key = far_keys;
    return join;
}

static void join(void)
{
    const mx_error_t *err = mx_room_remote_join(&got, server, &answer, pool);
    ck_assert_msg(err == NULL, "%s: %s / %s / %s", answer.version, err ? err->message : "",
                  err && err->detail ? err->detail : "", got.why ? got.why->message : "");
}

static mx_errcode_e refusal(void)
{
    const mx_error_t *err = mx_room_remote_join(&got, server, &answer, pool);
    ck_assert_ptr_nonnull(err);
    ck_assert_ptr_null(got.event_id);
    return err->code;
}

static mx_event_row_t *row_of(const char *event_id)
{
    mx_event_row_t *row;
    ck_assert_int_eq(mx_store_event_by_id(&row, server->store, event_id, pool), APR_SUCCESS);
    return row;
}

/** Nothing of a room is to be seen. */
static void check_no_room(void)
{
    ck_assert_int_eq(database_number("select count(*) from event where flags & 4 = 0"), 0);
    ck_assert_int_eq(database_number("select count(*) from member"), 0);
    ck_assert_int_eq(database_number("select count(*) from cur_state"), 0);
    ck_assert_int_eq(database_number("select count(*) from room where snap_nid is not null or heads <> '{}'"), 0);
}

START_TEST(a_room_of_another_server_is_joined_in_every_version)
{
    int v;
    for (v = 0; v < UNIT_COUNT(versions); v++) {
        far_line_t *line;
        mx_event_t *event;
        mx_room_t *room;
        mx_event_row_t *row;
        mx_membership_e membership;
        mx_room_received_t received;
        far_reset();
        line = far_room(versions[v], 10);
        event = ask(line, "@me:h");
        join();
        ck_assert_str_eq(got.event_id, event->event_id);
        ck_assert_int_eq(got.dropped, 0);
        ck_assert_int_eq(got.stored, (int)apr_hash_count(far_events) + 1);
        room = room_now();
        ck_assert_str_eq(room->version->name, versions[v]);
        ck_assert_int_eq(room->priv->nheads, 1);
        ck_assert_int_eq(room->priv->depth, event->depth);
        row = row_of(event->event_id);
        ck_assert_int_eq(row->flags, MX_EVENT_FLAG_STATE | MX_EVENT_FLAG_LOCAL);
        ck_assert_int_eq(row->ord, room->last_stream);
        ck_assert_int_eq(row->snap_after, room->snap_nid);
        ck_assert_int_eq(room->priv->heads[0], row->nid);
        ck_assert_int_eq(room->joined, 11);
        ck_assert_ptr_null(mx_room_membership(&membership, server, room, "@me:h", pool));
        ck_assert_int_eq(membership, MX_MEMBERSHIP_JOIN);
        ck_assert_int_eq(database_number("select local_joined from room"), 1);
        ck_assert_int_eq(database_number("select joined from room_server natural join server where name = 'far'"), 10);
        ck_assert_int_eq(database_number("select count(*) from gap"), 1);
        ck_assert_int_eq(database_number("select count(*) from event where flags & 7 = 0"), 1);
        check_mirrors();
        /* from now on it is a room like any other, from both sides */
        homeserver_send(server, room_id, "@me:h", "m.room.message", NULL, "{}");
        line = far_line_of_room();
        ck_assert_ptr_null(mx_room_receive(&received, server, room_id, far_say(line, "hello")->pdu, &far_source,
                                           apr_time_now() + apr_time_from_sec(60), pool));
        ck_assert_int_eq(received.pdu.outcome, MX_PDU_STORED);
        ck_assert_int_eq(room_now()->priv->nheads, 1);
        check_mirrors();
    }
}
END_TEST

/* Several chunks, and members who authorise each other across them. */
static void join_large(const char *version, int members)
{
    apr_time_t from;
    far_line_t *line;
    far_reset();
    line = far_room(version, members);
    ask(line, "@me:h");
    from = apr_time_now();
    join();
    printf("version %s: %d events in %ld ms\n", version, got.stored, (long)apr_time_as_msec(apr_time_now() - from));
    ck_assert_int_eq(got.stored, members + members / 7 + 8);
    ck_assert_int_eq(room_now()->priv->snap_size, line->n + 1);
    ck_assert_int_eq(room_now()->joined, 1 + members - members / 7 + 1);
    check_mirrors();
}

START_TEST(thousands_of_state_events_take_several_chunks)
{
    join_large("11", 3000);
    join_large("12", 1000);
}
END_TEST

START_TEST(a_room_that_was_left_is_joined_again_with_its_new_state)
{
    int v;
    for (v = 0; v < UNIT_COUNT(versions); v += 5) {     /* 1, 6, 11 */
        far_line_t *line;
        mx_event_t *again;
        const mx_event_t *topic;
        mx_membership_e membership;
        apr_int64_t ver;
        far_reset();
        line = far_room(versions[v], 10);
        ask(line, "@me:h");
        join();
        /* a second user of ours needs no other server */
        line = far_line_of_room();
        ask(line, "@you:h");
        ck_assert_int_eq(refusal(), MX_E_BAD_STATE);
        homeserver_send(server, room_id, "@me:h", "m.room.member", "@me:h", "{\"membership\":\"leave\"}");
        ck_assert_int_eq(database_number("select local_joined from room"), 0);
        /* meanwhile, unseen by us */
        line = far_line_of_room();
        far_member(line, "@m0:far", "leave");
        far_member(line, "@new:far", "join");
        far_add(line, "@u:far", "m.room.topic", "", "{\"topic\":\"newest\"}");
        again = ask(line, "@me:h");
        ver = room_now()->ver;
        join();
        ck_assert_str_eq(got.event_id, again->event_id);
        ck_assert_int_eq(room_now()->ver, ver + 1);
        ck_assert_int_eq(room_now()->priv->nheads, 1);
        ck_assert_int_eq(room_now()->priv->heads[0], row_of(again->event_id)->nid);
        ck_assert_int_eq(room_now()->joined, 11);
        ck_assert_int_eq(database_number("select count(*) from room"), 1);
        ck_assert_int_eq(database_number("select count(*) from gap"), 2);
        ck_assert_ptr_null(mx_room_state_get(&topic, server, room_now(), "m.room.topic", "", pool));
        ck_assert_str_eq(mx_json_get_str(mx_event_content(topic), "topic"), "newest");
        ck_assert_ptr_null(mx_room_membership(&membership, server, room_now(), "@m0:far", pool));
        ck_assert_int_eq(membership, MX_MEMBERSHIP_LEAVE);
        check_mirrors();
        ck_assert_int_eq(refusal(), MX_E_BAD_STATE);
    }
}
END_TEST

/* ---- answers that are refused ---- */

static const mx_room_version_t *version_now;

static void lie_unknown_version(far_line_t *line) { (void)line; answer.version = "org.example.none"; }
static void lie_other_version(far_line_t *line) { answer.version = strcmp(line->version->name, "1") == 0 ? "2" : "10"; }
static void lie_no_room_id(far_line_t *line) { (void)line; answer.room_id = "room"; }
static void lie_no_state(far_line_t *line) { (void)line; answer.nstate = 0; }
static void lie_too_much(far_line_t *line) { (void)line; answer.nauth = MX_REMOTE_JOIN_EVENTS_MAX; }
static void lie_join_of_another(far_line_t *line)
{
    answer.join = far_make(line, "@u:far", "m.room.member", "@u:far", "{\"membership\":\"join\"}", NULL)->pdu;
}
static void lie_no_join(far_line_t *line)
{
    answer.join = far_make(line, "@me:h", "m.room.member", "@me:h", "{\"membership\":\"leave\"}", NULL)->pdu;
}
static void lie_unsigned_join(far_line_t *line)
{
    answer.join = far_make(line, "@me:h", "m.room.member", "@me:h", "{\"membership\":\"join\"}", &far_wrong_key)->pdu;
}
static void lie_no_event(far_line_t *line) { (void)line; answer.join = MX_SLICE_LIT("{\"type\":1}"); }
static void lie_no_create(far_line_t *line)
{
    (void)line;
    answer.nstate--;                 /* it is the oldest */
}
static void lie_banned(far_line_t *line)
{
    mx_event_t *event = far_make(line, "@me:h", "m.room.member", "@me:h", "{\"membership\":\"join\"}", NULL);
    far_add(line, "@u:far", "m.room.member", "@me:h", "{\"membership\":\"ban\"}");
    ask(line, "@me:h");
    answer.join = event->pdu;
}
static void lie_twice(far_line_t *line)
{
    far_line_t *other = far_fork(line);
    state[answer.nstate++] = far_add(other, "@u:far", "m.room.topic", "", "{\"topic\":\"other\"}")->pdu;
}
static void lie_message(far_line_t *line) { state[answer.nstate++] = far_say(line, "no state")->pdu; }
static void lie_other_room(far_line_t *line)
{
    far_line_t *other = far_line(line->version);
    int i;
    if (!line->version->room_id_is_create_hash)
        other->room_id = "!other:far";
    far_add(other, "@u:far", "m.room.create", "",
            apr_psprintf(pool, "{\"creator\":\"@u:far\",\"room_version\":\"%s\"}", line->version->name));
    far_member(other, "@u:far", "join");
    for (i = 0; i < other->n; i++)
        state[i] = other->state[i]->pdu;
    answer.nstate = other->n;
    answer.nauth = 0;
}
static void lie_bad_signatures(far_line_t *line)
{
    int i;
    for (i = 0; i < answer.nstate; i++) {
        mx_event_t *bad;
        ck_assert_ptr_null(mx_event_parse(&bad, line->version, state[i], NULL, pool));
        ck_assert_ptr_null(mx_event_sign(bad, "far", far_wrong_key.key_id, &far_wrong_key.key));
        state[i] = bad->pdu;
    }
}

static const struct {
    const char *name;
    void (*lie)(far_line_t *line);
    mx_errcode_e code;
} lies[] = {
    { "a version that nobody knows", lie_unknown_version, MX_E_INCOMPATIBLE_ROOM_VERSION },
    { "another version than the create event's", lie_other_version, MX_E_INCOMPATIBLE_ROOM_VERSION },
    { "no room id", lie_no_room_id, MX_E_INVALID_PARAM },
    { "no state", lie_no_state, MX_E_INVALID_ROOM_STATE },
    { "too many events", lie_too_much, MX_E_INVALID_PARAM },
    { "a join of another server's user", lie_join_of_another, MX_E_INVALID_PARAM },
    { "a leave", lie_no_join, MX_E_INVALID_PARAM },
    { "a join that we have not signed", lie_unsigned_join, MX_E_UNAUTHORIZED },
    { "no event", lie_no_event, MX_E_BAD_JSON },
    { "no create event", lie_no_create, MX_E_INVALID_ROOM_STATE },
    { "a state that bans who joins", lie_banned, MX_E_FORBIDDEN },
    { "two events of one key", lie_twice, MX_E_INVALID_ROOM_STATE },
    { "a message in the state", lie_message, MX_E_INVALID_ROOM_STATE },
    { "the state of another room", lie_other_room, MX_E_INVALID_ROOM_STATE },
    { "bad signatures", lie_bad_signatures, MX_E_INVALID_ROOM_STATE },
};

static void lie_all(const char *version)
{
    int i;
    version_now = mx_room_version_find(version);
    for (i = 0; i < UNIT_COUNT(lies); i++) {
        far_line_t *line;
        mx_errcode_e code;
        far_reset();
        line = far_room(version, 5);
        ask(line, "@me:h");
        lies[i].lie(line);
        code = refusal();
        if (lies[i].lie == lie_other_version && version_now->room_id_is_create_hash)
            ck_assert_int_eq(code, MX_E_INVALID_ROOM_STATE);      /* its create event cannot be read by the other version */
        else
            ck_assert_msg(code == lies[i].code, "%s: %s, not %s", lies[i].name, mx_errcode_wire(code), mx_errcode_wire(lies[i].code));
        check_no_room();
        /* the truth is taken afterwards */
        if (lies[i].lie == lie_banned)
            continue;
        ask(line, "@me:h");
        join();
        check_mirrors();
    }
}

START_TEST(no_lie_makes_a_room)
{
    lie_all("11");
}
END_TEST

START_TEST(no_lie_makes_a_room_whose_id_names_its_create_event)
{
    lie_all("12");
}
END_TEST

START_TEST(no_lie_makes_a_room_where_servers_choose_event_ids)
{
    lie_all("1");
}
END_TEST

/* One in eleven events of a state is unreadable: the rest is the state. */
START_TEST(a_few_lost_events_do_not_keep_us_out)
{
    far_line_t *line;
    int i;
    far_reset();
    line = far_room("11", 50);
    ask(line, "@me:h");
    for (i = 0; i < 4; i++)
        state[i] = MX_SLICE_LIT("{}");
    join();
    ck_assert_int_eq(got.dropped, 4);
    ck_assert_ptr_nonnull(got.why);
    ck_assert_int_eq(room_now()->priv->snap_size, line->n + 1 - 4);
    check_mirrors();
}
END_TEST

DATABASE_MAIN("remote_join", a_room_of_another_server_is_joined_in_every_version, thousands_of_state_events_take_several_chunks,
              a_room_that_was_left_is_joined_again_with_its_new_state, no_lie_makes_a_room,
              no_lie_makes_a_room_whose_id_names_its_create_event, no_lie_makes_a_room_where_servers_choose_event_ids,
              a_few_lost_events_do_not_keep_us_out)
