/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Push rulesets as documents: the predefined rules, and what a user may change of them. CS-API: push rules. Pure.
 * A document is {"global": {"override": […], "content": […], "room": […], "sender": […], "underride": […]}}, each list
 * from the most to the least important rule.
 */
#ifndef MX_CORE_PUSH_RULES_H
#define MX_CORE_PUSH_RULES_H

#include "core/error.h"

#define MX_PUSH_RULE_ID_MAX_BYTES 255

/**
 * The user's document: today's predefined rules with what the user changed of them, and the user's own rules.
 * `stored` is what was saved last (NULL: nothing); rules that are no longer predefined vanish, new ones appear.
 */
mx_json_t *mx_push_rules_compose(const char *user_id, const mx_json_t *stored, apr_pool_t *pool);

/** 1 if the word names a kind of rule. */
int mx_push_rules_is_kind(const char *kind);
/** A rule of the document, or M_NOT_FOUND. */
const mx_error_t *mx_push_rules_find(mx_json_t **prule, const mx_json_t *doc, const char *kind, const char *rule_id, apr_pool_t *pool);
/**
 * PUT /pushrules: makes or replaces a rule of the user's own from the request's body, next to `before` or `after` (either
 * may be NULL) or as the most important one. `max`: rules of a user, the predefined ones included. M_INVALID_PARAM, M_MISSING_PARAM,
 * M_BAD_JSON, M_NOT_FOUND for a neighbour that is not there.
 */
const mx_error_t *mx_push_rules_put(mx_json_t *doc, const char *kind, const char *rule_id, const mx_json_t *body,
                                    const char *before, const char *after, int max, apr_pool_t *pool);
const mx_error_t *mx_push_rules_delete(mx_json_t *doc, const char *kind, const char *rule_id, apr_pool_t *pool);
const mx_error_t *mx_push_rules_set_enabled(mx_json_t *doc, const char *kind, const char *rule_id, int enabled, apr_pool_t *pool);
/** `actions` must be an array of words and tweaks: M_BAD_JSON. */
const mx_error_t *mx_push_rules_set_actions(mx_json_t *doc, const char *kind, const char *rule_id, mx_json_t *actions, apr_pool_t *pool);

#endif
