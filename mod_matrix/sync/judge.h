/* SPDX-License-Identifier: Apache-2.0 */
/* A user's push rules asked of the events of one room, as the room is now. CS-API: push rules, conditions. */
#ifndef MX_SYNC_JUDGE_H
#define MX_SYNC_JUDGE_H

#include "room/room.h"
#include "user/push_settings.h"

typedef struct mx_sync_judge_t mx_sync_judge_t;

/** What the conditions ask of the room is read here; `rules` and `room_id` must live as long as the judge, who lives in `pool`. */
const mx_error_t *mx_sync_judge_create(mx_sync_judge_t **pjudge, mx_server_t *server, const mx_who_t *who, const mx_push_set_t *rules,
                                       const char *room_id, apr_pool_t *pool);
/** *pevent (may be NULL): the event, parsed, in `pool`; NULL where a damaged one is stored, which says nothing. */
mx_push_verdict_t mx_sync_judge_event(mx_json_t **pevent, const mx_sync_judge_t *judge, mx_slice_t pdu, apr_pool_t *pool);

#endif
