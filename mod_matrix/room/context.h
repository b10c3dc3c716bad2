/* SPDX-License-Identifier: Apache-2.0 */
/* An event with what happened around it. CS-API: GET /rooms/{roomId}/context/{eventId}. */
#ifndef MX_ROOM_CONTEXT_H
#define MX_ROOM_CONTEXT_H

#include "room/page.h"

typedef struct mx_room_context_t {
    mx_event_row_t *event;
    mx_room_page_t before, after;    /* away from the event */
    mx_event_row_t *state; int nstate;   /* at the last event given */
    apr_int64_t start, end;          /* ords of tokens */
} mx_room_context_t;

/** At most `limit` events around it, half of them before; the filter holds for all but the event itself. M_NOT_FOUND.
 */
const mx_error_t *mx_room_context_read(mx_room_context_t *out, const mx_room_reader_t *reader, const char *event_id,
                                       int limit, const mx_event_filter_t *filter, apr_pool_t *pool);

#endif
