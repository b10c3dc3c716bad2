/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Parsed events that resolutions ask for. What is read in one go lives in one arena; a table finds the events of the arenas
 * of a room. Neither changes once it is seen by others: more events make a new table, which shares the arenas of the old.
 *
 * A redaction may take what the rules read (version 8: join_authorised_via_users_server; before 11: a level for invites, a third party's
 * invite), so a table is good as long as no further state event of the room was redacted. Rooms v8, v11: redactions.
 */
#include "base/nid_map.h"
#include "room/resolve_private.h"
#include "store/event_id.h"
#include "store/resolve.h"

#define EVENTS_A_QUERY 1000
#define ARENAS_MAX 32                 /* of a table; then it starts anew */
#define EVENT_TREE_BYTES 1024         /* of the parsed content, roughly */

typedef struct arena_t {
    int refs;                         /* atomic */
    apr_pool_t *pool;
    apr_size_t bytes;
} arena_t;

typedef struct table_t {
    mx_nid_map_t events;              /* nid: mx_event_t */
    arena_t *arenas[ARENAS_MAX];
    int narenas;
    apr_size_t bytes;
    apr_int64_t state_redacted;       /* of the room, before anything in it was read */
} table_t;

static arena_t *arena_create(void)
{
    apr_pool_t *pool = mx_room_known_pool("mx_auth_events");
    arena_t *arena = apr_pcalloc(pool, sizeof(*arena));
    arena->refs = 1;
    arena->pool = pool;
    arena->bytes = sizeof(*arena);
    return arena;
}

static void arena_unref(arena_t *arena)
{
    if (__atomic_sub_fetch(&arena->refs, 1, __ATOMIC_ACQ_REL) == 0)
        apr_pool_destroy(arena->pool);
}

void mx_room_auth_event_destroy(void *value)
{
    table_t *table = value;
    int i;
    for (i = 0; i < table->narenas; i++)
        arena_unref(table->arenas[i]);
    mx_nid_map_free(&table->events);
    mx_cache_value_destroy(table);
}

static apr_status_t put_ref(void *ref)
{
    mx_cache_put(ref);
    return APR_SUCCESS;
}

/** The events of `old` (may be NULL) as far as there is room beside what is to come. */
static table_t *table_from(const table_t *old, const arena_t *arena, apr_size_t max)
{
    table_t *table = mx_cache_value_create(sizeof(*table));
    const mx_nid_map_slot_t *slot;
    apr_uint32_t at = 0;
    int i;
    table->bytes = sizeof(*table);
    if (!old || old->narenas == ARENAS_MAX || old->bytes + arena->bytes > max)
        return table;
    for (i = 0; i < old->narenas; i++) {
        __atomic_add_fetch(&old->arenas[i]->refs, 1, __ATOMIC_RELAXED);
        table->arenas[table->narenas++] = old->arenas[i];
        table->bytes += old->arenas[i]->bytes;
    }
    while ((slot = mx_nid_map_next(&old->events, &at)) != NULL)
        mx_nid_map_set(&table->events, slot->nid, slot->value);
    return table;
}

/** Puts a row into the arena, parsed; NULL for one that is rejected. */
static const mx_event_t *read_row(arena_t *arena, const mx_resolve_event_t *row, const mx_room_version_t *version)
{
    mx_event_t *event;
    mx_slice_t pdu;
    if (row->flags & MX_EVENT_FLAG_REJECTED)
        return NULL;
    pdu = mx_slice(mx_slice_dup(row->pdu, arena->pool), row->pdu.len);
    if (mx_event_parse(&event, version, pdu, mx_store_event_id_unpack(row->id, arena->pool), arena->pool) != NULL)
        return NULL;                  /* not possible with what we stored */
    mx_event_content(event);
    arena->bytes += sizeof(*event) + 2 * pdu.len + EVENT_TREE_BYTES + 2 * sizeof(mx_nid_map_slot_t);
    return event;
}

/** Reads the events into the arena and `read`, a chunk of rows at a time. */
static apr_status_t read_all(mx_nid_map_t *read, arena_t *arena, mx_server_t *server, const mx_room_version_t *version,
                             const apr_int64_t *nids, int n, apr_pool_t *pool)
{
    apr_pool_t *chunk;
    apr_status_t rv = APR_SUCCESS;
    int from, i;
    apr_pool_create(&chunk, pool);
    apr_pool_tag(chunk, "mx_auth_events_chunk");
    for (from = 0; from < n && rv == APR_SUCCESS; from += EVENTS_A_QUERY) {
        mx_resolve_event_t *rows;
        int nrows = 0;
        apr_pool_clear(chunk);
        rv = mx_store_resolve_events(&rows, &nrows, server->store, nids + from, n - from < EVENTS_A_QUERY ? n - from : EVENTS_A_QUERY,
                                     chunk);
        for (i = 0; rv == APR_SUCCESS && i < nrows; i++) {
            const mx_event_t *event = read_row(arena, &rows[i], version);
            if (event)
                mx_nid_map_set(read, rows[i].nid, (void *)(apr_uintptr_t)event);
        }
    }
    apr_pool_destroy(chunk);
    return rv;
}

/** Publishes a table with what was read; the caller's pool borrows it. */
static void publish(mx_server_t *server, apr_int64_t room_nid, apr_int64_t state_redacted, const table_t *old, const mx_nid_map_t *read,
                    arena_t *arena, apr_pool_t *pool)
{
    struct mx_room_resolver_t *resolver = server->room->resolver;
    table_t *table = table_from(old, arena, resolver->events_max);
    const mx_nid_map_slot_t *slot;
    apr_uint32_t at = 0;
    mx_cache_ref_t *ref;
    table->state_redacted = state_redacted;
    table->arenas[table->narenas++] = arena;
    table->bytes += arena->bytes;
    while ((slot = mx_nid_map_next(read, &at)) != NULL)
        mx_nid_map_set(&table->events, slot->nid, slot->value);
    mx_cache_set(&ref, resolver->events, &room_nid, sizeof(room_nid), table, table->bytes, 0);
    apr_pool_cleanup_register(pool, ref, put_ref, apr_pool_cleanup_null);
}

const mx_error_t *mx_room_auth_event_load(const mx_event_t **out, mx_server_t *server, apr_int64_t room_nid,
                                          const mx_room_version_t *version, const apr_int64_t *nids, int n, apr_pool_t *pool)
{
    apr_int64_t *missing = apr_palloc(pool, sizeof(*missing) * (apr_size_t)(n + 1));
    mx_nid_map_t read = { NULL, 0, 0 };
    mx_cache_ref_t *ref = NULL;
    apr_int64_t state_redacted = mx_room_cache_state_redacted(server, room_nid, pool);
    table_t *old = mx_cache_get(&ref, server->room->resolver->events, &room_nid, sizeof(room_nid));
    arena_t *arena;
    apr_status_t rv;
    int i, nmissing = 0;
    if (old)
        apr_pool_cleanup_register(pool, ref, put_ref, apr_pool_cleanup_null);
    if (old && old->state_redacted != state_redacted)
        old = NULL;
    for (i = 0; i < n; i++) {
        out[i] = old ? mx_nid_map_get(&old->events, nids[i]) : NULL;
        if (!out[i])
            missing[nmissing++] = nids[i];
    }
    if (!nmissing)
        return NULL;
    arena = arena_create();
    rv = read_all(&read, arena, server, version, missing, nmissing, pool);
    for (i = 0; i < n && rv == APR_SUCCESS; i++) {
        if (!out[i])
            out[i] = mx_nid_map_get(&read, nids[i]);
    }
    if (rv == APR_SUCCESS && read.count)
        publish(server, room_nid, state_redacted, old, &read, arena, pool);
    else
        arena_unref(arena);
    mx_nid_map_free(&read);
    return rv == APR_SUCCESS ? NULL : mx_server_store_error(rv, "reading the events of a state resolution", pool);
}
