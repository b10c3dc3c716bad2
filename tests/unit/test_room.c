/* SPDX-License-Identifier: Apache-2.0 */
/* Rooms on a real PostgreSQL: what is accepted is stored whole, what is refused leaves nothing. */
#include "homeserver.h"

static mx_server_t *server;

static void fresh(void)
{
    homeserver_reset();
    server = homeserver_child(NULL, pool);
}

static long events(void)
{
    return database_number("select count(*) from event");
}

START_TEST(a_new_room_has_its_state_in_every_mirror)
{
    mx_room_t *room;
    const char *room_id;
    mx_membership_e membership;
    const mx_power_t *power;
    fresh();
    room_id = homeserver_room(server, "12", "public");
    ck_assert_ptr_null(mx_room_get(&room, server, room_id, 0, pool));
    ck_assert_int_eq(room->joined, 1);
    ck_assert_int_eq(events(), 4);
    ck_assert_int_eq(database_number("select count(*) from cur_state"), 4);
    ck_assert_int_eq(database_number("select joined from room_server"), 1);
    ck_assert_int_eq(database_number("select count(*) from room_state_log"), 4);
    ck_assert_ptr_null(mx_room_membership(&membership, server, room, "@creator:h", pool));
    ck_assert_int_eq(membership, MX_MEMBERSHIP_JOIN);
    ck_assert_ptr_null(mx_room_power(&power, server, room, pool));
    ck_assert(mx_power_user(power, "@creator:h") == MX_POWER_CREATOR);
}
END_TEST

START_TEST(a_message_follows_the_one_before)
{
    const char *room_id, *first, *second;
    mx_event_row_t *row;
    mx_event_t *event;
    fresh();
    room_id = homeserver_room(server, "11", "public");
    first = homeserver_send(server, room_id, "@creator:h", "m.room.message", NULL, "{\"body\":\"one\"}");
    second = homeserver_send(server, room_id, "@creator:h", "m.room.message", NULL, "{\"body\":\"two\"}");
    ck_assert_int_eq(mx_store_event_by_id(&row, server->store, second, pool), APR_SUCCESS);
    ck_assert_ptr_null(mx_event_parse(&event, mx_room_version_find("11"), row->pdu, NULL, pool));
    ck_assert_str_eq(event->event_id, second);
    ck_assert_int_eq(event->nprev, 1);
    ck_assert_str_eq(event->prev_events[0], first);
    ck_assert_int_eq(event->depth, 6);
    ck_assert(mx_event_content_hash_ok(event));
}
END_TEST

/** Everything a refused event could have left behind. */
static const char counts[] =
    "select (select count(*) from event) + (select count(*) from state_event) + (select count(*) from snapshot) + "
    "(select count(*) from txn)"
    " + (select count(*) from cur_state) + (select count(*) from member) + (select sum(ver) from room) + (select "
    "count(*) from room_state_log)"
    " + (select count(*) from event where redacted_by is not null) + (select sum(joined) from room)";

typedef struct refusal_t {
    const char *what, *sender, *type, *state_key, *content, *redacts;
    mx_errcode_e code;
    int status;
} refusal_t;

static char long_text[300];

static const refusal_t refusals[] = {
    {"a stranger's message", "@stranger:h", "m.room.message", NULL, "{}", NULL, MX_E_FORBIDDEN, 403},
    {"a stranger's state", "@stranger:h", "m.room.topic", "", "{}", NULL, MX_E_FORBIDDEN, 403},
    {"state without power", "@guest:h", "m.room.topic", "", "{\"topic\":\"x\"}", NULL, MX_E_FORBIDDEN, 403},
    {"power levels without power", "@guest:h", "m.room.power_levels", "", "{}", NULL, MX_E_FORBIDDEN, 403},
    {"a second create event", "@creator:h", "m.room.create", "", "{}", NULL, MX_E_FORBIDDEN, 403},
    {"a kick without power", "@guest:h", "m.room.member", "@creator:h", "{\"membership\":\"leave\"}", NULL,
     MX_E_FORBIDDEN, 403},
    {"somebody else's join", "@guest:h", "m.room.member", "@third:h", "{\"membership\":\"join\"}", NULL, MX_E_FORBIDDEN,
     403},
    {"a state key that is another user's", "@guest:h", "org.example", "@creator:h", "{}", NULL, MX_E_FORBIDDEN, 403},
    {"an unknown membership", "@creator:h", "m.room.member", "@creator:h", "{\"membership\":\"here\"}", NULL,
     MX_E_BAD_JSON, 400},
    {"a member that is no user", "@creator:h", "m.room.member", "somebody", "{\"membership\":\"invite\"}", NULL,
     MX_E_INVALID_PARAM, 400},
    {"a real number", "@creator:h", "m.room.message", NULL, "{\"x\":{\"y\":[1.5]}}", NULL, MX_E_BAD_JSON, 400},
    {"a huge number", "@creator:h", "m.room.message", NULL, "{\"x\":9007199254740992}", NULL, MX_E_BAD_JSON, 400},
    {"an array", "@creator:h", "m.room.message", NULL, "[]", NULL, MX_E_BAD_JSON, 400},
    {"no type", "@creator:h", "", NULL, "{}", NULL, MX_E_INVALID_PARAM, 400},
    {"a long type", "@creator:h", long_text, NULL, "{}", NULL, MX_E_TOO_LARGE, 413},
    {"a long state key", "@creator:h", "org.example", long_text, "{}", NULL, MX_E_TOO_LARGE, 413},
    {"bad UTF-8", "@creator:h", "org.\xff", NULL, "{}", NULL, MX_E_INVALID_PARAM, 400},
    {"a redaction of nothing", "@creator:h", "m.room.redaction", NULL, "{}", NULL, MX_E_INVALID_PARAM, 400},
    {"a redaction of the unknown", "@creator:h", "m.room.redaction", NULL, "{}",
     "$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA", MX_E_NOT_FOUND, 404},
};

START_TEST(what_is_refused_leaves_nothing)
{
    static const char *const versions[] = { "10", "11", "12" };
    const char *room_id, *event_id, *by_creator;
    const mx_error_t *err;
    int v, i;
    long before;
    memset(long_text, 'x', sizeof(long_text) - 1);
    fresh();
    for (v = 0; v < UNIT_COUNT(versions); v++) {
        room_id = homeserver_room(server, versions[v], "public");
        homeserver_send(server, room_id, "@guest:h", "m.room.member", "@guest:h", "{\"membership\":\"join\"}");
        by_creator = homeserver_send(server, room_id, "@creator:h", "m.room.message", NULL, "{}");
        before = database_number(counts);
        for (i = 0; i < UNIT_COUNT(refusals); i++) {
            const refusal_t *r = &refusals[i];
            mx_room_draft_t draft = {.sender = r->sender,
                                     .type = r->type,
                                     .state_key = r->state_key,
                                     .content = unit_json(r->content),
                                     .redacts = r->redacts,
                                     .txn_id = "t",
                                     .device_nid = 1,
                                     .txn_scope = "s"};
            err = mx_room_send(&event_id, server, room_id, &draft, 1, pool);
            ck_assert_msg(err && err->code == r->code && err->status == r->status, "%s: %s", r->what,
                          err ? err->message : "accepted");
            ck_assert_msg(database_number(counts) == before, "%s left something", r->what);
        }
        mx_room_draft_t redaction = {
            .sender = "@guest:h", .type = "m.room.redaction", .redacts = by_creator, .content = unit_json("{}")};
        err = mx_room_send(&event_id, server, room_id, &redaction, 1, pool);
        ck_assert(err && err->code == MX_E_FORBIDDEN);
        ck_assert_int_eq(database_number(counts), before);
    }
    err = homeserver_try(&event_id, server, "!nowhere:h", "@creator:h", "m.room.message", NULL, "{}");
    ck_assert(err && err->code == MX_E_NOT_FOUND);
}
END_TEST

START_TEST(several_drafts_are_stored_all_or_none)
{
    const char *room_id, *ids[3];
    const mx_error_t *err;
    long before;
    mx_room_t *room;
    const mx_event_t *topic;
    fresh();
    room_id = homeserver_room(server, "12", "public");
    mx_room_draft_t drafts[3] = {
        {.sender = "@creator:h", .type = "m.room.topic", .state_key = "", .content = unit_json("{\"topic\":\"new\"}")},
        {.sender = "@creator:h", .type = "m.room.message", .content = unit_json("{}")},
        {.sender = "@stranger:h", .type = "m.room.message", .content = unit_json("{}")}};
    before = database_number(counts);
    err = mx_room_send(ids, server, room_id, drafts, 3, pool);
    ck_assert(err && err->code == MX_E_FORBIDDEN);
    ck_assert_int_eq(database_number(counts), before);
    ck_assert_ptr_null(mx_room_send(ids, server, room_id, drafts, 2, pool));
    ck_assert_int_eq(events(), 6);
    ck_assert_ptr_null(mx_room_get(&room, server, room_id, 0, pool));
    ck_assert_ptr_null(mx_room_state_get(&topic, server, room, "m.room.topic", "", pool));
    ck_assert_str_eq(topic->event_id, ids[0]);
}
END_TEST

START_TEST(the_same_state_again_is_the_same_event)
{
    const char *room_id, *first;
    fresh();
    room_id = homeserver_room(server, "12", "public");
    first = homeserver_send(server, room_id, "@creator:h", "tld.project.foo", "bar", "{\"baz\":\"qux\",\"a\":1}");
    ck_assert_str_eq(
        homeserver_send(server, room_id, "@creator:h", "tld.project.foo", "bar", "{\"a\":1,\"baz\":\"qux\"}"), first);
    ck_assert_int_eq(events(), 5);
    ck_assert_str_ne(homeserver_send(server, room_id, "@creator:h", "tld.project.foo", "bar", "{\"baz\":\"qux\"}"),
                     first);
    ck_assert_int_eq(database_number("select count(*) from state_event where replaces is not null"), 1);
}
END_TEST

START_TEST(a_transaction_id_makes_one_event)
{
    const char *room_id, *other_id, *first, *again;
    const mx_error_t *err;
    fresh();
    room_id = homeserver_room(server, "12", "public");
    other_id = homeserver_room(server, "12", "public");
    mx_room_draft_t draft = {.sender = "@creator:h",
                             .type = "m.room.message",
                             .content = unit_json("{}"),
                             .device_nid = 7,
                             .txn_id = "1",
                             .txn_scope = "send/m.room.message"};
    ck_assert_ptr_null(mx_room_send(&first, server, room_id, &draft, 1, pool));
    ck_assert_ptr_null(mx_room_send(&again, server, room_id, &draft, 1, pool));
    ck_assert_str_eq(first, again);
    ck_assert_ptr_null(mx_room_send(&again, server, other_id, &draft, 1, pool));
    ck_assert_str_ne(first, again);
    draft.device_nid = 8;
    ck_assert_ptr_null(mx_room_send(&again, server, room_id, &draft, 1, pool));
    ck_assert_str_ne(first, again);
    ck_assert_int_eq(events(), 8 + 3);
    /* the answer does not depend on what became of the sender meanwhile */
    homeserver_send(server, room_id, "@creator:h", "m.room.member", "@creator:h", "{\"membership\":\"leave\"}");
    ck_assert_ptr_null(mx_room_send(&again, server, room_id, &draft, 1, pool));
    draft.txn_id = "2";
    err = mx_room_send(&again, server, room_id, &draft, 1, pool);
    ck_assert(err && err->code == MX_E_FORBIDDEN);
}
END_TEST

static mx_event_row_t *row_of(const char *event_id)
{
    mx_event_row_t *row;
    ck_assert_int_eq(mx_store_event_by_id(&row, server->store, event_id, pool), APR_SUCCESS);
    return row;
}

START_TEST(a_redaction_replaces_the_event_once)
{
    static const char *const versions[] = { "10", "11", "12" };
    int v;
    fresh();
    for (v = 0; v < UNIT_COUNT(versions); v++) {
        const char *room_id = homeserver_room(server, versions[v], "public"), *target, *event_id, *second;
        mx_event_row_t *row, *redaction;
        target = homeserver_send(server, room_id, "@creator:h", "m.room.message", NULL, "{\"body\":\"secret\"}");
        mx_room_draft_t draft = {.sender = "@creator:h",
                                 .type = "m.room.redaction",
                                 .redacts = target,
                                 .content = unit_json("{\"reason\":\"r\"}"),
                                 .device_nid = 1,
                                 .txn_id = "1",
                                 .txn_scope = "redact"};
        ck_assert_ptr_null(mx_room_send(&event_id, server, room_id, &draft, 1, pool));
        ck_assert_ptr_null(mx_room_send(&second, server, room_id, &draft, 1, pool));
        ck_assert_str_eq(event_id, second);
        row = row_of(target);
        redaction = row_of(event_id);
        ck_assert(row->redacted_by == redaction->nid && (row->flags & MX_EVENT_FLAG_REDACTED));
        ck_assert_ptr_null(strstr(mx_slice_dup(row->pdu, pool), "secret"));
        ck_assert_ptr_nonnull(
            strstr(mx_slice_dup(redaction->pdu, pool),
                   v ? "\"content\":{\"reason\":\"r\",\"redacts\":" : "\"content\":{\"reason\":\"r\"}"));
        draft.txn_id = "2";
        ck_assert_ptr_null(mx_room_send(&second, server, room_id, &draft, 1, pool));
        ck_assert_str_ne(event_id, second);
        ck_assert(row_of(target)->redacted_by == redaction->nid);
    }
}
END_TEST

START_TEST(a_redaction_sent_as_an_event_is_one)
{
    const char *room_id, *target, *event_id;
    mx_event_row_t *row;
    fresh();
    room_id = homeserver_room(server, "10", "public");
    target = homeserver_send(server, room_id, "@creator:h", "m.room.message", NULL, "{\"body\":\"secret\"}");
    event_id = homeserver_send(server, room_id, "@creator:h", "m.room.redaction", NULL,
                               apr_psprintf(pool, "{\"redacts\":\"%s\"}", target));
    row = row_of(event_id);
    ck_assert_ptr_nonnull(strstr(mx_slice_dup(row->pdu, pool), "\"content\":{}"));
    ck_assert_ptr_nonnull(strstr(mx_slice_dup(row->pdu, pool), apr_psprintf(pool, "\"redacts\":\"%s\"", target)));
    ck_assert(row_of(target)->redacted_by == row->nid);
}
END_TEST

START_TEST(redacted_state_is_read_anew_in_every_child)
{
    mx_server_t *other = homeserver_child(NULL, pool);
    const char *room_id, *topic_id;
    const mx_event_t *topic;
    mx_room_t *room;
    fresh();
    room_id = homeserver_room(server, "12", "public");
    topic_id = homeserver_send(server, room_id, "@creator:h", "m.room.topic", "", "{\"topic\":\"secret\"}");
    ck_assert_ptr_null(mx_room_get(&room, other, room_id, 0, pool));
    ck_assert_ptr_null(mx_room_state_get(&topic, other, room, "m.room.topic", "", pool));
    ck_assert_str_eq(mx_json_get_str(mx_event_content(topic), "topic"), "secret");
    mx_room_draft_t draft = {
        .sender = "@creator:h", .type = "m.room.redaction", .redacts = topic_id, .content = unit_json("{}")};
    ck_assert_ptr_null(mx_room_send(&topic_id, server, room_id, &draft, 1, pool));
    ck_assert_ptr_null(mx_room_get(&room, server, room_id, 0, pool));
    ck_assert_ptr_null(mx_room_state_get(&topic, server, room, "m.room.topic", "", pool));
    ck_assert_int_eq(mx_json_len(mx_event_content(topic)), 0);
    ck_assert_ptr_null(mx_room_get(&room, other, room_id, 1, pool));
    ck_assert_ptr_null(mx_room_state_get(&topic, other, room, "m.room.topic", "", pool));
    ck_assert_int_eq(mx_json_len(mx_event_content(topic)), 0);
}
END_TEST

START_TEST(members_are_counted_and_mirrored)
{
    const char *room_id;
    mx_room_t *room;
    mx_membership_e membership;
    fresh();
    room_id = homeserver_room(server, "12", "invite");
    homeserver_send(server, room_id, "@creator:h", "m.room.member", "@guest:h", "{\"membership\":\"invite\"}");
    homeserver_send(server, room_id, "@creator:h", "m.room.member", "@far:elsewhere", "{\"membership\":\"invite\"}");
    ck_assert_ptr_null(mx_room_get(&room, server, room_id, 0, pool));
    ck_assert(room->joined == 1 && room->invited == 2);
    database_sql("update member set forgotten = true where membership = 1");
    homeserver_send(server, room_id, "@guest:h", "m.room.member", "@guest:h", "{\"membership\":\"join\"}");
    ck_assert_ptr_null(mx_room_get(&room, server, room_id, 0, pool));
    ck_assert(room->joined == 2 && room->invited == 1);
    ck_assert_int_eq(database_number("select local_joined from room"), 2);
    ck_assert_int_eq(database_number("select count(*) from member where forgotten"), 1);
    ck_assert_int_eq(database_number("select joined from room_server"), 2);
    ck_assert_int_eq(database_number("select count(*) from room_server"), 1);
    homeserver_send(server, room_id, "@creator:h", "m.room.member", "@guest:h", "{\"membership\":\"ban\"}");
    ck_assert_ptr_null(mx_room_get(&room, server, room_id, 0, pool));
    ck_assert(room->joined == 1 && room->invited == 1);
    ck_assert_ptr_null(mx_room_membership(&membership, server, room, "@guest:h", pool));
    ck_assert_int_eq(membership, MX_MEMBERSHIP_BAN);
    ck_assert_ptr_null(mx_room_membership(&membership, server, room, "@nobody:h", pool));
    ck_assert_int_eq(membership, MX_MEMBERSHIP_NONE);
    /* the mirrors say what the snapshot says */
    ck_assert_int_eq(database_number("select count(*) from cur_state"), room->snap_nid ? 6 : 0);
    homeserver_send(server, room_id, "@creator:h", "m.room.member", "@creator:h", "{\"membership\":\"leave\"}");
    ck_assert_int_eq(database_number("select count(*) from room_server"), 0);
}
END_TEST

static mx_membership_e membership_at(mx_server_t *at, mx_room_t *room, int user)
{
    mx_membership_e membership = MX_MEMBERSHIP_NONE;
    ck_assert_ptr_null(mx_room_membership(&membership, at, room, apr_psprintf(pool, "@user%d:h", user), pool));
    return membership;
}

static void member(const char *room_id, int user, const char *sender, const char *membership)
{
    const char *id = apr_psprintf(pool, "@user%d:h", user);
    homeserver_send(server, room_id, sender ? sender : id, "m.room.member", id,
                    apr_psprintf(pool, "{\"membership\":\"%s\"}", membership));
}

START_TEST(another_childs_changes_are_read_as_a_difference)
{
    lender_t *lender;
    mx_server_t *other;
    mx_room_t *room;
    const char *room_id;
    long before;
    int i;
    fresh();
    other = homeserver_child(&lender, pool);
    room_id = homeserver_room(server, "12", "public");
    for (i = 0; i < 12; i++)
        member(room_id, i, NULL, "join");
    ck_assert_ptr_null(mx_room_get(&room, other, room_id, 0, pool));
    for (i = 0; i < 14; i++)
        ck_assert_int_eq(membership_at(other, room, i), i < 12 ? MX_MEMBERSHIP_JOIN : MX_MEMBERSHIP_NONE);
    member(room_id, 3, "@creator:h", "ban");
    member(room_id, 12, NULL, "join");
    ck_assert_ptr_null(mx_room_get(&room, other, room_id, 1, pool));
    before = lender->lent;
    for (i = 0; i < 12; i++)
        ck_assert_int_eq(membership_at(other, room, i), i == 3 ? MX_MEMBERSHIP_BAN : MX_MEMBERSHIP_JOIN);
    ck_assert_int_eq(lender->lent - before, 1);     /* the one event that is new */
    ck_assert_int_eq(membership_at(other, room, 12), MX_MEMBERSHIP_JOIN);
    ck_assert_int_eq(membership_at(other, room, 13), MX_MEMBERSHIP_NONE);
    ck_assert_int_eq(room->joined, 13);
}
END_TEST

START_TEST(an_old_view_says_what_was)
{
    mx_room_t *old, *room;
    mx_event_row_t *rows;
    const char *room_id;
    int n;
    fresh();
    room_id = homeserver_room(server, "12", "public");
    member(room_id, 1, NULL, "join");
    ck_assert_ptr_null(mx_room_get(&old, homeserver_child(NULL, pool), room_id, 0, pool));
    member(room_id, 1, NULL, "leave");
    member(room_id, 2, NULL, "join");
    ck_assert_int_eq(membership_at(server, old, 1), MX_MEMBERSHIP_JOIN);
    ck_assert_int_eq(membership_at(server, old, 2), MX_MEMBERSHIP_NONE);
    ck_assert_ptr_null(mx_room_state_all(&rows, &n, server, old, pool));
    ck_assert_int_eq(n, 5);
    ck_assert_ptr_null(mx_room_get(&room, server, room_id, 0, pool));
    ck_assert_int_eq(membership_at(server, room, 1), MX_MEMBERSHIP_LEAVE);
    ck_assert_ptr_null(mx_room_state_all(&rows, &n, server, room, pool));
    ck_assert_int_eq(n, 6);
}
END_TEST

START_TEST(an_alias_goes_to_the_first)
{
    const char *room_id;
    const mx_error_t *err;
    mx_room_draft_t drafts[2];
    long before;
    fresh();
    drafts[0] = (mx_room_draft_t){.sender = "@creator:h",
                                  .type = "m.room.create",
                                  .state_key = "",
                                  .content = unit_json("{\"room_version\":\"12\"}")};
    drafts[1] = (mx_room_draft_t){.sender = "@creator:h",
                                  .type = "m.room.member",
                                  .state_key = "@creator:h",
                                  .content = unit_json("{\"membership\":\"join\"}")};
    ck_assert_ptr_null(mx_room_begin(&room_id, server, mx_room_version_find("12"), drafts, 2, 1, "#a:h", pool));
    ck_assert_int_eq(
        database_number(
            "select count(*) from room r join room_alias a using (room_nid) where r.published and a.alias = '#a:h'"),
        1);
    before = database_number(counts);
    err = mx_room_begin(&room_id, server, mx_room_version_find("12"), drafts, 2, 1, "#a:h", pool);
    ck_assert(err && err->code == MX_E_ROOM_IN_USE && err->status == 400);
    ck_assert_int_eq(database_number(counts), before);
    ck_assert_int_eq(database_number("select count(*) from room"), 1);
    drafts[1].sender = drafts[1].state_key = "@stranger:h";
    err = mx_room_begin(&room_id, server, mx_room_version_find("12"), drafts, 2, 1, "#b:h", pool);
    ck_assert(err && err->code == MX_E_FORBIDDEN);
    ck_assert_int_eq(database_number("select count(*) from room"), 1);
}
END_TEST

START_TEST(every_head_is_followed)
{
    const char *room_id, *one, *event_id;
    mx_event_row_t *row;
    mx_event_t *event;
    mx_room_t *room;
    fresh();
    room_id = homeserver_room(server, "12", "public");
    one = homeserver_send(server, room_id, "@creator:h", "m.room.message", NULL, "{}");
    homeserver_send(server, room_id, "@creator:h", "m.room.message", NULL, "{}");
    /* as if the last two were siblings */
    database_sql("update room set ver = ver + 1, heads = heads || (select max(nid) from event where nid < heads[1]),"
                 " head_ids = head_ids || (select event_id from event where nid < heads[1] order by nid desc limit 1)");
    event_id = homeserver_send(server, room_id, "@creator:h", "m.room.message", NULL, "{}");
    row = row_of(event_id);
    ck_assert_ptr_null(mx_event_parse(&event, mx_room_version_find("12"), row->pdu, NULL, pool));
    ck_assert_int_eq(event->nprev, 2);
    ck_assert_str_eq(event->prev_events[1], one);
    ck_assert_int_eq(database_number("select cardinality(heads) from room"), 1);
    /* more of them than an event may name: the rest stays */
    database_sql(
        "update room set ver = ver + 1, heads = array(select nid from event limit 1) || array_fill(1::int8, array[24]),"
        " head_ids = array(select event_id from event limit 1) || array_fill(sha256('x'), array[24])");
    event_id = homeserver_send(server, room_id, "@creator:h", "m.room.message", NULL, "{}");
    ck_assert_ptr_null(mx_event_parse(&event, mx_room_version_find("12"), row_of(event_id)->pdu, NULL, pool));
    ck_assert_int_eq(event->nprev, MX_EVENT_MAX_PREV);
    ck_assert_int_eq(database_number("select cardinality(heads) from room"), 6);
    ck_assert_ptr_null(mx_room_get(&room, server, room_id, 0, pool));
    ck_assert(room->last_stream == row_of(event_id)->nid);
}
END_TEST

DATABASE_MAIN("room", a_new_room_has_its_state_in_every_mirror, a_message_follows_the_one_before,
              what_is_refused_leaves_nothing, several_drafts_are_stored_all_or_none,
              the_same_state_again_is_the_same_event, a_transaction_id_makes_one_event,
              a_redaction_replaces_the_event_once, a_redaction_sent_as_an_event_is_one,
              redacted_state_is_read_anew_in_every_child, members_are_counted_and_mirrored,
              another_childs_changes_are_read_as_a_difference, an_old_view_says_what_was,
              an_alias_goes_to_the_first, every_head_is_followed)
