/* SPDX-License-Identifier: Apache-2.0 */
/* Giving out one-time keys: each at most once, whoever asks and however many at a time. */
#ifndef MX_STORE_KEY_CLAIM_H
#define MX_STORE_KEY_CLAIM_H

#include "store/store.h"

typedef struct mx_claimed_key_t {
    int asked;                   /* for which of the devices asked for */
    const char *key_id;
    mx_slice_t body;
} mx_claimed_key_t;

/**
 * One statement for all: a one-time key of each device (user id, device id, algorithm), the oldest first, or its fallback key.
 * Devices that have neither are not in *pout. A row that another claim holds is passed over, so claims do not wait for each other.
 */
apr_status_t mx_store_key_claim(mx_claimed_key_t **pout, int *pn, mx_store_t *store, const char *const *users, const char *const *devices,
                                const char *const *algorithms, int n, apr_pool_t *pool);

#endif
