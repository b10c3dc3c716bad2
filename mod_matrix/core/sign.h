/* SPDX-License-Identifier: Apache-2.0 */
/* Signed JSON. Appendices: signing JSON. */
#ifndef MX_CORE_SIGN_H
#define MX_CORE_SIGN_H

#include "base/crypto.h"
#include "core/error.h"

/** A server's signing key as it stands in the key file: "ed25519 <version> <unpadded base64 seed>" (Synapse's form). */
typedef struct mx_signing_key_t {
    const char *key_id;              /* "ed25519:a_abcd" */
    mx_ed25519_key_t key;
} mx_signing_key_t;

/** Reads the first key of the text. APR_EINVAL with *perr set to a sentence. */
apr_status_t mx_signing_key_parse(mx_signing_key_t *out, const char **perr, const char *text, apr_pool_t *pool);
/** A new random key, and the line to store. */
char *mx_signing_key_generate(apr_pool_t *pool);

/** What is signed: the canonical text of the object without `signatures` and `unsigned`, whose numbers are canonical; in `pool`. */
mx_slice_t mx_sign_text(const mx_json_t *obj, apr_pool_t *pool);
/** Adds signatures.<entity>.<key_id> to the object (without `signatures` and `unsigned` in what is signed). */
void mx_sign_json(mx_json_t *obj, const char *entity, const mx_signing_key_t *key, apr_pool_t *pool);
/** 1 if the object carries a good signature of entity's key. */
int mx_sign_verify_json(const mx_json_t *obj, const char *entity, const char *key_id,
                        const unsigned char public_key[MX_ED25519_PUBLIC_BYTES], apr_pool_t *pool);

#endif
