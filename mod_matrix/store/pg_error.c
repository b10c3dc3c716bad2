/* SPDX-License-Identifier: Apache-2.0 */
/* What SQLSTATE codes mean to us, and what of an error may be logged. */
#include "store/pg_private.h"

#define SQLSTATE_UNIQUE_VIOLATION "23505"
#define SQLSTATE_QUERY_CANCELED "57014"     /* statement_timeout */

typedef struct sqlstate_row_t {
    const char *prefix;                     /* a whole code, or a class */
    apr_status_t rv;
} sqlstate_row_t;

/* First fit counts; everything else is MX_STORE_ERROR. */
static const sqlstate_row_t sqlstate_rows[] = {
    { SQLSTATE_UNIQUE_VIOLATION, MX_STORE_DUPLICATE },
    { "40001", MX_STORE_RETRY },            /* serialization failure */
    { "40P01", MX_STORE_RETRY },            /* deadlock */
    { "55P03", MX_STORE_RETRY },            /* lock not available */
    { "08", MX_STORE_UNAVAILABLE },         /* connection */
    { "25006", MX_STORE_UNAVAILABLE },      /* read-only: we talk to a standby */
    { "53", MX_STORE_UNAVAILABLE },         /* out of connections, memory, disk */
    { "57", MX_STORE_UNAVAILABLE },         /* cancelled, shutting down, starting up */
};

/* Their messages name tables, constraints and SQL, never values. Not here: 22 (data), P0 (raise), 38, 39 (functions). */
static const char *const safe_classes[] = { "08", "0A", "23", "25", "26", "2F", "34", "40", "42", "53", "54", "55", "57", "58", "XX" };

apr_status_t mx_store_pg_status(const char *sqlstate)
{
    apr_size_t i;
    if (!sqlstate)
        return MX_STORE_ERROR;
    for (i = 0; i < sizeof(sqlstate_rows) / sizeof(sqlstate_rows[0]); i++) {
        if (strncmp(sqlstate, sqlstate_rows[i].prefix, strlen(sqlstate_rows[i].prefix)) == 0)
            return sqlstate_rows[i].rv;
    }
    return MX_STORE_ERROR;
}

int mx_store_pg_message_is_safe(const char *sqlstate)
{
    apr_size_t i;
    for (i = 0; sqlstate && i < sizeof(safe_classes) / sizeof(safe_classes[0]); i++) {
        if (strncmp(sqlstate, safe_classes[i], 2) == 0)
            return 1;
    }
    return 0;
}

const char *mx_store_pg_message(const char *message, apr_pool_t *pool)
{
    return message ? apr_pstrmemdup(pool, message, strcspn(message, "\r\n")) : "";
}

/** Duplicates and conflicts are answers that callers ask for; a lost or refusing server and a wrong statement are not. */
static mx_log_level_e level_of(apr_status_t rv)
{
    return rv == MX_STORE_DUPLICATE || rv == MX_STORE_RETRY ? MX_LOG_DEBUG : MX_LOG_ERROR;
}

apr_status_t mx_store_pg_failed(mx_conn_t *conn, const char *name, const PGresult *res, apr_time_t started)
{
    long took_us = (long)(apr_time_now() - started);
    const char *sqlstate = res ? PQresultErrorField(res, PG_DIAG_SQLSTATE) : NULL;
    const char *primary = mx_store_pg_message_is_safe(sqlstate) ? PQresultErrorField(res, PG_DIAG_MESSAGE_PRIMARY) : NULL;
    int lost = PQstatus(conn->pg) != CONNECTION_OK;
    apr_status_t rv = lost ? MX_STORE_UNAVAILABLE : mx_store_pg_status(sqlstate);
    if (lost)
        conn->broken = 1;
    mx_log(conn->store->log, level_of(rv), 0, "MX0206: statement failed: name=%s sqlstate=%s us=%ld: %s", name,
           sqlstate ? sqlstate : "none", took_us, primary ? primary : lost ? "connection lost" : "(message withheld)");
    return rv;
}
