/* SPDX-License-Identifier: Apache-2.0 */
/* Hashes, Ed25519, random bytes, password hashes. base/crypto.c alone knows OpenSSL, libsodium and libxcrypt. All thread-safe. */
#ifndef MX_BASE_CRYPTO_H
#define MX_BASE_CRYPTO_H

#include "base/str.h"

#define MX_SHA1_BYTES 20
#define MX_SHA256_BYTES 32
#define MX_ED25519_SEED_BYTES 32
#define MX_ED25519_PUBLIC_BYTES 32
#define MX_ED25519_SIGNATURE_BYTES 64

/** Once per process before any other call. */
apr_status_t mx_crypto_init(void);

void mx_sha256(unsigned char out[MX_SHA256_BYTES], const void *p, apr_size_t len);
/** Hashes several slices as if they were one text. */
void mx_sha256_slices(unsigned char out[MX_SHA256_BYTES], const mx_slice_t *parts, int nparts);
/** Only where the protocol asks for it (state resolution of room version 1). */
void mx_sha1(unsigned char out[MX_SHA1_BYTES], const void *p, apr_size_t len);
void mx_hmac_sha1(unsigned char out[20], mx_slice_t key, mx_slice_t text);
void mx_hmac_sha256(unsigned char out[32], mx_slice_t key, mx_slice_t text);

#define MX_KEYED_HASH_KEY_BYTES 16
/** SipHash-2-4: for hash tables whose keys strangers choose. */
apr_uint64_t mx_keyed_hash(const unsigned char key[MX_KEYED_HASH_KEY_BYTES], const void *p, apr_size_t len);

/** Cryptographically secure random bytes. */
void mx_random_bytes(void *out, apr_size_t len);
/** `len` characters drawn evenly from `alphabet`, NUL-terminated, in `pool`. */
char *mx_random_string(const char *alphabet, apr_size_t len, apr_pool_t *pool);
extern const char mx_alphabet_alnum[];   /* A-Z a-z 0-9 */
extern const char mx_alphabet_lower[];   /* a-z */

typedef struct mx_ed25519_key_t {
    unsigned char secret[64];     /* libsodium's form: seed and public key */
    unsigned char public[MX_ED25519_PUBLIC_BYTES];
} mx_ed25519_key_t;

void mx_ed25519_from_seed(mx_ed25519_key_t *key, const unsigned char seed[MX_ED25519_SEED_BYTES]);
void mx_ed25519_sign(unsigned char sig[MX_ED25519_SIGNATURE_BYTES], const mx_ed25519_key_t *key, const void *p, apr_size_t len);
/** 1 if the signature is that of `public_key` over the bytes. */
int mx_ed25519_verify(const unsigned char sig[MX_ED25519_SIGNATURE_BYTES], const unsigned char public_key[MX_ED25519_PUBLIC_BYTES],
                      const void *p, apr_size_t len);

#define MX_SEAL_KEY_BYTES 32
/** Encrypts and authenticates (XSalsa20-Poly1305, random nonce) what the database keeps but must not be able to read; in `pool`. */
mx_slice_t mx_seal(const unsigned char key[MX_SEAL_KEY_BYTES], mx_slice_t plain, apr_pool_t *pool);
/** APR_EINVAL if it was sealed with another key or changed since. */
apr_status_t mx_unseal(mx_slice_t *pplain, const unsigned char key[MX_SEAL_KEY_BYTES], mx_slice_t sealed, apr_pool_t *pool);

/** Equal in time that does not depend on the content. */
int mx_equal_consttime(const void *a, const void *b, apr_size_t len);

#define MX_PASSWORD_MAX_BYTES 511   /* crypt(3)'s own limit, less the NUL */
/**
 * A crypt(3) hash of the password: yescrypt at `cost` (1 to 11), in `pool`. Slow on purpose: never under a lock.
 * APR_EINVAL for a password or a cost beyond the limits.
 */
apr_status_t mx_password_hash(char **phash, const char *password, int cost, apr_pool_t *pool);
/** 1 if the password fits the stored crypt(3) hash (yescrypt, bcrypt $2a/$2b/$2y, sha512...). */
int mx_password_verify(const char *password, const char *hash);

#endif
