/* SPDX-License-Identifier: Apache-2.0 */
/* Reads the body of a sliding sync. What it says is copied into the request's own pool: it has to outlive the body while it waits. */
#ifndef MX_API_SLIDING_REQUEST_H
#define MX_API_SLIDING_REQUEST_H

#include "api/req.h"
#include "sync/sliding.h"

/** M_BAD_JSON for what is of another form, M_INVALID_PARAM for what is too much, or cannot be. In req->keep. */
const mx_error_t *mx_api_sliding_request_read(mx_sliding_request_t *out, mx_req_t *req);
/** The position, the timeout and set_presence, from the query or the body. M_UNKNOWN_POS, M_INVALID_PARAM. */
const mx_error_t *mx_api_sliding_request_place(mx_sliding_ask_t *ask, apr_int64_t *ptimeout_ms, mx_presence_e *ppresence, mx_req_t *req);

#endif
