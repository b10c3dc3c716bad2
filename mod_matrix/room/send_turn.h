/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Rounds of a writer: it builds on what it knows of the room, stores by compare-and-set, and if another child was faster builds again.
 * Who has lost MX_ROOM_LOST_MAX rounds takes a turn: it locks the room's row in a transaction before it builds, so that nobody
 * comes between, and its batch is stored in that transaction. The others wait for the row in PostgreSQL's line.
 *
 * In its turn a writer holds one connection while what it must read comes over others, so no more than a few of a
 * child take one at a time; the rest go on as before. What is to be written on another connection (a state that is stored by itself, say)
 * and locks the room's row would wait for the turn's own transaction for ever: it is done before, or the turn is given back.
 *
 *     mx_room_turn_t turn = { .server = server, .pool = pool };
 *     while (!err && mx_room_turn_next(&turn)) {
 *         batch.turn = turn.conn;          … build, store …
 *         if (lost) err = mx_room_turn_lost(&room, &turn, room);
 *     }
 *     mx_room_turn_end(&turn);
 */
#ifndef MX_ROOM_SEND_TURN_H
#define MX_ROOM_SEND_TURN_H

#include "room/room_private.h"

#define MX_ROOM_LOST_MAX 3
#define MX_ROOM_ROUNDS_MAX 16        /* then 503 */

typedef struct mx_room_turn_t {
    mx_server_t *server;
    apr_pool_t *pool;
    mx_conn_t *conn;                 /* whose transaction holds the room; NULL: it is not our turn */
    int rounds, lost;
} mx_room_turn_t;

/** One more round? */
int mx_room_turn_next(mx_room_turn_t *turn);
/** The round was lost on `room`; *proom is what to build on next, and in a turn it is the newest there can be. */
const mx_error_t *mx_room_turn_lost(mx_room_t **proom, mx_room_turn_t *turn, mx_room_t *room);
/** No turn any more, if there is one: before what locks the room's row on another connection, which would wait for ever. */
void mx_room_turn_give_back(mx_room_turn_t *turn);
/** Always at the end. A transaction that was not committed is rolled back. */
void mx_room_turn_end(mx_room_turn_t *turn);
/** The answer when no round is left. */
const mx_error_t *mx_room_turn_busy(apr_pool_t *pool);

/** How many writers of this child took 1, 2, … MX_ROOM_ROUNDS_MAX rounds so far; any thread. */
void mx_room_turn_counts(apr_uint32_t counts[MX_ROOM_ROUNDS_MAX], const mx_server_t *server);

#endif
