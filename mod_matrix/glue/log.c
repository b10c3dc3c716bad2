/* SPDX-License-Identifier: Apache-2.0 */
/* The log sink: what the floors below say goes to the error log of their vhost. */
#include "glue/glue.h"

#include <http_main.h>

static const int httpd_level[] = {
    [MX_LOG_ERROR] = APLOG_ERR, [MX_LOG_WARNING] = APLOG_WARNING, [MX_LOG_INFO] = APLOG_INFO,
    [MX_LOG_DEBUG] = APLOG_DEBUG, [MX_LOG_TRACE] = APLOG_TRACE2,
};

static const server_rec *server_of(const mx_log_ctx_t *ctx)
{
    return ctx ? ctx->server : ap_server_conf;
}

static void sink(const mx_log_ctx_t *ctx, mx_log_level_e level, apr_status_t rv, const char *file, int line, const char *message)
{
    ap_log_error(file, line, APLOG_MODULE_INDEX, httpd_level[level], rv, server_of(ctx), "%s", message);
}

static int enabled(const mx_log_ctx_t *ctx, mx_log_level_e level)
{
    const server_rec *s = server_of(ctx);
    return s && APLOG_IS_LEVEL(s, httpd_level[level]);
}

void mx_log_to_httpd(void)
{
    mx_log_set_sink(sink, enabled);
}
