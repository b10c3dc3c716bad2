/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Resolves forks: equal states and remembered ones at once, others over the room's auth DAG, loading the events that are disputed and
 * those that the rules ask for. Rooms v2: state resolution.
 */
#include "room/auth_dag.h"
#include "room/resolve_private.h"

#include "store/resolve.h"

#include <stdlib.h>

#define EVENTS_OF_ROOM_SHARE 4        /* of the cache of events, or of one of its shards: one room's part */
#define RESULT_BYTES 128              /* of an entry without its changes, roughly */
#define RESULT_CHANGES_MAX 1024       /* a result with more is not kept in the child */

apr_status_t mx_room_resolve_init(struct mx_room_state_t *state, mx_server_t *server)
{
    const mx_settings_t *settings = server->settings;
    struct mx_room_resolver_t *resolver = apr_pcalloc(server->pool, sizeof(*resolver));
    resolver->events_max = mx_settings_cache_bytes(settings, MX_CACHE_AUTH_EVENTS);
    resolver->dags = mx_cache_create("auth DAGs", mx_settings_cache_bytes(settings, MX_CACHE_AUTH_DAGS),
                                     mx_room_auth_dag_destroy, server->pool);
    resolver->events = mx_cache_create("auth events", resolver->events_max, mx_room_auth_event_destroy, server->pool);
    resolver->results = mx_cache_create("resolutions", mx_settings_cache_bytes(settings, MX_CACHE_RESOLUTIONS),
                                        mx_cache_value_destroy, server->pool);
    state->resolver = resolver;
    return APR_SUCCESS;
}

/* ---- what was resolved before ---- */

typedef struct result_t {
    apr_int64_t base;
    int n;
    mx_state_item_t changes[];
} result_t;

typedef struct result_key_t {
    unsigned char hash[MX_SHA256_BYTES];
} result_key_t;

/** As in the database, a redaction of a state event makes it another one: versions differ in what of it the rules still find. */
static result_key_t result_key(apr_int64_t room_nid, apr_int64_t state_redacted, const apr_int64_t *snaps, int n, apr_pool_t *pool)
{
    apr_int64_t *all = apr_palloc(pool, sizeof(*all) * (apr_size_t)(n + 2));
    result_key_t key;
    all[0] = room_nid;
    all[1] = state_redacted;
    memcpy(all + 2, snaps, sizeof(*snaps) * (apr_size_t)n);
    mx_sha256(key.hash, all, sizeof(*all) * (apr_size_t)(n + 2));
    return key;
}

static int recall_here(mx_room_resolved_t *out, mx_server_t *server, const result_key_t *key, apr_pool_t *pool)
{
    mx_cache_ref_t *ref;
    const result_t *result = mx_cache_get(&ref, server->room->resolver->results, key, sizeof(*key));
    if (!result)
        return 0;
    out->base = result->base;
    out->changes = apr_pmemdup(pool, result->changes, sizeof(mx_state_item_t) * (apr_size_t)result->n);
    out->n = result->n;
    mx_cache_put(ref);
    return 1;
}

static void remember_here(mx_server_t *server, const result_key_t *key, const mx_room_resolved_t *resolved)
{
    apr_size_t bytes = sizeof(mx_state_item_t) * (apr_size_t)resolved->n;
    result_t *result;
    if (resolved->n > RESULT_CHANGES_MAX)
        return;
    result = mx_cache_value_create(sizeof(*result) + bytes);
    result->base = resolved->base;
    result->n = resolved->n;
    if (bytes)
        memcpy(result->changes, resolved->changes, bytes);
    mx_cache_set(NULL, server->room->resolver->results, key, sizeof(*key), result, RESULT_BYTES + bytes, 0);
}

/** What another child found: 1 if there is such a word. A failure to ask is the next query's to tell. */
static int recall_stored(mx_room_resolved_t *out, mx_server_t *server, apr_int64_t room_nid, apr_int64_t state_redacted,
                         const apr_int64_t *snaps, int n, apr_pool_t *pool)
{
    apr_int64_t snap;
    mx_state_item_t *changes;
    int nchanges, whole;
    if (mx_store_resolve_recall(&snap, server->store, room_nid, state_redacted, snaps, n, pool) != APR_SUCCESS)
        return 0;
    if (mx_store_state_diff(&changes, &nchanges, server->store, snaps[n - 1], snap, pool) != APR_SUCCESS)
        return 0;
    /* Gone meanwhile, in whole or in part, it would have looked like another state. */
    if (mx_store_resolve_is_whole(&whole, server->store, room_nid, snap, pool) != APR_SUCCESS || !whole)
        return 0;
    out->base = snaps[n - 1];
    out->changes = changes;
    out->n = nchanges;
    return 1;
}

void mx_room_resolve_remember(mx_server_t *server, apr_int64_t room_nid, apr_int64_t state_redacted, const apr_int64_t *snaps, int n,
                              apr_int64_t result, apr_pool_t *pool)
{
    mx_store_resolve_remember(server->store, room_nid, state_redacted, snaps, n, result, pool);
}

/* ---- where the algorithm asks ---- */

typedef struct asked_t {
    mx_server_t *server;
    apr_int64_t room_nid;
    const mx_room_version_t *version;
    const mx_room_resolve_states_t *states;
    apr_pool_t *pool;
} asked_t;

static const mx_error_t *ask_events(void *baton, const mx_event_t **out, const apr_int64_t *nids, int n)
{
    asked_t *a = baton;
    return mx_room_auth_event_load(out, a->server, a->room_nid, a->version, nids, n, a->pool);
}

static const mx_error_t *ask_skeys(void *baton, apr_int64_t *out, const mx_state_key_t *keys, int n)
{
    asked_t *a = baton;
    apr_status_t rv = mx_store_resolve_skeys(out, a->server->store, keys, n, a->pool);
    return rv == APR_SUCCESS ? NULL : mx_server_store_error(rv, "reading the numbers of state keys", a->pool);
}

/** Undisputed entries are those of the base as well as of any other state. */
static const mx_error_t *ask_entries(void *baton, apr_int64_t *out, const apr_int64_t *skeys, int n)
{
    asked_t *a = baton;
    apr_status_t rv = mx_store_resolve_entries(out, a->server->store, a->states->snaps[0], skeys, n, a->pool);
    int i;
    if (rv != APR_SUCCESS)
        return mx_server_store_error(rv, "reading undisputed state", a->pool);
    for (i = 0; a->states->extra_everywhere && i < n; i++) {
        if (skeys[i] == a->states->extra_skey)
            out[i] = MX_STATE_RES_EXTRA;
    }
    return NULL;
}

static const mx_error_t *run(mx_room_resolved_t *out, asked_t *a, const mx_room_resolve_states_t *s, apr_pool_t *pool)
{
    mx_state_res_source_t source = { ask_events, ask_skeys, ask_entries, a };
    mx_state_res_input_t in = { .version = a->version, .nsets = (apr_uint32_t)s->n, .base = s->base, .nbase = s->nskeys,
                                .changes = s->changes, .nchanges = s->nchanges, .extra = s->extra, .extra_auth = s->extra_auth,
                                .nextra_auth = s->nextra_auth, .extra_skey = s->extra_skey };
    mx_state_res_item_t *items = NULL;
    const mx_error_t *err = NULL;
    int n = 0;
    if (s->nskeys)
        err = mx_room_auth_dag_get(&in.dag, a->server, a->room_nid, pool);
    if (!err && s->nskeys)
        err = mx_state_res_run(&items, &n, &in, &source, pool);
    if (!err)
        mx_room_resolve_states_write(out, s, items, n, pool);
    return err;
}

/* ---- the call ---- */

static int input_cmp(const void *a, const void *b)
{
    const mx_room_resolve_input_t *x = a, *y = b;
    if (x->snap != y->snap)
        return x->snap < y->snap ? -1 : 1;
    return (x->extra != NULL) - (y->extra != NULL);
}

/** Sorted by snapshot, each state once. */
static int distinct(mx_room_resolve_input_t *inputs, int n)
{
    int i, used = 0;
    qsort(inputs, (size_t)n, sizeof(*inputs), input_cmp);
    for (i = 0; i < n; i++) {
        if (!used || input_cmp(&inputs[used - 1], &inputs[i]) != 0)
            inputs[used++] = inputs[i];
    }
    return used;
}

static const mx_error_t *resolve(mx_room_resolved_t *out, asked_t *a, const mx_room_resolve_input_t *inputs, int n, apr_pool_t *pool)
{
    mx_room_resolve_states_t states;
    const mx_error_t *err = mx_room_resolve_states_read(&states, a->server, a->room_nid, inputs, n, pool);
    if (err)
        return err;
    a->states = &states;
    return run(out, a, &states, pool);
}

const mx_error_t *mx_room_resolve(mx_room_resolved_t *out, mx_server_t *server, apr_int64_t room_nid, const mx_room_version_t *version,
                                  const mx_room_resolve_input_t *inputs, int n, apr_pool_t *pool)
{
    asked_t a = { server, room_nid, version, NULL, pool };
    mx_room_resolve_input_t *all = apr_pmemdup(pool, inputs, sizeof(*all) * (apr_size_t)n);
    apr_int64_t *snaps = apr_palloc(pool, sizeof(*snaps) * (apr_size_t)(n + 1)), state_redacted;
    const mx_error_t *err;
    result_key_t key;
    int i, extra = 0;
    n = distinct(all, n);
    if (!n || (n == 1 && !all->extra)) {
        *out = (mx_room_resolved_t){ .base = n ? all->snap : 0 };
        return NULL;
    }
    for (i = 0; i < n; i++) {
        snaps[i] = all[i].snap;
        extra |= all[i].extra != NULL;
    }
    if (extra)
        return resolve(out, &a, all, n, pool);
    state_redacted = mx_room_cache_state_redacted(server, room_nid, pool);
    key = result_key(room_nid, state_redacted, snaps, n, pool);
    if (!recall_here(out, server, &key, pool)) {
        err = recall_stored(out, server, room_nid, state_redacted, snaps, n, pool) ? NULL : resolve(out, &a, all, n, pool);
        if (err)
            return err;
        remember_here(server, &key, out);
    }
    out->state_redacted = state_redacted;
    return NULL;
}
