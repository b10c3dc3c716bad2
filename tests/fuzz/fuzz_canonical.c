/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Canonical JSON against a second writer that is made from the definition alone: keys by their code points, the shortest escapes,
 * no white space; and canonical text reads back as the same tree. Appendices: canonical JSON.
 */
#include "fuzz.h"

typedef struct member_t {
    const char *key;
    const mx_json_t *value;
} member_t;

/** Keys are handed out as C strings: one that holds U+0000 cannot be written by the second writer. */
static int nul_in_key;

static void put(mx_buf_t *out, const mx_json_t *json, apr_pool_t *pool);

static void put_string(mx_buf_t *out, mx_slice_t text, apr_pool_t *pool)
{
    static const char letters[] = "btnfr", bytes[] = "\b\t\n\f\r";
    apr_size_t i;
    mx_buf_append_char(out, '"');
    for (i = 0; i < text.len; i++) {
        unsigned char c = (unsigned char)text.p[i];
        const char *short_one = c ? strchr(bytes, c) : NULL;
        if (short_one)
            mx_buf_append_str(out, apr_psprintf(pool, "\\%c", letters[short_one - bytes]));
        else if (c == '"' || c == '\\')
            mx_buf_append_str(out, apr_psprintf(pool, "\\%c", c));
        else if (c < ' ')
            mx_buf_append_str(out, apr_psprintf(pool, "\\u%04x", c));
        else
            mx_buf_append_char(out, (char)c);
    }
    mx_buf_append_char(out, '"');
}

/** Bytes of UTF-8 sort as their code points. */
static int by_key(const void *a, const void *b)
{
    return strcmp(((const member_t *)a)->key, ((const member_t *)b)->key);
}

static void put_object(mx_buf_t *out, const mx_json_t *json, apr_pool_t *pool)
{
    apr_size_t n = mx_json_len(json), i = 0;
    member_t *members = apr_palloc(pool, sizeof(*members) * (n + 1));
    mx_json_t *value;
    void *it = NULL;
    while (mx_json_next(json, &it, &members[i].key, &value)) {
        nul_in_key |= mx_json_get(json, members[i].key) != value;
        members[i++].value = value;
    }
    FUZZ_CHECK(i == n);
    qsort(members, n, sizeof(*members), by_key);
    mx_buf_append_char(out, '{');
    for (i = 0; i < n; i++) {
        if (i)
            mx_buf_append_char(out, ',');
        put_string(out, mx_slice_str(members[i].key), pool);
        mx_buf_append_char(out, ':');
        put(out, members[i].value, pool);
    }
    mx_buf_append_char(out, '}');
}

static void put_array(mx_buf_t *out, const mx_json_t *json, apr_pool_t *pool)
{
    apr_size_t i;
    mx_buf_append_char(out, '[');
    for (i = 0; i < mx_json_len(json); i++) {
        if (i)
            mx_buf_append_char(out, ',');
        put(out, mx_json_at(json, i), pool);
    }
    mx_buf_append_char(out, ']');
}

static void put(mx_buf_t *out, const mx_json_t *json, apr_pool_t *pool)
{
    switch (mx_json_type(json)) {
    case MX_JSON_OBJECT:
        put_object(out, json, pool);
        break;
    case MX_JSON_ARRAY:
        put_array(out, json, pool);
        break;
    case MX_JSON_STRING:
        put_string(out, mx_json_slice(json), pool);
        break;
    case MX_JSON_INT:
        mx_buf_append_str(out, apr_psprintf(pool, "%" APR_INT64_T_FMT, mx_json_int(json, 0)));
        break;
    case MX_JSON_BOOL:
        mx_buf_append_str(out, mx_json_bool(json, 0) ? "true" : "false");
        break;
    default:
        FUZZ_CHECK(mx_json_is(json, MX_JSON_NULL));
        mx_buf_append_str(out, "null");
        break;
    }
}

static void fuzz_one(const char *p, apr_size_t len, apr_pool_t *pool)
{
    mx_buf_t *second = mx_buf_create(pool);
    mx_json_t *json, *again;
    mx_slice_t canonical;
    if (mx_json_parse(&json, NULL, p, len, NULL, pool) != MX_JSON_OK || mx_json_has_uncanonical_number(json))
        return;
    canonical = fuzz_canonical(json, pool);
    nul_in_key = 0;
    put(second, json, pool);
    FUZZ_CHECK(nul_in_key || mx_slice_eq(canonical, mx_buf_slice(second)));
    FUZZ_CHECK(mx_json_parse(&again, NULL, canonical.p, canonical.len, NULL, pool) == MX_JSON_OK);
    FUZZ_CHECK(mx_json_equal(again, json));
    FUZZ_CHECK(mx_slice_eq(fuzz_canonical(again, pool), canonical));
}
