/* SPDX-License-Identifier: Apache-2.0 */
/* Bytes survive encoding; text that decodes has one canonical form, which decodes to the same. */
#include "fuzz.h"

#include "base/base64.h"

static void check_form(mx_base64_e form, const char *p, apr_size_t len, apr_pool_t *pool)
{
    unsigned char *out, *again;
    apr_size_t n, m;
    char *text = mx_base64_encode(form, p, len, pool);
    FUZZ_CHECK(strlen(text) == MX_BASE64_LEN(len));
    FUZZ_CHECK(mx_base64_decode(&out, &n, form, mx_slice_str(text), pool) == APR_SUCCESS);
    FUZZ_CHECK(n == len && (len == 0 || memcmp(out, p, len) == 0));
    if (mx_base64_decode(&out, &n, form, mx_slice(p, len), pool) != APR_SUCCESS)
        return;
    text = mx_base64_encode(form, out, n, pool);
    FUZZ_CHECK(mx_base64_decode(&again, &m, form, mx_slice_str(text), pool) == APR_SUCCESS);
    FUZZ_CHECK(m == n && (n == 0 || memcmp(out, again, n) == 0));
}

static void fuzz_one(const char *p, apr_size_t len, apr_pool_t *pool)
{
    check_form(MX_BASE64_STD, p, len, pool);
    check_form(MX_BASE64_URL, p, len, pool);
}
