/* SPDX-License-Identifier: Apache-2.0 */
/* CS-API: GET /sync. */
#include "api/req.h"
#include "sync/sync.h"
#include "user/user.h"

/* A poll that waits: all of it lives in req->keep. */
typedef struct poll_t {
    mx_wait_t wait;
    mx_sync_waiter_t waiter;
    mx_who_t who;
    apr_int64_t since;           /* the token the client came with */
} poll_t;

static mx_sync_ask_t ask_again(poll_t *poll)
{
    return (mx_sync_ask_t){ .who = &poll->who, .since = poll->waiter.checked, .acked = poll->since, .filter = poll->waiter.filter,
                            .patient = 1 };
}

static void arm(mx_wait_t *wait, mx_wake_fn *wake, void *wake_baton)
{
    poll_t *poll = wait->baton;

    mx_sync_waiter_arm(&poll->waiter, wake, wake_baton);
}

static void disarm(mx_wait_t *wait)
{
    poll_t *poll = wait->baton;

    mx_sync_waiter_disarm(&poll->waiter);
}

static const mx_error_t *next_chunk(int *pdone, void *baton)
{
    return mx_sync_chunks_next(pdone, baton);
}

static void reply_with(mx_reply_t *reply, const mx_sync_answer_t *answer, apr_pool_t *pool)
{
    mx_reply_more_t *more;

    reply->raw = answer->body;
    if (!answer->rest) return;
    more = apr_palloc(pool, sizeof(*more));
    *more = (mx_reply_more_t){ next_chunk, answer->rest };
    reply->more = more;
}

static const mx_error_t *resume(mx_reply_t *reply, int *pagain, mx_wait_t *wait, mx_wake_e why, apr_pool_t *pool)
{
    poll_t *poll = wait->baton;
    mx_sync_ask_t ask = ask_again(poll);
    mx_sync_answer_t answer = { 0 };
    const mx_error_t *err = mx_user_token_recheck(wait->server, &poll->who, pool);

    if (err) return err;
    if (why != MX_WAKE_NEWS)
        return mx_sync_answer_nothing(&reply->raw, wait->server, &poll->who, poll->waiter.checked, pool);
    err = mx_sync_answer(&answer, wait->server, &ask, pool);
    if (err) return err;
    if (answer.empty && apr_time_now() < wait->deadline) {
        poll->waiter.checked = answer.position;
        *pagain = 1;
        return NULL;
    }
    reply_with(reply, &answer, pool);
    return NULL;
}

static void copy_who(mx_who_t *out, const mx_who_t *who, apr_pool_t *keep)
{
    *out = *who;
    out->user_id = apr_pstrdup(keep, who->user_id);
    out->device_id = apr_pstrdup(keep, who->device_id);
}

static void wait_for_news(mx_reply_t *reply, mx_req_t *req, const mx_sync_ask_t *ask, apr_int64_t checked, apr_int64_t timeout_ms)
{
    poll_t *poll = apr_pcalloc(req->keep, sizeof(*poll));
    apr_int64_t max_ms = req->server->settings->long_poll_max_ms;
    apr_time_t deadline = req->now + apr_time_from_msec(timeout_ms < max_ms ? timeout_ms : max_ms);

    poll->wait = (mx_wait_t){ req->server, deadline, arm, disarm, resume, poll };
    poll->waiter.server = req->server;
    poll->waiter.user_nid = req->who->user_nid;
    poll->waiter.device_nid = req->who->device_nid;
    poll->waiter.filter = ask->filter;
    poll->waiter.checked = checked;
    poll->since = ask->since;
    copy_who(&poll->who, req->who, req->keep);
    reply->wait = &poll->wait;
}

static const mx_error_t *read_presence(mx_presence_e *ppresence, mx_req_t *req)
{
    if (mx_sync_presence_parse(ppresence, mx_param_query(req, "set_presence"))) return NULL;
    return mx_error_make(req->pool, MX_E_INVALID_PARAM, "set_presence is offline, online or unavailable.");
}

static const mx_error_t *read_ask(mx_sync_ask_t *ask, apr_int64_t *ptimeout_ms, mx_presence_e *ppresence, mx_req_t *req)
{
    const char *since = mx_param_query(req, "since");
    const mx_error_t *err = read_presence(ppresence, req);

    *ask = (mx_sync_ask_t){ .who = req->who, .since = MX_SYNC_INITIAL };
    if (!err) err = mx_param_query_int(ptimeout_ms, req, "timeout", 0, 0, APR_INT64_MAX);
    if (!err) err = mx_param_query_bool(&ask->full_state, req, "full_state", 0);
    if (!err) err = mx_param_query_bool(&ask->use_state_after, req, "use_state_after", 0);
    if (!err && since && *since) err = mx_sync_token_parse(&ask->since, req->server, since, req->pool);
    if (!err) err = mx_sync_filter_resolve(&ask->filter, req->server, req->who->user_nid, mx_param_query(req, "filter"),
                                           req->keep, req->pool);
    if (err) return err;
    ask->acked = ask->since;
    ask->patient = ask->since >= 0 && !ask->full_state && *ptimeout_ms > 0 && req->server->settings->long_poll_max_ms > 0;
    return NULL;
}

const mx_error_t *mx_client_sync(mx_reply_t *reply, mx_req_t *req)
{
    mx_sync_answer_t answer = { 0 };
    mx_sync_ask_t ask;
    apr_int64_t timeout_ms = 0;
    mx_presence_e presence;
    const mx_error_t *err = read_ask(&ask, &timeout_ms, &presence, req);

    if (!err) mx_sync_presence_seen(req->server, req->who, presence, req->pool);
    if (!err) err = mx_sync_answer(&answer, req->server, &ask, req->pool);
    if (err) return err;
    if (ask.patient && answer.empty) wait_for_news(reply, req, &ask, answer.position, timeout_ms);
    else reply_with(reply, &answer, req->pool);
    return NULL;
}
