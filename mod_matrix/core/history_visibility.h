/* SPDX-License-Identifier: Apache-2.0 */
/* May a user see an event? CS-API: room history visibility. Pure. */
#ifndef MX_CORE_HISTORY_VISIBILITY_H
#define MX_CORE_HISTORY_VISIBILITY_H

#include "core/event.h"

typedef enum { MX_HISTVIS_INVITED, MX_HISTVIS_JOINED, MX_HISTVIS_SHARED, MX_HISTVIS_WORLD_READABLE } mx_histvis_e;

/** Unknown text: NONE. */
mx_membership_e mx_membership_parse(const char *s);
const char *mx_membership_name(mx_membership_e m);   /* NONE: "leave" */
/** Missing or unknown: SHARED, the spec's default. */
mx_histvis_e mx_histvis_parse(const char *s);

typedef struct mx_histvis_view_t {
    mx_histvis_e at_event;               /* visibility in the state before the event (its own if it changes it: see allowed()) */
    mx_membership_e user_at_event;       /* of the reader, in the state before the event */
    int user_joined_since;               /* the reader joined at some time after the event */
    mx_membership_e user_after_event;    /* differs only where the event is the reader's own membership */
    mx_histvis_e after_event;            /* differs only where the event is m.room.history_visibility */
} mx_histvis_view_t;

int mx_histvis_allowed(const mx_histvis_view_t *view);

#endif
