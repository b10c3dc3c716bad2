/* SPDX-License-Identifier: Apache-2.0 */
/* Sliding sync: positions, required_state, what is remembered of a connection. MSC4186. Without a database. */
#include "unit.h"

#include "sync/sliding_private.h"

static mx_sliding_config_t config_of(int lazy, int n, ...)
{
    mx_sliding_config_t config = { .lazy = lazy, .keys = apr_palloc(pool, sizeof(mx_sliding_key_t) * (apr_size_t)(n + 1)) };
    va_list args;
    va_start(args, n);
    for (; config.nkeys < n; config.nkeys++) {
        config.keys[config.nkeys].type = va_arg(args, const char *);
        config.keys[config.nkeys].state_key = va_arg(args, const char *);
    }
    va_end(args);
    mx_sync_sliding_config_settle(&config);
    return config;
}

START_TEST(only_two_numbers_are_a_position)
{
    static const char *const bad[] = { "", "/", "1", "1/", "/1", "0/1", "-1/1", "1/-1", "1/1/1", "1/1 ", " 1/1", "s1/1",
                                       "9223372036854775808/1", "1/9223372036854775808", "11111111111111111111111111111111111111111/1",
                                       NULL };
    apr_int64_t version = 7, since = 7;
    int i;
    for (i = 0; bad[i]; i++)
        ck_assert_msg(!mx_sync_sliding_pos_read(&version, &since, bad[i]), "%s", bad[i]);
    ck_assert_int_eq(mx_sync_sliding_pos_read(&version, &since, NULL), 0);
    ck_assert_int_eq(mx_sync_sliding_pos_read(&version, &since, "9223372036854775807/0"), 1);
    ck_assert(version == APR_INT64_MAX && since == 0);
}
END_TEST

START_TEST(patterns_are_kept_once_whatever_their_order)
{
    mx_sliding_config_t a = config_of(0, 3, "b", "", "a", "x", "b", ""), b = config_of(0, 2, "a", "x", "b", "");
    ck_assert_int_eq(a.nkeys, 2);
    ck_assert_int_eq(mx_sliding_config_same_state(&a, &b), 1);
    b.lazy = 1;
    ck_assert_int_eq(mx_sliding_config_same_state(&a, &b), 0);
}
END_TEST

START_TEST(stars_mean_everything_but_members_that_come_lazily)
{
    mx_sliding_config_t all = config_of(0, 1, "*", "*"), lazy = config_of(1, 2, "*", "*", "m.room.member", "@me:x"),
                        key = config_of(0, 2, "*", "k", "t", "*");
    ck_assert_int_eq(mx_sliding_config_wants(&all, "m.room.member", "@a:x"), 1);
    ck_assert_int_eq(mx_sliding_config_wants(&lazy, "m.room.member", "@a:x"), 0);
    ck_assert_int_eq(mx_sliding_config_wants(&lazy, "m.room.member", "@me:x"), 1);
    ck_assert_int_eq(mx_sliding_config_wants(&lazy, "m.room.name", ""), 1);
    ck_assert_int_eq(mx_sliding_config_wants(&key, "any", "k") && mx_sliding_config_wants(&key, "t", "any"), 1);
    ck_assert_int_eq(mx_sliding_config_wants(&key, "any", "other"), 0);
    ck_assert_int_eq(mx_sliding_config_is_wild(&key), 1);
}
END_TEST

START_TEST(a_merge_asks_for_what_either_asks_for)
{
    mx_sliding_config_t a = config_of(0, 1, "a", ""), b = config_of(1, 2, "a", "", "b", "");
    a.timeline_limit = 5;
    b.timeline_limit = 3;
    mx_sliding_config_merge(&a, &b, pool);
    ck_assert(a.timeline_limit == 5 && a.lazy && a.nkeys == 2);
}
END_TEST

static mx_sliding_conn_t a_connection(void)
{
    static apr_int64_t members[] = { 3, 500, 70000000000 };
    mx_sliding_conn_t conn = { .nrooms = 2, .rooms = apr_pcalloc(pool, sizeof(mx_sliding_told_t) * 2),
                               .configs = apr_array_make(pool, 2, sizeof(mx_sliding_config_t)) };
    mx_sliding_config_t first = config_of(1, 1, "m.room.name", ""), second = config_of(0, 0);
    conn.rooms[0] = (mx_sliding_told_t){ 5, { MX_SLIDING_LIVE, MX_SLIDING_NEVER, 77 }, MX_MEMBERSHIP_JOIN, 20,
                                         mx_sliding_conn_config(&conn, &first), members, 3 };
    conn.rooms[1] = (mx_sliding_told_t){ 1LL << 40, { 99, MX_SLIDING_LIVE, MX_SLIDING_LIVE }, MX_MEMBERSHIP_INVITE, 1,
                                         mx_sliding_conn_config(&conn, &second), NULL, 0 };
    return conn;
}

START_TEST(a_connection_is_what_was_stored)
{
    mx_sliding_conn_t conn = a_connection(), out = { 0 };
    const mx_sliding_told_t *told;
    ck_assert_int_eq(mx_sliding_conn_decode(&out, mx_sliding_conn_encode(&conn, pool), pool), 1);
    ck_assert_int_eq(out.nrooms, 2);
    told = mx_sliding_conn_find(&out, 5);
    ck_assert(told && told->upto[MX_SLIDING_RECEIPTS] == MX_SLIDING_NEVER && told->upto[MX_SLIDING_DATA] == 77);
    ck_assert_int_eq(told->timeline_limit, 20);
    ck_assert(told->nmembers == 3 && told->members[2] == 70000000000 && told->membership == MX_MEMBERSHIP_JOIN);
    ck_assert_str_eq(APR_ARRAY_IDX(out.configs, told->config, mx_sliding_config_t).keys[0].type, "m.room.name");
    told = mx_sliding_conn_find(&out, 1LL << 40);
    ck_assert(told && told->upto[MX_SLIDING_ROOM] == 99 && !told->nmembers);
    ck_assert_ptr_null(mx_sliding_conn_find(&out, 6));
}
END_TEST

START_TEST(one_required_state_is_there_once)
{
    mx_sliding_conn_t conn = a_connection();
    mx_sliding_config_t same = config_of(1, 1, "m.room.name", ""), other = config_of(1, 1, "m.room.name", "x");
    ck_assert_int_eq(mx_sliding_conn_config(&conn, &same), 0);
    ck_assert_int_eq(mx_sliding_conn_config(&conn, &other), 2);
}
END_TEST

START_TEST(bytes_cut_short_or_changed_are_refused_or_read_without_harm)
{
    mx_sliding_conn_t conn = a_connection(), out;
    mx_slice_t bytes = mx_sliding_conn_encode(&conn, pool);
    apr_size_t i;
    int bit;
    for (i = 0; i < bytes.len; i++) ck_assert_int_eq(mx_sliding_conn_decode(&out, mx_slice(apr_pmemdup(pool, bytes.p, i), i), pool), 0);
    for (i = 0; i < bytes.len; i++)
        for (bit = 0; bit < 8; bit++) {
            char *copy = apr_pmemdup(pool, bytes.p, bytes.len);
            copy[i] ^= (char)(1 << bit);
            mx_sliding_conn_decode(&out, mx_slice(copy, bytes.len), pool);
        }
}
END_TEST

UNIT_MAIN("sliding", only_two_numbers_are_a_position, patterns_are_kept_once_whatever_their_order,
          stars_mean_everything_but_members_that_come_lazily, a_merge_asks_for_what_either_asks_for, a_connection_is_what_was_stored,
          one_required_state_is_there_once, bytes_cut_short_or_changed_are_refused_or_read_without_harm)
