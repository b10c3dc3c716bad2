/* SPDX-License-Identifier: Apache-2.0 */
/* Snapshots against a naive model: a random DAG of states, each also kept whole in memory. */
#include "homeserver.h"

#include "store/state.h"

#include <string.h>

#define KEYS 240
#define CHANGES 10000
#define LOOKS 250                        /* random questions of each kind */
#define CHANGE_MAX 40

/** A snapshot and the state it should be. */
typedef struct model_t {
    apr_int64_t snap_nid;
    int size;
    mx_state_hash_t hash;
    apr_int64_t nids[KEYS];              /* by key - 1; 0: none */
} model_t;

static model_t *models;
static int nmodels;
static unsigned char key[MX_STATE_HASH_KEY_BYTES];
static unsigned seed_now;

/** xorshift: the same numbers in every run. */
static unsigned rnd(unsigned below)
{
    seed_now ^= seed_now << 13;
    seed_now ^= seed_now >> 17;
    seed_now ^= seed_now << 5;
    return seed_now % below;
}

static mx_slice_t event_id(apr_int64_t nid, apr_pool_t *p)
{
    return nid ? mx_slice_str(apr_psprintf(p, "$event%" APR_INT64_T_FMT, nid)) : MX_SLICE_NONE;
}

static void change(model_t *m, int k, apr_int64_t nid, apr_pool_t *p)
{
    mx_store_state_hash_change(&m->hash, key, k + 1, event_id(m->nids[k], p), event_id(nid, p), p);
    m->size += !!nid - !!m->nids[k];
    m->nids[k] = nid;
}

static apr_int64_t add(mx_conn_t *conn, apr_int64_t pred, const apr_int64_t *skeys, const apr_int64_t *nids, int n,
                       const model_t *m, apr_pool_t *p)
{
    MX_STMT(test_snapshot_add, "lLLib",
            "select snapshot_add(1, $1::int8, $2::int8[], $3::int8[], $4::int4, $5::bytea)");
    mx_rows_t *rows;
    ck_assert_int_eq(mx_store_query(&rows, conn, p, &test_snapshot_add, pred, skeys, n, nids, n, m->size,
                                    mx_slice((const char *)m->hash.bytes, sizeof(m->hash.bytes))), APR_SUCCESS);
    return mx_row_int(rows, 0, 0);
}

/** One more snapshot: the newest, or any, with one entry or several changed, set, removed, or set back to what they were elsewhere. */
static void grow(mx_conn_t *conn, apr_int64_t *pnext_nid, apr_pool_t *p)
{
    model_t *m = &models[nmodels];
    const model_t *from = nmodels && rnd(100) < 90 ? &models[nmodels - 1]
                          : nmodels                ? &models[rnd((unsigned)nmodels)]
                                                   : NULL;
    apr_int64_t skeys[CHANGE_MAX], nids[CHANGE_MAX];
    int i, j, n = rnd(100) < 97 ? 1 : 1 + (int)rnd(CHANGE_MAX - 1), used = 0;
    if (from)
        *m = *from;
    else
        memset(m, 0, sizeof(*m));
    for (i = 0; i < n; i++) {
        int k = nmodels < KEYS && n == 1 ? nmodels : (int)rnd(KEYS);
        unsigned dice = rnd(100);
        for (j = 0; j < used && skeys[j] != k + 1; j++) {
        }
        if (j < used)
            continue;
        skeys[used] = k + 1;
        nids[used] = dice < 85 || nmodels < KEYS ? ++*pnext_nid
                     : dice < 92                 ? 0
                                                 : models[rnd((unsigned)nmodels)].nids[k];
        change(m, k, nids[used], p);
        used++;
    }
    m->snap_nid = add(conn, from ? from->snap_nid : 0, skeys, nids, used, m, p);
    nmodels++;
}

static void build(void)
{
    apr_int64_t next_nid = 0;
    apr_pool_t *p;
    mx_conn_t *conn;
    int i;
    seed_now = 20201;
    nmodels = 0;
    models = apr_palloc(pool, sizeof(*models) * CHANGES);
    ck_assert_int_eq(mx_store_state_hash_key(key, store, pool), APR_SUCCESS);
    ck_assert_int_eq(mx_store_borrow(&conn, store, pool), APR_SUCCESS);
    mx_store_begin(conn);
    apr_pool_create(&p, pool);
    for (i = 0; i < CHANGES; i++) {
        grow(conn, &next_nid, p);
        apr_pool_clear(p);
    }
    ck_assert_int_eq(mx_store_commit(conn), APR_SUCCESS);
    mx_store_return(conn);
    apr_pool_destroy(p);
}

static void check_load(const model_t *m, apr_pool_t *p)
{
    mx_state_item_t *items;
    int i, n, k = 0;
    ck_assert_int_eq(mx_store_state_load(&items, &n, store, m->snap_nid, p), APR_SUCCESS);
    ck_assert_int_eq(n, m->size);
    for (i = 0; i < n; i++, k++) {
        while (k < KEYS && !m->nids[k])
            k++;
        ck_assert(items[i].skey_nid == k + 1);
        ck_assert(items[i].nid == m->nids[k]);
    }
}

static void check_entries(apr_pool_t *p)
{
    apr_int64_t snaps[5], skeys[4];
    const model_t *from[5];
    mx_state_hit_t *hits;
    int i, j, n, wanted = 0, found = 0, h;
    for (i = 0; i < 5; i++) {
        from[i] = &models[rnd((unsigned)nmodels)];
        snaps[i] = from[i]->snap_nid;
        for (j = 0; j < i; j++)
            ck_assert(snaps[i] != snaps[j] || memcmp(from[i]->nids, from[j]->nids, sizeof(from[i]->nids)) == 0);
    }
    for (i = 0; i < 4; i++)
        skeys[i] = 1 + (apr_int64_t)(i * (KEYS / 4) + (int)rnd(KEYS / 4));
    ck_assert_int_eq(mx_store_state_entries(&hits, &n, store, snaps, 5, skeys, 4, p), APR_SUCCESS);
    for (i = 0; i < 5; i++) {
        for (j = 0; j < 4; j++) {
            wanted += from[i]->nids[skeys[j] - 1] != 0;
            for (h = 0; h < n && !(hits[h].snap_nid == snaps[i] && hits[h].skey_nid == skeys[j]); h++) {
            }
            if (h < n)
                ck_assert(hits[h].nid == from[i]->nids[skeys[j] - 1]);
            found += h < n;
        }
    }
    ck_assert_int_eq(found, wanted);
}

static void check_diff(const model_t *from, const model_t *to, apr_pool_t *p)
{
    static const model_t empty;
    const model_t *a = from ? from : &empty, *b = to ? to : &empty;
    mx_state_item_t *items;
    int i = 0, k, n;
    ck_assert_int_eq(mx_store_state_diff(&items, &n, store, a->snap_nid, b->snap_nid, p), APR_SUCCESS);
    for (k = 0; k < KEYS; k++) {
        if (a->nids[k] == b->nids[k])
            continue;
        ck_assert_int_lt(i, n);
        ck_assert(items[i].skey_nid == k + 1);
        ck_assert(items[i].nid == b->nids[k]);
        i++;
    }
    ck_assert_int_eq(i, n);
}

START_TEST(any_state_reads_as_it_was_written)
{
    apr_pool_t *p;
    int i;
    homeserver_reset();
    store = database_store(pool);
    build();
    apr_pool_create(&p, pool);
    for (i = 0; i < LOOKS; i++) {
        check_load(&models[i < 50 ? i : (int)rnd(CHANGES)], p);
        check_entries(p);
        check_diff(i % 50 ? &models[rnd(CHANGES)] : NULL, i % 50 == 1 ? NULL : &models[rnd(CHANGES)], p);
        apr_pool_clear(p);
    }
    check_load(&models[CHANGES - 1], p);
    /* far below what whole states take, and few rows for any state */
    ck_assert_int_lt(database_number("select avg(octet_length(delta) / 10) from snapshot"), 20);
    ck_assert_int_le(database_number("select max(octet_length(anc) / 5) from snapshot"), 21);
    /* one state, one row */
    ck_assert_int_eq(database_number("select count(*) - count(distinct hash) from snapshot"), 0);
    ck_assert_int_lt(database_number("select count(*) from snapshot"), CHANGES);
}
END_TEST

START_TEST(a_state_that_was_there_before_is_the_same_snapshot)
{
    mx_server_t *server;
    mx_conn_t *conn;
    model_t m[4];
    apr_int64_t skey = 1, nid = 11;
    homeserver_reset();
    server = homeserver_child(NULL, pool);
    store = server->store;
    ck_assert_int_eq(mx_store_state_hash_key(key, store, pool), APR_SUCCESS);
    ck_assert_int_eq(mx_store_borrow(&conn, store, pool), APR_SUCCESS);
    memset(m, 0, sizeof(m));
    change(&m[0], 0, 11, pool);
    m[0].snap_nid = add(conn, 0, &skey, &nid, 1, &m[0], pool);
    m[1] = m[2] = m[0];
    skey = 2, nid = 12;
    change(&m[1], 1, 12, pool);
    m[1].snap_nid = add(conn, m[0].snap_nid, &skey, &nid, 1, &m[1], pool);
    skey = 3, nid = 13;
    change(&m[2], 2, 13, pool);
    m[2].snap_nid = add(conn, m[0].snap_nid, &skey, &nid, 1, &m[2], pool);
    m[3] = m[2];                         /* the same two changes in the other order */
    skey = 2, nid = 12;
    change(&m[3], 1, 12, pool);
    m[3].snap_nid = add(conn, m[2].snap_nid, &skey, &nid, 1, &m[3], pool);
    skey = 3, nid = 13;
    change(&m[1], 2, 13, pool);
    ck_assert(add(conn, m[1].snap_nid, &skey, &nid, 1, &m[1], pool) == m[3].snap_nid);
    ck_assert(m[3].snap_nid != m[2].snap_nid);
    mx_store_return(conn);
}
END_TEST

START_TEST(the_state_of_a_room_is_known_at_every_stream_position)
{
    mx_server_t *server;
    const char *room_id;
    mx_room_t *room;
    apr_int64_t at[2], rooms[2] = { 1, 999999 }, first;
    homeserver_reset();
    server = homeserver_child(NULL, pool);
    room_id = homeserver_room(server, "12", "public");
    ck_assert_ptr_null(mx_room_get(&room, server, room_id, 0, pool));
    rooms[0] = room->nid;
    first = room->last_stream;
    homeserver_send(server, room_id, "@creator:h", "m.room.message", NULL, "{\"body\":\"x\"}");
    homeserver_send(server, room_id, "@creator:h", "m.room.topic", "", "{\"topic\":\"x\"}");
    ck_assert_int_eq(mx_store_state_at(at, server->store, rooms, 2, first, pool), APR_SUCCESS);
    ck_assert(at[0] == room->snap_nid && at[1] == 0);
    ck_assert_int_eq(mx_store_state_at(at, server->store, rooms, 2, first + 1, pool), APR_SUCCESS);
    ck_assert(at[0] == room->snap_nid);
    ck_assert_ptr_null(mx_room_get(&room, server, room_id, 0, pool));
    ck_assert_int_eq(mx_store_state_at(at, server->store, rooms, 2, first + 2, pool), APR_SUCCESS);
    ck_assert(at[0] == room->snap_nid);
    ck_assert_int_eq(mx_store_state_at(at, server->store, rooms, 2, 0, pool), APR_SUCCESS);
    ck_assert(at[0] == 0);
}
END_TEST

DATABASE_MAIN("state", any_state_reads_as_it_was_written, a_state_that_was_there_before_is_the_same_snapshot,
              the_state_of_a_room_is_known_at_every_stream_position)
