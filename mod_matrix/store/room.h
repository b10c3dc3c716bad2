/* SPDX-License-Identifier: Apache-2.0 */
/* Rooms as rows, and their current state by (type, state_key). Each call is one statement: what it gives was true at one moment. */
#ifndef MX_STORE_ROOM_H
#define MX_STORE_ROOM_H

#include "store/event.h"
#include "store/state.h"

typedef struct mx_room_row_t {
    apr_int64_t nid, ver, snap_nid, last_stream, depth;
    const char *room_id;
    int version;                     /* number of core/room_versions.def */
    int published, joined, invited, local_joined;
    apr_int64_t *heads;              /* forward extremities … */
    mx_slice_t *head_ids;            /* … and their packed ids */
    int nheads;
    apr_int64_t state_redacted;      /* nid of the last redaction of a state event: state read before it is worn */
    int snap_size;                   /* of the current snapshot */
    mx_state_hash_t snap_hash;
} mx_room_row_t;

/** One state event under its key. event.nid 0: there is none. */
typedef struct mx_room_entry_t {
    const char *type, *state_key;
    apr_int64_t skey_nid;            /* 0: no room has such state */
    mx_event_row_t event;
} mx_room_entry_t;

/** State that most requests ask for; mx_store_room_load() reads it with the room. */
#define MX_ROOM_CORE_TYPES "m.room.create", "m.room.power_levels", "m.room.join_rules", "m.room.history_visibility"

/** The room and its core state (only entries that exist). room_id NULL: by nid. MX_STORE_NONE. */
apr_status_t mx_store_room_load(mx_room_row_t **proom, mx_room_entry_t **pcore, int *pn, mx_store_t *store,
                                const char *room_id, apr_int64_t nid, apr_pool_t *pool);
/** The room's row alone. MX_STORE_NONE. */
apr_status_t mx_store_room_row(mx_room_row_t **proom, mx_store_t *store, apr_int64_t nid, apr_pool_t *pool);
/** One entry of the current state; *psnap_nid and *pstate_redacted say of which. MX_STORE_NONE: no such room. */
apr_status_t mx_store_room_entry(mx_room_entry_t *out, apr_int64_t *psnap_nid, apr_int64_t *pstate_redacted,
                                 mx_store_t *store, apr_int64_t nid, const char *type, const char *state_key,
                                 apr_pool_t *pool);
/** The current state whole, oldest event first, and its snapshot. */
apr_status_t mx_store_room_state(mx_event_row_t **prows, int *pn, apr_int64_t *psnap_nid, mx_store_t *store,
                                 apr_int64_t nid, apr_pool_t *pool);

/** The current state events of these types, whatever their state keys, oldest first. */
apr_status_t mx_store_room_typed(mx_event_row_t **prows, int *pn, mx_store_t *store, apr_int64_t nid,
                                 const char *const *types, int ntypes, apr_pool_t *pool);
/**
 * Ids of rooms with local members and more than `heads` forward extremities, in their order: the first `max` after `after`. Looks at every
 * room in between.
 */
apr_status_t mx_store_room_many_heads(const char ***pids, int *pn, mx_store_t *store, int heads, const char *after, int max,
                                      apr_pool_t *pool);

#endif
