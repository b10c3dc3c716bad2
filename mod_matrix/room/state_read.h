/* SPDX-License-Identifier: Apache-2.0 */
/* The state of a room as somebody may read it: as it is, or as it was when they left. CS-API: getting events for a room. */
#ifndef MX_ROOM_STATE_READ_H
#define MX_ROOM_STATE_READ_H

#include "room/reader.h"

/** All state events, oldest first. */
const mx_error_t *mx_room_state_read_all(mx_event_row_t **prows, int *pn, const mx_room_reader_t *reader,
                                         apr_pool_t *pool);
/** One; M_NOT_FOUND. */
const mx_error_t *mx_room_state_read_one(mx_event_row_t **prow, const mx_room_reader_t *reader, const char *type,
                                         const char *state_key, apr_pool_t *pool);
/** The raw content of one; M_NOT_FOUND. No query where the room is in memory. */
const mx_error_t *mx_room_state_read_content(mx_slice_t *pcontent, const mx_room_reader_t *reader, const char *type,
                                             const char *state_key, apr_pool_t *pool);

#endif
