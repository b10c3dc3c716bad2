/* SPDX-License-Identifier: Apache-2.0 */
/* Whose invitations a user takes. */
#include "user/invite_permission.h"

#include "base/glob.h"
#include "base/json.h"
#include "store/account_data.h"

/* The type of before it was in the specification, MSC4380, is read as well. */
static const char *const types[] = { "m.invite_permission_config", "org.matrix.msc4380.invite_permission_config",
                                     "org.matrix.msc4155.invite_permission_config" };
enum { STABLE, UNSTABLE, LISTS, NTYPES };

const mx_error_t *mx_user_invites_read(mx_user_invites_t *out, mx_server_t *server, apr_int64_t user_nid, apr_pool_t *pool)
{
    mx_json_limits_t limits = { server->settings->max_json_depth };
    mx_slice_t contents[NTYPES];
    mx_json_t *docs[NTYPES] = { NULL, NULL, NULL };
    apr_status_t rv = mx_store_account_data_get_many(contents, server->store, user_nid, types, NTYPES, pool);

    if (rv != APR_SUCCESS) return mx_server_store_error(rv, "read whose invitations a user takes", pool);
    for (int i = 0; i < NTYPES; i++)
        if (contents[i].p) mx_json_parse(&docs[i], NULL, contents[i].p, contents[i].len, &limits, pool);
    *out = (mx_user_invites_t){ .block_all = mx_str_eq(mx_json_get_str(docs[STABLE], "default_action"), "block")
                                             || mx_str_eq(mx_json_get_str(docs[UNSTABLE], "default_action"), "block"),
                                .lists = docs[LISTS] };
    return NULL;
}

static int matches(const mx_json_t *list, const char *id, apr_pool_t *pool)
{
    apr_size_t i, n = mx_json_is(list, MX_JSON_ARRAY) ? mx_json_len(list) : 0;

    if (n > MX_USER_INVITE_GLOBS_MAX) n = MX_USER_INVITE_GLOBS_MAX;
    for (i = 0; i < n; i++) {
        const char *pattern = mx_json_str(mx_json_at(list, i));
        const mx_glob_t *glob;

        if (!pattern || !*pattern || strlen(pattern) > MX_USER_INVITE_GLOB_MAX_BYTES) continue;
        if (mx_glob_compile(&glob, mx_slice_str(pattern), MX_GLOB_NOCASE, pool) == APR_SUCCESS && mx_glob_matches(glob, mx_slice_str(id)))
            return 1;
    }
    return 0;
}

mx_invite_rule_e mx_user_invites_rule(const mx_user_invites_t *invites, const char *inviter_id, apr_pool_t *pool)
{
    static const struct {
        const char *users, *servers;
        mx_invite_rule_e rule;
    } rows[] = { { "allowed_users", "allowed_servers", MX_INVITE_ALLOW },
                 { "ignored_users", "ignored_servers", MX_INVITE_IGNORE },
                 { "blocked_users", "blocked_servers", MX_INVITE_BLOCK } };
    const apr_size_t n = sizeof(rows) / sizeof(rows[0]);
    const char *server_name = strchr(inviter_id, ':');
    apr_size_t i;

    if (invites->block_all) return MX_INVITE_BLOCK;
    for (i = 0; i < n; i++)
        if (matches(mx_json_get(invites->lists, rows[i].users), inviter_id, pool)) return rows[i].rule;
    for (i = 0; server_name && i < n; i++)
        if (matches(mx_json_get(invites->lists, rows[i].servers), server_name + 1, pool)) return rows[i].rule;
    return MX_INVITE_ALLOW;
}
