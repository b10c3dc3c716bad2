/* SPDX-License-Identifier: Apache-2.0 */
/* The slice scanner: checks grammar and UTF-8 of a JSON text without building a tree and indexes the keys of its top object. */
#ifndef MX_BASE_JSON_SCAN_H
#define MX_BASE_JSON_SCAN_H

#include "base/json.h"

/** One member of an object: the raw value as it stands in the text. */
typedef struct mx_json_member_t {
    mx_slice_t key;      /* raw, without the quotes, escapes not decoded */
    mx_slice_t value;    /* raw, white space around it cut off */
} mx_json_member_t;

typedef struct mx_json_scan_t {
    mx_json_member_t *members;
    int nmembers;
    int canonical;       /* the whole text already is canonical JSON, byte for byte */
} mx_json_scan_t;

/**
 * Checks any JSON text: grammar, UTF-8, doubled keys, depth. The same rules as mx_json_parse(), which builds on it;
 * only reals beyond a double are left to that. On a fault *pplace (may be NULL) is the byte where it was seen;
 * *pcanonical (may be NULL) says whether the text is canonical JSON as it stands.
 */
mx_json_fault_e mx_json_scan_check(apr_size_t *pplace, int *pcanonical, const char *p, apr_size_t len,
                                   const mx_json_limits_t *limits);
/** Validates an object whole (depth limit included) and indexes its top-level members. Members live in `pool`, slices in `p`. */
mx_json_fault_e mx_json_scan_object(mx_json_scan_t *out, const char *p, apr_size_t len, const mx_json_limits_t *limits,
                                    apr_pool_t *pool);
/** Same for text that is known to be valid (ours, from the database): only finds the members. */
void mx_json_scan_trusted(mx_json_scan_t *out, mx_slice_t text, apr_pool_t *pool);
/** Past the value that starts at p, which is known to be valid JSON and ends before `end`. Never allocates. */
const char *mx_json_scan_skip(const char *p, const char *end);
/** Orders two raw keys (no quotes) by the code points they stand for, escapes decoded; <0, 0, >0. */
int mx_json_scan_key_cmp(mx_slice_t a, mx_slice_t b);
/** Raw value of a key (ASCII, no escapes) or MX_SLICE_NONE. */
mx_slice_t mx_json_scan_get(const mx_json_scan_t *scan, const char *key);
/** Elements of a raw array; returns their number, or -1 if `text` is no array. Trusted text only. */
int mx_json_scan_array(mx_slice_t **pitems, mx_slice_t text, apr_pool_t *pool);
/** Decodes a raw string value (with its quotes) to NUL-terminated UTF-8; NULL if it is no string or holds U+0000. */
const char *mx_json_scan_str(mx_slice_t raw, apr_pool_t *pool);
/** Raw integer; the fallback for anything else. */
apr_int64_t mx_json_scan_int(mx_slice_t raw, apr_int64_t fallback);

#endif
