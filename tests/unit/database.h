/* SPDX-License-Identifier: Apache-2.0 */
/* A database for one test program, made on the server that MX_TEST_DSN names and dropped at the end. */
#ifndef MX_TESTS_DATABASE_H
#define MX_TESTS_DATABASE_H

#include "unit.h"

#include "store/store.h"

#include <libpq-fe.h>
#include <stdio.h>
#include <unistd.h>

#define DATABASE_SKIPPED 77      /* automake's exit status of a test that was not run */

static char database_name[64];
static char database_dsn[1024];
static mx_store_t *store __attribute__((unused));       /* of the running test */

/** Runs SQL on a connection that lives as long as the call; the test fails if it fails. */
static inline void database_sql_at(const char *dsn, const char *sql)
{
    PGconn *pg = PQconnectdb(dsn);
    PGresult *res = PQexec(pg, sql);
    ExecStatusType status = PQresultStatus(res);
    if (status != PGRES_COMMAND_OK && status != PGRES_TUPLES_OK) {
        fprintf(stderr, "%s: %s\n", sql, PQerrorMessage(pg));
        abort();
    }
    PQclear(res);
    PQfinish(pg);
}

static inline void database_sql(const char *sql)
{
    database_sql_at(database_dsn, sql);
}

static inline mx_store_t *database_store(apr_pool_t *p)
{
    mx_store_source_t *source;
    mx_store_t *made;
    ck_assert_int_eq(mx_store_source_private(&source, database_dsn, p), APR_SUCCESS);
    ck_assert_int_eq(mx_store_create(&made, source, database_dsn, NULL, p), APR_SUCCESS);
    return made;
}

/** Everything on one connection, so that a test can be read: the first value as a number. */
static inline long database_number(const char *sql)
{
    PGconn *pg = PQconnectdb(database_dsn);
    PGresult *res = PQexec(pg, sql);
    long number;
    ck_assert_msg(PQresultStatus(res) == PGRES_TUPLES_OK && PQntuples(res) > 0, "%s: %s", sql, PQerrorMessage(pg));
    number = atol(PQgetvalue(res, 0, 0));
    PQclear(res);
    PQfinish(pg);
    return number;
}

/** Runs the tests on a new database. */
static inline int database_run(const char *name, const TTest *const *tests, int ntests)
{
    const char *server = getenv("MX_TEST_DSN");
    char sql[128];
    int status;
    if (!server || !*server) {
        printf("SKIP: %s needs MX_TEST_DSN, the connection string of a PostgreSQL server for tests\n", name);
        return DATABASE_SKIPPED;
    }
    snprintf(database_name, sizeof(database_name), "mx_test_%s_%ld", name, (long)getpid());
    snprintf(database_dsn, sizeof(database_dsn), "%s dbname=%s", server, database_name);
    snprintf(sql, sizeof(sql), "create database %s encoding 'UTF8' template template0", database_name);
    database_sql_at(server, sql);
    status = unit_run(name, tests, ntests);
    snprintf(sql, sizeof(sql), "drop database %s with (force)", database_name);
    database_sql_at(server, sql);
    return status;
}

#define DATABASE_MAIN(name, ...)                                                        \
    int main(void)                                                                      \
    {                                                                                   \
        const TTest *const tests[] = { __VA_ARGS__ };                                   \
        return database_run(name, tests, (int)(sizeof(tests) / sizeof(tests[0])));      \
    }

#endif
