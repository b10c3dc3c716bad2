/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What went wrong, as the client is told and as the operator reads it. Functions of floor 3 and up, and the rules in
 * core/, return `const mx_error_t *`: NULL is success; outputs stay untouched on error. glue/reply.c makes the response
 * and logs it, once.
 */
#ifndef MX_CORE_ERROR_H
#define MX_CORE_ERROR_H

#include "base/json.h"

typedef enum {
#define MX_ERRCODE(symbol, wire, status) MX_E_##symbol,
#include "core/errcodes.def"
#undef MX_ERRCODE
    MX_E_COUNT
} mx_errcode_e;

typedef struct mx_error_t {
    mx_errcode_e code;
    int status;                   /* HTTP */
    const char *message;          /* for the client: a finished sentence without secrets */
    const char *detail;           /* for the log; NULL if the message says it all */
    apr_status_t rv;              /* what the floor below returned, or 0 */
    mx_json_t *extra;             /* members to merge into the response (soft_logout, retry_after_ms, flows…) or NULL */
    int omit_errcode;             /* UIA challenges: only `extra` is sent */
    const struct mx_error_t *prev;
} mx_error_t;

/** An error with the code's usual status; the message is formatted into `pool`. */
const mx_error_t *mx_error_make(apr_pool_t *pool, mx_errcode_e code, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));
/** Same, with a status of its own. */
const mx_error_t *mx_error_make_status(apr_pool_t *pool, mx_errcode_e code, int status, const char *fmt, ...)
    __attribute__((format(printf, 4, 5)));
/** A failure of ours or of the database: 500 M_UNKNOWN (503 for APR_EAGAIN/APR_TIMEUP), `what` and rv go to the log only. */
const mx_error_t *mx_error_internal(apr_pool_t *pool, apr_status_t rv, const char *what);
/** A changeable copy, for callers that add `extra` or their view of it. */
mx_error_t *mx_error_copy(apr_pool_t *pool, const mx_error_t *err);

const char *mx_errcode_wire(mx_errcode_e code);

#endif
