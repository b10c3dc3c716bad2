/* SPDX-License-Identifier: Apache-2.0 */
/* Push rulesets as documents: predefined rules, and a user's changes to them. */
#include "core/push_rules.h"

static const char *const kinds[] = { "override", "content", "room", "sender", "underride", NULL };

typedef struct predefined_t {
    const char *kind, *rule_id;
    int enabled;
    const char *conditions, *actions;
} predefined_t;

static const predefined_t predefined[] = {
#define MX_PUSH_RULE(kind, rule_id, enabled, conditions, actions) { kind, rule_id, enabled, conditions, actions },
#include "core/push_rules_default.def"
#undef MX_PUSH_RULE
};
#define NPREDEFINED (sizeof predefined / sizeof predefined[0])
#define MASTER_RULE ".m.rule.master"

int mx_push_rules_is_kind(const char *kind)
{
    for (int i = 0; kinds[i]; i++)
        if (mx_str_eq(kinds[i], kind)) return 1;
    return 0;
}

static const mx_json_t *list_of(const mx_json_t *doc, const char *kind)
{
    return mx_json_get(mx_json_get(doc, "global"), kind);
}

static mx_json_t *find(const mx_json_t *list, const char *rule_id)
{
    for (apr_size_t i = 0; i < mx_json_len(list); i++) {
        mx_json_t *rule = mx_json_at(list, i);
        if (mx_str_eq(mx_json_get_str(rule, "rule_id"), rule_id)) return rule;
    }
    return NULL;
}

/* The table's JSON is ours, so it parses. */
static mx_json_t *parse_ours(const char *text, apr_pool_t *pool)
{
    mx_json_limits_t limits = { MX_JSON_DEPTH_DEFAULT };
    mx_json_t *json = NULL;

    mx_json_parse(&json, NULL, text, strlen(text), &limits, pool);
    return json;
}

/* Puts the user's id where the table says "%u". */
static mx_json_t *conditions_of(const predefined_t *def, const char *user_id, apr_pool_t *pool)
{
    static const char *const places[] = { "pattern", "value", NULL };
    mx_json_t *conditions = parse_ours(def->conditions, pool);

    for (apr_size_t i = 0; i < mx_json_len(conditions); i++)
        for (int k = 0; places[k]; k++)
            if (mx_str_eq(mx_json_get_str(mx_json_at(conditions, i), places[k]), "%u"))
                mx_json_set_str(mx_json_at(conditions, i), places[k], user_id);
    return conditions;
}

static mx_json_t *predefined_rule(const predefined_t *def, const char *user_id, apr_pool_t *pool)
{
    mx_json_t *rule = mx_json_new_object(pool);

    mx_json_set_str(rule, "rule_id", def->rule_id);
    mx_json_set_bool(rule, "default", 1);
    mx_json_set_bool(rule, "enabled", def->enabled);
    mx_json_set(rule, "conditions", conditions_of(def, user_id, pool));
    mx_json_set(rule, "actions", parse_ours(def->actions, pool));
    return rule;
}

/* A predefined rule may have been switched or given other actions; all else of it is ours. */
static void add_predefined(mx_json_t *list, const predefined_t *def, const char *user_id, const mx_json_t *stored, apr_pool_t *pool)
{
    mx_json_t *rule = predefined_rule(def, user_id, pool);
    const mx_json_t *changed = find(stored, def->rule_id);

    if (changed) {
        mx_json_set_bool(rule, "enabled", mx_json_get_bool(changed, "enabled", def->enabled));
        if (mx_json_get(changed, "actions")) mx_json_set(rule, "actions", mx_json_copy(pool, mx_json_get(changed, "actions")));
    }
    mx_json_add(list, rule);
}

static void add_own(mx_json_t *list, const mx_json_t *stored, apr_pool_t *pool)
{
    for (apr_size_t i = 0; i < mx_json_len(stored); i++)
        if (!mx_json_get_bool(mx_json_at(stored, i), "default", 0)) mx_json_add(list, mx_json_copy(pool, mx_json_at(stored, i)));
}

static mx_json_t *compose_kind(const char *kind, const char *user_id, const mx_json_t *stored, apr_pool_t *pool)
{
    mx_json_t *list = mx_json_new_array(pool);
    int own_added = 0;

    for (apr_size_t i = 0; i < NPREDEFINED; i++) {
        if (strcmp(predefined[i].kind, kind) != 0) continue;
        /* the master rule stands above what the user made, every other predefined rule below */
        if (!own_added && strcmp(predefined[i].rule_id, MASTER_RULE) != 0) {
            add_own(list, stored, pool);
            own_added = 1;
        }
        add_predefined(list, &predefined[i], user_id, stored, pool);
    }
    if (!own_added) add_own(list, stored, pool);
    return list;
}

mx_json_t *mx_push_rules_compose(const char *user_id, const mx_json_t *stored, apr_pool_t *pool)
{
    mx_json_t *doc = mx_json_new_object(pool), *global = mx_json_new_object(pool);

    for (int i = 0; kinds[i]; i++) mx_json_set(global, kinds[i], compose_kind(kinds[i], user_id, list_of(stored, kinds[i]), pool));
    mx_json_set(doc, "global", global);
    return doc;
}

const mx_error_t *mx_push_rules_find(mx_json_t **prule, const mx_json_t *doc, const char *kind, const char *rule_id, apr_pool_t *pool)
{
    mx_json_t *rule;

    if (!mx_push_rules_is_kind(kind)) return mx_error_make(pool, MX_E_INVALID_PARAM, "There is no kind of push rule called '%s'.", kind);
    rule = find(list_of(doc, kind), rule_id);
    if (!rule) return mx_error_make(pool, MX_E_NOT_FOUND, "There is no push rule with this id.");
    *prule = rule;
    return NULL;
}

static const mx_error_t *check_actions(const mx_json_t *actions, apr_pool_t *pool)
{
    if (!mx_json_is(actions, MX_JSON_ARRAY)) return mx_error_make(pool, MX_E_BAD_JSON, "'actions' must be an array.");
    for (apr_size_t i = 0; i < mx_json_len(actions); i++) {
        const mx_json_t *action = mx_json_at(actions, i);
        if (!mx_json_is(action, MX_JSON_STRING) && !mx_json_get_str(action, "set_tweak"))
            return mx_error_make(pool, MX_E_BAD_JSON, "Each of 'actions' must be a string or an object with 'set_tweak'.");
    }
    return NULL;
}

static const mx_error_t *check_conditions(const mx_json_t *conditions, apr_pool_t *pool)
{
    if (conditions && !mx_json_is(conditions, MX_JSON_ARRAY)) return mx_error_make(pool, MX_E_BAD_JSON, "'conditions' must be an array.");
    for (apr_size_t i = 0; i < mx_json_len(conditions); i++)
        if (!mx_json_get_str(mx_json_at(conditions, i), "kind"))
            return mx_error_make(pool, MX_E_BAD_JSON, "Each of 'conditions' must be an object with a string 'kind'.");
    return NULL;
}

/* What of the body belongs into a rule of this kind. */
static const mx_error_t *rule_from_body(mx_json_t **prule, const char *kind, const char *rule_id, const mx_json_t *body, apr_pool_t *pool)
{
    int has_conditions = mx_str_eq(kind, "override") || mx_str_eq(kind, "underride");
    mx_json_t *rule = mx_json_new_object(pool);
    const mx_error_t *err;

    if (!mx_json_get(body, "actions")) return mx_error_make(pool, MX_E_MISSING_PARAM, "'actions' is missing.");
    if ((err = check_actions(mx_json_get(body, "actions"), pool))) return err;
    if (has_conditions && (err = check_conditions(mx_json_get(body, "conditions"), pool))) return err;
    mx_json_set_str(rule, "rule_id", rule_id);
    mx_json_set_bool(rule, "default", 0);
    mx_json_set_bool(rule, "enabled", 1);
    if (has_conditions)
        mx_json_set(rule, "conditions", mx_json_get(body, "conditions") ? mx_json_get(body, "conditions") : mx_json_new_array(pool));
    if (mx_str_eq(kind, "content")) {
        if (!mx_json_get_str(body, "pattern")) return mx_error_make(pool, MX_E_MISSING_PARAM, "'pattern' is missing or no string.");
        mx_json_set(rule, "pattern", mx_json_get(body, "pattern"));
    }
    mx_json_set(rule, "actions", mx_json_get(body, "actions"));
    *prule = rule;
    return NULL;
}

static const mx_error_t *check_neighbour(const mx_json_t *list, const char *rule_id, apr_pool_t *pool)
{
    const mx_json_t *rule = rule_id ? find(list, rule_id) : NULL;

    if (!rule_id) return NULL;
    if (!rule) return mx_error_make(pool, MX_E_NOT_FOUND, "The push rule named by 'before' or 'after' does not exist.");
    if (mx_json_get_bool(rule, "default", 0))
        return mx_error_make(pool, MX_E_INVALID_PARAM, "'before' and 'after' cannot name a predefined rule.");
    return NULL;
}

/* The list without `rule_id`, and with `rule` (may be NULL) in its place of importance. */
static mx_json_t *rearrange(const mx_json_t *list, const char *rule_id, mx_json_t *rule, const char *before, const char *after,
                            int keep_place, apr_pool_t *pool)
{
    mx_json_t *out = mx_json_new_array(pool);
    int placed = rule == NULL;

    for (apr_size_t i = 0; i < mx_json_len(list); i++) {
        mx_json_t *old = mx_json_at(list, i);
        const char *id = mx_json_get_str(old, "rule_id");
        int top = !before && !after && !keep_place && !mx_str_eq(id, MASTER_RULE);

        if (mx_str_eq(id, rule_id)) {
            if (!placed && keep_place) { mx_json_add(out, rule); placed = 1; }
            continue;
        }
        if (!placed && (top || mx_str_eq(id, before))) { mx_json_add(out, rule); placed = 1; }
        mx_json_add(out, old);
        if (!placed && !before && mx_str_eq(id, after)) { mx_json_add(out, rule); placed = 1; }
    }
    if (!placed) mx_json_add(out, rule);
    return out;
}

static apr_size_t count_rules(const mx_json_t *doc)
{
    apr_size_t n = 0;

    for (int i = 0; kinds[i]; i++) n += mx_json_len(list_of(doc, kinds[i]));
    return n;
}

const mx_error_t *mx_push_rules_put(mx_json_t *doc, const char *kind, const char *rule_id, const mx_json_t *body,
                                    const char *before, const char *after, int max, apr_pool_t *pool)
{
    const mx_json_t *list = list_of(doc, kind);
    mx_json_t *rule = NULL, *old;
    const mx_error_t *err;

    if (!mx_push_rules_is_kind(kind)) return mx_error_make(pool, MX_E_INVALID_PARAM, "There is no kind of push rule called '%s'.", kind);
    if (rule_id[0] == '.') return mx_error_make(pool, MX_E_INVALID_PARAM, "Ids that begin with a dot belong to predefined rules.");
    if (!*rule_id || strlen(rule_id) > MX_PUSH_RULE_ID_MAX_BYTES || strpbrk(rule_id, "/\\"))
        return mx_error_make(pool, MX_E_INVALID_PARAM, "A push rule's id has 1 to %d bytes, none of them a slash.",
                             MX_PUSH_RULE_ID_MAX_BYTES);
    if ((err = check_neighbour(list, before, pool)) || (err = check_neighbour(list, after, pool))) return err;
    if ((err = rule_from_body(&rule, kind, rule_id, body, pool))) return err;
    old = find(list, rule_id);
    if (!old && count_rules(doc) >= (apr_size_t)max)
        return mx_error_make(pool, MX_E_INVALID_PARAM, "A user may have %d push rules at most.", max);
    if (old) mx_json_set_bool(rule, "enabled", mx_json_get_bool(old, "enabled", 1));
    mx_json_set(mx_json_get(doc, "global"), kind, rearrange(list, rule_id, rule, before, after, old && !before && !after, pool));
    return NULL;
}

const mx_error_t *mx_push_rules_delete(mx_json_t *doc, const char *kind, const char *rule_id, apr_pool_t *pool)
{
    mx_json_t *rule = NULL;
    const mx_error_t *err = mx_push_rules_find(&rule, doc, kind, rule_id, pool);

    if (err) return err;
    if (mx_json_get_bool(rule, "default", 0)) return mx_error_make(pool, MX_E_INVALID_PARAM, "A predefined push rule cannot be deleted.");
    mx_json_set(mx_json_get(doc, "global"), kind, rearrange(list_of(doc, kind), rule_id, NULL, NULL, NULL, 0, pool));
    return NULL;
}

const mx_error_t *mx_push_rules_set_enabled(mx_json_t *doc, const char *kind, const char *rule_id, int enabled, apr_pool_t *pool)
{
    mx_json_t *rule = NULL;
    const mx_error_t *err = mx_push_rules_find(&rule, doc, kind, rule_id, pool);

    if (!err) mx_json_set_bool(rule, "enabled", enabled);
    return err;
}

const mx_error_t *mx_push_rules_set_actions(mx_json_t *doc, const char *kind, const char *rule_id, mx_json_t *actions, apr_pool_t *pool)
{
    mx_json_t *rule = NULL;
    const mx_error_t *err = mx_push_rules_find(&rule, doc, kind, rule_id, pool);

    if (!err) err = check_actions(actions, pool);
    if (!err) mx_json_set(rule, "actions", actions);
    return err;
}
