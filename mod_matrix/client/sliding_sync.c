/* SPDX-License-Identifier: Apache-2.0 */
/* MSC4186: simplified sliding sync, POST /_matrix/client/unstable/org.matrix.simplified_msc3575/sync. */
#include "api/sliding_request.h"
#include "user/user.h"

/* A poll that waits: all of it lives in req->keep, the request included. */
typedef struct poll_t {
    mx_wait_t wait;
    mx_sync_waiter_t waiter;
    mx_who_t who;
    mx_sliding_request_t request;
    apr_int64_t version, since;      /* of the client's position */
} poll_t;

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

static const mx_error_t *resume(mx_reply_t *reply, int *pagain, mx_wait_t *wait, mx_wake_e why, apr_pool_t *pool)
{
    poll_t *poll = wait->baton;
    int last = why != MX_WAKE_NEWS || apr_time_now() >= wait->deadline;
    mx_sliding_ask_t ask = { &poll->who, &poll->request, poll->version, poll->since, 1, last };
    mx_sync_answer_t answer = { 0 };
    const mx_error_t *err = mx_user_token_recheck(wait->server, &poll->who, pool);

    if (!err) err = mx_sync_sliding_answer(&answer, wait->server, &ask, pool);
    if (err) return err;
    if (answer.empty && !last) {
        poll->waiter.checked = answer.position;
        *pagain = 1;
        return NULL;
    }
    reply->raw = answer.body;
    return NULL;
}

static void wait_for_news(mx_reply_t *reply, mx_req_t *req, poll_t *poll, apr_int64_t checked, apr_int64_t timeout_ms)
{
    apr_int64_t max_ms = req->server->settings->long_poll_max_ms;
    apr_time_t deadline = req->now + apr_time_from_msec(timeout_ms < max_ms ? timeout_ms : max_ms);

    poll->wait = (mx_wait_t){ req->server, deadline, arm, disarm, resume, poll };
    poll->waiter.server = req->server;
    poll->waiter.user_nid = req->who->user_nid;
    poll->waiter.device_nid = req->who->device_nid;
    poll->waiter.filter = mx_filter_default();
    poll->waiter.checked = checked;
    poll->who = *req->who;
    poll->who.user_id = apr_pstrdup(req->keep, req->who->user_id);
    poll->who.device_id = apr_pstrdup(req->keep, req->who->device_id);
    reply->wait = &poll->wait;
}

const mx_error_t *mx_client_sliding_sync(mx_reply_t *reply, mx_req_t *req)
{
    poll_t *poll = apr_pcalloc(req->keep, sizeof(*poll));
    mx_sliding_ask_t ask = { .who = req->who, .request = &poll->request };
    mx_sync_answer_t answer = { 0 };
    apr_int64_t timeout_ms = 0;
    mx_presence_e presence = MX_PRESENCE_ONLINE;
    const mx_error_t *err = mx_api_sliding_request_read(&poll->request, req);

    if (!err) err = mx_api_sliding_request_place(&ask, &timeout_ms, &presence, req);
    if (err) return err;
    mx_sync_presence_seen(req->server, req->who, presence, req->pool);
    poll->version = ask.version;
    poll->since = ask.since;
    ask.patient = ask.version && timeout_ms > 0 && req->server->settings->long_poll_max_ms > 0;
    ask.last = !ask.patient;
    err = mx_sync_sliding_answer(&answer, req->server, &ask, req->pool);
    if (err) return err;
    if (ask.patient && answer.empty) wait_for_news(reply, req, poll, answer.position, timeout_ms);
    else reply->raw = answer.body;
    return NULL;
}
