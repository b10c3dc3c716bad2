/* SPDX-License-Identifier: Apache-2.0 */
/* CS-API: push rules API. */
#include "api/req.h"
#include "user/push_rules.h"

/* What a request wants done to the document. */
typedef struct rule_edit_t {
    mx_req_t *req;
    const char *kind, *rule_id;
    mx_json_t *actions;
    int enabled;
} rule_edit_t;

static rule_edit_t edit_of(mx_req_t *req)
{
    return (rule_edit_t){ .req = req, .kind = mx_param_path(req, "kind"), .rule_id = mx_param_path(req, "ruleId") };
}

static const mx_error_t *get_rule(mx_json_t **prule, mx_req_t *req)
{
    mx_json_t *doc = NULL;
    const mx_error_t *err = mx_user_push_rules_get(&doc, req->server, req->who, req->pool);

    return err ? err : mx_push_rules_find(prule, doc, mx_param_path(req, "kind"), mx_param_path(req, "ruleId"), req->pool);
}

const mx_error_t *mx_client_get_push_rules(mx_reply_t *reply, mx_req_t *req)
{
    mx_json_t *doc = NULL;
    const mx_error_t *err = mx_user_push_rules_get(&doc, req->server, req->who, req->pool);

    if (!err) mx_reply_json(reply, doc);
    return err;
}

const mx_error_t *mx_client_get_push_rules_global(mx_reply_t *reply, mx_req_t *req)
{
    mx_json_t *doc = NULL;
    const mx_error_t *err = mx_user_push_rules_get(&doc, req->server, req->who, req->pool);

    if (!err) mx_reply_json(reply, mx_json_get(doc, "global"));
    return err;
}

const mx_error_t *mx_client_get_push_rule(mx_reply_t *reply, mx_req_t *req)
{
    mx_json_t *rule = NULL;
    const mx_error_t *err = get_rule(&rule, req);

    if (!err) mx_reply_json(reply, rule);
    return err;
}

/* One member of a rule, as an object of its own. */
static const mx_error_t *reply_member(mx_reply_t *reply, mx_req_t *req, const char *member)
{
    mx_json_t *rule = NULL, *out;
    const mx_error_t *err = get_rule(&rule, req);

    if (err) return err;
    out = mx_json_new_object(req->pool);
    mx_json_set(out, member, mx_json_get(rule, member));
    mx_reply_json(reply, out);
    return NULL;
}

const mx_error_t *mx_client_is_push_rule_enabled(mx_reply_t *reply, mx_req_t *req)
{
    return reply_member(reply, req, "enabled");
}

const mx_error_t *mx_client_get_push_rule_actions(mx_reply_t *reply, mx_req_t *req)
{
    return reply_member(reply, req, "actions");
}

static const mx_error_t *put_rule(mx_json_t *doc, void *baton, apr_pool_t *pool)
{
    rule_edit_t *edit = baton;

    return mx_push_rules_put(doc, edit->kind, edit->rule_id, edit->req->body, mx_param_query(edit->req, "before"),
                             mx_param_query(edit->req, "after"), edit->req->server->settings->max_push_rules, pool);
}

const mx_error_t *mx_client_set_push_rule(mx_reply_t *reply, mx_req_t *req)
{
    rule_edit_t edit = edit_of(req);

    (void)reply;
    return mx_user_push_rules_change(req->server, req->who, put_rule, &edit, req->pool);
}

static const mx_error_t *delete_rule(mx_json_t *doc, void *baton, apr_pool_t *pool)
{
    rule_edit_t *edit = baton;

    return mx_push_rules_delete(doc, edit->kind, edit->rule_id, pool);
}

const mx_error_t *mx_client_delete_push_rule(mx_reply_t *reply, mx_req_t *req)
{
    rule_edit_t edit = edit_of(req);

    (void)reply;
    return mx_user_push_rules_change(req->server, req->who, delete_rule, &edit, req->pool);
}

static const mx_error_t *set_enabled(mx_json_t *doc, void *baton, apr_pool_t *pool)
{
    rule_edit_t *edit = baton;

    return mx_push_rules_set_enabled(doc, edit->kind, edit->rule_id, edit->enabled, pool);
}

const mx_error_t *mx_client_set_push_rule_enabled(mx_reply_t *reply, mx_req_t *req)
{
    rule_edit_t edit = edit_of(req);
    const mx_json_t *enabled = mx_json_get(req->body, "enabled");

    (void)reply;
    if (!enabled) return mx_error_make(req->pool, MX_E_MISSING_PARAM, "'enabled' is missing.");
    if (!mx_json_is(enabled, MX_JSON_BOOL)) return mx_error_make(req->pool, MX_E_BAD_JSON, "'enabled' must be true or false.");
    edit.enabled = mx_json_bool(enabled, 1);
    return mx_user_push_rules_change(req->server, req->who, set_enabled, &edit, req->pool);
}

static const mx_error_t *set_actions(mx_json_t *doc, void *baton, apr_pool_t *pool)
{
    rule_edit_t *edit = baton;

    return mx_push_rules_set_actions(doc, edit->kind, edit->rule_id, edit->actions, pool);
}

const mx_error_t *mx_client_set_push_rule_actions(mx_reply_t *reply, mx_req_t *req)
{
    rule_edit_t edit = edit_of(req);

    (void)reply;
    edit.actions = mx_json_get(req->body, "actions");
    if (!edit.actions) return mx_error_make(req->pool, MX_E_MISSING_PARAM, "'actions' is missing.");
    return mx_user_push_rules_change(req->server, req->who, set_actions, &edit, req->pool);
}
