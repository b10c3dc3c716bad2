/* SPDX-License-Identifier: Apache-2.0 */
/* A homeserver in a child: its start, what store's failures mean to clients, the news that the stream moved. */
#include "server/runner.h"
#include "server/server_private.h"

#include "store/state.h"

apr_status_t mx_server_init(mx_server_t *server)
{
    mx_server_state_t *state = apr_pcalloc(server->pool, sizeof(*state));
    mx_server_intern_create(state, server->settings, server->pool);
    if (server->store)
        mx_store_state_cache_create(server->store, mx_settings_cache_bytes(server->settings, MX_CACHE_STATES), server->pool);
    server->state = state;
    return APR_SUCCESS;
}

const mx_error_t *mx_server_store_error(apr_status_t rv, const char *what, apr_pool_t *pool)
{
    mx_error_t *err;
    if (rv != MX_STORE_UNAVAILABLE && rv != MX_STORE_RETRY)
        return mx_error_internal(pool, rv, what);
    err = mx_error_copy(pool, mx_error_make_status(pool, MX_E_UNKNOWN, 503, "The server is overloaded or its database is away; try again."));
    err->rv = rv;
    err->detail = what;
    return err;
}

void mx_server_on_stream_moved(mx_server_t *server, void (*fn)(mx_server_t *server))
{
    server->state->on_stream_moved = fn;
}

void mx_server_stream_moved(mx_server_t *server)
{
    if (server->state->on_stream_moved)
        server->state->on_stream_moved(server);
    if (server->poke_others)
        server->poke_others(server->poke_baton);
    mx_runner_stream_moved(server);
}
