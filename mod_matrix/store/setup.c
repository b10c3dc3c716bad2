/* SPDX-License-Identifier: Apache-2.0 */
/* The administrator's account, and the command that creates a database. */
#include "store/setup.h"
#include "store/pg_private.h"

/* xmax is 0 in a row that this statement inserted */
MX_STMT(setup_admin, "lsl",
        "insert into account (user_nid, password_hash, kind, admin, created_ts) values ($1::int8, $2::text, 0, true, $3::int8)"
        " on conflict (user_nid) do update set password_hash = excluded.password_hash, kind = 0, admin = true, deactivated = false"
        " returning xmax = 0");

apr_status_t mx_store_setup_admin(int *pcreated, mx_store_t *store, apr_int64_t user_nid, const char *password_hash,
                                  apr_int64_t now_ms, apr_pool_t *pool)
{
    mx_rows_t *rows;
    apr_status_t rv = mx_store_run(&rows, store, pool, &setup_admin, user_nid, password_hash, now_ms);
    if (rv == APR_SUCCESS)
        *pcreated = mx_row_bool(rows, 0, 0);
    return rv;
}

/** Quoted for a shell. */
static const char *shell_word(const char *text, apr_pool_t *pool)
{
    mx_buf_t *buf = mx_buf_create(pool);
    mx_buf_append_char(buf, '\'');
    for (; *text; text++) {
        if (*text == '\'')
            mx_buf_append_str(buf, "'\\''");
        else
            mx_buf_append_char(buf, *text);
    }
    mx_buf_append(buf, "'", 2);
    return buf->p;
}

/** createdb with the DSN's host, port and user. */
static const char *createdb_command(const PQconninfoOption *options, apr_pool_t *pool)
{
    static const char *const names[] = { "host", "port", "user" }, *const switches[] = { "-h", "-p", "-U" };
    const char *command = "createdb -E UTF8 -T template0", *dbname = NULL;
    const PQconninfoOption *o;
    int i;
    for (o = options; o->keyword; o++) {
        if (!o->val || !*o->val)
            continue;
        for (i = 0; i < 3; i++) {
            if (strcmp(o->keyword, names[i]) == 0)
                command = apr_pstrcat(pool, command, " ", switches[i], " ", shell_word(o->val, pool), NULL);
        }
        if (strcmp(o->keyword, "dbname") == 0)
            dbname = o->val;
    }
    return dbname ? apr_pstrcat(pool, command, " ", shell_word(dbname, pool), NULL) : NULL;
}

/** The database that the DSN names (NULL: none), and the command for it. */
static const char *dsn_database(const char **pcommand, const char *dsn, apr_pool_t *pool)
{
    PQconninfoOption *options = PQconninfoParse(dsn, NULL), *o;
    const char *dbname = NULL;
    if (!options)
        return NULL;
    for (o = options; o->keyword; o++) {
        if (strcmp(o->keyword, "dbname") == 0 && o->val)
            dbname = apr_pstrdup(pool, o->val);
    }
    *pcommand = createdb_command(options, pool);
    PQconninfoFree(options);
    return dbname;
}

const char *mx_store_setup_createdb(const char *dsn, apr_pool_t *pool)
{
    static const char *const keys[] = { "dbname", "dbname", NULL };     /* the later one counts */
    const char *values[] = { dsn, "postgres", NULL }, *command = NULL;
    const char *dbname = dsn_database(&command, dsn, pool);
    PGconn *pg;
    PGresult *res;
    int missing;
    if (!dbname)
        return NULL;
    pg = PQconnectdbParams(keys, values, 1);
    res = PQexecParams(pg, "select 1 from pg_database where datname = $1", 1, NULL, &dbname, NULL, NULL, 0);
    missing = PQresultStatus(res) == PGRES_TUPLES_OK && PQntuples(res) == 0;
    PQclear(res);
    PQfinish(pg);
    return missing ? command : NULL;
}
