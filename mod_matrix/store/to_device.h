/* SPDX-License-Identifier: Apache-2.0 */
/* To-device messages: kept until the device says, by a token, that it has them. */
#ifndef MX_STORE_TO_DEVICE_H
#define MX_STORE_TO_DEVICE_H

#include "store/store.h"

#define MX_TO_DEVICE_ALL "*"     /* as device id: every device of the user */

typedef struct mx_to_device_send_t {
    apr_int64_t sender_nid, sender_device_nid;
    const char *type, *txn_id;
    const char **users, **devices;   /* ids, columns of n rows */
    mx_slice_t *contents;
    int n;
} mx_to_device_send_t;
/** One statement. *psent: messages stored; 0 too if this transaction id has been here before. Unknown devices are passed over. */
apr_status_t mx_store_to_device_send(int *psent, mx_store_t *store, const mx_to_device_send_t *send, apr_pool_t *pool);

typedef struct mx_to_device_row_t {
    apr_int64_t stream;
    const char *sender, *type;
    mx_slice_t content;
} mx_to_device_row_t;
/** Messages in (after, upto], the oldest first, at most `limit`. */
apr_status_t mx_store_to_device_read(mx_to_device_row_t **pout, int *pn, mx_conn_t *conn, apr_int64_t device_nid, apr_int64_t after,
                                     apr_int64_t upto, int limit, apr_pool_t *pool);
/** The device has all messages up to there. */
apr_status_t mx_store_to_device_ack(mx_store_t *store, apr_int64_t device_nid, apr_int64_t upto, apr_pool_t *pool);

#endif
