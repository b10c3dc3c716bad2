/* SPDX-License-Identifier: Apache-2.0 */
/* What state resolution reads and remembers. */
#ifndef MX_STORE_RESOLVE_H
#define MX_STORE_RESOLVE_H

#include "store/state.h"

/** The snapshot that these (sorted, distinct) resolve to, if that is remembered and still exists; MX_STORE_NONE. */
apr_status_t mx_store_resolve_recall(apr_int64_t *psnap, mx_store_t *store, apr_int64_t room_nid,
                                     const apr_int64_t *snaps, int n, apr_pool_t *pool);
/** Remembers it. A later word wins. */
apr_status_t mx_store_resolve_remember(mx_store_t *store, apr_int64_t room_nid, const apr_int64_t *snaps, int n,
                                       apr_int64_t result, apr_pool_t *pool);

#endif
