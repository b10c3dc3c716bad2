/* SPDX-License-Identifier: Apache-2.0 */
/* Request targets: splitting, percent-decoding, keeping tokens out of logs. */
#include "glue/router.h"

#include <strings.h>

#define REDACTED "redacted"
#define TOKEN_PARAMETER "access_token"

static int hex_value(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    if (c >= 'A' && c <= 'F')
        return c - 'A' + 10;
    return -1;
}

/** The authority of an absolute-form target ends at the first '/', '?' or the end. */
static const char *skip_authority(const char *target)
{
    const char *p = strstr(target, "://");
    if (!p || p == target || memchr(target, '/', (apr_size_t)(p - target)))
        return "";
    p += 3;
    return p + strcspn(p, "/?");
}

void mx_target_split(mx_slice_t *ppath, mx_slice_t *pquery, const char *target)
{
    const char *p = *target == '/' ? target : skip_authority(target);
    apr_size_t len = strcspn(p, "?");
    *ppath = mx_slice(p, len);
    *pquery = p[len] == '?' ? mx_slice_str(p + len + 1) : MX_SLICE_NONE;
}

static int path_is_under(mx_slice_t path, mx_slice_t prefix)
{
    return path.len >= prefix.len && memcmp(path.p, prefix.p, prefix.len) == 0
           && (path.len == prefix.len || path.p[prefix.len] == '/');
}

int mx_target_is_ours(mx_slice_t path)
{
    return path_is_under(path, MX_SLICE_LIT("/_matrix")) || path_is_under(path, MX_SLICE_LIT("/.well-known/matrix"))
           || path_is_under(path, MX_SLICE_LIT("/_synapse/admin"));
}

/** Length of a dot at p, plain or as %2E; 0 if there is none. */
static apr_size_t dot_length(const char *p, const char *end)
{
    if (p < end && *p == '.')
        return 1;
    return end - p >= 3 && p[0] == '%' && p[1] == '2' && (p[2] == 'e' || p[2] == 'E') ? 3 : 0;
}

static int segment_is_dots(const char *p, const char *end)
{
    apr_size_t first = dot_length(p, end);
    if (!first)
        return 0;
    p += first;
    return p == end || p + dot_length(p, end) == end;
}

static int escapes_are_sound(mx_slice_t path)
{
    const char *p = path.p, *end = path.p + path.len;
    while (p < end && (p = memchr(p, '%', (apr_size_t)(end - p)))) {
        if (end - p < 3 || hex_value(p[1]) < 0 || hex_value(p[2]) < 0)
            return 0;
        p += 3;
    }
    return 1;
}

int mx_target_is_sound(mx_slice_t path)
{
    const char *p = path.p, *end = path.p + path.len;
    while (p < end) {
        const char *slash = memchr(p, '/', (apr_size_t)(end - p));
        const char *stop = slash ? slash : end;
        if (stop > p && (*p == '.' || *p == '%') && segment_is_dots(p, stop))
            return 0;
        p = stop + 1;
    }
    return escapes_are_sound(path);
}

apr_ssize_t mx_target_decode_to(char *out, mx_slice_t raw, mx_decode_e form)
{
    apr_size_t i, n = 0;
    for (i = 0; i < raw.len; i++) {
        char c = raw.p[i];
        if (c == '%') {
            int high = i + 2 < raw.len ? hex_value(raw.p[i + 1]) : -1;
            int low = high >= 0 ? hex_value(raw.p[i + 2]) : -1;
            if (low < 0)
                return -1;
            c = (char)(high * 16 + low);
            i += 2;
        }
        else if (c == '+' && form == MX_DECODE_QUERY)
            c = ' ';
        if (!c)
            return -1;
        out[n++] = c;
    }
    return (apr_ssize_t)n;
}

char *mx_target_decode(mx_slice_t raw, mx_decode_e form, apr_pool_t *pool)
{
    char *out = apr_palloc(pool, raw.len + 1);
    apr_ssize_t n = mx_target_decode_to(out, raw, form);
    if (n < 0 || !mx_str_is_utf8(out, (apr_size_t)n))
        return NULL;
    out[n] = '\0';
    return out;
}

/** Cuts the next pair off the query; 0 at its end. Empty pairs ("a=1&&b=2") are skipped. */
static int next_pair(mx_slice_t *pname, mx_slice_t *pvalue, mx_slice_t *query)
{
    while (query->len) {
        const char *amp = memchr(query->p, '&', query->len);
        mx_slice_t pair = mx_slice(query->p, amp ? (apr_size_t)(amp - query->p) : query->len);
        const char *eq = pair.len ? memchr(pair.p, '=', pair.len) : NULL;
        apr_size_t used = pair.len + (amp ? 1 : 0);
        *query = mx_slice(query->p + used, query->len - used);
        if (!pair.len)
            continue;
        *pname = mx_slice(pair.p, eq ? (apr_size_t)(eq - pair.p) : pair.len);
        *pvalue = eq ? mx_slice(eq + 1, pair.len - pname->len - 1) : mx_slice(pair.p + pair.len, 0);
        return 1;
    }
    return 0;
}

apr_status_t mx_target_query(apr_table_t **pquery, mx_slice_t *pbad, mx_slice_t query, apr_pool_t *pool)
{
    apr_table_t *table = apr_table_make(pool, query.len ? 8 : 0);
    mx_slice_t name, value;
    while (next_pair(&name, &value, &query)) {
        char *key = mx_target_decode(name, MX_DECODE_QUERY, pool);
        char *val = mx_target_decode(value, MX_DECODE_QUERY, pool);
        if (!key || !val) {
            *pbad = name;
            return APR_EINVAL;
        }
        apr_table_addn(table, key, val);
    }
    *pquery = table;
    return APR_SUCCESS;
}

/** 1 if the raw name decodes to access_token. */
static int is_token_name(mx_slice_t name)
{
    char buf[3 * sizeof(TOKEN_PARAMETER)];
    apr_ssize_t n;
    if (name.len >= sizeof(buf))
        return 0;
    n = mx_target_decode_to(buf, name, MX_DECODE_QUERY);
    return n == (apr_ssize_t)strlen(TOKEN_PARAMETER) && strncasecmp(buf, TOKEN_PARAMETER, (apr_size_t)n) == 0;
}

/** Where the query's end is: a blank stands before "HTTP/1.1" in a request line. */
static apr_size_t query_length(const char *query)
{
    return strcspn(query, " \t");
}

/** Copies the pairs of a query, tokens replaced; returns how many were. */
static int redact_query(char *out, apr_size_t *plen, mx_slice_t query)
{
    const char *end = query.p + query.len;
    mx_slice_t name, value;
    int found = 0;
    apr_size_t n = 0;
    while (next_pair(&name, &value, &query)) {
        int has_value = name.p + name.len < end && name.p[name.len] == '=';
        int token = has_value && is_token_name(name);
        mx_slice_t shown = token ? MX_SLICE_LIT(REDACTED) : value;
        if (n)
            out[n++] = '&';
        memcpy(out + n, name.p, name.len);
        n += name.len;
        if (has_value)
            out[n++] = '=';
        memcpy(out + n, shown.p, shown.len);
        n += shown.len;
        found += token;
    }
    *plen = n;
    return found;
}

char *mx_target_redact(const char *text, apr_size_t query_at, apr_pool_t *pool)
{
    mx_slice_t query = mx_slice(text + query_at, query_length(text + query_at));
    const char *tail = query.p + query.len;
    apr_size_t len, tail_len = strlen(tail);
    char *out = apr_palloc(pool, query_at + query.len * sizeof(REDACTED) + tail_len + 1);
    if (!redact_query(out + query_at, &len, query))
        return NULL;
    memcpy(out, text, query_at);
    memcpy(out + query_at + len, tail, tail_len + 1);
    return out;
}

int mx_target_has_token(mx_slice_t query)
{
    mx_slice_t name, value;
    while (next_pair(&name, &value, &query)) {
        if (is_token_name(name))
            return 1;
    }
    return 0;
}
