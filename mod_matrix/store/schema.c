/* SPDX-License-Identifier: Apache-2.0 */
/* Brings a database to the schema of this build, and says whether it is there. */
#include "store/schema.h"
#include "store/pg_private.h"

#include <apr_file_io.h>

#define MX_SCHEMA_VERSION 20                       /* number of the last file in sql/; tests/unit/test_stream.c compares */
#define SCHEMA_FILE_MAX_BYTES (4 * 1024 * 1024)
#define SERVER_VERSION_MIN 140000

/* Namespace 78 of the advisory locks (77: store/stream.h). Held to the end of each file's transaction. */
#define LOCK_SQL "select pg_advisory_xact_lock(78::int8 << 48)"
#define VERSION_TABLE_SQL                                                                                       \
    "create table if not exists schema_version (version int4 primary key, file text collate \"C\" not null,"   \
    " applied timestamptz not null default now())"
#define VERSION_SQL "select coalesce(max(version), 0)::text from schema_version"

int mx_schema_wanted(void)
{
    return MX_SCHEMA_VERSION;
}

/** A connection of our own for one call. */
typedef struct schema_conn_t {
    PGconn *pg;
    const char **perr;
    apr_pool_t *pool;
} schema_conn_t;

static apr_status_t schema_close(void *data)
{
    schema_conn_t *sc = data;
    PQfinish(sc->pg);
    sc->pg = NULL;
    return APR_SUCCESS;
}

static void ignore_notice(void *unused, const char *message)
{
}

/** The server can hold our data at all. */
static apr_status_t schema_fit(schema_conn_t *sc)
{
    const char *encoding = PQparameterStatus(sc->pg, "server_encoding");
    if (PQserverVersion(sc->pg) < SERVER_VERSION_MIN) {
        *sc->perr = apr_psprintf(sc->pool, "The database server is PostgreSQL %d; version %d or newer is needed.",
                                 PQserverVersion(sc->pg) / 10000, SERVER_VERSION_MIN / 10000);
        return MX_STORE_ERROR;
    }
    if (!encoding || strcmp(encoding, "UTF8") != 0) {
        *sc->perr = apr_psprintf(sc->pool, "The database has encoding %s; create it with encoding UTF8 (createdb -E UTF8 -T template0).",
                                 encoding ? encoding : "unknown");
        return MX_STORE_ERROR;
    }
    return APR_SUCCESS;
}

static apr_status_t schema_open(schema_conn_t *sc, const char **perr, const char *dsn, apr_pool_t *pool)
{
    sc->perr = perr;
    sc->pool = pool;
    sc->pg = mx_store_pg_connect(dsn);
    if (!sc->pg) {
        *perr = "There is no memory for a database connection.";
        return APR_ENOMEM;
    }
    if (PQstatus(sc->pg) != CONNECTION_OK) {
        *perr = apr_psprintf(pool, "The database cannot be reached: %s.", mx_store_pg_message(PQerrorMessage(sc->pg), pool));
        schema_close(sc);
        return MX_STORE_UNAVAILABLE;
    }
    apr_pool_cleanup_register(pool, sc, schema_close, apr_pool_cleanup_null);
    PQsetNoticeProcessor(sc->pg, ignore_notice, NULL);
    PQclear(PQexec(sc->pg, "set statement_timeout = 0"));
    return schema_fit(sc);
}

static void schema_done(schema_conn_t *sc)
{
    if (sc->pg)
        apr_pool_cleanup_run(sc->pool, sc, schema_close);
}

/** Line of the statement position in `sql` that the error names; 0: it names none. */
static int error_line(const PGresult *res, const char *sql)
{
    const char *text = PQresultErrorField(res, PG_DIAG_STATEMENT_POSITION);
    apr_int64_t position = 0, i;
    int line = 1;
    if (!text || mx_str_to_int64(&position, text, 1, INT32_MAX) != APR_SUCCESS)
        return 0;
    for (i = 0; i < position - 1 && sql[i]; i++)
        line += sql[i] == '\n';
    return line;
}

/** Runs SQL that has no parameters; `what` begins the sentence about a failure. */
static apr_status_t schema_exec(PGresult **pres, schema_conn_t *sc, const char *sql, const char *what)
{
    PGresult *res = PQexec(sc->pg, sql);
    const char *message;
    int line;
    if (PQresultStatus(res) == PGRES_COMMAND_OK || PQresultStatus(res) == PGRES_TUPLES_OK) {
        if (pres)
            *pres = res;
        else
            PQclear(res);
        return APR_SUCCESS;
    }
    message = PQresultErrorField(res, PG_DIAG_MESSAGE_PRIMARY);
    line = error_line(res, sql);
    *sc->perr = apr_psprintf(sc->pool, "%s failed%s: %s.", what, line ? apr_psprintf(sc->pool, " in line %d", line) : "",
                             message ? apr_pstrdup(sc->pool, message)
                                     : mx_store_pg_message(PQerrorMessage(sc->pg), sc->pool));
    PQclear(res);
    return MX_STORE_ERROR;
}

/** The one value of a query as a number. */
static apr_status_t schema_number(int *pnumber, schema_conn_t *sc, const char *sql, const char *what)
{
    PGresult *res;
    apr_int64_t number = 0;
    apr_status_t rv = schema_exec(&res, sc, sql, what);
    if (rv != APR_SUCCESS)
        return rv;
    if (PQntuples(res))
        mx_str_to_int64(&number, PQgetvalue(res, 0, 0), 0, INT32_MAX);
    PQclear(res);
    *pnumber = (int)number;
    return APR_SUCCESS;
}

static const char *too_new(int found, apr_pool_t *pool)
{
    return apr_psprintf(pool, "The database schema has version %d, newer than version %d that this mod_matrix works with;"
                        " install the newer mod_matrix.", found, MX_SCHEMA_VERSION);
}

static mx_schema_state_e schema_look(int *pfound, schema_conn_t *sc)
{
    int there = 0, found = 0;
    if (schema_number(&there, sc, "select (to_regclass('schema_version') is not null)::int::text", "Looking for the schema") != APR_SUCCESS
        || (there && schema_number(&found, sc, VERSION_SQL, "Reading the schema's version") != APR_SUCCESS))
        return MX_SCHEMA_UNREACHABLE;
    *pfound = found;
    if (!found) {
        *sc->perr = "The database holds no schema yet; run matrix-setup.";
        return MX_SCHEMA_EMPTY;
    }
    if (found < MX_SCHEMA_VERSION) {
        *sc->perr = apr_psprintf(sc->pool, "The database schema has version %d, version %d is needed; run matrix-setup.", found,
                                 MX_SCHEMA_VERSION);
        return MX_SCHEMA_OLD;
    }
    if (found > MX_SCHEMA_VERSION) {
        *sc->perr = too_new(found, sc->pool);
        return MX_SCHEMA_TOO_NEW;
    }
    return MX_SCHEMA_CURRENT;
}

mx_schema_state_e mx_schema_check(int *pfound, const char **perr, const char *dsn, apr_pool_t *pool)
{
    schema_conn_t sc;
    mx_schema_state_e state = MX_SCHEMA_UNREACHABLE;
    int found = 0;
    if (schema_open(&sc, perr, dsn, pool) == APR_SUCCESS)
        state = schema_look(&found, &sc);
    schema_done(&sc);
    *pfound = found;
    return state;
}

/** Path and name of the file with that number: exactly one must be there. */
static apr_status_t schema_find_file(const char **ppath, const char **pname, schema_conn_t *sc, const char *sql_dir, int number)
{
    const char *prefix = apr_psprintf(sc->pool, "%04d_", number), *name = NULL;
    apr_dir_t *dir;
    apr_finfo_t info;
    char reason[120];
    int n = 0;
    apr_status_t rv = apr_dir_open(&dir, sql_dir, sc->pool);
    if (rv != APR_SUCCESS) {
        *sc->perr = apr_psprintf(sc->pool, "The SQL directory %s cannot be read: %s.", sql_dir, apr_strerror(rv, reason, sizeof(reason)));
        return rv;
    }
    while (apr_dir_read(&info, APR_FINFO_NAME, dir) == APR_SUCCESS) {
        apr_size_t len = strlen(info.name);
        if (strncmp(info.name, prefix, strlen(prefix)) == 0 && len > 4 && strcmp(info.name + len - 4, ".sql") == 0) {
            name = apr_pstrdup(sc->pool, info.name);
            n++;
        }
    }
    apr_dir_close(dir);
    if (n != 1) {
        *sc->perr = apr_psprintf(sc->pool, "The SQL directory %s must hold one file %s*.sql; it holds %d.", sql_dir, prefix, n);
        return APR_ENOENT;
    }
    *pname = name;
    *ppath = apr_pstrcat(sc->pool, sql_dir, "/", name, NULL);
    return APR_SUCCESS;
}

static apr_status_t schema_read_file(char **ptext, schema_conn_t *sc, const char *path)
{
    apr_file_t *file;
    apr_finfo_t info;
    char *text = NULL, reason[120];
    apr_status_t rv = apr_file_open(&file, path, APR_FOPEN_READ, 0, sc->pool);
    if (rv == APR_SUCCESS) {
        rv = apr_file_info_get(&info, APR_FINFO_SIZE, file);
        if (rv == APR_SUCCESS && info.size > SCHEMA_FILE_MAX_BYTES)
            rv = APR_EINVAL;
        if (rv == APR_SUCCESS) {
            text = apr_pcalloc(sc->pool, (apr_size_t)info.size + 1);
            rv = apr_file_read_full(file, text, (apr_size_t)info.size, NULL);
        }
        apr_file_close(file);
    }
    if (rv != APR_SUCCESS) {
        *sc->perr = apr_psprintf(sc->pool, "%s cannot be read: %s.", path, apr_strerror(rv, reason, sizeof(reason)));
        return rv;
    }
    *ptext = text;
    return APR_SUCCESS;
}

static apr_status_t schema_note(schema_conn_t *sc, int number, const char *name)
{
    char *quoted = PQescapeLiteral(sc->pg, name, strlen(name));     /* a file name of ours; simple protocol, so no parameters */
    const char *sql = apr_psprintf(sc->pool, "insert into schema_version (version, file) values (%d, %s)", number, quoted ? quoted : "''");
    PQfreemem(quoted);
    return schema_exec(NULL, sc, sql, "Noting the schema's version");
}

/** Inside a transaction that holds the lock. */
static apr_status_t schema_apply_file(schema_conn_t *sc, const char *sql_dir, int number)
{
    const char *path, *name;
    char *text = NULL;
    apr_status_t rv = schema_find_file(&path, &name, sc, sql_dir, number);
    if (rv == APR_SUCCESS)
        rv = schema_read_file(&text, sc, path);
    if (rv == APR_SUCCESS)
        rv = schema_exec(NULL, sc, text, path);
    if (rv == APR_SUCCESS)
        rv = schema_note(sc, number, name);
    return rv;
}

/** One transaction: the lock, a look at how far others have come meanwhile, the next file. */
static apr_status_t schema_step(int *pversion, schema_conn_t *sc, const char *sql_dir)
{
    int version = 0;
    apr_status_t rv = schema_exec(NULL, sc, "begin", "Starting a transaction");
    if (rv == APR_SUCCESS)
        rv = schema_exec(NULL, sc, LOCK_SQL, "Waiting for the schema's lock");
    if (rv == APR_SUCCESS)
        rv = schema_exec(NULL, sc, VERSION_TABLE_SQL, "Creating the table schema_version");
    if (rv == APR_SUCCESS)
        rv = schema_number(&version, sc, VERSION_SQL, "Reading the schema's version");
    if (rv == APR_SUCCESS && version > MX_SCHEMA_VERSION) {
        *sc->perr = too_new(version, sc->pool);
        rv = MX_STORE_ERROR;
    }
    if (rv == APR_SUCCESS && version < MX_SCHEMA_VERSION)
        rv = schema_apply_file(sc, sql_dir, ++version);
    if (rv == APR_SUCCESS)
        rv = schema_exec(NULL, sc, "commit", "Committing the schema");
    else
        PQclear(PQexec(sc->pg, "rollback"));
    if (rv == APR_SUCCESS)
        *pversion = version;
    return rv;
}

apr_status_t mx_schema_apply(const char **perr, const char *dsn, const char *sql_dir, apr_pool_t *pool)
{
    schema_conn_t sc;
    int version = 0;
    apr_status_t rv = schema_open(&sc, perr, dsn, pool);
    while (rv == APR_SUCCESS && version < MX_SCHEMA_VERSION)
        rv = schema_step(&version, &sc, sql_dir);
    schema_done(&sc);
    return rv;
}

apr_status_t mx_schema_owner(const char **powner, const char **perr, const char *dsn, apr_pool_t *pool)
{
    schema_conn_t sc;
    PGresult *res = NULL;
    int there = 0;
    apr_status_t rv = schema_open(&sc, perr, dsn, pool);
    if (rv == APR_SUCCESS)
        rv = schema_number(&there, &sc, "select (to_regclass('instance') is not null)::int::text", "Looking for the schema");
    if (rv == APR_SUCCESS && there)
        rv = schema_exec(&res, &sc, "select server_name from instance", "Reading the database's server name");
    if (rv == APR_SUCCESS)
        *powner = res && PQntuples(res) ? apr_pstrdup(pool, PQgetvalue(res, 0, 0)) : NULL;
    PQclear(res);
    schema_done(&sc);
    return rv;
}

static apr_status_t schema_claim(schema_conn_t *sc, const char *server_name)
{
    static const char sql[] =
        "with mine as (insert into instance (server_name, created_ts)"
        " values ($1, (extract(epoch from now()) * 1000)::int8) on conflict do nothing returning server_name)"
        " select server_name from mine union all select server_name from instance limit 1";
    PGresult *res = PQexecParams(sc->pg, sql, 1, NULL, &server_name, NULL, NULL, 0);
    apr_status_t rv = MX_STORE_RETRY;    /* no row: another has claimed it since our snapshot */
    if (PQresultStatus(res) != PGRES_TUPLES_OK) {
        *sc->perr = apr_psprintf(sc->pool, "The database's server name cannot be read or set: %s.",
                                 mx_store_pg_message(PQresultErrorMessage(res), sc->pool));
        rv = MX_STORE_ERROR;
    } else if (PQntuples(res) && strcmp(PQgetvalue(res, 0, 0), server_name) == 0)
        rv = APR_SUCCESS;
    else if (PQntuples(res)) {
        *sc->perr = apr_psprintf(sc->pool, "The database belongs to the server name %s and cannot serve %s.", PQgetvalue(res, 0, 0), server_name);
        rv = MX_STORE_ERROR;
    }
    PQclear(res);
    return rv;
}

apr_status_t mx_schema_claim(const char **perr, const char *dsn, const char *server_name, apr_pool_t *pool)
{
    schema_conn_t sc;
    apr_status_t rv = schema_open(&sc, perr, dsn, pool);
    if (rv == APR_SUCCESS)
        rv = schema_claim(&sc, server_name);
    if (rv == MX_STORE_RETRY)
        rv = schema_claim(&sc, server_name);
    schema_done(&sc);
    return rv;
}
