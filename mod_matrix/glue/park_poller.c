/* SPDX-License-Identifier: Apache-2.0 */
/* The one thread that watches the sockets of all parked connections, their deadlines, and the pokes of other children. */
#include "glue/park_private.h"

#include "sync/sync.h"

#include <ap_mpm.h>
#include <apr_atomic.h>
#include <errno.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#define POLL_EVENTS 256
#define SLEEP_MAX_US APR_TIME_C(600000000)
#define LINGER_IDLE_US APR_TIME_C(2000000)       /* as httpd's own lingering close: this long in silence, … */
#define LINGER_TOTAL_US APR_TIME_C(30000000)     /* … and this long at all */
#define LINGER_READ_BYTES 4096
#define LINGER_READS 16                          /* at one go: the poller has others to serve */

void mx_park_poke(mx_lot_t *lot)
{
    apr_uint64_t one = 1;
    ssize_t n = write(lot->poke, &one, sizeof(one));
    (void)n;                         /* full means that it is poked already */
}

static void epoll_watch(mx_lot_t *lot, mx_parked_t *p, apr_uint32_t events)
{
    struct epoll_event event = { .events = events | EPOLLRDHUP | EPOLLONESHOT, .data.ptr = p };
    if (epoll_ctl(lot->epoll, p->in_epoll ? EPOLL_CTL_MOD : EPOLL_CTL_ADD, p->fd, &event))
        ap_log_cerror(APLOG_MARK, APLOG_ERR, errno, p->c, "MX0540: a waiting connection cannot be watched");
    else
        p->in_epoll = 1;
}

static void epoll_forget(mx_lot_t *lot, mx_parked_t *p)
{
    if (p->in_epoll)
        epoll_ctl(lot->epoll, EPOLL_CTL_DEL, p->fd, NULL);
    p->in_epoll = 0;
}

void mx_park_watch_locked(mx_lot_t *lot, mx_parked_t *p, mx_park_state_e state, apr_uint32_t events, apr_time_t deadline)
{
    p->state = state;
    mx_heap_add(&lot->timers, &p->timer, deadline);
    epoll_watch(lot, p, events);
    if (mx_heap_first(&lot->timers) == &p->timer)
        mx_park_poke(lot);           /* it sleeps until a later deadline */
}

void mx_park_take_locked(mx_lot_t *lot, mx_parked_t *p, mx_park_event_e event)
{
    ap_mpm_callback_fn_t *run = mx_park_run_turn;
    if (p->state != PARK_WAITING)
        run = event == PARK_EVENT_READY ? mx_park_run_ready : mx_park_run_close;
    p->event = event;
    p->state = PARK_BUSY;
    mx_heap_remove(&lot->timers, &p->timer);
    ap_mpm_register_timed_callback(0, run, p);
}

void mx_park_linger(mx_parked_t *p)
{
    mx_lot_t *lot = mx_child_lot();
    apr_time_t now = apr_time_now();
    p->linger_until = now + LINGER_TOTAL_US;
    apr_thread_mutex_lock(lot->mutex);
    mx_park_watch_locked(lot, p, PARK_LINGERING, EPOLLIN, now + LINGER_IDLE_US);
    apr_thread_mutex_unlock(lot->mutex);
}

static void bury_locked(mx_lot_t *lot, mx_parked_t *p)
{
    p->state = PARK_GRAVE;
    p->next_grave = lot->graves;
    lot->graves = p;
}

void mx_park_bury(mx_parked_t *p)
{
    mx_lot_t *lot = mx_child_lot();
    epoll_forget(lot, p);
    apr_socket_close(ap_get_conn_socket(p->c));
    apr_thread_mutex_lock(lot->mutex);
    bury_locked(lot, p);
    apr_thread_mutex_unlock(lot->mutex);
    mx_park_poke(lot);               /* it ticks while there are graves */
}

/** Reads away what the client still sends; 1 if the connection is over. */
static int drain(mx_parked_t *p)
{
    char buf[LINGER_READ_BYTES];
    int i;
    for (i = 0; i < LINGER_READS; i++) {
        ssize_t n = recv(p->fd, buf, sizeof(buf), MSG_DONTWAIT);
        if (n < 0 && (errno == EAGAIN || errno == EINTR))
            return 0;
        if (n <= 0)
            return 1;
    }
    return 0;
}

static void linger_on_locked(mx_lot_t *lot, mx_parked_t *p, apr_time_t now)
{
    mx_heap_remove(&lot->timers, &p->timer);
    if (drain(p) || now >= p->linger_until) {
        epoll_forget(lot, p);
        apr_socket_close(ap_get_conn_socket(p->c));
        bury_locked(lot, p);
    }
    else
        mx_park_watch_locked(lot, p, PARK_LINGERING, EPOLLIN, now + LINGER_IDLE_US);
}

static void on_event_locked(mx_lot_t *lot, mx_parked_t *p, apr_uint32_t events, apr_time_t now)
{
    switch (p->state) {
    case PARK_WAITING:               /* only hang-ups are asked for: what a client sends ahead is no hang-up */
        mx_park_take_locked(lot, p, PARK_EVENT_HANGUP);
        break;
    case PARK_KEEPALIVE:
    case PARK_FLUSHING:
        mx_park_take_locked(lot, p, events & (EPOLLIN | EPOLLOUT) ? PARK_EVENT_READY : PARK_EVENT_HANGUP);
        break;
    case PARK_LINGERING:
        linger_on_locked(lot, p, now);
        break;
    default:                         /* it fired while somebody else took the connection */
        break;
    }
}

static void expire_locked(mx_lot_t *lot, apr_time_t now)
{
    mx_heap_node_t *first;
    while ((first = mx_heap_first(&lot->timers)) && first->when <= now) {
        mx_parked_t *p = (mx_parked_t *)first;
        if (p->state == PARK_LINGERING) {
            p->linger_until = 0;
            linger_on_locked(lot, p, now);
        }
        else
            mx_park_take_locked(lot, p, PARK_EVENT_DEADLINE);
    }
}

/** The child stops: polls are answered, idle connections closed. What flushes or lingers has deadlines of its own. */
static void stop_locked(mx_lot_t *lot)
{
    apr_size_t i = lot->timers.n;
    while (i >= 1) {                 /* from the end: what a removal moves to place i from below has been looked at */
        mx_parked_t *p = i <= lot->timers.n ? (mx_parked_t *)lot->timers.nodes[i] : NULL;
        if (p && (p->state == PARK_WAITING || p->state == PARK_KEEPALIVE))
            mx_park_take_locked(lot, p, PARK_EVENT_STOPPING);
        else
            i--;
    }
}

static void tick_locked(mx_lot_t *lot, apr_time_t now)
{
    if (now - lot->ticked >= PARK_TICK_US || now < lot->ticked) {
        apr_atomic_inc32(&lot->tick);
        lot->ticked = now;
    }
}

/** Those whose grace is over, unlinked. */
static mx_parked_t *graves_take_locked(mx_lot_t *lot)
{
    mx_parked_t **link = &lot->graves, *done = NULL;
    while (*link) {
        mx_parked_t *p = *link;
        if (lot->tick - p->let_go_tick < PARK_GRACE_TICKS) {
            link = &p->next_grave;
            continue;
        }
        *link = p->next_grave;
        p->next_grave = done;
        done = p;
    }
    return done;
}

static void graves_free(mx_parked_t *p)
{
    while (p) {
        mx_parked_t *next = p->next_grave;
        p->c->cs->state = CONN_STATE_SUSPENDED;      /* the MPM counts it by this state */
        apr_pool_destroy(p->c->pool);
        p = next;
    }
}

/** How long epoll may sleep. */
static int timeout_ms(mx_lot_t *lot)
{
    apr_time_t left = SLEEP_MAX_US, held = mx_poke_flush(lot->others);
    const mx_heap_node_t *first;
    apr_thread_mutex_lock(lot->mutex);
    first = mx_heap_first(&lot->timers);
    if (first)
        left = first->when - apr_time_now();
    if (lot->graves && left > PARK_TICK_US)
        left = PARK_TICK_US;
    if (held >= 0 && left > held)
        left = held;
    apr_thread_mutex_unlock(lot->mutex);
    return left <= 0 ? 0 : (int)(left / 1000) + 1;
}

static void poke_taken(mx_lot_t *lot)
{
    apr_uint64_t count;
    ssize_t n = read(lot->poke, &count, sizeof(count));
    (void)n;
}

static void round_of(mx_lot_t *lot, const struct epoll_event *events, int n)
{
    apr_time_t now = apr_time_now();
    mx_parked_t *dead;
    int i;
    apr_thread_mutex_lock(lot->mutex);
    tick_locked(lot, now);
    for (i = 0; i < n; i++) {
        if (events[i].data.ptr == lot)
            poke_taken(lot);
        else if (events[i].data.ptr != lot->others)
            on_event_locked(lot, events[i].data.ptr, events[i].events, now);
    }
    expire_locked(lot, now);
    if (apr_atomic_read32(&lot->stopping))
        stop_locked(lot);
    dead = graves_take_locked(lot);
    apr_thread_mutex_unlock(lot->mutex);
    graves_free(dead);
}

/** Another child moved a stream: the servers concerned look at it. */
static void tell_servers(const struct epoll_event *events, int n, mx_lot_t *lot)
{
    apr_uint64_t bits = 0;
    mx_home_t *home;
    int i;
    for (i = 0; i < n; i++) {
        if (events[i].data.ptr == lot->others)
            bits = mx_poke_received(lot->others);
    }
    for (i = 0; bits && (home = mx_child_home_at(i)); i++) {
        if (!home->broken && (bits & mx_poke_bit(home->server.name)))
            mx_sync_poked(&home->server);
    }
}

static void *APR_THREAD_FUNC poller(apr_thread_t *thread, void *data)
{
    mx_lot_t *lot = data;
    struct epoll_event events[POLL_EVENTS];
    while (!apr_atomic_read32(&lot->quit)) {
        int n = epoll_wait(lot->epoll, events, POLL_EVENTS, timeout_ms(lot));
        round_of(lot, events, n > 0 ? n : 0);
        tell_servers(events, n, lot);
    }
    return NULL;
}

static apr_status_t watch_eventfd(mx_lot_t *lot, int fd, void *mark)
{
    struct epoll_event event = { .events = EPOLLIN, .data.ptr = mark };
    return fd < 0 || epoll_ctl(lot->epoll, EPOLL_CTL_ADD, fd, &event) == 0 ? APR_SUCCESS : errno;
}

static void poke_self(void *lot)
{
    mx_park_poke(lot);
}

apr_status_t mx_park_poller_start(mx_lot_t *lot)
{
    apr_status_t rv;
    lot->epoll = epoll_create1(EPOLL_CLOEXEC);
    lot->poke = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    if (lot->epoll < 0 || lot->poke < 0)
        return errno;
    rv = watch_eventfd(lot, lot->poke, lot);
    if (!rv)
        rv = watch_eventfd(lot, mx_poke_fd(lot->others), lot->others);
    mx_poke_on_delay(lot->others, poke_self, lot);
    return rv ? rv : apr_thread_create(&lot->poller, NULL, poller, lot, lot->pool);
}

void mx_park_poller_stop(mx_lot_t *lot)
{
    apr_status_t rv;
    apr_atomic_set32(&lot->quit, 1);
    mx_park_poke(lot);
    if (lot->poller)
        apr_thread_join(&rv, lot->poller);
}
