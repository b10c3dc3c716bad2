/* SPDX-License-Identifier: Apache-2.0 */
/* The scanner accepts what the tree parser accepts, calls canonical what serialises to itself, and both scanners agree. */
#include "fuzz.h"

static void check_values(const mx_json_scan_t *scan, const mx_json_t *json, apr_pool_t *pool)
{
    int i;
    for (i = 0; i < scan->nmembers; i++) {
        mx_slice_t key = scan->members[i].key, value = scan->members[i].value, *items;
        const char *name = mx_json_scan_str(mx_slice(key.p - 1, key.len + 2), pool);
        const mx_json_t *j = name ? mx_json_get(json, name) : NULL;
        const char *decoded = mx_json_scan_str(value, pool);
        if (!name)                    /* U+0000 in the key */
            continue;
        FUZZ_CHECK(j != NULL);
        FUZZ_CHECK(mx_str_eq(decoded, mx_json_str(j)));
        FUZZ_CHECK(mx_json_scan_int(value, -7) == mx_json_int(j, -7));
        FUZZ_CHECK(mx_json_scan_array(&items, value, pool) == (mx_json_is(j, MX_JSON_ARRAY) ? (int)mx_json_len(j) : -1));
        FUZZ_CHECK(mx_json_scan_skip(value.p, value.p + value.len) == value.p + value.len);
    }
}

static void fuzz_one(const char *p, apr_size_t len, apr_pool_t *pool)
{
    mx_json_scan_t scan, trusted;
    mx_json_t *json;
    mx_slice_t canonical;
    int i, same;
    mx_json_fault_e parsed = mx_json_parse(&json, NULL, p, len, NULL, pool);
    if (mx_json_scan_object(&scan, p, len, NULL, pool) != MX_JSON_OK) {
        FUZZ_CHECK(parsed != MX_JSON_OK || !mx_json_is(json, MX_JSON_OBJECT));
        return;
    }
    mx_json_scan_trusted(&trusted, mx_slice(p, len), pool);
    FUZZ_CHECK(trusted.nmembers == scan.nmembers);
    for (i = 0; i < scan.nmembers; i++) {
        FUZZ_CHECK(mx_slice_eq(scan.members[i].key, trusted.members[i].key) && scan.members[i].key.p == trusted.members[i].key.p);
        FUZZ_CHECK(mx_slice_eq(scan.members[i].value, trusted.members[i].value));
    }
    if (parsed != MX_JSON_OK)         /* reals beyond a double: only the tree cannot hold them */
        return;
    canonical = fuzz_canonical(json, pool);
    same = canonical.len == len && memcmp(canonical.p, p, len) == 0;
    FUZZ_CHECK(scan.canonical == (same && !mx_json_has_uncanonical_number(json)));
    check_values(&scan, json, pool);
}
