/* SPDX-License-Identifier: Apache-2.0 */
/* Borrowed connections: what is set on a new one, what is remembered about it, transactions. */
#include "store/pg_private.h"

#include <poll.h>

#define TEXT_OF(x) TEXT_OF_(x)
#define TEXT_OF_(x) #x

/*
 * One round trip on each new connection. Read committed: store/stream.h needs a new snapshot for each statement.
 * Generic plans: all our statements find their rows by index, so the plan never hangs on the values, while planning
 * anew costs more than most of them take to run. "auto" goes on doing that for array parameters (it guesses ten
 * elements for a generic plan and so believes that planning for one or two pays). Measured on 200,000 events, events by
 * nid: one element 57 us planned once, 114 us with "auto"; with a join 72 us and 220 us; 100 and 1,000 elements no worse.
 * No JIT: nothing here runs long enough to earn the compilation.
 */
static const char session_settings[] =
    "set client_encoding = 'UTF8';"
    "set default_transaction_isolation = 'read committed';"
    "set statement_timeout = " TEXT_OF(MX_PG_STATEMENT_TIMEOUT_MS) ";"
    "set idle_in_transaction_session_timeout = " TEXT_OF(MX_PG_IDLE_IN_TRANSACTION_MS) ";"
    "set plan_cache_mode = 'force_generic_plan';"
    "set jit = off";

static void session_forget(mx_pg_session_t *session)
{
    session->ready = 0;
    memset(session->prepared, 0, sizeof(session->prepared));
}

static int session_register(PGconn *pg);

/** libpq calls this when a connection is reset (prepared statements are gone) or closed. */
static int session_event(PGEventId id, void *info, void *unused)
{
    mx_pg_session_t *session;
    switch (id) {
    case PGEVT_REGISTER:
        return session_register(((PGEventRegister *)info)->conn);
    case PGEVT_CONNRESET:
        session = PQinstanceData(((PGEventConnReset *)info)->conn, session_event);
        if (session)
            session_forget(session);
        return 1;
    case PGEVT_CONNDESTROY:
        session = PQinstanceData(((PGEventConnDestroy *)info)->conn, session_event);
        if (session)
            apr_pool_destroy(session->pool);
        return 1;
    default:
        return 1;
    }
}

/** Notices, and the farewell of a server that closes an idle connection, have nobody to read them; libpq prints them. */
static void ignore_notice(void *unused, const char *message)
{
}

static int session_register(PGconn *pg)
{
    apr_pool_t *pool;
    mx_pg_session_t *session;
    /* unmanaged: libpq closes the connection at times when no pool of ours need be alive */
    if (apr_pool_create_unmanaged_ex(&pool, NULL, NULL) != APR_SUCCESS)
        return 0;
    apr_pool_tag(pool, "mx_pg_session");
    session = apr_pcalloc(pool, sizeof(*session));
    session->pool = pool;
    if (!PQsetInstanceData(pg, session_event, session)) {
        apr_pool_destroy(pool);
        return 0;
    }
    PQsetNoticeProcessor(pg, ignore_notice, NULL);
    return 1;
}

static mx_pg_session_t *session_of(PGconn *pg)
{
    mx_pg_session_t *session = PQinstanceData(pg, session_event);
    if (!session && PQregisterEventProc(pg, session_event, "mod_matrix", NULL))
        session = PQinstanceData(pg, session_event);
    return session;
}

static apr_status_t session_settle(mx_conn_t *conn)
{
    apr_time_t started = apr_time_now();
    PGresult *res;
    apr_status_t rv = APR_SUCCESS;
    if (conn->session->ready)
        return APR_SUCCESS;
    res = PQexec(conn->pg, session_settings);
    if (PQresultStatus(res) == PGRES_COMMAND_OK)
        conn->session->ready = 1;
    else
        rv = mx_store_pg_failed(conn, "session settings", res, started);
    PQclear(res);
    return rv;
}

apr_status_t mx_store_pg_reset(mx_conn_t *conn)
{
    PQreset(conn->pg);
    if (PQstatus(conn->pg) != CONNECTION_OK) {
        mx_log(conn->store->log, MX_LOG_ERROR, MX_STORE_UNAVAILABLE, "MX0201: database connection lost and not to be had again");
        conn->broken = 1;
        return MX_STORE_UNAVAILABLE;
    }
    conn->broken = 0;
    return session_settle(conn);
}

/**
 * Is the idle connection still there? The server's farewell is readable before anything is sent, so a statement need
 * not be lost to it, nor be sent twice. What else may be readable (a changed setting) goes with an empty query.
 */
static apr_status_t session_check(mx_conn_t *conn)
{
    struct pollfd fd = { PQsocket(conn->pg), POLLIN, 0 };
    if (PQstatus(conn->pg) == CONNECTION_OK) {
        if (fd.fd >= 0 && poll(&fd, 1, 0) == 0)
            return APR_SUCCESS;
        PQconsumeInput(conn->pg);
        PQclear(PQexec(conn->pg, ""));
        if (PQstatus(conn->pg) == CONNECTION_OK)
            return APR_SUCCESS;
    }
    mx_log(conn->store->log, MX_LOG_DEBUG, 0, "idle database connection was closed, connecting again");
    return mx_store_pg_reset(conn);
}

apr_status_t mx_store_pg_open(mx_conn_t *conn, mx_store_t *store)
{
    void *handle = NULL;
    apr_status_t rv;
    if (store->pinned) {
        *conn = *store->pinned;
        return conn->broken ? MX_STORE_UNAVAILABLE : APR_SUCCESS;
    }
    memset(conn, 0, sizeof(*conn));
    conn->store = store;
    rv = store->source->get(store->source->baton, &handle, &conn->lease);
    if (rv != APR_SUCCESS) {
        mx_log(store->log, MX_LOG_ERROR, rv, "MX0202: no database connection");
        return MX_STORE_UNAVAILABLE;
    }
    conn->pg = handle;
    conn->session = session_of(conn->pg);
    rv = conn->session ? session_check(conn) : MX_STORE_UNAVAILABLE;
    if (rv == APR_SUCCESS)
        rv = session_settle(conn);
    if (rv != APR_SUCCESS) {
        store->source->put(store->source->baton, conn->lease);
        return MX_STORE_UNAVAILABLE;
    }
    return APR_SUCCESS;
}

void mx_store_pg_close(mx_conn_t *conn)
{
    if (!conn->pg || conn->store->pinned)
        return;
    if (PQstatus(conn->pg) == CONNECTION_OK && PQtransactionStatus(conn->pg) != PQTRANS_IDLE)
        mx_store_rollback(conn);
    conn->pg = NULL;
    conn->store->source->put(conn->store->source->baton, conn->lease);
}

static apr_status_t conn_cleanup(void *data)
{
    mx_store_pg_close(data);
    return APR_SUCCESS;
}

apr_status_t mx_store_borrow(mx_conn_t **pconn, mx_store_t *store, apr_pool_t *pool)
{
    mx_conn_t *conn = apr_palloc(pool, sizeof(*conn));
    apr_status_t rv = mx_store_pg_open(conn, store);
    if (rv != APR_SUCCESS)
        return rv;
    conn->pool = pool;
    /* an early return of the borrower must not cost the pool a connection */
    apr_pool_cleanup_register(pool, conn, conn_cleanup, apr_pool_cleanup_null);
    *pconn = conn;
    return APR_SUCCESS;
}

void mx_store_return(mx_conn_t *conn)
{
    if (conn)
        apr_pool_cleanup_run(conn->pool, conn, conn_cleanup);
}

apr_status_t mx_store_create(mx_store_t **pstore, const mx_store_source_t *source, const char *dsn, const mx_log_ctx_t *log,
                             apr_pool_t *pool)
{
    mx_store_t *store = apr_pcalloc(pool, sizeof(*store));
    apr_status_t rv;
    store->source = source;
    store->dsn = dsn ? apr_pstrdup(pool, dsn) : NULL;
    store->log = log;
    rv = mx_store_body_create(&store->body, pool);
    if (rv != APR_SUCCESS)
        return rv;
    *pstore = store;
    return APR_SUCCESS;
}

const char *mx_store_dsn(const mx_store_t *store)
{
    return store->dsn;
}

/** Runs a command of transaction control; `tag` is what the server must answer. */
static apr_status_t control(mx_conn_t *conn, const char *sql, const char *tag)
{
    apr_time_t started = apr_time_now();
    PGresult *res;
    apr_status_t rv = APR_SUCCESS;
    if (conn->broken)
        return MX_STORE_UNAVAILABLE;
    res = PQexec(conn->pg, sql);
    if (PQresultStatus(res) != PGRES_COMMAND_OK)
        rv = mx_store_pg_failed(conn, sql, res, started);
    else if (strcmp(PQcmdStatus(res), tag) != 0) {   /* a commit after an error answers ROLLBACK */
        mx_log(conn->store->log, MX_LOG_ERROR, MX_STORE_ERROR, "MX0203: %s was answered with %s", sql, PQcmdStatus(res));
        rv = MX_STORE_ERROR;
    }
    PQclear(res);
    return rv;
}

apr_status_t mx_store_begin(mx_conn_t *conn)
{
    apr_status_t rv = control(conn, "begin", "BEGIN");
    if (rv == MX_STORE_UNAVAILABLE && !conn->used && mx_store_pg_reset(conn) == APR_SUCCESS)
        rv = control(conn, "begin", "BEGIN");       /* a lost begin has had no effect */
    conn->in_transaction = rv == APR_SUCCESS;
    return rv;
}

apr_status_t mx_store_commit(mx_conn_t *conn)
{
    conn->in_transaction = 0;
    return control(conn, "commit", "COMMIT");
}

void mx_store_rollback(mx_conn_t *conn)
{
    conn->in_transaction = 0;
    if (PQtransactionStatus(conn->pg) != PQTRANS_IDLE)
        control(conn, "rollback", "ROLLBACK");
}

PGconn *mx_store_pg_connect(const char *dsn)
{
    static const char *const keys[] = { "connect_timeout", "tcp_user_timeout", "fallback_application_name", "dbname",
                                        "client_encoding", NULL };
    const char *const values[] = { TEXT_OF(MX_PG_CONNECT_TIMEOUT_S), TEXT_OF(MX_PG_TCP_USER_TIMEOUT_MS), "mod_matrix", dsn,
                                   "UTF8", NULL };
    /* dbname is expanded in its place: what the DSN says overrides what stands before it */
    return PQconnectdbParams(keys, values, 1);
}
