/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Who wants to know what: the users of this child who wait (or waited a moment ago), the rooms they are joined to, and
 * for each such room those users. Kept true by the member events the notifier sees. Callers hold the lock of the sync state.
 */
#ifndef MX_SYNC_INTEREST_H
#define MX_SYNC_INTEREST_H

#include "base/nid_map.h"
#include "base/slab.h"
#include <apr_time.h>

struct mx_sync_waiter_t;

typedef struct mx_sync_user_t {
    apr_int64_t nid;
    mx_nid_map_t rooms;                  /* joined: room nid -> mx_sync_room_t */
    struct mx_sync_waiter_t *waiters;
    apr_int64_t unsure_until;            /* rooms may be wrong before this position: it was loaded from a later snapshot */
    apr_time_t idle_since;               /* when the last waiter left; 0: has one */
    struct mx_sync_user_t *pending;      /* next in the list of those whose rooms are to be loaded */
    apr_time_t presence_told;            /* when presence last woke one of its waiters */
    struct mx_sync_user_t *held_next;    /* of those from whom presence is kept back */
    unsigned loaded : 1, queued : 1, held : 1;
} mx_sync_user_t;

typedef struct mx_sync_room_t {
    apr_int64_t nid;
    mx_nid_map_t users;                  /* user nid -> mx_sync_user_t */
} mx_sync_room_t;

typedef struct mx_sync_interest_t {
    mx_nid_map_t users, rooms;
    mx_slab_t *user_slab, *room_slab;
} mx_sync_interest_t;

void mx_sync_interest_init(mx_sync_interest_t *in, apr_pool_t *pool);
/** NULL if unknown. */
mx_sync_user_t *mx_sync_interest_user(const mx_sync_interest_t *in, apr_int64_t user_nid);
mx_sync_user_t *mx_sync_interest_add(mx_sync_interest_t *in, apr_int64_t user_nid);
/** The user's rooms are unknown from now on. */
void mx_sync_interest_unlearn(mx_sync_interest_t *in, mx_sync_user_t *user);
/** Forgets a user; it must have no waiter, not be queued and not held. */
void mx_sync_interest_remove(mx_sync_interest_t *in, mx_sync_user_t *user);
/** Users of ours in the room; NULL if there are none. */
const mx_sync_room_t *mx_sync_interest_room(const mx_sync_interest_t *in, apr_int64_t room_nid);
void mx_sync_interest_join(mx_sync_interest_t *in, mx_sync_user_t *user, apr_int64_t room_nid);
void mx_sync_interest_part(mx_sync_interest_t *in, mx_sync_user_t *user, apr_int64_t room_nid);
/** Forgets all; no user may have a waiter. */
void mx_sync_interest_clear(mx_sync_interest_t *in);

#endif
