/* SPDX-License-Identifier: Apache-2.0 */
/* Any bytes are deltas or refused; what they say together is sorted, each key once, and the newest word on it. */
#include "fuzz.h"

#include "store/state_delta.h"

#define DELTAS_MAX 8

/** The first byte says into how many parts, of whole entries but for the last one, the rest is cut. */
static int cut(mx_slice_t *deltas, const char *p, apr_size_t len)
{
    int n = len ? 1 + (unsigned char)*p % DELTAS_MAX : 0, i;
    apr_size_t each;
    if (!n)
        return 0;
    p++, len--;
    each = len / (apr_size_t)n / MX_STATE_ENTRY_BYTES * MX_STATE_ENTRY_BYTES;
    for (i = 0; i < n; i++)
        deltas[i] = mx_slice(p + (apr_size_t)i * each, i + 1 < n ? each : len - (apr_size_t)i * each);
    return n;
}

static void check_merge(const mx_state_list_t *list, const mx_slice_t *deltas, int n)
{
    int i, d;
    for (i = 0; i < list->n; i++) {
        apr_int64_t said = -1;
        FUZZ_CHECK(!i || list->items[i - 1].skey_nid < list->items[i].skey_nid);
        for (d = 0; d < n && said < 0; d++)
            said = mx_store_state_delta_find(deltas[d], list->items[i].skey_nid);
        FUZZ_CHECK(said == list->items[i].nid);
    }
}

static void check_diff(mx_state_list_t *from, mx_state_list_t *to, apr_pool_t *pool)
{
    static const mx_state_list_t empty;
    mx_state_list_t diff;
    int i;
    mx_store_state_delta_diff(&diff, from, to, &empty, pool);
    for (i = 0; i < diff.n; i++)
        FUZZ_CHECK(!i || diff.items[i - 1].skey_nid < diff.items[i].skey_nid);
    mx_store_state_delta_diff(&diff, to, to, from, pool);
    FUZZ_CHECK(diff.n == 0);
    mx_store_state_delta_settle(to);
    for (i = 0; i < to->n; i++)
        FUZZ_CHECK(to->items[i].nid);
}

static void fuzz_one(const char *p, apr_size_t len, apr_pool_t *pool)
{
    mx_slice_t deltas[DELTAS_MAX];
    mx_state_list_t all, first;
    apr_int64_t *numbers;
    int n = cut(deltas, p, len), count;
    count = mx_store_state_delta_numbers(&numbers, mx_slice(p, len), pool);
    FUZZ_CHECK(count < 0 ? len % MX_STATE_NUMBER_BYTES != 0 : (apr_size_t)count * MX_STATE_NUMBER_BYTES == len);
    if (mx_store_state_delta_merge(&all, deltas, n, pool) != APR_SUCCESS) {
        FUZZ_CHECK((len - 1) % MX_STATE_ENTRY_BYTES);
        return;
    }
    if (all.n < 4096)
        check_merge(&all, deltas, n);
    FUZZ_CHECK(mx_store_state_delta_merge(&first, deltas, n > 1, pool) == APR_SUCCESS);
    check_diff(&first, &all, pool);
}
