/* SPDX-License-Identifier: Apache-2.0 */
/* Cross-signing keys of users. */
#ifndef MX_STORE_CROSS_SIGNING_H
#define MX_STORE_CROSS_SIGNING_H

#include "store/store.h"

typedef enum { MX_CROSS_MASTER, MX_CROSS_SELF_SIGNING, MX_CROSS_USER_SIGNING, MX_CROSS_USAGES } mx_cross_usage_e;

/** A user's keys by usage; where there is none, public_key is NULL. */
typedef struct mx_cross_keys_t {
    const char *public_keys[MX_CROSS_USAGES];
    mx_slice_t bodies[MX_CROSS_USAGES];      /* canonical, without signatures */
} mx_cross_keys_t;

apr_status_t mx_store_cross_keys(mx_cross_keys_t *out, mx_conn_t *conn, apr_int64_t user_nid, apr_pool_t *pool);
/** Same, after the account's row was locked: nobody else changes the keys before the transaction ends. */
apr_status_t mx_store_cross_keys_lock(mx_cross_keys_t *out, mx_conn_t *conn, apr_int64_t user_nid, apr_pool_t *pool);
/** Sets one key (public_key NULL: there is none any more); signatures of the one before go. */
apr_status_t mx_store_cross_key_set(mx_conn_t *conn, apr_int64_t user_nid, mx_cross_usage_e usage, const char *public_key, mx_slice_t body,
                                    apr_pool_t *pool);
/** The user's device whose id is among the texts; NULL: none. */
apr_status_t mx_store_cross_key_is_device(const char **pdevice_id, mx_conn_t *conn, apr_int64_t user_nid, const char *const *texts, int n,
                                          apr_pool_t *pool);

/** Keys that may be signed: of devices and cross-signing keys, by their ids. */
typedef struct mx_signable_key_t {
    const char *user_id, *key_id;
    apr_int64_t user_nid, device_nid;        /* device_nid 0: a cross-signing key */
    int usage;                               /* mx_cross_usage_e, where it is one */
    mx_slice_t body;
} mx_signable_key_t;
apr_status_t mx_store_signable_keys(mx_signable_key_t **pout, int *pn, mx_conn_t *conn, const char *const *users,
                                    const char *const *key_ids, int n, apr_pool_t *pool);

#endif
