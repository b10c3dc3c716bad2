/* SPDX-License-Identifier: Apache-2.0 */
/* Sends pushes: looks through the stream, gives the pushers their turns, carries their requests. */
#include "workers/push.h"

#include "server/runner.h"
#include "user/pusher.h"
#include "workers/push_turn.h"

#define INTERVAL_MS 2000             /* the stream is looked at so often even if nobody says that it moved */
#define SLICE_MS 300000
#define STAY_US 5000000              /* so long it looks on after the last thing happened: longer than MX_RUNNER_FOLLOW_MS */
#define TICK_US 50000                /* between two looks */
#define ANSWER_MAX_BYTES 65536
#define HOST_SHARE 2                 /* one gateway has a part in so many of the requests: one that hangs does not hold up all */
#define ERROR_REST_MS 10000          /* a turn that failed by our own fault is taken again after that */
#define USER_AGENT "mod_matrix/" PACKAGE_VERSION

typedef struct pushing_t pushing_t;

/** A pusher whose turn it is. */
typedef struct slot_t {
    pushing_t *pushing;
    mx_workers_push_turn_t *turn;
    apr_int64_t nid;                 /* 0: free */
    const char *host;                /* of the gateway, with its port */
    apr_pool_t *pool;
    int over;
} slot_t;

/** One run of the task. */
struct pushing_t {
    mx_runner_job_t *job;
    mx_http_out_t *out;
    slot_t *slots; int nslots;
    apr_int64_t *busy; int nbusy;    /* pushers in slots */
    apr_int64_t upto;                /* how far the stream was looked through */
    apr_time_t happened, due;        /* last; when to ask again who is due */
    apr_pool_t *pool, *step;
};

/* ---- slots ---- */

static void list_busy(pushing_t *p)
{
    int i;

    p->nbusy = 0;
    for (i = 0; i < p->nslots; i++)
        if (p->slots[i].nid) p->busy[p->nbusy++] = p->slots[i].nid;
}

static slot_t *free_slot(pushing_t *p)
{
    int i;

    for (i = 0; i < p->nslots; i++)
        if (!p->slots[i].nid) return &p->slots[i];
    return NULL;
}

/** 1: the gateway has its part. */
static int is_full(const pushing_t *p, const char *host)
{
    int i, n = 0;

    for (i = 0; i < p->nslots; i++) n += p->slots[i].nid && strcmp(p->slots[i].host, host) == 0;
    return n >= (p->nslots + HOST_SHARE - 1) / HOST_SHARE;
}

/** URLs that lead to gateways that have their part. */
static const char **list_full(int *pn, const pushing_t *p)
{
    const char **urls = apr_palloc(p->step, sizeof(*urls) * (apr_size_t)(p->nslots + 1));
    int i;

    *pn = 0;
    for (i = 0; i < p->nslots; i++)
        if (p->slots[i].nid && is_full(p, p->slots[i].host)) urls[(*pn)++] = p->slots[i].turn->push.url;
    return urls;
}

static void slot_end(slot_t *slot)
{
    apr_pool_destroy(slot->pool);
    *slot = (slot_t){ .pushing = slot->pushing };
    slot->pushing->due = 0;
}

/** The database, or a damaged row: the pusher is left as it is, and a while alone. */
static void slot_fail(slot_t *slot, const mx_store_push_t *push, const mx_error_t *err)
{
    mx_server_t *server = slot->pushing->job->server;
    apr_time_t now = apr_time_now();
    int told = err->rv == MX_STORE_UNAVAILABLE || err->rv == MX_STORE_RETRY || err->rv == MX_STORE_ERROR;

    mx_log(server->log, told ? MX_LOG_DEBUG : MX_LOG_WARNING, err->rv, "MX0312: a pusher's turn failed user=%s: %s", push->user_id,
           err->detail ? err->detail : err->message);
    mx_store_push_failed(server->store, push, apr_time_as_msec(now), ERROR_REST_MS, slot->pool);
    slot_end(slot);
}

static void answered(void *baton, const mx_http_out_answer_t *answer);

/** Sends what comes next, or ends the turn. */
static void slot_go_on(slot_t *slot)
{
    mx_slice_t json = MX_SLICE_NONE;
    const mx_error_t *err = mx_workers_push_turn_next(&json, slot->turn);
    apr_status_t rv;

    if (err) {
        slot_fail(slot, &slot->turn->push, err);
        return;
    }
    if (!json.p) {
        slot_end(slot);
        return;
    }
    rv = mx_http_out_post(slot->pushing->out, slot->turn->push.url, json, answered, slot);
    if (rv != APR_SUCCESS) slot_fail(slot, &slot->turn->push, mx_error_internal(slot->pool, rv, "a request to a push gateway"));
}

static void answered(void *baton, const mx_http_out_answer_t *answer)
{
    slot_t *slot = baton;
    apr_time_t now = apr_time_now();
    const mx_error_t *err = mx_workers_push_turn_answer(&slot->over, slot->turn, answer, now);

    slot->pushing->happened = now;
    if (err) slot_fail(slot, &slot->turn->push, err);
    else if (slot->over || mx_runner_is_lost(slot->pushing->job)) slot_end(slot);
    else slot_go_on(slot);
}

static void slot_begin(slot_t *slot, const mx_store_push_t *row)
{
    pushing_t *p = slot->pushing;
    mx_store_push_t push = *row;
    const char *path, *host;
    const mx_error_t *err;
    int secure;

    host = mx_http_out_host(&secure, &path, row->url, p->step);
    if (host && is_full(p, host)) return;
    apr_pool_create(&slot->pool, p->pool);
    apr_pool_tag(slot->pool, "mx_workers_push_turn");
    slot->nid = row->nid;
    slot->host = host ? apr_pstrdup(slot->pool, host) : "";
    push.user_id = apr_pstrdup(slot->pool, row->user_id);
    push.app_id = apr_pstrdup(slot->pool, row->app_id);
    push.pushkey = apr_pstrdup(slot->pool, row->pushkey);
    push.url = apr_pstrdup(slot->pool, row->url);
    push.body = mx_slice(apr_pstrmemdup(slot->pool, row->body.p, row->body.len), row->body.len);
    err = mx_workers_push_turn_create(&slot->turn, p->job->server, &push, p->upto, slot->pool);
    if (err) slot_fail(slot, &push, err);
    else slot_go_on(slot);
}

/* ---- the round ---- */

/** Looks on through the stream. */
static const mx_error_t *look(pushing_t *p)
{
    apr_int64_t was = p->upto;
    int more = 0;
    apr_status_t rv = mx_store_push_mark(&p->upto, &more, p->job->server->store, p->step);

    if (rv != APR_SUCCESS && rv != MX_STORE_RETRY) return mx_server_store_error(rv, "looking for pushers", p->pool);
    if (p->upto == was && !more) return NULL;
    p->due = 0;
    p->happened = apr_time_now();
    return NULL;
}

/** Gives free slots to those who are due; the database is asked when there may be any. */
static const mx_error_t *begin_turns(pushing_t *p)
{
    mx_store_push_t *rows = NULL;
    apr_int64_t next_ms = 0;
    const char **full;
    int i, nfull, n = 0;
    slot_t *slot;
    apr_status_t rv;

    list_busy(p);
    if (p->nbusy == p->nslots || apr_time_now() < p->due) return NULL;
    full = list_full(&nfull, p);
    rv = mx_store_push_due(&rows, &n, &next_ms, p->job->server->store, p->busy, p->nbusy, full, nfull, p->nslots - p->nbusy, p->step);
    if (rv != APR_SUCCESS) return mx_server_store_error(rv, "looking for pushers that are due", p->pool);
    for (i = 0; i < n && (slot = free_slot(p)); i++) slot_begin(slot, &rows[i]);
    if (n) p->happened = apr_time_now();
    else p->due = next_ms < 0 || nfull ? APR_INT64_MAX : apr_time_now() + next_ms * 1000;      /* or when a slot is free again */
    return NULL;
}

/** Waits for answers, or for a moment. */
static const mx_error_t *carry(pushing_t *p)
{
    apr_status_t rv = APR_SUCCESS;

    if (mx_http_out_count(p->out)) rv = mx_http_out_run(p->out, (int)apr_time_as_msec(TICK_US));
    else mx_runner_rest(p->job, TICK_US);
    return rv == APR_SUCCESS ? NULL : mx_error_internal(p->pool, rv, "waiting for push gateways");
}

/** What is begun is brought to its end, unless another child has gone on with it. */
static void drain(pushing_t *p)
{
    while (mx_http_out_count(p->out) && !mx_runner_is_lost(p->job))
        if (mx_http_out_run(p->out, (int)apr_time_as_msec(TICK_US)) != APR_SUCCESS) return;
}

static apr_status_t prepare(pushing_t *p)
{
    const mx_settings_t *settings = p->job->server->settings;
    mx_http_out_limits_t limits = { .max_open = settings->push_concurrency, .timeout_ms = settings->push_timeout_ms,
                                    .max_answer_bytes = ANSWER_MAX_BYTES, .allow_private = settings->outgoing_private,
                                    .user_agent = USER_AGENT };
    int i;

    p->nslots = settings->push_concurrency;
    p->slots = apr_pcalloc(p->pool, sizeof(*p->slots) * (apr_size_t)p->nslots);
    p->busy = apr_pcalloc(p->pool, sizeof(*p->busy) * (apr_size_t)p->nslots);
    for (i = 0; i < p->nslots; i++) p->slots[i].pushing = p;
    apr_pool_create(&p->step, p->pool);
    return mx_http_out_create(&p->out, &limits, p->pool);
}

/** Where there are pushers the thread stays: one may wait for its retry, and what a killed child left must be sent by another. */
static apr_status_t is_waiting(int *pwaiting, mx_server_t *server, apr_pool_t *pool)
{
    return mx_store_push_any(pwaiting, server->store, pool);
}

/** With nothing to do for a while it lets go of the lease. */
static const mx_error_t *run(mx_runner_job_t *job, apr_pool_t *pool)
{
    pushing_t p = { .job = job, .pool = pool, .happened = apr_time_now() };
    const mx_error_t *err = NULL;
    int any = 0;
    apr_status_t rv = mx_store_push_any(&any, job->server->store, pool);

    if (rv == APR_SUCCESS && any) rv = prepare(&p);
    if (rv != APR_SUCCESS) return mx_server_store_error(rv, "looking for pushers", pool);
    if (!any) return NULL;
    while (!err && mx_runner_go_on(job) && apr_time_now() - p.happened < STAY_US) {
        err = look(&p);
        if (!err) err = begin_turns(&p);
        if (!err) err = carry(&p);
        apr_pool_clear(p.step);
    }
    drain(&p);
    return err;
}

apr_status_t mx_workers_push_init(mx_server_t *server)
{
    mx_runner_task_t *task = apr_pcalloc(server->pool, sizeof(*task));

    task->name = MX_USER_PUSHER_TASK;
    task->run = run;
    task->is_waiting = is_waiting;
    task->interval_ms = INTERVAL_MS;
    task->slice_ms = SLICE_MS;
    task->outgoing = task->follows = 1;
    return mx_runner_add(server, task);
}
