/* SPDX-License-Identifier: Apache-2.0 */
/* Databases with rows in them come from every older schema to the newest, and say afterwards what they said before. */
#include "homeserver.h"

#include "store/state.h"

#include <apr_file_io.h>

#define STATES 600                      /* in each of two rooms */
#define KEYS 300
#define PACKED_BY 7                      /* the version whose file packs snapshots */

/** The text of sql/<number>_*.sql. */
static char *schema_file(int number)
{
    char *text, name[64];
    apr_size_t len = 1 << 20;
    apr_finfo_t info;
    apr_file_t *file;
    apr_dir_t *dir;
    snprintf(name, sizeof(name), "%04d_", number);
    ck_assert_int_eq(apr_dir_open(&dir, MX_SQL_DIR, pool), APR_SUCCESS);
    do
        ck_assert_int_eq(apr_dir_read(&info, APR_FINFO_NAME, dir), APR_SUCCESS);
    while (strncmp(info.name, name, 5) != 0);
    ck_assert_int_eq(apr_file_open(&file, apr_pstrcat(pool, MX_SQL_DIR, "/", info.name, NULL), APR_FOPEN_READ, 0, pool), APR_SUCCESS);
    apr_dir_close(dir);
    text = apr_pcalloc(pool, len + 1);
    apr_file_read(file, text, &len);
    apr_file_close(file);
    return text;
}

static void empty_database(void)
{
    database_sql("set client_min_messages = warning; drop schema public cascade; create schema public;"
                 " create table schema_version (version int4 primary key, file text collate \"C\" not null,"
                 " applied timestamptz not null default now())");
}

/** As an older build would have done it. */
static void apply_file(int number)
{
    database_sql(schema_file(number));
    database_sql(apr_psprintf(pool, "insert into schema_version (version, file) values (%d, 'old')", number));
}

static void upgrade(void)
{
    const char *why = NULL;
    ck_assert_msg(mx_schema_apply(&why, database_dsn, MX_SQL_DIR, pool) == APR_SUCCESS, "%s", why);
    ck_assert_int_eq(database_number("select max(version) from schema_version"), mx_schema_wanted());
    store = database_store(pool);
}

/* ---- every version with a little data ---- */

typedef struct version_rows_t {
    const char *rows;                    /* as that version stores them */
    const char *check;                   /* true afterwards, at the newest */
} version_rows_t;

static const version_rows_t versions[] = {
    { "insert into server (name) values ('old.example'), ('other.example');"
      "insert into mxid (mxid, server_nid, local) values ('@u:old.example', 1, true), ('@v:other.example', 2, false);"
      "insert into account (user_nid, password_hash, created_ts) values (1, 'x', 5);"
      "insert into device (user_nid, device_id, created_ts) values (1, 'D', 6);"
      "insert into refresh_token (token_hash, device_nid) values ('r', 1);"
      "insert into access_token (token_hash, device_nid, user_nid, refresh_nid) values ('a', 1, 1, 1);"
      "insert into registration_token (token) values ('t');"
      "insert into uia_session (session, operation, request, created_ts) values ('s', 'POST /x', '{}', 7);"
      "insert into profile values (1, 'displayname', '\"U\"'); insert into filter values (1, 1, 'h', '{}')",
      "select (select count(*) from account where password_hash = 'x') = 1 and (select count(*) from device where device_id = 'D') = 1"
      " and (select count(*) from access_token where refresh_nid = 1) = 1 and (select count(*) from uia_session) = 1"
      " and (select count(*) from profile) = 1 and (select count(*) from filter) = 1 and (select count(*) from mxid where local) = 1" },
    { "insert into ev_type (type) values ('m.room.create'), ('m.room.member');"
      "insert into skey (type_nid, state_key) values (1, ''), (2, '@u:old.example');"
      "insert into room (room_id, version, ver, snap_nid, heads, head_ids, depth, last_stream, joined, local_joined)"
      " values ('!old:old.example', 11, 2, 2, '{12}', '{\"$b\"}', 2, 12, 1, 1);"
      "insert into event (nid, room_nid, ord, ts, snap_nid, sender_nid, depth, type_nid, flags, event_id, pdu)"
      " values (11, 1, 11, 1, null, 1, 1, 1, 1, '$a', '{\"n\":1}'), (12, 1, 12, 2, 1, 1, 2, 2, 1, '$b', '{\"n\":2}');"
      "select setval('stream_seq', 12);"
      "insert into snapshot (room_nid, idx, anc, size, hash, delta) values (1, 1, '{}', 1, '0123456789abcdef', '{1,11}'),"
      " (1, 2, '{1}', 2, 'fedcba9876543210', '{2,12}');"
      "insert into state_event values (11, 1, 1, '{}', null, 1), (12, 1, 2, '{11}', null, 2);"
      "insert into room_state_log values (1, 11, 1), (1, 12, 2); insert into cur_state values (1, 1, 11), (1, 2, 12);"
      "insert into member values (1, 1, 2, 12, 12, true); insert into room_server values (1, 1, 1);"
      "insert into txn (device_nid, txn_id, scope, nid) values (1, 't', 's', 12);"
      "insert into room_alias values ('#a:old.example', 1, 1, 3)",
      "select (select count(*) from event where pdu in ('{\"n\":1}', '{\"n\":2}')) = 2 and (select heads from room) = '{12}'"
      " and (select snap_nid from event where nid = 12) = 1 and (select snap_after from state_event where nid = 12) = 2"
      " and (select count(*) from room_state_log) = 2 and (select count(*) from cur_state) = 2 and (select count(*) from member) = 1"
      " and (select nid from txn) = 12 and (select count(*) from room_alias) = 1 and (select count(*) from room_server) = 1" },
    { "insert into account_data values (1, 0, 'm.tag', '{}', 1); insert into typing_room values (1, 1);"
      "insert into receipt (room_nid, user_nid, type, event_id, ts, stream) values (1, 1, 'm.read', '$b', 1, 1)",
      "select (select count(*) from account_data) = 1 and (select count(*) from receipt where thread_id = '') = 1" },
    { "insert into instance (server_name, created_ts) values ('old.example', 1)", "select server_name = 'old.example' from instance" },
    { "create table secret_then as select value from secret",
      "select (select value from secret where name = 'snapshot_hash') = value from secret_then" },
    { "insert into stres_memo (room_nid, key, result) values (1, 'k', 2)", "select count(*) = 1 from stres_memo where result = 2" },
    { "select snapshot_collect(1, 1)", "select count(*) = 1 from snapshot_sweep" },
    { "insert into redaction_wait values ('$c', 12, 1)", "select count(*) = 1 from redaction_wait" },
};

#define VERSIONS ((int)(sizeof(versions) / sizeof(versions[0])))

/** The room of the second row: its state, old and new. */
static void check_old_room(void)
{
    const mx_state_item_t want[] = { { 1, 11 }, { 2, 12 } };
    mx_state_item_t *items;
    int n;
    ck_assert_int_eq(mx_store_state_load(&items, &n, store, 2, pool), APR_SUCCESS);
    ck_assert_int_eq(n, 2);
    ck_assert_mem_eq(items, want, sizeof(want));
    ck_assert_int_eq(mx_store_state_load(&items, &n, store, 1, pool), APR_SUCCESS);
    ck_assert_int_eq(n, 1);
    ck_assert_mem_eq(items, want, sizeof(want[0]));
}

/** New rooms work beside the old rows. */
static void check_works(void)
{
    mx_server_t *server = homeserver_child(NULL, pool);
    const char *room_id = homeserver_room(server, "12", "public");
    homeserver_send(server, room_id, "@creator:h", "m.room.message", NULL, "{\"body\":\"after the upgrade\"}");
    homeserver_send(server, room_id, "@creator:h", "m.room.topic", "", "{\"topic\":\"after the upgrade\"}");
}

static void check_rows(int version, int from)
{
    PGconn *pg = PQconnectdb(database_dsn);
    PGresult *res = PQexec(pg, versions[version - 1].check);
    ck_assert_msg(PQresultStatus(res) == PGRES_TUPLES_OK && PQntuples(res) == 1 && *PQgetvalue(res, 0, 0) == 't',
                  "rows of version %d, from version %d: %s", version, from, PQerrorMessage(pg));
    PQclear(res);
    PQfinish(pg);
}

START_TEST(each_older_schema_comes_to_the_newest_with_its_rows)
{
    int from, i;
    ck_assert_int_ge(VERSIONS, PACKED_BY + 1);
    for (from = 1; from < mx_schema_wanted(); from++) {
        int known = from < VERSIONS ? from : VERSIONS;
        empty_database();
        for (i = 1; i <= from; i++) {
            apply_file(i);
            if (i <= VERSIONS)
                database_sql(versions[i - 1].rows);
        }
        upgrade();
        for (i = 1; i <= known; i++)
            check_rows(i, from);
        if (from >= 2)
            check_old_room();
        check_works();
    }
}
END_TEST

/* ---- snapshots ---- */

/*
 * Rooms that grow and change at random, with removals, forks from older states and states that come back, by the functions
 * of the schema that is there. What each state then is stands in old_state, read as those functions' comment says.
 */
static const char grow[] =
    "create function grow(room int8, states int4, keys int4) returns void language plpgsql as $$\n"
    "declare snap int8 := 0; made int8[] := '{}'; was jsonb := '{}'; states_of jsonb[] := '{}'; k int4; n int4; skeys int8[]; nids int8[];\n"
    "begin\n"
    " for i in 1..states loop\n"
    "  if i > 50 and random() < 0.05 then k := 1 + (random() * (i - 2))::int4; snap := made[k]; was := states_of[k]; end if;\n"
    "  n := case when random() < 0.03 then 40 when random() < 0.1 then 3 else 1 end; skeys := '{}'; nids := '{}';\n"
    "  for j in 1..n loop\n"
    "   k := 1 + (random() * (keys - 1))::int4; continue when k = any(skeys); skeys := skeys || k::int8;\n"
    "   if random() < 0.1 and was ? k::text then nids := nids || 0::int8; was := was - k::text;\n"
    "   else nids := nids || (1000000000 + room * 100000 + i)::int8;\n"
    "        was := was || jsonb_build_object(k::text, 1000000000 + room * 100000 + i); end if;\n"
    "  end loop;\n"
    "  snap := snapshot_add(room, snap, skeys, nids, (select count(*) from jsonb_object_keys(was))::int4,\n"
    "                       decode(md5(room || was::text), 'hex'));\n"
    "  made[i] := snap; states_of[i] := was;\n"
    "  insert into expected select snap, e.key::int8, e.value::int8 from jsonb_each_text(was) e where not exists\n"
    "   (select from expected x where x.snap_nid = snap);\n"
    " end loop;\n"
    "end $$;\n";

static const char old_reading[] =
    "create table old_state as select snap_nid, skey, nid from (select distinct on (t.snap_nid, u.skey) t.snap_nid, u.skey, u.nid"
    " from snapshot t, unnest(t.anc || t.snap_nid) with ordinality c(snap, o) join snapshot s on s.snap_nid = c.snap,"
    " unnest(s.delta[:cardinality(s.delta) / 2], s.delta[cardinality(s.delta) / 2 + 1:]) u(skey, nid)"
    " order by t.snap_nid, u.skey, c.o desc) newest where nid <> 0";

/** All snapshots as mx_store_state_load() reads them are what `expected` says; single entries too. Returns how many. */
static int compare_states(void)
{
    MX_STMT(schema_expected, "",
            "select s.snap_nid, array_agg(e.skey order by e.skey) filter (where e.skey is not null),"
            " array_agg(e.nid order by e.skey) filter (where e.skey is not null)"
            " from snapshot s left join expected e using (snap_nid) group by 1 order by 1");
    mx_rows_t *rows;
    apr_pool_t *p;
    int i, k;
    ck_assert_int_eq(mx_store_run(&rows, store, pool, &schema_expected), APR_SUCCESS);
    apr_pool_create(&p, pool);
    for (i = 0; i < mx_rows_count(rows); i++) {
        apr_int64_t *skeys, *nids, snap = mx_row_int(rows, i, 0);
        int want = mx_row_int_array(&skeys, rows, i, 1, p), n;
        mx_state_item_t *items;
        mx_state_hit_t *hits;
        mx_row_int_array(&nids, rows, i, 2, p);
        ck_assert_int_eq(mx_store_state_load(&items, &n, store, snap, p), APR_SUCCESS);
        ck_assert_msg(n == want, "snapshot %ld has %d entries, not %d", (long)snap, n, want);
        for (k = 0; k < n; k++)
            ck_assert(items[k].skey_nid == skeys[k] && items[k].nid == nids[k]);
        if (want) {
            ck_assert_int_eq(mx_store_state_entries(&hits, &n, store, &snap, 1, &skeys[want / 2], 1, p), APR_SUCCESS);
            ck_assert(n == 1 && hits[0].nid == nids[want / 2]);
        }
        apr_pool_clear(p);
    }
    return mx_rows_count(rows);
}

START_TEST(states_of_schema_6_read_the_same_after_the_upgrade)
{
    int i, before;
    empty_database();
    for (i = 1; i < PACKED_BY; i++)
        apply_file(i);
    database_sql(grow);
    database_sql("create table expected (snap_nid int8, skey int8, nid int8); create index on expected (snap_nid);"
                 "insert into room (room_id, version) values ('!a', 12), ('!b', 12)");
    database_sql(apr_psprintf(pool, "select setseed(0.25); select grow(1, %d, %d); select grow(2, %d, %d)", STATES, KEYS, STATES, KEYS / 20));
    database_sql(old_reading);
    ck_assert_int_eq(database_number("select count(*) from (table old_state except table expected) x"), 0);
    ck_assert_int_eq(database_number("select count(*) from (table expected except table old_state) x"), 0);
    upgrade();
    before = compare_states();
    ck_assert_int_gt(before, STATES);
    /* it goes on from there: new states on old ones, and states that come back are found by their hash */
    database_sql(apr_psprintf(pool, "create table old_snaps as select max(snap_nid) as last from snapshot; select setseed(0.25);"
                              "select grow(1, 300, %d); select grow(2, 300, %d)", KEYS, KEYS / 20));
    ck_assert_int_lt(compare_states() - before, 600);
    database_sql("insert into event (nid, room_nid, ord, ts, snap_nid, sender_nid, depth, type_nid, event_id, pdu)"
                 " select snap_nid, room_nid, snap_nid, 0, snap_nid, 1, 1, 1, int8send(snap_nid), '{}' from snapshot where snap_nid % 3 = 0");
    database_sql("do $$ declare r record; begin for room in 1..2 loop loop select * into r from snapshot_collect(room, 200);"
                 " exit when r.done; end loop; end loop; end $$");
    ck_assert_int_lt(compare_states(), before);
}
END_TEST

DATABASE_MAIN("schema", each_older_schema_comes_to_the_newest_with_its_rows, states_of_schema_6_read_the_same_after_the_upgrade)
