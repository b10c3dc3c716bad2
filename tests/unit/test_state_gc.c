/* SPDX-License-Identifier: Apache-2.0 */
/* The clean-up of snapshots, alone and while a writer, a purge and other clean-ups are at work. */
#include "homeserver.h"

#include "store/persist.h"
#include "store/resolve.h"

#include <string.h>

#define KEYS 6                           /* with two values each: states come back, and are found by their hash */
#define WRITES 1500
#define KEPT_EVENTS 25                   /* what the purge leaves */
#define STEP_ROWS 7

static int stop;                     /* atomic */

/** The state that a room should have. */
typedef struct model_t {
    apr_int64_t snap_nid;
    int size;
    mx_state_hash_t hash;
    apr_int64_t nids[KEYS];
} model_t;

static mx_slice_t entry_id(apr_int64_t nid, apr_pool_t *p)
{
    return nid ? mx_slice_str(apr_psprintf(p, "$%" APR_INT64_T_FMT, nid)) : MX_SLICE_NONE;
}

/** Stores one more event of room 1, as persist_batch() does, that sets or removes an entry. The state before it is that of `m`. */
static void write_event(mx_conn_t *conn, model_t *m, int key, apr_int64_t nid, const unsigned char *hash_key, apr_pool_t *p)
{
    MX_STMT(gc_lock, "", "select snap_nid from room where room_nid = 1 for no key update");
    MX_STMT(gc_add, "lLLib",
            "select snapshot_add(1, $1::int8, $2::int8[], $3::int8[], $4::int4, $5::bytea)");
    MX_STMT(gc_event, "ll",
            "with made as (insert into event (nid, room_nid, ord, ts, snap_nid, sender_nid, depth, type_nid, event_id, pdu)"
            " select n, 1, n, 0, $1::int8, 1, 1, 1, int8send(n), '{}' from nextval('stream_seq') n returning nid)"
            " update room set snap_nid = $2::int8, ver = ver + 1 where room_nid = 1");
    apr_int64_t skey = key + 1, before = m->snap_nid;
    mx_rows_t *rows;
    ck_assert_int_eq(mx_store_begin(conn), APR_SUCCESS);
    ck_assert_int_eq(mx_store_query(&rows, conn, p, &gc_lock), APR_SUCCESS);
    ck_assert(mx_row_int(rows, 0, 0) == before);
    mx_store_state_hash_change(&m->hash, hash_key, skey, entry_id(m->nids[key], p), entry_id(nid, p), p);
    m->size += !!nid - !!m->nids[key];
    m->nids[key] = nid;
    ck_assert_int_eq(mx_store_query(&rows, conn, p, &gc_add, before, &skey, 1, &nid, 1, m->size,
                                    mx_slice((const char *)m->hash.bytes, sizeof(m->hash.bytes))), APR_SUCCESS);
    m->snap_nid = mx_row_int(rows, 0, 0);
    ck_assert_int_eq(mx_store_query(NULL, conn, p, &gc_event, before, m->snap_nid), APR_SUCCESS);
    ck_assert_int_eq(mx_store_commit(conn), APR_SUCCESS);
}

static void check_state(mx_store_t *from, const model_t *m, apr_pool_t *p)
{
    mx_state_item_t *items;
    int n, i, k = 0;
    ck_assert_int_eq(mx_store_state_load(&items, &n, from, m->snap_nid, p), APR_SUCCESS);
    ck_assert_int_eq(n, m->size);
    for (i = 0; i < n; i++, k++) {
        while (!m->nids[k])
            k++;
        ck_assert(items[i].skey_nid == k + 1 && items[i].nid == m->nids[k]);
    }
}

static void collect_all(mx_store_t *from, int limit, apr_pool_t *p)
{
    int done = 0, removed, steps = 0;
    while (!done && ++steps < 100000)
        ck_assert_int_eq(mx_store_state_collect(&done, &removed, from, 1, limit, p), APR_SUCCESS);
    ck_assert(done);
}

/** Statements of a thread, over and over; what a deadlock or an end of a clean-up refuses is tried again. */
static void *APR_THREAD_FUNC collector(apr_thread_t *t, void *baton)
{
    mx_store_t *own = baton;
    apr_pool_t *p;
    apr_int64_t room_nid;
    int i, done, removed;
    apr_pool_create(&p, NULL);
    for (i = 0; !__atomic_load_n(&stop, __ATOMIC_ACQUIRE); i++) {
        apr_status_t rv = i % 2 ? mx_store_state_collect(&done, &removed, own, 1, STEP_ROWS, p)
                                : mx_store_state_collect_next(&room_nid, &removed, own, STEP_ROWS, p);
        ck_assert(rv == APR_SUCCESS || rv == MX_STORE_RETRY || rv == MX_STORE_DUPLICATE);
        apr_pool_clear(p);
    }
    apr_pool_destroy(p);
    return NULL;
}

static void *APR_THREAD_FUNC purger(apr_thread_t *t, void *baton)
{
    MX_STMT(gc_purge, "i",
            "with room_locked as materialized (select room_nid from room where room_nid = 1 for no key update)"
            " delete from event e using room_locked r where e.room_nid = r.room_nid and e.nid <="
            " (select nid from event where room_nid = 1 order by nid desc offset $1::int4 limit 1)");
    mx_store_t *own = baton;
    apr_pool_t *p;
    apr_pool_create(&p, NULL);
    while (!__atomic_load_n(&stop, __ATOMIC_ACQUIRE)) {
        apr_status_t rv = mx_store_run(NULL, own, p, &gc_purge, KEPT_EVENTS);
        ck_assert(rv == APR_SUCCESS || rv == MX_STORE_RETRY);
        apr_sleep(apr_time_from_msec(40));
        apr_pool_clear(p);
    }
    apr_pool_destroy(p);
    return NULL;
}

static void setup_room(unsigned char *hash_key)
{
    homeserver_reset();
    store = database_store(pool);
    database_sql("insert into room (room_id, version) values ('!r', 12); update room set snap_nid = null");
    ck_assert_int_eq(mx_store_state_hash_key(hash_key, store, pool), APR_SUCCESS);
}

/** Snapshots that neither an event nor the room needs, and those that are needed and not there. */
#define NEEDED                                                                                                         \
    "(select distinct u.snap from (select snap_nid from event where snap_nid > 0 union select snap_nid from room) e"    \
    " join snapshot s using (snap_nid), unnest(snapshot_chain(s.anc, s.snap_nid)) u(snap))"
#define COUNT_USELESS "select count(*) from snapshot where snap_nid not in " NEEDED
#define COUNT_MISSING                                                                                                  \
    "select (select count(*) from " NEEDED " n where not exists (select from snapshot s where s.snap_nid = n.snap))"    \
    " + (select count(*) from event e where snap_nid > 0 and not exists (select from snapshot s where s.snap_nid = e.snap_nid))"

START_TEST(what_is_named_stays_and_nothing_else)
{
    unsigned char hash_key[MX_STATE_HASH_KEY_BYTES];
    model_t m, before;
    mx_conn_t *conn;
    int i;
    setup_room(hash_key);
    memset(&m, 0, sizeof(m));
    ck_assert_int_eq(mx_store_borrow(&conn, store, pool), APR_SUCCESS);
    for (i = 0; i < 200; i++)
        write_event(conn, &m, i % KEYS, 1000 + i, hash_key, pool);
    before = m;
    mx_store_return(conn);
    collect_all(store, 1000, pool);
    ck_assert_int_eq(database_number("select count(*) from snapshot"), 200);
    database_sql("delete from event where nid < (select max(nid) - 9 from event)");
    for (i = 1; i < 4; i++)              /* small steps, big ones, and once more with nothing to do */
        collect_all(store, i == 1 ? STEP_ROWS : 1000, pool);
    ck_assert_int_eq(database_number(COUNT_USELESS), 0);
    ck_assert_int_eq(database_number(COUNT_MISSING), 0);
    ck_assert_int_lt(database_number("select count(*) from snapshot"), 40);
    ck_assert_int_eq(database_number("select (select count(*) from snapshot_mark) + (select count(*) from snapshot_sweep)"), 0);
    check_state(store, &before, pool);
    database_sql("delete from event; delete from room");
    collect_all(store, 1000, pool);
    ck_assert_int_eq(database_number("select count(*) from snapshot"), 0);
}
END_TEST

START_TEST(a_remembered_state_that_is_gone_is_refused)
{
    MX_STMT(gc_keep, "l", "select snapshot_keep(1, array[0, -1, $1::int8])");
    unsigned char hash_key[MX_STATE_HASH_KEY_BYTES];
    model_t m;
    mx_conn_t *conn;
    apr_int64_t old;
    setup_room(hash_key);
    memset(&m, 0, sizeof(m));
    ck_assert_int_eq(mx_store_borrow(&conn, store, pool), APR_SUCCESS);
    write_event(conn, &m, 0, 11, hash_key, pool);
    old = m.snap_nid;
    write_event(conn, &m, 0, 12, hash_key, pool);
    mx_store_return(conn);
    ck_assert_int_eq(mx_store_run(NULL, store, pool, &gc_keep, old), APR_SUCCESS);
    database_sql("delete from event");
    collect_all(store, 1000, pool);
    ck_assert_int_eq(mx_store_run(NULL, store, pool, &gc_keep, old), MX_STORE_RETRY);
    ck_assert_int_eq(mx_store_run(NULL, store, pool, &gc_keep, m.snap_nid), APR_SUCCESS);
}
END_TEST

/** A message in room 1 whose sender remembers another state than the room's. */
static apr_status_t store_on(apr_int64_t before, const char *id)
{
    mx_persist_event_t ev = { .id = mx_slice_str(id), .pdu = mx_slice_str("{}"), .sender_nid = 1, .type_nid = 1, .depth = 1,
                              .before = before };
    mx_ref_t head = -1;
    mx_persist_batch_t batch = { .room_nid = 1, .ver = database_number("select ver from room"), .events = &ev, .nevents = 1, .heads = &head,
                                 .head_ids = &ev.id, .nheads = 1, .depth = 1, .snap = database_number("select snap_nid from room") };
    mx_persist_result_t *result;
    apr_status_t rv = mx_store_persist_batch(&result, store, &batch, pool);
    ck_assert(rv != APR_SUCCESS || result->status == MX_PERSIST_STORED);
    return rv;
}

static void collect_until_step(int step)
{
    int done = 0, removed;
    while (database_number("select coalesce((select step from snapshot_sweep), -1)") != step && !done)
        ck_assert_int_eq(mx_store_state_collect(&done, &removed, store, 1, 1, pool), APR_SUCCESS);
    ck_assert(!done);
}

/** Two states, of which nothing names the first; its snapshot. */
static apr_int64_t setup_forgotten_state(void)
{
    unsigned char hash_key[MX_STATE_HASH_KEY_BYTES];
    mx_conn_t *conn;
    apr_int64_t old;
    model_t m;
    setup_room(hash_key);
    memset(&m, 0, sizeof(m));
    ck_assert_int_eq(mx_store_borrow(&conn, store, pool), APR_SUCCESS);
    write_event(conn, &m, 0, 11, hash_key, pool);
    old = m.snap_nid;
    write_event(conn, &m, 1, 0, hash_key, pool);
    write_event(conn, &m, 0, 12, hash_key, pool);
    mx_store_return(conn);
    database_sql("delete from event");
    return old;
}

START_TEST(a_batch_that_names_a_state_keeps_it)
{
    apr_int64_t old = setup_forgotten_state();
    collect_until_step(1);
    ck_assert_int_eq(store_on(old, "$a"), APR_SUCCESS);
    collect_all(store, 1, pool);
    ck_assert_int_eq(database_number(COUNT_MISSING), 0);
    ck_assert_int_eq(database_number(apr_psprintf(pool, "select count(*) from snapshot where snap_nid = %d", (int)old)), 1);
}
END_TEST

START_TEST(a_batch_that_names_a_state_that_is_going_is_refused)
{
    apr_int64_t old = setup_forgotten_state();
    collect_until_step(3);
    ck_assert_int_eq(store_on(old, "$a"), MX_STORE_RETRY);
    ck_assert_int_eq(database_number("select count(*) from event"), 0);
    ck_assert_int_eq(store_on(database_number("select snap_nid from room"), "$a"), APR_SUCCESS);
    collect_all(store, 1, pool);
    ck_assert_int_eq(store_on(old, "$b"), MX_STORE_RETRY);
    ck_assert_int_eq(database_number(COUNT_MISSING), 0);
}
END_TEST

START_TEST(a_resolution_is_remembered_only_as_long_as_its_state)
{
    apr_int64_t old = setup_forgotten_state(), inputs[2] = { 1000, 2000 }, snap, room_nid = 1;
    int whole = 0, removed;
    ck_assert_int_eq(mx_store_resolve_remember(store, 1, 7, inputs, 2, old, pool), APR_SUCCESS);
    ck_assert_int_eq(mx_store_resolve_recall(&snap, store, 1, 7, inputs, 2, pool), APR_SUCCESS);
    collect_until_step(2);
    ck_assert_int_eq(mx_store_resolve_is_whole(&whole, store, 1, old, pool), APR_SUCCESS);
    ck_assert(whole);
    collect_until_step(3);
    ck_assert_int_eq(mx_store_resolve_is_whole(&whole, store, 1, old, pool), APR_SUCCESS);
    ck_assert(!whole);
    while (room_nid)
        ck_assert_int_eq(mx_store_state_collect_next(&room_nid, &removed, store, 100, pool), APR_SUCCESS);
    ck_assert_int_eq(mx_store_resolve_recall(&snap, store, 1, 7, inputs, 2, pool), MX_STORE_NONE);
    ck_assert_int_eq(database_number("select count(*) from stres_memo"), 0);
}
END_TEST

START_TEST(nothing_a_writer_uses_is_lost_while_events_are_purged)
{
    unsigned char hash_key[MX_STATE_HASH_KEY_BYTES];
    apr_thread_t *threads[3];
    apr_status_t rv;
    apr_pool_t *p;
    mx_conn_t *conn;
    model_t m;
    unsigned seed = 7;
    int i;
    setup_room(hash_key);
    memset(&m, 0, sizeof(m));
    __atomic_store_n(&stop, 0, __ATOMIC_RELEASE);
    for (i = 0; i < 3; i++)
        apr_thread_create(&threads[i], NULL, i < 2 ? collector : purger, database_store(pool), pool);
    apr_pool_create(&p, pool);
    for (i = 0; i < WRITES; i++) {
        int key;
        seed = seed * 1103515245 + 12345;
        key = (int)(seed >> 16) % KEYS;
        ck_assert_int_eq(mx_store_borrow(&conn, store, p), APR_SUCCESS);
        write_event(conn, &m, key, (seed >> 24) % 3 ? 10 * (key + 1) + (seed >> 26) % 2 : 0, hash_key, p);
        mx_store_return(conn);
        check_state(store, &m, p);
        apr_pool_clear(p);
    }
    __atomic_store_n(&stop, 1, __ATOMIC_RELEASE);
    for (i = 0; i < 3; i++)
        apr_thread_join(&rv, threads[i]);
    ck_assert_int_eq(database_number(COUNT_MISSING), 0);
    database_sql("delete from snapshot_sweep");
    collect_all(store, 1000, pool);
    ck_assert_int_eq(database_number(COUNT_MISSING), 0);
    ck_assert_int_eq(database_number(COUNT_USELESS), 0);
    check_state(store, &m, pool);
    /* snapshots went while it ran, or this has shown nothing */
    ck_assert_int_gt(database_number("select max(snap_nid) - 3 * count(*) from snapshot"), 0);
}
END_TEST

DATABASE_MAIN("state_gc", what_is_named_stays_and_nothing_else, a_remembered_state_that_is_gone_is_refused,
              a_batch_that_names_a_state_keeps_it, a_batch_that_names_a_state_that_is_going_is_refused,
              a_resolution_is_remembered_only_as_long_as_its_state,
              nothing_a_writer_uses_is_lost_while_events_are_purged)
