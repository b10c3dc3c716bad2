/* SPDX-License-Identifier: Apache-2.0 */
/* The schema: sql/NNNN_*.sql applied in order, each in a transaction under an advisory lock, remembered in schema_version. */
#ifndef MX_STORE_SCHEMA_H
#define MX_STORE_SCHEMA_H

#include <apr_pools.h>
#include <apr_errno.h>

typedef enum { MX_SCHEMA_CURRENT, MX_SCHEMA_EMPTY, MX_SCHEMA_OLD, MX_SCHEMA_TOO_NEW, MX_SCHEMA_UNREACHABLE } mx_schema_state_e;

/** The version this build works with: the number of the last sql/ file. */
int mx_schema_wanted(void);
/** Looks, changes nothing. *pfound is the database's version (0 if empty); *perr a finished sentence where something is wrong. */
mx_schema_state_e mx_schema_check(int *pfound, const char **perr, const char *dsn, apr_pool_t *pool);
/** Brings the database to mx_schema_wanted() from the files in `sql_dir`; safe to call by several processes at once. */
apr_status_t mx_schema_apply(const char **perr, const char *dsn, const char *sql_dir, apr_pool_t *pool);
/** The server name the database belongs to; NULL while nobody has claimed it (or there is no schema). Changes nothing. */
apr_status_t mx_schema_owner(const char **powner, const char **perr, const char *dsn, apr_pool_t *pool);
/** The server name the database belongs to (set by the first to claim it); another name is an error with a sentence. */
apr_status_t mx_schema_claim(const char **perr, const char *dsn, const char *server_name, apr_pool_t *pool);

#endif
