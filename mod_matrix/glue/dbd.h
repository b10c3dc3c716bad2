/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Lends mod_dbd's connections to the store. mod_dbd waits without limit for a free one, so a count of DBDMax stands in
 * front: who does not get in within MatrixDatabaseWait is told to come back (503).
 */
#ifndef MX_GLUE_DBD_H
#define MX_GLUE_DBD_H

#include "glue/glue.h"

typedef struct mx_dbd_t mx_dbd_t;

/** 1 if mod_dbd is there. Configuration and later. */
int mx_dbd_is_loaded(void);
/** The lender of one homeserver in this child. */
apr_status_t mx_dbd_create(mx_dbd_t **pdbd, const mx_host_t *host, apr_pool_t *pool);
/** As the store wants it; lives as long as the lender. Any thread. */
const mx_store_source_t *mx_dbd_source(mx_dbd_t *dbd);

#endif
