/* SPDX-License-Identifier: Apache-2.0 */
/* Events of another server on their way into a room of ours. SS-API: checks performed on receipt of a PDU. */
#include "far.h"

#include "room/sticky.h"

static const char *const versions[] = { "1", "2", "3", "4", "5", "6", "7", "8", "9", "10", "11", "12" };

START_TEST(a_stranger_joins_and_talks_in_every_version)
{
    int v;
    for (v = 0; v < UNIT_COUNT(versions); v++) {
        const char *said;
        fresh(versions[v]);
        far_joins("@u:far");
        ck_assert_int_eq(membership("@u:far"), MX_MEMBERSHIP_JOIN);
        expect("stored", receive(.sender = "@u:far", .type = "m.room.message", .content = "{\"body\":\"hello\"}"));
        said = last.event_id;
        ck_assert_str_eq(head(0), said);
        homeserver_send(server, room_id, "@creator:h", "m.room.message", NULL, "{\"body\":\"welcome\"}");
        ck_assert_int_eq(room_now()->priv->nheads, 1);
        ck_assert_int_eq(room_now()->joined, 2);
        check_mirrors();
    }
}
END_TEST

START_TEST(an_event_comes_in_once)
{
    mx_event_t *event;
    long events;
    fresh("11");
    far_joins("@u:far");
    event = make(&(wish_t){ .sender = "@u:far", .type = "m.room.message", .content = "{}" });
    expect("stored", receive_event(event));
    events = database_number("select count(*) from event");
    expect("known", receive_event(event));
    ck_assert_int_eq(database_number("select count(*) from event"), events);
}
END_TEST

START_TEST(what_is_refused_leaves_nothing)
{
    mx_event_t *event;
    long events;
    const char *other;
    fresh("11");
    far_joins("@u:far");
    events = database_number("select count(*) from event");
    expect("refused", receive(.sender = "@u:far", .type = "m.room.message", .content = "{}", .signer = "elsewhere"));
    ck_assert_int_eq(last.why->code, MX_E_UNAUTHORIZED);
    expect("refused", receive(.sender = "@creator:h", .type = "m.room.message", .content = "{}"));
    expect("refused", receive(.sender = "@u:far", .type = "m.room.message", .content = "{}", .ts = APR_INT64_C(4102444800001)));
    expect("refused", receive_text(mx_slice_str("{\"type\":1}")));
    expect("refused", receive_text(mx_slice_str("no JSON")));
    event = make(&(wish_t){ .sender = "@u:far", .type = "m.room.message", .content = "{}" });
    other = room_id;
    room_id = homeserver_room(server, "11", "public");
    expect("refused", receive_event(event));
    ck_assert_int_eq(last.why->code, MX_E_INVALID_PARAM);
    room_id = other;
    ck_assert_int_eq(database_number("select count(*) from event"), events + 4);       /* the other room's */
}
END_TEST

START_TEST(what_stands_on_unknown_events_waits)
{
    mx_event_t *first, *second;
    fresh("11");
    far_joins("@u:far");
    first = make(&(wish_t){ .sender = "@u:far", .type = "m.room.message", .content = "{\"n\":1}" });
    second = make(&(wish_t){ .sender = "@u:far", .type = "m.room.message", .content = "{\"n\":2}", .prev = { first->event_id } });
    expect("waits", receive_event(second));
    ck_assert_int_eq(last.nmissing, 1);
    ck_assert_str_eq(last.missing[0], first->event_id);
    expect("stored", receive_event(first));
    expect("stored", receive_event(second));
    ck_assert_str_eq(head(0), second->event_id);
}
END_TEST

/* Signed by its server, but somebody changed the content on the way: "redact it and go on". */
START_TEST(a_wrong_hash_leaves_the_redacted_event)
{
    mx_event_row_t *row;
    mx_event_t *event;
    char *text, *at;
    fresh("11");
    far_joins("@u:far");
    event = make(&(wish_t){ .sender = "@u:far", .type = "m.room.message", .content = "{\"body\":\"true\"}" });
    text = apr_pstrmemdup(pool, event->pdu.p, event->pdu.len);
    at = strstr(text, "true");
    ck_assert_ptr_nonnull(at);
    memcpy(at, "lies", 4);
    expect("stored", receive_text(mx_slice_str(text)));
    ck_assert_str_eq(last.event_id, event->event_id);
    ck_assert_int_eq(mx_store_event_by_id(&row, server->store, event->event_id, pool), APR_SUCCESS);
    ck_assert_ptr_null(strstr(apr_pstrmemdup(pool, row->pdu.p, row->pdu.len), "lies"));
}
END_TEST

START_TEST(what_the_rules_refuse_is_kept_but_changes_nothing)
{
    const char *before, *bad;
    fresh("11");
    far_joins("@u:far");
    before = head(0);
    expect("rejected", receive(.sender = "@u:far", .type = "m.room.topic", .state_key = "", .content = "{\"topic\":\"mine\"}"));
    bad = last.event_id;
    ck_assert_int_eq(flags_of(bad) & MX_EVENT_FLAG_REJECTED, MX_EVENT_FLAG_REJECTED);
    ck_assert_str_eq(head(0), before);
    check_mirrors();
    /* an event that follows a rejected one is judged by the state before that; one that is authorised by it is rejected */
    expect("stored", receive(.sender = "@u:far", .type = "m.room.message", .content = "{}", .prev = { bad }));
    expect("rejected", receive(.sender = "@v:far", .type = "m.room.member", .state_key = "@v:far", .content = "{\"membership\":\"join\"}",
                               .auth = { bad }));
}
END_TEST

/* A banned user's server goes on from before the ban: allowed then, not now. */
START_TEST(what_is_allowed_only_in_the_past_soft_fails)
{
    const char *joined, *auth[3];
    mx_event_t *event;
    fresh("11");
    joined = far_joins("@u:far");
    event = make(&(wish_t){ .sender = "@u:far", .type = "m.room.message", .content = "{\"body\":\"late\"}", .prev = { joined } });
    homeserver_send(server, room_id, "@creator:h", "m.room.member", "@u:far", "{\"membership\":\"ban\"}");
    auth[0] = head(0);
    expect("soft-failed", receive_event(event));
    ck_assert_int_eq(flags_of(event->event_id) & MX_EVENT_FLAG_SOFT_FAILED, MX_EVENT_FLAG_SOFT_FAILED);
    ck_assert_int_eq(room_now()->priv->nheads, 1);
    ck_assert_str_eq(head(0), auth[0]);
    ck_assert_int_eq(membership("@u:far"), MX_MEMBERSHIP_BAN);
}
END_TEST

/* MSC4354: soft-failure checks are made again while an event is sticky. */
START_TEST(what_soft_fails_and_is_sticky_comes_when_it_is_allowed)
{
    const char *joined, *before;
    mx_event_t *sticky, *plain;
    int left = 0;
    fresh("11");
    joined = far_joins("@u:far");
    sticky = make(&(wish_t){ .sender = "@u:far", .type = "m.room.message", .content = "{\"n\":1}", .prev = { joined },
                             .sticky_ms = 600000 });
    plain = make(&(wish_t){ .sender = "@u:far", .type = "m.room.message", .content = "{\"n\":2}", .prev = { joined } });
    homeserver_send(server, room_id, "@creator:h", "m.room.member", "@u:far", "{\"membership\":\"ban\"}");
    expect("soft-failed", receive_event(sticky));
    expect("soft-failed", receive_event(plain));
    ck_assert_ptr_null(mx_room_sticky_ask_again(&left, server, pool));
    ck_assert_int_eq(left, 1);
    ck_assert_int_ne(flags_of(sticky->event_id) & MX_EVENT_FLAG_SOFT_FAILED, 0);
    homeserver_send(server, room_id, "@creator:h", "m.room.member", "@u:far", "{\"membership\":\"leave\"}");
    far_joins("@u:far");
    before = head(0);
    left = 0;
    ck_assert_ptr_null(mx_room_sticky_ask_again(&left, server, pool));
    ck_assert_int_eq(left, 0);
    ck_assert_int_eq(flags_of(sticky->event_id) & MX_EVENT_FLAG_SOFT_FAILED, 0);
    ck_assert_int_ne(flags_of(plain->event_id) & MX_EVENT_FLAG_SOFT_FAILED, 0);
    ck_assert_int_eq(database_number("select count(*) from event e join room r on r.last_stream = e.ord where e.ord <> e.nid"), 1);
    ck_assert_str_eq(head(0), before);
    ck_assert_ptr_null(mx_room_sticky_ask_again(&left, server, pool));
    ck_assert_int_eq(left, 0);
    expect("known", receive_event(sticky));
}
END_TEST

/* MSC4354: the start is when it came at the latest, and an hour is the most. */
START_TEST(how_long_an_event_is_sticky_is_not_for_its_server_to_say)
{
    static const struct {
        apr_int64_t ts_from_now, sticky_ms;
        long least_s, most_s;        /* from now; 0, 0: not sticky */
    } cases[] = {
        { 0, 60000, 55, 60 }, { 0, 99999999999, 3590, 3600 }, { 86400000, 60000, 55, 60 }, { -30000, 60000, 25, 30 },
        { -61000, 60000, 0, 0 }, { 0, -5, 0, 0 },
    };
    apr_size_t i;
    fresh("11");
    far_joins("@u:far");
    for (i = 0; i < UNIT_COUNT(cases); i++) {
        apr_int64_t now_ms = apr_time_as_msec(apr_time_now());
        long left;
        expect("stored", receive(.sender = "@u:far", .type = "m.room.message", .content = "{}", .ts = now_ms + cases[i].ts_from_now,
                                 .sticky_ms = cases[i].sticky_ms));
        left = database_number("select coalesce(max(until_ts), 0) from sticky where nid = (select max(nid) from event)");
        left = left ? (left - (long)now_ms) / 1000 : 0;
        ck_assert_msg(left >= cases[i].least_s && left <= cases[i].most_s, "case %d: %ld s", (int)i, left);
    }
}
END_TEST

START_TEST(forks_of_messages_never_resolve)
{
    const char *base, *a, *b;
    apr_int64_t snap;
    fresh("11");
    base = far_joins("@u:far");
    snap = room_now()->snap_nid;
    expect("stored", receive(.sender = "@u:far", .type = "m.room.message", .content = "{\"n\":1}", .prev = { base }));
    a = last.event_id;
    expect("stored", receive(.sender = "@u:far", .type = "m.room.message", .content = "{\"n\":2}", .prev = { base }));
    b = last.event_id;
    ck_assert_int_eq(room_now()->priv->nheads, 2);
    ck_assert_int_eq(room_now()->snap_nid, snap);
    ck_assert_int_eq(database_number("select count(*) from stres_memo"), 0);
    expect("stored", receive(.sender = "@u:far", .type = "m.room.message", .content = "{\"n\":3}", .prev = { a, b }));
    ck_assert_int_eq(room_now()->priv->nheads, 1);
}
END_TEST

/* Two topics at once: one of them wins, the same whichever came first, and the mirrors follow. */
START_TEST(a_fork_of_state_resolves_to_one_whatever_came_first)
{
    int v, order;
    for (v = 1; v < UNIT_COUNT(versions); v++) {        /* version 1 goes by the ids, which are random there */
        const char *winner[2];
        for (order = 0; order < 2; order++) {
            const mx_event_t *topic;
            mx_event_t *mine, *theirs;
            fresh(versions[v]);
            homeserver_send(server, room_id, "@creator:h", "m.room.power_levels", "",
                            strcmp(versions[v], "12") == 0 ? "{\"users\":{\"@u:far\":50}}"
                                                            : "{\"users\":{\"@creator:h\":100,\"@u:far\":50}}");
            far_joins("@u:far");
            theirs = make(&(wish_t){ .sender = "@u:far", .type = "m.room.topic", .state_key = "", .content = "{\"topic\":\"one\"}",
                                     .ts = 1000 });
            mine = make(&(wish_t){ .sender = "@u:far", .type = "m.room.topic", .state_key = "", .content = "{\"topic\":\"two\"}",
                                   .ts = 2000 });
            expect("stored", receive_event(order ? mine : theirs));
            expect("stored", receive_event(order ? theirs : mine));
            ck_assert_int_eq(room_now()->priv->nheads, 2);
            check_mirrors();
            ck_assert_ptr_null(mx_room_state_get(&topic, server, room_now(), "m.room.topic", "", pool));
            winner[order] = mx_json_get_str(mx_event_content(topic), "topic");
            homeserver_send(server, room_id, "@creator:h", "m.room.message", NULL, "{}");
            ck_assert_int_eq(room_now()->priv->nheads, 1);
            check_mirrors();
        }
        ck_assert_str_eq(winner[0], winner[1]);
        ck_assert_str_eq(winner[0], "two");     /* of equals the later one is applied last */
    }
}
END_TEST

/* A ban that was sent on one branch beats what the banned user changed on another. */
START_TEST(a_ban_on_one_branch_beats_a_change_on_another)
{
    const char *base, *ban;
    mx_event_t *name;
    const mx_event_t *found;
    fresh("11");
    homeserver_send(server, room_id, "@creator:h", "m.room.power_levels", "", "{\"users\":{\"@creator:h\":100,\"@u:far\":50}}");
    base = far_joins("@u:far");
    name = make(&(wish_t){ .sender = "@u:far", .type = "m.room.name", .state_key = "", .content = "{\"name\":\"taken\"}",
                           .prev = { base } });
    expect("stored", receive_event(name));
    ck_assert_ptr_null(mx_room_state_get(&found, server, room_now(), "m.room.name", "", pool));
    ck_assert_ptr_nonnull(found);
    /* @creator:h bans from before the name: the same key signs for both servers here */
    {
        wish_t w = { .sender = "@creator:h", .type = "m.room.member", .state_key = "@u:far", .content = "{\"membership\":\"ban\"}",
                     .prev = { base } };
        mx_event_t *event = make(&w);
        ck_assert_ptr_null(mx_event_sign(event, "h", server->key.key_id, &server->key.key));
        expect("stored", receive_event(event));
        ban = event->event_id;
    }
    ck_assert_ptr_nonnull(ban);
    ck_assert_int_eq(membership("@u:far"), MX_MEMBERSHIP_BAN);
    ck_assert_ptr_null(mx_room_state_get(&found, server, room_now(), "m.room.name", "", pool));
    ck_assert_ptr_null(found);
    check_mirrors();
}
END_TEST

START_TEST(a_redaction_takes_effect_only_with_the_right_to_it)
{
    const char *theirs, *ours;
    fresh("11");
    far_joins("@u:far");
    expect("stored", receive(.sender = "@u:far", .type = "m.room.message", .content = "{\"body\":\"x\"}"));
    theirs = last.event_id;
    ours = homeserver_send(server, room_id, "@creator:h", "m.room.message", NULL, "{\"body\":\"y\"}");
    expect("stored", receive(.sender = "@u:far", .type = "m.room.redaction", .content = "{}", .redacts = theirs));
    ck_assert_int_eq(flags_of(theirs) & MX_EVENT_FLAG_REDACTED, MX_EVENT_FLAG_REDACTED);
    expect("stored", receive(.sender = "@u:far", .type = "m.room.redaction", .content = "{}", .redacts = ours));
    ck_assert_int_eq(flags_of(ours) & MX_EVENT_FLAG_REDACTED, 0);
}
END_TEST

static const char *body_of(const char *event_id)
{
    mx_event_row_t *row;
    ck_assert_int_eq(mx_store_event_by_id(&row, server->store, event_id, pool), APR_SUCCESS);
    return apr_pstrmemdup(pool, row->pdu.p, row->pdu.len);
}

START_TEST(a_redaction_waits_for_what_it_redacts)
{
    const char *base, *redaction;
    mx_event_t *target, *ours;
    int v;
    for (v = 0; v < UNIT_COUNT(versions); v++) {
        fresh(versions[v]);
        base = far_joins("@u:far");
        target = make(&(wish_t){ .sender = "@u:far", .type = "m.room.message", .content = "{\"body\":\"secret\"}", .prev = { base } });
        expect("stored", receive(.sender = "@u:far", .type = "m.room.redaction", .content = "{}", .redacts = target->event_id));
        redaction = last.event_id;
        ck_assert_int_eq(database_number("select count(*) from redaction_wait"), 1);
        expect("stored", receive_event(target));
        ck_assert_int_eq(flags_of(target->event_id) & MX_EVENT_FLAG_REDACTED, MX_EVENT_FLAG_REDACTED);
        ck_assert_ptr_null(strstr(body_of(target->event_id), "secret"));
        ck_assert_int_eq(database_number("select count(*) from redaction_wait"), 0);
        ck_assert_int_eq(database_number("select count(*) from event e join event by on by.nid = e.redacted_by where by.type_nid ="
                                         " (select type_nid from ev_type where type = 'm.room.redaction')"), 1);
        ck_assert_ptr_nonnull(redaction);
    }
    /* one of another server, without the level for it, waits in vain */
    ours = make(&(wish_t){ .sender = "@creator:h", .type = "m.room.message", .content = "{\"body\":\"kept\"}" });
    ck_assert_ptr_null(mx_event_sign(ours, "h", server->key.key_id, &server->key.key));
    expect("stored", receive(.sender = "@u:far", .type = "m.room.redaction", .content = "{}", .redacts = ours->event_id));
    expect("stored", receive_event(ours));
    ck_assert_int_eq(flags_of(ours->event_id) & MX_EVENT_FLAG_REDACTED, 0);
    ck_assert_ptr_nonnull(strstr(body_of(ours->event_id), "kept"));
    ck_assert_int_eq(database_number("select count(*) from redaction_wait"), 0);
}
END_TEST

#define TOGETHER 30

static void *APR_THREAD_FUNC talk(apr_thread_t *thread, void *baton)
{
    mx_server_t *other = baton;
    apr_pool_t *own;
    int i;
    apr_pool_create(&own, NULL);
    for (i = 0; i < TOGETHER; i++) {
        mx_json_t *content = mx_json_new_object(own);
        mx_room_draft_t draft = { .sender = "@creator:h", .type = "m.room.message", .content = content };
        const char *event_id;
        if (i % 5 == 0)
            draft.type = "org.example.state", draft.state_key = apr_psprintf(own, "%d", i);
        ck_assert_ptr_null(mx_room_send(&event_id, other, room_id, &draft, 1, own));
    }
    apr_pool_destroy(own);
    return NULL;
}

/* Another child writes meanwhile: neither loses anything, and in the end everything hangs together. */
START_TEST(local_writers_and_other_servers_do_not_lose_each_others_events)
{
    const char *before;
    apr_thread_t *thread;
    apr_status_t rv;
    int i;
    long events;
    fresh("11");
    before = far_joins("@u:far");
    events = database_number("select count(*) from event");
    ck_assert_int_eq(apr_thread_create(&thread, NULL, talk, homeserver_child(NULL, pool), pool), APR_SUCCESS);
    for (i = 0; i < TOGETHER; i++) {
        mx_event_t *event = make(&(wish_t){ .sender = "@u:far", .type = "m.room.message", .content = "{}", .prev = { before } });
        before = event->event_id;
        expect("stored", receive_event(event));
    }
    apr_thread_join(&rv, thread);
    ck_assert_int_eq(database_number("select count(*) from event"), events + 2 * TOGETHER);
    homeserver_send(server, room_id, "@creator:h", "m.room.message", NULL, "{}");
    ck_assert_int_eq(room_now()->priv->nheads, 1);
    check_mirrors();
    ck_assert_int_eq(database_number("select count(*) from cur_state c join skey k using (skey_nid) join ev_type t using (type_nid)"
                                     " where t.type = 'org.example.state'"), TOGETHER / 5);
}
END_TEST

DATABASE_MAIN("accept_pdu", a_stranger_joins_and_talks_in_every_version, an_event_comes_in_once, what_is_refused_leaves_nothing,
              what_stands_on_unknown_events_waits, a_wrong_hash_leaves_the_redacted_event,
              what_the_rules_refuse_is_kept_but_changes_nothing, what_is_allowed_only_in_the_past_soft_fails,
              what_soft_fails_and_is_sticky_comes_when_it_is_allowed, how_long_an_event_is_sticky_is_not_for_its_server_to_say,
              forks_of_messages_never_resolve, a_fork_of_state_resolves_to_one_whatever_came_first,
              a_ban_on_one_branch_beats_a_change_on_another, a_redaction_takes_effect_only_with_the_right_to_it,
              a_redaction_waits_for_what_it_redacts,
              local_writers_and_other_servers_do_not_lose_each_others_events)
