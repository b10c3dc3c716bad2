/* SPDX-License-Identifier: Apache-2.0 */
/* Is a homeserver's database there, and is it ours? Asked at configtest, at start, and by children until the answer is yes. */
#ifndef MX_GLUE_DATABASE_H
#define MX_GLUE_DATABASE_H

#include "glue/glue.h"

typedef enum {
    MX_DATABASE_LOOK,        /* change nothing */
    MX_DATABASE_PREPARE      /* upgrade the schema where MatrixSchemaUpgrade allows it, claim the database for our name */
} mx_database_e;

/** NULL if the database fits, else one sentence that names the directive. Blocks for at most the connection's timeout. */
const char *mx_database_ask(const mx_host_t *host, mx_database_e how, apr_pool_t *pool);
/**
 * Same, from a process of its own that runs as the children's user: only then does a `peer` login of PostgreSQL say what
 * the children will get. For the parent, before there are threads.
 */
const char *mx_database_ask_as_child(const mx_host_t *host, mx_database_e how, apr_pool_t *pool);

/**
 * 1 if the home's database is there and fits; asks it at most once a second until it does. Waits for the
 * first answer; after a bad one only the thread that asks again waits. Any thread of a child.
 */
int mx_database_ready(mx_home_t *home, apr_pool_t *pool);

#endif
