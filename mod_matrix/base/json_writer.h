/* SPDX-License-Identifier: Apache-2.0 */
/* Writes JSON straight to bytes and splices stored JSON in. Commas and nesting are its business; misuse asserts. */
#ifndef MX_BASE_JSON_WRITER_H
#define MX_BASE_JSON_WRITER_H

#include "base/json.h"

#define MX_JSON_WRITER_DEPTH 32

typedef struct mx_json_writer_t {
    mx_buf_t *buf;
    int depth;
    unsigned char has_member[MX_JSON_WRITER_DEPTH];
    unsigned char after_key;
} mx_json_writer_t;

mx_json_writer_t *mx_jw_create(apr_pool_t *pool);
/** A writer that appends to a buffer which the caller owns. */
void mx_jw_init(mx_json_writer_t *w, mx_buf_t *buf);

void mx_jw_object(mx_json_writer_t *w);
void mx_jw_end_object(mx_json_writer_t *w);
void mx_jw_array(mx_json_writer_t *w);
void mx_jw_end_array(mx_json_writer_t *w);
void mx_jw_key(mx_json_writer_t *w, const char *key);
void mx_jw_str(mx_json_writer_t *w, const char *s);
void mx_jw_strn(mx_json_writer_t *w, const char *s, apr_size_t len);
void mx_jw_int(mx_json_writer_t *w, apr_int64_t i);
void mx_jw_bool(mx_json_writer_t *w, int b);
void mx_jw_null(mx_json_writer_t *w);
/** One finished JSON value, as it is. */
void mx_jw_raw(mx_json_writer_t *w, const char *p, apr_size_t len);
void mx_jw_raw_slice(mx_json_writer_t *w, mx_slice_t raw);
void mx_jw_json(mx_json_writer_t *w, const mx_json_t *j);

/* key and value in one call */
void mx_jw_key_str(mx_json_writer_t *w, const char *key, const char *s);
void mx_jw_key_int(mx_json_writer_t *w, const char *key, apr_int64_t i);
void mx_jw_key_bool(mx_json_writer_t *w, const char *key, int b);
void mx_jw_key_raw(mx_json_writer_t *w, const char *key, mx_slice_t raw);
void mx_jw_key_json(mx_json_writer_t *w, const char *key, const mx_json_t *j);
void mx_jw_key_object(mx_json_writer_t *w, const char *key);
void mx_jw_key_array(mx_json_writer_t *w, const char *key);

/** A JSON string, quotes and shortest escapes included, appended to a buffer (the one escaper of the project). */
void mx_jw_escape(mx_buf_t *out, const char *s, apr_size_t len);

#endif
