/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What matrix-doctor reads and repairs. Between begin and end every call on the store, of whichever file, runs in the doctor's one
 * transaction: so what it compares was true at one moment while servers go on writing. For programs of one thread.
 */
#ifndef MX_STORE_DOCTOR_H
#define MX_STORE_DOCTOR_H

#include "store/resolve.h"
#include "store/room.h"

/** Reading: one view of the database until the end, nothing can be written. Writing: each statement sees what was committed before. */
typedef enum { MX_DOCTOR_READ, MX_DOCTOR_WRITE } mx_doctor_mode_e;
apr_status_t mx_store_doctor_begin(mx_conn_t **pconn, mx_store_t *store, mx_doctor_mode_e mode, apr_pool_t *pool);
apr_status_t mx_store_doctor_commit(mx_conn_t *conn);
/** Rolls back what was not committed. NULL is allowed. */
void mx_store_doctor_end(mx_conn_t *conn);

/** Rooms by nid, up to `limit` above `after`; returns their number in *pn. */
apr_status_t mx_store_doctor_rooms(apr_int64_t **pnids, int *pn, mx_store_t *store, apr_int64_t after, int limit, apr_pool_t *pool);
/** The nid of a room by id or alias. MX_STORE_NONE. */
apr_status_t mx_store_doctor_room_find(apr_int64_t *pnid, mx_store_t *store, const char *id_or_alias, apr_pool_t *pool);
/** All event nids of a room, ascending, 8 bytes each. */
apr_status_t mx_store_doctor_event_nids(apr_int64_t **pnids, int *pn, mx_store_t *store, apr_int64_t room_nid, apr_pool_t *pool);

/** An event with what its integers stand for. Strings are NULL where the integer stands for nothing. */
typedef struct mx_doctor_row_t {
    mx_event_row_t event;
    int has_ord, has_state;          /* ord is not null; there is a row in state_event */
    apr_int64_t state_room_nid;
    const char *sender, *type;
    const char *state_type, *state_key;
    apr_int64_t *auth_nids;
    int nauth;
    mx_slice_t redacted_by_id;       /* packed; none: redacted_by names no event */
} mx_doctor_row_t;
/** In the order of the nids. */
apr_status_t mx_store_doctor_events(mx_doctor_row_t **prows, int *pn, mx_store_t *store, const apr_int64_t *nids, int n, apr_pool_t *pool);
/** By packed ids, in no order; of any room. */
apr_status_t mx_store_doctor_by_ids(mx_event_row_t **prows, int *pn, mx_store_t *store, const mx_slice_t *ids, int n, apr_pool_t *pool);

/** Ids of events (nid and id are filled in), in the order of the nids; those that do not exist are left out. */
apr_status_t mx_store_doctor_ids(mx_resolve_event_t **prows, int *pn, mx_store_t *store, const apr_int64_t *nids, int n, apr_pool_t *pool);

/** What tells of a snapshot without its content. */
typedef struct mx_doctor_snap_t {
    apr_int64_t snap_nid, room_nid;  /* room 0: there is no such snapshot */
    int size, ancestors_missing;
    mx_state_hash_t hash;
} mx_doctor_snap_t;
/** out[i] for snaps[i]. */
apr_status_t mx_store_doctor_snaps(mx_doctor_snap_t *out, mx_store_t *store, const apr_int64_t *snaps, int n, apr_pool_t *pool);

/** What a skey stands for; of memberships, the user too. */
typedef struct mx_doctor_skey_t {
    apr_int64_t skey_nid;
    const char *type, *state_key;    /* NULL: the skey stands for nothing */
    apr_int64_t user_nid;            /* 0: nobody of that name is known */
    apr_int64_t server_nid;
    int local;
} mx_doctor_skey_t;
/** out[i] for skeys[i]. */
apr_status_t mx_store_doctor_skeys(mx_doctor_skey_t *out, mx_store_t *store, const apr_int64_t *skeys, int n, apr_pool_t *pool);

/** One row of `member`, or what it should be. */
typedef struct mx_doctor_member_t {
    apr_int64_t user_nid, nid, stream;
    int membership, local;
    apr_int64_t server_nid;
} mx_doctor_member_t;
/** The counted rows of a room, sorted by user. */
apr_status_t mx_store_doctor_members(mx_doctor_member_t **prows, int *pn, mx_store_t *store, apr_int64_t room_nid, apr_pool_t *pool);
/** cur_state, sorted by skey. */
apr_status_t mx_store_doctor_current(mx_state_item_t **pitems, int *pn, mx_store_t *store, apr_int64_t room_nid, apr_pool_t *pool);
/** room_server as (server, joined), sorted by server. */
apr_status_t mx_store_doctor_servers(mx_state_item_t **pitems, int *pn, mx_store_t *store, apr_int64_t room_nid, apr_pool_t *pool);

typedef struct mx_doctor_log_t {
    apr_int64_t stream, snap_nid;    /* the last row; stream 0: there is none */
    int dangling;                    /* rows that name a snapshot which the room does not have */
} mx_doctor_log_t;
apr_status_t mx_store_doctor_log(mx_doctor_log_t *out, mx_store_t *store, apr_int64_t room_nid, apr_pool_t *pool);

/** Takes the lock of the room's row, as writers do, and says which snapshot is current. MX_STORE_NONE. */
apr_status_t mx_store_doctor_lock(apr_int64_t *psnap_nid, mx_store_t *store, apr_int64_t room_nid, apr_pool_t *pool);

/** What the mirrors of a room must be. */
typedef struct mx_doctor_mirrors_t {
    mx_state_item_t *current;        /* sorted by skey */
    int ncurrent;
    mx_doctor_member_t *members;     /* sorted by user */
    int nmembers;
    mx_state_item_t *servers;        /* (server, joined), sorted */
    int nservers;
    int joined, invited, local_joined;
} mx_doctor_mirrors_t;
/** How many rows were written anew or deleted. */
typedef struct mx_doctor_written_t {
    int current, members, servers, counters;
} mx_doctor_written_t;
/**
 * Makes cur_state, member, room_server and the room's counters what they must be, touching wrong rows only; the room's version and the
 * mark of worn state move on, so that every process reads the room anew. Call it under mx_store_doctor_lock().
 */
apr_status_t mx_store_doctor_rebuild(mx_doctor_written_t *out, mx_store_t *store, apr_int64_t room_nid, const mx_doctor_mirrors_t *must,
                                     apr_pool_t *pool);

#endif
