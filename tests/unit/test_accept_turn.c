/* SPDX-License-Identifier: Apache-2.0 */
/* Events of other servers among writers of several children: whoever has lost gets a turn, on forks as well. */
#include "other_server.h"
#include "turns.h"

#include "room/accept_pdu_private.h"

/* ---- one turn ---- */

typedef struct rival_t {
    mx_server_t *child;
    const mx_error_t *err;
    int over;
} rival_t;

static void *APR_THREAD_FUNC send_as_rival(apr_thread_t *thread, void *baton)
{
    rival_t *rival = baton;
    mx_room_draft_t draft = { .sender = "@creator:h", .type = "m.room.message" };
    const char *event_id;
    apr_pool_t *own;
    apr_pool_create_unmanaged_ex(&own, NULL, NULL);
    draft.content = mx_json_new_object(own);
    rival->err = mx_room_send(&event_id, rival->child, room_id, &draft, 1, own);
    __atomic_store_n(&rival->over, 1, __ATOMIC_RELEASE);
    return NULL;
}

/** Two heads with a state each, and an event that follows both: its state before is to be resolved and stored. */
static const mx_event_t *event_on_a_fork(void)
{
    far_line_t *line = far_fresh("11"), *other;
    const mx_event_t *a, *b;
    mx_room_pdu_t outs[2];
    mx_slice_t texts[2];
    other = far_fork(line);
    a = far_add(line, "@u:far", "m.room.member", "@u:far", "{\"displayname\":\"a\",\"membership\":\"join\"}");
    other->clock += 10;
    b = far_member(other, "@v:far", "join");
    texts[0] = a->pdu;
    texts[1] = b->pdu;
    ck_assert_ptr_null(mx_room_accept_pdus(outs, server, room_id, texts, 2, far_keys, NULL, pool));
    ck_assert(outs[0].outcome == MX_PDU_STORED && outs[1].outcome == MX_PDU_STORED);
    other->prev[other->nprev++] = a->event_id;
    return far_say(other, "over both");
}

START_TEST(an_event_on_a_fork_is_stored_in_a_turn)
{
    const mx_event_t *event = event_on_a_fork();
    mx_room_turn_t turn = { .server = server, .pool = pool };
    mx_room_standing_t standing = { 0 };
    rival_t rival = { .child = homeserver_child(NULL, pool) };
    mx_room_t *old = room_now(), *room;
    apr_thread_t *thread;
    mx_room_pdu_t out;
    apr_status_t rv;
    int i, again;
    ck_assert_int_eq(old->priv->nheads, 2);
    send_as_rival(NULL, &rival);
    ck_assert_ptr_null(rival.err);
    ck_assert_ptr_null(mx_room_accept_one(&again, &out, server, old, event, &standing, NULL, pool));
    ck_assert_int_eq(again, 1);
    ck_assert_int_eq(standing.known, 1);
    for (i = 0, room = old; i < MX_ROOM_LOST_MAX; i++)
        ck_assert_ptr_null(mx_room_turn_lost(&room, &turn, room));
    ck_assert_ptr_nonnull(turn.conn);
    rival.over = 0;
    ck_assert_int_eq(apr_thread_create(&thread, NULL, send_as_rival, &rival, pool), APR_SUCCESS);
    while (!database_number("select count(*) from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'"))
        apr_sleep(1000);
    ck_assert_ptr_null(mx_room_accept_one(&again, &out, server, room, event, &standing, turn.conn, pool));
    ck_assert_int_eq(again, 0);
    ck_assert_int_eq(out.outcome, MX_PDU_STORED);
    apr_thread_join(&rv, thread);
    ck_assert_ptr_null(rival.err);
    mx_room_turn_end(&turn);
    check_mirrors();
}
END_TEST

START_TEST(a_turn_in_which_a_state_would_have_to_be_stored_asks_to_be_given_back)
{
    const mx_event_t *event = event_on_a_fork();
    mx_room_turn_t turn = { .server = server, .pool = pool };
    mx_room_standing_t standing = { 0 };
    mx_room_t *room = room_now();
    mx_room_pdu_t out;
    int i, again = 0;
    for (i = 0; i < MX_ROOM_LOST_MAX; i++)
        ck_assert_ptr_null(mx_room_turn_lost(&room, &turn, room));
    ck_assert_ptr_nonnull(turn.conn);
    ck_assert_ptr_null(mx_room_accept_one(&again, &out, server, room, event, &standing, turn.conn, pool));
    ck_assert_int_eq(again, 1);
    mx_room_turn_give_back(&turn);
    ck_assert_ptr_null(mx_room_accept_one_rounds(&out, &room, server, event, pool));
    ck_assert_int_eq(out.outcome, MX_PDU_STORED);
    mx_room_turn_end(&turn);
}
END_TEST

/* ---- many ---- */

#define CHILDREN 3
#define TALKERS 6
#define SENDS 25
#define LINES 6                      /* of the other server, each a branch of its own */
#define LENGTH 40
#define PORTION 8

typedef struct writer_t {
    int number, refused;
    mx_server_t *child;
    const mx_event_t *events[LENGTH];
} writer_t;

static void *APR_THREAD_FUNC talk(apr_thread_t *thread, void *baton)
{
    writer_t *w = baton;
    int i;
    for (i = 0; i < SENDS; i++) {
        mx_room_draft_t draft = { .sender = "@creator:h", .type = "m.room.message" };
        const char *event_id;
        apr_pool_t *own;
        apr_pool_create_unmanaged_ex(&own, NULL, NULL);
        draft.content = mx_json_new_object(own);
        if (i % 5 == 0)
            draft.type = "org.example.state", draft.state_key = apr_psprintf(own, "%d-%d", w->number, i);
        w->refused += mx_room_send(&event_id, w->child, room_id, &draft, 1, own) != NULL;
        apr_pool_destroy(own);
    }
    return NULL;
}

static void *APR_THREAD_FUNC deliver(apr_thread_t *thread, void *baton)
{
    writer_t *w = baton;
    int i, k;
    for (i = 0; i < LENGTH; i += PORTION) {
        mx_slice_t texts[PORTION];
        mx_room_pdu_t outs[PORTION];
        apr_pool_t *own;
        const mx_error_t *err;
        apr_pool_create_unmanaged_ex(&own, NULL, NULL);
        for (k = 0; k < PORTION; k++)
            texts[k] = w->events[i + k]->pdu;
        err = mx_room_accept_pdus(outs, w->child, room_id, texts, PORTION, far_keys, NULL, own);
        for (k = 0; k < PORTION; k++)
            w->refused += err || outs[k].outcome != MX_PDU_STORED;
        apr_pool_destroy(own);
    }
    return NULL;
}

/** Messages, now and then a profile: a state that the other branches do not have. */
static void make_line(writer_t *w, const far_line_t *from)
{
    far_line_t *line = far_fork(from);
    int i;
    line->clock += 1000 * w->number;
    for (i = 0; i < LENGTH; i++)
        w->events[i] = i % 10 != 9 ? far_say(line, apr_psprintf(pool, "%d-%d", w->number, i))
            : far_add(line, "@u:far", "m.room.member", "@u:far",
                      apr_psprintf(pool, "{\"displayname\":\"%d-%d\",\"membership\":\"join\"}", w->number, i));
}

START_TEST(writers_of_both_kinds_in_three_children_all_come_through)
{
    mx_server_t *children[CHILDREN];
    writer_t writers[TALKERS + LINES] = { 0 };
    apr_thread_t *threads[TALKERS + LINES];
    const far_line_t *line = far_fresh("11");
    apr_status_t rv;
    long before = database_number("select count(*) from event");
    int i, refused = 0;
    for (i = 0; i < CHILDREN; i++)
        children[i] = homeserver_child(NULL, pool);
    for (i = 0; i < TALKERS + LINES; i++) {
        writers[i].number = i;
        writers[i].child = children[i % CHILDREN];
        if (i >= TALKERS)
            make_line(&writers[i], line);
    }
    for (i = 0; i < TALKERS + LINES; i++)
        ck_assert_int_eq(apr_thread_create(&threads[i], NULL, i < TALKERS ? talk : deliver, &writers[i], pool), APR_SUCCESS);
    for (i = 0; i < TALKERS + LINES; i++) {
        apr_thread_join(&rv, threads[i]);
        refused += writers[i].refused;
    }
    ck_assert_int_eq(refused, 0);
    ck_assert_int_eq(database_number("select count(*) from event where flags & 135 = 0"), before + TALKERS * SENDS + LINES * LENGTH);
    ck_assert_int_le(most_rounds(children, CHILDREN), MX_ROOM_ROUNDS_MAX / 2);
    homeserver_send(server, room_id, "@creator:h", "m.room.message", NULL, "{}");
    check_mirrors();
    ck_assert_int_eq(database_number("select count(*) from cur_state c join skey k using (skey_nid) join ev_type t using (type_nid)"
                                     " where t.type = 'org.example.state'"), TALKERS * SENDS / 5);
}
END_TEST

DATABASE_MAIN("accept_turn", an_event_on_a_fork_is_stored_in_a_turn,
              a_turn_in_which_a_state_would_have_to_be_stored_asks_to_be_given_back,
              writers_of_both_kinds_in_three_children_all_come_through)
