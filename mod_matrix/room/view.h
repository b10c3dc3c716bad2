/* SPDX-License-Identifier: Apache-2.0 */
/* Lists of events as clients get them: mx_room_view_*() (room/room.h) over all rows at once. */
#ifndef MX_ROOM_VIEW_H
#define MX_ROOM_VIEW_H

#include "room/room.h"

/** Writes the rows, with what is bundled with them, as the elements of the array that `w` has open. */
const mx_error_t *mx_room_view_write_all(mx_json_writer_t *w, mx_server_t *server, const mx_who_t *who,
                                         const mx_event_row_t *rows, int n, mx_event_format_e format, apr_time_t now,
                                         apr_pool_t *pool);
/** Same with `unsigned.age` alone: for long lists of state, without further reads. */
const mx_error_t *mx_room_view_write_plain(mx_json_writer_t *w, mx_server_t *server, const mx_event_row_t *rows, int n,
                                           mx_event_format_e format, apr_time_t now, apr_pool_t *pool);

#endif
