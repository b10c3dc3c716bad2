/* SPDX-License-Identifier: Apache-2.0 */
/* The stream of a homeserver in this child: its start and end, pokes, and which way an answer takes. */
#include "sync/devices.h"
#include "store/stream.h"
#include "sync/sliding_private.h"
#include "sync/tally.h"
#include <sys/eventfd.h>
#include <unistd.h>

static void stream_moved(mx_server_t *server)
{
    mx_sync_poked(server);
}

void mx_sync_poked(mx_server_t *server)
{
    mx_sync_state_t *state = server->sync;

    /* nobody waits: whoever comes looks for himself */
    if (__atomic_load_n(&state->running, __ATOMIC_RELAXED)) mx_sync_notifier_poke(state, MX_SYNC_POKE_LOOK);
}

static apr_status_t close_fd(void *data)
{
    mx_sync_state_t *state = data;

    close(state->wake_fd);
    return APR_SUCCESS;
}

apr_status_t mx_sync_init(mx_server_t *server)
{
    mx_sync_state_t *state = apr_pcalloc(server->pool, sizeof(*state));
    const mx_settings_t *settings = server->settings;
    apr_allocator_t *allocator;
    apr_status_t rv;

    state->server = server;
    state->ring.max_entries = server->settings->sync_ring_events;
    state->ring.max_bytes = (apr_size_t)server->settings->sync_ring_bytes;
    state->wake_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    if (state->wake_fd < 0) return APR_FROM_OS_ERROR(errno);
    apr_pool_cleanup_register(server->pool, state, close_fd, apr_pool_cleanup_null);
    /* grows at request time, under our lock: it may share no allocator with the child's pool */
    rv = apr_allocator_create(&allocator);
    if (rv == APR_SUCCESS) rv = apr_pool_create_unmanaged_ex(&state->pool, NULL, allocator);
    if (rv != APR_SUCCESS) return rv;
    apr_allocator_owner_set(allocator, state->pool);
    apr_pool_tag(state->pool, "mx_sync");
    rv = apr_thread_mutex_create(&state->lock, APR_THREAD_MUTEX_DEFAULT, server->pool);
    if (rv == APR_SUCCESS) rv = apr_thread_mutex_create(&state->lazy_lock, APR_THREAD_MUTEX_DEFAULT, server->pool);
    if (rv != APR_SUCCESS) return rv;
    mx_sync_interest_init(&state->interest, state->pool);
    mx_sync_devices_init(state);
    mx_sync_presence_init(state);
    state->lazy = mx_sync_lazy_create(mx_settings_cache_bytes(settings, MX_CACHE_LAZY_MEMBERS), server->pool);
    state->filters = mx_sync_filter_cache_create(mx_settings_cache_bytes(settings, MX_CACHE_FILTERS), server->pool);
    state->filter_ids = mx_sync_filter_id_cache_create(mx_settings_cache_bytes(settings, MX_CACHE_FILTER_IDS), server->pool);
    state->push_settings = mx_sync_push_settings_cache_create(mx_settings_cache_bytes(settings, MX_CACHE_PUSH_SETTINGS), server->pool);
    state->tallies = mx_sync_tally_cache_create(mx_settings_cache_bytes(settings, MX_CACHE_UNREAD), server->pool);
    state->sliding_conns = mx_sliding_conn_cache_create(mx_settings_cache_bytes(settings, MX_CACHE_SLIDING_CONNS), server->pool);
    state->sliding_events = mx_sliding_rows_cache_create(mx_settings_cache_bytes(settings, MX_CACHE_SLIDING_EVENTS), server->pool);
    state->sliding_summaries = mx_sliding_summary_cache_create(mx_settings_cache_bytes(settings, MX_CACHE_SLIDING_SUMMARIES), server->pool);
    state->sliding_rooms = mx_sliding_list_cache_create(mx_settings_cache_bytes(settings, MX_CACHE_SLIDING_ROOMS), server->pool);
    state->predefined_rules = mx_user_push_settings_predefined(server->pool);
    server->sync = state;
    mx_server_on_stream_moved(server, stream_moved);
    return APR_SUCCESS;
}

void mx_sync_stop(mx_server_t *server)
{
    if (server->sync) mx_sync_notifier_stop(server->sync);
}

/*
 * A patient client is answered from the ring as far as that goes: what is not in it yet will wake it. Any other wants
 * what is there now, also what another host has just stored: the ring serves only if it has come that far.
 */
const mx_error_t *mx_sync_answer(mx_sync_answer_t *out, mx_server_t *server, const mx_sync_ask_t *ask, apr_pool_t *pool)
{
    apr_int64_t position = 0;
    const mx_error_t *err = NULL;
    int done = 0;

    if (ask->since >= 0 && !ask->patient && __atomic_load_n(&server->sync->ready, __ATOMIC_RELAXED)) {
        err = mx_sync_position(&position, server, pool);
        if (err) return err;
    }
    if (ask->since >= 0) err = mx_sync_devices_settle(server, ask, pool);
    if (!err && ask->since >= 0) err = mx_sync_live_answer(out, &done, server, ask, position, pool);
    return err || done ? err : mx_sync_full_answer(out, server, ask, pool);
}
