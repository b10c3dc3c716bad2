/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A connection of our own that hears what other hosts notify. It is also a source of its one connection, so that its
 * owner (sync/notifier.c, one thread) can run statements on it through a store of its own.
 */
#ifndef MX_STORE_LISTEN_H
#define MX_STORE_LISTEN_H

#include "store/store.h"

typedef struct mx_listen_t mx_listen_t;

/** Connects and listens. Closed with `pool`. MX_STORE_UNAVAILABLE. */
apr_status_t mx_store_listen_open(mx_listen_t **plisten, const char *dsn, const mx_log_ctx_t *log, apr_pool_t *pool);
/** Lends the connection to mx_store_create(). */
const mx_store_source_t *mx_store_listen_source(mx_listen_t *listen);
/**
 * Waits until another session notifies, `wake_fd` is readable (it is not read), or the time is over. Returns at once if
 * something was heard during a statement. *pposition is the highest position heard of since the last call, else 0.
 * MX_STORE_UNAVAILABLE when the connection is lost.
 */
apr_status_t mx_store_listen_wait(apr_int64_t *pposition, mx_listen_t *listen, int wake_fd, apr_interval_time_t timeout);
/** Tells all other listeners a position, in a transaction of its own that touches nothing else. */
apr_status_t mx_store_listen_notify(mx_listen_t *listen, apr_int64_t position);

#endif
