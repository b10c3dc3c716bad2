/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Two matchers agree: the bits of base/glob.c, and a table of prefixes against prefixes that is written down from the definition.
 * An input is a byte of flags, the pattern, a line feed and the text.
 */
#include "fuzz.h"

#include "base/glob.h"

#define TEXT_MAX 160                 /* characters: the table is quadratic, more than cubic for words */

/** Characters as numbers; folded if asked. Returns their number. */
static int decode(unsigned *out, mx_slice_t text, int flags)
{
    const char *p = text.p, *end = text.p + text.len;
    int n = 0;
    while (p < end && n < TEXT_MAX) {
        apr_size_t i, len = (unsigned char)*p < 0x80 ? 1 : mx_str_utf8_sequence(p, (apr_size_t)(end - p));
        unsigned c = 0;
        for (i = 0; i < len; i++)
            c = c << 8 | (unsigned char)p[i];
        if (!len)
            c = 0x5a000000u | (unsigned char)*p;
        if (flags & MX_GLOB_NOCASE && c >= 'A' && c <= 'Z')
            c += 'a' - 'A';
        out[n++] = c;
        p += len ? len : 1;
    }
    return n;
}

/** Row i: which prefixes of the text the first i characters of the pattern match. */
static int whole(const unsigned *pattern, int np, const unsigned *text, int nt, unsigned char *row, unsigned char *next)
{
    int i, k;
    memset(row, 0, (size_t)nt + 1);
    row[0] = 1;
    for (i = 0; i < np; i++) {
        unsigned char *swap = row;
        for (k = 0; k <= nt; k++) {
            if (pattern[i] == '*')
                next[k] = row[k] || (k && next[k - 1]);
            else
                next[k] = k && row[k - 1] && (pattern[i] == '?' || pattern[i] == text[k - 1]);
        }
        row = next;
        next = swap;
    }
    return row[nt];
}

static int in_word(unsigned c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_';
}

static int boundary(const unsigned *text, int n, int i)
{
    return i == 0 || i == n || !in_word(text[i - 1]) || !in_word(text[i]);
}

static int words(const unsigned *pattern, int np, const unsigned *text, int nt, unsigned char *row, unsigned char *next)
{
    int from, to;
    for (from = 0; from <= nt; from++) {
        for (to = from; to <= nt; to++) {
            if (boundary(text, nt, from) && boundary(text, nt, to) && whole(pattern, np, text + from, to - from, row, next))
                return 1;
        }
    }
    return 0;
}

static void fuzz_one(const char *p, apr_size_t len, apr_pool_t *pool)
{
    static unsigned pattern[TEXT_MAX], text[TEXT_MAX];
    static unsigned char row[TEXT_MAX + 1], next[TEXT_MAX + 1];
    const char *feed = len ? memchr(p + 1, '\n', len - 1) : NULL;
    int flags = len ? *p & (MX_GLOB_NOCASE | MX_GLOB_WORDS) : 0, np, nt, expected;
    const mx_glob_t *glob;
    mx_slice_t first, second;
    if (!feed)
        return;
    first = mx_slice(p + 1, (apr_size_t)(feed - p - 1));
    second = mx_slice(feed + 1, (apr_size_t)(p + len - feed - 1));
    if (mx_glob_compile(&glob, first, flags, pool) != APR_SUCCESS) {
        FUZZ_CHECK(first.len > MX_GLOB_CHARS_MAX);
        return;
    }
    if (flags & MX_GLOB_WORDS && first.len * second.len * second.len > 20000) {     /* too dear to check: it ends */
        mx_glob_matches(glob, second);
        return;
    }
    np = decode(pattern, first, flags);
    nt = decode(text, second, flags);
    if (np == TEXT_MAX || nt == TEXT_MAX) {
        mx_glob_matches(glob, second);
        return;
    }
    expected = flags & MX_GLOB_WORDS ? words(pattern, np, text, nt, row, next) : whole(pattern, np, text, nt, row, next);
    FUZZ_CHECK(mx_glob_matches(glob, second) == expected);
}
