/* SPDX-License-Identifier: Apache-2.0 */
/* Requests that wait for news of the stream. */
#include "api/poll.h"

static void arm(mx_wait_t *wait, mx_wake_fn *wake, void *wake_baton)
{
    mx_api_poll_t *poll = wait->baton;

    mx_sync_waiter_arm(&poll->waiter, wake, wake_baton);
}

static void disarm(mx_wait_t *wait)
{
    mx_api_poll_t *poll = wait->baton;

    mx_sync_waiter_disarm(&poll->waiter);
}

int mx_api_poll_may_wait(const mx_req_t *req, apr_int64_t timeout_ms)
{
    return timeout_ms > 0 && req->server->settings->long_poll_max_ms > 0;
}

void mx_api_poll_begin(mx_api_poll_t *poll, mx_reply_t *reply, mx_req_t *req, const mx_filter_t *filter, apr_int64_t checked,
                       apr_int64_t timeout_ms, mx_api_poll_resume_fn *resume)
{
    apr_int64_t max_ms = req->server->settings->long_poll_max_ms;
    apr_time_t deadline = req->now + apr_time_from_msec(timeout_ms < max_ms ? timeout_ms : max_ms);

    poll->wait = (mx_wait_t){ req->server, deadline, arm, disarm, resume, poll };
    poll->waiter.server = req->server;
    poll->waiter.user_nid = req->who->user_nid;
    poll->waiter.device_nid = req->who->device_nid;
    poll->waiter.filter = filter;
    poll->waiter.checked = checked;
    poll->who = *req->who;
    poll->who.user_id = apr_pstrdup(req->keep, req->who->user_id);
    poll->who.device_id = apr_pstrdup(req->keep, req->who->device_id);
    reply->wait = &poll->wait;
}
