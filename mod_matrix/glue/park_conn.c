/* SPDX-License-Identifier: Apache-2.0 */
/* A parked connection on a worker thread: its turns, and after its answer what the MPM would do: flush, keep alive, close. */
#include "glue/park_private.h"

#include <apr_atomic.h>
#include <apr_buckets.h>
#include <http_connection.h>
#include <sched.h>
#include <sys/epoll.h>
#include <util_filter.h>

#define CLOSE_FLUSH_US APR_TIME_C(2000000)
#define LET_GO_SPINS 100000          /* bounds the wait for a field that other versions of httpd might not clear */

/** See park_private.h: the worker that suspended the connection is out of it when c->sbh is cleared. */
static void wait_until_let_go(mx_parked_t *p)
{
    void *volatile *field = (void *volatile *)&p->c->sbh;
    int i;
    for (i = 0; *field && i < LET_GO_SPINS; i++)
        sched_yield();
}

static void begin(mx_parked_t *p)
{
    wait_until_let_go(p);
#if AP_MODULE_MAGIC_AT_LEAST(20120211, 120)
    p->c->current_thread = ap_thread_current();
#endif
}

/** As httpd itself closes: what is left to send gets little time, and none if the client did not read in all of Timeout. */
static void close_conn(mx_parked_t *p)
{
    apr_socket_timeout_set(ap_get_conn_socket(p->c), CLOSE_FLUSH_US);
    if (ap_start_lingering_close(p->c))
        mx_park_bury(p);
    else
        mx_park_linger(p);
}

/** Sends what the core filter still holds, as far as the socket takes it. */
static apr_status_t flush(conn_rec *c)
{
    ap_filter_t *f = c->output_filters;
    while (f->next)
        f = f->next;
    return f->frec->filter_func.out_func(f, NULL);
}

static void watch(mx_parked_t *p, mx_park_state_e state, apr_uint32_t events, apr_interval_time_t patience)
{
    mx_lot_t *lot = mx_child_lot();
    apr_thread_mutex_lock(lot->mutex);
    mx_park_watch_locked(lot, p, state, events, apr_time_now() + patience);
    if (state == PARK_KEEPALIVE && apr_atomic_read32(&lot->stopping))
        mx_park_take_locked(lot, p, PARK_EVENT_STOPPING);
    apr_thread_mutex_unlock(lot->mutex);
}

/** After an answer: 1 if the next request is already here, else the connection was handed on and must not be touched. */
static int next_is_here(mx_parked_t *p)
{
    conn_rec *c = p->c;
    if (flush(c)) {
        close_conn(p);
        return 0;
    }
    if (c->data_in_output_filters || c->cs->sense == CONN_SENSE_WANT_READ) {
        apr_uint32_t events = c->cs->sense == CONN_SENSE_WANT_READ ? EPOLLIN : EPOLLOUT;
        c->cs->sense = CONN_SENSE_DEFAULT;
        watch(p, PARK_FLUSHING, events, p->timeout_us);
        return 0;
    }
    if (c->keepalive != AP_CONN_KEEPALIVE || c->aborted) {
        close_conn(p);
        return 0;
    }
    if (c->data_in_input_filters)
        return 1;
    if (apr_atomic_read32(&mx_child_lot()->stopping))
        close_conn(p);
    else
        watch(p, PARK_KEEPALIVE, EPOLLIN, p->keep_alive_us);
    return 0;
}

/** Where the connection goes after a request ran on it. */
static void settle(mx_parked_t *p)
{
    conn_rec *c = p->c;
    for (;;) {
        if (c->cs->state == CONN_STATE_SUSPENDED) {
            if (p->state == PARK_PARKING)
                mx_park_wait(p);
            else                     /* another module suspended it: it will not be resumed by us, nor by the MPM */
                close_conn(p);
            return;
        }
#ifdef AP_MPMQ_CAN_WAITIO
        if (c->cs->state == CONN_STATE_ASYNC_WAITIO && !c->aborted) {
            apr_uint32_t events = c->cs->sense == CONN_SENSE_WANT_WRITE ? EPOLLOUT : EPOLLIN;
            c->cs->sense = CONN_SENSE_DEFAULT;
            watch(p, PARK_KEEPALIVE, events, p->timeout_us);
            return;
        }
#endif
        if (c->cs->state != CONN_STATE_WRITE_COMPLETION) {
            close_conn(p);
            return;
        }
        if (!next_is_here(p))
            return;
        c->cs->state = CONN_STATE_READ_REQUEST_LINE;
        ap_run_process_connection(c);
    }
}

/** The request is over: its end goes down the filters, which log it and free its pool. */
static void finish(mx_parked_t *p)
{
    request_rec *r = p->r;
    p->r = NULL;
    p->wait = NULL;
    mx_park_uncount(p);
    ap_finalize_request_protocol(r);
    ap_process_request_after_handler(r);
    settle(p);
}

/** The client left: nobody reads an answer, but the log gets its line. */
static void abandon(mx_parked_t *p)
{
    p->c->aborted = 1;
    p->c->keepalive = AP_CONN_CLOSE;
    finish(p);
}

static mx_wake_e wake_of(mx_park_event_e event)
{
    return event == PARK_EVENT_NEWS ? MX_WAKE_NEWS : event == PARK_EVENT_STOPPING ? MX_WAKE_STOPPING : MX_WAKE_DEADLINE;
}

void mx_park_run_turn(void *parked)
{
    mx_parked_t *p = parked;
    int answered;
    begin(p);
    p->wait->disarm(p->wait);
    if (p->event == PARK_EVENT_HANGUP) {
        abandon(p);
        return;
    }
    if (apr_atomic_read32(&mx_child_lot()->stopping)) {
        p->event = PARK_EVENT_STOPPING;
        p->c->keepalive = AP_CONN_CLOSE;
    }
    apr_atomic_inc32(&mx_child_lot()->counts->woken);
    apr_thread_mutex_lock(p->r->invoke_mtx);
    answered = mx_park_turn(p->r, p->wait, wake_of(p->event));
    apr_thread_mutex_unlock(p->r->invoke_mtx);
    if (answered) {
        finish(p);
        return;
    }
    p->woken = 0;
    p->state = PARK_PARKING;
    mx_park_wait(p);
}

void mx_park_run_ready(void *parked)
{
    mx_parked_t *p = parked;
    begin(p);
    if (p->c->cs->state != CONN_STATE_WRITE_COMPLETION || !p->c->data_in_output_filters) {
        p->c->cs->state = CONN_STATE_READ_REQUEST_LINE;
        ap_run_process_connection(p->c);
    }
    settle(p);
}

void mx_park_run_close(void *parked)
{
    mx_parked_t *p = parked;
    begin(p);
    if (p->c->data_in_output_filters)
        p->c->aborted = 1;
    close_conn(p);
}
