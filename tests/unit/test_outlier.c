/* SPDX-License-Identifier: Apache-2.0 */
/* Events outside the DAG: their order, their checks, and what matrix-doctor says of rooms that have them. */
#include "other_server.h"

#include "room/auth_dag.h"
#include "room/outlier.h"
#include "room/receive.h"
#include "room/remote_join.h"
#include "tools/doctor.h"

#define TEXTS_MAX 4000

static mx_slice_t texts[TEXTS_MAX];
static int ntexts;
static mx_room_outliers_t done;

static far_line_t *fresh(const char *version)
{
    ntexts = 0;
    return far_fresh(version);
}

static void put(const mx_event_t *event)
{
    ck_assert_int_lt(ntexts, TEXTS_MAX);
    texts[ntexts++] = event->pdu;
}

static void store_all(void)
{
    mx_room_t *room = room_now();
    mx_room_outlier_room_t as = { room->nid, room_id, room->version, far_keys, NULL };
    const mx_error_t *err = mx_room_outlier_store(&done, server, &as, texts, ntexts, pool);
    ck_assert_msg(err == NULL, "%s / %s", err ? err->message : "", err && err->detail ? err->detail : "");
}

static void reverse(void)
{
    int i;
    for (i = 0; i < ntexts / 2; i++) {
        mx_slice_t t = texts[i];
        texts[i] = texts[ntexts - 1 - i];
        texts[ntexts - 1 - i] = t;
    }
}

static mx_event_row_t *row_of(const char *event_id)
{
    mx_event_row_t *row = NULL;
    return mx_store_event_by_id(&row, server->store, event_id, pool) == APR_SUCCESS ? row : NULL;
}

static const mx_event_t *turn(far_line_t *line, const char *user, int i)
{
    return far_member(line, user, i % 2 ? "leave" : "join");
}

/* Each is authorised by the one before: a chain over several chunks, given from its end. */
START_TEST(a_long_chain_in_the_wrong_order_is_stored_in_the_right_one)
{
    static const char *const versions[] = { "1", "3", "11", "12" };
    int i, v;
    for (v = 0; v < UNIT_COUNT(versions); v++) {
        far_line_t *line = fresh(versions[v]);
        for (i = 0; i < 600; i++)
            put(turn(line, "@v:far", i));
        reverse();
        store_all();
        ck_assert_int_eq(done.stored, 600);
        ck_assert_int_eq(done.known + done.rejected + done.dropped, 0);
        ck_assert_int_eq(database_number("select count(*) from event where flags & 4 <> 0"), 600);
        ck_assert_int_eq(database_number("select count(*) from state_event s, unnest(s.auth_nids) a where a >= s.nid"), 0);
        ck_assert_int_eq(database_number("select count(*) from event where flags & 4 <> 0 and (ord <> 0 or snap_nid is not null)"), 0);
        check_mirrors();
        store_all();
        ck_assert_int_eq(done.known, 600);
        ck_assert_int_eq(done.stored, 0);
    }
}
END_TEST

START_TEST(what_cannot_be_checked_is_not_stored)
{
    far_line_t *line = fresh("11");
    const mx_event_t *join = turn(line, "@v:far", 0), *leave = turn(line, "@v:far", 1), *back = turn(line, "@v:far", 2);
    mx_event_t *bad = far_make(line, "@w:far", "m.room.member", "@w:far", "{\"membership\":\"join\"}", &far_wrong_key);
    mx_room_t *room = room_now();
    put(back);
    put(leave);                      /* `join`, which authorises it, is not there */
    put(bad);
    texts[ntexts++] = MX_SLICE_LIT("[]");
    texts[ntexts++] = MX_SLICE_LIT("{\"type\":");
    put(leave);                      /* twice */
    store_all();
    ck_assert_int_eq(done.stored, 0);
    ck_assert_int_eq(done.dropped, 5);
    ck_assert_ptr_nonnull(done.why);
    ck_assert_int_eq(database_number("select count(*) from event where flags & 4 <> 0"), 0);
    put(join);
    store_all();
    ck_assert_int_eq(done.stored, 3);
    ck_assert_int_eq(done.dropped, 3);
    ck_assert_int_lt(row_of(join->event_id)->nid, row_of(leave->event_id)->nid);
    ck_assert_int_lt(row_of(leave->event_id)->nid, row_of(back->event_id)->nid);
    ck_assert_ptr_null(row_of(bad->event_id));
    /* the room is as it was */
    ck_assert_int_eq(room_now()->ver, room->ver);
}
END_TEST

/** A member event with that id (versions 1 and 2 choose them) that is authorised by another. */
static mx_event_t *chosen(far_line_t *line, const char *id, const char *auth_id)
{
    const char *auth[] = { far_state(line, "m.room.create", "")->event_id, far_state(line, "m.room.join_rules", "")->event_id,
                           auth_id };
    mx_event_draft_t d = { .version = line->version, .room_id = room_id, .sender = "@v:far", .type = "m.room.member", .state_key = "@v:far",
                           .content = MX_SLICE_LIT("{\"membership\":\"join\"}"), .depth = 9, .origin_server_ts = 9,
                           .prev_events = line->prev, .nprev = 1, .auth_events = auth, .nauth = 3, .origin = "far" };
    mx_event_t *event = NULL;
    const char *text;
    ck_assert_ptr_null(mx_event_build(&event, &d, pool));
    text = apr_pstrmemdup(pool, event->pdu.p, event->pdu.len);
    {
        mx_json_t *json = unit_json(text);
        mx_buf_t *buf = mx_buf_create(pool);
        mx_json_set_str(json, "event_id", id);
        mx_json_write_canonical(buf, json);
        ck_assert_ptr_null(mx_event_parse(&event, line->version, mx_buf_slice(buf), NULL, pool));
    }
    ck_assert_ptr_null(mx_event_sign(event, "far", far_key.key_id, &far_key.key));
    return event;
}

START_TEST(events_that_authorise_each_other_are_not_stored)
{
    far_line_t *line = fresh("1");
    put(chosen(line, "$a:far", "$b:far"));
    put(chosen(line, "$b:far", "$c:far"));
    put(chosen(line, "$c:far", "$a:far"));
    put(chosen(line, "$self:far", "$self:far"));
    store_all();
    ck_assert_int_eq(done.stored, 0);
    ck_assert_int_eq(done.dropped, 4);
    ck_assert_int_eq(database_number("select count(*) from event where flags & 4 <> 0"), 0);
}
END_TEST

START_TEST(a_rejected_outlier_is_kept_and_authorises_nothing)
{
    far_line_t *line = fresh("11");
    mx_event_t *bad = far_make(line, "@v:far", "m.room.member", "@w:far", "{\"membership\":\"join\"}", NULL), *after;
    far_set(line, bad);
    after = far_make(line, "@w:far", "m.room.member", "@w:far", "{\"membership\":\"leave\"}", NULL);
    put(after);
    put(bad);
    store_all();
    ck_assert_int_eq(done.stored, 2);
    ck_assert_int_eq(done.rejected, 2);
    ck_assert_int_eq(row_of(bad->event_id)->flags, MX_EVENT_FLAG_OUTLIER | MX_EVENT_FLAG_REJECTED | MX_EVENT_FLAG_STATE);
    ck_assert_int_eq(row_of(after->event_id)->flags, MX_EVENT_FLAG_OUTLIER | MX_EVENT_FLAG_REJECTED | MX_EVENT_FLAG_STATE);
}
END_TEST

/* Its own auth events allow it, the state before it does not: it is rejected, and no longer known as an auth event. */
START_TEST(an_outlier_that_the_room_refuses_is_forgotten_as_an_auth_event)
{
    far_line_t *line = fresh("11");
    const mx_auth_dag_t *dag;
    mx_event_t *join;
    mx_room_pdu_t pdu;
    mx_room_t *room;
    homeserver_send(server, room_id, "@creator:h", "m.room.member", "@v:far", "{\"membership\":\"ban\"}");
    line->prev[0] = mx_store_event_id_unpack(room_now()->priv->head_ids[0], pool);      /* after the ban, of which it names nothing */
    join = far_make(line, "@v:far", "m.room.member", "@v:far", "{\"membership\":\"join\"}", NULL);
    put(join);
    store_all();
    ck_assert_int_eq(done.stored, 1);
    room = room_now();
    ck_assert_ptr_null(mx_room_auth_dag_get(&dag, server, room->nid, pool));
    ck_assert_uint_ne(mx_auth_dag_find(dag, row_of(join->event_id)->nid), MX_AUTH_DAG_NONE);
    ck_assert_ptr_null(mx_room_accept_pdu(&pdu, server, room_id, join->pdu, far_keys, NULL, pool));
    ck_assert_int_eq(pdu.outcome, MX_PDU_REJECTED);
    ck_assert_int_eq(row_of(join->event_id)->flags, MX_EVENT_FLAG_REJECTED | MX_EVENT_FLAG_STATE);
    ck_assert_int_eq(row_of(join->event_id)->snap_after, 0);
    ck_assert_ptr_null(mx_room_auth_dag_get(&dag, server, room->nid, pool));
    ck_assert_uint_eq(mx_auth_dag_find(dag, row_of(join->event_id)->nid), MX_AUTH_DAG_NONE);
    check_mirrors();
}
END_TEST

/* ---- matrix-doctor ---- */

static void healthy(const char *what)
{
    mx_doctor_t doctor = { .pool = pool, .store = database_store(pool), .server_name = "h",
                           .keys = apr_array_make(pool, 2, sizeof(mx_doctor_key_t)) };
    const mx_signing_key_t *both[] = { &server->key, &far_key };
    mx_doctor_report_t *report = NULL;
    int i;
    for (i = 0; i < 2; i++) {
        mx_doctor_key_t *key = apr_array_push(doctor.keys);
        key->server = i ? "far" : "h";
        key->key_id = both[i]->key_id;
        memcpy(key->public_key, both[i]->key.public, sizeof(key->public_key));
    }
    ck_assert_int_eq(mx_doctor_room_examine(&report, &doctor, room_now()->nid, pool), APR_SUCCESS);
    for (i = 0; i < report->findings->nelts; i++) {
        const mx_doctor_finding_t *f = &APR_ARRAY_IDX(report->findings, i, mx_doctor_finding_t);
        ck_assert_msg(0, "%s: %s %s", what, f->event_id ? f->event_id : "", f->words);
    }
}

static void receive(const mx_event_t *event)
{
    mx_room_received_t got;
    ck_assert_ptr_null(mx_room_receive(&got, server, room_id, event->pdu, &far_source, apr_time_now() + apr_time_from_sec(60), pool));
    ck_assert_int_eq(got.pdu.outcome, MX_PDU_STORED);
}

static void answer_join(far_line_t *line)
{
    mx_event_t *join = far_make(line, "@me:h", "m.room.member", "@me:h", "{\"membership\":\"join\"}", NULL);
    mx_slice_t state[50], auth[100];
    mx_room_remote_t answer = { .room_id = line->room_id, .version = line->version->name, .state = state, .auth = auth, .join = join->pdu,
                                .key = far_keys };
    mx_room_remote_joined_t joined;
    const mx_error_t *err;
    apr_hash_index_t *hi;
    for (; answer.nstate < line->n; answer.nstate++)
        state[answer.nstate] = line->state[answer.nstate]->pdu;
    for (hi = apr_hash_first(pool, far_events); hi; hi = apr_hash_next(hi)) {
        void *value;
        apr_hash_this(hi, NULL, NULL, &value);
        auth[answer.nauth++] = ((far_event_t *)value)->event->pdu;
    }
    err = mx_room_remote_join(&joined, server, &answer, pool);
    ck_assert_msg(err == NULL, "%s", err ? err->message : "");
}

/** Its outliers stay; of a room there is nothing, so nothing comes into it. */
static void refuse_join(far_line_t *line)
{
    mx_event_t *join = far_make(line, "@me:h", "m.room.member", "@me:h", "{\"membership\":\"join\"}", NULL);
    mx_slice_t state[50];
    mx_room_remote_t answer = { .room_id = line->room_id, .version = line->version->name, .state = state, .join = join->pdu,
                                .key = far_keys };
    mx_room_remote_joined_t joined;
    mx_room_pdu_t pdu;
    const mx_error_t *err;
    for (; answer.nstate < line->n; answer.nstate++)
        state[answer.nstate] = line->state[answer.nstate]->pdu;
    state[answer.nstate++] = far_say(far_fork(line), "no state")->pdu;
    err = mx_room_remote_join(&joined, server, &answer, pool);
    ck_assert(err != NULL && err->code == MX_E_INVALID_ROOM_STATE);
    err = mx_room_accept_pdu(&pdu, server, room_id, line->state[0]->pdu, far_keys, NULL, pool);
    ck_assert(err != NULL && err->code == MX_E_NOT_FOUND);
}

START_TEST(a_room_with_a_gap_is_healthy)
{
    static const char *const versions[] = { "1", "6", "11", "12" };
    int v;
    for (v = 0; v < UNIT_COUNT(versions); v++) {
        far_line_t *line = fresh(versions[v]);
        const mx_event_t *joined, *last;
        far_say(line, "lost");
        joined = turn(line, "@v:far", 0);
        far_say(line, "before");
        last = far_say(line, "last");
        far.only = last->event_id;
        receive(last);
        healthy("a gap");
        ck_assert_int_eq(row_of(joined->event_id)->flags & MX_EVENT_FLAG_OUTLIER, MX_EVENT_FLAG_OUTLIER);
        homeserver_send(server, room_id, "@creator:h", "m.room.message", NULL, "{}");
        healthy("heads joined again");
    }
}
END_TEST

START_TEST(a_room_that_was_joined_left_and_joined_again_is_healthy)
{
    static const char *const versions[] = { "1", "6", "11", "12" };
    int v;
    for (v = 0; v < UNIT_COUNT(versions); v++) {
        const mx_room_version_t *version = mx_room_version_find(versions[v]);
        far_line_t *line = fresh(versions[v]);
        far_events = apr_hash_make(pool);
        line = far_line(version);
        line->room_id = version->room_id_is_create_hash ? NULL : "!room:far";
        far_add(line, "@u:far", "m.room.create", "", apr_psprintf(pool, "{\"creator\":\"@u:far\",\"room_version\":\"%s\"}", versions[v]));
        turn(line, "@u:far", 0);
        far_add(line, "@u:far", "m.room.join_rules", "", "{\"join_rule\":\"public\"}");
        room_id = line->room_id;
        refuse_join(line);
        healthy("a join that was refused");
        answer_join(line);
        healthy("a join");
        homeserver_send(server, room_id, "@me:h", "m.room.message", NULL, "{}");
        homeserver_send(server, room_id, "@me:h", "m.room.member", "@me:h", "{\"membership\":\"leave\"}");
        healthy("a leave");
        line = far_line_of_room();
        far_say(line, "unseen");
        turn(line, "@v:far", 0);
        answer_join(line);
        homeserver_send(server, room_id, "@me:h", "m.room.message", NULL, "{}");
        healthy("a join again");
    }
}
END_TEST

START_TEST(a_room_whose_outlier_got_its_place_is_healthy)
{
    static const char *const versions[] = { "1", "6", "11", "12" };
    int v;
    for (v = 0; v < UNIT_COUNT(versions); v++) {
        far_line_t *line = fresh(versions[v]);
        const mx_event_t *join = turn(line, "@v:far", 0);
        put(join);
        store_all();
        homeserver_send(server, room_id, "@creator:h", "org.example.state", "", "{}");
        receive(join);
        ck_assert_int_gt(row_of(join->event_id)->ord, row_of(join->event_id)->nid);
        healthy("a late place");
        receive(far_say(line, "x"));
        homeserver_send(server, room_id, "@creator:h", "m.room.message", NULL, "{}");
        healthy("what follows it");
    }
}
END_TEST

DATABASE_MAIN("outlier", a_long_chain_in_the_wrong_order_is_stored_in_the_right_one, what_cannot_be_checked_is_not_stored,
              events_that_authorise_each_other_are_not_stored, a_rejected_outlier_is_kept_and_authorises_nothing,
              an_outlier_that_the_room_refuses_is_forgotten_as_an_auth_event, a_room_with_a_gap_is_healthy,
              a_room_that_was_joined_left_and_joined_again_is_healthy, a_room_whose_outlier_got_its_place_is_healthy)
