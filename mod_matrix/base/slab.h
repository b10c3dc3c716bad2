/* SPDX-License-Identifier: Apache-2.0 */
/* Records of one size that come and go: taken from a pool once, then reused from a free list. One thread at a time. */
#ifndef MX_BASE_SLAB_H
#define MX_BASE_SLAB_H

#include <apr_pools.h>

typedef struct mx_slab_t mx_slab_t;

/** `bytes` is the size of a record, at least that of a pointer. The memory goes with `pool`. */
mx_slab_t *mx_slab_create(apr_size_t bytes, apr_pool_t *pool);
/** A zeroed record. */
void *mx_slab_get(mx_slab_t *slab);
void mx_slab_put(mx_slab_t *slab, void *record);

#endif
