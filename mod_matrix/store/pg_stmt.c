/* SPDX-License-Identifier: Apache-2.0 */
/* Prepared statements: made on first use on each connection, made again when the server lost them, run, read. */
#include "store/pg_private.h"

#define NAME_MAX_BYTES 64               /* NAMEDATALEN: the server cuts longer names */
#define SQLSTATE_NO_SUCH_STATEMENT "26000"
#define SQLSTATE_STATEMENT_EXISTS "42P05"
#define SQLSTATE_NOT_SUPPORTED "0A000"
#define REPLAN_MESSAGE "cached plan must not change result type"

/* One per process, counts the statements that have run so far. */
static int stmts_known;

/** FNV-1a: tells statements of different builds apart where they meet in one server session (PgBouncer). */
static unsigned text_hash(const char *s)
{
    unsigned hash = 2166136261u;
    while (*s)
        hash = (hash ^ (unsigned char)*s++) * 16777619u;
    return hash;
}

static int stmt_id(mx_stmt_t *stmt)
{
    int id = __atomic_load_n(&stmt->id, __ATOMIC_ACQUIRE), expected = 0;
    if (id)
        return id;
    __atomic_store_n(&stmt->hash, text_hash(stmt->sql), __ATOMIC_RELAXED);
    id = __atomic_add_fetch(&stmts_known, 1, __ATOMIC_RELAXED);
    if (__atomic_compare_exchange_n(&stmt->id, &expected, id, 0, __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE))
        return id;
    return expected;    /* another thread was first */
}

/** The statement's name in the server session: hash, generation, then as much of our name as fits. */
static void stmt_server_name(char out[NAME_MAX_BYTES], const mx_stmt_t *stmt, unsigned generation)
{
    static const char hex[] = "0123456789abcdef";
    unsigned hash = __atomic_load_n(&stmt->hash, __ATOMIC_RELAXED);
    apr_size_t len = strlen(stmt->name), i;
    char *p = out;
    *p++ = 'm';
    for (i = 0; i < 8; i++, hash >>= 4)
        *p++ = hex[hash & 15];
    for (; generation; generation >>= 4)
        *p++ = hex[generation & 15];
    *p++ = '_';
    if (len > (apr_size_t)(out + NAME_MAX_BYTES - 1 - p))
        len = (apr_size_t)(out + NAME_MAX_BYTES - 1 - p);
    memcpy(p, stmt->name, len);
    p[len] = '\0';
}

static int has_sqlstate(const PGresult *res, const char *wanted)
{
    const char *sqlstate = res ? PQresultErrorField(res, PG_DIAG_SQLSTATE) : NULL;
    return sqlstate && strcmp(sqlstate, wanted) == 0;
}

static int succeeded(const PGresult *res)
{
    ExecStatusType status = PQresultStatus(res);
    return status == PGRES_TUPLES_OK || status == PGRES_COMMAND_OK || status == PGRES_SINGLE_TUPLE;
}

/** The server refused before it ran anything: the statement is unknown to it, or its columns have changed. */
static int is_stale(const PGresult *res)
{
    const char *message = res ? PQresultErrorField(res, PG_DIAG_MESSAGE_PRIMARY) : NULL;
    return has_sqlstate(res, SQLSTATE_NO_SUCH_STATEMENT)
           || (has_sqlstate(res, SQLSTATE_NOT_SUPPORTED) && message && strcmp(message, REPLAN_MESSAGE) == 0);
}

/** From now on every statement is prepared anew, under another name (the stale one still stands in the server). */
static void forget_prepared(mx_conn_t *conn)
{
    memset(conn->session->prepared, 0, sizeof(conn->session->prepared));
    conn->session->generation++;
    mx_log(conn->store->log, MX_LOG_DEBUG, 0, "prepared statements are stale, preparing them again");
}

static apr_status_t prepare_once(mx_conn_t *conn, const char *server_name, const mx_stmt_t *stmt)
{
    Oid types[MX_PG_PARAMS_MAX];
    apr_time_t started = apr_time_now();
    int n = mx_store_pg_param_types(types, stmt);
    PGresult *res = PQprepare(conn->pg, server_name, stmt->sql, n, types);
    apr_status_t rv = APR_SUCCESS;
    if (PQresultStatus(res) != PGRES_COMMAND_OK && has_sqlstate(res, SQLSTATE_STATEMENT_EXISTS)) {
        /* a pooler gave us a session where another of us was; same name, same hash: same statement */
        if (PQtransactionStatus(conn->pg) == PQTRANS_INERROR)
            rv = MX_STORE_RETRY;
    } else if (PQresultStatus(res) != PGRES_COMMAND_OK)
        rv = mx_store_pg_failed(conn, stmt->name, res, started);
    PQclear(res);
    return rv;
}

/** Prepared on this connection when it returns success. A connection lost here has run nothing yet: it is made anew once. */
static apr_status_t prepare(mx_conn_t *conn, mx_stmt_t *stmt, char server_name[NAME_MAX_BYTES])
{
    int id = stmt_id(stmt);
    uint64_t *word = &conn->session->prepared[(unsigned)id / 64 % (MX_PG_STMTS_MAX / 64)];
    uint64_t bit = UINT64_C(1) << (id % 64);
    apr_status_t rv;
    if (id >= MX_PG_STMTS_MAX) {
        server_name[0] = '\0';      /* the unnamed statement: prepared each time */
        return prepare_once(conn, server_name, stmt);
    }
    stmt_server_name(server_name, stmt, conn->session->generation);
    if (*word & bit)
        return APR_SUCCESS;
    rv = prepare_once(conn, server_name, stmt);
    if (rv == MX_STORE_UNAVAILABLE && conn->broken && !conn->used && !conn->in_transaction && mx_store_pg_reset(conn) == APR_SUCCESS)
        rv = prepare_once(conn, server_name, stmt);
    if (rv == APR_SUCCESS || rv == MX_STORE_RETRY)
        *word |= bit;
    return rv;
}

static apr_status_t run_once(PGresult **pres, mx_conn_t *conn, mx_stmt_t *stmt, const mx_pg_params_t *params)
{
    char server_name[NAME_MAX_BYTES];
    apr_status_t rv = prepare(conn, stmt, server_name);
    if (rv != APR_SUCCESS)
        return rv;
    conn->used = 1;
    *pres = PQexecPrepared(conn->pg, server_name, params->n, params->values, params->lengths, mx_store_pg_binary, 1);
    return APR_SUCCESS;
}

static void log_done(mx_conn_t *conn, const mx_stmt_t *stmt, const PGresult *res, apr_time_t started)
{
    mx_log(conn->store->log, MX_LOG_DEBUG, 0, "query name=%s rows=%d us=%ld", stmt->name, PQntuples(res),
           (long)(apr_time_now() - started));
}

/** Runs; *pres is a good result that the caller clears. */
static apr_status_t run(PGresult **pres, mx_conn_t *conn, mx_stmt_t *stmt, const mx_pg_params_t *params)
{
    apr_time_t started = apr_time_now();
    PGresult *res = NULL;
    apr_status_t rv;
    if (conn->broken)
        return MX_STORE_UNAVAILABLE;
    rv = run_once(&res, conn, stmt, params);
    if (rv == APR_SUCCESS && !succeeded(res) && is_stale(res)) {
        forget_prepared(conn);
        rv = MX_STORE_RETRY;
        if (!conn->in_transaction) {
            PQclear(res);
            res = NULL;
            rv = run_once(&res, conn, stmt, params);
        }
    }
    if (rv == APR_SUCCESS && !succeeded(res))
        rv = mx_store_pg_failed(conn, stmt->name, res, started);
    if (rv != APR_SUCCESS) {
        PQclear(res);
        return rv;
    }
    log_done(conn, stmt, res, started);
    *pres = res;
    return APR_SUCCESS;
}

static apr_status_t query(mx_rows_t **prows, mx_conn_t *conn, apr_pool_t *pool, mx_stmt_t *stmt, va_list args)
{
    mx_pg_params_t params;
    PGresult *res;
    apr_status_t rv = mx_store_pg_bind(&params, conn->store->log, stmt, args, pool);
    if (rv == APR_SUCCESS)
        rv = run(&res, conn, stmt, &params);
    if (rv != APR_SUCCESS)
        return rv;
    if (prows)
        *prows = mx_store_pg_rows(res, conn->store, pool);
    else
        PQclear(res);
    return APR_SUCCESS;
}

apr_status_t mx_store_query(mx_rows_t **prows, mx_conn_t *conn, apr_pool_t *pool, mx_stmt_t *stmt, ...)
{
    va_list args;
    apr_status_t rv;
    va_start(args, stmt);
    rv = query(prows, conn, pool, stmt, args);
    va_end(args);
    return rv;
}

apr_status_t mx_store_run(mx_rows_t **prows, mx_store_t *store, apr_pool_t *pool, mx_stmt_t *stmt, ...)
{
    mx_conn_t conn;
    va_list args;
    apr_status_t rv = mx_store_pg_open(&conn, store);
    if (rv != APR_SUCCESS)
        return rv;
    va_start(args, stmt);
    rv = query(prows, &conn, pool, stmt, args);
    va_end(args);
    mx_store_pg_close(&conn);
    return rv;
}

/** Tells the server to stop, then reads what is still under way. */
static void abandon(mx_conn_t *conn)
{
    char reason[256];
    PGresult *res;
    PGcancel *cancel = PQgetCancel(conn->pg);
    if (cancel)
        PQcancel(cancel, reason, sizeof(reason));
    PQfreeCancel(cancel);
    while ((res = PQgetResult(conn->pg)) != NULL)
        PQclear(res);
}

/** Sends and asks for single rows; *pfirst is the first result: a row, the end, or an error. */
static apr_status_t each_start(PGresult **pfirst, mx_conn_t *conn, mx_stmt_t *stmt, const mx_pg_params_t *params)
{
    char server_name[NAME_MAX_BYTES];
    apr_status_t rv = prepare(conn, stmt, server_name);
    if (rv != APR_SUCCESS)
        return rv;
    conn->used = 1;
    if (PQsendQueryPrepared(conn->pg, server_name, params->n, params->values, params->lengths, mx_store_pg_binary, 1))
        PQsetSingleRowMode(conn->pg);
    *pfirst = PQgetResult(conn->pg);
    return APR_SUCCESS;
}

static apr_status_t each(mx_conn_t *conn, mx_store_row_fn *fn, void *baton, mx_stmt_t *stmt, const mx_pg_params_t *params,
                         apr_pool_t *row_pool)
{
    apr_time_t started = apr_time_now();
    PGresult *res = NULL;
    apr_status_t rv = each_start(&res, conn, stmt, params);
    if (rv == APR_SUCCESS && res && is_stale(res)) {
        PQclear(res);
        while ((res = PQgetResult(conn->pg)) != NULL)
            PQclear(res);
        forget_prepared(conn);
        rv = each_start(&res, conn, stmt, params);
    }
    if (rv != APR_SUCCESS)
        return rv;
    if (!res)
        return mx_store_pg_failed(conn, stmt->name, NULL, started);
    for (; res && rv == APR_SUCCESS; res = PQgetResult(conn->pg)) {
        mx_rows_t row = { res, conn->store, row_pool };
        if (!succeeded(res))
            rv = mx_store_pg_failed(conn, stmt->name, res, started);
        else if (PQntuples(res) > 0)
            rv = fn(baton, &row);
        else
            log_done(conn, stmt, res, started);
        PQclear(res);
        apr_pool_clear(row_pool);
        if (rv != APR_SUCCESS)
            abandon(conn);
    }
    return rv;
}

apr_status_t mx_store_each(mx_store_t *store, apr_pool_t *pool, mx_store_row_fn *fn, void *baton, mx_stmt_t *stmt, ...)
{
    mx_conn_t conn;
    mx_pg_params_t params;
    apr_pool_t *row_pool;
    va_list args;
    apr_status_t rv;
    va_start(args, stmt);
    rv = mx_store_pg_bind(&params, store->log, stmt, args, pool);
    va_end(args);
    if (rv == APR_SUCCESS)
        rv = mx_store_pg_open(&conn, store);
    if (rv != APR_SUCCESS)
        return rv;
    apr_pool_create(&row_pool, pool);
    rv = each(&conn, fn, baton, stmt, &params, row_pool);
    apr_pool_destroy(row_pool);
    mx_store_pg_close(&conn);
    return rv;
}
