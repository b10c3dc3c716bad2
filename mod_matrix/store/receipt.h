/* SPDX-License-Identifier: Apache-2.0 */
/* Receipts: how far somebody has read, one row per (room, user, type, thread). */
#ifndef MX_STORE_RECEIPT_H
#define MX_STORE_RECEIPT_H

#include "store/store.h"

typedef struct mx_receipt_t {
    apr_int64_t room_nid, user_nid, nid, ts;   /* nid: of the event; ts in ms */
    const char *type, *thread_id;              /* thread_id "": unthreaded */
    mx_slice_t event_id;                       /* packed */
} mx_receipt_t;

/** Adds or replaces; draws a stream position. */
apr_status_t mx_store_receipt_put(mx_store_t *store, const mx_receipt_t *receipt, apr_pool_t *pool);

#endif
