/* SPDX-License-Identifier: Apache-2.0 */
/* MSC4186: simplified sliding sync, POST /_matrix/client/unstable/org.matrix.simplified_msc3575/sync. */
#include "api/poll.h"
#include "api/sliding_request.h"
#include "user/user.h"

typedef struct poll_t {
    mx_api_poll_t common;
    mx_sliding_request_t request;
    apr_int64_t version, since;      /* of the client's position */
} poll_t;

static const mx_error_t *resume(mx_reply_t *reply, int *pagain, mx_wait_t *wait, mx_wake_e why, apr_pool_t *pool)
{
    poll_t *poll = wait->baton;
    int last = why != MX_WAKE_NEWS || apr_time_now() >= wait->deadline;
    mx_sliding_ask_t ask = { &poll->common.who, &poll->request, poll->version, poll->since, 1, last };
    mx_sync_answer_t answer = { 0 };
    const mx_error_t *err = mx_user_token_recheck(wait->server, &poll->common.who, pool);

    if (!err) err = mx_sync_sliding_answer(&answer, wait->server, &ask, pool);
    if (err) return err;
    if (answer.empty && !last) {
        poll->common.waiter.checked = answer.position;
        *pagain = 1;
        return NULL;
    }
    reply->raw = answer.body;
    return NULL;
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
    ask.patient = ask.version && mx_api_poll_may_wait(req, timeout_ms);
    ask.last = !ask.patient;
    err = mx_sync_sliding_answer(&answer, req->server, &ask, req->pool);
    if (err) return err;
    if (ask.patient && answer.empty)
        mx_api_poll_begin(&poll->common, reply, req, mx_filter_default(), answer.position, timeout_ms, resume);
    else reply->raw = answer.body;
    return NULL;
}
