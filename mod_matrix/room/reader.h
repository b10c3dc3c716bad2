/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Who reads a room, and how far: the gate before every read. CS-API: room history visibility. A member reads the room
 * as it is, one who left as it was then, anybody a room that is world_readable now. Which single events each may see is
 * mx_room_visibility()'s.
 */
#ifndef MX_ROOM_READER_H
#define MX_ROOM_READER_H

#include "room/room.h"

typedef struct mx_room_reader_t {
    mx_server_t *server;
    const mx_who_t *who;
    mx_room_t *room;
    mx_membership_e membership;      /* now */
    int whole;                       /* reads the room as it is now (joined, or world_readable) */
    apr_int64_t upto_ord;            /* last event that can be read: APR_INT64_MAX if `whole`, else that of leaving */
    apr_int64_t snap_nid; /* the state that can be read: the current one if `whole`, else the one after leaving */
} mx_room_reader_t;

/** M_FORBIDDEN for whoever may read nothing, also where there is no such room. `who` NULL: nobody in particular. */
const mx_error_t *mx_room_reader_open(mx_room_reader_t **preader, mx_server_t *server, const mx_who_t *who,
                                      const char *room_id, apr_pool_t *pool);

/** One event of the room that the reader may see; M_NOT_FOUND for every other. */
const mx_error_t *mx_room_reader_event(mx_event_row_t **prow, const mx_room_reader_t *reader, const char *event_id,
                                       apr_pool_t *pool);

/** 1 for an event of one of these users (nids, ascending) that is not state. CS-API: ignoring users. Pure. */
int mx_room_reader_ignores(const mx_event_row_t *row, const apr_int64_t *ignored, int nignored);
/** M_NOT_FOUND for an event that the reader ignores in that way. */
const mx_error_t *mx_room_reader_check_ignored(const mx_room_reader_t *reader, const mx_event_row_t *row, apr_pool_t *pool);

/** Both, for endpoints that know one answer for what cannot be had: M_NOT_FOUND, be it the room or the event. */
const mx_error_t *mx_room_reader_open_at(mx_room_reader_t **preader, mx_event_row_t **prow, mx_server_t *server, const mx_who_t *who,
                                         const char *room_id, const char *event_id, apr_pool_t *pool);

/** When a user who is not joined last was. */
typedef struct mx_room_departure_t {
    apr_int64_t ord;                 /* where that ended: of the event that did it, or that resolved forks; 0: never joined */
    apr_int64_t snap_after;          /* the state from there on */
} mx_room_departure_t;
const mx_error_t *mx_room_departure(mx_room_departure_t *out, mx_server_t *server, apr_int64_t room_nid,
                                    apr_int64_t user_nid, apr_pool_t *pool);

#endif
