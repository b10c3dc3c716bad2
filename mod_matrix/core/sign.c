/* SPDX-License-Identifier: Apache-2.0 */
/* Signs JSON objects and checks signatures. Appendices: signing JSON. */
#include "core/sign.h"

#include "base/base64.h"

#define KEY_VERSION_RANDOM_CHARS 4

static int is_key_version(const char *s)
{
    const char *p;
    for (p = s; *p; p++) {
        if (!strchr(mx_alphabet_alnum, *p) && *p != '_')
            return 0;
    }
    return p > s;
}

apr_status_t mx_signing_key_parse(mx_signing_key_t *out, const char **perr, const char *text, apr_pool_t *pool)
{
    char *line = apr_pstrdup(pool, text), *state, *algorithm, *version, *encoded;
    unsigned char *seed;
    apr_size_t len;
    algorithm = apr_strtok(line, " \t\r\n", &state);
    version = algorithm ? apr_strtok(NULL, " \t\r\n", &state) : NULL;
    encoded = version ? apr_strtok(NULL, " \t\r\n", &state) : NULL;
    if (!encoded || strcmp(algorithm, "ed25519") != 0 || !is_key_version(version)) {
        *perr = "The key's line does not read `ed25519 <version> <seed>`.";
        return APR_EINVAL;
    }
    if (mx_base64_decode(&seed, &len, MX_BASE64_STD, mx_slice_str(encoded), pool) != APR_SUCCESS || len != MX_ED25519_SEED_BYTES) {
        *perr = "The key's seed is not 32 bytes of base64.";
        return APR_EINVAL;
    }
    out->key_id = apr_pstrcat(pool, "ed25519:", version, NULL);
    mx_ed25519_from_seed(&out->key, seed);
    return APR_SUCCESS;
}

char *mx_signing_key_generate(apr_pool_t *pool)
{
    unsigned char seed[MX_ED25519_SEED_BYTES];
    mx_random_bytes(seed, sizeof(seed));
    return apr_psprintf(pool, "ed25519 a_%s %s\n", mx_random_string(mx_alphabet_alnum, KEY_VERSION_RANDOM_CHARS, pool),
                        mx_base64_encode(MX_BASE64_STD, seed, sizeof(seed), pool));
}

mx_slice_t mx_sign_text(const mx_json_t *obj, apr_pool_t *pool)
{
    mx_json_t *bare = mx_json_copy_object(pool, obj);
    mx_buf_t *buf = mx_buf_create(pool);
    mx_json_del(bare, "signatures");
    mx_json_del(bare, "unsigned");
    mx_json_write_canonical(buf, bare);
    return mx_buf_slice(buf);
}

/** The object under `key`, made if it is not there. */
static mx_json_t *child_object(mx_json_t *obj, const char *key, apr_pool_t *pool)
{
    mx_json_t *child = mx_json_get(obj, key);
    if (!mx_json_is(child, MX_JSON_OBJECT)) {
        child = mx_json_new_object(pool);
        mx_json_set(obj, key, child);
    }
    return child;
}

void mx_sign_json(mx_json_t *obj, const char *entity, const mx_signing_key_t *key, apr_pool_t *pool)
{
    unsigned char sig[MX_ED25519_SIGNATURE_BYTES];
    mx_slice_t text = mx_sign_text(obj, pool);
    mx_ed25519_sign(sig, &key->key, text.p, text.len);
    mx_json_set_str(child_object(child_object(obj, "signatures", pool), entity, pool), key->key_id,
                    mx_base64_encode(MX_BASE64_STD, sig, sizeof(sig), pool));
}

int mx_sign_verify_json(const mx_json_t *obj, const char *entity, const char *key_id,
                        const unsigned char public_key[MX_ED25519_PUBLIC_BYTES], apr_pool_t *pool)
{
    const char *encoded = mx_json_get_str(mx_json_get(mx_json_get(obj, "signatures"), entity), key_id);
    unsigned char *sig;
    apr_size_t len;
    mx_slice_t text;
    if (!encoded || mx_base64_decode(&sig, &len, MX_BASE64_STD, mx_slice_str(encoded), pool) != APR_SUCCESS
        || len != MX_ED25519_SIGNATURE_BYTES)
        return 0;
    text = mx_sign_text(obj, pool);
    return mx_ed25519_verify(sig, public_key, text.p, text.len);
}
