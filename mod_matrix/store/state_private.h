/* SPDX-License-Identifier: Apache-2.0 */
/* Shared by state.c and state_many.c: how deltas make a state. */
#ifndef MX_STORE_STATE_PRIVATE_H
#define MX_STORE_STATE_PRIVATE_H

#include "store/state.h"

/**
 * Puts a newer delta (skeys, then as many nids) over an older state; both are sorted. Returns the number of entries of
 * `out`, which has room for n + nchanges; removals are left out.
 */
int mx_store_state_overlay(mx_state_item_t *out, const mx_state_item_t *state, int n, const apr_int64_t *delta, int nchanges);

#endif
