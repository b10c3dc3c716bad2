/* SPDX-License-Identifier: Apache-2.0 */
/* Statements on a real PostgreSQL: parameters and results, failures, lost connections, transactions. */
#include "database.h"

#include "store/pg_private.h"

#include <apr_thread_proc.h>

MX_STMT(echo_scalars, "lihofsbnn",
        "select $1::int8, $2::int4, $3::int2, $4::bool, $5::float8, $6::text, $7::bytea, $8::int8, $9::int8");
MX_STMT(echo_arrays, "LISB", "select $1::int8[], $2::int4[], $3::text[], $4::bytea[]");
MX_STMT(insert_t, "lsb", "insert into t (id, name, data) values ($1::int8, $2::text, $3::bytea)");
MX_STMT(update_t, "s", "update t set name = $1::text");
MX_STMT(select_t, "", "select * from t order by id");
MX_STMT(divide, "l", "select 1 / $1::int8");
MX_STMT(numbers, "l", "select generate_series(1, $1::int8)");   /* streams: nothing is gathered first */
MX_STMT(divide_later, "l", "select 1 / ($1::int8 - g) from (select generate_series(1, 2 * $1::int8) g) s");
MX_STMT(raise_state, "s", "select raise_state($1::text)");
MX_STMT(backend_pid, "", "select pg_backend_pid()");
MX_STMT(terminate_me, "", "select pg_terminate_backend(pg_backend_pid())");
MX_STMT(parse_number, "s", "select $1::text::int4");

static void fresh(void)
{
    database_sql("set client_min_messages = warning; drop table if exists t; create table t (id int8 primary key, name text, data bytea);"
                 "create or replace function raise_state(s text) returns int4 language plpgsql as"
                 " $$ begin raise exception 'secret-in-message' using errcode = s; end $$");
    store = database_store(pool);
}

static void terminate_backend(int pid)
{
    char sql[128];
    snprintf(sql, sizeof(sql), "select pg_terminate_backend(%d, 5000)", pid);
    database_sql(sql);
}

static int pid_of(mx_conn_t *conn)
{
    mx_rows_t *rows;
    ck_assert_int_eq(mx_store_query(&rows, conn, pool, &backend_pid), APR_SUCCESS);
    return (int)mx_row_int(rows, 0, 0);
}

static int pid_of_store(void)
{
    mx_rows_t *rows;
    ck_assert_int_eq(mx_store_run(&rows, store, pool, &backend_pid), APR_SUCCESS);
    return (int)mx_row_int(rows, 0, 0);
}

static char logged[8192];

static void keep_log(const mx_log_ctx_t *ctx, mx_log_level_e level, apr_status_t rv, const char *file, int line, const char *message)
{
    strncat(logged, message, sizeof(logged) - strlen(logged) - 1);
}

static int log_all(const mx_log_ctx_t *ctx, mx_log_level_e level)
{
    return 1;
}

START_TEST(scalars_come_back_as_they_went)
{
    apr_int64_t maybe = APR_INT64_MIN;
    mx_rows_t *rows;
    fresh();
    ck_assert_int_eq(mx_store_run(&rows, store, pool, &echo_scalars, APR_INT64_MAX, -5, -32768, 2, -0.5, "h\xC3\xA9llo",
                                  mx_slice("a\0b\xFF", 4), &maybe, NULL), APR_SUCCESS);
    ck_assert_int_eq(mx_rows_count(rows), 1);
    ck_assert(mx_row_int(rows, 0, 0) == APR_INT64_MAX);
    ck_assert_int_eq(mx_row_int(rows, 0, 1), -5);
    ck_assert_int_eq(mx_row_int(rows, 0, 2), -32768);
    ck_assert_int_eq(mx_row_bool(rows, 0, 3), 1);
    ck_assert(mx_row_real(rows, 0, 4) == -0.5);
    ck_assert_str_eq(mx_row_text(rows, 0, 5), "h\xC3\xA9llo");
    ck_assert(mx_slice_eq(mx_row_bytes(rows, 0, 6), mx_slice("a\0b\xFF", 4)));
    ck_assert(mx_row_int(rows, 0, 7) == APR_INT64_MIN);
    ck_assert(mx_row_is_null(rows, 0, 8) && mx_row_int(rows, 0, 8) == 0);
}
END_TEST

START_TEST(null_and_empty_differ)
{
    mx_rows_t *rows;
    fresh();
    ck_assert_int_eq(mx_store_run(&rows, store, pool, &echo_scalars, (apr_int64_t)0, 0, 0, 0, 0.0, NULL, MX_SLICE_NONE, NULL, NULL),
                     APR_SUCCESS);
    ck_assert_ptr_null(mx_row_text(rows, 0, 5));
    ck_assert_ptr_null(mx_row_bytes(rows, 0, 6).p);
    ck_assert_int_eq(mx_store_run(&rows, store, pool, &echo_scalars, (apr_int64_t)0, 0, 0, 0, 0.0, "", mx_slice("", 0), NULL, NULL),
                     APR_SUCCESS);
    ck_assert_str_eq(mx_row_text(rows, 0, 5), "");
    ck_assert_ptr_nonnull(mx_row_bytes(rows, 0, 6).p);
    ck_assert_int_eq(mx_row_bytes(rows, 0, 6).len, 0);
    ck_assert_int_eq(mx_rows_count(NULL), 0);
}
END_TEST

START_TEST(arrays_come_back_as_they_went)
{
    const apr_int64_t longs[] = { 1, APR_INT64_MIN, -3 };
    const int ints[] = { 7, -8 };
    const char *const texts[] = { "a", NULL, "" };
    const mx_slice_t bytes[] = { { "x\0y", 3 }, { NULL, 0 }, { "", 0 } };
    apr_int64_t *l, *i;
    const char **t;
    mx_slice_t *b;
    mx_rows_t *rows;
    fresh();
    ck_assert_int_eq(mx_store_run(&rows, store, pool, &echo_arrays, longs, 3, ints, 2, texts, 3, bytes, 3), APR_SUCCESS);
    ck_assert_int_eq(mx_row_int_array(&l, rows, 0, 0, pool), 3);
    ck_assert(memcmp(l, longs, sizeof(longs)) == 0);
    ck_assert_int_eq(mx_row_int_array(&i, rows, 0, 1, pool), 2);
    ck_assert(i[0] == 7 && i[1] == -8);
    ck_assert_int_eq(mx_row_text_array(&t, rows, 0, 2, pool), 3);
    ck_assert_str_eq(t[0], "a");
    ck_assert_ptr_null(t[1]);
    ck_assert_str_eq(t[2], "");
    ck_assert_int_eq(mx_row_bytes_array(&b, rows, 0, 3, pool), 3);
    ck_assert(mx_slice_eq(b[0], bytes[0]) && !b[1].p && b[2].p && !b[2].len);
}
END_TEST

START_TEST(empty_arrays_come_back_empty)
{
    apr_int64_t *l;
    const char **t;
    mx_slice_t *b;
    mx_rows_t *rows;
    fresh();
    ck_assert_int_eq(mx_store_run(&rows, store, pool, &echo_arrays, NULL, 0, NULL, 0, NULL, 0, NULL, 0), APR_SUCCESS);
    ck_assert_int_eq(mx_row_int_array(&l, rows, 0, 0, pool), 0);
    ck_assert_int_eq(mx_row_int_array(&l, rows, 0, 1, pool), 0);
    ck_assert_int_eq(mx_row_text_array(&t, rows, 0, 2, pool), 0);
    ck_assert_int_eq(mx_row_bytes_array(&b, rows, 0, 3, pool), 0);
    ck_assert(!mx_row_is_null(rows, 0, 0) && !mx_row_is_null(rows, 0, 3));
}
END_TEST

START_TEST(affected_rows_are_counted)
{
    mx_rows_t *rows;
    int i;
    fresh();
    for (i = 0; i < 3; i++)
        ck_assert_int_eq(mx_store_run(&rows, store, pool, &insert_t, (apr_int64_t)i, "n", MX_SLICE_NONE), APR_SUCCESS);
    ck_assert_int_eq(mx_rows_affected(rows), 1);
    ck_assert_int_eq(mx_store_run(&rows, store, pool, &update_t, "m"), APR_SUCCESS);
    ck_assert_int_eq(mx_rows_affected(rows), 3);
    ck_assert_int_eq(mx_rows_count(rows), 0);
}
END_TEST

static const struct {
    const char *sqlstate;
    apr_status_t rv;
} states[] = {
    { "23505", MX_STORE_DUPLICATE }, { "23503", MX_STORE_ERROR },       { "23502", MX_STORE_ERROR },
    { "40001", MX_STORE_RETRY },     { "40P01", MX_STORE_RETRY },       { "55P03", MX_STORE_RETRY },
    { "53300", MX_STORE_UNAVAILABLE }, { "57014", MX_STORE_UNAVAILABLE }, { "25006", MX_STORE_UNAVAILABLE },
    { "22012", MX_STORE_ERROR },     { "P0001", MX_STORE_ERROR },       { "XX000", MX_STORE_ERROR },
};

START_TEST(sqlstates_become_statuses)
{
    int i;
    fresh();
    mx_log_set_sink(keep_log, NULL);
    for (i = 0; i < UNIT_COUNT(states); i++)
        ck_assert_msg(mx_store_run(NULL, store, pool, &raise_state, states[i].sqlstate) == states[i].rv, "%s", states[i].sqlstate);
    ck_assert_int_eq(mx_store_run(NULL, store, pool, &insert_t, (apr_int64_t)1, "n", MX_SLICE_NONE), APR_SUCCESS);
    ck_assert_int_eq(mx_store_run(NULL, store, pool, &insert_t, (apr_int64_t)1, "n", MX_SLICE_NONE), MX_STORE_DUPLICATE);
}
END_TEST

START_TEST(no_value_reaches_the_log)
{
    fresh();
    mx_log_set_sink(keep_log, log_all);
    ck_assert_int_eq(mx_store_run(NULL, store, pool, &insert_t, (apr_int64_t)1, "hunter2", mx_slice_str("hunter3")), APR_SUCCESS);
    ck_assert_int_eq(mx_store_run(NULL, store, pool, &insert_t, (apr_int64_t)1, "hunter2", mx_slice_str("hunter3")), MX_STORE_DUPLICATE);
    ck_assert_int_eq(mx_store_run(NULL, store, pool, &parse_number, "hunter4"), MX_STORE_ERROR);   /* the server's message quotes it */
    ck_assert_int_eq(mx_store_run(NULL, store, pool, &raise_state, "P0001"), MX_STORE_ERROR);
    mx_log_set_sink(NULL, NULL);
    ck_assert_ptr_null(strstr(logged, "hunter"));
    ck_assert_ptr_null(strstr(logged, "secret-in-message"));
    ck_assert_ptr_nonnull(strstr(logged, "name=parse_number sqlstate=22P02"));
    ck_assert_ptr_nonnull(strstr(logged, "name=insert_t rows=0 us="));
}
END_TEST

START_TEST(connection_closed_while_idle_costs_no_call)
{
    int i;
    fresh();
    for (i = 0; i < 3; i++) {
        terminate_backend(pid_of_store());
        ck_assert_int_eq(mx_store_run(NULL, store, pool, &insert_t, (apr_int64_t)i, "n", MX_SLICE_NONE), APR_SUCCESS);
    }
    ck_assert_int_eq(database_number("select count(*) from t"), 3);
}
END_TEST

START_TEST(new_connection_prepares_its_statements_again)
{
    mx_rows_t *rows;
    fresh();
    ck_assert_int_eq(mx_store_run(&rows, store, pool, &numbers, (apr_int64_t)3), APR_SUCCESS);
    terminate_backend(pid_of_store());
    ck_assert_int_eq(mx_store_run(&rows, store, pool, &numbers, (apr_int64_t)4), APR_SUCCESS);
    ck_assert_int_eq(mx_rows_count(rows), 4);
}
END_TEST

START_TEST(statement_lost_while_it_ran_is_not_repeated)
{
    mx_log_set_sink(keep_log, NULL);
    fresh();
    ck_assert_int_eq(mx_store_run(NULL, store, pool, &terminate_me), MX_STORE_UNAVAILABLE);
    ck_assert_int_eq(mx_store_run(NULL, store, pool, &numbers, (apr_int64_t)1), APR_SUCCESS);
}
END_TEST

START_TEST(transaction_lost_on_the_way_stays_lost)
{
    mx_conn_t *conn;
    fresh();
    mx_log_set_sink(keep_log, NULL);
    ck_assert_int_eq(mx_store_borrow(&conn, store, pool), APR_SUCCESS);
    ck_assert_int_eq(mx_store_begin(conn), APR_SUCCESS);
    ck_assert_int_eq(mx_store_query(NULL, conn, pool, &insert_t, (apr_int64_t)1, "n", MX_SLICE_NONE), APR_SUCCESS);
    terminate_backend(pid_of(conn));
    ck_assert_int_eq(mx_store_query(NULL, conn, pool, &insert_t, (apr_int64_t)2, "n", MX_SLICE_NONE), MX_STORE_UNAVAILABLE);
    /* not yet prepared: no way back either */
    ck_assert_int_eq(mx_store_query(NULL, conn, pool, &numbers, (apr_int64_t)2), MX_STORE_UNAVAILABLE);
    ck_assert_int_eq(mx_store_commit(conn), MX_STORE_UNAVAILABLE);
    mx_store_return(conn);
    ck_assert_int_eq(mx_store_run(NULL, store, pool, &insert_t, (apr_int64_t)3, "n", MX_SLICE_NONE), APR_SUCCESS);
    ck_assert_int_eq(database_number("select sum(id) from t"), 3);
}
END_TEST

START_TEST(begin_survives_a_closed_connection)
{
    mx_conn_t *conn;
    fresh();
    terminate_backend(pid_of_store());
    ck_assert_int_eq(mx_store_borrow(&conn, store, pool), APR_SUCCESS);
    terminate_backend((int)PQbackendPID(conn->pg));      /* between borrowing and the first word */
    mx_log_set_sink(keep_log, NULL);
    ck_assert_int_eq(mx_store_begin(conn), APR_SUCCESS);
    ck_assert_int_eq(mx_store_query(NULL, conn, pool, &insert_t, (apr_int64_t)1, "n", MX_SLICE_NONE), APR_SUCCESS);
    ck_assert_int_eq(mx_store_commit(conn), APR_SUCCESS);
    mx_store_return(conn);
    ck_assert_int_eq(database_number("select count(*) from t"), 1);
}
END_TEST

START_TEST(stale_plans_are_made_again)
{
    mx_conn_t *conn;
    mx_rows_t *rows;
    fresh();
    ck_assert_int_eq(mx_store_run(&rows, store, pool, &select_t), APR_SUCCESS);
    database_sql("alter table t add column more int4");
    ck_assert_int_eq(mx_store_run(&rows, store, pool, &select_t), APR_SUCCESS);
    ck_assert_int_eq(mx_store_borrow(&conn, store, pool), APR_SUCCESS);
    PQclear(PQexec(conn->pg, "deallocate all"));
    ck_assert_int_eq(mx_store_query(&rows, conn, pool, &select_t), APR_SUCCESS);
    PQclear(PQexec(conn->pg, "deallocate all"));
    ck_assert_int_eq(mx_store_begin(conn), APR_SUCCESS);
    ck_assert_int_eq(mx_store_query(&rows, conn, pool, &select_t), MX_STORE_RETRY);    /* the server has ended the transaction */
    mx_store_rollback(conn);
    ck_assert_int_eq(mx_store_begin(conn), APR_SUCCESS);
    ck_assert_int_eq(mx_store_query(&rows, conn, pool, &select_t), APR_SUCCESS);
    ck_assert_int_eq(mx_store_commit(conn), APR_SUCCESS);
    mx_store_return(conn);
}
END_TEST

START_TEST(commit_of_a_failed_transaction_is_an_error)
{
    mx_conn_t *conn;
    fresh();
    mx_log_set_sink(keep_log, NULL);
    ck_assert_int_eq(mx_store_borrow(&conn, store, pool), APR_SUCCESS);
    ck_assert_int_eq(mx_store_begin(conn), APR_SUCCESS);
    ck_assert_int_eq(mx_store_query(NULL, conn, pool, &insert_t, (apr_int64_t)1, "n", MX_SLICE_NONE), APR_SUCCESS);
    ck_assert_int_eq(mx_store_query(NULL, conn, pool, &divide, (apr_int64_t)0), MX_STORE_ERROR);
    ck_assert_int_eq(mx_store_commit(conn), MX_STORE_ERROR);
    mx_store_return(conn);
    ck_assert_int_eq(database_number("select count(*) from t"), 0);
}
END_TEST

START_TEST(open_transaction_is_rolled_back_on_return)
{
    mx_conn_t *conn;
    apr_pool_t *sub;
    int by_pool;
    fresh();
    for (by_pool = 0; by_pool < 2; by_pool++) {
        apr_pool_create(&sub, pool);
        ck_assert_int_eq(mx_store_borrow(&conn, store, sub), APR_SUCCESS);
        ck_assert_int_eq(mx_store_begin(conn), APR_SUCCESS);
        ck_assert_int_eq(mx_store_query(NULL, conn, sub, &insert_t, (apr_int64_t)1, "n", MX_SLICE_NONE), APR_SUCCESS);
        if (!by_pool)
            mx_store_return(conn);
        apr_pool_destroy(sub);
        ck_assert_int_eq(mx_store_run(NULL, store, pool, &numbers, (apr_int64_t)1), APR_SUCCESS);
        ck_assert_int_eq(database_number("select count(*) from t"), 0);
    }
    mx_store_return(NULL);
}
END_TEST

static apr_int64_t sum_of_rows;

static apr_status_t sum_rows(void *plimit, const mx_rows_t *row)
{
    sum_of_rows += mx_row_int(row, 0, 0);
    return sum_of_rows > *(apr_int64_t *)plimit ? APR_EGENERAL : APR_SUCCESS;
}

START_TEST(each_hands_over_every_row_until_it_is_stopped)
{
    apr_int64_t limit = APR_INT64_MAX;
    fresh();
    ck_assert_int_eq(mx_store_each(store, pool, sum_rows, &limit, &numbers, (apr_int64_t)100000), APR_SUCCESS);
    ck_assert_int_eq(sum_of_rows, 100000LL * 100001 / 2);
    limit = 1000;
    sum_of_rows = 0;
    ck_assert_int_eq(mx_store_each(store, pool, sum_rows, &limit, &numbers, (apr_int64_t)1000000000), APR_EGENERAL);
    ck_assert_int_eq(sum_of_rows, 1035);
    mx_log_set_sink(keep_log, NULL);
    limit = APR_INT64_MAX;
    ck_assert_int_eq(mx_store_each(store, pool, sum_rows, &limit, &divide_later, (apr_int64_t)100), MX_STORE_ERROR);
    ck_assert_int_eq(mx_store_run(NULL, store, pool, &numbers, (apr_int64_t)1), APR_SUCCESS);
}
END_TEST

START_TEST(each_prepares_again_what_the_server_lost)
{
    apr_int64_t limit = APR_INT64_MAX;
    mx_conn_t *conn;
    fresh();
    ck_assert_int_eq(mx_store_run(NULL, store, pool, &numbers, (apr_int64_t)1), APR_SUCCESS);
    ck_assert_int_eq(mx_store_borrow(&conn, store, pool), APR_SUCCESS);
    PQclear(PQexec(conn->pg, "deallocate all"));
    mx_store_return(conn);
    ck_assert_int_eq(mx_store_each(store, pool, sum_rows, &limit, &numbers, (apr_int64_t)10), APR_SUCCESS);
    ck_assert_int_eq(sum_of_rows, 55);
}
END_TEST

START_TEST(database_that_is_away_is_unavailable)
{
    mx_store_source_t *source;
    mx_store_t *away;
    mx_log_set_sink(keep_log, NULL);
    ck_assert_int_eq(mx_store_source_private(&source, "host=/nowhere", pool), APR_SUCCESS);
    ck_assert_int_eq(mx_store_create(&away, source, NULL, NULL, pool), APR_SUCCESS);
    ck_assert_int_eq(mx_store_run(NULL, away, pool, &numbers, (apr_int64_t)1), MX_STORE_UNAVAILABLE);
}
END_TEST

#define THREADS 4
#define THREAD_RUNS 200

static void *run_many(apr_thread_t *thread, void *presult)
{
    mx_store_t *mine;
    apr_pool_t *p, *sub;
    apr_status_t rv = APR_SUCCESS;
    int i;
    apr_pool_create(&p, NULL);
    mine = database_store(p);
    for (i = 0; i < THREAD_RUNS && rv == APR_SUCCESS; i++) {
        mx_rows_t *rows;
        apr_pool_create(&sub, p);
        rv = mx_store_run(&rows, mine, sub, &numbers, (apr_int64_t)i);
        if (rv == APR_SUCCESS && mx_rows_count(rows) != i)
            rv = APR_EGENERAL;
        apr_pool_destroy(sub);
    }
    apr_pool_destroy(p);
    *(apr_status_t *)presult = rv;
    return NULL;
}

START_TEST(threads_share_a_statement)
{
    apr_thread_t *threads[THREADS];
    apr_status_t results[THREADS], rv;
    int i;
    for (i = 0; i < THREADS; i++)
        ck_assert_int_eq(apr_thread_create(&threads[i], NULL, run_many, &results[i], pool), APR_SUCCESS);
    for (i = 0; i < THREADS; i++) {
        apr_thread_join(&rv, threads[i]);
        ck_assert_int_eq(results[i], APR_SUCCESS);
    }
}
END_TEST

DATABASE_MAIN("store", scalars_come_back_as_they_went, null_and_empty_differ, arrays_come_back_as_they_went, empty_arrays_come_back_empty,
              affected_rows_are_counted, sqlstates_become_statuses, no_value_reaches_the_log, connection_closed_while_idle_costs_no_call,
              new_connection_prepares_its_statements_again, statement_lost_while_it_ran_is_not_repeated,
              transaction_lost_on_the_way_stays_lost, begin_survives_a_closed_connection, stale_plans_are_made_again,
              commit_of_a_failed_transaction_is_an_error, open_transaction_is_rolled_back_on_return,
              each_hands_over_every_row_until_it_is_stopped, each_prepares_again_what_the_server_lost,
              database_that_is_away_is_unavailable, threads_share_a_statement)
