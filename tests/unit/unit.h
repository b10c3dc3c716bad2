/* SPDX-License-Identifier: Apache-2.0 */
/* Frame of a unit test program: a pool for each test, and a main() that runs a list of tests. */
#ifndef MX_TESTS_UNIT_H
#define MX_TESTS_UNIT_H

#include "base/crypto.h"
#include "base/json.h"

#include <apr_general.h>
#include <check.h>
#include <stdlib.h>

static apr_pool_t *pool;

static void unit_setup(void)
{
    apr_pool_create(&pool, NULL);
}

static void unit_teardown(void)
{
    apr_pool_destroy(pool);
}

/** MX_TEST_ONLY: a part of a test's name; only such are run. */
static inline int unit_run(const char *name, const TTest *const *tests, int ntests)
{
    Suite *suite = suite_create(name);
    TCase *tcase = tcase_create(name);
    const char *only = getenv("MX_TEST_ONLY");
    SRunner *runner;
    int i, failed;
    apr_initialize();
    mx_json_init();
    if (mx_crypto_init() != APR_SUCCESS)
        return EXIT_FAILURE;
    tcase_add_checked_fixture(tcase, unit_setup, unit_teardown);
    tcase_set_timeout(tcase, 60);
    for (i = 0; i < ntests; i++) {
        if (!only || strstr(tests[i]->name, only))
            tcase_add_test(tcase, tests[i]);
    }
    suite_add_tcase(suite, tcase);
    runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    apr_terminate();
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}

#define UNIT_MAIN(name, ...)                                                         \
    int main(void)                                                                   \
    {                                                                                \
        const TTest *const tests[] = { __VA_ARGS__ };                                \
        return unit_run(name, tests, (int)(sizeof(tests) / sizeof(tests[0])));       \
    }

#define UNIT_COUNT(table) ((int)(sizeof(table) / sizeof((table)[0])))

/** Parses text that is good JSON. */
static inline mx_json_t *unit_json(const char *text)
{
    mx_json_t *json = NULL;
    const char *why = NULL;
    mx_json_fault_e fault = mx_json_parse(&json, &why, text, strlen(text), NULL, pool);
    ck_assert_msg(fault == MX_JSON_OK, "%s: %s", text, why);
    return json;
}

static inline const char *unit_canonical(const char *text)
{
    mx_buf_t *buf = mx_buf_create(pool);
    mx_json_write_canonical(buf, unit_json(text));
    return mx_slice_dup(mx_buf_slice(buf), pool);
}

#endif
