/* SPDX-License-Identifier: Apache-2.0 */
/* What parses can be written and parsed again without change; canonical text is a fixed point. */
#include "fuzz.h"

static void fuzz_one(const char *p, apr_size_t len, apr_pool_t *pool)
{
    mx_json_t *json, *again;
    const char *why = NULL;
    mx_buf_t *plain = mx_buf_create(pool);
    mx_slice_t canonical;
    int is_canonical = -1;
    if (mx_json_parse(&json, &why, p, len, NULL, pool) != MX_JSON_OK) {
        FUZZ_CHECK(why != NULL);
        return;
    }
    FUZZ_CHECK(mx_str_is_utf8(p, len));
    canonical = fuzz_canonical(json, pool);
    FUZZ_CHECK(mx_json_parse(&again, &why, canonical.p, canonical.len, NULL, pool) == MX_JSON_OK);
    FUZZ_CHECK(mx_slice_eq(fuzz_canonical(again, pool), canonical));
    FUZZ_CHECK(mx_json_scan_check(NULL, &is_canonical, canonical.p, canonical.len, NULL) == MX_JSON_OK);
    FUZZ_CHECK(is_canonical == !mx_json_has_uncanonical_number(again));
    mx_json_write(plain, json);
    FUZZ_CHECK(mx_json_parse(&again, &why, plain->p, plain->len, NULL, pool) == MX_JSON_OK);
    FUZZ_CHECK(mx_slice_eq(fuzz_canonical(again, pool), canonical));
    FUZZ_CHECK(mx_json_equal(mx_json_copy(pool, json), json));
}
