/* SPDX-License-Identifier: Apache-2.0 */
/* Many events of another server at once. SS-API: PUT /send/{txnId}; checks performed on receipt of a PDU. */
#include "far.h"

#include "room/accept.h"
#include "room/heads.h"
#include "room/resolve_private.h"
#include "server/runner.h"
#include "tools/doctor.h"

#define MANY 200

static mx_event_t *chain[MANY];

/** n messages of @u:far, each on the one before; the first one on `prev`. */
static void make_chain(int n, const char *prev)
{
    int i;
    for (i = 0; i < n; i++) {
        chain[i] = make(&(wish_t){ .sender = "@u:far", .type = "m.room.message", .content = apr_psprintf(pool, "{\"n\":%d}", i),
                                   .prev = { i ? chain[i - 1]->event_id : prev } });
    }
}

static mx_room_pdu_t outs[MANY];

/** The outcomes, comma-separated, where they are not all the same. */
static const char *receive_all(mx_event_t **events, int n)
{
    mx_slice_t texts[MANY];
    const char *all = "";
    const mx_error_t *err;
    int i, same = 1;
    for (i = 0; i < n; i++)
        texts[i] = events[i]->pdu;
    err = mx_room_accept_pdus(outs, server, room_id, texts, n, keys, NULL, pool);
    ck_assert_msg(err == NULL, "%s / %s", err ? err->message : "", err && err->detail ? err->detail : "");
    last = outs[n - 1];
    for (i = 0; i < n; i++) {
        ck_assert_str_eq(outs[i].event_id, events[i]->event_id);
        same &= outs[i].outcome == outs[0].outcome;
        all = apr_pstrcat(pool, all, i ? "," : "", names[outs[i].outcome], NULL);
    }
    return same ? names[outs[0].outcome] : all;
}

static void know_key(mx_doctor_t *doctor, const char *name, const mx_signing_key_t *signing)
{
    mx_doctor_key_t *key = apr_array_push(doctor->keys);
    key->server = name;
    key->key_id = signing->key_id;
    memcpy(key->public_key, signing->key.public, sizeof(key->public_key));
}

/** The mirrors are right, and matrix-doctor, which makes everything anew from the events, finds nothing. */
static void check_room(void)
{
    mx_doctor_t doctor = { .pool = pool, .store = database_store(pool), .server_name = "h" };
    mx_doctor_report_t *report = NULL;
    int i;
    doctor.keys = apr_array_make(pool, 2, sizeof(mx_doctor_key_t));
    know_key(&doctor, "h", &server->key);
    know_key(&doctor, "far", &far_key);
    ck_assert_int_eq(mx_doctor_room_examine(&report, &doctor, room_now()->nid, pool), APR_SUCCESS);
    for (i = 0; i < report->findings->nelts; i++) {
        const mx_doctor_finding_t *f = &APR_ARRAY_IDX(report->findings, i, mx_doctor_finding_t);
        ck_abort_msg("%s %s", f->event_id ? f->event_id : "", f->words);
    }
    if (database_number("select count(*) from room") == 1)
        check_mirrors();
}

static long count(const char *what)
{
    return database_number(apr_pstrcat(pool, "select ", what, NULL));
}

static void by_itself(const char *version)
{
    fresh(version);
    far_joins("@u:far");
}

START_TEST(a_chain_is_one_transaction_in_every_version)
{
    static const char *const versions[] = { "1", "2", "3", "6", "9", "11", "12" };
    int v;
    for (v = 0; v < UNIT_COUNT(versions); v++) {
        apr_int64_t ver;
        by_itself(versions[v]);
        ver = room_now()->ver;
        make_chain(MX_ROOM_BATCH_MAX, head(0));
        expect("stored", receive_all(chain, MX_ROOM_BATCH_MAX));
        ck_assert_int_eq(room_now()->ver, ver + 1);
        ck_assert_int_eq(room_now()->priv->nheads, 1);
        ck_assert_str_eq(head(0), chain[MX_ROOM_BATCH_MAX - 1]->event_id);
        homeserver_send(server, room_id, "@creator:h", "m.room.message", NULL, "{}");
        ck_assert_int_eq(room_now()->priv->nheads, 1);
        check_room();
    }
}
END_TEST

/* Compared with local sends: a chain costs what they cost, whatever its length. */
START_TEST(a_chain_of_fifty_asks_the_database_three_times)
{
    lender_t *lender;
    long lent;
    by_itself("11");
    server = homeserver_child(&lender, pool);
    make_chain(MX_ROOM_BATCH_MAX + 1, head(0));
    expect("stored", receive_all(chain, 1));
    lent = lender->lent;
    expect("stored", receive_all(chain + 1, MX_ROOM_BATCH_MAX));
    ck_assert_int_le(lender->lent - lent, 3);      /* the room's version, what they stand on, storing */
}
END_TEST

START_TEST(the_order_of_arrival_does_not_matter)
{
    mx_event_t *reversed[MANY];
    int i;
    by_itself("11");
    make_chain(120, head(0));
    for (i = 0; i < 120; i++)
        reversed[i] = chain[119 - i];
    expect("stored", receive_all(reversed, 120));
    ck_assert_int_eq(room_now()->priv->nheads, 1);
    ck_assert_str_eq(head(0), chain[119]->event_id);
    /* streamed in the order of the chain */
    ck_assert_int_eq(count("count(*) from (select depth, lag(depth) over (order by nid) as before from event) e where depth < before"), 0);
}
END_TEST

START_TEST(two_of_one_id_are_one_event)
{
    mx_event_t *events[3];
    by_itself("11");
    make_chain(2, head(0));
    events[0] = chain[0];
    events[1] = chain[0];
    events[2] = chain[1];
    expect("stored,known,stored", receive_all(events, 3));
    expect("known", receive_all(events, 3));
}
END_TEST

START_TEST(a_bad_one_harms_no_other)
{
    mx_event_t *events[6];
    mx_event_t *unknown;
    by_itself("11");
    make_chain(2, head(0));
    events[0] = chain[0];
    /* the rules reject it; what stands on it is judged by the state before it */
    events[1] = make(&(wish_t){ .sender = "@u:far", .type = "m.room.topic", .state_key = "", .content = "{\"topic\":\"mine\"}",
                                .prev = { chain[0]->event_id } });
    events[2] = make(&(wish_t){ .sender = "@u:far", .type = "m.room.message", .content = "{\"on\":\"rejected\"}",
                                .prev = { events[1]->event_id } });
    events[3] = make(&(wish_t){ .sender = "@u:far", .type = "m.room.message", .content = "{\"bad\":1}", .signer = "elsewhere",
                                .prev = { chain[0]->event_id } });
    unknown = make(&(wish_t){ .sender = "@u:far", .type = "m.room.message", .content = "{\"never\":\"sent\"}" });
    events[4] = make(&(wish_t){ .sender = "@u:far", .type = "m.room.message", .content = "{\"waits\":1}", .prev = { unknown->event_id } });
    events[5] = make(&(wish_t){ .sender = "@u:far", .type = "m.room.message", .content = "{\"after\":\"all\"}",
                                .prev = { events[2]->event_id } });
    expect("stored,rejected,stored,refused,waits,stored", receive_all(events, 6));
    ck_assert_int_eq(outs[4].nmissing, 1);
    ck_assert_str_eq(outs[4].missing[0], unknown->event_id);
    ck_assert_int_eq(flags_of(events[1]->event_id) & MX_EVENT_FLAG_REJECTED, MX_EVENT_FLAG_REJECTED);
    /* the head before the rejected one is behind it */
    ck_assert_int_eq(room_now()->priv->nheads, 1);
    ck_assert_str_eq(head(0), events[5]->event_id);
    check_room();
}
END_TEST

/* The head that a soft-failed event followed is no head any more, once an accepted event follows that. */
START_TEST(what_follows_a_soft_failed_event_leaves_no_head_behind)
{
    const char *base, *ban;
    mx_event_t *late[2], *both;
    by_itself("11");
    base = far_joins("@v:far");
    /* the auth events of @u:far, while it is in the room */
    late[1] = make(&(wish_t){ .sender = "@u:far", .type = "m.room.message", .content = "{}", .prev = { base } });
    ban = homeserver_send(server, room_id, "@creator:h", "m.room.member", "@u:far", "{\"membership\":\"ban\"}");
    late[0] = make(&(wish_t){ .sender = "@v:far", .type = "m.room.message", .content = "{}", .prev = { base } });
    expect("stored", receive_all(late, 1));
    ck_assert_int_eq(room_now()->priv->nheads, 2);
    late[1] = make(&(wish_t){ .sender = "@u:far", .type = "m.room.message", .content = "{}", .prev = { late[0]->event_id },
                              .auth = { late[1]->auth_events[0], late[1]->auth_events[1], late[1]->auth_events[2] } });
    expect("soft-failed", receive_all(late + 1, 1));
    ck_assert_int_eq(room_now()->priv->nheads, 2);
    both = make(&(wish_t){ .sender = "@v:far", .type = "m.room.message", .content = "{\"on\":\"both\"}",
                           .prev = { late[1]->event_id, ban } });
    expect("stored", receive_all(&both, 1));
    ck_assert_int_eq(room_now()->priv->nheads, 1);
    check_room();
}
END_TEST

START_TEST(forks_of_one_batch_are_heads_until_something_follows_both)
{
    mx_event_t *events[5];
    const char *base;
    apr_int64_t ver;
    by_itself("11");
    base = head(0);
    make_chain(2, base);
    events[0] = chain[0];
    events[1] = chain[1];
    events[2] = make(&(wish_t){ .sender = "@u:far", .type = "m.room.message", .content = "{\"fork\":1}", .prev = { base } });
    events[3] = make(&(wish_t){ .sender = "@u:far", .type = "m.room.message", .content = "{\"fork\":2}", .prev = { events[2]->event_id } });
    ver = room_now()->ver;
    expect("stored", receive_all(events, 4));
    ck_assert_int_eq(room_now()->ver, ver + 1);
    ck_assert_int_eq(room_now()->priv->nheads, 2);
    events[4] = make(&(wish_t){ .sender = "@u:far", .type = "m.room.message", .content = "{}",
                                .prev = { events[1]->event_id, events[3]->event_id } });
    expect("stored", receive_all(events + 4, 1));
    ck_assert_int_eq(room_now()->priv->nheads, 1);
    check_room();
}
END_TEST

/* Two topics on two branches of one batch, and a message on each. */
START_TEST(forks_of_state_in_one_batch_resolve_as_they_do_one_by_one)
{
    int together;
    const char *winner[2];
    for (together = 0; together < 2; together++) {
        mx_event_t *events[4];
        const mx_event_t *topic;
        const char *base;
        int i;
        fresh("11");
        homeserver_send(server, room_id, "@creator:h", "m.room.power_levels", "", "{\"users\":{\"@creator:h\":100,\"@u:far\":50}}");
        base = far_joins("@u:far");
        for (i = 0; i < 2; i++) {
            events[i] = make(&(wish_t){ .sender = "@u:far", .type = "m.room.topic", .state_key = "", .ts = 1000 * (i + 1),
                                        .content = i ? "{\"topic\":\"two\"}" : "{\"topic\":\"one\"}", .prev = { base } });
            events[2 + i] = make(&(wish_t){ .sender = "@u:far", .type = "m.room.message",
                                            .content = apr_psprintf(pool, "{\"n\":%d}", i), .prev = { events[i]->event_id } });
        }
        if (together)
            expect("stored", receive_all(events, 4));
        for (i = 0; !together && i < 4; i++)
            expect("stored", receive_all(events + i, 1));
        ck_assert_int_eq(room_now()->priv->nheads, 2);
        check_room();
        ck_assert_ptr_null(mx_room_state_get(&topic, server, room_now(), "m.room.topic", "", pool));
        winner[together] = mx_json_get_str(mx_event_content(topic), "topic");
    }
    ck_assert_str_eq(winner[0], winner[1]);
}
END_TEST

/* Each stands on the state that the one before made: levels, a join by them, and what that one says. */
START_TEST(state_and_what_it_allows_come_in_one_batch)
{
    mx_event_t *events[3];
    const mx_event_t *found;
    apr_int64_t ver;
    fresh("11");
    homeserver_send(server, room_id, "@creator:h", "m.room.power_levels", "", "{\"users\":{\"@creator:h\":100,\"@u:far\":100}}");
    far_joins("@u:far");
    ver = room_now()->ver;
    events[0] = make(&(wish_t){ .sender = "@v:far", .type = "m.room.member", .state_key = "@v:far",
                                .content = "{\"membership\":\"join\"}" });
    events[1] = make(&(wish_t){ .sender = "@u:far", .type = "m.room.power_levels", .state_key = "",
                                .content = "{\"users\":{\"@creator:h\":100,\"@u:far\":100,\"@v:far\":60}}",
                                .prev = { events[0]->event_id } });
    events[2] = make(&(wish_t){ .sender = "@v:far", .type = "m.room.topic", .state_key = "", .content = "{\"topic\":\"now\"}",
                                .prev = { events[1]->event_id },
                                .auth = { events[0]->auth_events[0], events[1]->event_id, events[0]->event_id } });
    expect("stored", receive_all(events, 3));
    ck_assert_int_eq(room_now()->ver, ver + 1);
    ck_assert_int_eq(membership("@v:far"), MX_MEMBERSHIP_JOIN);
    ck_assert_ptr_null(mx_room_state_get(&found, server, room_now(), "m.room.topic", "", pool));
    ck_assert_ptr_nonnull(found);
    ck_assert_str_eq(found->event_id, events[2]->event_id);
    check_room();
    /* another child reads what this one has published without reading */
    server = homeserver_child(NULL, pool);
    ck_assert_int_eq(membership("@v:far"), MX_MEMBERSHIP_JOIN);
    check_room();
}
END_TEST

START_TEST(a_redaction_and_its_target_come_in_one_batch_either_way_round)
{
    int turned;
    for (turned = 0; turned < 2; turned++) {
        mx_event_t *events[3];
        const char *base;
        by_itself("11");
        base = head(0);
        make_chain(1, base);
        events[turned] = chain[0];
        events[!turned] = make(&(wish_t){ .sender = "@u:far", .type = "m.room.redaction", .content = "{}",
                                          .redacts = chain[0]->event_id, .prev = { turned ? base : chain[0]->event_id } });
        events[2] = make(&(wish_t){ .sender = "@u:far", .type = "m.room.message", .content = "{}",
                                    .prev = { events[0]->event_id, events[1]->event_id } });
        expect("stored", receive_all(events, 3));
        ck_assert_int_eq(flags_of(chain[0]->event_id) & MX_EVENT_FLAG_REDACTED, MX_EVENT_FLAG_REDACTED);
        ck_assert_int_eq(count("count(*) from redaction_wait"), 0);
        ck_assert_int_eq(room_now()->priv->nheads, 1);
    }
}
END_TEST

START_TEST(our_own_events_that_come_back_are_ours)
{
    mx_event_t *event;
    by_itself("11");
    event = make(&(wish_t){ .sender = "@creator:h", .type = "m.room.message", .content = "{}" });
    ck_assert_ptr_null(mx_event_sign(event, "h", server->key.key_id, &server->key.key));
    expect("stored", receive_all(&event, 1));
    ck_assert_int_eq(flags_of(event->event_id) & MX_EVENT_FLAG_LOCAL, MX_EVENT_FLAG_LOCAL);
    make_chain(1, event->event_id);
    expect("stored", receive_all(chain, 1));
    ck_assert_int_eq(flags_of(chain[0]->event_id) & MX_EVENT_FLAG_LOCAL, 0);
}
END_TEST

START_TEST(heads_are_bounded)
{
    const char *base;
    apr_int64_t snap;
    int i;
    by_itself("11");
    base = head(0);
    for (i = 0; i < 60; i++)
        chain[i] = make(&(wish_t){ .sender = "@u:far", .type = "m.room.message", .content = apr_psprintf(pool, "{\"n\":%d}", i),
                                   .prev = { base } });
    snap = room_now()->snap_nid;
    expect("stored", receive_all(chain, MX_ROOM_HEADS_MAX));
    ck_assert_int_eq(room_now()->priv->nheads, MX_ROOM_HEADS_MAX);
    expect("stored", receive_all(chain + MX_ROOM_HEADS_MAX, 60 - MX_ROOM_HEADS_MAX));
    check_room();
    ck_assert_int_eq(room_now()->priv->nheads, 41);        /* a dummy event follows 20 */
    ck_assert_int_eq(room_now()->snap_nid, snap);
    homeserver_send(server, room_id, "@creator:h", "m.room.message", NULL, "{}");
    ck_assert_int_eq(room_now()->priv->nheads, 1);
}
END_TEST

/** n heads with a state of their own each: @u:far sets a key on each of n branches. */
static void fork_from_now(int n)
{
    mx_event_t *events[MANY];
    const char *base = head(0);
    int i;
    for (i = 0; i < n; i++)
        events[i] = make(&(wish_t){ .sender = "@u:far", .type = "org.example.state", .state_key = apr_psprintf(pool, "%d", i),
                                    .content = "{}", .prev = { base } });
    expect("stored", receive_all(events, n));
    ck_assert_int_eq(room_now()->priv->nheads, n);
}

static void fork_state(int n)
{
    homeserver_send(server, room_id, "@creator:h", "m.room.power_levels", "", room_now()->version->privileged_creators
                    ? "{\"users\":{\"@u:far\":50}}" : "{\"users\":{\"@creator:h\":100,\"@u:far\":50}}");
    fork_from_now(n);
}

/** What the event stands on is what the states after its prev events resolve to, by a resolution of its own. */
static void check_stands_on_what_it_names(const char *event_id)
{
    mx_room_resolve_input_t inputs[MX_EVENT_MAX_PREV] = { { 0 } };
    mx_event_row_t *row, *prevs;
    mx_room_resolved_t resolved;
    mx_state_item_t *changes;
    mx_event_t *event;
    int i, n;
    ck_assert_int_eq(mx_store_event_by_id(&row, server->store, event_id, pool), APR_SUCCESS);
    ck_assert_ptr_null(mx_event_parse(&event, room_now()->version, row->pdu, event_id, pool));
    ck_assert_int_le(event->nprev, MX_EVENT_MAX_PREV);
    ck_assert_int_eq(mx_store_event_by_ids(&prevs, &n, server->store, event->prev_events, event->nprev, pool), APR_SUCCESS);
    ck_assert_int_eq(n, event->nprev);
    for (i = 0; i < n; i++)
        inputs[i].snap = prevs[i].snap_after ? prevs[i].snap_after : prevs[i].snap_nid;
    database_sql("delete from stres_memo");
    ck_assert_ptr_null(mx_room_resolve(&resolved, homeserver_child(NULL, pool), room_now()->nid, room_now()->version, inputs, n, pool));
    ck_assert_int_eq(mx_store_state_diff(&changes, &n, server->store, resolved.base, row->snap_nid, pool), APR_SUCCESS);
    ck_assert_int_eq(n, resolved.n);
    for (i = 0; i < n; i++)
        ck_assert_int_eq(changes[i].nid, resolved.changes[i].nid);
}

START_TEST(with_many_heads_a_local_event_stands_on_what_it_names)
{
    static const char *const versions[] = { "1", "6", "11", "12" };
    int v;
    for (v = 0; v < UNIT_COUNT(versions); v++) {
        const char *sent;
        by_itself(versions[v]);
        fork_state(25);
        sent = homeserver_send(server, room_id, "@creator:h", "m.room.topic", "", "{\"topic\":\"over all\"}");
        ck_assert_int_eq(room_now()->priv->nheads, 1);
        check_stands_on_what_it_names(sent);
        ck_assert_int_eq(count("count(*) from cur_state c join skey k using (skey_nid) join ev_type t using (type_nid)"
                               " where t.type = 'org.example.state'"), 25);
        check_room();
        /* the dummy too */
        ck_assert_int_eq(count("count(*) from event e join ev_type t using (type_nid) where t.type = 'org.matrix.dummy_event'"
                               " and flags = 16 + 128"), 1);
    }
}
END_TEST

START_TEST(a_runner_brings_heads_together_if_a_member_may)
{
    const char **ids, *message;
    int n, left;
    by_itself("11");
    fork_state(MX_ROOM_HEADS_MANY);
    ck_assert_ptr_null(mx_room_heads_wanting(&ids, &n, server, "", 5, pool));
    ck_assert_int_eq(n, 0);
    by_itself("11");
    fork_state(15);
    ck_assert_ptr_null(mx_room_heads_wanting(&ids, &n, server, "", 5, pool));
    ck_assert_int_eq(n, 1);
    ck_assert_str_eq(ids[0], room_id);
    ck_assert_ptr_null(mx_room_heads_merge(&left, server, room_id, MX_ROOM_HEADS_MANY, pool));
    ck_assert_int_eq(left, 1);
    check_room();
    message = head(0);
    check_stands_on_what_it_names(message);
    /* nobody of ours may */
    by_itself("11");
    homeserver_send(server, room_id, "@creator:h", "m.room.power_levels", "",
                    "{\"users\":{\"@creator:h\":50,\"@u:far\":50},\"events\":{\"org.matrix.dummy_event\":51}}");
    fork_from_now(15);
    ck_assert_ptr_null(mx_room_heads_merge(&left, server, room_id, MX_ROOM_HEADS_MANY, pool));
    ck_assert_int_eq(left, 15);
}
END_TEST

/* The room that cannot be helped has either the smaller or the greater id. */
START_TEST(the_task_helps_every_room_that_can_be_helped)
{
    const char *bad, *good, **ids;
    int n;
    mx_server_t *child;
    by_itself("11");
    homeserver_send(server, room_id, "@creator:h", "m.room.power_levels", "",
                    "{\"users\":{\"@creator:h\":50,\"@u:far\":50},\"events\":{\"org.matrix.dummy_event\":51}}");
    fork_from_now(15);
    bad = room_id;
    good = room_id = homeserver_room(server, "11", "public");
    far_joins("@u:far");
    fork_state(30);
    ck_assert_ptr_null(mx_room_heads_wanting(&ids, &n, server, strcmp(bad, good) < 0 ? bad : good, 5, pool));
    ck_assert_int_eq(n, 1);
    ck_assert_str_eq(ids[0], strcmp(bad, good) < 0 ? good : bad);
    child = homeserver_child(NULL, pool);
    ((mx_settings_t *)child->settings)->cleanup_interval_ms = 50;
    ck_assert_int_eq(mx_runner_init(child), APR_SUCCESS);
    ck_assert_int_eq(mx_room_heads_init(child), APR_SUCCESS);
    mx_server_stream_moved(child);
    for (n = 0; n < 400 && room_now()->priv->nheads > MX_ROOM_HEADS_MANY; n++)
        apr_sleep(10000);
    mx_runner_stop(child);
    check_room();
    ck_assert_int_eq(room_now()->priv->nheads, 1);
    room_id = bad;
    ck_assert_int_eq(room_now()->priv->nheads, 15);
    check_room();
}
END_TEST

/* Before version 11 a redaction takes the level for invites out of power levels: rules that read the event afterwards see that. */
START_TEST(a_redacted_auth_event_is_not_remembered_as_it_was)
{
    const mx_event_t *before, *after;
    const char *levels;
    mx_event_row_t *row;
    apr_int64_t nid;
    fresh("8");
    levels = homeserver_send(server, room_id, "@creator:h", "m.room.power_levels", "", "{\"invite\":60,\"users\":{\"@creator:h\":100}}");
    ck_assert_int_eq(mx_store_event_by_id(&row, server->store, levels, pool), APR_SUCCESS);
    nid = row->nid;
    ck_assert_ptr_null(mx_room_auth_event_load(&before, server, room_now()->nid, room_now()->version, &nid, 1, pool));
    ck_assert_ptr_nonnull(mx_json_get(mx_event_content(before), "invite"));
    {
        mx_room_draft_t draft = { .sender = "@creator:h", .type = "m.room.redaction", .content = mx_json_new_object(pool),
                                  .redacts = levels };
        const char *event_id;
        ck_assert_ptr_null(mx_room_send(&event_id, server, room_id, &draft, 1, pool));
    }
    ck_assert_ptr_null(mx_room_auth_event_load(&after, server, room_now()->nid, room_now()->version, &nid, 1, pool));
    ck_assert_ptr_null(mx_json_get(mx_event_content(after), "invite"));
}
END_TEST

/** What two states resolve to, by one of our children, has for the membership of @x:far: 0 if none. */
static apr_int64_t resolved_x(mx_server_t *by, const apr_int64_t *snaps)
{
    mx_room_resolve_input_t inputs[2] = { { .snap = snaps[0] }, { .snap = snaps[1] } };
    mx_room_resolved_t resolved = { 0 };
    apr_int64_t skey = count("skey_nid from skey where state_key = '@x:far'"), nid = 0;
    mx_state_item_t *items;
    int i, n;
    ck_assert_ptr_null(mx_room_resolve(&resolved, by, room_now()->nid, room_now()->version, inputs, 2, pool));
    ck_assert_int_eq(mx_store_state_load(&items, &n, server->store, resolved.base, pool), APR_SUCCESS);
    for (i = 0; i < n; i++)
        nid = items[i].skey_nid == skey ? items[i].nid : nid;
    for (i = 0; i < resolved.n; i++)
        nid = resolved.changes[i].skey_nid == skey ? resolved.changes[i].nid : nid;
    return nid;
}

static apr_int64_t snap_after(const char *event_id)
{
    mx_event_row_t *row;
    ck_assert_int_eq(mx_store_event_by_id(&row, server->store, event_id, pool), APR_SUCCESS);
    return row->snap_after;
}

/* As above: without the level that was redacted, the invite is allowed, which the resolution had refused. From version 11 on it stays. */
START_TEST(what_states_resolve_to_is_not_remembered_past_a_redaction)
{
    static const char *const versions[] = { "10", "11" };
    int v;
    for (v = 0; v < UNIT_COUNT(versions); v++) {
        const char *base, *levels, *event_id;
        mx_event_t *invite, *over;
        mx_server_t *other;
        apr_int64_t snaps[2];
        mx_room_draft_t draft = { .sender = "@creator:h", .type = "m.room.redaction", .content = mx_json_new_object(pool) };
        by_itself(versions[v]);
        base = head(0);
        invite = make(&(wish_t){ .sender = "@u:far", .type = "m.room.member", .state_key = "@x:far",
                                 .content = "{\"membership\":\"invite\"}", .prev = { base } });
        levels = homeserver_send(server, room_id, "@creator:h", "m.room.power_levels", "",
                                 "{\"invite\":60,\"users\":{\"@creator:h\":100}}");
        expect("soft-failed", receive_all(&invite, 1));
        snaps[0] = snap_after(invite->event_id);
        snaps[1] = snap_after(levels);
        over = make(&(wish_t){ .sender = "@u:far", .type = "m.room.message", .content = "{}",
                               .prev = { invite->event_id, levels } });
        expect("stored", receive_all(&over, 1));
        ck_assert_int_eq(count("count(*) from stres_memo"), 1);
        other = homeserver_child(NULL, pool);
        ck_assert_int_eq(resolved_x(server, snaps), 0);
        ck_assert_int_eq(resolved_x(other, snaps), 0);
        draft.redacts = levels;
        ck_assert_ptr_null(mx_room_send(&event_id, server, room_id, &draft, 1, pool));
        ck_assert_int_eq(resolved_x(server, snaps) != 0, v == 0);
        ck_assert_int_eq(resolved_x(homeserver_child(NULL, pool), snaps) != 0, v == 0);
        mx_room_get(&(mx_room_t *){ NULL }, other, room_id, 1, pool);
        ck_assert_int_eq(resolved_x(other, snaps) != 0, v == 0);
    }
}
END_TEST

#define TOGETHER 40

typedef struct talker_t {
    mx_server_t *server;
    int by;
} talker_t;

static void *APR_THREAD_FUNC talk(apr_thread_t *thread, void *baton)
{
    talker_t *t = baton;
    apr_pool_t *own;
    int i;
    apr_pool_create(&own, NULL);
    for (i = 0; i < TOGETHER; i++) {
        mx_room_draft_t draft = { .sender = "@creator:h", .type = "m.room.message", .content = mx_json_new_object(own) };
        const char *event_id;
        if (i % 5 == 0)
            draft.type = "org.example.state", draft.state_key = apr_psprintf(own, "%d-%d", t->by, i);
        ck_assert_ptr_null(mx_room_send(&event_id, t->server, room_id, &draft, 1, own));
    }
    apr_pool_destroy(own);
    return NULL;
}

/* Writers of this child and of another, and batches of another server, all at once. */
START_TEST(batches_and_local_writers_of_two_children_lose_nothing)
{
    talker_t talkers[2];
    apr_thread_t *threads[2];
    apr_status_t rv;
    long events;
    int i;
    by_itself("11");
    make_chain(MANY, head(0));
    events = count("count(*) from event");
    talkers[0] = (talker_t){ server, 0 };
    talkers[1] = (talker_t){ homeserver_child(NULL, pool), 1 };
    for (i = 0; i < 2; i++)
        ck_assert_int_eq(apr_thread_create(&threads[i], NULL, talk, &talkers[i], pool), APR_SUCCESS);
    for (i = 0; i < MANY; i += 20)
        expect("stored", receive_all(chain + i, 20));
    for (i = 0; i < 2; i++)
        apr_thread_join(&rv, threads[i]);
    ck_assert_int_eq(count("count(*) from event"), events + MANY + 2 * TOGETHER);
    homeserver_send(server, room_id, "@creator:h", "m.room.message", NULL, "{}");
    ck_assert_int_eq(room_now()->priv->nheads, 1);
    check_room();
    ck_assert_int_eq(count("count(*) from cur_state c join skey k using (skey_nid) join ev_type t using (type_nid)"
                           " where t.type = 'org.example.state'"), 2 * TOGETHER / 5);
}
END_TEST

#define ROOMS 10

/* B9 without HTTP: the rate is printed, not judged. */
START_TEST(batches_of_fifty_are_quick)
{
    mx_event_t *events[ROOMS][MX_ROOM_BATCH_MAX];
    const char *rooms[ROOMS];
    apr_time_t begun;
    int i, k, n = 0;
    by_itself("11");
    for (k = 0; k < ROOMS; k++) {
        if (k) {
            room_id = homeserver_room(server, "11", "public");
            far_joins("@u:far");
        }
        rooms[k] = room_id;
        make_chain(MX_ROOM_BATCH_MAX, head(0));
        memcpy(events[k], chain, sizeof(events[k]));
    }
    begun = apr_time_now();
    for (i = 0; i < MX_ROOM_BATCH_MAX; i += 5) {        /* ten transactions, five events of each room in each */
        for (k = 0; k < ROOMS; k++, n += 5) {
            room_id = rooms[k];
            expect("stored", receive_all(events[k] + i, 5));
        }
    }
    fprintf(stderr, "B9 over %d rooms: %.0f PDU/s persisted\n", ROOMS, 1e6 * n / (double)(apr_time_now() - begun));
    make_chain(MANY, head(0));
    begun = apr_time_now();
    for (i = 0; i < MANY; i += MX_ROOM_BATCH_MAX)
        expect("stored", receive_all(chain + i, MX_ROOM_BATCH_MAX));
    fprintf(stderr, "B9 chained in one room: %.0f PDU/s persisted\n", 1e6 * MANY / (double)(apr_time_now() - begun));
    ck_assert_str_eq(head(0), chain[MANY - 1]->event_id);
}
END_TEST

DATABASE_MAIN("accept_batch", a_chain_is_one_transaction_in_every_version, a_chain_of_fifty_asks_the_database_three_times,
              the_order_of_arrival_does_not_matter, two_of_one_id_are_one_event, a_bad_one_harms_no_other,
              what_follows_a_soft_failed_event_leaves_no_head_behind, forks_of_one_batch_are_heads_until_something_follows_both,
              forks_of_state_in_one_batch_resolve_as_they_do_one_by_one, state_and_what_it_allows_come_in_one_batch,
              a_redaction_and_its_target_come_in_one_batch_either_way_round, our_own_events_that_come_back_are_ours,
              heads_are_bounded, a_redacted_auth_event_is_not_remembered_as_it_was,
              what_states_resolve_to_is_not_remembered_past_a_redaction,
              with_many_heads_a_local_event_stands_on_what_it_names, a_runner_brings_heads_together_if_a_member_may,
              the_task_helps_every_room_that_can_be_helped,
              batches_and_local_writers_of_two_children_lose_nothing, batches_of_fifty_are_quick)
