/* SPDX-License-Identifier: Apache-2.0 */
/* Request targets, the table of routes, deadlines. */
#include "unit.h"

#include "glue/heap.h"
#include "glue/router.h"

#define GET_ROW(path) { "GET", path, MX_CRED_NONE, MX_RATE_NONE, MX_BODY_NONE, NULL }

static const mx_route_t rows[] = {
    GET_ROW("/a/{x}/c"), GET_ROW("/a/b/d"), GET_ROW("/a/{x}"), GET_ROW("/a/{x}/{y}/e"), GET_ROW("/(r0|v3)/login"), GET_ROW("/tail/"),
    { "PUT", "/a/{x}", MX_CRED_USER, MX_RATE_NONE, MX_BODY_OBJECT, NULL },
};

static mx_route_result_e look(mx_match_t *match, const char *method, const char *path)
{
    const char *err = NULL;
    mx_router_t *router = mx_router_create(&err, rows, UNIT_COUNT(rows), pool);
    ck_assert_msg(router != NULL, "%s", err);
    return mx_router_match(match, router, method, mx_slice_str(path));
}

static void finds(const char *path, const char *row, const char *x)
{
    mx_match_t match;
    ck_assert_msg(look(&match, "GET", path) == MX_ROUTE_FOUND, "%s", path);
    ck_assert_str_eq(match.route->path, row);
    if (x) {
        ck_assert_str_eq(match.params[0].name, "x");
        ck_assert_str_eq(mx_slice_dup(match.params[0].raw, pool), x);
    }
}

START_TEST(a_path_finds_its_row)
{
    finds("/a/b/c", "/a/{x}/c", "b");
    finds("/a/b/d", "/a/b/d", NULL);
    finds("/a/b/e/e", "/a/{x}/{y}/e", "b");
    finds("/a/", "/a/{x}", "");
    finds("/a//c", "/a/{x}/c", "");
    finds("/a/%2F%23", "/a/{x}", "%2F%23");
    finds("/r0/login", "/(r0|v3)/login", NULL);
    finds("/v3/%6Cogin", "/(r0|v3)/login", NULL);
    finds("/tail/", "/tail/", NULL);
}
END_TEST

START_TEST(a_path_of_no_row_is_unknown)
{
    static const char *const paths[] = { "", "/", "a", "/a", "/a/b/x/y", "/tail", "/tail//",
                                         "/r1/login", "/v3/%zzogin", "/v3/login/", "//a/b" };
    mx_match_t match;
    int i;
    for (i = 0; i < UNIT_COUNT(paths); i++)
        ck_assert_msg(look(&match, "GET", paths[i]) == MX_ROUTE_UNKNOWN_PATH, "%s", paths[i]);
}
END_TEST

START_TEST(a_known_path_with_another_method_is_told_apart)
{
    mx_match_t match;
    ck_assert_int_eq(look(&match, "PUT", "/a/b"), MX_ROUTE_FOUND);
    ck_assert_int_eq(look(&match, "HEAD", "/a/b"), MX_ROUTE_FOUND);
    ck_assert_int_eq(look(&match, "DELETE", "/a/b"), MX_ROUTE_WRONG_METHOD);
    ck_assert_int_eq(look(&match, "get", "/a/b"), MX_ROUTE_WRONG_METHOD);
}
END_TEST

START_TEST(two_rows_that_collide_are_refused)
{
    static const mx_route_t twice[] = { GET_ROW("/(r0|v3)/a/{x}"), GET_ROW("/v3/a/{y}") };
    const char *err = NULL;
    ck_assert_ptr_null(mx_router_create(&err, twice, 2, pool));
    ck_assert_str_eq(err, "two routes answer GET /v3/a/{y}");
}
END_TEST

START_TEST(a_target_is_split_in_both_forms)
{
    static const char *const cases[][3] = {
        { "/p?q", "/p", "q" }, { "/p", "/p", "" }, { "http://h/p?q?r", "/p", "q?r" }, { "HTTPS://h:1/p", "/p", "" },
        { "http://h?q", "", "q" },
        { "*", "", "" }, { "host:443", "", "" }, { "", "", "" }, { "/http://x/y", "/http://x/y", "" },
    };
    mx_slice_t path, query;
    int i;
    for (i = 0; i < UNIT_COUNT(cases); i++) {
        mx_target_split(&path, &query, cases[i][0]);
        ck_assert_msg(mx_slice_is(path, cases[i][1]) && mx_slice_is(query, cases[i][2]), "%s", cases[i][0]);
    }
}
END_TEST

START_TEST(only_our_prefixes_are_ours)
{
    static const char *const ours[] = { "/_matrix", "/_matrix/", "/_matrix/x", "/.well-known/matrix/client", "/_synapse/admin/v1" };
    static const char *const others[] = { "", "/", "/_matrixx", "//_matrix/", "/_synapse/client",
                                          "/.well-known/acme-challenge/x", "/x/_matrix/" };
    int i;
    for (i = 0; i < UNIT_COUNT(ours); i++)
        ck_assert_msg(mx_target_is_ours(mx_slice_str(ours[i])), "%s", ours[i]);
    for (i = 0; i < UNIT_COUNT(others); i++)
        ck_assert_msg(!mx_target_is_ours(mx_slice_str(others[i])), "%s", others[i]);
}
END_TEST

START_TEST(dot_segments_and_broken_escapes_are_not_sound)
{
    static const char *const sound[] = { "/", "/a/...", "/a/.b", "/a/b.", "/%2e%2e%2e", "/a/%2F", "//" };
    static const char *const unsound[] = { "/.", "/..", "/a/../b", "/%2e", "/%2E.", "/.%2e/x", "/%", "/%2", "/%g0", "/a%zz/b" };
    int i;
    for (i = 0; i < UNIT_COUNT(sound); i++)
        ck_assert_msg(mx_target_is_sound(mx_slice_str(sound[i])), "%s", sound[i]);
    for (i = 0; i < UNIT_COUNT(unsound); i++)
        ck_assert_msg(!mx_target_is_sound(mx_slice_str(unsound[i])), "%s", unsound[i]);
}
END_TEST

START_TEST(tokens_are_redacted_however_their_name_is_written)
{
    static const char *const cases[][2] = {
        { "GET /p?access_token=s HTTP/1.1", "GET /p?access_token=redacted HTTP/1.1" },
        { "/p?a=1&access%5Ftoken=s&b", "/p?a=1&access%5Ftoken=redacted&b" },
        { "/p?access_token=s&Access_Token=t", "/p?access_token=redacted&Access_Token=redacted" },
        { "/p?access_token=", "/p?access_token=redacted" },
        { "/p?a=access_token=s", NULL }, { "/p?xaccess_token=s", NULL }, { "/p?", NULL }, { "/p?access_token%=s", NULL },
    };
    int i;
    for (i = 0; i < UNIT_COUNT(cases); i++) {
        const char *mark = strchr(cases[i][0], '?');
        char *out = mx_target_redact(cases[i][0], (apr_size_t)(mark + 1 - cases[i][0]), pool);
        ck_assert_msg(mx_str_eq(out, cases[i][1]), "%s: %s", cases[i][0], out ? out : "(none)");
    }
}
END_TEST

START_TEST(a_query_keeps_order_and_repetition)
{
    apr_table_t *query = NULL;
    mx_slice_t bad;
    ck_assert_int_eq(mx_target_query(&query, &bad, mx_slice_str("a=1&&b=x+y%2B&a=2&c&=v"), pool), APR_SUCCESS);
    ck_assert_int_eq(apr_table_elts(query)->nelts, 5);
    ck_assert_str_eq(apr_table_get(query, "a"), "1");
    ck_assert_str_eq(apr_table_get(query, "b"), "x y+");
    ck_assert_str_eq(apr_table_get(query, "c"), "");
    ck_assert_int_eq(mx_target_query(&query, &bad, mx_slice_str("a=1&k=%ff"), pool), APR_EINVAL);
    ck_assert_msg(mx_slice_is(bad, "k"), "the wrong name");
}
END_TEST

#define NODES 2000

START_TEST(deadlines_come_in_order_whatever_is_taken_out)
{
    static mx_heap_node_t nodes[NODES];
    mx_heap_t heap = { .pool = pool };
    apr_time_t last = 0;
    int i, n = 0;
    srand(7);
    for (i = 0; i < NODES; i++)
        mx_heap_add(&heap, &nodes[i], rand() % 500);
    for (i = 0; i < NODES; i += 3)
        mx_heap_remove(&heap, &nodes[(i * 7) % NODES]);
    mx_heap_remove(&heap, &nodes[0]);
    while (mx_heap_first(&heap)) {
        mx_heap_node_t *first = mx_heap_first(&heap);
        ck_assert(first->when >= last);
        last = first->when;
        mx_heap_remove(&heap, first);
        ck_assert(first->place == 0);
        n++;
    }
    ck_assert_int_eq(n, NODES - (NODES + 2) / 3);
}
END_TEST

UNIT_MAIN("router", a_path_finds_its_row, a_path_of_no_row_is_unknown, a_known_path_with_another_method_is_told_apart,
          two_rows_that_collide_are_refused, a_target_is_split_in_both_forms, only_our_prefixes_are_ours,
          dot_segments_and_broken_escapes_are_not_sound, tokens_are_redacted_however_their_name_is_written,
          a_query_keeps_order_and_repetition, deadlines_come_in_order_whatever_is_taken_out)
