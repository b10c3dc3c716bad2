/* SPDX-License-Identifier: Apache-2.0 */
/* A user's push rules: reading and changing the saved document. CS-API: push rules. */
#ifndef MX_USER_PUSH_RULES_H
#define MX_USER_PUSH_RULES_H

#include "core/push_rules.h"
#include "server/server.h"
#include "server/who.h"

/** The whole document, in `pool`. */
const mx_error_t *mx_user_push_rules_get(mx_json_t **pdoc, mx_server_t *server, const mx_who_t *who, apr_pool_t *pool);

/** A change of the document; called again on a fresh copy if somebody else changed it meanwhile. */
typedef const mx_error_t *mx_user_push_rules_edit_fn(mx_json_t *doc, void *baton, apr_pool_t *pool);
/** Applies `edit`, saves, and tells the user's devices (/sync: account data m.push_rules). */
const mx_error_t *mx_user_push_rules_change(mx_server_t *server, const mx_who_t *who, mx_user_push_rules_edit_fn *edit, void *baton,
                                            apr_pool_t *pool);

/** The m.push_rules that /sync tells, from the saved bytes (MX_SLICE_NONE: none saved), as JSON bytes in `pool`. */
mx_slice_t mx_user_push_rules_for_sync(const char *user_id, mx_slice_t saved, apr_pool_t *pool);

#endif
