/* SPDX-License-Identifier: Apache-2.0 */
/* Deletes, in small steps, what nothing needs any more: snapshots without names, and rows past their time. */
#include "server/cleanup.h"

#include "server/runner.h"
#include "store/cleanup.h"
#include "store/state.h"

#define DAY_MS ((apr_int64_t)86400000)
#define SLICE_MS 20000               /* then other tasks have their turn */
#define STEP_ROWS 500                /* of one statement: a few ms, for which a room's writers may wait */
#define REST_MIN_US 1000             /* between steps; at least as long as the step took, so half of the time is others' */
#define TRIES_MAX 20                 /* steps in a row that lost against writers */
/*
 * CS-API: transaction identifiers, which does not say how long one is to be known. A client that was offline sends again within
 * hours; a month lets one that sleeps over its holidays repeat itself without harm.
 */
#define TXN_KEPT_MS (30 * DAY_MS)
#define TOKEN_KEPT_MS (30 * DAY_MS)       /* so long an expired token is told to refresh, after that it is an unknown one */
#define RESOLUTION_KEPT_MS (30 * DAY_MS)
#define DELAYED_KEPT_MS (7 * DAY_MS)      /* MSC4140: retention of finalised delayed events */
#define SLIDING_KEPT_MS (30 * DAY_MS)     /* a client that comes later begins its connection anew */

/* ---- snapshots ---- */

static const mx_error_t *collect_snapshots(mx_runner_job_t *job, apr_pool_t *pool)
{
    apr_int64_t room_nid = 1;
    apr_pool_t *step;
    apr_status_t rv = APR_SUCCESS;
    int removed, sum = 0, tries = 0;
    apr_pool_create(&step, pool);
    while (mx_runner_go_on(job)) {
        apr_time_t began = apr_time_now();
        rv = mx_store_state_collect_next(&room_nid, &removed, job->server->store, STEP_ROWS, step);
        apr_pool_clear(step);
        if (rv == APR_SUCCESS && !room_nid)
            break;
        tries = rv == APR_SUCCESS ? 0 : tries + 1;
        if (rv == APR_SUCCESS)
            sum += removed;
        else if (rv != MX_STORE_RETRY || tries == TRIES_MAX)
            break;
        if (!mx_runner_rest(job, apr_time_now() - began + REST_MIN_US))
            break;
    }
    if (sum)
        mx_log(job->server->log, MX_LOG_DEBUG, 0, "%d snapshots that nothing names are gone", sum);
    return rv == APR_SUCCESS || rv == MX_STORE_RETRY ? NULL : mx_server_store_error(rv, "taking snapshots away", pool);
}

/* ---- rows ---- */

static const mx_error_t *delete_old(mx_runner_job_t *job, mx_store_cleanup_fn *fn, apr_int64_t kept_ms, apr_pool_t *pool)
{
    apr_int64_t before_ts = apr_time_as_msec(apr_time_now()) - kept_ms;
    apr_pool_t *step;
    apr_status_t rv = APR_SUCCESS;
    int n = STEP_ROWS;
    apr_pool_create(&step, pool);
    while (n == STEP_ROWS && mx_runner_go_on(job)) {
        apr_time_t began = apr_time_now();
        rv = fn(&n, job->server->store, before_ts, STEP_ROWS, step);
        apr_pool_clear(step);
        if (rv != APR_SUCCESS)
            break;
        if (n == STEP_ROWS)
            mx_runner_rest(job, apr_time_now() - began + REST_MIN_US);
    }
    return rv == APR_SUCCESS ? NULL : mx_server_store_error(rv, job->task->name, pool);
}

static const mx_error_t *delete_txns(mx_runner_job_t *job, apr_pool_t *pool)
{
    return delete_old(job, mx_store_cleanup_txns, TXN_KEPT_MS, pool);
}

static const mx_error_t *delete_uia(mx_runner_job_t *job, apr_pool_t *pool)
{
    return delete_old(job, mx_store_cleanup_uia, job->server->settings->uia_session_ms, pool);
}

static const mx_error_t *delete_tokens(mx_runner_job_t *job, apr_pool_t *pool)
{
    const mx_error_t *err = delete_old(job, mx_store_cleanup_access_tokens, TOKEN_KEPT_MS, pool);
    return err ? err : delete_old(job, mx_store_cleanup_refresh_tokens, TOKEN_KEPT_MS, pool);
}

static const mx_error_t *delete_resolutions(mx_runner_job_t *job, apr_pool_t *pool)
{
    return delete_old(job, mx_store_cleanup_resolutions, RESOLUTION_KEPT_MS, pool);
}

static const mx_error_t *delete_delayed(mx_runner_job_t *job, apr_pool_t *pool)
{
    return delete_old(job, mx_store_cleanup_delayed, DELAYED_KEPT_MS, pool);
}

static const mx_error_t *delete_sticky(mx_runner_job_t *job, apr_pool_t *pool)
{
    return delete_old(job, mx_store_cleanup_sticky, 0, pool);
}

static const mx_error_t *delete_sliding(mx_runner_job_t *job, apr_pool_t *pool)
{
    return delete_old(job, mx_store_cleanup_sliding, SLIDING_KEPT_MS, pool);
}

static const mx_runner_task_t tasks[] = {
    { .name = "cleanup.snapshots", .run = collect_snapshots },
    { .name = "cleanup.transactions", .run = delete_txns },
    { .name = "cleanup.uia_sessions", .run = delete_uia },
    { .name = "cleanup.tokens", .run = delete_tokens },
    { .name = "cleanup.resolutions", .run = delete_resolutions },
    { .name = "cleanup.delayed_events", .run = delete_delayed },
    { .name = "cleanup.sticky_events", .run = delete_sticky },
    { .name = "cleanup.sliding", .run = delete_sliding },
};

apr_status_t mx_server_cleanup_init(mx_server_t *server)
{
    apr_status_t rv = APR_SUCCESS;
    apr_size_t i;
    for (i = 0; i < sizeof(tasks) / sizeof(tasks[0]) && rv == APR_SUCCESS; i++) {
        mx_runner_task_t *task = apr_pmemdup(server->pool, &tasks[i], sizeof(tasks[i]));
        task->interval_ms = server->settings->cleanup_interval_ms;
        task->slice_ms = SLICE_MS;
        rv = mx_runner_add(server, task);
    }
    return rv;
}
