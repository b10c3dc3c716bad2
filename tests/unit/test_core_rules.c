/* SPDX-License-Identifier: Apache-2.0 */
/* Identifiers, history visibility, filters, errors. */
#include "unit.h"

#include "core/filter.h"
#include "core/history_visibility.h"
#include "core/ident.h"

typedef int valid_fn(const char *s);

typedef struct grammar_t {
    const char *text;
    int good;
} grammar_t;

static void check_grammar(valid_fn *valid, const grammar_t *cases, int n)
{
    int i;
    for (i = 0; i < n; i++)
        ck_assert_msg(!valid(cases[i].text) == !cases[i].good, "%s", cases[i].text ? cases[i].text : "NULL");
}

static char *repeated(char c, int n)
{
    char *s = apr_pcalloc(pool, (apr_size_t)n + 1);
    memset(s, c, (size_t)n);
    return s;
}

/* Appendices: server name. */
START_TEST(server_names_follow_the_grammar)
{
    const grammar_t cases[] = {
        { "matrix.org", 1 }, { "matrix.org:8888", 1 }, { "1.2.3.4", 1 }, { "1.2.3.4:1234", 1 }, { "[1234:5678::abcd]", 1 },
        { "[1234:5678::abcd]:5678", 1 }, { "localhost", 1 }, { "MATRIX.org", 1 }, { "a-b.c", 1 }, { "::1", 0 }, { "[::1", 0 },
        { "[::1]x", 0 }, { "[::g]", 0 }, { "[]", 0 }, { "", 0 }, { NULL, 0 }, { "a b", 0 }, { "a_b", 0 }, { "a:", 0 }, { ":1", 0 },
        { "a:123456", 0 }, { "a:12x", 0 }, { "a:1:2", 0 }, { "a/b", 0 }, { "bücher.de", 0 }, { repeated('a', 255), 1 },
        { repeated('a', 256), 0 }, { "a:99999", 1 },
    };
    check_grammar(mx_ident_is_server_name, cases, UNIT_COUNT(cases));
}
END_TEST

/* Appendices: user identifiers, historical user IDs. */
START_TEST(user_ids_follow_the_grammar)
{
    const grammar_t cases[] = {
        { "@a:b", 1 }, { "@A B!:b", 1 }, { "@:b", 1 }, { "@\xE6\x97\xA5:b", 1 }, { "@a:b:80", 1 }, { "@a", 0 }, { "a:b", 0 },
        { "@a:", 0 }, { "@\xFF:b", 0 }, { "@a:b c", 0 }, { "!a:b", 0 }, { NULL, 0 }, { "", 0 },
        { apr_pstrcat(pool, "@", repeated('a', 252), ":b", NULL), 1 }, { apr_pstrcat(pool, "@", repeated('a', 253), ":b", NULL), 0 },
    };
    check_grammar(mx_ident_is_user_id, cases, UNIT_COUNT(cases));
}
END_TEST

START_TEST(new_localparts_are_stricter)
{
    const grammar_t cases[] = {
        { "a", 1 }, { "az09._=-/+", 1 }, { "A", 0 }, { "a b", 0 }, { "", 0 }, { NULL, 0 }, { "a:b", 0 }, { "\xC3\xA9", 0 }, { "_x", 1 },
    };
    check_grammar(mx_ident_is_new_localpart, cases, UNIT_COUNT(cases));
}
END_TEST

#define HASH "Nhcu5BS-UMnFX7hBVfVSoXiD7OgH6iRT-xyIuqDnpYQ"

/* Appendices: room ids, event ids, room aliases. */
START_TEST(room_event_and_alias_ids_follow_the_grammar)
{
    static const grammar_t rooms[] = {
        { "!a:b", 1 }, { "!" HASH, 1 }, { "!" HASH "x", 0 }, { "!short", 0 }, { "!Nhcu5BS+UMnFX7hBVfVSoXiD7OgH6iRT/xyIuqDnpYQ", 0 },
        { "#a:b", 0 }, { NULL, 0 }, { "!", 0 },
    };
    static const grammar_t events[] = {
        { "$a:b", 1 }, { "$" HASH, 1 }, { "$Nhcu5BS+UMnFX7hBVfVSoXiD7OgH6iRT/xyIuqDnpYQ", 1 }, { "$" HASH "x", 0 }, { "$short", 0 },
        { NULL, 0 }, { "$", 0 },
    };
    static const grammar_t aliases[] = {
        { "#a:b", 1 }, { "#\xE6\x97\xA5 x:b", 1 }, { "#a", 0 }, { "a:b", 0 }, { NULL, 0 }, { "#a:b/", 0 },
    };
    check_grammar(mx_ident_is_room_id, rooms, UNIT_COUNT(rooms));
    check_grammar(mx_ident_is_event_id, events, UNIT_COUNT(events));
    check_grammar(mx_ident_is_room_alias, aliases, UNIT_COUNT(aliases));
}
END_TEST

START_TEST(ids_fall_into_localpart_and_server)
{
    ck_assert_str_eq(mx_ident_server("@a:b:80"), "b:80");
    ck_assert_ptr_null(mx_ident_server("!" HASH));
    ck_assert_ptr_null(mx_ident_server(NULL));
    ck_assert_str_eq(mx_ident_localpart("@a:b:80", pool), "a");
    ck_assert_str_eq(mx_ident_localpart("!" HASH, pool), HASH);
    ck_assert_ptr_null(mx_ident_localpart(NULL, pool));
    ck_assert_int_eq(mx_ident_is_local("@a:b:80", "b:80"), 1);
    ck_assert_int_eq(mx_ident_is_local("@a:b:80", "b"), 0);
    ck_assert_int_eq(mx_ident_is_local("@a:B", "b"), 0);
    ck_assert_int_eq(mx_ident_is_local(NULL, "b"), 0);
    ck_assert_int_eq(mx_ident_is_opaque("x", 1), 1);
    ck_assert_int_eq(mx_ident_is_opaque("xx", 1), 0);
    ck_assert_int_eq(mx_ident_is_opaque("", 1), 0);
    ck_assert_int_eq(mx_ident_is_opaque(NULL, 1), 0);
}
END_TEST

/* CS-API: room history visibility, server behaviour, rules 1 to 5: for each visibility, membership and "joined since". */
START_TEST(history_visibility_follows_the_five_rules)
{
    /* rows: membership none, invite, join, knock, leave, ban; columns: invited, joined, shared, world_readable */
    static const char never_joined[6][5] = { "0001", "1001", "1111", "0001", "0001", "0001" };
    static const char joined_since[6][5] = { "0011", "1011", "1111", "0011", "0011", "0011" };
    int m, v, since;
    for (since = 0; since < 2; since++) {
        for (m = MX_MEMBERSHIP_NONE; m <= MX_MEMBERSHIP_BAN; m++) {
            for (v = MX_HISTVIS_INVITED; v <= MX_HISTVIS_WORLD_READABLE; v++) {
                mx_histvis_view_t view = { (mx_histvis_e)v, (mx_membership_e)m, since, (mx_membership_e)m, (mx_histvis_e)v };
                int want = (since ? joined_since : never_joined)[m][v] - '0';
                ck_assert_msg(mx_histvis_allowed(&view) == want, "since %d membership %d visibility %d", since, m, v);
            }
        }
    }
}
END_TEST

START_TEST(events_that_change_what_is_visible_count_before_and_after)
{
    static const struct {
        mx_histvis_view_t view;
        int allowed;
    } cases[] = {
        { { MX_HISTVIS_JOINED, MX_MEMBERSHIP_NONE, 0, MX_MEMBERSHIP_NONE, MX_HISTVIS_WORLD_READABLE }, 1 },
        { { MX_HISTVIS_WORLD_READABLE, MX_MEMBERSHIP_NONE, 0, MX_MEMBERSHIP_NONE, MX_HISTVIS_JOINED }, 1 },
        { { MX_HISTVIS_JOINED, MX_MEMBERSHIP_NONE, 1, MX_MEMBERSHIP_NONE, MX_HISTVIS_SHARED }, 1 },
        { { MX_HISTVIS_JOINED, MX_MEMBERSHIP_LEAVE, 0, MX_MEMBERSHIP_JOIN, MX_HISTVIS_JOINED }, 1 },
        { { MX_HISTVIS_JOINED, MX_MEMBERSHIP_JOIN, 0, MX_MEMBERSHIP_BAN, MX_HISTVIS_JOINED }, 1 },
        { { MX_HISTVIS_INVITED, MX_MEMBERSHIP_LEAVE, 0, MX_MEMBERSHIP_INVITE, MX_HISTVIS_INVITED }, 1 },
        { { MX_HISTVIS_JOINED, MX_MEMBERSHIP_LEAVE, 0, MX_MEMBERSHIP_INVITE, MX_HISTVIS_JOINED }, 0 },
        { { MX_HISTVIS_JOINED, MX_MEMBERSHIP_INVITE, 0, MX_MEMBERSHIP_LEAVE, MX_HISTVIS_JOINED }, 0 },
    };
    int i;
    for (i = 0; i < UNIT_COUNT(cases); i++)
        ck_assert_msg(mx_histvis_allowed(&cases[i].view) == cases[i].allowed, "case %d", i);
}
END_TEST

START_TEST(unknown_visibility_is_shared_and_unknown_membership_none)
{
    ck_assert_int_eq(mx_histvis_parse(NULL), MX_HISTVIS_SHARED);
    ck_assert_int_eq(mx_histvis_parse("nonsense"), MX_HISTVIS_SHARED);
    ck_assert_int_eq(mx_histvis_parse("world_readable"), MX_HISTVIS_WORLD_READABLE);
    ck_assert_int_eq(mx_membership_parse(NULL), MX_MEMBERSHIP_NONE);
    ck_assert_int_eq(mx_membership_parse("Join"), MX_MEMBERSHIP_NONE);
    ck_assert_int_eq(mx_membership_parse("leave"), MX_MEMBERSHIP_LEAVE);
    ck_assert_str_eq(mx_membership_name(MX_MEMBERSHIP_KNOCK), "knock");
    ck_assert_str_eq(mx_membership_name(MX_MEMBERSHIP_NONE), "leave");
}
END_TEST

/* CS-API: filtering. */
START_TEST(bad_filters_are_refused_with_their_path)
{
    static const struct {
        const char *filter, *path;
        mx_errcode_e code;
    } cases[] = {
        { "[]", "object", MX_E_BAD_JSON },
        { "{\"presence\":\"x\"}", "presence", MX_E_BAD_JSON },
        { "{\"room\":[]}", "room", MX_E_BAD_JSON },
        { "{\"room\":{\"timeline\":\"x\"}}", "room.timeline", MX_E_BAD_JSON },
        { "{\"room\":{\"state\":1}}", "room.state", MX_E_BAD_JSON },
        { "{\"room\":{\"ephemeral\":1}}", "room.ephemeral", MX_E_BAD_JSON },
        { "{\"room\":{\"account_data\":1}}", "room.account_data", MX_E_BAD_JSON },
        { "{\"room\":{\"timeline\":{\"limit\":\"1\"}}}", "room.timeline.limit", MX_E_BAD_JSON },
        { "{\"room\":{\"timeline\":{\"limit\":-1}}}", "room.timeline.limit", MX_E_INVALID_PARAM },
        { "{\"room\":{\"timeline\":{\"types\":\"x\"}}}", "room.timeline.types", MX_E_BAD_JSON },
        { "{\"room\":{\"timeline\":{\"types\":[1]}}}", "room.timeline.types", MX_E_BAD_JSON },
        { "{\"room\":{\"timeline\":{\"senders\":[\"bob\"]}}}", "room.timeline.senders", MX_E_INVALID_PARAM },
        { "{\"room\":{\"timeline\":{\"not_senders\":[\"bob\"]}}}", "room.timeline.not_senders", MX_E_INVALID_PARAM },
        { "{\"room\":{\"rooms\":[\"x\"]}}", "room.rooms", MX_E_INVALID_PARAM },
        { "{\"room\":{\"not_rooms\":\"!x:y\"}}", "room.not_rooms", MX_E_BAD_JSON },
        { "{\"room\":{\"timeline\":{\"rooms\":[\"x\"]}}}", "room.timeline.rooms", MX_E_INVALID_PARAM },
        { "{\"room\":{\"include_leave\":1}}", "room.include_leave", MX_E_BAD_JSON },
        { "{\"room\":{\"state\":{\"lazy_load_members\":\"yes\"}}}", "room.state.lazy_load_members", MX_E_BAD_JSON },
        { "{\"event_format\":\"xml\"}", "event_format", MX_E_INVALID_PARAM },
        { "{\"event_format\":1}", "event_format", MX_E_BAD_JSON },
        { "{\"event_fields\":{}}", "event_fields", MX_E_BAD_JSON },
    };
    int i;
    for (i = 0; i < UNIT_COUNT(cases); i++) {
        mx_filter_t *f = NULL;
        const mx_error_t *err = mx_filter_parse(&f, unit_json(cases[i].filter), pool);
        ck_assert_msg(err && err->code == cases[i].code && strstr(err->message, cases[i].path), "%s: %s", cases[i].filter,
                      err ? err->message : "accepted");
        ck_assert_ptr_null(f);
    }
}
END_TEST

static mx_event_filter_t *event_filter(const char *text)
{
    mx_event_filter_t *f;
    ck_assert_ptr_null(mx_event_filter_parse(&f, unit_json(text), pool));
    return f;
}

START_TEST(event_filters_pass_what_they_should)
{
    static const struct {
        const char *filter, *type, *sender, *room;
        int has_url, allowed;
    } cases[] = {
        { "{}", "x", "@a:b", "!r:b", 0, 1 },
        { "{\"types\":[\"x\"]}", "x", NULL, NULL, 0, 1 },
        { "{\"types\":[\"x\"]}", "xy", NULL, NULL, 0, 0 },
        { "{\"types\":[\"m.*\"]}", "m.room.topic", NULL, NULL, 0, 1 },
        { "{\"types\":[\"m.*\"]}", "n.room", NULL, NULL, 0, 0 },
        { "{\"types\":[\"m.*.topic\"]}", "m.room.topic", NULL, NULL, 0, 1 },
        { "{\"types\":[\"*a*b\"]}", "xaxbxb", NULL, NULL, 0, 1 },
        { "{\"types\":[\"*a*b\"]}", "xaxbxc", NULL, NULL, 0, 0 },
        { "{\"types\":[\"*ab\"]}", "aab", NULL, NULL, 0, 1 },
        { "{\"types\":[]}", "x", NULL, NULL, 0, 0 },
        { "{\"types\":[\"x\"],\"not_types\":[\"*\"]}", "x", NULL, NULL, 0, 0 },
        { "{\"not_types\":[\"m.*\"]}", "x", NULL, NULL, 0, 1 },
        { "{\"not_types\":[]}", "x", NULL, NULL, 0, 1 },
        { "{\"senders\":[\"@a:b\"]}", "x", "@a:b", NULL, 0, 1 },
        { "{\"senders\":[\"@a:b\"]}", "x", "@c:b", NULL, 0, 0 },
        { "{\"senders\":[\"@*:b\"]}", "x", "@c:b", NULL, 0, 0 },        /* wildcards are for types */
        { "{\"senders\":[\"@a:b\"],\"not_senders\":[\"@a:b\"]}", "x", "@a:b", NULL, 0, 0 },
        { "{\"rooms\":[\"!r:b\"]}", "x", NULL, "!r:b", 0, 1 },
        { "{\"rooms\":[\"!r:b\"]}", "x", NULL, "!s:b", 0, 0 },
        { "{\"not_rooms\":[\"!r:b\"]}", "x", NULL, "!r:b", 0, 0 },
        { "{\"contains_url\":true}", "x", NULL, NULL, 1, 1 },
        { "{\"contains_url\":true}", "x", NULL, NULL, 0, 0 },
        { "{\"contains_url\":false}", "x", NULL, NULL, 1, 0 },
        { "{\"contains_url\":false}", "x", NULL, NULL, 0, 1 },
    };
    int i;
    for (i = 0; i < UNIT_COUNT(cases); i++)
        ck_assert_msg(mx_event_filter_allows(event_filter(cases[i].filter), cases[i].type, cases[i].sender, cases[i].room,
                                             cases[i].has_url) == cases[i].allowed, "case %d: %s", i, cases[i].filter);
}
END_TEST

START_TEST(only_a_filter_that_refuses_nothing_is_open)
{
    ck_assert_int_eq(mx_event_filter_is_open(event_filter("{}")), 1);
    ck_assert_int_eq(mx_event_filter_is_open(event_filter("{\"limit\":5,\"lazy_load_members\":true}")), 1);
    ck_assert_int_eq(mx_event_filter_is_open(event_filter("{\"types\":[]}")), 0);
    ck_assert_int_eq(mx_event_filter_is_open(event_filter("{\"contains_url\":false}")), 0);
    ck_assert_int_eq(mx_event_filter_is_open(&mx_filter_default()->timeline), 1);
    ck_assert_int_eq(mx_event_filter_is_open(&mx_filter_default()->presence), 1);
}
END_TEST

START_TEST(a_filter_is_read_whole)
{
    mx_filter_t *f;
    ck_assert_ptr_null(mx_filter_parse(&f, unit_json("{\"event_format\":\"federation\",\"event_fields\":[\"type\"],\"room\":{"
                                                     "\"rooms\":[\"!a:b\"],\"include_leave\":true,\"timeline\":{\"limit\":7},"
                                                     "\"state\":{\"lazy_load_members\":true,\"include_redundant_members\":true}}}"),
                                       pool));
    ck_assert_int_eq(f->event_format, MX_EVENT_FORMAT_FEDERATION);
    ck_assert_int_eq(f->include_leave, 1);
    ck_assert_int_eq(f->timeline.limit, 7);
    ck_assert_int_eq(f->state.lazy_load_members, 1);
    ck_assert_int_eq(f->state.include_redundant_members, 1);
    ck_assert_int_eq(f->ephemeral.contains_url, -1);
    ck_assert_int_eq(mx_filter_allows_room(f, "!a:b"), 1);
    ck_assert_int_eq(mx_filter_allows_room(f, "!c:b"), 0);
    ck_assert_str_eq(f->event_fields[0], "type");
    ck_assert_ptr_null(f->event_fields[1]);
}
END_TEST

/* Appendices: dot-separated property paths. */
START_TEST(fields_are_cut_by_their_paths)
{
    static const struct {
        const char *fields, *out;
    } cases[] = {
        { "[\"type\",\"absent\"]", "{\"type\":\"x\"}" },
        { "[\"content.body\"]", "{\"content\":{\"body\":\"b\"}}" },
        { "[\"content.body\",\"content.m\\\\.rel.id\"]", "{\"content\":{\"body\":\"b\",\"m.rel\":{\"id\":1}}}" },
        { "[\"content.back\\\\\\\\slash\"]", "{\"content\":{\"back\\\\slash\":2}}" },
        { "[\"content.a\\\\x\"]", "{\"content\":{\"a\\\\x\":3}}" },
        { "[\"content\",\"content.body\"]",
          "{\"content\":{\"a\\\\x\":3,\"back\\\\slash\":2,\"body\":\"b\",\"m.rel\":{\"id\":1,\"k\":2}}}" },
        { "[\"type.x\",\"type\"]", "{\"type\":\"x\"}" },
        { "[]", "{}" },
        { "[\"\",\".\",\"..\"]", "{}" },
    };
    const mx_json_t *event = unit_json("{\"type\":\"x\",\"content\":{\"body\":\"b\",\"m.rel\":{\"id\":1,\"k\":2},\"back\\\\slash\":2,"
                                       "\"a\\\\x\":3}}");
    int i;
    for (i = 0; i < UNIT_COUNT(cases); i++) {
        mx_filter_t *f;
        mx_buf_t *buf = mx_buf_create(pool);
        ck_assert_ptr_null(mx_filter_parse(&f, unit_json(apr_psprintf(pool, "{\"event_fields\":%s}", cases[i].fields)), pool));
        mx_json_write_canonical(buf, mx_filter_cut_fields(f, event, pool));
        ck_assert_str_eq(mx_slice_dup(mx_buf_slice(buf), pool), cases[i].out);
    }
}
END_TEST

START_TEST(errors_carry_their_codes_usual_status)
{
    const mx_error_t *err = mx_error_make(pool, MX_E_UNKNOWN_TOKEN, "token %d", 7);
    mx_error_t *copy;
    ck_assert_int_eq(err->status, 401);
    ck_assert_str_eq(err->message, "token 7");
    ck_assert_str_eq(mx_errcode_wire(err->code), "M_UNKNOWN_TOKEN");
    ck_assert_int_eq(mx_error_make_status(pool, MX_E_FORBIDDEN, 401, "x")->status, 401);
    ck_assert_int_eq(mx_error_internal(pool, APR_EGENERAL, "secret")->status, 500);
    ck_assert_ptr_null(strstr(mx_error_internal(pool, APR_EGENERAL, "secret")->message, "secret"));
    ck_assert_int_eq(mx_error_internal(pool, APR_TIMEUP, "x")->status, 503);
    ck_assert_int_eq(mx_error_internal(pool, APR_EAGAIN, "x")->status, 503);
    copy = mx_error_copy(pool, err);
    copy->status = 1;
    ck_assert_int_eq(err->status, 401);
}
END_TEST

UNIT_MAIN("core_rules", server_names_follow_the_grammar, user_ids_follow_the_grammar, new_localparts_are_stricter,
          room_event_and_alias_ids_follow_the_grammar, ids_fall_into_localpart_and_server,
          history_visibility_follows_the_five_rules, events_that_change_what_is_visible_count_before_and_after,
          unknown_visibility_is_shared_and_unknown_membership_none, bad_filters_are_refused_with_their_path,
          event_filters_pass_what_they_should, only_a_filter_that_refuses_nothing_is_open, a_filter_is_read_whole,
          fields_are_cut_by_their_paths, errors_carry_their_codes_usual_status)
