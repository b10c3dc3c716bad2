/* SPDX-License-Identifier: Apache-2.0 */
/* Globs as sets of states in bits: bit i says that the first i characters of the pattern have been matched. */
#include "base/glob.h"

#include <apr_lib.h>
#include <stdint.h>
#include <stdlib.h>

#define WORD_BITS 64
#define WORDS_MAX ((MX_GLOB_CHARS_MAX + 1) / WORD_BITS)
#define ASCII 128
#define NO_CHARACTER 0x110000u       /* plus the byte: what is no UTF-8 */

/** A character beyond ASCII that the pattern names. */
typedef struct other_t {
    unsigned character;
    int mask;                        /* its row of masks */
} other_t;

struct mx_glob_t {
    int flags, nchars, nwords;
    uint64_t *stars;                 /* states that any character keeps */
    uint64_t *masks;                 /* rows of nwords: row c for ASCII c, row ASCII for all other characters, then those named */
    other_t *others; int nothers;    /* sorted */
};

/** The next character; 0 past the end. ASCII letters in one case if asked. */
static unsigned next_char(const char **pp, const char *end, int flags)
{
    const unsigned char *p = (const unsigned char *)*pp;
    apr_size_t len, i;
    unsigned c = *p;
    if (c < ASCII) {
        (*pp)++;
        return flags & MX_GLOB_NOCASE && c >= 'A' && c <= 'Z' ? c + ('a' - 'A') : c;
    }
    len = mx_str_utf8_sequence(*pp, (apr_size_t)(end - *pp));
    if (!len) {
        (*pp)++;
        return NO_CHARACTER + c;
    }
    c &= 0xff >> (len + 1);
    for (i = 1; i < len; i++)
        c = c << 6 | (p[i] & 0x3f);
    *pp += len;
    return c;
}

static int by_character(const void *a, const void *b)
{
    unsigned x = ((const other_t *)a)->character, y = ((const other_t *)b)->character;
    return x < y ? -1 : x > y;
}

/** The mask of the pattern's places that take the character. */
static uint64_t *mask_of(const mx_glob_t *glob, unsigned c)
{
    other_t key = { c, 0 };
    const other_t *found = NULL;
    apr_size_t row = c;
    if (c >= ASCII) {
        if (glob->nothers)
            found = bsearch(&key, glob->others, (size_t)glob->nothers, sizeof(key), by_character);
        row = found ? (apr_size_t)found->mask : ASCII;
    }
    return glob->masks + row * (apr_size_t)glob->nwords;
}

/** Counts the pattern's characters, and lists those beyond ASCII, each once and sorted. */
static void survey(mx_glob_t *glob, mx_slice_t pattern, apr_pool_t *pool)
{
    const char *p = pattern.p, *end = pattern.p + pattern.len;
    int i, n = 0;
    glob->others = apr_palloc(pool, sizeof(*glob->others) * (pattern.len + 1));
    while (p < end) {
        unsigned c = next_char(&p, end, glob->flags);
        glob->nchars += c != '*';
        if (c >= ASCII)
            glob->others[n++] = (other_t){ c, 0 };
    }
    qsort(glob->others, (size_t)n, sizeof(*glob->others), by_character);
    for (i = 0; i < n; i++) {
        if (i && glob->others[i].character == glob->others[glob->nothers - 1].character)
            continue;
        glob->others[glob->nothers] = (other_t){ glob->others[i].character, ASCII + 1 + glob->nothers };
        glob->nothers++;
    }
}

static void set_bit(uint64_t *words, int i)
{
    words[i / WORD_BITS] |= UINT64_C(1) << (i % WORD_BITS);
}

static int has_bit(const uint64_t *words, int i)
{
    return (int)(words[i / WORD_BITS] >> (i % WORD_BITS) & 1);
}

static void fill(mx_glob_t *glob, mx_slice_t pattern)
{
    const char *p = pattern.p, *end = pattern.p + pattern.len;
    int state = 0, row;
    while (p < end) {
        unsigned c = next_char(&p, end, glob->flags);
        if (c == '*') {
            set_bit(glob->stars, state);
            continue;
        }
        if (c != '?')
            set_bit(mask_of(glob, c), state);
        for (row = 0; c == '?' && row <= ASCII + glob->nothers; row++)
            set_bit(glob->masks + (apr_size_t)row * (apr_size_t)glob->nwords, state);
        state++;
    }
}

apr_status_t mx_glob_compile(const mx_glob_t **pglob, mx_slice_t pattern, int flags, apr_pool_t *pool)
{
    mx_glob_t *glob = apr_pcalloc(pool, sizeof(*glob));
    apr_size_t rows;
    glob->flags = flags;
    survey(glob, pattern, pool);
    if (glob->nchars > MX_GLOB_CHARS_MAX)
        return APR_EINVAL;
    glob->nwords = glob->nchars / WORD_BITS + 1;
    rows = ASCII + 1 + (apr_size_t)glob->nothers;
    glob->stars = apr_pcalloc(pool, sizeof(uint64_t) * (apr_size_t)glob->nwords);
    glob->masks = apr_pcalloc(pool, sizeof(uint64_t) * (apr_size_t)glob->nwords * rows);
    fill(glob, pattern);
    *pglob = glob;
    return APR_SUCCESS;
}

/** One character: the states whose next place takes it move on, those before a star also stay. */
static void step(uint64_t *states, const mx_glob_t *glob, const uint64_t *mask)
{
    uint64_t carry = 0;
    int i;
    for (i = 0; i < glob->nwords; i++) {
        uint64_t moved = states[i] & mask[i];
        states[i] = moved << 1 | carry | (states[i] & glob->stars[i]);
        carry = moved >> (WORD_BITS - 1);
    }
}

static int is_word(unsigned c)
{
    return c < ASCII && (apr_isalnum(c) || c == '_');
}

/** Between two characters, one of them no part of a word; before the first and after the last. */
static int is_boundary(const char *p, mx_slice_t text)
{
    return p == text.p || p == text.p + text.len || !is_word((unsigned char)p[-1]) || !is_word((unsigned char)*p);
}

int mx_glob_matches(const mx_glob_t *glob, mx_slice_t text)
{
    uint64_t states[WORDS_MAX] = { 1 };
    const char *p = text.p, *end = text.p + text.len;
    int words = glob->flags & MX_GLOB_WORDS;
    while (p < end) {
        if (words && is_boundary(p, text)) {
            states[0] |= 1;
            if (has_bit(states, glob->nchars))
                return 1;
        }
        step(states, glob, mask_of(glob, next_char(&p, end, glob->flags)));
    }
    if (words)
        states[0] |= 1;
    return has_bit(states, glob->nchars);
}
