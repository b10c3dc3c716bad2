/* SPDX-License-Identifier: Apache-2.0 */
/* Schema, interned strings, event ids and the watermark on a real PostgreSQL. */
#include "database.h"

#include "base/base64.h"
#include "server/server.h"
#include "store/event_id.h"
#include "store/schema.h"
#include "store/stream.h"

#include <apr_file_info.h>
#include <apr_thread_proc.h>
#include <sys/wait.h>

#define SQL_DIR MX_SOURCE_DIR "/sql"

/** A database without any table of ours. */
static void empty(void)
{
    database_sql("set client_min_messages = warning; drop schema public cascade; create schema public");
}

static void apply(void)
{
    const char *err = "";
    empty();
    ck_assert_msg(mx_schema_apply(&err, database_dsn, SQL_DIR, pool) == APR_SUCCESS, "%s", err);
    store = database_store(pool);
}

/* ---------------------------------------------------------------- schema */

START_TEST(schema_wanted_is_the_number_of_the_last_file)
{
    apr_dir_t *dir;
    apr_finfo_t info;
    int last = 0;
    ck_assert_int_eq(apr_dir_open(&dir, SQL_DIR, pool), APR_SUCCESS);
    while (apr_dir_read(&info, APR_FINFO_NAME, dir) == APR_SUCCESS) {
        if (strstr(info.name, ".sql") && atoi(info.name) > last)
            last = atoi(info.name);
    }
    apr_dir_close(dir);
    ck_assert_int_eq(mx_schema_wanted(), last);
}
END_TEST

#define APPLIERS 4

START_TEST(schema_is_applied_once_by_many_at_once)
{
    pid_t pids[APPLIERS];
    const char *err = NULL;
    int i, status, found = -1;
    empty();
    ck_assert_int_eq(mx_schema_check(&found, &err, database_dsn, pool), MX_SCHEMA_EMPTY);
    ck_assert_int_eq(found, 0);
    for (i = 0; i < APPLIERS; i++) {
        pids[i] = fork();
        if (pids[i] == 0)
            _exit(mx_schema_apply(&err, database_dsn, SQL_DIR, pool) == APR_SUCCESS ? 0 : 1);
    }
    for (i = 0; i < APPLIERS; i++) {
        ck_assert_int_eq(waitpid(pids[i], &status, 0), pids[i]);
        ck_assert(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    }
    ck_assert_int_eq(mx_schema_check(&found, &err, database_dsn, pool), MX_SCHEMA_CURRENT);
    ck_assert_int_eq(database_number("select count(*) from schema_version"), mx_schema_wanted());
}
END_TEST

START_TEST(newer_schema_is_refused)
{
    const char *err = NULL;
    int found = 0;
    apply();
    database_sql("insert into schema_version (version, file) values (9999, 'x')");
    ck_assert_int_eq(mx_schema_check(&found, &err, database_dsn, pool), MX_SCHEMA_TOO_NEW);
    ck_assert_int_eq(found, 9999);
    ck_assert_ptr_nonnull(strstr(err, "9999"));
    ck_assert_int_ne(mx_schema_apply(&err, database_dsn, SQL_DIR, pool), APR_SUCCESS);
}
END_TEST

START_TEST(failing_file_leaves_nothing_behind)
{
    const char *err = NULL;
    empty();
    database_sql("create table room ()");       /* a table of somebody else's in the way of 0002 */
    ck_assert_int_ne(mx_schema_apply(&err, database_dsn, SQL_DIR, pool), APR_SUCCESS);
    ck_assert_msg(strstr(err, "0002_rooms.sql failed: relation \"room\" already exists.") != NULL, "%s", err);
    ck_assert_int_eq(database_number("select max(version) from schema_version"), 1);
    ck_assert_int_eq(database_number("select (to_regclass('ev_type') is null)::int"), 1);
    database_sql("drop table room");
    ck_assert_int_eq(mx_schema_apply(&err, database_dsn, SQL_DIR, pool), APR_SUCCESS);      /* and goes on from there */
}
END_TEST

START_TEST(missing_file_is_named)
{
    const char *err = NULL;
    empty();
    ck_assert_int_ne(mx_schema_apply(&err, database_dsn, MX_SOURCE_DIR "/tests", pool), APR_SUCCESS);
    ck_assert_ptr_nonnull(strstr(err, "0001_*.sql"));
    ck_assert_int_ne(mx_schema_apply(&err, database_dsn, "/nowhere", pool), APR_SUCCESS);
    ck_assert_ptr_nonnull(strstr(err, "/nowhere"));
}
END_TEST

START_TEST(database_belongs_to_one_name)
{
    const char *err = NULL, *owner = "?";
    empty();
    ck_assert_int_eq(mx_schema_owner(&owner, &err, database_dsn, pool), APR_SUCCESS);
    ck_assert_ptr_null(owner);
    apply();
    ck_assert_int_eq(mx_schema_owner(&owner, &err, database_dsn, pool), APR_SUCCESS);
    ck_assert_ptr_null(owner);
    ck_assert_int_eq(mx_schema_claim(&err, database_dsn, "a.example", pool), APR_SUCCESS);
    ck_assert_int_eq(mx_schema_claim(&err, database_dsn, "a.example", pool), APR_SUCCESS);
    ck_assert_int_ne(mx_schema_claim(&err, database_dsn, "b.example", pool), APR_SUCCESS);
    ck_assert(strstr(err, "a.example") && strstr(err, "b.example"));
    ck_assert_int_eq(mx_schema_owner(&owner, &err, database_dsn, pool), APR_SUCCESS);
    ck_assert_str_eq(owner, "a.example");
}
END_TEST

/* ---------------------------------------------------------------- interned strings */

static mx_server_t *server_new(void)
{
    static mx_settings_t settings;
    mx_server_t *server = apr_pcalloc(pool, sizeof(*server));
    mx_settings_default(&settings);
    server->name = "a.example";
    server->settings = &settings;
    server->store = database_store(pool);
    server->pool = pool;
    ck_assert_int_eq(mx_server_init(server), APR_SUCCESS);
    return server;
}

START_TEST(known_string_keeps_its_number)
{
    mx_server_t *one, *other;
    apr_int64_t nid = 0, again = 0, skey = 0;
    int type = 0, round;
    const char *text;
    apply();
    one = server_new();
    other = server_new();
    ck_assert_int_eq(mx_server_user_nid_find(&nid, one, "@u:a.example", pool), MX_STORE_NONE);
    ck_assert_int_eq(mx_server_user_nid(&nid, one, "@u:a.example", pool), APR_SUCCESS);
    for (round = 0; round < 2; round++) {       /* from the database, then from the cache */
        ck_assert_int_eq(mx_server_user_nid(&again, other, "@u:a.example", pool), APR_SUCCESS);
        ck_assert(again == nid);
        ck_assert_int_eq(mx_server_user_id(&text, other, nid, pool), APR_SUCCESS);
        ck_assert_str_eq(text, "@u:a.example");
        ck_assert_int_eq(mx_server_type_nid(&type, other, "m.room.member", pool), APR_SUCCESS);
        ck_assert_int_eq(mx_server_type_name(&text, one, type, pool), APR_SUCCESS);
        ck_assert_str_eq(text, "m.room.member");
        ck_assert_int_eq(mx_server_skey_nid(&skey, one, "m.room.member", "@u:a.example", pool), APR_SUCCESS);
        ck_assert_int_eq(mx_server_skey_nid_find(&again, other, "m.room.member", "@u:a.example", pool), APR_SUCCESS);
        ck_assert(again == skey);
    }
    ck_assert_int_eq(mx_server_skey_nid_find(&again, one, "m.room.member", "@nobody:a.example", pool), MX_STORE_NONE);
    ck_assert_int_eq(mx_server_user_id(&text, one, 999999, pool), MX_STORE_NONE);
    ck_assert_int_eq(mx_server_user_nid(&again, one, "no-colon", pool), APR_EINVAL);
    ck_assert_int_eq(database_number("select local::int from mxid where mxid = '@u:a.example'"), 1);
}
END_TEST

START_TEST(known_string_burns_no_number)
{
    apr_int64_t nid, first = 0, i;
    apply();
    for (i = 0; i < 20; i++)
        ck_assert_int_eq(mx_server_user_nid(&first, server_new(), "@u:b.example", pool), APR_SUCCESS);
    ck_assert_int_eq(mx_server_user_nid(&nid, server_new(), "@v:b.example", pool), APR_SUCCESS);
    ck_assert(nid == first + 1);
    ck_assert_int_eq(database_number("select count(*) from server"), 1);
}
END_TEST

START_TEST(many_ids_come_in_their_order)
{
    apr_int64_t nids[4] = { 0, 12345, 0, 0 };
    const char **ids;
    mx_server_t *server;
    apply();
    server = server_new();
    mx_server_user_nid(&nids[0], server, "@x:a.example", pool);
    mx_server_user_nid(&nids[2], server, "@y:a.example", pool);
    mx_server_user_id(ids = apr_palloc(pool, sizeof(*ids)), server, nids[2], pool);      /* one of them is in the cache */
    nids[3] = nids[0];
    ck_assert_int_eq(mx_server_user_ids(&ids, server, nids, 4, pool), APR_SUCCESS);
    ck_assert_str_eq(ids[0], "@x:a.example");
    ck_assert_ptr_null(ids[1]);
    ck_assert_str_eq(ids[2], "@y:a.example");
    ck_assert_str_eq(ids[3], "@x:a.example");
    ck_assert_int_eq(mx_server_user_ids(&ids, server, NULL, 0, pool), APR_SUCCESS);
}
END_TEST

START_TEST(store_failures_become_errors)
{
    ck_assert_int_eq(mx_server_store_error(MX_STORE_UNAVAILABLE, "x", pool)->status, 503);
    ck_assert_int_eq(mx_server_store_error(MX_STORE_RETRY, "x", pool)->status, 503);
    ck_assert_int_eq(mx_server_store_error(MX_STORE_ERROR, "x", pool)->status, 500);
    ck_assert_str_eq(mx_server_store_error(MX_STORE_UNAVAILABLE, "x", pool)->detail, "x");
}
END_TEST

/* ---------------------------------------------------------------- event ids */

static void check_event_id(const char *id, int is_hash)
{
    mx_slice_t packed = mx_store_event_id_pack(id, pool);
    char out[45] = "untouched";
    ck_assert_msg((packed.len == 32) == is_hash, "%s", id);
    ck_assert_str_eq(mx_store_event_id_unpack(packed, pool), id);
    ck_assert_int_eq(mx_store_event_id_unpack_to(out, packed) != 0, is_hash);
    ck_assert_str_eq(out, is_hash ? id : "untouched");
}

START_TEST(event_id_survives_packing)
{
    static const char any[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_+/:.$";
    unsigned char hash[32];
    int i;
    check_event_id("$143273582443PhrSn:example.org", 0);
    check_event_id("$1234567890123456789:example.org", 0);       /* 32 bytes of text */
    check_event_id("$acR1l0raoZnm60CBwAVgqbZqoO/mYU81xysh1u7XcJk", 0);       /* version 3: another alphabet */
    check_event_id("$Rqnc-F-dvnEYJTyHq_iKxU2bZ1CI92-kuZq3a5lr5Zg", 1);
    check_event_id("$Rqnc-F-dvnEYJTyHq_iKxU2bZ1CI92-kuZq3a5lr5Zh", 0);       /* bits past the last byte */
    check_event_id("$", 0);
    check_event_id("", 0);
    for (i = 0; i < 2000; i++) {
        mx_random_bytes(hash, sizeof(hash));
        check_event_id(apr_pstrcat(pool, "$", mx_base64_encode(MX_BASE64_URL, hash, 32, pool), NULL), 1);
        check_event_id(apr_pstrcat(pool, "$", mx_random_string(any, (apr_size_t)i % 60, pool), "!", NULL), 0);
    }
}
END_TEST

/* ---------------------------------------------------------------- watermark */

#define WRITERS 8
#define WRITE_SECONDS 4

MX_STMT(write_position, "", "insert into written (pos) values (stream_next())");
MX_STMT(read_positions, "ll", "select count(*) from written where pos > $1::int8 and pos <= $2::int8");
MX_STMT(nap, "f", "select pg_sleep($1::float8)");
static int writers_stop;        /* atomic */

static unsigned dice(void)
{
    unsigned u;
    mx_random_bytes(&u, sizeof(u));
    return u % 100;
}

static apr_status_t write_one(mx_conn_t *conn, apr_pool_t *p)
{
    apr_status_t rv = mx_store_begin(conn);
    if (rv == APR_SUCCESS)
        rv = mx_store_query(NULL, conn, p, &write_position);
    if (rv == APR_SUCCESS && dice() < 5)
        rv = mx_store_query(NULL, conn, p, &nap, dice() / 3000.0);
    if (rv == APR_SUCCESS && dice() < 5)
        mx_store_rollback(conn);
    else if (rv == APR_SUCCESS)
        rv = mx_store_commit(conn);
    return rv;
}

static void *write_positions(apr_thread_t *thread, void *presult)
{
    apr_pool_t *p, *sub;
    mx_store_t *mine;
    mx_conn_t *conn;
    apr_status_t rv = APR_SUCCESS;
    apr_pool_create(&p, NULL);
    mine = database_store(p);
    while (rv == APR_SUCCESS && !__atomic_load_n(&writers_stop, __ATOMIC_RELAXED)) {
        apr_pool_create(&sub, p);
        rv = mx_store_borrow(&conn, mine, sub);
        if (rv == APR_SUCCESS)
            rv = write_one(conn, sub);
        apr_pool_destroy(sub);
    }
    apr_pool_destroy(p);
    *(apr_status_t *)presult = rv;
    return NULL;
}

/** Reads up to the watermark; returns it, and adds the rows found since `since`. */
static apr_int64_t read_once(apr_int64_t *pseen, apr_int64_t since, int *pbehind)
{
    apr_int64_t watermark = 0, last = 0;
    mx_conn_t *conn;
    mx_rows_t *rows;
    apr_pool_t *sub;
    apr_pool_create(&sub, pool);
    ck_assert_int_eq(mx_store_borrow(&conn, store, sub), APR_SUCCESS);
    ck_assert_int_eq(mx_store_stream_watermark(&watermark, &last, conn, sub), APR_SUCCESS);
    ck_assert(watermark <= last);
    *pbehind += watermark < last;
    if (watermark > since) {
        ck_assert_int_eq(mx_store_query(&rows, conn, sub, &read_positions, since, watermark), APR_SUCCESS);
        *pseen += mx_row_int(rows, 0, 0);
        since = watermark;
    }
    apr_pool_destroy(sub);
    return since;
}

START_TEST(watermark_leaves_no_row_behind)
{
    apr_thread_t *threads[WRITERS];
    apr_status_t results[WRITERS], rv;
    apr_int64_t since = 0, seen = 0;
    apr_time_t end;
    int i, behind = 0;
    apply();
    database_sql("create table written (pos int8 primary key)");
    for (i = 0; i < WRITERS; i++)
        ck_assert_int_eq(apr_thread_create(&threads[i], NULL, write_positions, &results[i], pool), APR_SUCCESS);
    for (end = apr_time_now() + apr_time_from_sec(WRITE_SECONDS); apr_time_now() < end; apr_sleep(2000))
        since = read_once(&seen, since, &behind);
    __atomic_store_n(&writers_stop, 1, __ATOMIC_RELAXED);
    for (i = 0; i < WRITERS; i++) {
        apr_thread_join(&rv, threads[i]);
        ck_assert_int_eq(results[i], APR_SUCCESS);
    }
    since = read_once(&seen, since, &behind);
    ck_assert_msg(behind > 0, "no read met an unfinished writer: nothing was tested");
    ck_assert_int_gt(database_number("select count(*) from written"), 100);
    ck_assert_int_eq(database_number("select count(*) from written"), seen);
}
END_TEST

START_TEST(watermark_stays_below_the_very_first_writer)
{
    apr_int64_t watermark, last;
    apr_pool_t *sub;
    mx_store_t *writer;
    mx_conn_t *conn, *reader;
    apply();
    database_sql("create table written (pos int8 primary key)");
    apr_pool_create(&sub, pool);
    writer = database_store(sub);
    ck_assert_int_eq(mx_store_borrow(&conn, writer, sub), APR_SUCCESS);
    ck_assert_int_eq(mx_store_begin(conn), APR_SUCCESS);
    ck_assert_int_eq(mx_store_query(NULL, conn, sub, &write_position), APR_SUCCESS);
    ck_assert_int_eq(mx_store_borrow(&reader, store, sub), APR_SUCCESS);
    ck_assert_int_eq(mx_store_stream_watermark(&watermark, &last, reader, sub), APR_SUCCESS);
    ck_assert(watermark < last);
    ck_assert_int_eq(mx_store_commit(conn), APR_SUCCESS);
    ck_assert_int_eq(database_number("select min(pos) from written"), last);
    ck_assert_int_eq(mx_store_stream_watermark(&watermark, &last, reader, sub), APR_SUCCESS);
    ck_assert(watermark == last);
    apr_pool_destroy(sub);
}
END_TEST

START_TEST(watermark_ignores_locks_of_others)
{
    apr_int64_t watermark, last;
    PGconn *other, *elsewhere;
    mx_conn_t *reader;
    apply();
    database_sql("select setval('stream_seq', 1000)");
    other = PQconnectdb(database_dsn);
    elsewhere = PQconnectdb(getenv("MX_TEST_DSN"));      /* the same key in another database */
    PQclear(PQexec(other, "select pg_advisory_lock((76::int8 << 48) | 5), pg_advisory_lock(77, 5)"));
    PQclear(PQexec(elsewhere, "select pg_advisory_lock((77::int8 << 48) | 5)"));
    ck_assert_int_eq(mx_store_borrow(&reader, store, pool), APR_SUCCESS);
    ck_assert_int_eq(mx_store_stream_watermark(&watermark, &last, reader, pool), APR_SUCCESS);
    ck_assert(watermark == 1000 && last == 1000);
    PQclear(PQexec(other, "select pg_advisory_lock_shared((77::int8 << 48) | 5)"));
    ck_assert_int_eq(mx_store_stream_watermark(&watermark, NULL, reader, pool), APR_SUCCESS);
    ck_assert(watermark == 5);
    PQfinish(other);
    PQfinish(elsewhere);
}
END_TEST

DATABASE_MAIN("stream", schema_wanted_is_the_number_of_the_last_file, schema_is_applied_once_by_many_at_once, newer_schema_is_refused,
              failing_file_leaves_nothing_behind, missing_file_is_named, database_belongs_to_one_name, known_string_keeps_its_number,
              known_string_burns_no_number, many_ids_come_in_their_order, store_failures_become_errors, event_id_survives_packing,
              watermark_leaves_no_row_behind, watermark_stays_below_the_very_first_writer, watermark_ignores_locks_of_others)
