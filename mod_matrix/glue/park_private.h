/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How a connection waits without a thread. Shared by park.c (the way in, the turns), park_conn.c (what a connection does
 * after its answer) and park_poller.c (the one thread that watches all of them).
 *
 * httpd's event MPM lets go of a connection whose handler returned SUSPENDED and never takes it back. So from then on it is
 * ours: we watch its socket, run its turns on the MPM's worker threads (by timed callbacks without delay), flush, keep it
 * alive, and close it.
 *
 *   state      who may touch it     what moves it                    to
 *   ---------- -------------------- -------------------------------- -----------------------------------------
 *   NONE       its worker           the handler parks a poll         PARKING
 *   PARKING    its worker           the worker has let go, arm()ed   WAITING; BUSY if news came meanwhile
 *   WAITING    who holds the mutex  news, deadline, hang-up, stop    BUSY   (a callback is under way)
 *   BUSY       the callback's       the turn finds nothing           PARKING
 *              worker               answered; bytes left to send     FLUSHING
 *                                   answered; next request is here   BUSY   (same worker)
 *                                   answered                         KEEPALIVE, or LINGERING if it must close
 *   FLUSHING   who holds the mutex  socket ready                     BUSY
 *                                   deadline                         BUSY, then LINGERING
 *   KEEPALIVE  who holds the mutex  readable                         BUSY
 *                                   deadline, hang-up, stop          BUSY, then LINGERING
 *   LINGERING  the poller           end of file, deadline            GRAVE
 *   GRAVE      the poller           grace is over                    freed
 *
 * No use after free:
 * - Only the poller frees, between two calls of epoll_wait and after the socket left its epoll: no event can name the dead.
 * - wake() is excluded by disarm(), which precedes every turn; while arm() runs, wake() only leaves a mark.
 * - The worker that suspended a connection still writes two fields of it after our hook (event.c, notify_suspend()). A turn
 *   starts only when the first, c->sbh, is seen cleared; the memory goes only when the poller has ticked
 *   PARK_GRACE_TICKS times since, each tick at least PARK_TICK_US later than the one before. Ticks, not time: a process
 *   that was stopped and continued has not ticked.
 */
#ifndef MX_GLUE_PARK_PRIVATE_H
#define MX_GLUE_PARK_PRIVATE_H

#include "glue/heap.h"
#include "glue/park.h"
#include "glue/poke.h"

#define PARK_TICK_US APR_TIME_C(100000)
#define PARK_GRACE_TICKS 20

typedef enum {
    PARK_NONE, PARK_PARKING, PARK_WAITING, PARK_BUSY, PARK_FLUSHING, PARK_KEEPALIVE, PARK_LINGERING, PARK_GRAVE
} mx_park_state_e;

/** Why a callback runs. */
typedef enum { PARK_EVENT_NEWS, PARK_EVENT_DEADLINE, PARK_EVENT_STOPPING, PARK_EVENT_HANGUP, PARK_EVENT_READY } mx_park_event_e;

/** A connection that parked at least once; in c->pool. */
typedef struct mx_parked_t {
    mx_heap_node_t timer;            /* first: the heap's nodes are these */
    conn_rec *c;
    request_rec *r;                  /* the poll, while there is one */
    mx_home_t *home;
    mx_wait_t *wait;
    mx_park_state_e state;
    mx_park_event_e event;           /* of the callback under way */
    int fd;
    unsigned char owned;             /* the MPM has let go */
    unsigned char woken;             /* news while arm() ran */
    unsigned char in_epoll;
    apr_interval_time_t keep_alive_us, timeout_us;
    apr_time_t linger_until;
    apr_uint32_t let_go_tick;        /* when the MPM did */
    struct mx_parked_t *next_grave;
} mx_parked_t;

/** All of a child's; made in child_init. */
struct mx_lot_t {
    apr_pool_t *pool;
    apr_uint32_t places;             /* how many connections may wait */
    apr_thread_mutex_t *mutex;       /* states, timers, graves; taken after a waiter lock of sync/, before none of ours */
    mx_heap_t timers;
    int epoll, poke;                 /* poke: an eventfd that makes the poller look */
    int async;                       /* the MPM can suspend */
    volatile apr_uint32_t stopping;
    volatile apr_uint32_t quit;
    volatile apr_uint32_t tick;
    apr_time_t ticked;
    mx_parked_t *graves;
    apr_thread_t *poller;
    mx_poke_t *others;               /* the other children */
    mx_poke_counts_t *counts;        /* for mod_status */
};

/* ---- park.c ---- */
/** Answers or goes on waiting: one turn of the poll. 1 if it was answered. Worker threads. */
int mx_park_turn(request_rec *r, mx_wait_t *wait, mx_wake_e why);
/** Arms the wait and lets go of the connection, which must not be touched afterwards. */
void mx_park_wait(mx_parked_t *p);
/** A poll less is waiting. */
void mx_park_uncount(mx_parked_t *p);
/** Waits with the thread in hand, then answers. */
int mx_park_block(request_rec *r, mx_home_t *home, mx_wait_t *wait);

/* ---- park_conn.c: callbacks on worker threads ---- */
void mx_park_run_turn(void *parked);
void mx_park_run_ready(void *parked);
void mx_park_run_close(void *parked);

/* ---- park_poller.c ---- */
apr_status_t mx_park_poller_start(mx_lot_t *lot);
void mx_park_poke(mx_lot_t *lot);
/** Watches the socket once for `events` (0: hang-up only) until `deadline`. Under the mutex. */
void mx_park_watch_locked(mx_lot_t *lot, mx_parked_t *p, mx_park_state_e state, apr_uint32_t events, apr_time_t deadline);
/** Takes a watched connection: BUSY, and a callback under way. Under the mutex. */
void mx_park_take_locked(mx_lot_t *lot, mx_parked_t *p, mx_park_event_e event);
/** Gives a connection that is shut down to the poller: to linger until the client is done, or (fd closed) to its grave. */
void mx_park_linger(mx_parked_t *p);
void mx_park_bury(mx_parked_t *p);

#endif
