/* SPDX-License-Identifier: Apache-2.0 */
/* A user's push rules and ignored users, read from account data. */
#include "user/push_settings.h"

#include "base/nid_map.h"
#include "store/unread.h"
#include <stdlib.h>

#define ANYBODY "@:"                 /* nobody's id */

static mx_json_t *parse(mx_slice_t text, apr_pool_t *pool)
{
    mx_json_limits_t limits = { MX_JSON_DEPTH_DEFAULT };
    mx_json_t *json = NULL;

    if (text.p) mx_json_parse(&json, NULL, text.p, text.len, &limits, pool);
    return json;
}

/* CS-API: m.ignored_user_list: the keys of `ignored_users`; nobody ignores himself. */
static apr_status_t read_ignored(mx_user_push_settings_t *out, mx_server_t *server, const mx_who_t *who, const mx_json_t *doc,
                                 apr_pool_t *pool)
{
    const mx_json_t *users = mx_json_get(doc, "ignored_users");
    const char **ids, *id;
    void *it = NULL;
    mx_json_t *value;
    int n = 0;
    apr_status_t rv;

    if (!mx_json_is(users, MX_JSON_OBJECT) || !mx_json_len(users)) return APR_SUCCESS;
    ids = apr_palloc(pool, sizeof(*ids) * MX_USER_IGNORED_MAX);
    while (n < MX_USER_IGNORED_MAX && mx_json_next(users, &it, &id, &value))
        if (!mx_str_eq(id, who->user_id)) ids[n++] = id;
    rv = mx_store_unread_users(&out->ignored, &out->nignored, server->store, ids, n, pool);
    out->unknown = out->nignored < n;
    if (rv == APR_SUCCESS && out->nignored) qsort(out->ignored, (apr_size_t)out->nignored, sizeof(*out->ignored), mx_nid_cmp);
    return rv;
}

const mx_error_t *mx_user_push_settings_get(mx_user_push_settings_t **psettings, mx_server_t *server, const mx_who_t *who,
                                            const mx_push_set_t *predefined, apr_pool_t *pool)
{
    mx_user_push_settings_t *out = apr_pcalloc(pool, sizeof(*out));
    mx_store_unread_rules_t stored;
    apr_status_t rv = mx_store_unread_rules(&stored, server->store, who->user_nid, pool);

    if (rv == APR_SUCCESS) rv = read_ignored(out, server, who, parse(stored.ignored, pool), pool);
    if (rv != APR_SUCCESS) return mx_server_store_error(rv, "read what a user wants to be told of", pool);
    out->user_id = who->user_id;
    out->text = stored.push_rules;
    out->rules_stream = stored.rules_stream;
    out->ignored_stream = stored.ignored_stream;
    out->rules = out->text.p ? NULL : predefined;
    out->plain = mx_push_eval_is_plain(mx_user_push_settings_rules(out, pool));
    *psettings = out;
    return NULL;
}

const mx_push_set_t *mx_user_push_settings_rules(mx_user_push_settings_t *settings, apr_pool_t *pool)
{
    const char *user_id = settings->user_id;

    if (!settings->rules)
        settings->rules = mx_push_eval_compile(mx_push_rules_compose(user_id, parse(settings->text, pool), pool), user_id, pool);
    return settings->rules;
}

const mx_push_set_t *mx_user_push_settings_predefined(apr_pool_t *pool)
{
    return mx_push_eval_compile(mx_push_rules_compose(ANYBODY, NULL, pool), ANYBODY, pool);
}

int mx_user_push_settings_ignores(const mx_user_push_settings_t *settings, apr_int64_t user_nid)
{
    return settings->nignored
           && bsearch(&user_nid, settings->ignored, (apr_size_t)settings->nignored, sizeof(user_nid), mx_nid_cmp) != NULL;
}

const mx_error_t *mx_user_push_settings_ignored(apr_int64_t **pnids, int *pn, mx_server_t *server, const mx_who_t *who, apr_pool_t *pool)
{
    mx_user_push_settings_t settings = { .nignored = 0 };
    mx_store_unread_rules_t stored;
    apr_status_t rv = mx_store_unread_rules(&stored, server->store, who->user_nid, pool);

    if (rv == APR_SUCCESS) rv = read_ignored(&settings, server, who, parse(stored.ignored, pool), pool);
    if (rv != APR_SUCCESS) return mx_server_store_error(rv, "read whom a user ignores", pool);
    *pnids = settings.ignored;
    *pn = settings.nignored;
    return NULL;
}
