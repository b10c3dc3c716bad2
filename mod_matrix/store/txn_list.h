/* SPDX-License-Identifier: Apache-2.0 */
/* Which of some events a device sent under which transaction id, and which of them were delayed. */
#ifndef MX_STORE_TXN_LIST_H
#define MX_STORE_TXN_LIST_H

#include "store/store.h"

typedef struct mx_txn_row_t {
    apr_int64_t nid;
    const char *txn_id;
    int delayed;                     /* sent by the server in its time: txn_id is the delay_id */
} mx_txn_row_t;

apr_status_t mx_store_txn_list(mx_txn_row_t **prows, int *pn, mx_store_t *store, apr_int64_t device_nid,
                               const apr_int64_t *nids, int n, apr_pool_t *pool);

#endif
