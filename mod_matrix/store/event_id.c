/* SPDX-License-Identifier: Apache-2.0 */
/* Event ids between their text and the bytes that the database holds. */
#include "store/event_id.h"

#include "base/base64.h"

#define HASH_BYTES 32
#define HASH_ID_CHARS 44       /* $ and MX_BASE64_LEN(HASH_BYTES) */

/** The 32 bytes if the id is exactly what unpacking them gives: other spellings stay text. */
static int pack_hash(mx_slice_t *out, const char *event_id, apr_pool_t *pool)
{
    char again[HASH_ID_CHARS];
    unsigned char *bytes;
    apr_size_t len;
    if (strlen(event_id) != HASH_ID_CHARS || event_id[0] != '$')
        return 0;
    if (mx_base64_decode(&bytes, &len, MX_BASE64_URL, mx_slice(event_id + 1, HASH_ID_CHARS - 1), pool) != APR_SUCCESS
        || len != HASH_BYTES)
        return 0;
    mx_base64_encode_to(again, MX_BASE64_URL, bytes, HASH_BYTES);
    if (memcmp(again, event_id + 1, HASH_ID_CHARS - 1) != 0)
        return 0;
    *out = mx_slice((const char *)bytes, HASH_BYTES);
    return 1;
}

mx_slice_t mx_store_event_id_pack(const char *event_id, apr_pool_t *pool)
{
    mx_slice_t out;
    apr_size_t len;
    if (pack_hash(&out, event_id, pool))
        return out;
    len = strlen(event_id);
    return mx_slice(apr_pstrmemdup(pool, event_id, len), len == HASH_BYTES ? len + 1 : len);
}

int mx_store_event_id_unpack_to(char out[HASH_ID_CHARS + 1], mx_slice_t packed)
{
    if (packed.len != HASH_BYTES)
        return 0;
    out[0] = '$';
    mx_base64_encode_to(out + 1, MX_BASE64_URL, packed.p, HASH_BYTES);
    out[HASH_ID_CHARS] = '\0';
    return 1;
}

const char *mx_store_event_id_unpack(mx_slice_t packed, apr_pool_t *pool)
{
    char *out;
    if (packed.len != HASH_BYTES)
        return mx_slice_dup(packed, pool);      /* a NUL at its end ends the string as well */
    out = apr_palloc(pool, HASH_ID_CHARS + 1);
    mx_store_event_id_unpack_to(out, packed);
    return out;
}
