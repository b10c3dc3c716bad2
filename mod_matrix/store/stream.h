/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Stream positions and the watermark. A writer draws its position with SQL stream_next() inside the transaction that
 * stores the row: it first takes a shared advisory lock keyed by the sequence's value so far. A reader computes
 * W = the least key so locked, else last_value, in this order: last_value, pg_locks, and only then, in a NEW snapshot,
 * reads rows up to W. Every row with a position <= W that will ever exist is visible then.
 */
#ifndef MX_STORE_STREAM_H
#define MX_STORE_STREAM_H

#include "store/store.h"

/** The watermark now, by two statements on `conn`; *plast (may be NULL) is last_value: W < last means somebody is still writing. */
apr_status_t mx_store_stream_watermark(apr_int64_t *pwatermark, apr_int64_t *plast, mx_conn_t *conn, apr_pool_t *pool);
/** The watermark, or `since` if that is later; one statement if no position after `since` was ever drawn. */
apr_status_t mx_store_stream_watermark_after(apr_int64_t *pwatermark, apr_int64_t since, mx_conn_t *conn, apr_pool_t *pool);

#endif
