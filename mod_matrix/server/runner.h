/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Background work of one homeserver. Tasks have a name, an interval and a function; each is done by one child of one host at a time,
 * held by a lease (store/lease.h) that is renewed while the function works and is anybody's when its holder is killed. Never in a
 * user's transaction, never on a request's thread.
 *
 * One thread for each homeserver and child, and one more for tasks that wait for other servers (`outgoing`): nothing of ours shall wait
 * for those. A thread starts with the first write (mx_server_stream_moved()) or wake and ends when there was neither for twice the longest
 * interval and nothing waits for its time: a homeserver that nobody uses costs neither thread nor connection, but for a look when the child
 * starts. The thread sleeps until something is due; it borrows a connection for single statements only. What fails waits longer each
 * time, with jitter.
 */
#ifndef MX_SERVER_RUNNER_H
#define MX_SERVER_RUNNER_H

#include "server/server.h"

#define MX_RUNNER_TASKS_MAX 64
#define MX_RUNNER_FOLLOW_MS 1000

typedef struct mx_runner_t mx_runner_t;

/** What a task's function is given. Of the runner's thread. */
typedef struct mx_runner_job_t {
    mx_server_t *server;
    int more;                        /* set it: there is more to do, run again as soon as others had their turn */
    apr_int64_t next_ms;             /* set it to run again after so long, to the millisecond; -1: after the interval */
    const struct mx_runner_task_t *task;
    /* the runner's own */
    struct mx_runner_t *runner;
    apr_time_t deadline, renewed;
    unsigned lost : 1, cut : 1;
} mx_runner_job_t;

typedef struct mx_runner_task_t {
    const char *name;                /* of its lease: the same in every child of every host */
    apr_int64_t interval_ms;         /* from the end of one run to the next, of whoever */
    apr_int64_t slice_ms;            /* so long a run may take before others have their turn */
    /** Works in steps and asks mx_runner_go_on() between them. The pool is cleared when it returns. An error: it failed. */
    const mx_error_t *(*run)(mx_runner_job_t *job, apr_pool_t *pool);
    /**
     * NULL, or says whether something waits for its time, whoever writes or not: then the thread does not end, and begins with the child.
     * Asked when a child starts and when the thread would end. What makes something wait moves the due time of the lease itself.
     */
    apr_status_t (*is_waiting)(int *pwaiting, mx_server_t *server, apr_pool_t *pool);
    unsigned outgoing : 1;           /* it waits for other servers: it has its turns among its like */
    unsigned follows : 1;            /* writes wake it, once in MX_RUNNER_FOLLOW_MS: it had better go on for longer than that */
} mx_runner_task_t;

/** Makes the runner, without a thread. In child_init; `server->store` must be there. */
apr_status_t mx_runner_init(mx_server_t *server);
/** Adds a task, which lives as long as the server. In child_init. APR_ENOSPC past MX_RUNNER_TASKS_MAX. */
apr_status_t mx_runner_add(mx_server_t *server, const mx_runner_task_t *task);
/** The task has work now: call it after the commit that made it. Costs no query here. Any thread. */
void mx_runner_wake(mx_server_t *server, const mx_runner_task_t *task);
/** The same by the task's name; nothing if there is none. */
void mx_runner_wake_name(mx_server_t *server, const char *name);
/** Due times have changed: the threads look at them again. Costs no query here. Any thread. */
void mx_runner_look(mx_server_t *server);
/** For child_init, after all tasks were added: starts the threads, which end at once if nothing waits for its time. */
void mx_runner_begin(mx_server_t *server);
/** Something was written. Few loads where the runner knows that already. Any thread; a server without a runner is allowed. */
void mx_runner_stream_moved(mx_server_t *server);
/** Ends the thread and waits for it: a step of a task at most. The lease in hand is given back. At the end of the child. */
void mx_runner_stop(mx_server_t *server);

/**
 * For a task's function, between its steps: 0 if it must return now (the lease was lost, its time is over, the child ends; what it has not
 * done comes later, here or elsewhere). Renews the lease in time, so no step may take longer than two thirds of MatrixTaskLease.
 */
int mx_runner_go_on(mx_runner_job_t *job);
/** 1 if the lease is lost or the child ends: what is begun is not worth finishing. */
int mx_runner_is_lost(const mx_runner_job_t *job);
/** Sleeps for `us`, or until the child ends; then the same as mx_runner_go_on(). */
int mx_runner_rest(mx_runner_job_t *job, apr_interval_time_t us);

#endif
