/* SPDX-License-Identifier: Apache-2.0 */
/* What /sync reads of devices: whose keys changed, who came and went, what is left of a device's own keys. Ranges are (after, upto]. */
#ifndef MX_STORE_SYNC_DEVICES_H
#define MX_STORE_SYNC_DEVICES_H

#include "store/store.h"

/* ---- the stream as it moves ---- */

/** News for one device. */
typedef struct mx_sync_device_row_t {
    apr_int64_t stream, device_nid, user_nid;
    int stock;                   /* 1: of its own keys; 0: a message to it */
} mx_sync_device_row_t;
apr_status_t mx_store_sync_devices(mx_sync_device_row_t **pout, int *pn, mx_conn_t *conn, apr_int64_t after, apr_int64_t upto, int limit,
                                   apr_pool_t *pool);

/** A user whose devices or cross-signing keys changed. */
typedef struct mx_sync_device_change_row_t {
    apr_int64_t stream, user_nid, viewer_nid;    /* viewer_nid 0: all who share a room */
    const char *user_id;
    apr_int64_t *rooms;          /* joined ones; empty with a viewer */
    int nrooms;
} mx_sync_device_change_row_t;
apr_status_t mx_store_sync_device_changes(mx_sync_device_change_row_t **pout, int *pn, mx_conn_t *conn, apr_int64_t after,
                                          apr_int64_t upto, int limit, apr_pool_t *pool);

/* ---- one answer ---- */

/** What stands in every answer to a device. */
typedef struct mx_sync_device_state_t {
    const char *counts, *unused; /* JSON: {"algorithm":n}, ["algorithm"] */
    apr_int64_t stock_stream;    /* when they last changed; 0: never */
    int acked;                   /* messages are stored up to the position that was asked about */
} mx_sync_device_state_t;
apr_status_t mx_store_sync_device_state(mx_sync_device_state_t *out, mx_conn_t *conn, apr_int64_t device_nid, apr_int64_t acked,
                                        apr_pool_t *pool);

/** Rooms of the reader, by what happened to his own membership since then. */
typedef struct mx_sync_device_span_t {
    apr_int64_t user_nid, after;
    const apr_int64_t *entered, *stayed, *left;  /* stayed: joined all the time, and there may be events in the span */
    int nentered, nstayed, nleft;
} mx_sync_device_span_t;
/** Users whose keys changed, and those of the rooms that the reader entered. */
apr_status_t mx_store_sync_devices_changed(const char ***pout, int *pn, mx_conn_t *conn, const mx_sync_device_span_t *span,
                                           apr_pool_t *pool);
/** Users who are joined to a room where the reader stayed, and whose membership of it changed since then. */
typedef struct mx_sync_joined_row_t {
    const char *user_id;
    apr_int64_t replaces;        /* nid of the member event before; 0: none */
} mx_sync_joined_row_t;
apr_status_t mx_store_sync_devices_joined(mx_sync_joined_row_t **pout, int *pn, mx_conn_t *conn, const mx_sync_device_span_t *span,
                                          apr_pool_t *pool);
/** Users who share no room any more. */
apr_status_t mx_store_sync_devices_left(const char ***pout, int *pn, mx_conn_t *conn, const mx_sync_device_span_t *span, apr_pool_t *pool);

#endif
