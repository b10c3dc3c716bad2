/* SPDX-License-Identifier: Apache-2.0 */
/* Slices: a run of bytes somebody else owns. What foreign bytes are read into before anything is copied. */
#ifndef MX_BASE_STR_H
#define MX_BASE_STR_H

#include <apr_pools.h>
#include <apr_strings.h>
#include <string.h>

/** Bytes [p, p+len); not NUL-terminated; lives as long as what it points into. */
typedef struct mx_slice_t {
    const char *p;
    apr_size_t len;
} mx_slice_t;

#define MX_SLICE_NONE ((mx_slice_t){ NULL, 0 })
#define MX_SLICE_LIT(lit) ((mx_slice_t){ (lit), sizeof(lit) - 1 })

static inline mx_slice_t mx_slice(const char *p, apr_size_t len) { return (mx_slice_t){ p, len }; }
static inline mx_slice_t mx_slice_str(const char *s) { return (mx_slice_t){ s, s ? strlen(s) : 0 }; }

static inline int mx_slice_eq(mx_slice_t a, mx_slice_t b)
{
    return a.len == b.len && (a.len == 0 || memcmp(a.p, b.p, a.len) == 0);
}

static inline int mx_slice_is(mx_slice_t a, const char *s) { return mx_slice_eq(a, mx_slice_str(s)); }

/** Copies the slice into `pool` and ends it with NUL. */
static inline char *mx_slice_dup(mx_slice_t a, apr_pool_t *pool) { return apr_pstrmemdup(pool, a.p ? a.p : "", a.len); }

/** NULL-tolerant string equality. */
static inline int mx_str_eq(const char *a, const char *b) { return a == b || (a && b && strcmp(a, b) == 0); }

/** 1 if the bytes are well-formed UTF-8 (no surrogates, no overlong forms, at most U+10FFFF). */
int mx_str_is_utf8(const char *p, apr_size_t len);

/** Length of the well-formed UTF-8 sequence at p, whose first byte is >= 0x80; 0 if it is none. */
apr_size_t mx_str_utf8_sequence(const char *p, apr_size_t left);

/** Strict decimal: optional '-', digits, nothing else, within [min,max]. APR_EINVAL leaves *pout untouched. */
apr_status_t mx_str_to_int64(apr_int64_t *pout, const char *s, apr_int64_t min, apr_int64_t max);

#endif
