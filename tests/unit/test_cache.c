/* SPDX-License-Identifier: Apache-2.0 */
/* Caches and rate limits, also with many threads. */
#include "unit.h"

#include "base/cache.h"
#include "base/rate.h"

#include <apr_thread_proc.h>

static int alive;      /* values that are not destroyed */

static void *value_new(int n)
{
    int *v = malloc(sizeof(*v));
    *v = n;
    __atomic_add_fetch(&alive, 1, __ATOMIC_SEQ_CST);
    return v;
}

static void value_destroy(void *v)
{
    *(int *)v = -1;
    free(v);
    __atomic_sub_fetch(&alive, 1, __ATOMIC_SEQ_CST);
}

START_TEST(cache_gives_back_what_was_set)
{
    mx_cache_t *cache = mx_cache_create("t", 1000, value_destroy, pool);
    mx_cache_ref_t *ref;
    int *v;
    ck_assert_ptr_null(mx_cache_get(&ref, cache, "a", 1));
    mx_cache_set(NULL, cache, "a", 1, value_new(7), 10, 0);
    v = mx_cache_get(&ref, cache, "a", 1);
    ck_assert_int_eq(*v, 7);
    mx_cache_put(ref);
    ck_assert_ptr_null(mx_cache_get(&ref, cache, "ab", 2));
    mx_cache_put(NULL);
}
END_TEST

START_TEST(cache_value_outlives_removal_while_borrowed)
{
    mx_cache_t *cache = mx_cache_create("t", 1000, value_destroy, pool);
    mx_cache_ref_t *ref;
    int *v = value_new(1);
    mx_cache_set(&ref, cache, "a", 1, v, 10, 0);
    mx_cache_remove(cache, "a", 1);
    ck_assert_int_eq(*v, 1);
    ck_assert_int_eq(alive, 1);
    mx_cache_put(ref);
    ck_assert_int_eq(alive, 0);
}
END_TEST

START_TEST(cache_replaces_a_value_of_the_same_key)
{
    mx_cache_t *cache = mx_cache_create("t", 1000, value_destroy, pool);
    mx_cache_ref_t *ref;
    mx_cache_stats_t stats;
    mx_cache_set(NULL, cache, "a", 1, value_new(1), 10, 0);
    mx_cache_set(NULL, cache, "a", 1, value_new(2), 20, 0);
    ck_assert_int_eq(*(int *)mx_cache_get(&ref, cache, "a", 1), 2);
    mx_cache_put(ref);
    mx_cache_stats(&stats, cache);
    ck_assert_uint_eq(stats.entries, 1);
    ck_assert_uint_eq(stats.bytes, 20);
    ck_assert_int_eq(alive, 1);
}
END_TEST

START_TEST(cache_stays_within_its_bound_and_spares_what_is_used)
{
    mx_cache_t *cache = mx_cache_create("t", 1000, value_destroy, pool);
    mx_cache_stats_t stats;
    mx_cache_ref_t *ref;
    int i;
    mx_cache_set(NULL, cache, "hot", 3, value_new(0), 100, 0);
    for (i = 1; i < 200; i++) {
        ck_assert_ptr_nonnull(mx_cache_get(&ref, cache, "hot", 3));
        mx_cache_put(ref);
        mx_cache_set(NULL, cache, &i, sizeof(i), value_new(i), 100, 0);
        mx_cache_stats(&stats, cache);
        ck_assert_uint_le(stats.bytes, 1000);
    }
    ck_assert_uint_eq(stats.evictions, 190);
    ck_assert_int_eq(alive, 10);
}
END_TEST

START_TEST(cache_keeps_what_just_came_however_much_the_rest_is_used)
{
    mx_cache_t *cache = mx_cache_create("t", 50, mx_cache_value_destroy, pool);
    mx_cache_ref_t *ref;
    int i, k;
    for (i = 0; i < 1000; i++) {
        mx_cache_set(NULL, cache, &i, sizeof(i), mx_cache_value_create(1), 10, 0);
        for (k = i < 5 ? 0 : i - 4; k <= i; k++) {
            void *value = mx_cache_get(&ref, cache, &k, sizeof(k));
            ck_assert_msg(value != NULL || k < i, "%d is gone at once", k);
            if (value)
                mx_cache_put(ref);
        }
    }
}
END_TEST

START_TEST(cache_refuses_what_is_larger_than_itself)
{
    mx_cache_t *cache = mx_cache_create("t", 1000, value_destroy, pool);
    mx_cache_ref_t *ref, *other;
    mx_cache_set(NULL, cache, "a", 1, value_new(1), 10, 0);
    mx_cache_set(&ref, cache, "b", 1, value_new(2), 1001, 0);
    ck_assert_ptr_null(mx_cache_get(&other, cache, "b", 1));
    ck_assert_ptr_nonnull(mx_cache_get(&other, cache, "a", 1));
    mx_cache_put(other);
    mx_cache_put(ref);
    ck_assert_int_eq(alive, 1);
}
END_TEST

START_TEST(cache_forgets_expired_values)
{
    mx_cache_t *cache = mx_cache_create("t", 1000, value_destroy, pool);
    mx_cache_ref_t *ref;
    mx_cache_set(NULL, cache, "a", 1, value_new(1), 10, apr_time_now() - 1);
    mx_cache_set(NULL, cache, "b", 1, value_new(1), 10, apr_time_now() + apr_time_from_sec(60));
    ck_assert_ptr_null(mx_cache_get(&ref, cache, "a", 1));
    ck_assert_ptr_nonnull(mx_cache_get(&ref, cache, "b", 1));
    mx_cache_put(ref);
}
END_TEST

START_TEST(cache_destroys_all_values_with_its_pool)
{
    apr_pool_t *sub;
    mx_cache_t *cache;
    int i;
    apr_pool_create(&sub, pool);
    cache = mx_cache_create("t", 64 * 1024 * 1024, value_destroy, sub);
    for (i = 0; i < 5000; i++)
        mx_cache_set(NULL, cache, &i, sizeof(i), value_new(i), 100, 0);
    ck_assert_int_eq(alive, 5000);
    apr_pool_destroy(sub);
    ck_assert_int_eq(alive, 0);
}
END_TEST

#define THREADS 4
#define ROUNDS 20000

static void *APR_THREAD_FUNC cache_hammer(apr_thread_t *thread, void *data)
{
    mx_cache_t *cache = data;
    unsigned int seed = (unsigned int)(apr_uintptr_t)thread;
    int i;
    for (i = 0; i < ROUNDS; i++) {
        int key = rand_r(&seed) % 100, *v;
        mx_cache_ref_t *ref;
        v = mx_cache_get(&ref, cache, &key, sizeof(key));
        if (!v)
            mx_cache_set(&ref, cache, &key, sizeof(key), v = value_new(key), 100, 0);
        if (*v != key)
            abort();
        mx_cache_put(ref);
        if (i % 97 == 0)
            mx_cache_remove(cache, &key, sizeof(key));
        if (i % 5001 == 0)
            mx_cache_clear(cache);
    }
    return NULL;
}

START_TEST(cache_never_shows_a_thread_a_dead_value)
{
    apr_thread_t *threads[THREADS];
    apr_status_t rv;
    mx_cache_t *cache = mx_cache_create("t", 5000, value_destroy, pool);
    int i;
    for (i = 0; i < THREADS; i++)
        ck_assert_int_eq(apr_thread_create(&threads[i], NULL, cache_hammer, cache, pool), APR_SUCCESS);
    for (i = 0; i < THREADS; i++)
        apr_thread_join(&rv, threads[i]);
    mx_cache_clear(cache);
    ck_assert_int_eq(alive, 0);
}
END_TEST

START_TEST(bucket_lets_a_burst_pass_and_then_the_rate)
{
    mx_rate_t *rate = mx_rate_create(10, pool);
    mx_rate_limit_t limit = { 2.0, 3.0 };
    apr_time_t now = apr_time_from_sec(1000);
    int i;
    for (i = 0; i < 3; i++)
        ck_assert_int_eq(mx_rate_take_ms(rate, "k", &limit, now), 0);
    ck_assert_int_eq(mx_rate_take_ms(rate, "k", &limit, now), 500);
    ck_assert_int_eq(mx_rate_take_ms(rate, "other", &limit, now), 0);
    ck_assert_int_eq(mx_rate_take_ms(rate, "k", &limit, now + 250 * 1000), 250);
    ck_assert_int_eq(mx_rate_take_ms(rate, "k", &limit, now + 500 * 1000), 0);
    ck_assert_int_gt(mx_rate_take_ms(rate, "k", &limit, now + 500 * 1000), 0);
    ck_assert_int_gt(mx_rate_take_ms(rate, "k", &limit, now), 0);       /* a clock that goes back gives nothing */
    for (i = 0; i < 3; i++)
        ck_assert_int_eq(mx_rate_take_ms(rate, "k", &limit, now + apr_time_from_sec(100)), 0);
    ck_assert_int_gt(mx_rate_take_ms(rate, "k", &limit, now + apr_time_from_sec(100)), 0);
}
END_TEST

START_TEST(rate_of_zero_is_unlimited)
{
    mx_rate_t *rate = mx_rate_create(10, pool);
    mx_rate_limit_t limit = { 0, 0 };
    int i;
    for (i = 0; i < 1000; i++)
        ck_assert_int_eq(mx_rate_take_ms(rate, "k", &limit, 1), 0);
}
END_TEST

START_TEST(buckets_in_use_survive_a_flood_of_names)
{
    mx_rate_t *rate = mx_rate_create(4, pool);
    mx_rate_limit_t limit = { 0.001, 1.0 };
    int i;
    ck_assert_int_eq(mx_rate_take_ms(rate, "busy", &limit, 1), 0);
    for (i = 0; i < 1000; i++) {
        mx_rate_take_ms(rate, apr_itoa(pool, i), &limit, 1);
        ck_assert_int_gt(mx_rate_take_ms(rate, "busy", &limit, 1), 0);
    }
}
END_TEST

static void *APR_THREAD_FUNC rate_hammer(apr_thread_t *thread, void *data)
{
    static const mx_rate_limit_t limit = { 0.001, 1000.0 };
    apr_uintptr_t passed = 0;
    int i;
    for (i = 0; i < ROUNDS; i++)
        passed += mx_rate_take_ms(data, "k", &limit, 1) == 0;
    apr_thread_exit(thread, (apr_status_t)passed);
    return NULL;
}

START_TEST(threads_together_take_no_more_than_the_bucket_holds)
{
    apr_thread_t *threads[THREADS];
    mx_rate_t *rate = mx_rate_create(10, pool);
    int i, sum = 0;
    for (i = 0; i < THREADS; i++)
        ck_assert_int_eq(apr_thread_create(&threads[i], NULL, rate_hammer, rate, pool), APR_SUCCESS);
    for (i = 0; i < THREADS; i++) {
        apr_status_t rv;
        apr_thread_join(&rv, threads[i]);
        sum += rv;
    }
    ck_assert_int_eq(sum, 1000);
}
END_TEST

UNIT_MAIN("cache", cache_gives_back_what_was_set, cache_value_outlives_removal_while_borrowed,
          cache_replaces_a_value_of_the_same_key, cache_stays_within_its_bound_and_spares_what_is_used,
          cache_keeps_what_just_came_however_much_the_rest_is_used,
          cache_refuses_what_is_larger_than_itself, cache_forgets_expired_values, cache_destroys_all_values_with_its_pool,
          cache_never_shows_a_thread_a_dead_value, bucket_lets_a_burst_pass_and_then_the_rate, rate_of_zero_is_unlimited,
          buckets_in_use_survive_a_flood_of_names, threads_together_take_no_more_than_the_bucket_holds)
