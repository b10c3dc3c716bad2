/* SPDX-License-Identifier: Apache-2.0 */
/* The trusting scanner: finds its way in text that is known to be valid JSON, and decodes single values of it. */
#include "base/json_scan_private.h"

void mx_members_init(mx_members_t *m, apr_pool_t *pool)
{
    m->items = m->first;
    m->n = 0;
    m->cap = MX_MEMBERS_INLINE;
    m->pool = pool;
}

void mx_members_add(mx_members_t *m, mx_slice_t key, mx_slice_t value)
{
    if (m->n == m->cap) {
        mx_json_member_t *more = apr_palloc(m->pool, sizeof(*more) * (apr_size_t)m->cap * 2);
        memcpy(more, m->items, sizeof(*more) * (apr_size_t)m->n);
        m->items = more;
        m->cap *= 2;
    }
    m->items[m->n].key = key;
    m->items[m->n].value = value;
    m->n++;
}

void mx_members_finish(mx_json_scan_t *out, mx_members_t *m)
{
    out->members = m->items == m->first ? apr_pmemdup(m->pool, m->first, sizeof(*m->first) * (apr_size_t)m->n) : m->items;
    out->nmembers = m->n;
}

/** p stands on the opening quote; the result after the closing one. */
static const char *skip_string(const char *p, const char *end)
{
    p++;
    while (p < end) {
        while (end - p >= WORD_BYTES) {
            uint64_t w;
            memcpy(&w, p, WORD_BYTES);
            if (mx_word_has_quote(w))
                break;
            p += WORD_BYTES;
        }
        while (p < end && *p != '"' && *p != '\\')
            p++;
        if (p == end || *p == '"')
            break;
        p += 2;
    }
    return p < end ? p + 1 : end;
}

const char *mx_json_scan_skip(const char *p, const char *end)
{
    int depth = 0;
    if (p < end && *p != '{' && *p != '[') {
        if (*p == '"')
            return skip_string(p, end);
        while (p < end && *p != ',' && *p != '}' && *p != ']' && *p != ' ' && *p != '\n' && *p != '\t' && *p != '\r')
            p++;
        return p;
    }
    while (p < end) {
        if (*p == '"') {
            p = skip_string(p, end);
            continue;
        }
        if (*p == '{' || *p == '[')
            depth++;
        else if ((*p == '}' || *p == ']') && --depth == 0)
            return p + 1;
        p++;
    }
    return end;
}

void mx_json_scan_trusted(mx_json_scan_t *out, mx_slice_t text, apr_pool_t *pool)
{
    const char *end = text.p + text.len;
    const char *p = mx_json_skip_space(text.p, end);
    mx_members_t members;
    mx_members_init(&members, pool);
    if (p < end && *p == '{')
        p = mx_json_skip_space(p + 1, end);
    while (p < end && *p == '"') {
        const char *after = skip_string(p, end);
        mx_slice_t key = mx_slice(p + 1, (apr_size_t)(after - p) - 2);
        p = mx_json_skip_space(mx_json_skip_space(after, end) + 1, end);      /* the colon */
        after = mx_json_scan_skip(p, end);
        mx_members_add(&members, key, mx_slice(p, (apr_size_t)(after - p)));
        p = mx_json_skip_space(after, end);
        if (p < end && *p == ',')
            p = mx_json_skip_space(p + 1, end);
    }
    mx_members_finish(out, &members);
    out->canonical = 0;
}

mx_slice_t mx_json_scan_get(const mx_json_scan_t *scan, const char *key)
{
    apr_size_t len = strlen(key);
    int i;
    for (i = 0; i < scan->nmembers; i++) {
        if (scan->members[i].key.len == len && memcmp(scan->members[i].key.p, key, len) == 0)
            return scan->members[i].value;
    }
    return MX_SLICE_NONE;
}

int mx_json_scan_array(mx_slice_t **pitems, mx_slice_t text, apr_pool_t *pool)
{
    mx_slice_t first[MX_MEMBERS_INLINE], *items = first;
    int n = 0, cap = MX_MEMBERS_INLINE;
    const char *p, *end;
    if (!text.len || *text.p != '[')
        return -1;
    end = text.p + text.len;
    p = mx_json_skip_space(text.p + 1, end);
    while (p < end && *p != ']') {
        const char *after = mx_json_scan_skip(p, end);
        if (n == cap) {
            mx_slice_t *more = apr_palloc(pool, sizeof(*more) * (apr_size_t)cap * 2);
            memcpy(more, items, sizeof(*more) * (apr_size_t)n);
            items = more;
            cap *= 2;
        }
        items[n++] = mx_slice(p, (apr_size_t)(after - p));
        p = mx_json_skip_space(after, end);
        if (p < end && *p == ',')
            p = mx_json_skip_space(p + 1, end);
    }
    *pitems = items == first ? apr_pmemdup(pool, first, sizeof(*first) * (apr_size_t)n) : items;
    return n;
}

static unsigned int hex4_trusted(const char *p)
{
    unsigned int value = 0;
    int i;
    for (i = 0; i < 4; i++)
        value = value << 4 | (unsigned int)(p[i] <= '9' ? p[i] - '0' : (p[i] | 0x20) - 'a' + 10);
    return value;
}

/** p stands on a backslash of a valid string; *pcode is the character, the result the byte after the escape. */
static const char *decode_escape(unsigned int *pcode, const char *p)
{
    static const char letters[] = "bfnrt", codes[] = "\b\f\n\r\t";
    const char *found;
    unsigned int code;
    if (p[1] != 'u') {
        found = strchr(letters, p[1]);
        *pcode = (unsigned char)(found && *found ? codes[found - letters] : p[1]);
        return p + 2;
    }
    code = hex4_trusted(p + 2);
    p += 6;
    if (code >= 0xD800 && code <= 0xDBFF) {
        code = 0x10000 + ((code - 0xD800) << 10) + (hex4_trusted(p + 2) - 0xDC00);
        p += 6;
    }
    *pcode = code;
    return p;
}

static char *encode_utf8(char *q, unsigned int code)
{
    if (code < 0x80)
        *q++ = (char)code;
    else if (code < 0x800) {
        *q++ = (char)(0xC0 | code >> 6);
        *q++ = (char)(0x80 | (code & 0x3F));
    } else if (code < 0x10000) {
        *q++ = (char)(0xE0 | code >> 12);
        *q++ = (char)(0x80 | (code >> 6 & 0x3F));
        *q++ = (char)(0x80 | (code & 0x3F));
    } else {
        *q++ = (char)(0xF0 | code >> 18);
        *q++ = (char)(0x80 | (code >> 12 & 0x3F));
        *q++ = (char)(0x80 | (code >> 6 & 0x3F));
        *q++ = (char)(0x80 | (code & 0x3F));
    }
    return q;
}

/** The next one to four bytes of the decoded string, in `out`; returns how many, moves *pp on. */
static int decode_next(unsigned char out[4], const char **pp)
{
    unsigned int code;
    if (**pp != '\\') {
        out[0] = (unsigned char)*(*pp)++;
        return 1;
    }
    *pp = decode_escape(&code, *pp);
    return (int)(encode_utf8((char *)out, code) - (char *)out);
}

/** Compares decoded bytes: in UTF-8 their order is that of the code points. */
static int key_cmp_escaped(mx_slice_t a, mx_slice_t b)
{
    unsigned char x[4], y[4];
    const char *p = a.p, *q = b.p;
    int nx = 0, ny = 0, ix = 0, iy = 0;
    for (;;) {
        if (ix == nx) {
            ix = 0;
            nx = p < a.p + a.len ? decode_next(x, &p) : 0;
        }
        if (iy == ny) {
            iy = 0;
            ny = q < b.p + b.len ? decode_next(y, &q) : 0;
        }
        if (!nx || !ny)
            return !!nx - !!ny;
        if (x[ix] != y[iy])
            return x[ix] < y[iy] ? -1 : 1;
        ix++;
        iy++;
    }
}

int mx_json_scan_key_cmp(mx_slice_t a, mx_slice_t b)
{
    apr_size_t shorter = a.len < b.len ? a.len : b.len;
    int order;
    if ((a.len && memchr(a.p, '\\', a.len)) || (b.len && memchr(b.p, '\\', b.len)))
        return key_cmp_escaped(a, b);
    order = shorter ? memcmp(a.p, b.p, shorter) : 0;
    if (order)
        return order;
    return a.len == b.len ? 0 : a.len < b.len ? -1 : 1;
}

apr_size_t mx_json_scan_decode(char *out, mx_slice_t inner)
{
    const char *p = inner.p, *end = inner.p + inner.len;
    char *q = out;
    while (p < end) {
        unsigned int code;
        if (*p != '\\') {
            *q++ = *p++;
            continue;
        }
        p = decode_escape(&code, p);
        q = encode_utf8(q, code);
    }
    return (apr_size_t)(q - out);
}

const char *mx_json_scan_str(mx_slice_t raw, apr_pool_t *pool)
{
    mx_slice_t inner;
    apr_size_t len;
    char *out;
    if (raw.len < 2 || *raw.p != '"')
        return NULL;
    inner = mx_slice(raw.p + 1, raw.len - 2);
    if (!memchr(inner.p, '\\', inner.len))
        return mx_slice_dup(inner, pool);
    out = apr_palloc(pool, inner.len + 1);
    len = mx_json_scan_decode(out, inner);
    out[len] = '\0';
    return strlen(out) == len ? out : NULL;
}

apr_int64_t mx_json_scan_int(mx_slice_t raw, apr_int64_t fallback)
{
    char text[24];
    apr_int64_t value;
    if (!raw.len || raw.len >= sizeof(text))
        return fallback;
    memcpy(text, raw.p, raw.len);
    text[raw.len] = '\0';
    return mx_str_to_int64(&value, text, INT64_MIN, INT64_MAX) == APR_SUCCESS ? value : fallback;
}
