/* SPDX-License-Identifier: Apache-2.0 */
/* The checking scanner: foreign bytes. RFC 8259; appendices: canonical JSON. */
#include "base/json_scan_private.h"

#include <stdlib.h>

#define KEYS_INLINE 64
#define CANONICAL_INT_MAX INT64_C(9007199254740991)   /* 2^53-1 */
#define SAFE_DIGITS 15                                /* that many always stay below it */

typedef struct scanner_t {
    const char *p, *end;
    int depth, depth_max;
    int canonical;
    mx_json_fault_e fault;
    mx_slice_t *keys;             /* of the open objects, innermost last: to find doubles where keys are not sorted */
    apr_size_t nkeys, cap_keys;
    mx_members_t *members;        /* of the top object; NULL if nobody asks */
    mx_slice_t first_keys[KEYS_INLINE];
} scanner_t;

static int scan_value(scanner_t *s);

static int scan_fail(scanner_t *s, mx_json_fault_e fault)
{
    if (s->fault == MX_JSON_OK)
        s->fault = fault;
    return 0;
}

static void scan_space(scanner_t *s)
{
    const char *p = mx_json_skip_space(s->p, s->end);
    if (p != s->p)
        s->canonical = 0;
    s->p = p;
}

/** Four hex digits at p, or -1. */
static int hex4(const char *p, const char *end)
{
    int value = 0, i;
    if (end - p < 4)
        return -1;
    for (i = 0; i < 4; i++) {
        char c = p[i];
        if (c >= '0' && c <= '9')
            value = value << 4 | (c - '0');
        else if ((c | 0x20) >= 'a' && (c | 0x20) <= 'f')
            value = value << 4 | ((c | 0x20) - 'a' + 10);
        else
            return -1;
    }
    return value;
}

/** 1 if \uXXXX is how canonical JSON writes the character: a control without a short form, in lower-case hex. */
static int escape_is_canonical(const char *digits, int code)
{
    int i;
    if (code >= 0x20 || code == '\b' || code == '\t' || code == '\n' || code == '\f' || code == '\r')
        return 0;
    for (i = 0; i < 4; i++) {
        if (digits[i] >= 'A' && digits[i] <= 'F')
            return 0;
    }
    return 1;
}

/** s->p stands after "\u". */
static int scan_unicode_escape(scanner_t *s)
{
    int code = hex4(s->p, s->end), low;
    if (code < 0)
        return scan_fail(s, MX_JSON_SYNTAX);
    if (!escape_is_canonical(s->p, code))
        s->canonical = 0;
    if (code >= 0xDC00 && code <= 0xDFFF)
        return scan_fail(s, MX_JSON_UTF8);
    s->p += 4;
    if (code < 0xD800 || code > 0xDBFF)
        return 1;
    low = s->end - s->p >= 6 && s->p[0] == '\\' && s->p[1] == 'u' ? hex4(s->p + 2, s->end) : -1;
    if (low < 0xDC00 || low > 0xDFFF)
        return scan_fail(s, MX_JSON_UTF8);
    s->p += 6;
    return 1;
}

/** s->p stands on the backslash. */
static int scan_escape(scanner_t *s)
{
    if (s->end - s->p < 2)
        return scan_fail(s, MX_JSON_SYNTAX);
    switch (s->p[1]) {
    case '"': case '\\': case 'b': case 'f': case 'n': case 'r': case 't':
        s->p += 2;
        return 1;
    case '/':
        s->canonical = 0;
        s->p += 2;
        return 1;
    case 'u':
        s->p += 2;
        return scan_unicode_escape(s);
    default:
        return scan_fail(s, MX_JSON_SYNTAX);
    }
}

/** Past the bytes that need no look: ASCII but quotes, backslashes and controls, eight at a time. */
static const char *scan_plain(const char *p, const char *end)
{
    while (end - p >= WORD_BYTES) {
        uint64_t w;
        memcpy(&w, p, WORD_BYTES);
        if ((w & WORD_HIGH) || mx_word_has_quote(w) || ((w - WORD_ONES * 0x20) & ~w & WORD_HIGH))
            break;
        p += WORD_BYTES;
    }
    return p;
}

/** A string with its quotes; *pinner (may be NULL) is what is between them. */
static int scan_string(scanner_t *s, mx_slice_t *pinner)
{
    const char *start = ++s->p;
    while (s->p < s->end) {
        unsigned char c;
        s->p = scan_plain(s->p, s->end);
        if (s->p == s->end)
            break;
        c = (unsigned char)*s->p;
        if (c == '"') {
            if (pinner)
                *pinner = mx_slice(start, (apr_size_t)(s->p - start));
            s->p++;
            return 1;
        }
        if (c < 0x20)
            return scan_fail(s, MX_JSON_SYNTAX);
        if (c == '\\') {
            if (!scan_escape(s))
                return 0;
        } else if (c < 0x80)
            s->p++;
        else {
            apr_size_t n = mx_str_utf8_sequence(s->p, (apr_size_t)(s->end - s->p));
            if (!n)
                return scan_fail(s, MX_JSON_UTF8);
            s->p += n;
        }
    }
    return scan_fail(s, MX_JSON_SYNTAX);
}

static apr_size_t scan_digits(scanner_t *s)
{
    const char *start = s->p;
    while (s->p < s->end && *s->p >= '0' && *s->p <= '9')
        s->p++;
    return (apr_size_t)(s->p - start);
}

/** The integer at [p, end) has to fit in int64; canonical only within +-(2^53-1) and if it is not "-0". */
static int scan_integer_range(scanner_t *s, const char *p, const char *end)
{
    int negative = *p == '-';
    apr_int64_t value = 0;
    if (negative)
        p++;
    if (end - p <= SAFE_DIGITS) {
        if (negative && *p == '0')
            s->canonical = 0;
        return 1;
    }
    for (; p < end; p++) {
        if (__builtin_mul_overflow(value, 10, &value) || __builtin_sub_overflow(value, *p - '0', &value))
            return scan_fail(s, MX_JSON_SYNTAX);
    }
    if (!negative && value == INT64_MIN)
        return scan_fail(s, MX_JSON_SYNTAX);
    if (value < -CANONICAL_INT_MAX)
        s->canonical = 0;
    return 1;
}

static int scan_number(scanner_t *s)
{
    const char *start = s->p;
    int real = 0;
    if (*s->p == '-')
        s->p++;
    if (s->p < s->end && *s->p == '0')
        s->p++;
    else if (!scan_digits(s))
        return scan_fail(s, MX_JSON_SYNTAX);
    if (s->p < s->end && *s->p == '.') {
        s->p++;
        real = 1;
        if (!scan_digits(s))
            return scan_fail(s, MX_JSON_SYNTAX);
    }
    if (s->p < s->end && (*s->p | 0x20) == 'e') {
        s->p++;
        real = 1;
        if (s->p < s->end && (*s->p == '+' || *s->p == '-'))
            s->p++;
        if (!scan_digits(s))
            return scan_fail(s, MX_JSON_SYNTAX);
    }
    if (real) {
        s->canonical = 0;
        return 1;
    }
    return scan_integer_range(s, start, s->p);
}

static int scan_literal(scanner_t *s, const char *word, apr_size_t len)
{
    if ((apr_size_t)(s->end - s->p) < len || memcmp(s->p, word, len) != 0)
        return scan_fail(s, MX_JSON_SYNTAX);
    s->p += len;
    return 1;
}

typedef enum { LIST_ENDS, LIST_GOES_ON, LIST_BROKEN } list_e;

/** What stands after an element of an array or a member of an object: a comma (and the space behind it) or the end. */
static list_e scan_separator(scanner_t *s, char close)
{
    if (s->p == s->end || (*s->p != close && *s->p != ',')) {
        scan_fail(s, MX_JSON_SYNTAX);
        return LIST_BROKEN;
    }
    if (*s->p++ == close)
        return LIST_ENDS;
    scan_space(s);
    return LIST_GOES_ON;
}

static int scan_array(scanner_t *s)
{
    s->p++;
    scan_space(s);
    if (s->p < s->end && *s->p == ']') {
        s->p++;
        return 1;
    }
    for (;;) {
        if (!scan_value(s))
            return 0;
        scan_space(s);
        switch (scan_separator(s, ']')) {
        case LIST_ENDS:
            return 1;
        case LIST_BROKEN:
            return 0;
        case LIST_GOES_ON:
            break;
        }
    }
}

static void push_key(scanner_t *s, mx_slice_t key)
{
    if (s->nkeys == s->cap_keys) {
        apr_size_t bytes = s->cap_keys * sizeof(*s->keys);
        mx_slice_t *more = malloc(bytes * 2);
        if (!more)
            abort();
        memcpy(more, s->keys, bytes);
        if (s->keys != s->first_keys)
            free(s->keys);
        s->keys = more;
        s->cap_keys *= 2;
    }
    s->keys[s->nkeys++] = key;
}

static int key_cmp_qsort(const void *a, const void *b)
{
    return mx_json_scan_key_cmp(*(const mx_slice_t *)a, *(const mx_slice_t *)b);
}

/** The keys from `first` on are those of an object whose keys did not come in rising order. */
static int find_double_key(scanner_t *s, apr_size_t first)
{
    apr_size_t i;
    qsort(s->keys + first, s->nkeys - first, sizeof(*s->keys), key_cmp_qsort);
    for (i = first + 1; i < s->nkeys; i++) {
        if (mx_json_scan_key_cmp(s->keys[i - 1], s->keys[i]) == 0)
            return scan_fail(s, MX_JSON_DUPLICATE);
    }
    return 1;
}

/** One `"key":value`; *psorted falls when the key is not above the one before it in the same object. */
static int scan_member(scanner_t *s, apr_size_t first, int *psorted)
{
    mx_slice_t key;
    const char *value;
    if (s->p == s->end || *s->p != '"')
        return scan_fail(s, MX_JSON_SYNTAX);
    if (!scan_string(s, &key))
        return 0;
    if (s->nkeys > first && mx_json_scan_key_cmp(s->keys[s->nkeys - 1], key) >= 0)
        *psorted = 0;
    push_key(s, key);
    scan_space(s);
    if (s->p == s->end || *s->p != ':')
        return scan_fail(s, MX_JSON_SYNTAX);
    s->p++;
    scan_space(s);
    value = s->p;
    if (!scan_value(s))
        return 0;
    if (s->members && s->depth == 1)
        mx_members_add(s->members, key, mx_slice(value, (apr_size_t)(s->p - value)));
    scan_space(s);
    return 1;
}

static int scan_members(scanner_t *s, apr_size_t first, int *psorted)
{
    for (;;) {
        if (!scan_member(s, first, psorted))
            return 0;
        switch (scan_separator(s, '}')) {
        case LIST_ENDS:
            return 1;
        case LIST_BROKEN:
            return 0;
        case LIST_GOES_ON:
            break;
        }
    }
}

static int scan_object(scanner_t *s)
{
    apr_size_t first = s->nkeys;
    int sorted = 1;
    s->p++;
    scan_space(s);
    if (s->p < s->end && *s->p == '}') {
        s->p++;
        return 1;
    }
    if (!scan_members(s, first, &sorted))
        return 0;
    if (!sorted) {
        s->canonical = 0;
        if (!find_double_key(s, first))
            return 0;
    }
    s->nkeys = first;
    return 1;
}

static int scan_nested(scanner_t *s, int (*scan)(scanner_t *))
{
    int ok;
    if (s->depth >= s->depth_max)
        return scan_fail(s, MX_JSON_DEEP);
    s->depth++;
    ok = scan(s);
    s->depth--;
    return ok;
}

static int scan_value(scanner_t *s)
{
    if (s->p == s->end)
        return scan_fail(s, MX_JSON_SYNTAX);
    switch (*s->p) {
    case '{':
        return scan_nested(s, scan_object);
    case '[':
        return scan_nested(s, scan_array);
    case '"':
        return scan_string(s, NULL);
    case 't':
        return scan_literal(s, "true", 4);
    case 'f':
        return scan_literal(s, "false", 5);
    case 'n':
        return scan_literal(s, "null", 4);
    default:
        return scan_number(s);
    }
}

static void scan_text(scanner_t *s, const char *p, apr_size_t len, const mx_json_limits_t *limits, mx_members_t *members)
{
    s->p = p ? p : "";
    s->end = s->p + len;
    s->depth = 0;
    s->depth_max = limits ? limits->depth : MX_JSON_DEPTH_DEFAULT;
    s->canonical = 1;
    s->fault = MX_JSON_OK;
    s->keys = s->first_keys;
    s->nkeys = 0;
    s->cap_keys = KEYS_INLINE;
    s->members = members;
    scan_space(s);
    if (members && s->p < s->end && *s->p != '{')
        scan_fail(s, MX_JSON_SYNTAX);
    else if (scan_value(s)) {
        scan_space(s);
        if (s->p != s->end)
            scan_fail(s, MX_JSON_SYNTAX);
    }
    if (s->keys != s->first_keys)
        free(s->keys);
}

mx_json_fault_e mx_json_scan_check(apr_size_t *pplace, int *pcanonical, const char *p, apr_size_t len,
                                   const mx_json_limits_t *limits)
{
    scanner_t s;
    scan_text(&s, p, len, limits, NULL);
    if (s.fault != MX_JSON_OK) {
        if (pplace)
            *pplace = p ? (apr_size_t)(s.p - p) : 0;
    } else if (pcanonical)
        *pcanonical = s.canonical;
    return s.fault;
}

mx_json_fault_e mx_json_scan_object(mx_json_scan_t *out, const char *p, apr_size_t len, const mx_json_limits_t *limits,
                                    apr_pool_t *pool)
{
    scanner_t s;
    mx_members_t members;
    mx_members_init(&members, pool);
    scan_text(&s, p, len, limits, &members);
    if (s.fault == MX_JSON_OK) {
        mx_members_finish(out, &members);
        out->canonical = s.canonical;
    }
    return s.fault;
}
