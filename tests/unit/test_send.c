/* SPDX-License-Identifier: Apache-2.0 */
/* Writers in many threads and in several children of one homeserver: one chain of events, everything once. */
#include "homeserver.h"

#include "store/event_id.h"
#include "store/persist.h"

#define THREADS 16
#define SENDS 40

static mx_server_t *children[2];
static const char *room_id;

typedef struct writer_t {
    mx_server_t *server;
    int number, sends, refused;
    const char *(*events)[SENDS];    /* ids that were acknowledged */
    const char *txn;                 /* the same for all: one event; NULL: each its own */
    int states;                      /* every so many sends one state event; 0: none */
    apr_pool_t *pool;
} writer_t;

static void *APR_THREAD_FUNC write_events(apr_thread_t *thread, void *baton)
{
    writer_t *w = baton;
    int i;
    for (i = 0; i < w->sends; i++) {
        apr_pool_t *p;
        mx_json_t *content;
        const char *event_id = NULL;
        const mx_error_t *err;
        mx_room_draft_t draft = {.sender = "@creator:h",
                                 .type = "m.room.message",
                                 .device_nid = w->txn ? 1 : w->number + 1,
                                 .txn_scope = "send/m.room.message"};
        apr_pool_create_unmanaged_ex(&p, NULL, NULL);
        content = mx_json_new_object(p);
        mx_json_set_int(content, "n", w->number * 1000 + i);
        draft.content = content;
        draft.txn_id = w->txn ? w->txn : apr_psprintf(p, "t%d", i);
        if (w->states && i % w->states == 0) {
            draft.type = "m.room.topic";
            draft.state_key = "";
            draft.txn_id = NULL;
        }
        err = mx_room_send(&event_id, w->server, room_id, &draft, 1, p);
        w->refused += err != NULL;
        w->events[0][i] = err ? NULL : apr_pstrdup(w->pool, event_id);
        apr_pool_destroy(p);
    }
    return NULL;
}

static const char *acknowledged[THREADS][SENDS];

/** All threads at once; returns the number of refusals. */
static int run(writer_t *pattern, int nchildren)
{
    apr_thread_t *threads[THREADS];
    writer_t writers[THREADS];
    apr_status_t rv;
    int i, refused = 0;
    for (i = 0; i < THREADS; i++) {
        writers[i] = *pattern;
        writers[i].number = i;
        writers[i].server = children[i % nchildren];
        writers[i].events = &acknowledged[i];
        apr_pool_create_unmanaged_ex(&writers[i].pool, NULL, NULL);
        ck_assert_int_eq(apr_thread_create(&threads[i], NULL, write_events, &writers[i], pool), APR_SUCCESS);
    }
    for (i = 0; i < THREADS; i++) {
        apr_thread_join(&rv, threads[i]);
        refused += writers[i].refused;
    }
    return refused;
}

static void fresh(void)
{
    homeserver_reset();
    children[0] = homeserver_child(NULL, pool);
    children[1] = homeserver_child(NULL, pool);
    room_id = homeserver_room(children[0], "12", "public");
}

/** Each event follows the one before it, nothing is left out, and what was acknowledged is there under its id. */
static void check_chain(long wanted)
{
    mx_event_row_t *rows;
    const char *prev = NULL;
    int i, j, n;
    ck_assert_int_eq(
        mx_store_event_range(&rows, &n, children[0]->store, 1, 0, APR_INT64_MAX, MX_DIR_FORWARD, 100000, pool),
        APR_SUCCESS);
    ck_assert_int_eq(n, wanted);
    for (i = 0; i < n; i++) {
        mx_event_t *event;
        ck_assert_ptr_null(mx_event_parse(&event, mx_room_version_find("12"), rows[i].pdu, NULL, pool));
        ck_assert_str_eq(event->event_id, mx_store_event_id_unpack(rows[i].id, pool));
        ck_assert_int_eq(event->nprev, prev ? 1 : 0);
        if (prev)
            ck_assert_str_eq(event->prev_events[0], prev);
        ck_assert_int_eq(event->depth, i + 1);
        prev = event->event_id;
    }
    for (i = 0; i < THREADS; i++) {
        for (j = 0; j < SENDS; j++) {
            mx_event_row_t *row;
            if (acknowledged[i][j])
                ck_assert_int_eq(mx_store_event_by_id(&row, children[0]->store, acknowledged[i][j], pool), APR_SUCCESS);
        }
    }
}

START_TEST(many_threads_make_one_chain)
{
    writer_t pattern = { .sends = SENDS };
    fresh();
    ck_assert_int_eq(run(&pattern, 1), 0);
    check_chain(4 + THREADS * SENDS);
    /* they combined: far fewer batches than events */
    ck_assert_int_lt(database_number("select ver from room"), THREADS * SENDS / 2);
}
END_TEST

START_TEST(two_children_make_one_chain)
{
    writer_t pattern = { .sends = SENDS };
    fresh();
    ck_assert_int_eq(run(&pattern, 2), 0);
    check_chain(4 + THREADS * SENDS);
}
END_TEST

START_TEST(state_and_messages_of_two_children_make_one_chain)
{
    writer_t pattern = { .sends = SENDS / 2, .states = 5 };
    mx_state_item_t *items;
    mx_room_t *room;
    int i, n;
    fresh();
    ck_assert_int_eq(run(&pattern, 2), 0);
    memset(acknowledged, 0, sizeof(acknowledged));
    check_chain(4 + THREADS * SENDS / 2);
    ck_assert_ptr_null(mx_room_get(&room, children[1], room_id, 1, pool));
    ck_assert_int_eq(mx_store_state_load(&items, &n, children[0]->store, room->snap_nid, pool), APR_SUCCESS);
    ck_assert_int_eq(n, 5);
    for (i = 0; i < n; i++) {
        char sql[128];
        snprintf(sql, sizeof(sql), "select nid from cur_state where skey_nid = %ld", (long)items[i].skey_nid);
        ck_assert_int_eq(database_number(sql), items[i].nid);
    }
    /* the state before each event is the one after the last state event before it */
    ck_assert_int_eq(
        database_number(
            "select count(*) from event e where snap_nid is distinct from (select s.snap_after from state_event s"
            " where s.nid < e.nid order by s.nid desc limit 1)"),
        0);
}
END_TEST

START_TEST(a_resend_meets_its_first_send)
{
    writer_t pattern = { .sends = 1, .txn = "same" };
    int i;
    fresh();
    ck_assert_int_eq(run(&pattern, 2), 0);
    for (i = 1; i < THREADS; i++)
        ck_assert_str_eq(acknowledged[i][0], acknowledged[0][0]);
    ck_assert_int_eq(database_number("select count(*) from event"), 5);
    ck_assert_int_eq(database_number("select count(*) from txn"), 1);
}
END_TEST

static mx_persist_event_t plain(const char *id, const char *txn)
{
    return (mx_persist_event_t){.id = mx_slice_str(id),
                                .pdu = MX_SLICE_LIT("{}"),
                                .ts = 1,
                                .depth = 5,
                                .sender_nid = 1,
                                .type_nid = 1,
                                .device_nid = 1,
                                .txn_id = txn,
                                .txn_scope = "s"};
}

START_TEST(a_batch_on_an_old_version_stores_nothing)
{
    mx_persist_event_t events[2] = { plain("one", "a"), plain("two", NULL) };
    mx_persist_batch_t batch = { .room_nid = 1, .ver = 1, .events = events, .nevents = 2 };
    mx_persist_result_t *r;
    apr_int64_t head;
    fresh();
    ck_assert_int_eq(mx_store_persist_messages(&r, children[0]->store, &batch, pool), APR_SUCCESS);
    ck_assert_int_eq(r->status, MX_PERSIST_STORED);
    ck_assert(r->ver == 2 && r->nnids == 2 && r->nids[1] > r->nids[0] && r->heads[0] == r->nids[1] &&
              mx_slice_is(r->head_ids[0], "two"));
    head = r->heads[0];
    events[0] = plain("three", NULL);
    events[1] = plain("four", "b");
    ck_assert_int_eq(mx_store_persist_messages(&r, children[1]->store, &batch, pool), APR_SUCCESS);
    ck_assert_int_eq(r->status, MX_PERSIST_CONFLICT);
    ck_assert(r->ver == 2 && r->nheads == 1 && r->heads[0] == head && mx_slice_is(r->head_ids[0], "two") &&
              r->snap_nid && r->depth == 5);
    events[1] = plain("four", "a");
    ck_assert_int_eq(mx_store_persist_messages(&r, children[1]->store, &batch, pool), APR_SUCCESS);
    ck_assert_int_eq(r->status, MX_PERSIST_KNOWN_TXN);
    ck_assert(r->nknown == 1 && r->known_at[0] == 2 && mx_slice_is(r->known_ids[0], "one"));
    batch.room_nid = 99;
    ck_assert_int_eq(mx_store_persist_messages(&r, children[1]->store, &batch, pool), APR_SUCCESS);
    ck_assert_int_eq(r->status, MX_PERSIST_NO_ROOM);
    /* half of a batch is none of it */
    batch.room_nid = 1;
    batch.ver = 2;
    events[1] = plain("one", NULL);
    ck_assert_int_eq(mx_store_persist_messages(&r, children[0]->store, &batch, pool), MX_STORE_DUPLICATE);
    ck_assert_int_eq(database_number("select count(*) from event"), 6);
    ck_assert_int_eq(database_number("select ver from room"), 2);
    ck_assert_int_eq(database_number("select count(*) from txn"), 1);
}
END_TEST

START_TEST(a_warm_send_is_one_statement)
{
    lender_t *lender;
    mx_server_t *server;
    long before;
    int i;
    homeserver_reset();
    server = homeserver_child(&lender, pool);
    room_id = homeserver_room(server, "12", "public");
    homeserver_send(server, room_id, "@creator:h", "m.room.message", NULL, "{}");
    before = lender->lent;
    for (i = 0; i < 10; i++)
        homeserver_send(server, room_id, "@creator:h", "m.room.message", NULL, "{}");
    ck_assert_int_eq(lender->lent - before, 10);
    ck_assert_int_eq(database_number("select count(*) from event"), 15);
}
END_TEST

DATABASE_MAIN("send", many_threads_make_one_chain, two_children_make_one_chain,
              state_and_messages_of_two_children_make_one_chain, a_resend_meets_its_first_send,
              a_batch_on_an_old_version_stores_nothing, a_warm_send_is_one_statement)
