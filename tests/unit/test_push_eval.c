/* SPDX-License-Identifier: Apache-2.0 */
/* Push rules asked of events: every condition, the order of rules, what they say. CS-API: push rules. */
#include "unit.h"

#include "core/push_eval.h"

#define ME "@me:example.org"

static mx_push_set_t *set_of(const char *stored)
{
    return mx_push_eval_compile(mx_push_rules_compose(ME, stored ? unit_json(stored) : NULL, pool), ME, pool);
}

static mx_push_verdict_t ask(const mx_push_set_t *set, const char *event)
{
    mx_push_event_t e = { .event = unit_json(event), .display_name = "Me Myself", .members = 3, .sender_power = 50 };
    return mx_push_eval(set, &e);
}

/** What a ruleset of one override rule with one condition, above which nothing stands, says. */
static int condition_holds(const char *condition, const char *event)
{
    const char *doc = apr_psprintf(pool, "{\"global\":{\"override\":[{\"rule_id\":\"r\",\"enabled\":true,\"actions\":[\"notify\"],"
                                         "\"conditions\":[%s]}]}}", condition);
    return ask(mx_push_eval_compile(unit_json(doc), ME, pool), event).notify;
}

typedef struct case_t {
    const char *condition, *event;
    int holds;
} case_t;

static void check_all(const case_t *cases, int n)
{
    int i;
    for (i = 0; i < n; i++)
        ck_assert_msg(condition_holds(cases[i].condition, cases[i].event) == cases[i].holds, "%s on %s", cases[i].condition,
            cases[i].event);
}

#define TOPIC(value) "{\"content\":{\"topic\":" value "},\"type\":\"m.room.topic\",\"state_key\":\"\"}"
#define BODY(value) "{\"content\":{\"body\":" value "},\"type\":\"m.room.message\"}"
#define MATCH(key, pattern) "{\"kind\":\"event_match\",\"key\":\"" key "\",\"pattern\":" pattern "}"

/* The boxes under event_match, and its text. */
START_TEST(event_match_is_a_glob_on_a_whole_string)
{
    static const case_t cases[] = {
        { MATCH("content.topic", "\"lunc?*\""), TOPIC("\"Lunch plans\""), 1 },
        { MATCH("content.topic", "\"lunc?*\""), TOPIC("\"LUNCH\""), 1 },
        { MATCH("content.topic", "\"lunc?*\""), TOPIC("\" lunch\""), 0 },
        { MATCH("content.topic", "\"lunc?*\""), TOPIC("\"lunc\""), 0 },
        { MATCH("content.topic", "\"lunc?*\""), TOPIC("null"), 0 },            { MATCH("content.topic", "\"*\""), TOPIC("1"), 0 },
        { MATCH("content.topik", "\"*\""), TOPIC("\"x\""), 0 },                { MATCH("content.topic.x", "\"*\""), TOPIC("\"x\""), 0 },
        { MATCH("content.body", "\"ex*ple\""), BODY("\"An example event.\""), 1 },
        { MATCH("content.body", "\"ex*ple\""), BODY("\"exple\""), 1 },
        { MATCH("content.body", "\"ex*ple\""), BODY("\"An exciting triple-whammy\""), 1 },
        { MATCH("content.body", "\"beer\""), BODY("\"rootbeer\""), 0 },
        { MATCH("state_key", "\"\""), TOPIC("\"x\""), 1 }, { MATCH("state_key", "\"\""), BODY("\"x\""), 0 },
        { MATCH("content.topic", "1"), TOPIC("\"1\""), 0 }, { "{\"kind\":\"event_match\",\"key\":\"type\"}", BODY("\"x\""), 0 },
        { "{\"kind\":\"event_match\",\"pattern\":\"*\"}", BODY("\"x\""), 0 }, { MATCH("room_id", "\"!r:*\""), BODY("\"x\""), 0 },
    };
    check_all(cases, UNIT_COUNT(cases));
}
END_TEST

#define IS(key, value) "{\"kind\":\"event_property_is\",\"key\":\"" key "\",\"value\":" value "}"
#define HAS(key, value) "{\"kind\":\"event_property_contains\",\"key\":\"" key "\",\"value\":" value "}"
#define FEDERATE(value) "{\"content\":{\"m.federate\":" value "},\"type\":\"m.room.create\",\"state_key\":\"\"}"
#define ALIASES(value) "{\"content\":{\"alt_aliases\":" value "},\"type\":\"m.room.canonical_alias\",\"state_key\":\"\"}"

START_TEST(event_property_is_compares_value_and_type)
{
    static const case_t cases[] = {
        { IS("content.m\\\\.federate", "true"), FEDERATE("true"), 1 },  { IS("content.m\\\\.federate", "true"), FEDERATE("\"true\""), 0 },
        { IS("content.m\\\\.federate", "true"), FEDERATE("1"), 0 },     { IS("content.m.federate", "true"), FEDERATE("true"), 0 },
        { IS("content.m\\\\.federate", "null"), FEDERATE("null"), 1 },  { IS("content.other", "null"), FEDERATE("null"), 0 },
        { IS("content.m\\\\.federate", "9007199254740991"), FEDERATE("9007199254740991"), 1 },
        { IS("content.m\\\\.federate", "[1]"), FEDERATE("[1]"), 0 },    { IS("content.m\\\\.federate", "{}"), FEDERATE("{}"), 0 },
        { IS("content.m\\\\.federate", "\"a\""), FEDERATE("\"A\""), 0 }, { IS("content.m\\\\.federate", "1.5"), FEDERATE("1.5"), 0 },
        { "{\"kind\":\"event_property_is\",\"key\":\"type\"}", FEDERATE("true"), 0 },
    };
    check_all(cases, UNIT_COUNT(cases));
}
END_TEST

START_TEST(event_property_contains_looks_into_arrays)
{
    static const case_t cases[] = {
        { HAS("content.alt_aliases", "\"#myroom:example.com\""), ALIASES("[\"#somewhere:example.org\",\"#myroom:example.com\"]"), 1 },
        { HAS("content.alt_aliases", "\":example.com\""), ALIASES("[\"#myroom:example.com\"]"), 0 },
        { HAS("content.alt_aliases", "\"a\""), ALIASES("\"a\""), 0 },
        { HAS("content.alt_aliases", "1"), ALIASES("[\"1\",true,[1],{}]"), 0 },
        { HAS("content.alt_aliases", "1"), ALIASES("[0,1]"), 1 },      { HAS("content.alt_aliases", "null"), ALIASES("[null]"), 1 },
        { HAS("content.alt_aliases", "[1]"), ALIASES("[[1]]"), 0 },    { HAS("content.none", "1"), ALIASES("[1]"), 0 },
    };
    check_all(cases, UNIT_COUNT(cases));
}
END_TEST

/* Appendices: dot-separated property paths. */
START_TEST(dots_in_names_are_escaped)
{
    const mx_json_t *event = unit_json("{\"a\":{\"m.b\":{\"c\\\\\":1,\"\":2}},\"x\\\\y\":3,\"\":{\"z\":4}}");
    ck_assert_int_eq(mx_json_int(mx_push_eval_path(event, "a.m\\.b.c\\\\"), 0), 1);
    ck_assert_int_eq(mx_json_int(mx_push_eval_path(event, "a.m\\.b.c\\"), 0), 1);
    ck_assert_int_eq(mx_json_int(mx_push_eval_path(event, "a.m\\.b."), 0), 2);
    ck_assert_int_eq(mx_json_int(mx_push_eval_path(event, "x\\y"), 0), 3);
    ck_assert_int_eq(mx_json_int(mx_push_eval_path(event, ".z"), 0), 4);
    ck_assert_ptr_null(mx_push_eval_path(event, "a.m.b"));
    ck_assert_ptr_null(mx_push_eval_path(event, "a."));
}
END_TEST

#define COUNT(is) "{\"kind\":\"room_member_count\",\"is\":" is "}"
#define POWER(key) "{\"kind\":\"sender_notification_permission\",\"key\":" key "}"
#define NAME "{\"kind\":\"contains_display_name\"}"

START_TEST(the_other_conditions_ask_the_room)
{
    static const case_t cases[] = {      /* three members, the sender has power 50 */
        { COUNT("\"3\""), BODY("\"x\""), 1 },    { COUNT("\"==3\""), BODY("\"x\""), 1 },  { COUNT("\"<3\""), BODY("\"x\""), 0 },
        { COUNT("\"<=3\""), BODY("\"x\""), 1 },  { COUNT("\">3\""), BODY("\"x\""), 0 },   { COUNT("\">=3\""), BODY("\"x\""), 1 },
        { COUNT("\">2\""), BODY("\"x\""), 1 },   { COUNT("\"=3\""), BODY("\"x\""), 0 },   { COUNT("\"\""), BODY("\"x\""), 0 },
        { COUNT("\"3x\""), BODY("\"x\""), 0 },   { COUNT("\"> 2\""), BODY("\"x\""), 0 },  { COUNT("3"), BODY("\"x\""), 0 },
        { COUNT("\"-3\""), BODY("\"x\""), 0 },   { COUNT("\"<99999999999999999999\""), BODY("\"x\""), 0 },
        { POWER("\"room\""), BODY("\"x\""), 1 }, { POWER("1"), BODY("\"x\""), 0 },
        { NAME, BODY("\"hello ME MYSELF!\""), 1 }, { NAME, BODY("\"hello me\""), 0 }, { NAME, BODY("\"Some myself\""), 0 },
        { NAME, BODY("\"xMe Myself Me Myself\""), 1 }, { NAME, BODY("\"Me Myselfish\""), 0 }, { NAME, BODY("7"), 0 }, { NAME, "{}", 0 },
        { "{\"kind\":\"org.example.unheard_of\"}", BODY("\"x\""), 0 }, { "7", BODY("\"x\""), 0 }, { "{}", BODY("\"x\""), 0 },
    };
    check_all(cases, UNIT_COUNT(cases));
}
END_TEST

START_TEST(power_to_notify_is_what_the_room_says)
{
    mx_push_event_t e = { .event = unit_json("{\"type\":\"m.room.message\",\"content\":{\"m.mentions\":{\"room\":true}}}"), .members = 3,
                          .sender_power = 49 };
    const mx_push_set_t *set = set_of(NULL);
    ck_assert_int_eq(mx_push_eval(set, &e).highlight, 0);
    e.notification_power = unit_json("{\"room\":49}");
    ck_assert_int_eq(mx_push_eval(set, &e).highlight, 1);
    e.notification_power = unit_json("{\"room\":\"0\",\"other\":0}");
    ck_assert_int_eq(mx_push_eval(set, &e).highlight, 0);
}
END_TEST

typedef struct said_t {
    const char *event, *rule;            /* rule NULL: none */
    int notify, highlight;
} said_t;

START_TEST(the_predefined_rules_say_what_the_specification_says)
{
    static const said_t said[] = {
        { BODY("\"hi\""), ".m.rule.message", 1, 0 },
        { "{\"type\":\"m.room.encrypted\",\"content\":{}}", ".m.rule.encrypted", 1, 0 },
        { "{\"type\":\"m.call.invite\",\"content\":{}}", ".m.rule.call", 1, 0 },
        { "{\"type\":\"m.reaction\",\"content\":{}}", ".m.rule.reaction", 0, 0 },
        { "{\"type\":\"m.room.message\","
          "\"content\":{\"msgtype\":\"m.notice\",\"m.mentions\":{\"user_ids\":[\"" ME "\"]}}}", ".m.rule.suppress_notices", 0, 0 },
        { "{\"type\":\"m.room.message\",\"content\":{\"m.mentions\":{\"user_ids\":[\"" ME "\"]}}}", ".m.rule.is_user_mention", 1, 1 },
        { "{\"type\":\"m.room.message\",\"content\":{\"m.mentions\":{\"room\":true}}}", ".m.rule.is_room_mention", 1, 1 },
        { "{\"type\":\"m.room.message\",\"content\":{\"m.relates_to\":{\"rel_type\":\"m.replace\"}}}", ".m.rule.suppress_edits", 0, 0 },
        { "{\"type\":\"m.room.message\",\"content\":{\"m.mentions\":{\"user_ids\":[\"" ME "\"]},"
          "\"m.relates_to\":{\"rel_type\":\"m.replace\"}}}", ".m.rule.is_user_mention", 1, 1 },
        { "{\"type\":\"m.room.member\",\"state_key\":\"" ME "\",\"content\":{\"membership\":\"invite\"}}", ".m.rule.invite_for_me", 1, 0 },
        { "{\"type\":\"m.room.member\",\"state_key\":\"@o:x\",\"content\":{\"membership\":\"invite\"}}", ".m.rule.member_event", 0, 0 },
        { "{\"type\":\"m.room.tombstone\",\"state_key\":\"\",\"content\":{}}", ".m.rule.tombstone", 1, 1 },
        { "{\"type\":\"m.room.tombstone\",\"content\":{}}", NULL, 0, 0 },
        { "{\"type\":\"m.room.server_acl\",\"state_key\":\"\",\"content\":{}}", ".m.rule.room.server_acl", 0, 0 },
        { TOPIC("\"x\""), NULL, 0, 0 },
        { "{\"type\":\"m.room.message\",\"sender\":\"" ME "\",\"content\":{\"m.mentions\":{\"room\":true}}}", NULL, 0, 0 },
    };
    const mx_push_set_t *set = set_of(NULL);
    int i;
    for (i = 0; i < UNIT_COUNT(said); i++) {
        mx_push_verdict_t v = ask(set, said[i].event);
        ck_assert_msg(mx_str_eq(v.rule_id, said[i].rule) || (!v.rule_id && !said[i].rule), "%s: %s", said[i].event, v.rule_id);
        ck_assert_msg(v.notify == said[i].notify && v.highlight == said[i].highlight, "%s", said[i].event);
    }
}
END_TEST

/** Rules of every kind that all match BODY("hi"), those before `first` switched off. */
static mx_push_verdict_t first_of_kinds(int first)
{
    static const char *const kinds[] = { "override", "content", "room", "sender", "underride" };
    static const char *const parts[] = { "\"conditions\":[]", "\"pattern\":\"hi\"", "", "", "\"conditions\":[]" };
    static const char *const ids[] = { "over", "cont", "!r:x", "@s:x", "under" };
    char *doc = apr_pstrdup(pool, "");
    int i;
    for (i = 4; i >= 0; i--)
        doc = apr_psprintf(pool, "%s%s\"%s\":[{\"rule_id\":\"%s\",\"enabled\":%s,\"actions\":[\"notify\"]%s%s}]", doc, *doc ? "," : "",
                           kinds[i], ids[i], i < first ? "false" : "true", *parts[i] ? "," : "", parts[i]);
    doc = apr_psprintf(pool, "{\"global\":{%s}}", doc);
    return ask(mx_push_eval_compile(unit_json(doc), ME, pool),
               "{\"type\":\"m.room.message\",\"room_id\":\"!r:x\",\"sender\":\"@s:x\",\"content\":{\"body\":\"Hi\"}}");
}

START_TEST(kinds_are_asked_in_their_order_and_disabled_rules_never)
{
    static const char *const ids[] = { "over", "cont", "!r:x", "@s:x", "under", NULL };
    int i;
    for (i = 0; i <= 5; i++) {
        const char *id = first_of_kinds(i).rule_id;
        ck_assert_msg(mx_str_eq(id, ids[i]) || (!id && !ids[i]), "%d: %s", i, id);
    }
}
END_TEST

START_TEST(a_room_rule_knows_its_room_from_outside_of_the_event)
{
    const mx_push_set_t *set = set_of("{\"global\":{\"room\":[{\"rule_id\":\"!r:x\",\"enabled\":true,\"actions\":[]}]}}");
    mx_push_event_t e = { .event = unit_json(BODY("\"hi\"")), .room_id = "!r:x", .members = 3 };
    ck_assert_int_eq(mx_push_eval(set, &e).notify, 0);
    e.room_id = "!s:x";
    ck_assert_int_eq(mx_push_eval(set, &e).notify, 1);
}
END_TEST

START_TEST(actions_of_history_say_nothing_and_tweaks_keep_their_value)
{
    static const struct { const char *actions; int notify, highlight; } cases[] = {
        { "[\"dont_notify\"]", 0, 0 }, { "[\"coalesce\",\"notify\"]", 1, 0 }, { "[\"notify\",{\"set_tweak\":\"highlight\"}]", 1, 1 },
        { "[\"notify\",{\"set_tweak\":\"highlight\",\"value\":false}]", 1, 0 },
        { "[\"notify\",{\"set_tweak\":\"sound\",\"value\":\"x\"}]", 1, 0 },
        { "[{\"set_tweak\":\"highlight\",\"value\":true}]", 0, 1 }, { "[]", 0, 0 }, { "7", 0, 0 },
    };
    int i;
    for (i = 0; i < UNIT_COUNT(cases); i++) {
        const char *doc = apr_psprintf(pool, "{\"global\":{\"underride\":[{\"rule_id\":\"r\",\"conditions\":[],\"actions\":%s}]}}",
            cases[i].actions);
        mx_push_verdict_t v = ask(mx_push_eval_compile(unit_json(doc), ME, pool), BODY("\"x\""));
        ck_assert_msg(v.notify == cases[i].notify && v.highlight == cases[i].highlight, "%s", cases[i].actions);
    }
}
END_TEST

START_TEST(sets_that_only_name_rooms_are_plain)
{
    static const struct { const char *stored; int plain; } cases[] = {
        { NULL, 1 },
        { "{\"global\":{\"room\":[{\"rule_id\":\"!r:x\",\"actions\":[]}]}}", 1 },
        { "{\"global\":{\"override\":[{\"rule_id\":\"!r:x\",\"actions\":[],"
          "\"conditions\":[{\"kind\":\"event_match\",\"key\":\"room_id\",\"pattern\":\"!r:x\"}]}]}}", 1 },
        { "{\"global\":{\"override\":[{\"rule_id\":\"x\",\"actions\":[],"
          "\"conditions\":[{\"kind\":\"event_match\",\"key\":\"type\",\"pattern\":\"x\"}]}]}}", 0 },
        { "{\"global\":{\"content\":[{\"rule_id\":\"x\",\"actions\":[],\"pattern\":\"x\"}]}}", 0 },
        { "{\"global\":{\"content\":[{\"rule_id\":\"x\",\"enabled\":false,\"actions\":[],\"pattern\":\"x\"}]}}", 1 },
        { "{\"global\":{\"sender\":[{\"rule_id\":\"@s:x\",\"actions\":[]}]}}", 0 },
    };
    int i;
    for (i = 0; i < UNIT_COUNT(cases); i++)
        ck_assert_msg(mx_push_eval_is_plain(set_of(cases[i].stored)) == cases[i].plain, "%s", cases[i].stored);
}
END_TEST

UNIT_MAIN("push_eval", event_match_is_a_glob_on_a_whole_string, event_property_is_compares_value_and_type,
          event_property_contains_looks_into_arrays, dots_in_names_are_escaped, the_other_conditions_ask_the_room,
          power_to_notify_is_what_the_room_says, the_predefined_rules_say_what_the_specification_says,
          kinds_are_asked_in_their_order_and_disabled_rules_never, a_room_rule_knows_its_room_from_outside_of_the_event,
          actions_of_history_say_nothing_and_tweaks_keep_their_value, sets_that_only_name_rooms_are_plain)
