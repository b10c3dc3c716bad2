/* SPDX-License-Identifier: Apache-2.0 */
/* Slab: a free list threaded through the records themselves; the pool grows by runs of them. */
#include "base/slab.h"
#include <string.h>

#define RUN_RECORDS 32

struct mx_slab_t {
    apr_pool_t *pool;
    apr_size_t bytes;
    void *free;              /* first record; each begins with a pointer to the next */
};

mx_slab_t *mx_slab_create(apr_size_t bytes, apr_pool_t *pool)
{
    mx_slab_t *slab = apr_pcalloc(pool, sizeof(*slab));

    slab->pool = pool;
    slab->bytes = APR_ALIGN_DEFAULT(bytes < sizeof(void *) ? sizeof(void *) : bytes);
    return slab;
}

void mx_slab_put(mx_slab_t *slab, void *record)
{
    memcpy(record, &slab->free, sizeof(slab->free));
    slab->free = record;
}

void *mx_slab_get(mx_slab_t *slab)
{
    char *record;
    int i;

    if (!slab->free) {
        record = apr_palloc(slab->pool, slab->bytes * RUN_RECORDS);
        for (i = 0; i < RUN_RECORDS; i++) mx_slab_put(slab, record + (apr_size_t)i * slab->bytes);
    }
    record = slab->free;
    memcpy(&slab->free, record, sizeof(slab->free));
    return memset(record, 0, slab->bytes);
}
