/* SPDX-License-Identifier: Apache-2.0 */
/* Who is in a room, in which rooms a user is, how a membership came to be: reads of `member` and its events. */
#ifndef MX_STORE_MEMBER_LIST_H
#define MX_STORE_MEMBER_LIST_H

#include "core/history_visibility.h"
#include "store/event.h"

/** One row of `member`. */
typedef struct mx_member_row_t {
    apr_int64_t room_nid, user_nid, nid, stream;
    mx_membership_e membership;
    int forgotten;
} mx_member_row_t;

/** A user's membership in a room; MX_STORE_NONE. */
apr_status_t mx_store_member_find(mx_member_row_t *out, mx_store_t *store, apr_int64_t room_nid, apr_int64_t user_nid,
                                  apr_pool_t *pool);
/**
 * The member events of a user in a room, newest first, each replaced by the one before it: at most `max` of them.
 * None: *pn is 0. *pstream: since when the membership is what it is.
 */
apr_status_t mx_store_member_chain(mx_event_row_t **prows, int *pn, apr_int64_t *pstream, mx_store_t *store, apr_int64_t room_nid,
                                   apr_int64_t user_nid, int max, apr_pool_t *pool);
/** The room ids of a local user's rooms with that membership, sorted. */
apr_status_t mx_store_member_rooms(const char ***pids, int *pn, mx_store_t *store, apr_int64_t user_nid,
                                   mx_membership_e membership, apr_pool_t *pool);
/** Of the rooms a local user is joined to, those whose current state has the entry: at most `max` ids, sorted. */
apr_status_t mx_store_member_rooms_with(const char ***pids, int *pn, mx_store_t *store, apr_int64_t user_nid,
                                        apr_int64_t skey_nid, int max, apr_pool_t *pool);
/** The current member events of a room, oldest first; bit (1 << mx_membership_e) of `memberships` picks. */
apr_status_t mx_store_member_events(mx_event_row_t **prows, int *pn, mx_store_t *store, apr_int64_t room_nid,
                                    int memberships, apr_pool_t *pool);
/** Those of the state events `nids` that have the type, oldest first. */
apr_status_t mx_store_member_events_among(mx_event_row_t **prows, int *pn, mx_store_t *store, const apr_int64_t *nids,
                                          int n, int type_nid, apr_pool_t *pool);
/** User ids of the local members that are joined, longest first, at most `max`. */
apr_status_t mx_store_member_local_joined(const char ***pids, int *pn, mx_store_t *store, apr_int64_t room_nid, int max,
                                          apr_pool_t *pool);
/** User ids of the joined guests, at most `max`. */
apr_status_t mx_store_member_guests(const char ***pids, int *pn, mx_store_t *store, apr_int64_t room_nid, int max,
                                    apr_pool_t *pool);
/** What a room's summary is made from. Slices and texts live in `pool`. */
typedef struct mx_store_summary_t {
    apr_int64_t joined, invited;
    mx_slice_t name, alias;          /* PDUs of m.room.name and m.room.canonical_alias; p NULL: none */
} mx_store_summary_t;
/** out[i] for room_nids[i]; unknown rooms are all zero. */
apr_status_t mx_store_member_summaries(mx_store_summary_t *out, mx_store_t *store, const apr_int64_t *room_nids, int n, apr_pool_t *pool);

typedef struct mx_store_hero_t {
    apr_int64_t room_nid, user_nid;
    const char *user_id;
    int gone;                        /* left or banned */
} mx_store_hero_t;
/** Of each room the first `max` members but one user: those in it or invited, then those gone; by room, in the order they became it. */
apr_status_t mx_store_member_heroes(mx_store_hero_t **pout, int *pn, mx_store_t *store, const apr_int64_t *room_nids, int nrooms,
                                    apr_int64_t not_user_nid, int max, apr_pool_t *pool);
/** POST /forget: marks a left or banned membership as forgotten. MX_STORE_NONE if there is none. */
apr_status_t mx_store_member_forget(mx_store_t *store, apr_int64_t room_nid, apr_int64_t user_nid, apr_pool_t *pool);

#endif
