/* SPDX-License-Identifier: Apache-2.0 */
/* UTF-8 and number checks on runs of bytes. */
#include "base/str.h"

#include <stdint.h>

/** Length of the UTF-8 sequence at p (its lead byte is >= 0x80), or 0 if it is not well-formed. RFC 3629. */
static apr_size_t utf8_sequence(const unsigned char *p, apr_size_t left)
{
    unsigned char c = p[0];
    unsigned char low = 0x80, high = 0xBF;
    apr_size_t n, i;
    if (c >= 0xC2 && c <= 0xDF)
        n = 2;
    else if (c >= 0xE0 && c <= 0xEF) {
        n = 3;
        if (c == 0xE0)
            low = 0xA0;         /* overlong */
        else if (c == 0xED)
            high = 0x9F;        /* surrogates */
    } else if (c >= 0xF0 && c <= 0xF4) {
        n = 4;
        if (c == 0xF0)
            low = 0x90;         /* overlong */
        else if (c == 0xF4)
            high = 0x8F;        /* beyond U+10FFFF */
    } else
        return 0;
    if (left < n || p[1] < low || p[1] > high)
        return 0;
    for (i = 2; i < n; i++) {
        if ((p[i] & 0xC0) != 0x80)
            return 0;
    }
    return n;
}

apr_size_t mx_str_utf8_sequence(const char *p, apr_size_t left)
{
    return utf8_sequence((const unsigned char *)p, left);
}

int mx_str_is_utf8(const char *p, apr_size_t len)
{
    const unsigned char *q = (const unsigned char *)p, *end = q + len;
    while (q < end) {
        uint64_t word;
        apr_size_t n;
        if (end - q >= 8) {
            memcpy(&word, q, 8);
            if (!(word & UINT64_C(0x8080808080808080))) {
                q += 8;
                continue;
            }
        }
        if (*q < 0x80) {
            q++;
            continue;
        }
        n = utf8_sequence(q, (apr_size_t)(end - q));
        if (!n)
            return 0;
        q += n;
    }
    return 1;
}

apr_status_t mx_str_to_int64(apr_int64_t *pout, const char *s, apr_int64_t min, apr_int64_t max)
{
    apr_int64_t value = 0;
    int negative;
    if (!s || !*s)
        return APR_EINVAL;
    negative = *s == '-';
    if (negative)
        s++;
    if (!*s)
        return APR_EINVAL;
    for (; *s; s++) {
        if (*s < '0' || *s > '9')
            return APR_EINVAL;
        if (__builtin_mul_overflow(value, 10, &value)
            || __builtin_sub_overflow(value, *s - '0', &value))    /* downwards: INT64_MIN has no positive twin */
            return APR_EINVAL;
    }
    if (!negative && __builtin_sub_overflow((apr_int64_t)0, value, &value))
        return APR_EINVAL;
    if (value < min || value > max)
        return APR_EINVAL;
    *pout = value;
    return APR_SUCCESS;
}
