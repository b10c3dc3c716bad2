/* SPDX-License-Identifier: Apache-2.0 */
/* Writes JSON straight to bytes. */
#include "base/json_writer.h"

#include <assert.h>
#include <stdint.h>

/* What stands after the backslash: 0 copied as it is, 'u' for \u00xx, else the letter of the short form. */
static const char escape_of[256] = {
    'u', 'u', 'u', 'u', 'u', 'u', 'u', 'u', 'b', 't', 'n', 'u', 'f', 'r', 'u', 'u',
    'u', 'u', 'u', 'u', 'u', 'u', 'u', 'u', 'u', 'u', 'u', 'u', 'u', 'u', 'u', 'u',
    ['"'] = '"', ['\\'] = '\\'
};

#define ESCAPE_LONGEST_BYTES 6   /* \u001f */

static char *escape_one(char *q, unsigned char c)
{
    static const char hex[] = "0123456789abcdef";
    *q++ = '\\';
    *q++ = escape_of[c];
    if (escape_of[c] == 'u') {
        *q++ = '0';
        *q++ = '0';
        *q++ = hex[c >> 4];
        *q++ = hex[c & 0x0F];
    }
    return q;
}

void mx_jw_escape(mx_buf_t *out, const char *s, apr_size_t len)
{
    apr_size_t i = 0, start = 0;
    mx_buf_append_char(out, '"');
    for (; i < len; i++) {
        char *q;
        if (!escape_of[(unsigned char)s[i]])
            continue;
        mx_buf_append(out, s + start, i - start);
        q = mx_buf_reserve(out, ESCAPE_LONGEST_BYTES);
        out->len += (apr_size_t)(escape_one(q, (unsigned char)s[i]) - q);
        start = i + 1;
    }
    mx_buf_append(out, s + start, len - start);
    mx_buf_append_char(out, '"');
}

mx_json_writer_t *mx_jw_create(apr_pool_t *pool)
{
    mx_json_writer_t *w = apr_palloc(pool, sizeof(*w));
    mx_jw_init(w, mx_buf_create(pool));
    return w;
}

void mx_jw_init(mx_json_writer_t *w, mx_buf_t *buf)
{
    w->buf = buf;
    w->depth = 0;
    w->after_key = 0;
    w->has_member[0] = 0;
}

/** The comma before a value or key. At depth 0 several values may follow each other without one. */
static void writer_before(mx_json_writer_t *w)
{
    if (w->after_key) {
        w->after_key = 0;
        return;
    }
    if (w->depth) {
        if (w->has_member[w->depth])
            mx_buf_append_char(w->buf, ',');
        w->has_member[w->depth] = 1;
    }
}

static void writer_open(mx_json_writer_t *w, char c)
{
    assert(w->depth + 1 < MX_JSON_WRITER_DEPTH);
    writer_before(w);
    mx_buf_append_char(w->buf, c);
    w->has_member[++w->depth] = 0;
}

static void writer_close(mx_json_writer_t *w, char c)
{
    assert(w->depth > 0 && !w->after_key);
    w->depth--;
    mx_buf_append_char(w->buf, c);
}

void mx_jw_object(mx_json_writer_t *w)
{
    writer_open(w, '{');
}

void mx_jw_end_object(mx_json_writer_t *w)
{
    writer_close(w, '}');
}

void mx_jw_array(mx_json_writer_t *w)
{
    writer_open(w, '[');
}

void mx_jw_end_array(mx_json_writer_t *w)
{
    writer_close(w, ']');
}

void mx_jw_key(mx_json_writer_t *w, const char *key)
{
    assert(!w->after_key && w->depth > 0);
    writer_before(w);
    mx_jw_escape(w->buf, key, strlen(key));
    mx_buf_append_char(w->buf, ':');
    w->after_key = 1;
}

void mx_jw_strn(mx_json_writer_t *w, const char *s, apr_size_t len)
{
    writer_before(w);
    mx_jw_escape(w->buf, s, len);
}

void mx_jw_str(mx_json_writer_t *w, const char *s)
{
    mx_jw_strn(w, s, strlen(s));
}

void mx_jw_int(mx_json_writer_t *w, apr_int64_t i)
{
    char digits[24], *q = digits + sizeof(digits);
    uint64_t rest = i < 0 ? 0 - (uint64_t)i : (uint64_t)i;
    do {
        *--q = (char)('0' + rest % 10);
        rest /= 10;
    } while (rest);
    if (i < 0)
        *--q = '-';
    mx_jw_raw(w, q, (apr_size_t)(digits + sizeof(digits) - q));
}

void mx_jw_bool(mx_json_writer_t *w, int b)
{
    if (b)
        mx_jw_raw(w, "true", 4);
    else
        mx_jw_raw(w, "false", 5);
}

void mx_jw_null(mx_json_writer_t *w)
{
    mx_jw_raw(w, "null", 4);
}

void mx_jw_raw(mx_json_writer_t *w, const char *p, apr_size_t len)
{
    assert(len > 0);
    writer_before(w);
    mx_buf_append(w->buf, p, len);
}

void mx_jw_raw_slice(mx_json_writer_t *w, mx_slice_t raw)
{
    mx_jw_raw(w, raw.p, raw.len);
}

void mx_jw_json(mx_json_writer_t *w, const mx_json_t *j)
{
    writer_before(w);
    mx_json_write(w->buf, j);
}

void mx_jw_key_str(mx_json_writer_t *w, const char *key, const char *s)
{
    mx_jw_key(w, key);
    mx_jw_str(w, s);
}

void mx_jw_key_int(mx_json_writer_t *w, const char *key, apr_int64_t i)
{
    mx_jw_key(w, key);
    mx_jw_int(w, i);
}

void mx_jw_key_bool(mx_json_writer_t *w, const char *key, int b)
{
    mx_jw_key(w, key);
    mx_jw_bool(w, b);
}

void mx_jw_key_raw(mx_json_writer_t *w, const char *key, mx_slice_t raw)
{
    mx_jw_key(w, key);
    mx_jw_raw_slice(w, raw);
}

void mx_jw_key_json(mx_json_writer_t *w, const char *key, const mx_json_t *j)
{
    mx_jw_key(w, key);
    mx_jw_json(w, j);
}

void mx_jw_key_object(mx_json_writer_t *w, const char *key)
{
    mx_jw_key(w, key);
    mx_jw_object(w);
}

void mx_jw_key_array(mx_json_writer_t *w, const char *key)
{
    mx_jw_key(w, key);
    mx_jw_array(w);
}
