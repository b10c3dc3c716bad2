/* SPDX-License-Identifier: Apache-2.0 */
/* Sessions of user-interactive authentication. */
#ifndef MX_STORE_UIA_H
#define MX_STORE_UIA_H

#include "store/store.h"

typedef struct mx_uia_row_t {
    const char *session;
    const char *operation; /* method and path it was opened for */
    apr_int64_t user_nid;  /* who opened it or was proved by a stage; 0: nobody yet */
    mx_slice_t request;    /* the sealed body */
    const char **stages;
    int nstages;            /* completed */
    apr_int64_t created_ts; /* ms */
} mx_uia_row_t;

/** Stores a new session (stages are not read) and deletes a few that were made before `expired_ts`. */
apr_status_t mx_store_uia_insert(mx_store_t *store, const mx_uia_row_t *row, apr_int64_t expired_ts, apr_pool_t *pool);
/** MX_STORE_NONE if there is none that was made after `expired_ts`. */
apr_status_t mx_store_uia_load(mx_uia_row_t **pout, mx_store_t *store, const char *session, apr_int64_t expired_ts,
                               apr_pool_t *pool);
/** Gives a session that has completed no stage another body. MX_STORE_NONE if it has, or is gone. */
apr_status_t mx_store_uia_rebind(mx_store_t *store, const char *session, mx_slice_t request, apr_pool_t *pool);
/** Notes a completed stage, once only, and whom it proved (0: nobody). MX_STORE_NONE if the session is gone. */
apr_status_t mx_store_uia_pass(mx_store_t *store, const char *session, const char *stage, apr_int64_t user_nid,
                               apr_pool_t *pool);
/** Same for the stage of a registration token, of which one use is reserved. MX_STORE_NONE if it has none left (or
 * never was). */
apr_status_t mx_store_uia_pass_token(mx_store_t *store, const char *session, const char *stage, const char *token,
                                     apr_int64_t now_ms, apr_pool_t *pool);
/** Ends a session in the transaction of what it was for; its registration token is used. MX_STORE_NONE: somebody else
 * ended it. */
apr_status_t mx_store_uia_finish(mx_conn_t *conn, const char *session, apr_pool_t *pool);

#endif
