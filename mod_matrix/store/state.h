/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Room state behind one door: snapshots with skip deltas. Snapshots never change, so whatever is read may be cached for
 * ever. A state is a set of (skey_nid, nid of the state event). How they are represented is this file's business alone.
 */
#ifndef MX_STORE_STATE_H
#define MX_STORE_STATE_H

#include "store/store.h"

typedef struct mx_state_item_t {
    apr_int64_t skey_nid, nid;       /* nid 0 in a difference: removed */
} mx_state_item_t;

/** Remembers whole states that were read, up to so many bytes, for as long as `pool` (that of the store) lives. Call it once. */
void mx_store_state_cache_create(mx_store_t *store, apr_size_t max_bytes, apr_pool_t *pool);

/** The whole state, sorted by skey_nid, in the pool. snap_nid 0: empty. MX_STORE_NONE. No query if it is remembered. */
apr_status_t mx_store_state_load(mx_state_item_t **pitems, int *pn, mx_store_t *store, apr_int64_t snap_nid,
                                 apr_pool_t *pool);

typedef struct mx_state_hit_t {
    apr_int64_t snap_nid, skey_nid, nid;
} mx_state_hit_t;
/** A few entries of many snapshots, each given once, in one query (none, if all are remembered); what a snapshot does not have is
    left out. */
apr_status_t mx_store_state_entries(mx_state_hit_t **phits, int *pn, mx_store_t *store, const apr_int64_t *snaps,
                                    int nsnaps, const apr_int64_t *skeys, int nskeys, apr_pool_t *pool);
/** What turns state `from` into state `to` (either may be 0). */
apr_status_t mx_store_state_diff(mx_state_item_t **pitems, int *pn, mx_store_t *store, apr_int64_t from, apr_int64_t to,
                                 apr_pool_t *pool);
/** The room's current snapshot as of a stream position, for several rooms at once; 0 where the room had none yet. */
apr_status_t mx_store_state_at(apr_int64_t *snaps_out, mx_store_t *store, const apr_int64_t *room_nids, int n,
                               apr_int64_t stream, apr_pool_t *pool);
/** The same, as of a position of its own for each of them (a room may come several times). */
apr_status_t mx_store_state_at_each(apr_int64_t *snaps_out, mx_store_t *store, const apr_int64_t *room_nids, const apr_int64_t *streams,
                                    int n, apr_pool_t *pool);

/** Number of entries and hash of a snapshot; MX_STORE_NONE. */
struct mx_state_hash_t;
apr_status_t mx_store_state_measure(int *psize, struct mx_state_hash_t *phash, mx_store_t *store, apr_int64_t snap_nid, apr_pool_t *pool);

/* ---- of many rooms at once, one query each (state_many.c) ---- */

/** A state or a difference. */
typedef struct mx_state_list_t {
    mx_state_item_t *items;          /* sorted by skey_nid */
    int n;
} mx_state_list_t;
/** The whole state of each snapshot (0: empty; so is one that is not there), out[i] for snaps[i]. */
apr_status_t mx_store_state_load_many(mx_state_list_t *out, mx_store_t *store, const apr_int64_t *snaps, int n,
                                      apr_pool_t *pool);
/** What turns from[i] into to[i]. */
apr_status_t mx_store_state_diff_many(mx_state_list_t *out, mx_store_t *store, const apr_int64_t *from,
                                      const apr_int64_t *to, int n, apr_pool_t *pool);

/** What two snapshots say beyond the ancestors that they share: sorted, nid 0 for removals. */
typedef struct mx_state_own_t {
    mx_state_list_t from, to;
    int shared;                      /* 0: they share none, so each side says all */
} mx_state_own_t;
/**
 * For whoever knows the state from[i], and so needs nothing of what is shared: far cheaper than a difference. out[i].to says what each key
 * it names is in to[i]; a key that only out[i].from names is in to[i] what the shared ancestors say.
 */
apr_status_t mx_store_state_own_many(mx_state_own_t *out, mx_store_t *store, const apr_int64_t *from, const apr_int64_t *to, int n,
                                     apr_pool_t *pool);

/* ---- clean-up (state_gc.c) ---- */

/**
 * One step of taking away the room's snapshots that neither its events nor its history of states name; over at most `limit` rows, and
 * the room's writers wait for no more than that. *pdone: the room is through, the next step would begin anew. The room may be
 * deleted, with its events, already. Events may be stored between the steps, and by any process; if some are deleted, the
 * clean-up begins anew by itself. MX_STORE_RETRY.
 */
apr_status_t mx_store_state_collect(int *pdone, int *premoved, mx_store_t *store, apr_int64_t room_nid, int limit, apr_pool_t *pool);

/**
 * The same step in whichever room has waste or was begun (tables snapshot_waste, snapshot_sweep); *proom_nid 0: there is none.
 * Several at once are safe. MX_STORE_RETRY.
 */
apr_status_t mx_store_state_collect_next(apr_int64_t *proom_nid, int *premoved, mx_store_t *store, int limit, apr_pool_t *pool);

/* ---- equality (for whoever makes snapshots: room/accept.c) ---- */

#define MX_STATE_HASH_BYTES 16
#define MX_STATE_HASH_KEY_BYTES 32
/** Of a whole state: the sum of the keyed hashes of its entries, so it follows a change without the rest. All zero: empty. */
typedef struct mx_state_hash_t {
    unsigned char bytes[MX_STATE_HASH_BYTES];
} mx_state_hash_t;
/** The database's own key: without it, whoever sends events could look for two states with one hash. MX_STORE_NONE. */
apr_status_t mx_store_state_hash_key(unsigned char key[MX_STATE_HASH_KEY_BYTES], mx_store_t *store, apr_pool_t *pool);
/**
 * Stores the state that is `pred` with `changes` (nids of events; 0 removes) made to it, by itself: for a state that events will stand on
 * before any of them is stored. The same state twice is one snapshot. If no event is stored on it, it goes some day. MX_STORE_NONE (no
 * such room), MX_STORE_RETRY.
 */
apr_status_t mx_store_state_add(apr_int64_t *psnap_nid, mx_store_t *store, apr_int64_t room_nid, apr_int64_t pred,
                                const mx_state_item_t *changes, int n, int size, const mx_state_hash_t *hash, apr_pool_t *pool);
/** Replaces an entry's event by another; packed ids, MX_SLICE_NONE where there was, or will be, none. */
void mx_store_state_hash_change(mx_state_hash_t *hash, const unsigned char key[MX_STATE_HASH_KEY_BYTES],
                                apr_int64_t skey_nid, mx_slice_t old_id, mx_slice_t new_id, apr_pool_t *pool);

#endif
