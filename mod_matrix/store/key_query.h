/* SPDX-License-Identifier: Apache-2.0 */
/* Reading the public keys of users: devices, cross-signing keys, and the signatures that the reader may see. Sets, never one by one. */
#ifndef MX_STORE_KEY_QUERY_H
#define MX_STORE_KEY_QUERY_H

#include "store/store.h"

typedef struct mx_queried_key_t {
    const char *user_id;
    const char *key_id;          /* device id, or public key */
    const char *display_name;    /* of a device; NULL: none */
    int usage;                   /* of a cross-signing key: mx_cross_usage_e (store/cross_signing.h) */
    mx_slice_t body;             /* without signatures */
} mx_queried_key_t;

typedef struct mx_queried_signature_t {
    const char *user_id, *key_id, *signer, *signer_key, *signature;
} mx_queried_signature_t;

/** Identity keys of the devices asked for: devices[i] NULL means all of users[i]. In the order of user and device. */
apr_status_t mx_store_key_query_devices(mx_queried_key_t **pout, int *pn, mx_conn_t *conn, const char *const *users,
                                        const char *const *devices, int n, apr_pool_t *pool);
/** Cross-signing keys; user-signing keys only of `viewer_nid`. */
apr_status_t mx_store_key_query_cross(mx_queried_key_t **pout, int *pn, mx_conn_t *conn, const char *const *users, int n,
                                      apr_int64_t viewer_nid, apr_pool_t *pool);
/** Signatures by the keys' owners and by the viewer, in the order of user, key, signer. CS-API: cross-signing, key and signature
    security. */
apr_status_t mx_store_key_query_signatures(mx_queried_signature_t **pout, int *pn, mx_conn_t *conn, const char *const *users, int n,
                                           apr_int64_t viewer_nid, apr_pool_t *pool);

#endif
