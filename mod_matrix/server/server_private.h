/* SPDX-License-Identifier: Apache-2.0 */
/* What server/ keeps per homeserver and child. */
#ifndef MX_SERVER_SERVER_PRIVATE_H
#define MX_SERVER_SERVER_PRIVATE_H

#include "base/cache.h"
#include "server/server.h"

typedef struct mx_server_state_t {
    mx_cache_t *user_nids;           /* id -> nid: the value is the number itself */
    mx_cache_t *user_ids;            /* nid -> id */
    mx_cache_t *type_nids, *type_names;
    mx_cache_t *skey_nids;           /* type, NUL, state_key -> nid */
    void (*on_stream_moved)(mx_server_t *server);   /* set in child_init */
} mx_server_state_t;

void mx_server_intern_create(mx_server_state_t *state, const mx_settings_t *settings, apr_pool_t *pool);

#endif
