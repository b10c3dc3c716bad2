/* SPDX-License-Identifier: Apache-2.0 */
/* Frame of a fuzz target: a pool for each input, and a check that ends the process when a property does not hold. */
#ifndef MX_TESTS_FUZZ_H
#define MX_TESTS_FUZZ_H

#include "base/crypto.h"
#include "base/json_scan.h"

#include <apr_general.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

int LLVMFuzzerInitialize(int *pargc, char ***pargv);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/** The target: one input, in a pool of its own. */
static void fuzz_one(const char *p, apr_size_t len, apr_pool_t *pool);

#define FUZZ_CHECK(holds)                                                            \
    do {                                                                             \
        if (!(holds)) {                                                              \
            fprintf(stderr, "%s:%d: does not hold: %s\n", __FILE__, __LINE__, #holds); \
            abort();                                                                 \
        }                                                                            \
    } while (0)

/** What a target keeps for ever goes with APR's pools at the end, as a child's does: LeakSanitizer does not search mapped memory. */
int LLVMFuzzerInitialize(int *pargc, char ***pargv)
{
    apr_initialize();
    atexit(apr_terminate);
    mx_json_init();
    FUZZ_CHECK(mx_crypto_init() == APR_SUCCESS);
    return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    apr_pool_t *pool;
    apr_pool_create(&pool, NULL);
    fuzz_one((const char *)data, size, pool);
    apr_pool_destroy(pool);
    return 0;
}

static inline mx_slice_t fuzz_canonical(const mx_json_t *json, apr_pool_t *pool)
{
    mx_buf_t *buf = mx_buf_create(pool);
    mx_json_write_canonical(buf, json);
    return mx_buf_slice(buf);
}

#endif
