/* SPDX-License-Identifier: Apache-2.0 */
/* Shared by state*.c: the memory of whole states. */
#ifndef MX_STORE_STATE_PRIVATE_H
#define MX_STORE_STATE_PRIVATE_H

#include "store/pg_private.h"
#include "store/state_delta.h"

#include "base/cache.h"

/** A remembered state, to be given back by mx_cache_put(); NULL if it is not there (or nothing is remembered at all). */
const mx_state_list_t *mx_store_state_cache_get(mx_cache_ref_t **pref, mx_store_t *store, apr_int64_t snap_nid);
/** Remembers a whole state (a copy of it). */
void mx_store_state_cache_set(mx_store_t *store, apr_int64_t snap_nid, const mx_state_list_t *list);
/** The nid that a sorted list has for a key; 0: none. */
apr_int64_t mx_store_state_cache_find(const mx_state_list_t *list, apr_int64_t skey_nid);

#endif
