/* SPDX-License-Identifier: Apache-2.0 */
/* A growable run of bytes. It grows by malloc/realloc (pools never give memory back) and is freed by a pool cleanup. */
#ifndef MX_BASE_BUF_H
#define MX_BASE_BUF_H

#include "base/str.h"

typedef struct mx_buf_t {
    char *p;             /* NULL until the first byte */
    apr_size_t len, cap;
    apr_pool_t *pool;    /* frees p */
} mx_buf_t;

/** An empty buffer whose bytes are freed with `pool`. */
mx_buf_t *mx_buf_create(apr_pool_t *pool);
void mx_buf_append(mx_buf_t *b, const char *p, apr_size_t len);
void mx_buf_append_str(mx_buf_t *b, const char *s);
void mx_buf_append_char(mx_buf_t *b, char c);
/** Room for `len` bytes more; returns where to write them. The caller adds to b->len what it wrote. */
char *mx_buf_reserve(mx_buf_t *b, apr_size_t len);
/** Forgets the content, keeps the memory. */
void mx_buf_clear(mx_buf_t *b);
/** Hands the content over: the caller frees it with free(). NULL if it is empty; the buffer is empty afterwards. */
char *mx_buf_detach(mx_buf_t *b, apr_size_t *plen);
/** The content as a slice, valid until the next append. */
static inline mx_slice_t mx_buf_slice(const mx_buf_t *b) { return (mx_slice_t){ b->p, b->len }; }

#endif
