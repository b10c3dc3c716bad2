/* SPDX-License-Identifier: Apache-2.0 */
/* What the endpoints share that put events into rooms: now, or later (MSC4140). */
#ifndef MX_API_POST_H
#define MX_API_POST_H

#include "api/req.h"
#include "room/delayed.h"

#define MX_POST_DELAY_MAX APR_INT64_C(9007199254740991)   /* ms: the largest integer of JSON; MatrixMaxEventDelay is what counts */

/**
 * Sends the event and answers with its event_id; or, where the query has org.matrix.msc4140.delay, schedules it and answers with its
 * delay_id. The draft's sender, device and content are filled in from the request. The errors of mx_room_post() and
 * mx_room_delayed_schedule(), M_INVALID_PARAM for the query.
 */
const mx_error_t *mx_post_event(mx_reply_t *reply, mx_req_t *req, mx_room_draft_t *draft);
/** Schedules the event and answers with its delay_id. */
const mx_error_t *mx_post_later(mx_reply_t *reply, mx_req_t *req, const mx_room_delayed_t *event);

#endif
