/* SPDX-License-Identifier: Apache-2.0 */
/* Filters: read and checked once, then asked per event. CS-API: filtering. Pure; a compiled filter is immutable. */
#ifndef MX_CORE_FILTER_H
#define MX_CORE_FILTER_H

#include "core/error.h"

typedef struct mx_event_filter_t {
    int limit;                           /* -1: not given; 0 asks for no events */
    const char **types, **not_types;     /* NULL: not given; `*` is a wildcard; NULL-terminated lists */
    const char **senders, **not_senders;
    const char **rooms, **not_rooms;     /* only in RoomEventFilter */
    int contains_url;                    /* -1 not given, 0, 1 */
    int lazy_load_members, include_redundant_members, unread_thread_notifications;
} mx_event_filter_t;

typedef enum { MX_EVENT_FORMAT_CLIENT, MX_EVENT_FORMAT_FEDERATION } mx_filter_format_e;

typedef struct mx_filter_t {
    mx_filter_format_e event_format;
    const char **event_fields;           /* NULL: whole events */
    mx_event_filter_t presence, account_data;
    const char **rooms, **not_rooms;     /* of `room` */
    int include_leave;
    mx_event_filter_t timeline, state, ephemeral, room_account_data;
} mx_filter_t;

/** A filter that lets all through. */
const mx_filter_t *mx_filter_default(void);
/** Reads a Filter object; M_BAD_JSON / M_INVALID_PARAM with the offending path. Strings are copied into `pool`. */
const mx_error_t *mx_filter_parse(mx_filter_t **pfilter, const mx_json_t *json, apr_pool_t *pool);
/** Reads a lone RoomEventFilter (/messages, /context). */
const mx_error_t *mx_event_filter_parse(mx_event_filter_t **pfilter, const mx_json_t *json, apr_pool_t *pool);

/** 1 if the filter lets an event of this type and sender in this room pass (NULL: not known, not asked). */
int mx_event_filter_allows(const mx_event_filter_t *f, const char *type, const char *sender, const char *room_id, int has_url);
/** 1 if the filter can refuse nothing. */
int mx_event_filter_is_open(const mx_event_filter_t *f);
int mx_filter_allows_room(const mx_filter_t *f, const char *room_id);
/** Cuts a client event down to event_fields ("content.body", with "\\." for a dot), in `pool`. */
mx_json_t *mx_filter_cut_fields(const mx_filter_t *f, const mx_json_t *event, apr_pool_t *pool);

#endif
