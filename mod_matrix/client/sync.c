/* SPDX-License-Identifier: Apache-2.0 */
/* CS-API: GET /sync. */
#include "api/poll.h"
#include "user/user.h"

typedef struct poll_t {
    mx_api_poll_t common;
    apr_int64_t since;           /* the token the client came with */
} poll_t;

static mx_sync_ask_t ask_again(poll_t *poll)
{
    const mx_sync_waiter_t *waiter = &poll->common.waiter;

    return (mx_sync_ask_t){ .who = &poll->common.who, .since = waiter->checked, .acked = poll->since, .filter = waiter->filter,
                            .patient = 1 };
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
    const mx_error_t *err = mx_user_token_recheck(wait->server, &poll->common.who, pool);

    if (err) return err;
    if (why != MX_WAKE_NEWS)
        return mx_sync_answer_nothing(&reply->raw, wait->server, &poll->common.who, poll->common.waiter.checked, pool);
    err = mx_sync_answer(&answer, wait->server, &ask, pool);
    if (err) return err;
    if (answer.empty && apr_time_now() < wait->deadline) {
        poll->common.waiter.checked = answer.position;
        *pagain = 1;
        return NULL;
    }
    reply_with(reply, &answer, pool);
    return NULL;
}

static void wait_for_news(mx_reply_t *reply, mx_req_t *req, const mx_sync_ask_t *ask, apr_int64_t checked, apr_int64_t timeout_ms)
{
    poll_t *poll = apr_pcalloc(req->keep, sizeof(*poll));

    poll->since = ask->since;
    mx_api_poll_begin(&poll->common, reply, req, ask->filter, checked, timeout_ms, resume);
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
    ask->patient = ask->since >= 0 && !ask->full_state && mx_api_poll_may_wait(req, *ptimeout_ms);
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
