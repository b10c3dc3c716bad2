/* SPDX-License-Identifier: Apache-2.0 */
/* Rooms that share a transaction: what happens to one does nothing to the others. */
#include "homeserver.h"

#include "room/room_private.h"

#define ROOMS 12
#define SENDS 25

static mx_server_t *children[2];
static const char *room_ids[ROOMS];

static void fresh(int nrooms)
{
    int i;
    homeserver_reset();
    children[0] = homeserver_child(NULL, pool);
    children[1] = homeserver_child(NULL, pool);
    for (i = 0; i < nrooms; i++)
        room_ids[i] = homeserver_room(children[0], "12", "public");
}

static mx_persist_event_t plain(const char *id, const char *txn)
{
    return (mx_persist_event_t){.id = mx_slice_str(id),
                                .pdu = MX_SLICE_LIT("{}"),
                                .ts = 7,
                                .depth = 5,
                                .sender_nid = 1,
                                .type_nid = 1,
                                .flags = 2,
                                .device_nid = 1,
                                .txn_id = txn,
                                .txn_scope = "s"};
}

typedef struct many_t {
    mx_persist_event_t events[ROOMS][2];
    mx_persist_batch_t batches[ROOMS];
    mx_persist_result_t *results[ROOMS];
    mx_persist_many_t many[ROOMS];
} many_t;

/** Two events a room for the first rooms, named a1 a2 b1 b2 …, each first one with its id as transaction id. */
static void fill(many_t *m, int n, apr_int64_t ver, const char *prefix)
{
    int i;
    for (i = 0; i < n; i++) {
        const char *first = apr_psprintf(pool, "%s%c1", prefix, 'a' + i);
        m->events[i][0] = plain(first, first);
        m->events[i][1] = plain(apr_psprintf(pool, "%s%c2", prefix, 'a' + i), NULL);
        m->batches[i] = (mx_persist_batch_t){ .room_nid = i + 1, .ver = ver, .events = m->events[i], .nevents = 2 };
        m->results[i] = NULL;
        m->many[i] = (mx_persist_many_t){ &m->batches[i], &m->results[i], pool };
    }
}

START_TEST(each_room_of_a_call_gets_its_own_answer)
{
    many_t m;
    int i;
    fresh(4);
    fill(&m, 4, 1, "x");
    ck_assert_int_eq(mx_store_persist_many(children[0]->store, m.many, 4, pool), APR_SUCCESS);
    for (i = 0; i < 4; i++) {
        mx_persist_result_t *r = m.results[i];
        ck_assert(r->status == MX_PERSIST_STORED && r->room_nid == i + 1 && r->ver == 2 && r->depth == 5 && r->joined == 1);
        ck_assert(r->nnids == 2 && r->nids[1] == r->nids[0] + 1 && r->nheads == 1 && r->heads[0] == r->nids[1]);
        ck_assert(mx_slice_eq(r->head_ids[0], m.events[i][1].id));
    }
    /* 1: known, 2: old, 3: as it should be, 4: old, 99: not there */
    fill(&m, 5, 2, "y");
    m.events[0][1] = plain("again", "xa1");
    m.batches[1].ver = m.batches[3].ver = 1;
    m.batches[4].room_nid = 99;
    ck_assert_int_eq(mx_store_persist_many(children[1]->store, m.many, 5, pool), APR_SUCCESS);
    ck_assert(m.results[0]->status == MX_PERSIST_KNOWN_TXN && m.results[0]->nknown == 1 && m.results[0]->known_at[0] == 2);
    ck_assert(mx_slice_is(m.results[0]->known_ids[0], "xa1"));
    ck_assert(m.results[1]->status == MX_PERSIST_CONFLICT && m.results[1]->ver == 2 && mx_slice_is(m.results[1]->head_ids[0], "xb2"));
    ck_assert(m.results[2]->status == MX_PERSIST_STORED && m.results[2]->ver == 3 && mx_slice_is(m.results[2]->head_ids[0], "yc2"));
    ck_assert_int_eq(m.results[3]->status, MX_PERSIST_CONFLICT);
    ck_assert_int_eq(m.results[4]->status, MX_PERSIST_NO_ROOM);
    ck_assert_int_eq(database_number("select count(*) from event where ts = 7"), 10);
    ck_assert_int_eq(database_number("select count(*) from txn"), 5);
    ck_assert_int_eq(database_number("select count(*) from room r where ver = case room_nid when 3 then 3 else 2 end"), 4);
    /* the rows are as persist_messages() writes them */
    ck_assert_int_eq(database_number("select count(*) from event e join room r using (room_nid) where ts = 7 and ord = nid"
                                     " and e.snap_nid = r.snap_nid and flags = 2 and e.depth = 5 and sender_nid = 1"), 10);
    ck_assert_int_eq(database_number("select count(*) from room r join event e on e.nid = r.heads[1] where last_stream = e.nid"
                                     " and e.room_nid = r.room_nid and head_ids = array[event_id]"), 4);
    ck_assert_int_eq(database_number("select count(*) from txn t join event e using (nid) where convert_to(txn_id, 'UTF8') = event_id"), 5);
}
END_TEST

START_TEST(a_call_that_fails_stores_nothing)
{
    many_t m;
    fresh(2);
    fill(&m, 2, 1, "x");
    m.events[1][1].id = m.events[0][0].id;
    ck_assert_int_eq(mx_store_persist_many(children[0]->store, m.many, 2, pool), MX_STORE_DUPLICATE);
    ck_assert_int_eq(database_number("select count(*) from event where ts = 7"), 0);
    ck_assert_int_eq(database_number("select count(*) from room where ver = 1"), 2);
    ck_assert_int_eq(database_number("select count(*) from txn"), 0);
}
END_TEST

/* ---- threads ---- */

typedef struct storer_t {
    mx_persist_event_t event;
    mx_persist_batch_t batch;
    mx_persist_result_t *result;
    apr_status_t rv;
    apr_pool_t *pool;
    apr_thread_t *thread;
} storer_t;

static void *APR_THREAD_FUNC store_one(apr_thread_t *thread, void *baton)
{
    storer_t *s = baton;
    s->rv = mx_room_group_store(&s->result, children[0], &s->batch, s->pool);
    return NULL;
}

static void start(storer_t *storers, int from, int n)
{
    int i;
    for (i = from; i < n; i++) {
        storer_t *s = &storers[i];
        s->event = plain(apr_psprintf(pool, "t%d", i), NULL);
        s->batch = (mx_persist_batch_t){ .room_nid = i + 1, .ver = i == 5 ? 0 : 1, .events = &s->event, .nevents = 1 };
        if (i == 7)
            s->event.id = MX_SLICE_LIT("taken");
        apr_pool_create_unmanaged_ex(&s->pool, NULL, NULL);
        ck_assert_int_eq(apr_thread_create(&s->thread, NULL, store_one, s, pool), APR_SUCCESS);
    }
}

/** One event into each room; somebody holds the first two rooms for a while, so the others have to queue. */
static void store_together(storer_t *storers)
{
    PGconn *holder = PQconnectdb(database_dsn);
    apr_status_t rv;
    int i;
    PQclear(PQexec(holder, "begin; select from room where room_nid in (1, 2) for update"));
    start(storers, 0, 2);
    while (database_number("select count(*) from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'") < 2)
        apr_sleep(1000);
    start(storers, 2, ROOMS);
    apr_sleep(300000);
    PQfinish(holder);
    for (i = 0; i < ROOMS; i++)
        apr_thread_join(&rv, storers[i].thread);
}

START_TEST(who_waits_shares_a_transaction_and_fails_alone)
{
    storer_t storers[ROOMS] = { 0 };
    int i;
    fresh(ROOMS);
    database_sql("insert into event (nid, room_nid, ord, ts, sender_nid, depth, type_nid, event_id, pdu)"
                 " values (nextval('stream_seq'), 1, 1, 1, 1, 1, 1, 'taken', '')");
    store_together(storers);
    for (i = 0; i < ROOMS; i++) {
        if (i == 7)
            ck_assert_int_eq(storers[i].rv, MX_STORE_DUPLICATE);
        else {
            ck_assert_int_eq(storers[i].rv, APR_SUCCESS);
            ck_assert_int_eq(storers[i].result->status, i == 5 ? MX_PERSIST_CONFLICT : MX_PERSIST_STORED);
            ck_assert_int_eq(storers[i].result->room_nid, i + 1);
        }
    }
    ck_assert_int_eq(database_number("select count(*) from event where ts = 7"), ROOMS - 2);
    ck_assert_int_eq(database_number("select count(*) from room where ver = 2"), ROOMS - 2);
}
END_TEST

START_TEST(many_rooms_cost_few_transactions)
{
    storer_t storers[ROOMS] = { 0 };
    fresh(ROOMS);
    database_sql("update room set ver = 0 where room_nid = 6");
    store_together(storers);
    ck_assert_int_eq(database_number("select count(*) from event where ts = 7"), ROOMS);
    ck_assert_int_le(database_number("select count(distinct xmin::text) from event where ts = 7"), ROOMS / 2);
}
END_TEST

/* ---- through the way in ---- */

static void *APR_THREAD_FUNC write_everywhere(apr_thread_t *thread, void *baton)
{
    int number = *(int *)baton, i;
    for (i = 0; i < SENDS; i++) {
        mx_room_draft_t draft = { .sender = "@creator:h", .type = "m.room.message" };
        const char *event_id = NULL;
        const mx_error_t *err;
        apr_pool_t *p;
        mx_json_t *content;
        apr_pool_create_unmanaged_ex(&p, NULL, NULL);
        content = mx_json_new_object(p);
        mx_json_set_int(content, "n", number * 1000 + i);
        draft.content = content;
        err = mx_room_send(&event_id, children[number % 2], room_ids[(number / 2 + i) % ROOMS], &draft, 1, p);
        ck_assert_msg(!err, "%s", err ? err->message : "");
        apr_pool_destroy(p);
    }
    return NULL;
}

START_TEST(two_children_with_many_rooms_leave_one_chain_in_each)
{
    apr_thread_t *threads[2 * ROOMS];
    int numbers[2 * ROOMS], i;
    apr_status_t rv;
    fresh(ROOMS);
    for (i = 0; i < 2 * ROOMS; i++) {
        numbers[i] = i;
        ck_assert_int_eq(apr_thread_create(&threads[i], NULL, write_everywhere, &numbers[i], pool), APR_SUCCESS);
    }
    for (i = 0; i < 2 * ROOMS; i++)
        apr_thread_join(&rv, threads[i]);
    ck_assert_int_eq(database_number("select count(*) from event"), ROOMS * (4 + 2 * SENDS));
    /* in the order of the stream each is one deeper than the one before it, and the last is the head */
    ck_assert_int_eq(database_number("select count(*) from (select depth - row_number() over (partition by room_nid order by nid) as off"
                                     " from event) x where off <> 0"), 0);
    ck_assert_int_eq(database_number("select count(*) from room r where heads = array[(select max(nid) from event e where e.room_nid = r.room_nid)]"
                                     " and depth = 4 + 2 * 25"), ROOMS);
}
END_TEST

DATABASE_MAIN("send_group", each_room_of_a_call_gets_its_own_answer, a_call_that_fails_stores_nothing,
              who_waits_shares_a_transaction_and_fails_alone, many_rooms_cost_few_transactions,
              two_children_with_many_rooms_leave_one_chain_in_each)
