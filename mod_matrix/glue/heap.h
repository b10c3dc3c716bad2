/* SPDX-License-Identifier: Apache-2.0 */
/* Deadlines in order: a binary heap whose nodes stand inside what they time, so that any of them can be taken out. O(log n). */
#ifndef MX_GLUE_HEAP_H
#define MX_GLUE_HEAP_H

#include <apr_pools.h>
#include <apr_time.h>

typedef struct mx_heap_node_t {
    apr_time_t when;
    apr_size_t place;                /* from 1; 0: in no heap */
} mx_heap_node_t;

/** Zeroed with a pool is empty. Not locked. The array grows by doubling out of `pool` and is never given back before it. */
typedef struct mx_heap_t {
    mx_heap_node_t **nodes;          /* [1..n] */
    apr_size_t n, cap;
    apr_pool_t *pool;
} mx_heap_t;

/** The node must be in no heap. */
void mx_heap_add(mx_heap_t *heap, mx_heap_node_t *node, apr_time_t when);
/** Nothing happens if it is in none. */
void mx_heap_remove(mx_heap_t *heap, mx_heap_node_t *node);
/** The earliest; NULL if empty. */
mx_heap_node_t *mx_heap_first(const mx_heap_t *heap);

#endif
