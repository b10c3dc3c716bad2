/* SPDX-License-Identifier: Apache-2.0 */
/* Redactions that wait for what they redact. They are written by mx_store_persist_batch(). */
#ifndef MX_STORE_REDACTION_H
#define MX_STORE_REDACTION_H

#include "store/event.h"

#define MX_STORE_REDACTION_WAITS_MAX 50   /* of one event that are looked at, oldest first */

/** The redactions of the room that wait for an event. */
apr_status_t mx_store_redaction_waiting(mx_event_row_t **pout, int *pn, mx_store_t *store, apr_int64_t room_nid, mx_slice_t target,
                                        apr_pool_t *pool);
/** Inside a transaction: the redaction `nid` waits from now on. */
apr_status_t mx_store_redaction_wait(mx_conn_t *conn, apr_int64_t room_nid, mx_slice_t target, apr_int64_t nid, apr_pool_t *pool);
/** Inside a transaction: event `nid` is there, redacted by `by` (0: nobody may); whoever waited for it waits no more. */
apr_status_t mx_store_redaction_end(mx_conn_t *conn, mx_slice_t target, apr_int64_t nid, apr_int64_t by, apr_pool_t *pool);

#endif
