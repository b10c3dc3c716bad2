/* SPDX-License-Identifier: Apache-2.0 */
/* LISTEN and NOTIFY on a connection of its own. The payload is a stream position: a hint, never more. */
#include "store/listen.h"
#include "store/pg_private.h"
#include <poll.h>

#define CHANNEL "mod_matrix_stream"
#define POSITION_DIGITS 20

struct mx_listen_t {
    mx_store_source_t source;
    PGconn *pg;
    const mx_log_ctx_t *log;
};

static apr_status_t run_command(mx_listen_t *listen, const char *sql)
{
    PGresult *res = PQexec(listen->pg, sql);
    apr_status_t rv = PQresultStatus(res) == PGRES_COMMAND_OK ? APR_SUCCESS : MX_STORE_UNAVAILABLE;

    PQclear(res);
    if (rv != APR_SUCCESS) mx_log(listen->log, MX_LOG_WARNING, rv, "MX0250: the connection that listens for other hosts failed");
    return rv;
}

static apr_status_t lend(void *baton, void **phandle, void **please)
{
    mx_listen_t *listen = baton;

    *phandle = listen->pg;
    *please = listen;
    return PQstatus(listen->pg) == CONNECTION_OK ? APR_SUCCESS : MX_STORE_UNAVAILABLE;
}

static void take_back(void *baton, void *lease)
{
    (void)baton;
    (void)lease;
}

static apr_status_t close_connection(void *data)
{
    mx_listen_t *listen = data;

    PQfinish(listen->pg);
    listen->pg = NULL;
    return APR_SUCCESS;
}

apr_status_t mx_store_listen_open(mx_listen_t **plisten, const char *dsn, const mx_log_ctx_t *log, apr_pool_t *pool)
{
    mx_listen_t *listen = apr_pcalloc(pool, sizeof(*listen));
    apr_status_t rv;

    listen->log = log;
    listen->source = (mx_store_source_t){ lend, take_back, listen };
    listen->pg = mx_store_pg_connect(dsn);
    if (!listen->pg) return APR_ENOMEM;
    apr_pool_cleanup_register(pool, listen, close_connection, apr_pool_cleanup_null);
    if (PQstatus(listen->pg) != CONNECTION_OK) {
        mx_log(log, MX_LOG_WARNING, MX_STORE_UNAVAILABLE, "MX0251: cannot connect to the database to listen for other hosts");
        return MX_STORE_UNAVAILABLE;
    }
    rv = run_command(listen, "listen " CHANNEL);
    if (rv == APR_SUCCESS) *plisten = listen;
    return rv;
}

const mx_store_source_t *mx_store_listen_source(mx_listen_t *listen)
{
    return &listen->source;
}

/* What others notified; our own notifications come back to us and say nothing. */
static int take_notifications(apr_int64_t *pposition, mx_listen_t *listen)
{
    PGnotify *heard;
    int n = 0;

    while ((heard = PQnotifies(listen->pg)) != NULL) {
        apr_int64_t position;

        if (heard->be_pid != PQbackendPID(listen->pg)
            && mx_str_to_int64(&position, heard->extra, 1, APR_INT64_MAX) == APR_SUCCESS) {
            if (position > *pposition) *pposition = position;
            n++;
        }
        PQfreemem(heard);
    }
    return n;
}

apr_status_t mx_store_listen_wait(apr_int64_t *pposition, mx_listen_t *listen, int wake_fd, apr_interval_time_t timeout)
{
    struct pollfd fds[2] = { { PQsocket(listen->pg), POLLIN, 0 }, { wake_fd, POLLIN, 0 } };
    apr_int64_t position = 0;

    if (!take_notifications(&position, listen)) {
        if (poll(fds, 2, (int)((timeout + 999) / 1000)) > 0 && fds[0].revents && !PQconsumeInput(listen->pg))
            return MX_STORE_UNAVAILABLE;
        take_notifications(&position, listen);
    }
    *pposition = position;
    return APR_SUCCESS;
}

apr_status_t mx_store_listen_notify(mx_listen_t *listen, apr_int64_t position)
{
    char sql[sizeof("notify " CHANNEL ", ''") + POSITION_DIGITS];

    apr_snprintf(sql, sizeof(sql), "notify " CHANNEL ", '%" APR_INT64_T_FMT "'", position);
    return run_command(listen, sql);
}
