/* SPDX-License-Identifier: Apache-2.0 */
/* Writers of several children who want one room: who has lost gets a turn, and nobody loses for long. */
#include "turns.h"

#define CHILDREN 3
#define THREADS 24
#define SENDS 30
#define STATES 6        /* threads that change state: they build longer, so they lose more often */

static mx_server_t *children[CHILDREN];
static const char *room_id;

static void fresh(void)
{
    int i;
    homeserver_reset();
    for (i = 0; i < CHILDREN; i++)
        children[i] = homeserver_child(NULL, pool);
    room_id = homeserver_room(children[0], "12", "public");
}

static mx_persist_event_t plain(const char *id)
{
    return (mx_persist_event_t){ .id = mx_slice_str(id), .pdu = MX_SLICE_LIT("{}"), .ts = 7, .depth = 5, .sender_nid = 1, .type_nid = 1 };
}

typedef struct rival_t {
    mx_persist_event_t event;
    mx_persist_result_t *result;
    apr_status_t rv;
    int over;
} rival_t;

static void *APR_THREAD_FUNC store_as_rival(apr_thread_t *thread, void *baton)
{
    rival_t *rival = baton;
    mx_persist_batch_t batch = { .room_nid = 1, .ver = 1, .events = &rival->event, .nevents = 1 };
    rival->rv = mx_store_persist_messages(&rival->result, children[1]->store, &batch, pool);
    __atomic_store_n(&rival->over, 1, __ATOMIC_RELEASE);
    return NULL;
}

START_TEST(nobody_comes_between_a_turn_and_its_batch)
{
    mx_room_turn_t turn;
    mx_persist_event_t event = plain("mine");
    mx_ref_t head = -1;
    mx_persist_batch_t batch = { .room_nid = 1, .ver = 1, .events = &event, .nevents = 1, .heads = &head, .nheads = 1, .depth = 5 };
    mx_persist_result_t *result;
    rival_t rival = { .event = plain("theirs") };
    apr_thread_t *thread;
    apr_status_t rv;
    mx_room_t *room;
    int i;
    fresh();
    turn = (mx_room_turn_t){ .server = children[0], .pool = pool };
    ck_assert_ptr_null(mx_room_get(&room, children[0], room_id, 1, pool));
    for (i = 0; i < MX_ROOM_LOST_MAX; i++) {
        ck_assert(mx_room_turn_next(&turn) && !turn.conn);
        ck_assert_ptr_null(mx_room_turn_lost(&room, &turn, room));
    }
    ck_assert_ptr_nonnull(turn.conn);
    ck_assert_int_eq(apr_thread_create(&thread, NULL, store_as_rival, &rival, pool), APR_SUCCESS);
    while (!database_number("select count(*) from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'"))
        apr_sleep(1000);
    ck_assert(!__atomic_load_n(&rival.over, __ATOMIC_ACQUIRE));
    head = -1;
    batch.head_ids = &event.id;
    batch.snap = room->snap_nid;
    batch.turn = turn.conn;
    ck_assert_int_eq(mx_store_persist_batch(&result, children[0]->store, &batch, pool), APR_SUCCESS);
    ck_assert_int_eq(result->status, MX_PERSIST_STORED);
    apr_thread_join(&rv, thread);
    mx_room_turn_end(&turn);
    ck_assert(rival.rv == APR_SUCCESS && rival.result->status == MX_PERSIST_CONFLICT && mx_slice_is(rival.result->head_ids[0], "mine"));
}
END_TEST

START_TEST(a_turn_that_is_not_used_leaves_no_lock)
{
    mx_room_turn_t turn;
    rival_t rival = { .event = plain("theirs") };
    mx_room_t *room;
    int i;
    fresh();
    turn = (mx_room_turn_t){ .server = children[0], .pool = pool };
    ck_assert_ptr_null(mx_room_get(&room, children[0], room_id, 1, pool));
    for (i = 0; i < MX_ROOM_LOST_MAX; i++)
        ck_assert_ptr_null(mx_room_turn_lost(&room, &turn, room));
    ck_assert_ptr_nonnull(turn.conn);
    mx_room_turn_end(&turn);
    store_as_rival(NULL, &rival);
    ck_assert(rival.rv == APR_SUCCESS && rival.result->status == MX_PERSIST_STORED);
}
END_TEST

/* ---- many ---- */

typedef struct writer_t {
    int number, refused;
    apr_time_t slowest;
} writer_t;

static void *APR_THREAD_FUNC write_events(apr_thread_t *thread, void *baton)
{
    writer_t *w = baton;
    int i;
    for (i = 0; i < SENDS; i++) {
        mx_room_draft_t draft = { .sender = "@creator:h", .type = "m.room.message" };
        const char *event_id = NULL;
        apr_time_t began = apr_time_now();
        apr_pool_t *p;
        mx_json_t *content;
        apr_pool_create_unmanaged_ex(&p, NULL, NULL);
        content = mx_json_new_object(p);
        mx_json_set_int(content, "n", w->number * 1000 + i);
        draft.content = content;
        if (w->number < STATES) {
            draft.type = "m.room.topic";
            draft.state_key = "";
        }
        w->refused += mx_room_send(&event_id, children[w->number % CHILDREN], room_id, &draft, 1, p) != NULL;
        apr_pool_destroy(p);
        if (apr_time_now() - began > w->slowest)
            w->slowest = apr_time_now() - began;
    }
    return NULL;
}

/** Prints how many rounds were taken how often, and the slowest; returns the most that anybody took. */
static int print_counts(const writer_t *writers)
{
    apr_time_t slowest = 0;
    int i;
    for (i = 0; i < THREADS; i++)
        slowest = writers[i].slowest > slowest ? writers[i].slowest : slowest;
    printf("slowest send %ld ms; ", (long)(slowest / 1000));
    return most_rounds(children, CHILDREN);
}

START_TEST(writers_of_three_children_lose_few_rounds)
{
    apr_thread_t *threads[THREADS];
    writer_t writers[THREADS] = { 0 };
    apr_status_t rv;
    int i, refused = 0;
    fresh();
    for (i = 0; i < THREADS; i++) {
        writers[i].number = i;
        ck_assert_int_eq(apr_thread_create(&threads[i], NULL, write_events, &writers[i], pool), APR_SUCCESS);
    }
    for (i = 0; i < THREADS; i++) {
        apr_thread_join(&rv, threads[i]);
        refused += writers[i].refused;
    }
    ck_assert_int_eq(refused, 0);
    ck_assert_int_lt(print_counts(writers), MX_ROOM_ROUNDS_MAX);
    ck_assert_int_eq(database_number("select count(*) from event"), 4 + THREADS * SENDS);
    ck_assert_int_eq(database_number("select count(*) from (select depth - row_number() over (order by nid) as off from event) x where off <> 0"), 0);
}
END_TEST

DATABASE_MAIN("send_turn", nobody_comes_between_a_turn_and_its_batch, a_turn_that_is_not_used_leaves_no_lock,
              writers_of_three_children_lose_few_rounds)
