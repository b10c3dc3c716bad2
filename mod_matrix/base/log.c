/* SPDX-License-Identifier: Apache-2.0 */
/* The way from a log call to the host program's sink. */
#include "base/log.h"

#include <stdarg.h>
#include <stdio.h>

#define LOG_MESSAGE_MAX_BYTES 2048

/* Installed once before threads start, read only after that. */
static mx_log_sink_fn *log_sink;
static mx_log_enabled_fn *log_enabled;

void mx_log_set_sink(mx_log_sink_fn *sink, mx_log_enabled_fn *enabled)
{
    log_sink = sink;
    log_enabled = enabled;
}

int mx_log_is_enabled(const mx_log_ctx_t *ctx, mx_log_level_e level)
{
    if (log_enabled)
        return log_enabled(ctx, level);
    return log_sink || level <= MX_LOG_WARNING;
}

static void log_to_stderr(mx_log_level_e level, apr_status_t rv, const char *message)
{
    static const char *const names[] = { "error", "warning", "info", "debug", "trace" };
    char reason[120] = "";
    if (rv)
        apr_strerror(rv, reason, sizeof(reason));
    fprintf(stderr, "[%s] %s%s%s\n", names[level], message, rv ? ": " : "", reason);
}

void mx_log_write(const mx_log_ctx_t *ctx, mx_log_level_e level, apr_status_t rv, const char *file, int line,
                  const char *fmt, ...)
{
    char message[LOG_MESSAGE_MAX_BYTES];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(message, sizeof(message), fmt, ap);
    va_end(ap);
    if (log_sink)
        log_sink(ctx, level, rv, file, line, message);
    else
        log_to_stderr(level, rv, message);
}
