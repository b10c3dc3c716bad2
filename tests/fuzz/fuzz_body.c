/* SPDX-License-Identifier: Apache-2.0 */
/* A stored body is unpacked or refused, never longer than an event; what is packed comes back. */
#include "fuzz.h"

#include "store/body.h"

static void fuzz_one(const char *p, apr_size_t len, apr_pool_t *pool)
{
    static mx_store_body_t *body;
    static apr_pool_t *forever;
    mx_slice_t out, back;
    if (!body) {
        apr_pool_create(&forever, NULL);
        FUZZ_CHECK(mx_store_body_create(&body, forever) == APR_SUCCESS);
    }
    if (mx_store_body_unpack(&out, body, mx_slice(p, len), pool) == APR_SUCCESS)
        FUZZ_CHECK(out.p == p || out.len <= MX_STORE_BODY_MAX_BYTES);
    if (len && *p == MX_ZIP_FIRST_BYTE)
        return;
    out = mx_store_body_pack(body, mx_slice(p, len), pool);
    FUZZ_CHECK(out.len <= len);
    FUZZ_CHECK(mx_store_body_unpack(&back, body, out, pool) == APR_SUCCESS);
    FUZZ_CHECK(back.len == len && (!len || memcmp(back.p, p, len) == 0));
}
