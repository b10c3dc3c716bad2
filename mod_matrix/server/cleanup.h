/* SPDX-License-Identifier: Apache-2.0 */
/* The tasks (server/runner.h) that delete what nothing needs any more. */
#ifndef MX_SERVER_CLEANUP_H
#define MX_SERVER_CLEANUP_H

#include "server/server.h"

/** Adds the tasks; after mx_runner_init(), in child_init. */
apr_status_t mx_server_cleanup_init(mx_server_t *server);

#endif
