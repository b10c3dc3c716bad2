/* SPDX-License-Identifier: Apache-2.0 */
/* Turns of writers that have lost. */
#include "room/send_turn.h"

#define TURNS_MAX 2                  /* of a child at once: each holds a connection */

typedef struct mx_room_turns_t {
    apr_uint32_t taken;
    apr_uint32_t counts[MX_ROOM_ROUNDS_MAX];
} turns_t;

apr_status_t mx_room_turn_init(struct mx_room_state_t *state, mx_server_t *server)
{
    state->turns = apr_pcalloc(server->pool, sizeof(*state->turns));
    return APR_SUCCESS;
}

int mx_room_turn_next(mx_room_turn_t *turn)
{
    return turn->rounds++ < MX_ROOM_ROUNDS_MAX;
}

void mx_room_turn_give_back(mx_room_turn_t *turn)
{
    if (!turn->conn)
        return;
    mx_store_return(turn->conn);
    turn->conn = NULL;
    __atomic_sub_fetch(&turn->server->room->turns->taken, 1, __ATOMIC_RELAXED);
}

static const mx_error_t *take(mx_room_turn_t *turn, apr_int64_t room_nid)
{
    turns_t *turns = turn->server->room->turns;
    apr_status_t rv;
    if (__atomic_add_fetch(&turns->taken, 1, __ATOMIC_RELAXED) > TURNS_MAX) {
        __atomic_sub_fetch(&turns->taken, 1, __ATOMIC_RELAXED);
        return NULL;
    }
    rv = mx_store_persist_turn(&turn->conn, turn->server->store, room_nid, turn->pool);
    if (rv == APR_SUCCESS)
        return NULL;
    __atomic_sub_fetch(&turns->taken, 1, __ATOMIC_RELAXED);
    return rv == MX_STORE_RETRY ? NULL : mx_server_store_error(rv, "waiting for a room", turn->pool);
}

const mx_error_t *mx_room_turn_lost(mx_room_t **proom, mx_room_turn_t *turn, mx_room_t *room)
{
    const mx_error_t *err;
    mx_room_turn_give_back(turn);   /* a turn is not lost to another writer: its transaction has failed */
    *proom = room;
    if (++turn->lost < MX_ROOM_LOST_MAX)
        return NULL;
    err = take(turn, room->nid);
    return err || !turn->conn ? err : mx_room_get(proom, turn->server, room->room_id, 1, turn->pool);
}

void mx_room_turn_end(mx_room_turn_t *turn)
{
    int rounds = turn->rounds < MX_ROOM_ROUNDS_MAX ? turn->rounds : MX_ROOM_ROUNDS_MAX;
    mx_room_turn_give_back(turn);
    if (rounds)
        __atomic_add_fetch(&turn->server->room->turns->counts[rounds - 1], 1, __ATOMIC_RELAXED);
}

const mx_error_t *mx_room_turn_busy(apr_pool_t *pool)
{
    return mx_error_make_status(pool, MX_E_UNKNOWN, 503, "Too many writers want this room at once; try again.");
}

void mx_room_turn_counts(apr_uint32_t counts[MX_ROOM_ROUNDS_MAX], const mx_server_t *server)
{
    int i;
    for (i = 0; i < MX_ROOM_ROUNDS_MAX; i++)
        counts[i] = __atomic_load_n(&server->room->turns->counts[i], __ATOMIC_RELAXED);
}
