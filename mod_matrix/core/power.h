/* SPDX-License-Identifier: Apache-2.0 */
/* Power levels, read once from m.room.power_levels and m.room.create. CS-API: m.room.power_levels. */
#ifndef MX_CORE_POWER_H
#define MX_CORE_POWER_H

#include "core/event.h"

#define MX_POWER_CREATOR APR_INT64_MAX   /* version 12: creators are above every number */

typedef struct mx_power_t mx_power_t;

/** create must not be NULL; power_levels may be. The result reads the events' content: it lives no longer than they. */
mx_power_t *mx_power_create(const mx_event_t *create, const mx_event_t *power_levels, apr_pool_t *pool);
apr_int64_t mx_power_user(const mx_power_t *power, const char *user_id);
/** Level needed to send an event of that type. */
apr_int64_t mx_power_event(const mx_power_t *power, const char *type, int is_state);
typedef enum { MX_POWER_BAN, MX_POWER_KICK, MX_POWER_INVITE, MX_POWER_REDACT } mx_power_action_e;
apr_int64_t mx_power_action(const mx_power_t *power, mx_power_action_e action);
apr_int64_t mx_power_notification(const mx_power_t *power, const char *key);
/** 1 if the user made the room (sender of create; additional_creators where the version has them). */
int mx_power_is_creator(const mx_event_t *create, const char *user_id);

#endif
