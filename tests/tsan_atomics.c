/* SPDX-License-Identifier: Apache-2.0 */
/*
 * APR's atomic operations for a server under ThreadSanitizer, preloaded before libapr. httpd and APR are built without it, so it does
 * not see by which of them the event MPM hands pools and connections from one thread to the next, and would call that a race.
 * These do the same and are seen.
 */
#include <apr_atomic.h>

#define SEQ __ATOMIC_SEQ_CST

#define ATOMICS(bits) \
    apr_uint##bits##_t apr_atomic_read##bits(volatile apr_uint##bits##_t *mem) \
    { \
        return __atomic_load_n(mem, SEQ); \
    } \
    void apr_atomic_set##bits(volatile apr_uint##bits##_t *mem, apr_uint##bits##_t val) \
    { \
        __atomic_store_n(mem, val, SEQ); \
    } \
    apr_uint##bits##_t apr_atomic_add##bits(volatile apr_uint##bits##_t *mem, apr_uint##bits##_t val) \
    { \
        return __atomic_fetch_add(mem, val, SEQ); \
    } \
    void apr_atomic_sub##bits(volatile apr_uint##bits##_t *mem, apr_uint##bits##_t val) \
    { \
        __atomic_fetch_sub(mem, val, SEQ); \
    } \
    apr_uint##bits##_t apr_atomic_inc##bits(volatile apr_uint##bits##_t *mem) \
    { \
        return __atomic_fetch_add(mem, 1, SEQ); \
    } \
    int apr_atomic_dec##bits(volatile apr_uint##bits##_t *mem) \
    { \
        return __atomic_sub_fetch(mem, 1, SEQ) != 0; \
    } \
    apr_uint##bits##_t apr_atomic_cas##bits(volatile apr_uint##bits##_t *mem, apr_uint##bits##_t with, apr_uint##bits##_t cmp) \
    { \
        __atomic_compare_exchange_n(mem, &cmp, with, 0, SEQ, SEQ); \
        return cmp; \
    } \
    apr_uint##bits##_t apr_atomic_xchg##bits(volatile apr_uint##bits##_t *mem, apr_uint##bits##_t val) \
    { \
        return __atomic_exchange_n(mem, val, SEQ); \
    }

ATOMICS(32)
ATOMICS(64)

void *apr_atomic_casptr(volatile void **mem, void *with, const void *cmp)
{
    volatile void *found = (volatile void *)cmp;
    __atomic_compare_exchange_n(mem, &found, with, 0, SEQ, SEQ);
    return (void *)found;
}

void *apr_atomic_xchgptr(volatile void **mem, void *with)
{
    return (void *)__atomic_exchange_n(mem, with, SEQ);
}
