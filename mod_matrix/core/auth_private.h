/* SPDX-License-Identifier: Apache-2.0 */
/* What the families of authorization rules share. */
#ifndef MX_CORE_AUTH_PRIVATE_H
#define MX_CORE_AUTH_PRIVATE_H

#include "core/auth_rules.h"
#include "core/history_visibility.h"

/** One check: the event, the state it is checked against and what every rule asks of it. */
typedef struct mx_auth_check_t {
    const mx_event_t *event;
    const mx_auth_state_t *state;
    const mx_event_t *create;         /* NULL only while a create event is checked */
    const mx_power_t *power;          /* these two are not yet known to mx_auth_rule_member(): joins, which are most, do without them */
    apr_int64_t sender_power;
    apr_pool_t *pool;
} mx_auth_check_t;

/** M_FORBIDDEN with the reason. */
const mx_error_t *mx_auth_refuse(const mx_auth_check_t *c, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/** State event or NULL. */
const mx_event_t *mx_auth_state_get(const mx_auth_check_t *c, mx_event_type_e type, const char *state_key);
/** Fills in power and sender_power. */
void mx_auth_power_read(mx_auth_check_t *c);
mx_membership_e mx_auth_membership(const mx_auth_check_t *c, const char *user_id);

/* The families. */
const mx_error_t *mx_auth_rule_create(const mx_auth_check_t *c);
const mx_error_t *mx_auth_rule_member(const mx_auth_check_t *c);
const mx_error_t *mx_auth_rule_power_levels(const mx_auth_check_t *c);
/** Rule "invite with third_party_invite". */
const mx_error_t *mx_auth_rule_third_party(const mx_auth_check_t *c, const mx_json_t *third_party);

#endif
