/* SPDX-License-Identifier: Apache-2.0 */
/* Lists of members. CS-API: GET /rooms/{roomId}/members, /joined_members, /joined_rooms. */
#ifndef MX_ROOM_ROSTER_H
#define MX_ROOM_ROSTER_H

#include "room/reader.h"

/** All memberships, as bits (1 << mx_membership_e). */
#define MX_ROOM_ROSTER_ALL (~0)
#define MX_ROOM_ROSTER_NOW APR_INT64_MAX

/**
 * The member events with one of the memberships, of the state that the reader may see, or of the room as it was at a
 * stream position (MX_ROOM_ROSTER_NOW: now).
 */
const mx_error_t *mx_room_roster_events(mx_event_row_t **prows, int *pn, const mx_room_reader_t *reader, apr_int64_t at,
                                        int memberships, apr_pool_t *pool);
/** Writes the object { user id: { display_name, avatar_url } } of all who are joined now. */
const mx_error_t *mx_room_roster_write_joined(mx_json_writer_t *w, mx_server_t *server, mx_room_t *room,
                                              apr_pool_t *pool);
/** Ids of the rooms that a user has joined. */
const mx_error_t *mx_room_roster_rooms(const char ***pids, int *pn, mx_server_t *server, apr_int64_t user_nid,
                                       apr_pool_t *pool);

#endif
