/* SPDX-License-Identifier: Apache-2.0 */
/* Push rules asked of events: conditions compiled to what they need, rules in the order of their importance. */
#include "core/push_eval.h"

#include "base/glob.h"

#define PATH_NAME_BYTES_MAX 255        /* bytes of a name in a path; longer ones name nothing */
#define MEMBER_COUNT_DIGITS_MAX 18       /* more cannot be a number of members, and would not be one of C */

typedef enum { IF_NEVER, IF_MATCH, IF_IS, IF_CONTAINS, IF_DISPLAY_NAME, IF_MEMBERS, IF_PERMISSION } if_e;
typedef enum { COMPARE_EQ, COMPARE_LT, COMPARE_GT, COMPARE_LE, COMPARE_GE } compare_e;

typedef struct condition_t {
    if_e kind;
    const char *key;                     /* path, or name of a notification level */
    const mx_glob_t *glob;
    const mx_json_t *value;
    compare_e compare;
    apr_int64_t number;
} condition_t;

typedef struct rule_t {
    condition_t *conditions; int n;
    mx_push_verdict_t verdict;
} rule_t;

struct mx_push_set_t {
    const char *user_id;
    rule_t *rules; int n;
    int plain;
};

/* ---- paths ---- */

/** Takes one name off the path; escapes resolved into `name`. NULL: it is too long. */
static const char *next_name(char *name, const char *path)
{
    apr_size_t n = 0;
    while (*path && *path != '.') {
        if (*path == '\\' && (path[1] == '.' || path[1] == '\\'))
            path++;
        if (n == PATH_NAME_BYTES_MAX)
            return NULL;
        name[n++] = *path++;
    }
    name[n] = '\0';
    return path;
}

const mx_json_t *mx_push_eval_path(const mx_json_t *event, const char *path)
{
    char name[PATH_NAME_BYTES_MAX + 1];
    for (;;) {
        path = next_name(name, path);
        if (!path)
            return NULL;
        event = mx_json_get(event, name);
        if (!event || !*path)
            return event;
        path++;
    }
}

/* ---- compiling ---- */

static int is_number(const char *text)
{
    apr_size_t n = strspn(text, "0123456789");
    return n > 0 && n <= MEMBER_COUNT_DIGITS_MAX && !text[n];
}

static void compile_members(condition_t *c, const char *is)
{
    static const struct { const char *sign; compare_e compare; } signs[] = {
        { "==", COMPARE_EQ }, { "<=", COMPARE_LE }, { ">=", COMPARE_GE }, { "<", COMPARE_LT }, { ">", COMPARE_GT }, { "", COMPARE_EQ },
    };
    int i;
    for (i = 0; is; i++) {
        apr_size_t len = strlen(signs[i].sign);
        if (strncmp(is, signs[i].sign, len) != 0)
            continue;
        c->compare = signs[i].compare;
        if (is_number(is + len)) {
            c->number = apr_atoi64(is + len);
            c->kind = IF_MEMBERS;
        }
        return;
    }
}

static void compile_match(condition_t *c, const char *pattern, apr_pool_t *pool)
{
    int words = c->key && strcmp(c->key, "content.body") == 0 ? MX_GLOB_WORDS : 0;
    if (c->key && pattern && mx_glob_compile(&c->glob, mx_slice_str(pattern), MX_GLOB_NOCASE | words, pool) == APR_SUCCESS)
        c->kind = IF_MATCH;
}

/** event_property_is and event_property_contains compare values that hold no others. */
static int is_simple(const mx_json_t *value)
{
    return mx_json_is(value, MX_JSON_STRING) || mx_json_is(value, MX_JSON_INT) || mx_json_is(value, MX_JSON_BOOL)
           || mx_json_is(value, MX_JSON_NULL);
}

static condition_t compile_condition(const mx_json_t *json, apr_pool_t *pool)
{
    condition_t c = { .kind = IF_NEVER, .key = mx_json_get_str(json, "key"), .value = mx_json_get(json, "value") };
    const char *kind = mx_json_get_str(json, "kind");
    if (mx_str_eq(kind, "event_match"))
        compile_match(&c, mx_json_get_str(json, "pattern"), pool);
    else if (mx_str_eq(kind, "event_property_is") && c.key && is_simple(c.value))
        c.kind = IF_IS;
    else if (mx_str_eq(kind, "event_property_contains") && c.key && is_simple(c.value))
        c.kind = IF_CONTAINS;
    else if (mx_str_eq(kind, "contains_display_name"))
        c.kind = IF_DISPLAY_NAME;
    else if (mx_str_eq(kind, "room_member_count"))
        compile_members(&c, mx_json_get_str(json, "is"));
    else if (mx_str_eq(kind, "sender_notification_permission") && c.key)
        c.kind = IF_PERMISSION;
    return c;
}

/** The one condition of a content, room or sender rule. */
static condition_t compile_own(const char *kind, const mx_json_t *rule, apr_pool_t *pool)
{
    condition_t c = { .kind = IF_IS };
    c.value = mx_json_get(rule, "rule_id");
    c.key = strcmp(kind, "room") == 0 ? "room_id" : "sender";
    if (strcmp(kind, "content") == 0) {
        c = (condition_t){ .kind = IF_NEVER, .key = "content.body" };
        compile_match(&c, mx_json_get_str(rule, "pattern"), pool);
    }
    return c;
}

/** CS-API: historical actions: anything but notify and tweaks says nothing. */
static mx_push_verdict_t compile_actions(const mx_json_t *rule)
{
    const mx_json_t *actions = mx_json_get(rule, "actions");
    mx_push_verdict_t v = { .actions = actions, .rule_id = mx_json_get_str(rule, "rule_id") };
    apr_size_t i;
    for (i = 0; i < mx_json_len(actions); i++) {
        const mx_json_t *action = mx_json_at(actions, i);
        if (mx_str_eq(mx_json_str(action), "notify"))
            v.notify = 1;
        if (mx_str_eq(mx_json_get_str(action, "set_tweak"), "highlight"))
            v.highlight = mx_json_bool(mx_json_get(action, "value"), 1);
    }
    return v;
}

/** A rule that anything but the room and the marks may decide. */
static int needs_content(const char *kind, const mx_json_t *rule, const rule_t *compiled)
{
    int i;
    if (mx_json_get_bool(rule, "default", 0) || strcmp(kind, "room") == 0)
        return 0;
    for (i = 0; i < compiled->n; i++) {
        if (compiled->conditions[i].kind == IF_NEVER)
            return 0;
    }
    for (i = 0; i < compiled->n; i++) {
        const condition_t *c = &compiled->conditions[i];
        if (c->kind != IF_MEMBERS && !(c->kind == IF_MATCH && strcmp(c->key, "room_id") == 0))
            return 1;
    }
    return 0;
}

static void add_rule(mx_push_set_t *set, const char *kind, const mx_json_t *json, apr_pool_t *pool)
{
    rule_t *rule = &set->rules[set->n];
    const mx_json_t *conditions = mx_json_get(json, "conditions");
    int has_list = strcmp(kind, "override") == 0 || strcmp(kind, "underride") == 0, i;
    if (!mx_json_get_bool(json, "enabled", 1))
        return;
    rule->n = has_list ? (int)mx_json_len(conditions) : 1;
    rule->conditions = apr_palloc(pool, sizeof(*rule->conditions) * (apr_size_t)(rule->n + 1));
    if (!has_list)
        rule->conditions[0] = compile_own(kind, json, pool);
    for (i = 0; has_list && i < rule->n; i++)
        rule->conditions[i] = compile_condition(mx_json_at(conditions, (apr_size_t)i), pool);
    rule->verdict = compile_actions(json);
    set->plain = set->plain && !needs_content(kind, json, rule);
    set->n++;
}

mx_push_set_t *mx_push_eval_compile(const mx_json_t *doc, const char *user_id, apr_pool_t *pool)
{
    static const char *const kinds[] = { "override", "content", "room", "sender", "underride" };
    const mx_json_t *global = mx_json_get(doc, "global");
    mx_push_set_t *set = apr_pcalloc(pool, sizeof(*set));
    apr_size_t k, i, n = 0;
    set->user_id = user_id;
    set->plain = 1;
    for (k = 0; k < sizeof(kinds) / sizeof(kinds[0]); k++)
        n += mx_json_len(mx_json_get(global, kinds[k]));
    set->rules = apr_palloc(pool, sizeof(*set->rules) * (n + 1));
    for (k = 0; k < sizeof(kinds) / sizeof(kinds[0]); k++) {
        const mx_json_t *list = mx_json_get(global, kinds[k]);
        for (i = 0; i < mx_json_len(list); i++)
            add_rule(set, kinds[k], mx_json_at(list, i), pool);
    }
    return set;
}

int mx_push_eval_is_plain(const mx_push_set_t *set)
{
    return set->plain;
}

/* ---- asking ---- */

static int compares(const condition_t *c, apr_int64_t members)
{
    switch (c->compare) {
    case COMPARE_LT: return members < c->number;
    case COMPARE_GT: return members > c->number;
    case COMPARE_LE: return members <= c->number;
    case COMPARE_GE: return members >= c->number;
    default: return members == c->number;
    }
}

static int contains(const mx_json_t *list, const mx_json_t *value)
{
    apr_size_t i;
    for (i = 0; mx_json_is(list, MX_JSON_ARRAY) && i < mx_json_len(list); i++) {
        if (mx_json_equal(mx_json_at(list, i), value))
            return 1;
    }
    return 0;
}

static int is_word(unsigned char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_';
}

/** The name stands in the text between word boundaries. A name holds no patterns. */
static int names(mx_slice_t text, const char *name)
{
    apr_size_t len = name ? strlen(name) : 0, i;
    for (i = 0; len && len <= text.len && i <= text.len - len; i++) {
        int from = i == 0 || !is_word((unsigned char)text.p[i - 1]) || !is_word((unsigned char)name[0]);
        int to = i + len == text.len || !is_word((unsigned char)text.p[i + len]) || !is_word((unsigned char)name[len - 1]);
        if (from && to && strncasecmp(text.p + i, name, len) == 0)
            return 1;
    }
    return 0;
}

static int permits(const mx_push_event_t *e, const char *key)
{
    return e->sender_power >= mx_json_get_int(e->notification_power, key, MX_PUSH_POWER_DEFAULT);
}

static int matches_room(const condition_t *c, const char *room_id)
{
    return c->kind == IF_MATCH ? mx_glob_matches(c->glob, mx_slice_str(room_id)) : mx_str_eq(mx_json_str(c->value), room_id);
}

static int holds(const condition_t *c, const mx_push_event_t *e)
{
    const mx_json_t *at = c->kind == IF_MATCH || c->kind == IF_IS || c->kind == IF_CONTAINS ? mx_push_eval_path(e->event, c->key) : NULL;
    switch (c->kind) {
    case IF_MATCH:
    case IF_IS:
        if (!at && e->room_id && strcmp(c->key, "room_id") == 0)
            return matches_room(c, e->room_id);
        if (c->kind == IF_MATCH)
            return mx_json_is(at, MX_JSON_STRING) && mx_glob_matches(c->glob, mx_json_slice(at));
        return at && mx_json_equal(at, c->value);
    case IF_CONTAINS: return contains(at, c->value);
    case IF_DISPLAY_NAME: return names(mx_json_slice(mx_json_get(mx_json_get(e->event, "content"), "body")), e->display_name);
    case IF_MEMBERS: return compares(c, e->members);
    case IF_PERMISSION: return permits(e, c->key);
    default: return 0;
    }
}

static int matches(const rule_t *rule, const mx_push_event_t *e)
{
    int i;
    for (i = 0; i < rule->n; i++) {
        if (!holds(&rule->conditions[i], e))
            return 0;
    }
    return 1;
}

mx_push_verdict_t mx_push_eval(const mx_push_set_t *set, const mx_push_event_t *event)
{
    const mx_push_verdict_t nothing = { 0 };
    int i;
    if (mx_str_eq(mx_json_get_str(event->event, "sender"), set->user_id))
        return nothing;
    for (i = 0; i < set->n; i++) {
        if (matches(&set->rules[i], event))
            return set->rules[i].verdict;
    }
    return nothing;
}

/* ---- kinds of events ---- */

int mx_push_eval_marks(const mx_json_t *content)
{
    const mx_json_t *relates = mx_json_get(content, "m.relates_to"), *mentions = mx_json_get(content, "m.mentions");
    int marks = 0;
    if (mx_str_eq(mx_json_get_str(content, "msgtype"), "m.notice"))
        marks |= MX_PUSH_MARK_NOTICE;
    if (mx_str_eq(mx_json_get_str(relates, "rel_type"), "m.replace"))
        marks |= MX_PUSH_MARK_EDIT;
    if (mx_json_get_bool(mentions, "room", 0))
        marks |= MX_PUSH_MARK_ROOM;
    return marks;
}

static void add_mentions(mx_json_t *content, const mx_push_set_t *set, int marks, apr_pool_t *pool)
{
    mx_json_t *mentions = mx_json_new_object(pool), *users = mx_json_new_array(pool);
    mx_json_add_str(users, set->user_id);
    if (marks & MX_PUSH_MARK_ROOM)
        mx_json_set_bool(mentions, "room", 1);
    if (marks & MX_PUSH_MARK_USER)
        mx_json_set(mentions, "user_ids", users);
    mx_json_set(content, "m.mentions", mentions);
}

mx_push_verdict_t mx_push_eval_kind(const mx_push_set_t *set, const char *type, const char *state_key, int marks, const char *room_id,
                                    apr_int64_t members, apr_pool_t *pool)
{
    mx_json_t *event = mx_json_new_object(pool), *content = mx_json_new_object(pool), *relates = mx_json_new_object(pool);
    mx_push_event_t e = { .event = event, .room_id = room_id, .members = members };
    mx_json_set_str(event, "type", type);
    mx_json_set_str(event, "state_key", state_key);
    mx_json_set_str(event, "room_id", room_id);
    if (marks & MX_PUSH_MARK_NOTICE)
        mx_json_set_str(content, "msgtype", "m.notice");
    if (marks & MX_PUSH_MARK_EDIT) {
        mx_json_set_str(relates, "rel_type", "m.replace");
        mx_json_set(content, "m.relates_to", relates);
    }
    if (marks & (MX_PUSH_MARK_ROOM | MX_PUSH_MARK_USER))
        add_mentions(content, set, marks, pool);
    if (marks & MX_PUSH_MARK_ROOM)
        e.sender_power = APR_INT64_MAX;      /* who may not has no such mark */
    mx_json_set(event, "content", content);
    return mx_push_eval(set, &e);
}
