/* SPDX-License-Identifier: Apache-2.0 */
/* Devices of local accounts. Deleting one takes its tokens with it and moves the epoch of the user's tokens
 * (store/token.h). */
#ifndef MX_STORE_DEVICE_H
#define MX_STORE_DEVICE_H

#include "store/store.h"

typedef struct mx_device_row_t {
    const char *device_id;
    const char *display_name, *last_seen_ip; /* NULL: none */
    apr_int64_t last_seen_ts;                /* ms; 0: never */
} mx_device_row_t;

/** All devices of a user, or the one with `device_id` if that is not NULL; *pn may be 0. */
apr_status_t mx_store_device_list(mx_device_row_t **pout, int *pn, mx_store_t *store, apr_int64_t user_nid,
                                  const char *device_id, apr_pool_t *pool);
/** MX_STORE_NONE if there is no such device. display_name NULL: only looks. *ptold: the stream moved. */
apr_status_t mx_store_device_rename(int *ptold, mx_store_t *store, apr_int64_t user_nid, const char *device_id,
                                    const char *display_name, apr_pool_t *pool);
/** Remembers when and from where a device was seen, unless that was done less than `interval_ms` ago. */
apr_status_t mx_store_device_seen(mx_store_t *store, apr_int64_t device_nid, apr_int64_t now_ms,
                                  apr_int64_t interval_ms, const char *ip, apr_pool_t *pool);

/** Deletes the named devices; *pepoch is the new epoch, or 0 if there was none to delete. */
apr_status_t mx_store_device_delete(apr_int64_t *pepoch, mx_conn_t *conn, apr_int64_t user_nid,
                                    const char *const *device_ids, int n, apr_pool_t *pool);
/** Deletes all devices of a user but `except_nid` (0: all). *pepoch as above. */
apr_status_t mx_store_device_delete_all(apr_int64_t *pepoch, mx_conn_t *conn, apr_int64_t user_nid,
                                        apr_int64_t except_nid, apr_pool_t *pool);

#endif
