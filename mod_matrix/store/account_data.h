/* SPDX-License-Identifier: Apache-2.0 */
/* Account data: one JSON object per (user, room or 0, type). Every write draws a stream position. */
#ifndef MX_STORE_ACCOUNT_DATA_H
#define MX_STORE_ACCOUNT_DATA_H

#include "store/store.h"

/** The object as stored and the position of its last change. MX_STORE_NONE. room_nid 0: global. */
apr_status_t mx_store_account_data_get(mx_slice_t *pcontent, apr_int64_t *pstream, mx_store_t *store, apr_int64_t user_nid,
                                       apr_int64_t room_nid, const char *type, apr_pool_t *pool);
/** Several global ones with one query: out[i] for types[i], p NULL where there is none. */
apr_status_t mx_store_account_data_get_many(mx_slice_t *out, mx_store_t *store, apr_int64_t user_nid, const char *const *types, int n,
                                            apr_pool_t *pool);
/** Adds or replaces. */
apr_status_t mx_store_account_data_put(mx_store_t *store, apr_int64_t user_nid, apr_int64_t room_nid, const char *type,
                                       mx_slice_t content, apr_pool_t *pool);
/** Replaces what was last changed at `seen` (0: adds what was not there). MX_STORE_RETRY: somebody was faster. */
apr_status_t mx_store_account_data_swap(mx_store_t *store, apr_int64_t user_nid, apr_int64_t room_nid, const char *type,
                                        mx_slice_t content, apr_int64_t seen, apr_pool_t *pool);

#endif
