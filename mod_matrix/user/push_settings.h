/* SPDX-License-Identifier: Apache-2.0 */
/* What a user wants to be told of: push rules, ready to be asked, and ignored users. CS-API: push rules; ignoring users. */
#ifndef MX_USER_PUSH_SETTINGS_H
#define MX_USER_PUSH_SETTINGS_H

#include "core/push_eval.h"
#include "server/server.h"
#include "server/who.h"

#define MX_USER_IGNORED_MAX 10000    /* users that one may ignore; those after it are not */

typedef struct mx_user_push_settings_t {
    const char *user_id;
    mx_slice_t text;                 /* the user's rules as stored; p NULL: the user changed none */
    const mx_push_set_t *rules;      /* NULL: not compiled yet, mx_user_push_settings_rules() does */
    int plain;                       /* mx_push_eval_is_plain(rules) */
    apr_int64_t *ignored;            /* user nids, ascending */
    int nignored;
    int unknown;                     /* users are ignored that were never heard of: `ignored` may change by itself */
    apr_int64_t rules_stream, ignored_stream;   /* where each was set, 0: not set; settings that agree in both are the same */
} mx_user_push_settings_t;

/**
 * As they are now, in `pool`. At most two queries. `predefined` (mx_user_push_settings_predefined()) serves all who changed no rule; it
 * must outlive the settings.
 */
const mx_error_t *mx_user_push_settings_get(mx_user_push_settings_t **psettings, mx_server_t *server, const mx_who_t *who,
                                            const mx_push_set_t *predefined, apr_pool_t *pool);
/** The rules, compiled in `pool` (which must live as long as the settings) if they were not. */
const mx_push_set_t *mx_user_push_settings_rules(mx_user_push_settings_t *settings, apr_pool_t *pool);
/** The predefined rules for anybody: plain (core/push_eval.h), so that they never look at whose they are. In `pool`. */
const mx_push_set_t *mx_user_push_settings_predefined(apr_pool_t *pool);
int mx_user_push_settings_ignores(const mx_user_push_settings_t *settings, apr_int64_t user_nid);
/** Only whom the user ignores, ascending, in `pool`. At most two queries. */
const mx_error_t *mx_user_push_settings_ignored(apr_int64_t **pnids, int *pn, mx_server_t *server, const mx_who_t *who, apr_pool_t *pool);

#endif
