/* SPDX-License-Identifier: Apache-2.0 */
/* Typed reading of parameters: what is accepted, which errcode the rest gets, and that the sentence names the parameter. */
#include "unit.h"

#include "api/req.h"

static mx_req_t *request(const char *name, const char *value, const char *body)
{
    mx_req_t *req = apr_pcalloc(pool, sizeof(*req));
    apr_table_t *table = apr_table_make(pool, 1);
    if (value)
        apr_table_set(table, name, value);
    req->pool = pool;
    req->path_params = req->query = table;
    req->body = body ? unit_json(body) : NULL;
    return req;
}

static void is_error(const mx_error_t *err, mx_errcode_e code, const char *name)
{
    ck_assert_ptr_nonnull(err);
    ck_assert_int_eq(err->code, code);
    ck_assert_msg(strstr(err->message, name) != NULL, "%s does not name %s", err->message, name);
}

START_TEST(an_absent_parameter_gives_the_fallback)
{
    mx_req_t *req = request("x", NULL, "{}");
    apr_int64_t i;
    int b;
    const char *s;
    mx_json_t *j;
    ck_assert_ptr_null(mx_param_query(req, "x"));
    ck_assert_str_eq(mx_param_path(req, "x"), "");
    ck_assert_ptr_null(mx_param_query_int(&i, req, "x", 7, 0, 9));
    ck_assert_int_eq(i, 7);
    ck_assert_ptr_null(mx_param_query_bool(&b, req, "x", 1));
    ck_assert_int_eq(b, 1);
    ck_assert_ptr_null(mx_param_body_str(&s, req, req->body, "x", "f"));
    ck_assert_str_eq(s, "f");
    ck_assert_ptr_null(mx_param_body_int(&i, req, req->body, "x", -3, 0, 9));
    ck_assert_int_eq(i, -3);
    ck_assert_ptr_null(mx_param_body_object(&j, req, req->body, "x"));
    ck_assert_ptr_null(j);
    is_error(mx_param_must_str(&s, req, req->body, "x"), MX_E_MISSING_PARAM, "x");
}
END_TEST

START_TEST(query_numbers_are_strict)
{
    static const char *const bad[] = { "", "a", "1a", "+1", " 1", "1.0", "10", "-1", "9223372036854775808", "0x1" };
    apr_int64_t out = 42;
    int i;
    for (i = 0; i < UNIT_COUNT(bad); i++)
        is_error(mx_param_query_int(&out, request("n", bad[i], NULL), "n", 0, 0, 9), MX_E_INVALID_PARAM, "n");
    ck_assert_int_eq(out, 42);
    ck_assert_ptr_null(mx_param_query_int(&out, request("n", "9", NULL), "n", 0, 0, 9));
    ck_assert_int_eq(out, 9);
}
END_TEST

START_TEST(query_flags_are_true_or_false)
{
    static const char *const bad[] = { "", "1", "True", "yes" };
    int i, out = 5;
    for (i = 0; i < UNIT_COUNT(bad); i++)
        is_error(mx_param_query_bool(&out, request("flag", bad[i], NULL), "flag", 0), MX_E_INVALID_PARAM, "flag");
    ck_assert_int_eq(out, 5);
    ck_assert_ptr_null(mx_param_query_bool(&out, request("flag", "false", NULL), "flag", 1));
    ck_assert_int_eq(out, 0);
}
END_TEST

START_TEST(a_limit_is_cut_and_never_negative)
{
    int limit = 5;
    is_error(mx_param_limit(&limit, request("limit", "-1", NULL), 10, 100), MX_E_INVALID_PARAM, "limit");
    ck_assert_int_eq(limit, 5);
    ck_assert_ptr_null(mx_param_limit(&limit, request("limit", "99999999999", NULL), 10, 100));
    ck_assert_int_eq(limit, 100);
    ck_assert_ptr_null(mx_param_limit(&limit, request("limit", NULL, NULL), 10, 100));
    ck_assert_int_eq(limit, 10);
}
END_TEST

START_TEST(ids_in_the_path_have_their_grammar)
{
    const char *out = "untouched";
    is_error(mx_param_room_id(&out, request("roomId", "x", NULL), "roomId"), MX_E_INVALID_PARAM, "roomId");
    is_error(mx_param_user_id(&out, request("userId", "@x", NULL), "userId"), MX_E_INVALID_PARAM, "userId");
    is_error(mx_param_event_id(&out, request("eventId", "", NULL), "eventId"), MX_E_INVALID_PARAM, "eventId");
    is_error(mx_param_alias(&out, request("roomAlias", "a:b", NULL), "roomAlias"), MX_E_INVALID_PARAM, "roomAlias");
    ck_assert_str_eq(out, "untouched");
    ck_assert_ptr_null(mx_param_user_id(&out, request("userId", "@x:example.org", NULL), "userId"));
    ck_assert_str_eq(out, "@x:example.org");
}
END_TEST

START_TEST(a_member_of_another_type_is_bad_json)
{
    static const char *const wrong[] = { "{\"k\":[]}", "{\"k\":null}", "{\"k\":1.5}", "{\"k\":\"\\u0000\"}" };
    const char *s = "untouched";
    apr_int64_t n;
    mx_json_t *j;
    int i, b;
    for (i = 0; i < UNIT_COUNT(wrong); i++) {
        mx_req_t *req = request("k", NULL, wrong[i]);
        is_error(mx_param_body_str(&s, req, req->body, "k", NULL), MX_E_BAD_JSON, "k");
        is_error(mx_param_must_str(&s, req, req->body, "k"), MX_E_BAD_JSON, "k");
        is_error(mx_param_body_int(&n, req, req->body, "k", 0, 0, 9), MX_E_BAD_JSON, "k");
        is_error(mx_param_body_bool(&b, req, req->body, "k", 0), MX_E_BAD_JSON, "k");
        is_error(mx_param_body_object(&j, req, req->body, "k"), MX_E_BAD_JSON, "k");
    }
    ck_assert_str_eq(s, "untouched");
    is_error(mx_param_body_array(&j, request("k", NULL, NULL), unit_json("{\"k\":{}}"), "k"), MX_E_BAD_JSON, "k");
    is_error(mx_param_body_int(&n, request("k", NULL, NULL), unit_json("{\"k\":10}"), "k", 0, 0, 9), MX_E_INVALID_PARAM, "k");
}
END_TEST

UNIT_MAIN("param", an_absent_parameter_gives_the_fallback, query_numbers_are_strict, query_flags_are_true_or_false,
          a_limit_is_cut_and_never_negative, ids_in_the_path_have_their_grammar, a_member_of_another_type_is_bad_json)
