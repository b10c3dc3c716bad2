/* SPDX-License-Identifier: Apache-2.0 */
/* What state resolution reads and remembers. */
#ifndef MX_STORE_RESOLVE_H
#define MX_STORE_RESOLVE_H

#include "core/auth_rules.h"
#include "store/event.h"
#include "store/state.h"

/**
 * The snapshot that these (sorted, distinct) resolve to, if that is remembered and still exists; MX_STORE_NONE. `state_redacted`: of the
 * room (store/room.h), before the resolution read anything: a redaction may have changed what the rules read.
 */
apr_status_t mx_store_resolve_recall(apr_int64_t *psnap, mx_store_t *store, apr_int64_t room_nid, apr_int64_t state_redacted,
                                     const apr_int64_t *snaps, int n, apr_pool_t *pool);
/** Remembers it. A later word wins. */
apr_status_t mx_store_resolve_remember(mx_store_t *store, apr_int64_t room_nid, apr_int64_t state_redacted, const apr_int64_t *snaps, int n,
                                       apr_int64_t result, apr_pool_t *pool);

/**
 * Whether a snapshot that was read, and that perhaps no event names, was whole then: a clean-up takes away a chain in any order. Ask
 * after the reading; 0: what was read means nothing.
 */
apr_status_t mx_store_resolve_is_whole(int *pwhole, mx_store_t *store, apr_int64_t room_nid, apr_int64_t snap_nid, apr_pool_t *pool);

/** Sizes of snapshots of the room: out[i] entries, -1 if it is none of the room. */
apr_status_t mx_store_resolve_sizes(int *out, mx_store_t *store, apr_int64_t room_nid, const apr_int64_t *snaps, int n,
                                    apr_pool_t *pool);
/**
 * What turns snapshot `base` into each of many: out[i] for snaps[i], sorted by skey_nid. For states that share most of their ancestors:
 * each delta that is not common is read once, and of what is common only the entries that the others speak of.
 */
apr_status_t mx_store_resolve_diffs(mx_state_list_t *out, mx_store_t *store, apr_int64_t base, const apr_int64_t *snaps, int n,
                                    apr_pool_t *pool);
/** Many entries of one snapshot: out[i] is the event of skeys[i] (distinct), 0 if there is none. */
apr_status_t mx_store_resolve_entries(apr_int64_t *out, mx_store_t *store, apr_int64_t snap_nid, const apr_int64_t *skeys, int n,
                                      apr_pool_t *pool);
/** Numbers of (type, state_key) pairs, one query: 0 where there is none. */
apr_status_t mx_store_resolve_skeys(apr_int64_t *out, mx_store_t *store, const mx_state_key_t *keys, int n, apr_pool_t *pool);

/** An event as far as the rules read it. Slices point into the result. */
typedef struct mx_resolve_event_t {
    apr_int64_t nid;
    int flags;
    mx_slice_t id, pdu;
} mx_resolve_event_t;
/** By nids, in no order; unknown ones are left out. */
apr_status_t mx_store_resolve_events(mx_resolve_event_t **pout, int *pn, mx_store_t *store, const apr_int64_t *nids, int n,
                                     apr_pool_t *pool);

#endif
