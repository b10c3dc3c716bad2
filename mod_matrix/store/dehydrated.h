/* SPDX-License-Identifier: Apache-2.0 */
/* Dehydrated devices: at most one for each user, a device like others but that nobody is logged in to it. MSC3814. */
#ifndef MX_STORE_DEHYDRATED_H
#define MX_STORE_DEHYDRATED_H

#include "store/store.h"

typedef struct mx_dehydrated_t {
    apr_int64_t device_nid;
    const char *device_id;
    mx_slice_t data;
} mx_dehydrated_t;

/** MX_STORE_NONE. */
apr_status_t mx_store_dehydrated_get(mx_dehydrated_t *out, mx_store_t *store, apr_int64_t user_nid, apr_pool_t *pool);
/** Inside a transaction: the old one goes, with all that hangs on it. MX_STORE_DUPLICATE: the id is that of another device. */
apr_status_t mx_store_dehydrated_set(apr_int64_t *pdevice_nid, mx_conn_t *conn, apr_int64_t user_nid, const char *device_id,
                                     const char *display_name, mx_slice_t data, apr_int64_t now_ms, apr_pool_t *pool);

#endif
