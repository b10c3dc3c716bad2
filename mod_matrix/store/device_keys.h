/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Keys of devices: identity keys, one-time keys, fallback keys, and signatures of keys. A change that others are told
 * of moves `device_change`, one that the device itself is told of moves `key_stock`; both draw a stream position.
 */
#ifndef MX_STORE_DEVICE_KEYS_H
#define MX_STORE_DEVICE_KEYS_H

#include "store/store.h"

/** One-time or fallback keys of an upload, as columns of `n` rows. */
typedef struct mx_key_list_t {
    const char **algorithms, **key_ids;
    mx_slice_t *bodies, *digests;            /* digests: 16 bytes each; only for one-time keys */
    int n;
} mx_key_list_t;

/** Signatures of one key. */
typedef struct mx_key_signatures_t {
    const char *key_id;                      /* device id, or public key of a cross-signing key */
    apr_int64_t device_nid;                  /* of a device's key; 0: of a cross-signing key */
    const char **signer_keys, **signatures;  /* "ed25519:…"; base64 */
    int n;
} mx_key_signatures_t;

/** Locks the device's row, so that its uploads come one after the other, and reads its identity keys (p NULL: none).
    MX_STORE_NONE: gone. */
apr_status_t mx_store_device_keys_lock(mx_slice_t *pbody, mx_conn_t *conn, apr_int64_t device_nid, apr_pool_t *pool);
/** Sets the identity keys; with `forget`, one-time and fallback keys, which belong to the old ones, go. */
apr_status_t mx_store_device_keys_set(mx_conn_t *conn, apr_int64_t device_nid, mx_slice_t body, int forget, apr_pool_t *pool);
/** Adds signatures by `signer_nid` to a key of `user_nid`; *padded: how many are new or other than before. */
apr_status_t mx_store_device_keys_sign(int *padded, mx_conn_t *conn, apr_int64_t user_nid, apr_int64_t signer_nid,
                                       const mx_key_signatures_t *list, apr_pool_t *pool);
/** device_changed() of sql/0010: viewer_nid 0 for all who share a room with the user. */
apr_status_t mx_store_device_keys_changed(mx_conn_t *conn, apr_int64_t user_nid, apr_int64_t viewer_nid, apr_pool_t *pool);

/** Adds one-time keys that were not there before, given out or not; *padded: how many; *pother: the id of one that was there with
    other content, NULL if there is none. */
apr_status_t mx_store_one_time_keys_add(int *padded, const char **pother, mx_conn_t *conn, apr_int64_t device_nid,
                                        const mx_key_list_t *list, apr_pool_t *pool);
/** One key an algorithm; the same key again stays as used as it was. *pset: how many are new. */
apr_status_t mx_store_fallback_keys_set(int *pset, mx_conn_t *conn, apr_int64_t device_nid, const mx_key_list_t *list, apr_pool_t *pool);
/** The device is told of its keys anew. */
apr_status_t mx_store_key_stock_moved(mx_conn_t *conn, apr_int64_t device_nid, apr_pool_t *pool);

/** How many one-time keys are left of each algorithm, and the algorithms of fallback keys that were not used. */
typedef struct mx_key_stock_t {
    const char **algorithms, **unused;
    apr_int64_t *counts;
    int n, nunused;
} mx_key_stock_t;
apr_status_t mx_store_key_stock(mx_key_stock_t *out, mx_conn_t *conn, apr_int64_t device_nid, apr_pool_t *pool);

#endif
