/* SPDX-License-Identifier: Apache-2.0 */
/* A hash table from nids (int64, never 0) to pointers. It grows by malloc and is freed by hand. One thread at a time. */
#ifndef MX_BASE_NID_MAP_H
#define MX_BASE_NID_MAP_H

#include <apr.h>

typedef struct mx_nid_map_slot_t {
    apr_int64_t nid;         /* 0: empty */
    void *value;
} mx_nid_map_slot_t;

/** For qsort() and bsearch() of nids, or of what begins with one. Pure. */
int mx_nid_cmp(const void *a, const void *b);

/** All zero is an empty map that holds no memory. */
typedef struct mx_nid_map_t {
    mx_nid_map_slot_t *slots;
    apr_uint32_t count, cap; /* cap: 0 or a power of two */
} mx_nid_map_t;

/** NULL if absent. */
void *mx_nid_map_get(const mx_nid_map_t *map, apr_int64_t nid);
/** Adds or replaces; value must not be NULL. */
void mx_nid_map_set(mx_nid_map_t *map, apr_int64_t nid, void *value);
/** The removed value or NULL. */
void *mx_nid_map_remove(mx_nid_map_t *map, apr_int64_t nid);
/** Walks: `apr_uint32_t at = 0; while ((slot = mx_nid_map_next(map, &at))) …`; the map must not change meanwhile. */
const mx_nid_map_slot_t *mx_nid_map_next(const mx_nid_map_t *map, apr_uint32_t *at);
/** Forgets all and frees the memory; the values are the caller's. */
void mx_nid_map_free(mx_nid_map_t *map);

#endif
