/* SPDX-License-Identifier: Apache-2.0 */
/* What the child knows of the current state of rooms: core events ready to use, other entries as they are asked for. */
#include "room/room_private.h"

#include "store/event_id.h"

#include <apr_hash.h>
#include <stdlib.h>

#define KNOWN_ENTRIES_MAX 4096          /* entries remembered of one snapshot; past it they are looked up each time */
#define KNOWN_BASE_BYTES 24576          /* pool, four parsed core events */
#define KNOWN_ENTRY_BYTES 160
#define EVENT_BASE_BYTES 8192           /* a pool's first block */
#define EVENTS_SHARE 4                  /* of MatrixCacheSize: one in so many bytes */

enum { CORE_CREATE, CORE_POWER_LEVELS, CORE_JOIN_RULES, CORE_HISTORY_VISIBILITY, NCORE };
static const char *const core_types[NCORE] = { MX_ROOM_CORE_TYPES };

struct mx_room_known_t {
    int refs;                           /* atomic */
    apr_pool_t *pool;
    apr_int64_t snap_nid, state_redacted;
    mx_room_current_t core[NCORE];
    const mx_power_t *power;
    apr_thread_mutex_t *lock;           /* of what follows */
    apr_hash_t *entries;                /* type NUL state_key: nid */
    apr_size_t bytes;
};

/** A state event's content changes once, when it is redacted: then the room's state_redacted does. */
typedef struct mx_room_state_event_key_t {
    apr_int64_t nid, state_redacted;
} mx_room_state_event_key_t;

typedef struct mx_room_state_event_t {
    apr_pool_t *pool;
    mx_room_current_t current;
} mx_room_state_event_t;

/** A pool of its own, whose memory goes back to the system; any thread may destroy it. */
static apr_pool_t *own_pool(const char *tag)
{
    apr_pool_t *pool;
    if (apr_pool_create_unmanaged_ex(&pool, NULL, NULL) != APR_SUCCESS)
        abort();        /* as pools do when memory is gone */
    apr_pool_tag(pool, tag);
    return pool;
}

static int core_index(const char *type, const char *state_key)
{
    int i;
    for (i = 0; !*state_key && i < NCORE; i++) {
        if (strcmp(type, core_types[i]) == 0)
            return i;
    }
    return -1;
}

/** A copy of the event that many threads may read: bytes and strings in `pool`, content parsed. */
static void current_fill(mx_room_current_t *out, const mx_room_version_t *version, apr_int64_t nid, mx_slice_t pdu, const char *event_id,
                         apr_pool_t *pool)
{
    mx_event_t *event;
    mx_slice_t copy = mx_slice(mx_slice_dup(pdu, pool), pdu.len);
    if (mx_event_parse(&event, version, copy, apr_pstrdup(pool, event_id), pool) != NULL)
        return;         /* not possible with what we stored */
    out->nid = nid;
    out->event = event;
    out->membership = strcmp(event->type, "m.room.member") == 0
                          ? mx_membership_parse(mx_json_get_str(mx_event_content(event), "membership"))
                          : (mx_event_content(event), MX_MEMBERSHIP_NONE);
}

static mx_room_known_t *known_new(apr_int64_t snap_nid, apr_int64_t state_redacted)
{
    apr_pool_t *pool = own_pool("mx_room_known");
    mx_room_known_t *known = apr_pcalloc(pool, sizeof(*known));
    known->pool = pool;
    known->refs = 1;
    known->snap_nid = snap_nid;
    known->state_redacted = state_redacted;
    known->entries = apr_hash_make(pool);
    known->bytes = KNOWN_BASE_BYTES;
    if (apr_thread_mutex_create(&known->lock, APR_THREAD_MUTEX_DEFAULT, pool) != APR_SUCCESS)
        abort();
    return known;
}

static void known_make_power(mx_room_known_t *known)
{
    if (known->core[CORE_CREATE].event)
        known->power = mx_power_create(known->core[CORE_CREATE].event, known->core[CORE_POWER_LEVELS].event, known->pool);
}

mx_room_known_t *mx_room_known_create(const mx_room_row_t *row, const mx_room_version_t *version, const mx_room_entry_t *core, int n)
{
    mx_room_known_t *known = known_new(row->snap_nid, row->state_redacted);
    int i;
    for (i = 0; i < n; i++) {
        int at = core_index(core[i].type, core[i].state_key);
        if (at >= 0)
            current_fill(&known->core[at], version, core[i].event.nid, core[i].event.pdu,
                         mx_store_event_id_unpack(core[i].event.id, known->pool), known->pool);
    }
    known_make_power(known);
    return known;
}

static mx_slice_t entry_key(const char *type, const char *state_key, apr_pool_t *pool)
{
    apr_size_t type_len = strlen(type) + 1, key_len = strlen(state_key);
    char *p = apr_palloc(pool, type_len + key_len + 1);
    memcpy(p, type, type_len);
    memcpy(p + type_len, state_key, key_len + 1);
    return mx_slice(p, type_len + key_len);
}

/** For the owner of a table that nobody else sees yet, or under its lock. */
static void entry_set(mx_room_known_t *known, mx_slice_t key, apr_int64_t nid)
{
    apr_int64_t *value = apr_hash_get(known->entries, key.p, (apr_ssize_t)key.len);
    if (value) {
        *value = nid;
        return;
    }
    if (apr_hash_count(known->entries) >= KNOWN_ENTRIES_MAX)
        return;
    value = apr_palloc(known->pool, sizeof(*value));
    *value = nid;
    apr_hash_set(known->entries, apr_pmemdup(known->pool, key.p, key.len + 1), (apr_ssize_t)key.len, value);
    known->bytes += KNOWN_ENTRY_BYTES + key.len;
}

static void copy_entries(mx_room_known_t *known, const mx_room_known_t *old)
{
    apr_hash_index_t *hi;
    apr_thread_mutex_lock(old->lock);
    /* a full table is let go: most of it belongs to those who have been silent for long */
    if (apr_hash_count(old->entries) < KNOWN_ENTRIES_MAX) {
        for (hi = apr_hash_first(known->pool, old->entries); hi; hi = apr_hash_next(hi)) {
            const void *key;
            apr_ssize_t len;
            void *value;
            apr_hash_this(hi, &key, &len, &value);
            entry_set(known, mx_slice(key, (apr_size_t)len), *(apr_int64_t *)value);
        }
    }
    apr_thread_mutex_unlock(old->lock);
}

mx_room_known_t *mx_room_known_next(const mx_room_known_t *old, const mx_room_version_t *version, apr_int64_t snap_nid,
                                    const mx_room_change_t *changes, int n)
{
    mx_room_known_t *known = known_new(snap_nid, old ? old->state_redacted : 0);
    const mx_room_change_t *core[NCORE] = { NULL };
    int i, at;
    if (old)
        copy_entries(known, old);
    for (i = 0; i < n; i++) {
        at = core_index(changes[i].type, changes[i].state_key);
        if (at >= 0)
            core[at] = &changes[i];
        else
            entry_set(known, entry_key(changes[i].type, changes[i].state_key, known->pool), changes[i].nid);
    }
    for (i = 0; i < NCORE; i++) {
        const mx_event_t *event = core[i] ? core[i]->event : old ? old->core[i].event : NULL;
        if (event)
            current_fill(&known->core[i], version, core[i] ? core[i]->nid : old->core[i].nid, event->pdu, event->event_id, known->pool);
    }
    known_make_power(known);
    return known;
}

mx_room_known_t *mx_room_known_ref(mx_room_known_t *known)
{
    __atomic_add_fetch(&known->refs, 1, __ATOMIC_RELAXED);
    return known;
}

void mx_room_known_unref(mx_room_known_t *known)
{
    if (__atomic_sub_fetch(&known->refs, 1, __ATOMIC_ACQ_REL) == 0)
        apr_pool_destroy(known->pool);
}

apr_size_t mx_room_known_bytes(const mx_room_known_t *known)
{
    apr_size_t bytes;
    apr_thread_mutex_lock(known->lock);
    bytes = known->bytes;
    apr_thread_mutex_unlock(known->lock);
    return bytes;
}

const mx_power_t *mx_room_known_power(const mx_room_known_t *known)
{
    return known->power;
}

/* ---- single entries ---- */

static void event_destroy(void *value)
{
    apr_pool_destroy(((mx_room_state_event_t *)value)->pool);
}

apr_status_t mx_room_state_init(struct mx_room_state_t *state, mx_server_t *server)
{
    state->events = mx_cache_create("state events", (apr_size_t)server->settings->cache_bytes / EVENTS_SHARE, event_destroy, server->pool);
    return apr_thread_mutex_create(&state->hash_key_lock, APR_THREAD_MUTEX_DEFAULT, server->pool);
}

static apr_status_t put_ref(void *ref)
{
    mx_cache_put(ref);
    return APR_SUCCESS;
}

/** Puts the event into the cache and lends it to `pool`. */
static void event_lend(mx_room_current_t *out, mx_server_t *server, const mx_room_t *room, const mx_event_row_t *row, apr_pool_t *pool)
{
    mx_room_state_event_key_t key = { row->nid, room->priv->state_redacted };
    apr_pool_t *own = own_pool("mx_room_state_event");
    mx_room_state_event_t *made = apr_pcalloc(own, sizeof(*made));
    mx_cache_ref_t *ref;
    made->pool = own;
    current_fill(&made->current, room->version, row->nid, row->pdu, mx_store_event_id_unpack(row->id, own), own);
    mx_cache_set(&ref, server->room->events, &key, sizeof(key), made, EVENT_BASE_BYTES + 2 * row->pdu.len, 0);
    apr_pool_cleanup_register(pool, ref, put_ref, apr_pool_cleanup_null);
    *out = made->current;
}

static int event_cached(mx_room_current_t *out, mx_server_t *server, const mx_room_t *room, apr_int64_t nid, apr_pool_t *pool)
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

static const mx_error_t *event_load(mx_room_current_t *out, mx_server_t *server, mx_room_t *room, apr_int64_t nid, apr_pool_t *pool)
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

/** 1 if the entry is known; its nid may be 0. */
static int entry_known(apr_int64_t *pnid, const mx_room_known_t *known, mx_slice_t key)
{
    const apr_int64_t *value;
    apr_thread_mutex_lock(known->lock);
    value = apr_hash_get(known->entries, key.p, (apr_ssize_t)key.len);
    if (value)
        *pnid = *value;
    apr_thread_mutex_unlock(known->lock);
    return value != NULL;
}

static void entry_learn(mx_room_known_t *known, mx_slice_t key, apr_int64_t nid)
{
    apr_thread_mutex_lock(known->lock);
    entry_set(known, key, nid);
    apr_thread_mutex_unlock(known->lock);
}

/** For a view that is not the newest any more: the entry in its snapshot. */
static const mx_error_t *find_in_snapshot(apr_int64_t *pnid, mx_server_t *server, mx_room_t *room, apr_int64_t skey_nid, apr_pool_t *pool)
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
    mx_slice_t key = entry_key(type, state_key, pool);
    mx_room_entry_t entry;
    apr_int64_t snap_nid, state_redacted;
    const mx_error_t *err;
    apr_status_t rv = mx_store_room_entry(&entry, &snap_nid, &state_redacted, server->store, room->nid, type, state_key, pool);
    if (rv != APR_SUCCESS)
        return mx_server_store_error(rv, "reading the state of a room", pool);
    if (snap_nid == room->snap_nid && state_redacted == room->priv->state_redacted) {
        entry_learn(room->priv->known, key, entry.event.nid);
        if (entry.event.nid)
            event_lend(out, server, room, &entry.event, pool);
        return NULL;
    }
    err = find_in_snapshot(&entry.event.nid, server, room, entry.skey_nid, pool);
    if (err)
        return err;
    entry_learn(room->priv->known, key, entry.event.nid);
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
    int at = core_index(type, state_key);
    if (at >= 0)
        found = known->core[at];
    else if (!entry_known(&nid, known, entry_key(type, state_key, pool)))
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

const mx_error_t *mx_room_membership(mx_membership_e *pmembership, mx_server_t *server, mx_room_t *room, const char *user_id,
                                     apr_pool_t *pool)
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

const mx_error_t *mx_room_state_all(mx_event_row_t **prows, int *pn, mx_server_t *server, mx_room_t *room, apr_pool_t *pool)
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
