/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Packed deltas of snapshots, decoded (sql/0007_snapshots.sql says how they are made). Pure: no database. Shared by state*.c; what
 * comes from the database is checked all the same, so that a damaged row is an error and not a crash.
 */
#ifndef MX_STORE_STATE_DELTA_H
#define MX_STORE_STATE_DELTA_H

#include "store/state.h"

#define MX_STATE_NUMBER_BYTES 5      /* a packed nid, big-endian */
#define MX_STATE_ENTRIES_MAX (64 * 1024 * 1024)      /* in one state; a list of numbers has no more either */
#define MX_STATE_ENTRY_BYTES (2 * MX_STATE_NUMBER_BYTES)

/** Numbers of a packed list; returns how many, -1 if the length is none of a list. */
int mx_store_state_delta_numbers(apr_int64_t **pout, mx_slice_t packed, apr_pool_t *pool);
/** What a delta says last of a key: the nid, 0 for a removal, -1 if it does not speak of it. O(entries). */
apr_int64_t mx_store_state_delta_find(mx_slice_t delta, apr_int64_t skey_nid);
/**
 * What deltas say together, the first one being the newest: sorted by skey_nid, each key once, removals with nid 0. The last
 * one is taken as it is where it is sorted, as those of states stored whole are. APR_EINVAL: not a delta.
 */
apr_status_t mx_store_state_delta_merge(mx_state_list_t *out, const mx_slice_t *deltas, int n, apr_pool_t *pool);
/** Takes the removals out of a list. */
void mx_store_state_delta_settle(mx_state_list_t *list);
/** What turns a state into another: `from` and `to` are what each says beyond `base`, which both begin with. */
void mx_store_state_delta_diff(mx_state_list_t *out, const mx_state_list_t *from, const mx_state_list_t *to, const mx_state_list_t *base,
                               apr_pool_t *pool);

#endif
