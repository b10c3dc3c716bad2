/* SPDX-License-Identifier: Apache-2.0 */
/* Views of rooms: one version of a room at a time, replaced by our own commits without reading, checked when they grow old. */
#include "room/room_private.h"

#include "room/facts.h"

#include <stdint.h>
#include <stdlib.h>

#define VIEW_MAX_AGE_US 1000000         /* an older view is checked before it is given to a reader */
#define ID_ENTRY_BYTES 160
#define CARRY_MIN_ENTRIES 8             /* fewer are asked for again */
#define VIEW_BASE_BYTES 8192            /* a pool's first block */
#define VIEWS_KEEP_BYTES (1024 * 1024)  /* memory of views that are gone, for the next: each commit makes one and drops one */

static void view_destroy(void *value)
{
    mx_room_t *room = value;
    if (room->priv->known)
        mx_room_known_unref(room->priv->known);
    apr_pool_destroy(room->priv->pool);
}

static apr_status_t put_ref(void *ref)
{
    mx_cache_put(ref);
    return APR_SUCCESS;
}

static apr_status_t destroy_allocator(void *allocator)
{
    apr_allocator_destroy(allocator);
    return APR_SUCCESS;
}

/** Where the pools of views come from; its cleanup comes after that of the views, which it is registered before. */
static apr_status_t make_allocator(struct mx_room_state_t *state, apr_pool_t *pool)
{
    apr_thread_mutex_t *lock;
    apr_status_t rv = apr_thread_mutex_create(&lock, APR_THREAD_MUTEX_DEFAULT, pool);
    if (rv == APR_SUCCESS)
        rv = apr_allocator_create(&state->view_allocator);
    if (rv != APR_SUCCESS)
        return rv;
    apr_allocator_mutex_set(state->view_allocator, lock);
    apr_allocator_max_free_set(state->view_allocator, VIEWS_KEEP_BYTES);
    apr_pool_cleanup_register(pool, state->view_allocator, destroy_allocator, apr_pool_cleanup_null);
    return APR_SUCCESS;
}

apr_status_t mx_room_cache_init(struct mx_room_state_t *state, mx_server_t *server)
{
    apr_status_t rv = make_allocator(state, server->pool);
    int i;
    if (rv != APR_SUCCESS)
        return rv;
    state->views = mx_cache_create("rooms", mx_settings_cache_bytes(server->settings, MX_CACHE_ROOMS), view_destroy, server->pool);
    state->ids = mx_cache_create("room ids", mx_settings_cache_bytes(server->settings, MX_CACHE_ROOM_IDS), NULL, server->pool);
    for (i = 0; rv == APR_SUCCESS && i < MX_ROOM_STRIPES; i++)
        rv = apr_thread_mutex_create(&state->publish[i], APR_THREAD_MUTEX_DEFAULT, server->pool);
    return rv;
}

apr_status_t mx_room_init(mx_server_t *server)
{
    struct mx_room_state_t *state = apr_pcalloc(server->pool, sizeof(*state));
    apr_status_t rv = mx_room_cache_init(state, server);
    if (rv == APR_SUCCESS)
        rv = mx_room_state_init(state, server);
    if (rv == APR_SUCCESS)
        rv = mx_room_send_init(state, server);
    if (rv == APR_SUCCESS)
        rv = mx_room_group_init(state, server);
    if (rv == APR_SUCCESS)
        rv = mx_room_turn_init(state, server);
    if (rv == APR_SUCCESS)
        rv = mx_room_resolve_init(state, server);
    if (rv != APR_SUCCESS)
        return rv;
    state->facts = mx_room_facts_create(server);
    server->room = state;
    return APR_SUCCESS;
}

/* ---- making ---- */

static void copy_heads(struct mx_room_private_t *priv, const mx_room_row_t *row)
{
    int i;
    priv->nheads = row->nheads;
    priv->heads = apr_pmemdup(priv->pool, row->heads, sizeof(*row->heads) * (apr_size_t)row->nheads);
    priv->head_ids = apr_palloc(priv->pool, sizeof(*priv->head_ids) * (apr_size_t)(row->nheads + 1));
    for (i = 0; i < row->nheads; i++)
        priv->head_ids[i] = mx_slice(mx_slice_dup(row->head_ids[i], priv->pool), row->head_ids[i].len);
}

/** A view of the row; takes the reference to `known`. NULL: a version that this build does not know. */
static mx_room_t *view_create(mx_server_t *server, const mx_room_row_t *row, mx_room_known_t *known, apr_time_t checked_at)
{
    apr_pool_t *pool;
    mx_room_t *room;
    if (apr_pool_create_unmanaged_ex(&pool, NULL, server->room->view_allocator) != APR_SUCCESS)
        abort();        /* as pools do when memory is gone */
    apr_pool_tag(pool, "mx_room");
    room = apr_pcalloc(pool, sizeof(*room));
    room->priv = apr_pcalloc(pool, sizeof(*room->priv));
    room->nid = row->nid;
    room->room_id = apr_pstrdup(pool, row->room_id);
    room->version = mx_room_version_by_number(row->version);
    room->ver = row->ver;
    room->snap_nid = row->snap_nid;
    room->last_stream = row->last_stream;
    room->joined = row->joined;
    room->invited = row->invited;
    room->published = row->published;
    room->priv->pool = pool;
    room->priv->known = known;
    room->priv->power = mx_room_known_power(known);
    room->priv->depth = row->depth;
    room->priv->state_redacted = row->state_redacted;
    room->priv->snap_size = row->snap_size;
    room->priv->snap_hash = row->snap_hash;
    room->priv->checked_at = checked_at;
    copy_heads(room->priv, row);
    return room;
}

/** Puts the view into the cache unless a newer one is there; lends the one that is there afterwards. */
static mx_room_t *view_publish(mx_server_t *server, mx_room_t *room, apr_pool_t *pool)
{
    struct mx_room_state_t *state = server->room;
    apr_thread_mutex_t *lock = state->publish[(apr_uint64_t)room->nid % MX_ROOM_STRIPES];
    apr_int64_t nid = room->nid;
    mx_cache_ref_t *ref;
    mx_room_t *there;
    apr_thread_mutex_lock(lock);
    there = mx_cache_get(&ref, state->views, &nid, sizeof(nid));
    /* of two views of one version the later read wins: the room directory's flag has no version */
    if (there && (there->ver > room->ver
                  || (there->ver == room->ver
                      && __atomic_load_n(&there->priv->checked_at, __ATOMIC_RELAXED) > room->priv->checked_at))) {
        apr_thread_mutex_unlock(lock);
        view_destroy(room);
        room = there;
    }
    else {
        if (there)
            mx_cache_put(ref);
        mx_cache_set(&ref, state->views, &nid, sizeof(nid), room,
                     VIEW_BASE_BYTES + mx_room_known_bytes(room->priv->known), 0);
        apr_thread_mutex_unlock(lock);
    }
    apr_pool_cleanup_register(pool, ref, put_ref, apr_pool_cleanup_null);
    return room;
}

mx_room_t *mx_room_cache_publish(mx_server_t *server, const mx_room_row_t *row, mx_room_known_t *known,
                                 apr_pool_t *pool)
{
    return view_publish(server, view_create(server, row, known, apr_time_now()), pool);
}

static void remember_id(mx_server_t *server, const char *room_id, apr_int64_t nid)
{
    mx_cache_set(NULL, server->room->ids, room_id, strlen(room_id), (void *)(intptr_t)nid, ID_ENTRY_BYTES, 0);
}

static apr_int64_t cached_nid(mx_server_t *server, const char *room_id)
{
    mx_cache_ref_t *ref;
    void *value = mx_cache_get(&ref, server->room->ids, room_id, strlen(room_id));
    if (!value)
        return 0;
    mx_cache_put(ref);
    return (apr_int64_t)(intptr_t)value;
}

/* ---- reading ---- */

static const mx_error_t *unknown_room(apr_pool_t *pool)
{
    return mx_error_make(pool, MX_E_NOT_FOUND, "There is no such room.");
}

/** Takes over what was known of an older state, where reading the difference is cheaper than asking for all again. */
static mx_room_known_t *carry_over(mx_room_known_t *known, mx_server_t *server, const mx_room_row_t *row,
                                   const mx_room_t *old, apr_pool_t *pool)
{
    mx_state_item_t *changed;
    int n;
    if (!old || old->priv->state_redacted != row->state_redacted ||
        mx_room_known_count(old->priv->known) < CARRY_MIN_ENTRIES)
        return known;
    if (mx_store_state_diff(&changed, &n, server->store, old->snap_nid, row->snap_nid, pool) == APR_SUCCESS)
        mx_room_known_carry(known, old->priv->known, changed, n);
    return known;
}

/** Reads room and core state; room_id NULL: by nid. `old` (may be NULL): what we have of the room. */
static const mx_error_t *view_load(mx_room_t **proom, mx_server_t *server, const char *room_id, apr_int64_t nid,
                                   const mx_room_t *old, apr_pool_t *pool)
{
    apr_time_t asked_at = apr_time_now();
    const mx_room_version_t *version;
    mx_room_known_t *known;
    mx_room_entry_t *core;
    mx_room_row_t *row;
    int n;
    apr_status_t rv = mx_store_room_load(&row, &core, &n, server->store, room_id, nid, pool);
    if (rv == MX_STORE_NONE)
        return unknown_room(pool);
    if (rv != APR_SUCCESS)
        return mx_server_store_error(rv, "reading a room", pool);
    version = mx_room_version_by_number(row->version);
    if (!version)
        return mx_error_internal(pool, MX_STORE_ERROR, "the room's version is not known to this build");
    remember_id(server, row->room_id, row->nid);
    known = carry_over(mx_room_known_create(row, version, core, n), server, row, old, pool);
    *proom = view_publish(server, view_create(server, row, known, asked_at), pool);
    return NULL;
}

const mx_error_t *mx_room_cache_reload(mx_room_t **proom, mx_server_t *server, const mx_room_t *old, apr_pool_t *pool)
{
    return view_load(proom, server, NULL, old->nid, old, pool);
}

/** Looks whether the view is still the newest; if not, reads what has changed. */
static const mx_error_t *view_check(mx_room_t **proom, mx_server_t *server, mx_room_t *room, apr_pool_t *pool)
{
    apr_time_t asked_at = apr_time_now();
    mx_room_row_t *row;
    apr_status_t rv = mx_store_room_row(&row, server->store, room->nid, pool);
    if (rv == MX_STORE_NONE)
        return unknown_room(pool);
    if (rv != APR_SUCCESS)
        return mx_server_store_error(rv, "reading a room", pool);
    if (row->ver == room->ver && row->published == room->published) {
        __atomic_store_n(&room->priv->checked_at, asked_at, __ATOMIC_RELAXED);
        *proom = room;
        return NULL;
    }
    if (row->snap_nid != room->snap_nid || row->state_redacted != room->priv->state_redacted)
        return mx_room_cache_reload(proom, server, room, pool);
    *proom = view_publish(server, view_create(server, row, mx_room_known_ref(room->priv->known), asked_at), pool);
    return NULL;
}

static mx_room_t *view_cached(mx_server_t *server, apr_int64_t nid, apr_pool_t *pool)
{
    mx_cache_ref_t *ref;
    mx_room_t *room = mx_cache_get(&ref, server->room->views, &nid, sizeof(nid));
    if (room)
        apr_pool_cleanup_register(pool, ref, put_ref, apr_pool_cleanup_null);
    return room;
}

static const mx_error_t *get_by_nid(mx_room_t **proom, mx_server_t *server, apr_int64_t nid, int fresh,
                                    apr_pool_t *pool)
{
    mx_room_t *room = view_cached(server, nid, pool);
    apr_time_t age;
    if (!room)
        return view_load(proom, server, NULL, nid, NULL, pool);
    age = apr_time_now() - __atomic_load_n(&room->priv->checked_at, __ATOMIC_RELAXED);
    if (fresh || age > VIEW_MAX_AGE_US)
        return view_check(proom, server, room, pool);
    *proom = room;
    return NULL;
}

const mx_error_t *mx_room_get(mx_room_t **proom, mx_server_t *server, const char *room_id, int fresh, apr_pool_t *pool)
{
    apr_int64_t nid = cached_nid(server, room_id);
    return nid ? get_by_nid(proom, server, nid, fresh, pool) : view_load(proom, server, room_id, 0, NULL, pool);
}

const mx_error_t *mx_room_get_by_nid(mx_room_t **proom, mx_server_t *server, apr_int64_t room_nid, apr_pool_t *pool)
{
    return get_by_nid(proom, server, room_nid, 0, pool);
}

const mx_error_t *mx_room_get_since(mx_room_t **proom, mx_server_t *server, apr_int64_t room_nid, apr_int64_t stream, apr_pool_t *pool)
{
    const mx_error_t *err = mx_room_get_by_nid(proom, server, room_nid, pool);
    return err || (*proom)->last_stream >= stream ? err : mx_room_get(proom, server, (*proom)->room_id, 1, pool);
}

const mx_error_t *mx_room_cache_get_any(mx_room_t **proom, mx_server_t *server, const char *room_id, apr_pool_t *pool)
{
    apr_int64_t nid = cached_nid(server, room_id);
    mx_room_t *room = nid ? view_cached(server, nid, pool) : NULL;
    if (!room)
        return view_load(proom, server, room_id, nid, NULL, pool);
    *proom = room;
    return NULL;
}

apr_int64_t mx_room_cache_state_redacted(mx_server_t *server, apr_int64_t room_nid, apr_pool_t *pool)
{
    mx_room_t *room = view_cached(server, room_nid, pool);
    if (!room && view_load(&room, server, NULL, room_nid, NULL, pool) != NULL)
        return 0;
    return room->priv->state_redacted;
}
