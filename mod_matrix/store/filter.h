/* SPDX-License-Identifier: Apache-2.0 */
/* Filters that clients stored. A filter never changes; the same body of the same user is the same filter. */
#ifndef MX_STORE_FILTER_H
#define MX_STORE_FILTER_H

#include "store/store.h"

/** The id of the body, made if it is new. MX_STORE_NONE: the user has `max` filters already. */
apr_status_t mx_store_filter_put(apr_int64_t *pid, mx_store_t *store, apr_int64_t user_nid, mx_slice_t hash, mx_slice_t body,
                                 int max, apr_pool_t *pool);
/** MX_STORE_NONE. */
apr_status_t mx_store_filter_get(mx_slice_t *pbody, mx_store_t *store, apr_int64_t user_nid, apr_int64_t filter_id, apr_pool_t *pool);

#endif
