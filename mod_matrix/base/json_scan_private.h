/* SPDX-License-Identifier: Apache-2.0 */
/* Shared by the checking scanner (json_scan.c) and the trusting one (json_scan_trusted.c). */
#ifndef MX_BASE_JSON_SCAN_PRIVATE_H
#define MX_BASE_JSON_SCAN_PRIVATE_H

#include "base/json_scan.h"

#include <stdint.h>

#define WORD_BYTES 8
#define WORD_ONES UINT64_C(0x0101010101010101)
#define WORD_HIGH UINT64_C(0x8080808080808080)

/** Non-zero if one of the eight bytes is zero. */
static inline uint64_t mx_word_has_zero(uint64_t w)
{
    return (w - WORD_ONES) & ~w & WORD_HIGH;
}

/** Non-zero if one of the eight bytes is `"` or `\`. */
static inline uint64_t mx_word_has_quote(uint64_t w)
{
    return mx_word_has_zero(w ^ (WORD_ONES * '"')) | mx_word_has_zero(w ^ (WORD_ONES * '\\'));
}

static inline const char *mx_json_skip_space(const char *p, const char *end)
{
    while (p < end && (*p == ' ' || *p == '\n' || *p == '\t' || *p == '\r'))
        p++;
    return p;
}

/** Decodes what stands between the quotes of a valid string; writes at most inner.len bytes, returns how many. */
apr_size_t mx_json_scan_decode(char *out, mx_slice_t inner);

/** Members found so far: on the stack until they are many. */
#define MX_MEMBERS_INLINE 32
typedef struct mx_members_t {
    mx_json_member_t *items;
    int n, cap;
    apr_pool_t *pool;
    mx_json_member_t first[MX_MEMBERS_INLINE];
} mx_members_t;

void mx_members_init(mx_members_t *m, apr_pool_t *pool);
void mx_members_add(mx_members_t *m, mx_slice_t key, mx_slice_t value);
/** Moves them into the pool. */
void mx_members_finish(mx_json_scan_t *out, mx_members_t *m);

#endif
