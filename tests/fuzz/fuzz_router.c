/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A raw request target, split, matched and decoded: nothing is read past its end, parameters point into it, a decoded
 * value is UTF-8 without U+0000, and no token is left in what is logged.
 */
#include "fuzz.h"

#include "glue/router.h"

static const mx_route_t rows[] = {
    { "GET", "/_matrix/client/versions", MX_CRED_NONE, MX_RATE_NONE, MX_BODY_NONE, NULL },
    { "GET", "/_matrix/client/(r0|v3)/rooms/{roomId}/state", MX_CRED_USER, MX_RATE_NONE, MX_BODY_NONE, NULL },
    { "GET", "/_matrix/client/(r0|v3)/rooms/{roomId}/state/{type}", MX_CRED_USER, MX_RATE_NONE, MX_BODY_NONE, NULL },
    { "GET", "/_matrix/client/(r0|v3)/rooms/{roomId}/state/{type}/{key}", MX_CRED_USER, MX_RATE_NONE, MX_BODY_NONE, NULL },
    { "PUT", "/_matrix/client/(r0|v3)/profile/{userId}/{key}", MX_CRED_USER, MX_RATE_NONE, MX_BODY_OBJECT, NULL },
    { "GET", "/_matrix/client/(r0|v3)/profile/{userId}/displayname", MX_CRED_USER, MX_RATE_NONE, MX_BODY_NONE, NULL },
};

static void check_decoded(const char *text)
{
    FUZZ_CHECK(mx_str_is_utf8(text, strlen(text)));
}

static void check_match(const mx_match_t *match, mx_slice_t path, apr_pool_t *pool)
{
    int i;
    for (i = 0; i < match->nparams; i++) {
        mx_slice_t raw = match->params[i].raw;
        char *value = mx_target_decode(raw, MX_DECODE_PATH, pool);
        FUZZ_CHECK(raw.p >= path.p && raw.p + raw.len <= path.p + path.len);
        FUZZ_CHECK(!raw.len || !memchr(raw.p, '/', raw.len));
        if (value)
            check_decoded(value);
    }
}

static int check_pair(void *unused, const char *key, const char *value)
{
    check_decoded(key);
    check_decoded(value);
    return 1;
}

/** Redacting twice changes nothing more, and what is left is no token. */
static void check_redacted(const char *target, apr_pool_t *pool)
{
    apr_size_t at = strcspn(target, "?");
    char *once, *twice;
    if (!target[at])
        return;
    once = mx_target_redact(target, at + 1, pool);
    if (!once)
        return;
    twice = mx_target_redact(once, at + 1, pool);
    FUZZ_CHECK(twice && strcmp(once, twice) == 0);
}

static void fuzz_one(const char *p, apr_size_t len, apr_pool_t *pool)
{
    const char *err, *target = mx_slice_dup(mx_slice(p, len), pool);
    mx_router_t *router = mx_router_create(&err, rows, (int)(sizeof(rows) / sizeof(rows[0])), pool);
    mx_slice_t path, query, bad;
    apr_table_t *pairs;
    mx_match_t match;
    FUZZ_CHECK(router != NULL);
    mx_target_split(&path, &query, target);
    FUZZ_CHECK(path.len + query.len <= len);
    path = mx_slice(apr_pmemdup(pool, path.p, path.len), path.len);      /* without the NUL that would hide reading past */
    if (mx_router_match(&match, router, "GET", path) == MX_ROUTE_FOUND)
        check_match(&match, path, pool);
    mx_target_is_ours(path);
    mx_target_is_sound(path);
    if (mx_target_query(&pairs, &bad, query, pool) == APR_SUCCESS)
        apr_table_do(check_pair, NULL, pairs, NULL);
    check_redacted(target, pool);
}
