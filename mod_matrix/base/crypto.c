/* SPDX-License-Identifier: Apache-2.0 */
/* OpenSSL (SHA, HMAC), libsodium (Ed25519, SipHash, sealing, comparison) and libxcrypt (passwords) behind one header. */
#include "base/crypto.h"

#include <crypt.h>
#include <errno.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <sodium.h>
#include <stdlib.h>
#include <sys/random.h>

const char mx_alphabet_alnum[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";
const char mx_alphabet_lower[] = "abcdefghijklmnopqrstuvwxyz";

/* Fetched once: looking an algorithm up costs as much as hashing a small event. Set before threads start, never changed. */
static EVP_MD *sha256_md;

apr_status_t mx_crypto_init(void)
{
    if (sodium_init() < 0)
        return APR_EGENERAL;
    if (!sha256_md)
        sha256_md = EVP_MD_fetch(NULL, "SHA256", NULL);
    return sha256_md ? APR_SUCCESS : APR_EGENERAL;
}

/** A hash that cannot be computed would become a wrong event id: there is nothing to go on with. */
static void crypto_must(int ok)
{
    if (!ok)
        abort();
}

void mx_sha256_slices(unsigned char out[MX_SHA256_BYTES], const mx_slice_t *parts, int nparts)
{
    EVP_MD_CTX *ctx = EVP_MD_CTX_new();
    int i;
    crypto_must(ctx && EVP_DigestInit_ex(ctx, sha256_md, NULL) == 1);
    for (i = 0; i < nparts; i++) {
        if (parts[i].len)
            crypto_must(EVP_DigestUpdate(ctx, parts[i].p, parts[i].len) == 1);
    }
    crypto_must(EVP_DigestFinal_ex(ctx, out, NULL) == 1);
    EVP_MD_CTX_free(ctx);
}

void mx_sha256(unsigned char out[MX_SHA256_BYTES], const void *p, apr_size_t len)
{
    mx_slice_t part = mx_slice(p, len);
    mx_sha256_slices(out, &part, 1);
}

void mx_sha1(unsigned char out[MX_SHA1_BYTES], const void *p, apr_size_t len)
{
    crypto_must(EVP_Digest(p, len, out, NULL, EVP_sha1(), NULL) == 1);
}

static void hmac(unsigned char *out, unsigned int len, const EVP_MD *md, mx_slice_t key, mx_slice_t text)
{
    unsigned int n = 0;
    crypto_must(HMAC(md, key.p ? key.p : "", (int)key.len, (const unsigned char *)(text.p ? text.p : ""), text.len, out, &n)
                != NULL);
    crypto_must(n == len);
}

void mx_hmac_sha1(unsigned char out[20], mx_slice_t key, mx_slice_t text)
{
    hmac(out, 20, EVP_sha1(), key, text);
}

void mx_hmac_sha256(unsigned char out[32], mx_slice_t key, mx_slice_t text)
{
    hmac(out, 32, EVP_sha256(), key, text);
}

apr_uint64_t mx_keyed_hash(const unsigned char key[MX_KEYED_HASH_KEY_BYTES], const void *p, apr_size_t len)
{
    unsigned char out[crypto_shorthash_BYTES];
    apr_uint64_t hash;
    crypto_shorthash(out, p, len, key);
    memcpy(&hash, out, sizeof(hash));
    return hash;
}

void mx_random_bytes(void *out, apr_size_t len)
{
    unsigned char *p = out;
    while (len) {
        ssize_t n = getrandom(p, len, 0);
        if (n < 0) {
            crypto_must(errno == EINTR);
            continue;
        }
        p += n;
        len -= (apr_size_t)n;
    }
}

char *mx_random_string(const char *alphabet, apr_size_t len, apr_pool_t *pool)
{
    apr_size_t letters = strlen(alphabet), done = 0, i;
    unsigned int fair = 256 - 256 % (unsigned int)letters;     /* bytes past it would favour the first letters */
    unsigned char bytes[64];
    char *s = apr_palloc(pool, len + 1);
    while (done < len) {
        mx_random_bytes(bytes, sizeof(bytes));
        for (i = 0; i < sizeof(bytes) && done < len; i++) {
            if (bytes[i] < fair)
                s[done++] = alphabet[bytes[i] % letters];
        }
    }
    s[len] = '\0';
    return s;
}

void mx_ed25519_from_seed(mx_ed25519_key_t *key, const unsigned char seed[MX_ED25519_SEED_BYTES])
{
    crypto_must(crypto_sign_seed_keypair(key->public, key->secret, seed) == 0);
}

void mx_ed25519_sign(unsigned char sig[MX_ED25519_SIGNATURE_BYTES], const mx_ed25519_key_t *key, const void *p, apr_size_t len)
{
    crypto_must(crypto_sign_detached(sig, NULL, p, len, key->secret) == 0);
}

int mx_ed25519_verify(const unsigned char sig[MX_ED25519_SIGNATURE_BYTES], const unsigned char public_key[MX_ED25519_PUBLIC_BYTES],
                      const void *p, apr_size_t len)
{
    return crypto_sign_verify_detached(sig, p, len, public_key) == 0;
}

mx_slice_t mx_seal(const unsigned char key[MX_SEAL_KEY_BYTES], mx_slice_t plain, apr_pool_t *pool)
{
    apr_size_t len = crypto_secretbox_NONCEBYTES + crypto_secretbox_MACBYTES + plain.len;
    unsigned char *out = apr_palloc(pool, len);
    mx_random_bytes(out, crypto_secretbox_NONCEBYTES);
    crypto_must(crypto_secretbox_easy(out + crypto_secretbox_NONCEBYTES, (const unsigned char *)plain.p, plain.len, out, key) == 0);
    return mx_slice((char *)out, len);
}

apr_status_t mx_unseal(mx_slice_t *pplain, const unsigned char key[MX_SEAL_KEY_BYTES], mx_slice_t sealed, apr_pool_t *pool)
{
    const unsigned char *p = (const unsigned char *)sealed.p;
    apr_size_t head = crypto_secretbox_NONCEBYTES + crypto_secretbox_MACBYTES;
    unsigned char *out;
    if (sealed.len < head)
        return APR_EINVAL;
    out = apr_palloc(pool, sealed.len - head + 1);
    if (crypto_secretbox_open_easy(out, p + crypto_secretbox_NONCEBYTES, sealed.len - crypto_secretbox_NONCEBYTES, p, key) != 0)
        return APR_EINVAL;
    *pplain = mx_slice((char *)out, sealed.len - head);
    return APR_SUCCESS;
}

int mx_equal_consttime(const void *a, const void *b, apr_size_t len)
{
    return sodium_memcmp(a, b, len) == 0;
}

apr_status_t mx_password_hash(char **phash, const char *password, int cost, apr_pool_t *pool)
{
    char salt[CRYPT_GENSALT_OUTPUT_SIZE], random[32];
    struct crypt_data *data;
    const char *hash;
    apr_status_t rv = APR_EGENERAL;
    if (strlen(password) > MX_PASSWORD_MAX_BYTES)
        return APR_EINVAL;
    mx_random_bytes(random, sizeof(random));
    if (!crypt_gensalt_rn("$y$", (unsigned long)cost, random, (int)sizeof(random), salt, (int)sizeof(salt)))
        return APR_EINVAL;
    data = calloc(1, sizeof(*data));
    if (!data)
        return APR_ENOMEM;
    hash = crypt_r(password, salt, data);
    if (hash && hash[0] != '*') {
        *phash = apr_pstrdup(pool, hash);
        rv = APR_SUCCESS;
    }
    OPENSSL_cleanse(data, sizeof(*data));
    free(data);
    return rv;
}

int mx_password_verify(const char *password, const char *hash)
{
    struct crypt_data *data = calloc(1, sizeof(*data));
    const char *again;
    int good;
    if (!data)
        return 0;
    again = crypt_r(password, hash, data);
    good = again && again[0] != '*' && strlen(again) == strlen(hash) && mx_equal_consttime(again, hash, strlen(hash));
    OPENSSL_cleanse(data, sizeof(*data));
    free(data);
    return good;
}
