/* SPDX-License-Identifier: Apache-2.0 */
/* The current state of rooms, entry by entry: from what is known of the snapshot, else from the database, once. */
#include "room/room_private.h"

#include "store/event_id.h"

#define EVENT_BASE_BYTES 8192           /* a pool's first block */

/** A state event's content changes once, when it is redacted: then the room's state_redacted does. */
typedef struct mx_room_state_event_key_t {
    apr_int64_t nid, state_redacted;
} mx_room_state_event_key_t;

typedef struct mx_room_state_event_t {
    apr_pool_t *pool;
    mx_room_current_t current;
} mx_room_state_event_t;

static void event_destroy(void *value)
{
    apr_pool_destroy(((mx_room_state_event_t *)value)->pool);
}

apr_status_t mx_room_state_init(struct mx_room_state_t *state, mx_server_t *server)
{
    state->events = mx_cache_create("state events", mx_settings_cache_bytes(server->settings, MX_CACHE_STATE_EVENTS),
                                    event_destroy, server->pool);
    return apr_thread_mutex_create(&state->hash_key_lock, APR_THREAD_MUTEX_DEFAULT, server->pool);
}

static apr_status_t put_ref(void *ref)
{
    mx_cache_put(ref);
    return APR_SUCCESS;
}

/** Puts the event into the cache and lends it to `pool`. */
static void event_lend(mx_room_current_t *out, mx_server_t *server, const mx_room_t *room, const mx_event_row_t *row,
                       apr_pool_t *pool)
{
    mx_room_state_event_key_t key = { row->nid, room->priv->state_redacted };
    apr_pool_t *own = mx_room_known_pool("mx_room_state_event");
    mx_room_state_event_t *made = apr_pcalloc(own, sizeof(*made));
    mx_cache_ref_t *ref;
    made->pool = own;
    mx_room_known_fill(&made->current, room->version, row->nid, row->pdu, mx_store_event_id_unpack(row->id, own), own);
    mx_cache_set(&ref, server->room->events, &key, sizeof(key), made, EVENT_BASE_BYTES + 2 * row->pdu.len, 0);
    apr_pool_cleanup_register(pool, ref, put_ref, apr_pool_cleanup_null);
    *out = made->current;
}

static int event_cached(mx_room_current_t *out, mx_server_t *server, const mx_room_t *room, apr_int64_t nid,
                        apr_pool_t *pool)
{
    mx_room_state_event_key_t key = { nid, room->priv->state_redacted };
    mx_cache_ref_t *ref;
    mx_room_state_event_t *event = mx_cache_get(&ref, server->room->events, &key, sizeof(key));
    if (!event)
        return 0;
    apr_pool_cleanup_register(pool, ref, put_ref, apr_pool_cleanup_null);
    *out = event->current;
    return 1;
}

static const mx_error_t *event_load(mx_room_current_t *out, mx_server_t *server, mx_room_t *room, apr_int64_t nid,
                                    apr_pool_t *pool)
{
    mx_event_row_t *row;
    int n;
    apr_status_t rv;
    if (event_cached(out, server, room, nid, pool))
        return NULL;
    rv = mx_store_event_by_nids(&row, &n, server->store, &nid, 1, pool);
    if (rv != APR_SUCCESS || n != 1)
        return mx_server_store_error(rv != APR_SUCCESS ? rv : MX_STORE_NONE, "reading a state event", pool);
    event_lend(out, server, room, row, pool);
    return NULL;
}

/** For a view that is not the newest any more: the entry in its snapshot. */
static const mx_error_t *find_in_snapshot(apr_int64_t *pnid, mx_server_t *server, mx_room_t *room, apr_int64_t skey_nid,
                                          apr_pool_t *pool)
{
    mx_state_hit_t *hits;
    int n = 0;
    apr_status_t rv = APR_SUCCESS;
    if (skey_nid && room->snap_nid)
        rv = mx_store_state_entries(&hits, &n, server->store, &room->snap_nid, 1, &skey_nid, 1, pool);
    if (rv != APR_SUCCESS)
        return mx_server_store_error(rv, "reading a snapshot", pool);
    *pnid = n ? hits[0].nid : 0;
    return NULL;
}

static const mx_error_t *find_in_store(mx_room_current_t *out, mx_server_t *server, mx_room_t *room, const char *type,
                                       const char *state_key, apr_pool_t *pool)
{
    mx_slice_t key = mx_room_known_key(type, state_key, pool);
    mx_room_entry_t entry;
    apr_int64_t snap_nid, state_redacted;
    const mx_error_t *err;
    apr_status_t rv =
        mx_store_room_entry(&entry, &snap_nid, &state_redacted, server->store, room->nid, type, state_key, pool);
    if (rv != APR_SUCCESS)
        return mx_server_store_error(rv, "reading the state of a room", pool);
    if (snap_nid == room->snap_nid && state_redacted == room->priv->state_redacted) {
        mx_room_known_learn(room->priv->known, key, entry.skey_nid, entry.event.nid);
        if (entry.event.nid)
            event_lend(out, server, room, &entry.event, pool);
        return NULL;
    }
    err = find_in_snapshot(&entry.event.nid, server, room, entry.skey_nid, pool);
    if (err)
        return err;
    mx_room_known_learn(room->priv->known, key, entry.skey_nid, entry.event.nid);
    return entry.event.nid ? event_load(out, server, room, entry.event.nid, pool) : NULL;
}

const mx_error_t *mx_room_state_find(mx_room_current_t *out, mx_server_t *server, mx_room_t *room, const char *type,
                                     const char *state_key, apr_pool_t *pool)
{
    static const mx_room_current_t none;
    mx_room_current_t found = none;
    mx_room_known_t *known = room->priv->known;
    const mx_error_t *err = NULL;
    apr_int64_t nid;
    if (mx_room_known_core(&found, known, type, state_key))
        err = NULL;
    else if (!mx_room_known_find(&nid, known, mx_room_known_key(type, state_key, pool)))
        err = find_in_store(&found, server, room, type, state_key, pool);
    else if (nid)
        err = event_load(&found, server, room, nid, pool);
    if (!err)
        *out = found;
    return err;
}

const mx_error_t *mx_room_state_get(const mx_event_t **pevent, mx_server_t *server, mx_room_t *room, const char *type,
                                    const char *state_key, apr_pool_t *pool)
{
    mx_room_current_t found;
    const mx_error_t *err = mx_room_state_find(&found, server, room, type, state_key, pool);
    if (!err)
        *pevent = found.event;
    return err;
}

const mx_error_t *mx_room_membership(mx_membership_e *pmembership, mx_server_t *server, mx_room_t *room,
                                     const char *user_id, apr_pool_t *pool)
{
    mx_room_current_t found;
    const mx_error_t *err = mx_room_state_find(&found, server, room, "m.room.member", user_id, pool);
    if (!err)
        *pmembership = found.membership;
    return err;
}

const mx_error_t *mx_room_power(const mx_power_t **ppower, mx_server_t *server, mx_room_t *room, apr_pool_t *pool)
{
    if (!room->priv->power)
        return mx_error_make(pool, MX_E_NOT_FOUND, "The room has no create event.");
    *ppower = room->priv->power;
    return NULL;
}

const mx_error_t *mx_room_state_all(mx_event_row_t **prows, int *pn, mx_server_t *server, mx_room_t *room,
                                    apr_pool_t *pool)
{
    apr_int64_t snap_nid;
    int n;
    apr_status_t rv = mx_store_room_state(prows, &n, &snap_nid, server->store, room->nid, pool);
    if (rv == APR_SUCCESS && snap_nid != room->snap_nid && room->snap_nid)
        rv = mx_room_state_of_snapshot(prows, &n, server, room->snap_nid, pool);
    if (rv != APR_SUCCESS)
        return mx_server_store_error(rv, "reading the state of a room", pool);
    *pn = n;
    return NULL;
}

const mx_error_t *mx_room_state_hash_key(const unsigned char **pkey, mx_server_t *server, apr_pool_t *pool)
{
    struct mx_room_state_t *state = server->room;
    unsigned char key[MX_STATE_HASH_KEY_BYTES];
    apr_status_t rv;
    if (!__atomic_load_n(&state->hash_key_known, __ATOMIC_ACQUIRE)) {
        rv = mx_store_state_hash_key(key, server->store, pool);
        if (rv != APR_SUCCESS)
            return mx_server_store_error(rv, "reading the key of snapshot hashes", pool);
        apr_thread_mutex_lock(state->hash_key_lock);
        if (!state->hash_key_known) {
            memcpy(state->hash_key, key, sizeof(key));
            __atomic_store_n(&state->hash_key_known, 1, __ATOMIC_RELEASE);
        }
        apr_thread_mutex_unlock(state->hash_key_lock);
    }
    *pkey = state->hash_key;
    return NULL;
}
