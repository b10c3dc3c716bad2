/* SPDX-License-Identifier: Apache-2.0 */
/* Makes errors; the codes and their usual statuses stand in errcodes.def. */
#include "core/error.h"

#include <apr_errno.h>
#include <stdarg.h>

static const struct {
    const char *wire;
    int status;
} errcodes[MX_E_COUNT] = {
#define MX_ERRCODE(symbol, wire, status) { wire, status },
#include "core/errcodes.def"
#undef MX_ERRCODE
};

static mx_error_t *error_new(apr_pool_t *pool, mx_errcode_e code, int status, const char *message)
{
    mx_error_t *err = apr_pcalloc(pool, sizeof(*err));
    err->code = code;
    err->status = status;
    err->message = message;
    return err;
}

const mx_error_t *mx_error_make(apr_pool_t *pool, mx_errcode_e code, const char *fmt, ...)
{
    va_list ap;
    const char *message;
    va_start(ap, fmt);
    message = apr_pvsprintf(pool, fmt, ap);
    va_end(ap);
    return error_new(pool, code, errcodes[code].status, message);
}

const mx_error_t *mx_error_make_status(apr_pool_t *pool, mx_errcode_e code, int status, const char *fmt, ...)
{
    va_list ap;
    const char *message;
    va_start(ap, fmt);
    message = apr_pvsprintf(pool, fmt, ap);
    va_end(ap);
    return error_new(pool, code, status, message);
}

const mx_error_t *mx_error_internal(apr_pool_t *pool, apr_status_t rv, const char *what)
{
    int busy = APR_STATUS_IS_EAGAIN(rv) || APR_STATUS_IS_TIMEUP(rv);
    mx_error_t *err = error_new(pool, MX_E_UNKNOWN, busy ? 503 : 500,
                                busy ? "The server is too busy to answer now." : "The server had an internal error.");
    err->detail = apr_pstrdup(pool, what);
    err->rv = rv;
    return err;
}

mx_error_t *mx_error_copy(apr_pool_t *pool, const mx_error_t *err)
{
    return apr_pmemdup(pool, err, sizeof(*err));
}

const char *mx_errcode_wire(mx_errcode_e code)
{
    return errcodes[code].wire;
}
