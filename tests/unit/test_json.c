/* SPDX-License-Identifier: Apache-2.0 */
/* JSON trees, the scanner, the writer, canonical JSON. */
#include "unit.h"

#include "base/json_scan.h"
#include "base/json_writer.h"

#include <stdint.h>

/* Appendices: canonical JSON, examples. */
START_TEST(spec_canonical_json_examples_hold)
{
    static const struct {
        const char *in, *out;
    } cases[] = {
        { "{}", "{}" },
        { "{\n    \"one\": 1,\n    \"two\": \"Two\"\n}", "{\"one\":1,\"two\":\"Two\"}" },
        { "{\n    \"b\": \"2\",\n    \"a\": \"1\"\n}", "{\"a\":\"1\",\"b\":\"2\"}" },
        { "{\"b\":\"2\",\"a\":\"1\"}", "{\"a\":\"1\",\"b\":\"2\"}" },
        { "{\"auth\": {\"success\": true, \"mxid\": \"@john.doe:example.com\", \"profile\": {\"display_name\": \"John Doe\", "
          "\"three_pids\": [{\"medium\": \"email\", \"address\": \"john.doe@example.org\"}, {\"medium\": \"msisdn\", "
          "\"address\": \"123456789\"}]}}}",
          "{\"auth\":{\"mxid\":\"@john.doe:example.com\",\"profile\":{\"display_name\":\"John Doe\",\"three_pids\":"
          "[{\"address\":\"john.doe@example.org\",\"medium\":\"email\"},{\"address\":\"123456789\",\"medium\":\"msisdn\"}]},"
          "\"success\":true}}" },
        { "{\"a\": \"日本語\"}", "{\"a\":\"日本語\"}" },
        { "{\"本\": 2, \"日\": 1}", "{\"日\":1,\"本\":2}" },
        { "{\"a\": \"\\u65E5\"}", "{\"a\":\"日\"}" },
        { "{\"a\": null}", "{\"a\":null}" },
        { "{\"a\": -0, \"b\": 1e10}", "{\"a\":0,\"b\":10000000000}" },
    };
    int i;
    for (i = 0; i < UNIT_COUNT(cases); i++)
        ck_assert_str_eq(unit_canonical(cases[i].in), cases[i].out);
}
END_TEST

/* Appendices: canonical JSON, grammar. */
START_TEST(canonical_escapes_are_the_short_ones)
{
    ck_assert_str_eq(unit_canonical("\"\\u0000\\u0007\\u0008\\u0009\\u000A\\u000B\\u000C\\u000D\\u001F\\u007F\\/\\\"\\\\\""),
                     "\"\\u0000\\u0007\\b\\t\\n\\u000b\\f\\r\\u001f\x7f/\\\"\\\\\"");
}
END_TEST

START_TEST(canonical_keys_sort_by_code_point)
{
    /* U+FF5E sorts below U+1F600, though its UTF-16 form does not. */
    ck_assert_str_eq(unit_canonical("{\"\\uD83D\\uDE00\":1,\"\\uFF5E\":2,\"b\":3,\"aa\":4,\"a\":5,\"\":6}"),
                     "{\"\":6,\"a\":5,\"aa\":4,\"b\":3,\"\xEF\xBD\x9E\":2,\"\xF0\x9F\x98\x80\":1}");
}
END_TEST

START_TEST(keys_may_hold_nul_and_keep_it)
{
    static const char text[] = "{\"a\\u0000\":1,\"a\":2,\"a\\u0000b\":{\"\\u0000\":\"\\u0000\"}}";
    mx_json_t *json = unit_json(text), *copy = mx_json_copy(pool, json);
    mx_buf_t *buf = mx_buf_create(pool);
    ck_assert_int_eq(mx_json_get_int(json, "a", 0), 2);
    ck_assert_int_eq(mx_json_equal(copy, json), 1);
    mx_json_write_canonical(buf, copy);
    ck_assert_str_eq(mx_slice_dup(mx_buf_slice(buf), pool),
                     "{\"a\":2,\"a\\u0000\":1,\"a\\u0000b\":{\"\\u0000\":\"\\u0000\"}}");
}
END_TEST

START_TEST(escaped_keys_survive_escaped_values_inside_them)
{
    ck_assert_str_eq(unit_canonical("{\"\\u0062\\n\":{\"\\u0061\\t\":[\"\\u0063\",\"\\u0064\\u0064\\u0064\"]}}"),
                     "{\"b\\n\":{\"a\\t\":[\"c\",\"ddd\"]}}");
}
END_TEST

START_TEST(reals_keep_their_value_in_old_rooms)
{
    ck_assert_str_eq(unit_canonical("[50.57,0.1,1.5e300,-2.5]"), "[50.57,0.1,1.5e+300,-2.5]");
}
END_TEST

/* Appendices: canonical JSON, example code; the right sides are json.dumps()'s. */
START_TEST(reals_of_old_events_are_written_as_the_example_code_does)
{
    static const struct {
        const char *in, *out;
    } cases[] = {
        { "{\"b\":1.0,\"a\":[1e3,-0.0,0.5,-1.25]}", "{\"a\":[1000.0,-0.0,0.5,-1.25],\"b\":1.0}" },
        { "[50.57,123456.789,0.1,1e-3,1e-4,1e-5,1.5e-7]", "[50.57,123456.789,0.1,0.001,0.0001,1e-05,1.5e-07]" },
        { "[1e15,1e16,123456789012345680.0,1e22,1e100,1.7976931348623157e308,5e-324]",
          "[1000000000000000.0,1e+16,1.2345678901234568e+17,1e+22,1e+100,1.7976931348623157e+308,5e-324]" },
        { "[-0,5,9007199254740993.0,1234567890123456.7]", "[0,5,9007199254740992.0,1234567890123456.8]" },
    };
    int i;
    for (i = 0; i < UNIT_COUNT(cases); i++) {
        mx_buf_t *buf = mx_buf_create(pool);
        mx_json_write_canonical_old(buf, unit_json(cases[i].in));
        ck_assert_str_eq(mx_slice_dup(mx_buf_slice(buf), pool), cases[i].out);
    }
}
END_TEST

START_TEST(parse_gives_each_fault_its_name)
{
    static const struct {
        const char *text;
        mx_json_fault_e fault;
    } cases[] = {
        { "{}", MX_JSON_OK },
        { " 1 ", MX_JSON_OK },
        { "\"\\u0000\"", MX_JSON_OK },
        { "9223372036854775807", MX_JSON_OK },
        { "-9223372036854775808", MX_JSON_OK },
        { "9223372036854775808", MX_JSON_SYNTAX },
        { "", MX_JSON_SYNTAX },
        { "{", MX_JSON_SYNTAX },
        { "{}x", MX_JSON_SYNTAX },
        { "{\"a\":1,}", MX_JSON_SYNTAX },
        { "[1,]", MX_JSON_SYNTAX },
        { "[01]", MX_JSON_SYNTAX },
        { "[1.]", MX_JSON_SYNTAX },
        { "[.5]", MX_JSON_SYNTAX },
        { "[+1]", MX_JSON_SYNTAX },
        { "[-]", MX_JSON_SYNTAX },
        { "[1e]", MX_JSON_SYNTAX },
        { "[1e999]", MX_JSON_SYNTAX },
        { "[NaN]", MX_JSON_SYNTAX },
        { "[tru]", MX_JSON_SYNTAX },
        { "{a:1}", MX_JSON_SYNTAX },
        { "{\"a\" 1}", MX_JSON_SYNTAX },
        { "\"\x01\"", MX_JSON_SYNTAX },
        { "\"\\x\"", MX_JSON_SYNTAX },
        { "\"\\u12g4\"", MX_JSON_SYNTAX },
        { "\"abc", MX_JSON_SYNTAX },
        { "\"\xFF\"", MX_JSON_UTF8 },
        { "\"\\uD800\"", MX_JSON_UTF8 },
        { "\"\\uD800\\u0041\"", MX_JSON_UTF8 },
        { "\"\\uDC00\"", MX_JSON_UTF8 },
        { "{\"a\":1,\"a\":2}", MX_JSON_DUPLICATE },
        { "{\"b\":1,\"a\":2,\"b\":3}", MX_JSON_DUPLICATE },
        { "[{\"a\":1,\"\\u0061\":2}]", MX_JSON_DUPLICATE },
    };
    int i;
    for (i = 0; i < UNIT_COUNT(cases); i++) {
        mx_json_t *json = NULL;
        const char *why = NULL;
        mx_json_fault_e fault = mx_json_parse(&json, &why, cases[i].text, strlen(cases[i].text), NULL, pool);
        ck_assert_msg(fault == cases[i].fault, "%s gave %d", cases[i].text, fault);
        ck_assert((json != NULL) == (fault == MX_JSON_OK));
        if (strcmp(cases[i].text, "[1e999]") != 0)      /* a real beyond a double is the tree's business */
            ck_assert_int_eq(mx_json_scan_check(NULL, NULL, cases[i].text, strlen(cases[i].text), NULL), cases[i].fault);
        ck_assert((why != NULL) == (fault != MX_JSON_OK));
    }
}
END_TEST

START_TEST(depth_limit_is_kept_exactly)
{
    mx_json_limits_t limits = { 3 };
    mx_json_t *json;
    ck_assert_int_eq(mx_json_parse(&json, NULL, "[[[1]]]", 7, &limits, pool), MX_JSON_OK);
    ck_assert_int_eq(mx_json_parse(&json, NULL, "[[[[1]]]]", 9, &limits, pool), MX_JSON_DEEP);
}
END_TEST

START_TEST(destroying_the_pool_releases_documents_and_children_survive_in_containers)
{
    apr_pool_t *sub;
    mx_json_t *keep = mx_json_new_object(pool), *child;
    apr_pool_create(&sub, pool);
    child = mx_json_new_str(sub, "shared");
    mx_json_set(keep, "k", child);
    apr_pool_destroy(sub);
    ck_assert_str_eq(mx_json_get_str(keep, "k"), "shared");
}
END_TEST

START_TEST(getters_answer_wrong_types_with_the_fallback)
{
    mx_json_t *j = unit_json("{\"s\":\"x\",\"i\":5,\"b\":true,\"r\":1.5,\"n\":null,\"z\":\"a\\u0000b\"}");
    ck_assert_ptr_null(mx_json_get_str(j, "i"));
    ck_assert_ptr_null(mx_json_get_str(j, "absent"));
    ck_assert_ptr_null(mx_json_get_str(NULL, "s"));
    ck_assert_ptr_null(mx_json_get_str(j, "z"));
    ck_assert_uint_eq(mx_json_slice(mx_json_get(j, "z")).len, 3);
    ck_assert_int_eq(mx_json_get_int(j, "s", -1), -1);
    ck_assert_int_eq(mx_json_get_int(j, "r", -1), -1);
    ck_assert_int_eq(mx_json_get_int(j, "i", -1), 5);
    ck_assert_int_eq(mx_json_get_bool(j, "i", 7), 7);
    ck_assert_int_eq(mx_json_get_bool(j, "b", 0), 1);
    ck_assert_int_eq(mx_json_type(mx_json_get(j, "n")), MX_JSON_NULL);
    ck_assert_int_eq(mx_json_type(NULL), MX_JSON_NONE);
    ck_assert_uint_eq(mx_json_len(j), 6);
}
END_TEST

START_TEST(uncanonical_numbers_are_found_at_any_depth)
{
    ck_assert_int_eq(mx_json_has_uncanonical_number(unit_json("{\"a\":[9007199254740991,-9007199254740991]}")), 0);
    ck_assert_int_eq(mx_json_has_uncanonical_number(unit_json("{\"a\":[{\"b\":9007199254740992}]}")), 1);
    ck_assert_int_eq(mx_json_has_uncanonical_number(unit_json("[[-9007199254740992]]")), 1);
    ck_assert_int_eq(mx_json_has_uncanonical_number(unit_json("{\"a\":1.0}")), 1);
}
END_TEST

START_TEST(scanner_says_canonical_only_of_canonical_text)
{
    static const struct {
        const char *text;
        int canonical;
    } cases[] = {
        { "{}", 1 },
        { "{\"a\":1,\"b\":[true,false,null,\"x\"]}", 1 },
        { "{\"b\":1,\"a\":2}", 0 },
        { "{\"a\":1, \"b\":2}", 0 },
        { " {}", 0 },
        { "{}\n", 0 },
        { "{\"a\":-0}", 0 },
        { "{\"a\":1.0}", 0 },
        { "{\"a\":1e3}", 0 },
        { "{\"a\":9007199254740991}", 1 },
        { "{\"a\":9007199254740992}", 0 },
        { "{\"a\":-9007199254740991}", 1 },
        { "{\"a\":\"\\/\"}", 0 },
        { "{\"a\":\"\\u0041\"}", 0 },
        { "{\"a\":\"\\u001f\"}", 1 },
        { "{\"a\":\"\\u001F\"}", 0 },
        { "{\"a\":\"\\u000a\"}", 0 },
        { "{\"a\":\"\\n\\\"\\\\\"}", 1 },
        { "{\"a\\n\":1,\"a\\u0001\":2}", 0 },       /* U+000A is above U+0001 */
        { "{\"a\\u0001\":1,\"a\\n\":2}", 1 },
        { "{\"a\":{\"c\":1,\"b\":2}}", 0 },
    };
    int i;
    for (i = 0; i < UNIT_COUNT(cases); i++) {
        mx_json_scan_t scan;
        ck_assert_int_eq(mx_json_scan_object(&scan, cases[i].text, strlen(cases[i].text), NULL, pool), MX_JSON_OK);
        ck_assert_msg(scan.canonical == cases[i].canonical, "%s", cases[i].text);
    }
}
END_TEST

START_TEST(scanner_refuses_what_is_no_object)
{
    mx_json_scan_t scan;
    ck_assert_int_eq(mx_json_scan_object(&scan, "[]", 2, NULL, pool), MX_JSON_SYNTAX);
    ck_assert_int_eq(mx_json_scan_object(&scan, "", 0, NULL, pool), MX_JSON_SYNTAX);
    ck_assert_int_eq(mx_json_scan_object(&scan, NULL, 0, NULL, pool), MX_JSON_SYNTAX);
}
END_TEST

START_TEST(both_scanners_find_the_same_members)
{
    static const char text[] = "{ \"a\" : [1, {\"x\":\"]}\"}] , \"b\":\"q\\\"}\", \"c\" : -12 ,\"d\":{}}";
    mx_json_scan_t checked, trusted;
    int i;
    ck_assert_int_eq(mx_json_scan_object(&checked, text, sizeof(text) - 1, NULL, pool), MX_JSON_OK);
    mx_json_scan_trusted(&trusted, MX_SLICE_LIT(text), pool);
    ck_assert_int_eq(checked.nmembers, 4);
    ck_assert_int_eq(trusted.nmembers, 4);
    for (i = 0; i < 4; i++) {
        ck_assert(mx_slice_eq(checked.members[i].key, trusted.members[i].key));
        ck_assert(mx_slice_eq(checked.members[i].value, trusted.members[i].value));
    }
    ck_assert(mx_slice_is(mx_json_scan_get(&trusted, "b"), "\"q\\\"}\""));
    ck_assert_int_eq(mx_json_scan_int(mx_json_scan_get(&trusted, "c"), 0), -12);
    ck_assert_ptr_null(mx_json_scan_get(&trusted, "e").p);
}
END_TEST

START_TEST(objects_and_arrays_may_have_many_members)
{
    mx_buf_t *b = mx_buf_create(pool);
    mx_json_scan_t scan;
    mx_slice_t *items;
    int i;
    mx_buf_append_char(b, '{');
    for (i = 999; i >= 0; i--)
        mx_buf_append_str(b, apr_psprintf(pool, "\"k%03d\":%d%s", i, i, i ? "," : "}"));
    ck_assert_int_eq(mx_json_scan_object(&scan, b->p, b->len, NULL, pool), MX_JSON_OK);
    ck_assert_int_eq(scan.nmembers, 1000);
    ck_assert_int_eq(scan.canonical, 0);
    ck_assert_int_eq(mx_json_scan_int(mx_json_scan_get(&scan, "k077"), -1), 77);
    mx_buf_clear(b);
    mx_buf_append_char(b, '[');
    for (i = 0; i < 500; i++)
        mx_buf_append_str(b, apr_psprintf(pool, "%d%s", i, i < 499 ? "," : "]"));
    ck_assert_int_eq(mx_json_scan_array(&items, mx_buf_slice(b), pool), 500);
    ck_assert_int_eq(mx_json_scan_int(items[499], -1), 499);
    ck_assert_int_eq(mx_json_scan_array(&items, MX_SLICE_LIT("[]"), pool), 0);
    ck_assert_int_eq(mx_json_scan_array(&items, MX_SLICE_LIT("{}"), pool), -1);
}
END_TEST

START_TEST(raw_strings_decode_to_utf8)
{
    ck_assert_str_eq(mx_json_scan_str(MX_SLICE_LIT("\"plain\""), pool), "plain");
    ck_assert_str_eq(mx_json_scan_str(MX_SLICE_LIT("\"\""), pool), "");
    ck_assert_str_eq(mx_json_scan_str(MX_SLICE_LIT("\"\\b\\f\\n\\r\\t\\\"\\\\\\/\""), pool), "\b\f\n\r\t\"\\/");
    ck_assert_str_eq(mx_json_scan_str(MX_SLICE_LIT("\"\\u00e9\\u65E5\\ud83d\\ude00\""), pool),
                     "\xC3\xA9\xE6\x97\xA5\xF0\x9F\x98\x80");
    ck_assert_ptr_null(mx_json_scan_str(MX_SLICE_LIT("\"a\\u0000\""), pool));
    ck_assert_ptr_null(mx_json_scan_str(MX_SLICE_LIT("12"), pool));
    ck_assert_ptr_null(mx_json_scan_str(MX_SLICE_NONE, pool));
    ck_assert_int_eq(mx_json_scan_int(MX_SLICE_LIT("1.5"), 9), 9);
    ck_assert_int_eq(mx_json_scan_int(MX_SLICE_NONE, 9), 9);
}
END_TEST

START_TEST(writer_minds_commas_and_nesting)
{
    mx_json_writer_t *w = mx_jw_create(pool);
    mx_jw_object(w);
    mx_jw_key_int(w, "i", INT64_MIN);
    mx_jw_key_array(w, "a");
    mx_jw_str(w, "x\n");
    mx_jw_bool(w, 1);
    mx_jw_null(w);
    mx_jw_object(w);
    mx_jw_end_object(w);
    mx_jw_raw(w, "[1]", 3);
    mx_jw_end_array(w);
    mx_jw_key_json(w, "j", unit_json("{\"b\":1,\"a\":2}"));
    mx_jw_key_object(w, "o");
    mx_jw_key_bool(w, "f", 0);
    mx_jw_key_str(w, "k\"", "v");
    mx_jw_end_object(w);
    mx_jw_end_object(w);
    ck_assert_str_eq(mx_slice_dup(mx_buf_slice(w->buf), pool),
                     "{\"i\":-9223372036854775808,\"a\":[\"x\\n\",true,null,{},[1]],\"j\":{\"b\":1,\"a\":2},"
                     "\"o\":{\"f\":false,\"k\\\"\":\"v\"}}");
}
END_TEST

UNIT_MAIN("json", spec_canonical_json_examples_hold, canonical_escapes_are_the_short_ones,
          canonical_keys_sort_by_code_point, keys_may_hold_nul_and_keep_it,
          escaped_keys_survive_escaped_values_inside_them, reals_keep_their_value_in_old_rooms,
          reals_of_old_events_are_written_as_the_example_code_does,
          parse_gives_each_fault_its_name, depth_limit_is_kept_exactly,
          destroying_the_pool_releases_documents_and_children_survive_in_containers,
          getters_answer_wrong_types_with_the_fallback, uncanonical_numbers_are_found_at_any_depth,
          scanner_says_canonical_only_of_canonical_text, scanner_refuses_what_is_no_object,
          both_scanners_find_the_same_members, objects_and_arrays_may_have_many_members, raw_strings_decode_to_utf8,
          writer_minds_commas_and_nesting)
