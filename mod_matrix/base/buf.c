/* SPDX-License-Identifier: Apache-2.0 */
/* A growable run of bytes. */
#include "base/buf.h"

#include <stdio.h>
#include <stdlib.h>

#define BUF_FIRST_BYTES 512

static apr_status_t buf_cleanup(void *data)
{
    mx_buf_t *b = data;
    free(b->p);
    b->p = NULL;
    b->len = b->cap = 0;
    return APR_SUCCESS;
}

mx_buf_t *mx_buf_create(apr_pool_t *pool)
{
    mx_buf_t *b = apr_pcalloc(pool, sizeof(*b));
    b->pool = pool;
    apr_pool_cleanup_register(pool, b, buf_cleanup, apr_pool_cleanup_null);
    return b;
}

/** Pools end the process when memory is out (httpd's abort function); a buffer that cannot grow does the same. */
static void buf_out_of_memory(void)
{
    fputs("mod_matrix: out of memory\n", stderr);
    abort();
}

static void buf_grow(mx_buf_t *b, apr_size_t need)
{
    apr_size_t cap = b->cap ? b->cap : BUF_FIRST_BYTES;
    char *p;
    while (cap < need) {
        if (__builtin_mul_overflow(cap, 2, &cap))
            buf_out_of_memory();
    }
    p = realloc(b->p, cap);
    if (!p)
        buf_out_of_memory();
    b->p = p;
    b->cap = cap;
}

char *mx_buf_reserve(mx_buf_t *b, apr_size_t len)
{
    apr_size_t need;
    if (__builtin_add_overflow(b->len, len, &need))
        buf_out_of_memory();
    if (need > b->cap || !b->p)
        buf_grow(b, need);
    return b->p + b->len;
}

void mx_buf_append(mx_buf_t *b, const char *p, apr_size_t len)
{
    if (len) {
        memcpy(mx_buf_reserve(b, len), p, len);
        b->len += len;
    }
}

void mx_buf_append_str(mx_buf_t *b, const char *s)
{
    mx_buf_append(b, s, strlen(s));
}

void mx_buf_append_char(mx_buf_t *b, char c)
{
    *mx_buf_reserve(b, 1) = c;
    b->len++;
}

void mx_buf_clear(mx_buf_t *b)
{
    b->len = 0;
}

char *mx_buf_detach(mx_buf_t *b, apr_size_t *plen)
{
    char *p = b->p;
    *plen = b->len;
    b->p = NULL;
    b->len = b->cap = 0;
    return p;
}
