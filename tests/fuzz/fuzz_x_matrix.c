/* SPDX-License-Identifier: Apache-2.0 */
/* An X-Matrix header is refused as 401 with a reason, or falls into parts that make a header of the same parts. */
#include "fuzz.h"

#include "core/ident.h"
#include "core/x_matrix.h"

static void fuzz_one(const char *p, apr_size_t len, apr_pool_t *pool)
{
    mx_x_matrix_t read = { 0 }, again = { 0 };
    const mx_error_t *err = mx_x_matrix_parse(&read, mx_slice(p, len), pool);
    if (err) {
        FUZZ_CHECK(err->status == 401 && err->message && !read.origin);
        FUZZ_CHECK(mx_str_is_utf8(err->message, strlen(err->message)));
        return;
    }
    FUZZ_CHECK(len <= MX_X_MATRIX_MAX_BYTES && mx_x_matrix_is(mx_slice(p, len)));
    FUZZ_CHECK(mx_ident_is_server_name(read.origin) && strchr(read.key, ':') && *read.sig);
    FUZZ_CHECK(!read.destination || mx_ident_is_server_name(read.destination));
    if (!read.destination)
        read.destination = "h";
    if (strpbrk(read.key, "\"\\") || strpbrk(read.sig, "\"\\"))   /* ours have none, so they are not escaped */
        return;
    p = mx_x_matrix_write(&read, pool);
    FUZZ_CHECK(strlen(p) > MX_X_MATRIX_MAX_BYTES || mx_x_matrix_parse(&again, mx_slice_str(p), pool) == NULL);
    FUZZ_CHECK(!again.origin || (mx_str_eq(again.origin, read.origin) && mx_str_eq(again.destination, read.destination)));
    FUZZ_CHECK(!again.origin || (mx_str_eq(again.key, read.key) && mx_str_eq(again.sig, read.sig)));
}
