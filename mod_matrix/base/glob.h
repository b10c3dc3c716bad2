/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Glob patterns of the specification: `*` is any run of characters, `?` one character, all else itself; there are no escapes.
 * Appendices: glob-style matching. A character is a code point of UTF-8; a byte that is none counts as a character of its own.
 *
 * A pattern is a set of states in bits, and a text is read once: time is the text's length times the pattern's length / 64, whatever
 * stands in them. Matching allocates nothing; a compiled pattern never changes and may be used by many threads.
 */
#ifndef MX_BASE_GLOB_H
#define MX_BASE_GLOB_H

#include "base/str.h"

/** Characters of a pattern, stars not counted. */
#define MX_GLOB_CHARS_MAX 1023

typedef enum {
    MX_GLOB_NOCASE = 1,              /* ASCII letters match either case */
    MX_GLOB_WORDS = 2                /* matches any part of the text that starts and ends at a word boundary, not the whole */
} mx_glob_flag_e;

typedef struct mx_glob_t mx_glob_t;

/**
 * Compiles into `pool`. APR_EINVAL for a pattern of more than MX_GLOB_CHARS_MAX characters.
 * MX_GLOB_WORDS: push rules on content.body. CS-API: event_match: "A word boundary is defined as the start or end of the value,
 * or any character not in the sets [A-Z], [a-z], [0-9] or _".
 */
apr_status_t mx_glob_compile(const mx_glob_t **pglob, mx_slice_t pattern, int flags, apr_pool_t *pool);
int mx_glob_matches(const mx_glob_t *glob, mx_slice_t text);

#endif
