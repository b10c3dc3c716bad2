/* SPDX-License-Identifier: Apache-2.0 */
/* Background work by leases: one thread that starts when it is needed and sleeps until something is due. */
#include "server/runner.h"

#include "base/crypto.h"
#include "store/lease.h"

#include <apr_thread_cond.h>
#include <apr_thread_proc.h>
#include <string.h>
#include <unistd.h>

#define SLEEP_MIN_MS 20              /* what is due and locked is looked for no more often */
#define SLEEP_MAX_MS 30000           /* so late at most is noticed that another host, which is gone, has made something due */
#define SLEEP_JITTER_MS 200          /* children that wait for the same moment do not all come at once */
#define RETRY_MS 1000                /* the database is away, or a task failed: doubled each time … */
#define RETRY_MAX_MS 3600000         /* … up to this */
#define RETRY_DOUBLES 12
#define IDLE_INTERVALS 2             /* of the longest task: so long without a write, and the thread ends */
#define HOLDER_RANDOM 12
#define HOST_NAME_BYTES 256

struct mx_runner_t {
    mx_server_t *server;
    apr_thread_mutex_t *lock;        /* of thread, run_pool and stopping */
    apr_thread_cond_t *wake;
    apr_thread_t *thread;
    apr_pool_t *run_pool;
    const char *holder;              /* who we are in the table */
    const char *names[MX_RUNNER_TASKS_MAX];
    const mx_runner_task_t *tasks[MX_RUNNER_TASKS_MAX];
    int ntasks;
    apr_int64_t idle_ms;             /* so long without a write, and the thread ends */
    apr_time_t exact_at[MX_RUNNER_TASKS_MAX];   /* the thread's own: when a task wants to run again, to the millisecond; 0: at leisure */
    apr_uint64_t woken;              /* atomic: bits of tasks with work */
    apr_uint64_t follows;            /* bits of tasks that writes wake … */
    apr_time_t followed;             /* … and when they last did; atomic */
    struct mx_runner_t *out;         /* of outgoing tasks; NULL in that one */
    int moved;                       /* atomic: something was written since the thread last looked */
    int look;                        /* atomic: due times have changed */
    int beginning;                   /* atomic: nothing was written yet, the thread is to see whether something waits */
    int running, stopping;           /* atomic, written under the lock */
};

/* The thread's own. */
typedef struct turn_t {
    mx_runner_t *runner;
    apr_pool_t *pool;                /* cleared after each turn */
    apr_time_t active;               /* the last write that was noticed */
    int known;                       /* the rows of the tasks are there */
    int exact;                       /* what is due next is known here to the millisecond, and likely to be ours */
    int failed;                      /* turns in a row */
} turn_t;

/* ---- time ---- */

static apr_int64_t jitter(apr_int64_t max)
{
    apr_uint32_t random;
    mx_random_bytes(&random, sizeof(random));
    return max > 0 ? (apr_int64_t)(random % (apr_uint64_t)(max + 1)) : 0;
}

/** From half of it to all of it. */
static apr_int64_t backoff_ms(int fails)
{
    apr_int64_t ms = (apr_int64_t)RETRY_MS << (fails < RETRY_DOUBLES ? fails : RETRY_DOUBLES);
    if (ms > RETRY_MAX_MS)
        ms = RETRY_MAX_MS;
    return ms / 2 + jitter(ms / 2);
}

static int is_stopping(const mx_runner_t *runner)
{
    return __atomic_load_n(&runner->stopping, __ATOMIC_ACQUIRE);
}

static int has_news(mx_runner_t *runner)
{
    return __atomic_load_n(&runner->woken, __ATOMIC_ACQUIRE) || __atomic_load_n(&runner->look, __ATOMIC_ACQUIRE);
}

/** Until the time is over, the child ends, or (`for_work`) a task is woken or due times have changed. */
static void sleep_for(mx_runner_t *runner, apr_interval_time_t us, int for_work)
{
    apr_time_t end = apr_time_now() + us;
    apr_thread_mutex_lock(runner->lock);
    while (us > 0 && !runner->stopping && !(for_work && has_news(runner))) {
        apr_thread_cond_timedwait(runner->wake, runner->lock, us);
        us = end - apr_time_now();
    }
    apr_thread_mutex_unlock(runner->lock);
}

/* ---- what a task's function asks ---- */

static void renew(mx_runner_job_t *job, apr_int64_t lease_us)
{
    const mx_runner_t *runner = job->runner;
    apr_time_t asked = apr_time_now();
    apr_pool_t *pool;
    apr_status_t rv;
    apr_pool_create(&pool, runner->run_pool);
    rv = mx_store_lease_renew(job->server->store, job->task->name, runner->holder, apr_time_as_msec(lease_us), pool);
    if (rv == APR_SUCCESS)
        job->renewed = asked;
    else if (rv == MX_STORE_NONE || asked - job->renewed >= lease_us)
        job->lost = 1;
    apr_pool_destroy(pool);
}

/** Another task's time has come, or may have: it is worth more than the rest of this one's slice. */
static int is_wanted(const mx_runner_job_t *job, apr_time_t now)
{
    mx_runner_t *runner = job->runner;
    int i;
    for (i = 0; i < runner->ntasks; i++) {
        if (runner->exact_at[i] && now >= runner->exact_at[i] && runner->tasks[i] != job->task)
            return 1;
    }
    return __atomic_load_n(&runner->look, __ATOMIC_ACQUIRE);
}

int mx_runner_go_on(mx_runner_job_t *job)
{
    apr_int64_t lease_us = job->server->settings->task_lease_ms * 1000;
    apr_time_t now = apr_time_now();
    if (is_stopping(job->runner) || now >= job->deadline || is_wanted(job, now))
        job->cut = 1;
    else if (!job->lost && now - job->renewed >= lease_us / 3)
        renew(job, lease_us);
    return !job->cut && !job->lost;
}

int mx_runner_rest(mx_runner_job_t *job, apr_interval_time_t us)
{
    sleep_for(job->runner, us, 0);
    return mx_runner_go_on(job);
}

int mx_runner_is_lost(const mx_runner_job_t *job)
{
    return job->lost || is_stopping(job->runner);
}

/* ---- one run of a task ---- */

static const mx_runner_task_t *find_task(const mx_runner_t *runner, const char *name)
{
    int i;
    for (i = 0; i < runner->ntasks; i++) {
        if (strcmp(runner->names[i], name) == 0)
            return runner->tasks[i];
    }
    return NULL;
}

/** What the database refused is in the log already, by its own number. */
static void log_failure(const mx_runner_t *runner, const mx_runner_task_t *task, const mx_error_t *err, int fails, apr_int64_t due_ms)
{
    int told = err->rv == MX_STORE_UNAVAILABLE || err->rv == MX_STORE_RETRY || err->rv == MX_STORE_ERROR;
    if (told)
        mx_log(runner->server->log, MX_LOG_DEBUG, err->rv, "the task %s failed (%d times in a row), again in %" APR_INT64_T_FMT " ms",
               task->name, fails, due_ms);
    else
        mx_log(runner->server->log, MX_LOG_WARNING, err->rv, "MX0301: the task %s failed (%d times in a row), again in %" APR_INT64_T_FMT
               " ms: %s", task->name, fails, due_ms, err->detail ? err->detail : err->message);
}

static apr_int64_t due_after(const mx_runner_job_t *job)
{
    if (job->more || job->cut)
        return 0;
    if (job->next_ms >= 0 && job->next_ms < job->task->interval_ms)
        return job->next_ms;
    return job->task->interval_ms + jitter(job->task->interval_ms / 10);
}

static apr_status_t give_back(const mx_runner_job_t *job, const mx_error_t *err, int fails, apr_pool_t *pool)
{
    const mx_runner_t *runner = job->runner;
    apr_int64_t due_ms = err ? backoff_ms(fails) : due_after(job);
    apr_status_t rv;
    if (err)
        log_failure(runner, job->task, err, fails + 1, due_ms);
    rv = mx_store_lease_release(job->server->store, job->task->name, runner->holder, due_ms, err != NULL, pool);
    if (rv == MX_STORE_NONE) {
        mx_log(runner->server->log, MX_LOG_WARNING, 0, "MX0302: the task %s took longer than its lease, another child has gone on with it",
               job->task->name);
        rv = APR_SUCCESS;
    }
    return rv;
}

static void note_exact(mx_runner_t *runner, const mx_runner_job_t *job)
{
    int i;
    for (i = 0; runner->tasks[i] != job->task; i++)
        ;
    runner->exact_at[i] = job->next_ms >= 0 ? apr_time_now() + job->next_ms * 1000 : 0;
}

static apr_status_t run_task(turn_t *turn, const mx_lease_t *lease, apr_time_t asked)
{
    mx_runner_t *runner = turn->runner;
    const mx_runner_task_t *task = find_task(runner, lease->name);
    mx_runner_job_t job = { .server = runner->server, .task = task, .next_ms = -1, .runner = runner, .renewed = asked };
    const mx_error_t *err;
    apr_pool_t *pool;
    apr_status_t rv;
    if (lease->taken_over)
        mx_log(runner->server->log, MX_LOG_INFO, 0, "MX0303: the task %s is taken over from a child that ended or hangs", task->name);
    job.deadline = apr_time_now() + task->slice_ms * 1000;
    apr_pool_create(&pool, turn->pool);
    apr_pool_tag(pool, "mx_runner_job");
    err = task->run(&job, pool);
    mx_log(runner->server->log, MX_LOG_DEBUG, 0, "the task %s took %" APR_TIME_T_FMT " ms", task->name,
           apr_time_as_msec(apr_time_now() - asked));
    rv = give_back(&job, err, lease->fails, turn->pool);
    note_exact(runner, &job);
    turn->exact |= !err && job.next_ms >= 0;
    apr_pool_destroy(pool);
    return rv;
}

/* ---- the thread ---- */

/** Tells the database which tasks were woken; what could not be told stays. */
static apr_status_t push_wakes(turn_t *turn)
{
    mx_runner_t *runner = turn->runner;
    apr_uint64_t bits = __atomic_exchange_n(&runner->woken, 0, __ATOMIC_ACQ_REL);
    const char *names[MX_RUNNER_TASKS_MAX];
    int i, n = 0;
    apr_status_t rv;
    for (i = 0; i < runner->ntasks; i++) {
        if (bits >> i & 1)
            names[n++] = runner->names[i];
    }
    rv = n ? mx_store_lease_want(runner->server->store, names, n, turn->pool) : APR_SUCCESS;
    if (rv != APR_SUCCESS)
        __atomic_fetch_or(&runner->woken, bits, __ATOMIC_ACQ_REL);
    return rv;
}

/** Does what is due, one task at most; else *psleep_ms says for how long nothing is. */
static apr_status_t take_turn(apr_int64_t *psleep_ms, turn_t *turn)
{
    mx_runner_t *runner = turn->runner;
    mx_store_t *store = runner->server->store;
    apr_time_t asked;
    mx_lease_t lease;
    apr_status_t rv = turn->known ? APR_SUCCESS : mx_store_lease_add(store, runner->names, runner->ntasks, turn->pool);
    if (rv == APR_SUCCESS)
        rv = push_wakes(turn);
    if (rv != APR_SUCCESS)
        return rv;
    turn->known = 1;
    turn->exact |= __atomic_exchange_n(&runner->look, 0, __ATOMIC_ACQ_REL);
    asked = apr_time_now();
    rv = mx_store_lease_take(&lease, store, runner->names, runner->ntasks, runner->holder, runner->server->settings->task_lease_ms,
                             turn->pool);
    if (rv == APR_SUCCESS)
        return run_task(turn, &lease, asked);
    if (rv == MX_STORE_NONE)
        rv = mx_store_lease_next(psleep_ms, store, runner->names, runner->ntasks, turn->pool);
    if (rv == MX_STORE_NONE) {       /* somebody emptied the table */
        turn->known = 0;
        rv = APR_SUCCESS;
    }
    *psleep_ms = *psleep_ms < SLEEP_MIN_MS ? SLEEP_MIN_MS : *psleep_ms > SLEEP_MAX_MS ? SLEEP_MAX_MS : *psleep_ms;
    if (!turn->exact)
        *psleep_ms += jitter(SLEEP_JITTER_MS);
    return rv;
}

/** 1 if a task has something that waits for its time, or the database does not say. */
static int is_waiting(turn_t *turn)
{
    const mx_runner_t *runner = turn->runner;
    int i, waiting = 0;
    for (i = 0; i < runner->ntasks && !waiting; i++) {
        if (runner->tasks[i]->is_waiting && runner->tasks[i]->is_waiting(&waiting, runner->server, turn->pool) != APR_SUCCESS)
            waiting = 1;
    }
    apr_pool_clear(turn->pool);
    return waiting;
}

/** Nothing was written for so long, or ever, and nothing waits. */
static int is_idle(turn_t *turn)
{
    apr_time_t now = apr_time_now();
    if (__atomic_exchange_n(&turn->runner->moved, 0, __ATOMIC_SEQ_CST))
        turn->active = now;
    if (now - turn->active < turn->runner->idle_ms * 1000)
        return 0;
    if (!is_waiting(turn))
        return 1;
    turn->active = now;
    return 0;
}

/** 1: nothing to live for; who writes from now on starts another thread. */
static int is_over(turn_t *turn)
{
    mx_runner_t *runner = turn->runner;
    int over;
    if (!is_stopping(runner) && !is_idle(turn))
        return 0;
    apr_thread_mutex_lock(runner->lock);
    __atomic_store_n(&runner->running, 0, __ATOMIC_SEQ_CST);
    over = runner->stopping || !__atomic_load_n(&runner->moved, __ATOMIC_SEQ_CST);
    if (!over)
        __atomic_store_n(&runner->running, 1, __ATOMIC_SEQ_CST);
    apr_thread_mutex_unlock(runner->lock);
    return over;
}

static void *APR_THREAD_FUNC run(apr_thread_t *thread, void *data)
{
    turn_t turn = { .runner = data, .active = apr_time_now() };
    if (__atomic_exchange_n(&turn.runner->beginning, 0, __ATOMIC_SEQ_CST))
        turn.active = 0;
    apr_pool_create(&turn.pool, turn.runner->run_pool);
    apr_pool_tag(turn.pool, "mx_runner_turn");
    while (!is_over(&turn)) {
        apr_int64_t sleep_ms = 0;
        apr_status_t rv = take_turn(&sleep_ms, &turn);
        if (rv == APR_SUCCESS)
            turn.failed = 0;
        else
            sleep_ms = backoff_ms(turn.failed++);
        apr_pool_clear(turn.pool);
        sleep_for(turn.runner, sleep_ms * 1000, rv == APR_SUCCESS);
    }
    return NULL;
}

/** A thread that ended by itself is joined here, so its pool can go. */
static void bury(mx_runner_t *runner)
{
    apr_status_t rv;
    if (!runner->thread)
        return;
    apr_thread_join(&rv, runner->thread);
    apr_pool_destroy(runner->run_pool);
    runner->thread = NULL;
    runner->run_pool = NULL;
}

static apr_status_t start_locked(mx_runner_t *runner)
{
    apr_allocator_t *allocator;
    apr_status_t rv = apr_allocator_create(&allocator);
    if (rv == APR_SUCCESS)
        rv = apr_pool_create_unmanaged_ex(&runner->run_pool, NULL, allocator);
    if (rv != APR_SUCCESS)
        return rv;
    apr_allocator_owner_set(allocator, runner->run_pool);
    apr_pool_tag(runner->run_pool, "mx_runner");
    __atomic_store_n(&runner->running, 1, __ATOMIC_SEQ_CST);
    rv = apr_thread_create(&runner->thread, NULL, run, runner, runner->run_pool);
    if (rv == APR_SUCCESS)
        return rv;
    __atomic_store_n(&runner->running, 0, __ATOMIC_SEQ_CST);
    apr_pool_destroy(runner->run_pool);
    runner->run_pool = NULL;
    runner->thread = NULL;
    return rv;
}

static void start(mx_runner_t *runner)
{
    apr_status_t rv = APR_SUCCESS;
    apr_thread_mutex_lock(runner->lock);
    if (!runner->running && !runner->stopping && runner->ntasks) {
        bury(runner);
        rv = start_locked(runner);
    }
    apr_thread_mutex_unlock(runner->lock);
    if (rv != APR_SUCCESS)
        mx_log(runner->server->log, MX_LOG_ERROR, rv, "MX0304: no thread for background work: another child or a later write must do it");
}

static void moved(mx_runner_t *runner)
{
    if (!__atomic_load_n(&runner->moved, __ATOMIC_RELAXED))
        __atomic_store_n(&runner->moved, 1, __ATOMIC_SEQ_CST);
    if (runner->ntasks && !__atomic_load_n(&runner->running, __ATOMIC_SEQ_CST))
        start(runner);
}

/** Tasks with work; those that have been told and not heard yet need no second word. */
static void wake(mx_runner_t *runner, apr_uint64_t bits)
{
    if ((__atomic_fetch_or(&runner->woken, bits, __ATOMIC_ACQ_REL) & bits) == bits)
        return;
    apr_thread_mutex_lock(runner->lock);
    apr_thread_cond_signal(runner->wake);
    apr_thread_mutex_unlock(runner->lock);
}

static void wake_followers(mx_runner_t *runner)
{
    apr_time_t now = apr_time_now(), last = __atomic_load_n(&runner->followed, __ATOMIC_RELAXED);
    if (now - last >= apr_time_from_msec(MX_RUNNER_FOLLOW_MS)
        && __atomic_compare_exchange_n(&runner->followed, &last, now, 0, __ATOMIC_RELAXED, __ATOMIC_RELAXED))
        wake(runner, runner->follows);
}

void mx_runner_stream_moved(mx_server_t *server)
{
    mx_runner_t *runner;
    for (runner = server->runner; runner; runner = runner->out) {
        if (runner->follows)
            wake_followers(runner);
        moved(runner);
    }
}

static void wake_found(mx_server_t *server, const mx_runner_task_t *task, const char *name)
{
    mx_runner_t *runner;
    int i;
    for (runner = server->runner; runner; runner = runner->out) {
        for (i = 0; i < runner->ntasks; i++) {
            if (task ? runner->tasks[i] != task : strcmp(runner->names[i], name) != 0)
                continue;
            wake(runner, (apr_uint64_t)1 << i);
            moved(runner);
        }
    }
}

void mx_runner_wake(mx_server_t *server, const mx_runner_task_t *task)
{
    wake_found(server, task, NULL);
}

void mx_runner_wake_name(mx_server_t *server, const char *name)
{
    wake_found(server, NULL, name);
}

void mx_runner_look(mx_server_t *server)
{
    mx_runner_t *runner;
    for (runner = server->runner; runner; runner = runner->out) {
        if (__atomic_exchange_n(&runner->look, 1, __ATOMIC_ACQ_REL))
            continue;
        apr_thread_mutex_lock(runner->lock);
        apr_thread_cond_signal(runner->wake);
        apr_thread_mutex_unlock(runner->lock);
    }
    mx_runner_stream_moved(server);
}

void mx_runner_begin(mx_server_t *server)
{
    mx_runner_t *runner;
    for (runner = server->runner; runner; runner = runner->out) {
        __atomic_store_n(&runner->beginning, 1, __ATOMIC_SEQ_CST);
        start(runner);
    }
}

static void stop(mx_runner_t *runner)
{
    apr_thread_mutex_lock(runner->lock);
    __atomic_store_n(&runner->stopping, 1, __ATOMIC_RELEASE);
    apr_thread_cond_signal(runner->wake);
    apr_thread_mutex_unlock(runner->lock);
}

void mx_runner_stop(mx_server_t *server)
{
    mx_runner_t *runner;
    for (runner = server->runner; runner; runner = runner->out)
        stop(runner);
    for (runner = server->runner; runner; runner = runner->out)
        bury(runner);                /* nobody starts a thread any more */
}

/* ---- the beginning ---- */

/** Host, process and something random: process numbers come again. */
static const char *holder_name(apr_pool_t *pool)
{
    char host[HOST_NAME_BYTES] = "";
    gethostname(host, sizeof(host) - 1);
    return apr_psprintf(pool, "%s:%ld:%s", host, (long)getpid(), mx_random_string("abcdefghijklmnopqrstuvwxyz", HOLDER_RANDOM, pool));
}

static apr_status_t create(mx_runner_t **prunner, mx_server_t *server)
{
    mx_runner_t *runner = apr_pcalloc(server->pool, sizeof(*runner));
    apr_status_t rv = apr_thread_mutex_create(&runner->lock, APR_THREAD_MUTEX_DEFAULT, server->pool);
    if (rv == APR_SUCCESS)
        rv = apr_thread_cond_create(&runner->wake, server->pool);
    if (rv != APR_SUCCESS)
        return rv;
    runner->server = server;
    runner->holder = holder_name(server->pool);
    *prunner = runner;
    return APR_SUCCESS;
}

apr_status_t mx_runner_init(mx_server_t *server)
{
    mx_runner_t *runner = NULL;
    apr_status_t rv = create(&runner, server);
    if (rv == APR_SUCCESS)
        rv = create(&runner->out, server);
    if (rv == APR_SUCCESS)
        server->runner = runner;
    return rv;
}

apr_status_t mx_runner_add(mx_server_t *server, const mx_runner_task_t *task)
{
    mx_runner_t *runner = task->outgoing ? server->runner->out : server->runner;
    if (runner->ntasks == MX_RUNNER_TASKS_MAX)
        return APR_ENOSPC;
    if (task->follows)
        runner->follows |= (apr_uint64_t)1 << runner->ntasks;
    runner->names[runner->ntasks] = task->name;
    runner->tasks[runner->ntasks++] = task;
    if (task->interval_ms * IDLE_INTERVALS > runner->idle_ms)
        runner->idle_ms = task->interval_ms * IDLE_INTERVALS;
    return APR_SUCCESS;
}
