/* SPDX-License-Identifier: Apache-2.0 */
/* What events of other servers stand on, many of them asked for at once. */
#ifndef MX_STORE_GROUND_H
#define MX_STORE_GROUND_H

#include "store/event.h"

typedef struct mx_ground_row_t {
    int known;                       /* 0: `event` holds nothing but the id */
    int awaited;                     /* a redaction waits for it */
    mx_event_row_t event;
} mx_ground_row_t;

/** Those of the ids that are known, or waited for, in no order; by one query. Each id is given once. Lives in `pool`. */
apr_status_t mx_store_ground_read(mx_ground_row_t **pout, int *pn, mx_store_t *store, const mx_slice_t *ids, int n, apr_pool_t *pool);

#endif
