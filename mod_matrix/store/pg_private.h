/* SPDX-License-Identifier: Apache-2.0 */
/* Shared by the files that know libpq: pg.c, pg_stmt.c, pg_params.c, pg_error.c, rows.c, schema.c, source_private.c. */
#ifndef MX_STORE_PG_PRIVATE_H
#define MX_STORE_PG_PRIVATE_H

#include "store/body.h"
#include "store/store.h"

#include <libpq-fe.h>
#include <libpq-events.h>
#include <stdarg.h>
#include <stdint.h>

#define MX_PG_STATEMENT_TIMEOUT_MS 30000        /* the server ends a statement that runs longer */
#define MX_PG_IDLE_IN_TRANSACTION_MS 60000      /* and a transaction whose owner is silent longer */
#define MX_PG_CONNECT_TIMEOUT_S 5               /* where the DSN names none (connections of our own) */
#define MX_PG_TCP_USER_TIMEOUT_MS 30000         /* a vanished server host is noticed after this (connections of our own) */
#define MX_PG_STMTS_MAX 2048                    /* statements past this number run unprepared */
#define MX_PG_PARAMS_MAX 64                     /* parameters of one statement */
#define MX_PG_PARAM_MAX_BYTES (256 * 1024 * 1024)

/** What we remember about a native connection, for as long as it is connected: libpq's instance data. */
typedef struct mx_pg_session_t {
    apr_pool_t *pool;                           /* of its own; dies with the PGconn */
    int ready;                                  /* the session settings are made */
    unsigned generation;                        /* part of the statements' names: +1 makes all be prepared anew */
    uint64_t prepared[MX_PG_STMTS_MAX / 64];    /* bit per statement id */
} mx_pg_session_t;

struct mx_store_t {
    const mx_store_source_t *source;
    const char *dsn;
    const mx_log_ctx_t *log;
    mx_store_body_t *body;                      /* packs and unpacks event bodies */
    struct mx_cache_t *states;                  /* state_cache.c; NULL: nothing is remembered */
    struct mx_conn_t *pinned;                   /* doctor.c: every call uses this connection, in its transaction; NULL: as usual */
};

struct mx_conn_t {
    mx_store_t *store;
    PGconn *pg;
    mx_pg_session_t *session;
    void *lease;
    apr_pool_t *pool;                           /* whose cleanup gives it back; NULL: lives on a stack */
    unsigned in_transaction : 1;
    unsigned used : 1;                          /* something was sent on this lease that may have had an effect */
    unsigned broken : 1;                        /* lost while in use: every further call fails */
};

struct mx_rows_t {
    PGresult *res;
    mx_store_t *store;
    apr_pool_t *pool;                           /* of what has to be made to be read */
};

/** Values in the form PQexecPrepared wants. Scalars live in it, arrays in the pool of the call. */
typedef struct mx_pg_params_t {
    int n;
    const char *values[MX_PG_PARAMS_MAX];
    int lengths[MX_PG_PARAMS_MAX];
    unsigned char scalars[MX_PG_PARAMS_MAX][8];
} mx_pg_params_t;

/* pg.c */
/** Borrows into memory of the caller's; mx_store_pg_close() gives back. */
apr_status_t mx_store_pg_open(mx_conn_t *conn, mx_store_t *store);
void mx_store_pg_close(mx_conn_t *conn);
/** Connects again and makes the settings again. For a connection on which nothing is under way. */
apr_status_t mx_store_pg_reset(mx_conn_t *conn);
/** A connection of our own (NULL: out of memory; check PQstatus). Timeouts are added where the DSN names none. */
PGconn *mx_store_pg_connect(const char *dsn);

/* pg_params.c */
apr_status_t mx_store_pg_bind(mx_pg_params_t *out, const mx_log_ctx_t *log, const mx_stmt_t *stmt, va_list args, apr_pool_t *pool);
/** The type of each parameter; returns their number. */
int mx_store_pg_param_types(Oid out[MX_PG_PARAMS_MAX], const mx_stmt_t *stmt);
/** MX_PG_PARAMS_MAX ones: all parameters are binary. */
extern const int mx_store_pg_binary[MX_PG_PARAMS_MAX];

/* pg_error.c */
/** The status of a failed statement, logged. `res` may be NULL. Marks the connection if it was lost. */
apr_status_t mx_store_pg_failed(mx_conn_t *conn, const char *name, const PGresult *res, apr_time_t started);
/** What the SQLSTATE means (NULL: no answer came). */
apr_status_t mx_store_pg_status(const char *sqlstate);
/** 1 if the message of an error of that class cannot quote data. */
int mx_store_pg_message_is_safe(const char *sqlstate);
/** First line of a message of libpq or the server, in `pool`. */
const char *mx_store_pg_message(const char *message, apr_pool_t *pool);

/* rows.c */
/** Hands the result to `pool`. */
mx_rows_t *mx_store_pg_rows(PGresult *res, mx_store_t *store, apr_pool_t *pool);

#endif
