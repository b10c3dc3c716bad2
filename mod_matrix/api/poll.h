/* SPDX-License-Identifier: Apache-2.0 */
/* A request that waits for news of the stream: what GET /sync and sliding sync have in common. */
#ifndef MX_API_POLL_H
#define MX_API_POLL_H

#include "api/req.h"
#include "sync/sync.h"

/** Stands first in what a kind of poll has of its own; wait.baton is that. All of it lives in req->keep. */
typedef struct mx_api_poll_t {
    mx_wait_t wait;
    mx_sync_waiter_t waiter;
    mx_who_t who;                /* a copy: the request's own is gone when it wakes */
} mx_api_poll_t;

typedef const mx_error_t *mx_api_poll_resume_fn(mx_reply_t *reply, int *pagain, mx_wait_t *wait, mx_wake_e why, apr_pool_t *pool);

/** 1 if a request with this timeout may wait at all. */
int mx_api_poll_may_wait(const mx_req_t *req, apr_int64_t timeout_ms);
/** The request waits for what passes `filter` after `checked`, for `timeout_ms` or MatrixLongPollMax if that is less. */
void mx_api_poll_begin(mx_api_poll_t *poll, mx_reply_t *reply, mx_req_t *req, const mx_filter_t *filter, apr_int64_t checked,
                       apr_int64_t timeout_ms, mx_api_poll_resume_fn *resume);

#endif
