/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Shared by the files of room/ that keep rooms in memory and write to them. How long things live, and who locks what:
 *
 *   mx_room_t (cache.c)            one version of a room, immutable but for checked_at; counted by the cache of views. A request
 *                                  borrows it until its pool is cleared. A commit of ours replaces it by the next version.
 *   mx_room_known_t (known.c)      what has been read of one snapshot, shared by all views of it; counted. Its core events are
 *                                  parsed and never change; its table of entries grows under its own lock.
 *   mx_room_state_event_t          a parsed state event; counted by the cache of events, borrowed with a request's pool.
 *   auth DAGs, auth events,        immutable and counted (resolve_private.h): what grows is a new one that takes the place of
 *   resolutions (auth_*.c, resolve.c)   the old. Borrowed with the pool of the call.
 *   queues (send.c)                exist while somebody sends into the room; under the lock of the room's stripe. That of rooms that
 *                                  store together (send_group.c) has a lock of its own.
 *
 * Locks are leaves: none is held across a statement, a wait for another thread, or the taking of another lock (the cache's
 * own ones apart). Publishing a view takes the room's stripe of publish[].
 */
#ifndef MX_ROOM_ROOM_PRIVATE_H
#define MX_ROOM_ROOM_PRIVATE_H

#include "base/cache.h"
#include "room/room.h"
#include "store/persist.h"
#include "store/room.h"

#include <apr_allocator.h>
#include <apr_thread_mutex.h>

#define MX_ROOM_STRIPES 64

struct mx_room_state_t {
    apr_allocator_t *view_allocator; /* of the views' pools; has a lock */
    mx_cache_t *views;               /* room nid: mx_room_t */
    mx_cache_t *ids;                 /* room id: nid as a pointer */
    mx_cache_t *events;              /* mx_room_state_event_key_t: mx_room_state_event_t */
    mx_cache_t *facts;               /* room/facts.c */
    apr_thread_mutex_t *publish[MX_ROOM_STRIPES];
    struct mx_room_combiner_t *combiner;   /* room/send.c */
    struct mx_room_group_t *group;         /* room/send_group.c */
    struct mx_room_turns_t *turns;         /* room/send_turn.c */
    struct mx_room_resolver_t *resolver;   /* room/resolve.c */
    apr_thread_mutex_t *hash_key_lock;
    int hash_key_known;
    unsigned char hash_key[MX_STATE_HASH_KEY_BYTES];
};

/* ---- what is known of a snapshot (room/known.c) ---- */

typedef struct mx_room_known_t mx_room_known_t;

/** One entry of the current state. */
typedef struct mx_room_current_t {
    apr_int64_t nid;                 /* 0: there is none */
    const mx_event_t *event;         /* content parsed; NULL: there is none */
    mx_membership_e membership;      /* of m.room.member, else NONE */
} mx_room_current_t;

/** A state event of a batch of ours. */
typedef struct mx_room_change_t {
    const char *type, *state_key;
    apr_int64_t skey_nid, nid;
    const mx_event_t *event;
} mx_room_change_t;

/** A pool of its own, whose memory goes back to the system; any thread may destroy it. */
apr_pool_t *mx_room_known_pool(const char *tag);
/** A copy of the event that many threads may read: bytes and strings in `pool`, content parsed. */
void mx_room_known_fill(mx_room_current_t *out, const mx_room_version_t *version, apr_int64_t nid, mx_slice_t pdu,
                        const char *event_id, apr_pool_t *pool);
/** What is known of a snapshot with nothing but its core state; one reference. The events are copied. */
mx_room_known_t *mx_room_known_create(const mx_room_row_t *row, const mx_room_version_t *version,
                                      const mx_room_entry_t *core, int n);
/** What is known after the changes (later ones win), for snapshot `snap_nid`; one reference. `old` NULL: a new room. */
mx_room_known_t *mx_room_known_next(const mx_room_known_t *old, const mx_room_version_t *version, apr_int64_t snap_nid,
                                    const mx_room_change_t *changes, int n);
mx_room_known_t *mx_room_known_ref(mx_room_known_t *known);
void mx_room_known_unref(mx_room_known_t *known);
/** Bytes it holds now, roughly. */
apr_size_t mx_room_known_bytes(const mx_room_known_t *known);
/** 1 if the entry is one of the core; it may be none. */
int mx_room_known_core(mx_room_current_t *out, const mx_room_known_t *known, const char *type, const char *state_key);
/** Key of an entry, in `pool`. */
mx_slice_t mx_room_known_key(const char *type, const char *state_key, apr_pool_t *pool);
/** 1 if the entry is known; its nid may be 0: there is none. */
int mx_room_known_find(apr_int64_t *pnid, mx_room_known_t *known, mx_slice_t key);
void mx_room_known_learn(mx_room_known_t *known, mx_slice_t key, apr_int64_t skey_nid, apr_int64_t nid);
/** Takes over the entries of another snapshot; `changed` (sorted) is what makes this one of that. For a new, unshared `known`. */
void mx_room_known_carry(mx_room_known_t *known, const mx_room_known_t *old, const mx_state_item_t *changed, int n);
/** Number of entries beside the core. */
int mx_room_known_count(mx_room_known_t *known);
const mx_power_t *mx_room_known_power(const mx_room_known_t *known);

/* ---- its entries (room/state.c) ---- */

apr_status_t mx_room_state_init(struct mx_room_state_t *state, mx_server_t *server);

/** An entry of the room's current state; one query where it was not known. Valid as long as `pool` and the room. */
const mx_error_t *mx_room_state_find(mx_room_current_t *out, mx_server_t *server, mx_room_t *room, const char *type,
                                     const char *state_key, apr_pool_t *pool);
/** All events of a snapshot, oldest first. Two queries. */
apr_status_t mx_room_state_of_snapshot(mx_event_row_t **prows, int *pn, mx_server_t *server, apr_int64_t snap_nid,
                                       apr_pool_t *pool);
/** The key of the hash of snapshots, read once. */
const mx_error_t *mx_room_state_hash_key(const unsigned char **pkey, mx_server_t *server, apr_pool_t *pool);

/* ---- views (room/cache.c) ---- */

struct mx_room_private_t {
    apr_pool_t *pool;                /* of the view's own: all but `known` lives in it */
    mx_room_known_t *known;
    const mx_power_t *power;         /* known's; NULL without a create event */
    apr_int64_t depth;
    apr_int64_t *heads;
    mx_slice_t *head_ids;            /* packed */
    int nheads;
    apr_int64_t state_redacted;
    int snap_size;
    mx_state_hash_t snap_hash;
    apr_time_t checked_at;           /* when it was last seen to be the newest; atomic */
};

apr_status_t mx_room_cache_init(struct mx_room_state_t *state, mx_server_t *server);
/** What mx_room_get() gives, however old. For writers: their compare-and-set sees to it. */
const mx_error_t *mx_room_cache_get_any(mx_room_t **proom, mx_server_t *server, const char *room_id, apr_pool_t *pool);
/** The next version of `room` (NULL: of a new one), published and borrowed. `known` passes one reference. */
mx_room_t *mx_room_cache_publish(mx_server_t *server, const mx_room_row_t *row, mx_room_known_t *known,
                                 apr_pool_t *pool);
/** The number of the last redaction of a state event that the child knows of: another one wears out what was parsed of them. */
apr_int64_t mx_room_cache_state_redacted(mx_server_t *server, apr_int64_t room_nid, apr_pool_t *pool);
/** Reads the room anew, whatever is cached. */
const mx_error_t *mx_room_cache_reload(mx_room_t **proom, mx_server_t *server, const mx_room_t *old, apr_pool_t *pool);

/* ---- state resolution (room/resolve.c) ---- */

apr_status_t mx_room_resolve_init(struct mx_room_state_t *state, mx_server_t *server);

/* ---- heads (room/heads.c) ---- */

/**
 * mx_room_heads_merge() if there are more than `most`. With MX_EVENT_MAX_PREV a local event can name all, so that the state which it
 * stands on is the room's. For whoever is in no queue.
 */
const mx_error_t *mx_room_heads_bound(mx_server_t *server, const char *room_id, int most, apr_pool_t *pool);

/* ---- the combiner (room/send.c) ---- */

apr_status_t mx_room_send_init(struct mx_room_state_t *state, mx_server_t *server);

/* ---- rounds of a writer (room/send_turn.h) ---- */

apr_status_t mx_room_turn_init(struct mx_room_state_t *state, mx_server_t *server);

/* ---- rooms that share a transaction (room/send_group.c) ---- */

apr_status_t mx_room_group_init(struct mx_room_state_t *state, mx_server_t *server);
/** mx_store_persist_messages(), together with other rooms' if several store at the same time. The result lives in `pool`. */
apr_status_t mx_room_group_store(mx_persist_result_t **presult, mx_server_t *server, const mx_persist_batch_t *batch, apr_pool_t *pool);

/**
 * A place in the room's queue of writers. Returns when it is one's turn: from then on no other thread of this child writes to
 * the room, until it is left. Never wait for another server, nor enter again, in between. 503 if it takes too long. The id has
 * at most MX_EVENT_FIELD_MAX_BYTES; it and the place live in `pool`.
 */
typedef struct mx_room_place_t mx_room_place_t;
const mx_error_t *mx_room_send_enter(mx_room_place_t **pplace, mx_server_t *server, const char *room_id, apr_pool_t *pool);
void mx_room_send_leave(mx_room_place_t *place);

#endif
