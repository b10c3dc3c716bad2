/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Cross-signing. CS-API: end-to-end encryption, cross-signing. Every signature is verified before it is stored; what the
 * server cannot verify, because it does not know the key, it does not keep.
 */
#ifndef MX_USER_CROSS_SIGNING_H
#define MX_USER_CROSS_SIGNING_H

#include "store/cross_signing.h"
#include "user/device_keys.h"
#include "user/uia.h"

/**
 * POST /keys/device_signing/upload. Asks for authentication unless these are the first keys, or the ones that are there.
 * M_BAD_JSON, M_INVALID_PARAM, M_INVALID_SIGNATURE; M_MISSING_PARAM without a master key; M_FORBIDDEN for a key that is named as a device.
 */
const mx_error_t *mx_user_cross_signing_upload(mx_server_t *server, mx_uia_t *uia, const mx_who_t *who, apr_pool_t *pool);
/** POST /keys/signatures/upload: *pfailures maps users to keys to errors; what is not in it was stored. M_BAD_JSON, M_TOO_LARGE. */
const mx_error_t *mx_user_cross_signing_sign(mx_json_t **pfailures, mx_server_t *server, const mx_who_t *who, const mx_json_t *signed_keys,
                                             apr_pool_t *pool);

/** 1 if `obj` carries a good signature of `user_id` by "ed25519:<name>", whose public key is in unpadded base64. */
int mx_user_cross_signing_verify(const mx_json_t *obj, const char *user_id, const char *signer_key, const char *public_key,
                                 apr_pool_t *pool);
/** The public Ed25519 key of a device's stored identity keys; NULL: it has none. */
const char *mx_user_cross_signing_device_key(mx_slice_t body, const char *device_id, apr_pool_t *pool);

#endif
