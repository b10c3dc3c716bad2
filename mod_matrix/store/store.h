/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The database of one vhost, as the floors above see it: borrow a connection for one unit of work, run prepared
 * statements with binary parameters, read rows. store/pg.c alone knows libpq.
 *
 * A statement is a static mx_stmt_t next to the function that runs it; it is prepared on first use on each connection.
 * Never hold a connection across a wait or a network call.
 */
#ifndef MX_STORE_STORE_H
#define MX_STORE_STORE_H

#include "base/buf.h"
#include "base/log.h"
#include <apr_time.h>

typedef struct mx_store_t mx_store_t;   /* one vhost's database in this process */
typedef struct mx_conn_t mx_conn_t;     /* a borrowed connection: one thread, one unit of work */
typedef struct mx_rows_t mx_rows_t;     /* a result; lives in the pool of the call */

/** What store functions return besides APR_SUCCESS. Floor 3 turns them into Matrix errors. */
#define MX_STORE_ERROR       (APR_OS_START_USERERR + 1)  /* the statement failed; logged with its SQLSTATE */
#define MX_STORE_UNAVAILABLE (APR_OS_START_USERERR + 2)  /* no connection, or none free in time: 503 */
#define MX_STORE_DUPLICATE   (APR_OS_START_USERERR + 3)  /* unique violation */
#define MX_STORE_RETRY       (APR_OS_START_USERERR + 4)  /* deadlock or serialization failure: nothing happened, try again */
#define MX_STORE_NONE        (APR_OS_START_USERERR + 5)  /* no such row */

/** Who lends native connections (glue/dbd.c from mod_dbd; tests and tools: one of their own). handle is a PGconn *. */
typedef struct mx_store_source_t {
    apr_status_t (*get)(void *baton, void **phandle, void **please);
    void (*put)(void *baton, void *lease);
    void *baton;
} mx_store_source_t;

/** Makes the store; connects to nothing yet. `dsn` is for the connections of its own that sync/notifier.c keeps. */
apr_status_t mx_store_create(mx_store_t **pstore, const mx_store_source_t *source, const char *dsn, const mx_log_ctx_t *log,
                             apr_pool_t *pool);
/** A source with one private connection behind a mutex, for tools and unit tests. */
apr_status_t mx_store_source_private(mx_store_source_t **psource, const char *dsn, apr_pool_t *pool);
const char *mx_store_dsn(const mx_store_t *store);

apr_status_t mx_store_borrow(mx_conn_t **pconn, mx_store_t *store, apr_pool_t *pool);
/** NULL is allowed. An open transaction is rolled back. */
void mx_store_return(mx_conn_t *conn);

/**
 * A statement. `types` has one letter per parameter, and the varargs follow it:
 *   l int8 (apr_int64_t)   i int4 (int)   h int2 (int)   o bool (int)   f float8 (double)
 *   s text (const char *, NULL is null)   b bytea (mx_slice_t, p==NULL is null)
 *   n int8 or null (const apr_int64_t *, NULL is null)
 *   L int8[] (const apr_int64_t *, int n)   I int4[] (const int *, int n)   S text[] (const char *const *, int n)
 *   B bytea[] (const mx_slice_t *, int n)   elements with NULL p (B, S) are null
 * Parameters travel in binary form with their type: `$1` is an int8 where the letter is l. Give the type in the SQL too
 * (`$1::int8`, `$2::text[]`), so that it can be read without the letters. int2 and others than these: cast in the SQL.
 */
typedef struct mx_stmt_t {
    const char *name;            /* unique, [a-z_]+ : shows in logs */
    const char *types;
    const char *sql;
    int id;                      /* 0; given on first use */
    unsigned hash;               /* of sql; given with the id */
} mx_stmt_t;
#define MX_STMT(var, types, sql) static mx_stmt_t var = { #var, types, sql, 0, 0 }

/**
 * Runs on a borrowed connection, one round trip. prows may be NULL. MX_STORE_* on failure; inside a transaction every
 * failure ends it: roll back (MX_STORE_RETRY: and begin again). A statement that may have run is never sent twice:
 * MX_STORE_UNAVAILABLE after a lost connection leaves open whether a lone statement, or a commit, took place.
 */
apr_status_t mx_store_query(mx_rows_t **prows, mx_conn_t *conn, apr_pool_t *pool, mx_stmt_t *stmt, ...);
/** Borrows, runs, returns: for a unit of work that is one statement (= one transaction). */
apr_status_t mx_store_run(mx_rows_t **prows, mx_store_t *store, apr_pool_t *pool, mx_stmt_t *stmt, ...);
/**
 * Same, called with the rows one by one while they arrive (single-row mode), for large results. Stops at a non-success,
 * which it returns. The row is gone when fn returns; fn must not block: it holds a connection.
 */
typedef apr_status_t mx_store_row_fn(void *baton, const mx_rows_t *row /* one row: index 0 */);
apr_status_t mx_store_each(mx_store_t *store, apr_pool_t *pool, mx_store_row_fn *fn, void *baton, mx_stmt_t *stmt, ...);

apr_status_t mx_store_begin(mx_conn_t *conn);
apr_status_t mx_store_commit(mx_conn_t *conn);
void mx_store_rollback(mx_conn_t *conn);

/* Rows. Text and bytes point into the result; columns may be int2, int4, int8 alike for mx_row_int. NULL: 0, NULL, none. */
int mx_rows_count(const mx_rows_t *rows);      /* NULL: 0 */
int mx_rows_affected(const mx_rows_t *rows);   /* of insert, update, delete */
int mx_row_is_null(const mx_rows_t *rows, int row, int col);
apr_int64_t mx_row_int(const mx_rows_t *rows, int row, int col);
int mx_row_bool(const mx_rows_t *rows, int row, int col);
double mx_row_real(const mx_rows_t *rows, int row, int col);          /* float8 */
const char *mx_row_text(const mx_rows_t *rows, int row, int col);     /* NUL-terminated; text and varchar */
mx_slice_t mx_row_bytes(const mx_rows_t *rows, int row, int col);     /* bytea */
/** An event's body (a pdu column), unpacked: in the pool of the rows. Of length 0 if what is stored is damaged, which is logged. */
mx_slice_t mx_row_body(const mx_rows_t *rows, int row, int col);
int mx_row_int_array(apr_int64_t **pout, const mx_rows_t *rows, int row, int col, apr_pool_t *pool);   /* int4[], int8[]; returns n */
int mx_row_text_array(const char ***pout, const mx_rows_t *rows, int row, int col, apr_pool_t *pool);
int mx_row_bytes_array(mx_slice_t **pout, const mx_rows_t *rows, int row, int col, apr_pool_t *pool);

#endif
