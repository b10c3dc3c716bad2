/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Takes in an event of another server whatever it stands on: what is missing is asked for. SS-API: PDUs, backfilling and retrieving
 * missing events.
 *
 *   events between           get_missing_events, a few rounds; each that joins on to what we have is an event of the room
 *   auth events              outliers (room/outlier.h), their own auth events before them
 *   what is still missing    a gap: of the event before it the state is asked for. It is kept with that state and not shown; the
 *                            next event that is shown begins after a gap, which a row of the table `gap` says
 *
 * What is asked in all is bounded, whatever the answers are: the limits below, and the deadline.
 */
#ifndef MX_ROOM_RECEIVE_H
#define MX_ROOM_RECEIVE_H

#include "room/source.h"

/* Limits of one call. */
#define MX_RECEIVE_ROUNDS_MAX 5      /* of get_missing_events */
#define MX_RECEIVE_MISSING_LIMIT 20  /* events a round */
#define MX_RECEIVE_GAPS_MAX 3        /* states asked for */
#define MX_RECEIVE_ASKS_MAX 600      /* questions in all */
#define MX_RECEIVE_EVENTS_MAX 50000  /* that came in all … */
#define MX_RECEIVE_BYTES_MAX (64 * 1024 * 1024)   /* … and their size */
#define MX_RECEIVE_EVENTS_A_CALL 100 /* ids of one question for events */
#define MX_RECEIVE_DEPTH_MAX 20      /* auth events of auth events that have to be asked for one by one */
#define MX_RECEIVE_STATE_MAX 500000  /* ids of a state, and of its auth chain */

/** What became of it. */
typedef struct mx_room_received_t {
    mx_room_pdu_t pdu;               /* WAITS: it could not be had all that it stands on; it may come again */
    int between;                     /* events of the room that were fetched and are kept */
    int outliers;                    /* stored */
    int gaps;                        /* states taken from the source */
    const mx_error_t *trouble;       /* the last answer that failed or was not believed; NULL: none. For the log */
} mx_room_received_t;

/**
 * As mx_room_accept_pdu(), with somebody to ask. `deadline` is a time; past it nothing more is asked. Everything lives in `pool`. To be
 * called by a worker, not by the thread of a request: it waits for other servers. Any thread; hold no connection.
 */
const mx_error_t *mx_room_receive(mx_room_received_t *out, mx_server_t *server, const char *room_id, mx_slice_t text,
                                  const mx_room_source_t *source, apr_time_t deadline, apr_pool_t *pool);

#endif
