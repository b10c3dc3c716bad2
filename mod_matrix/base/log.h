/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Logging through a sink that the host program installs (glue/child.c: ap_log_*; tests: stderr).
 * Every message of level info and above starts with its own tag "MX0123: "; tests/lint checks for doubles.
 * Never a token, password, key or message text at any level.
 */
#ifndef MX_BASE_LOG_H
#define MX_BASE_LOG_H

#include <apr_errno.h>

typedef enum { MX_LOG_ERROR, MX_LOG_WARNING, MX_LOG_INFO, MX_LOG_DEBUG, MX_LOG_TRACE } mx_log_level_e;

/** `where` is what the sink was told to pass on: an mx_log_ctx_t of the caller's vhost or request; may be NULL. */
typedef struct mx_log_ctx_t mx_log_ctx_t;

typedef void mx_log_sink_fn(const mx_log_ctx_t *ctx, mx_log_level_e level, apr_status_t rv, const char *file, int line,
                            const char *message);
typedef int mx_log_enabled_fn(const mx_log_ctx_t *ctx, mx_log_level_e level);

/** Installed once before threads start. NULL: errors and warnings go to stderr. */
void mx_log_set_sink(mx_log_sink_fn *sink, mx_log_enabled_fn *enabled);
int mx_log_is_enabled(const mx_log_ctx_t *ctx, mx_log_level_e level);
void mx_log_write(const mx_log_ctx_t *ctx, mx_log_level_e level, apr_status_t rv, const char *file, int line,
                  const char *fmt, ...) __attribute__((format(printf, 6, 7)));

#define mx_log(ctx, level, rv, ...)                                                     \
    do {                                                                                \
        if (mx_log_is_enabled((ctx), (level)))                                          \
            mx_log_write((ctx), (level), (rv), __FILE__, __LINE__, __VA_ARGS__);        \
    } while (0)

#endif
