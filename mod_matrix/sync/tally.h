/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Unread counts that a child remembers, so that an answer of the ring needs no look into the database: what was counted of a user
 * and a room as of a position, moved on by the events that the ring has after it. Wherever something else than events may have moved them
 * (a receipt of the user, a redaction, memberships, other push rules; sync/ring.h knows) they are counted anew.
 * By plain rules (core/push_eval.h) few made-up events answer for all; by others each event's content is asked, as the ring has it.
 */
#ifndef MX_SYNC_TALLY_H
#define MX_SYNC_TALLY_H

#include "sync/sync_private.h"
#include "sync/unread.h"

#define MX_SYNC_TALLY_EVENTS_MAX 64  /* events by which a tally is moved on at once; past it the database counts */
#define MX_SYNC_TALLY_LINES_MAX 64   /* threads with unread events; a room with more is not remembered */
#define MX_SYNC_TALLY_KINDS 4        /* kinds of events whose verdict a tally remembers */

typedef struct mx_sync_tally_t mx_sync_tally_t;

/** What memory has of one room, for one answer. All zero: nothing. */
typedef struct mx_sync_tally_pick_t {
    mx_cache_ref_t *ref;
    const mx_sync_tally_t *tally;    /* NULL: the database has to count */
    const mx_sync_entry_t **events;  /* since then, the newest first, their batches pinned */
    int n;
} mx_sync_tally_pick_t;

mx_cache_t *mx_sync_tally_cache_create(apr_size_t max_bytes, apr_pool_t *pool);
/** Under the lock; for an answer that goes up to the ring's head. Give it back by mx_sync_tally_put(). */
void mx_sync_tally_pick_locked(mx_sync_tally_pick_t *out, mx_sync_state_t *state, apr_int64_t user_nid, apr_int64_t room_nid,
                               apr_pool_t *pool);
/** 1: the room's lines are filled, as of `upto` (the head at the pick), and remembered. They point into the pick. */
int mx_sync_tally_count(mx_sync_unread_room_t *room, const mx_sync_tally_pick_t *pick, mx_sync_state_t *state, const mx_who_t *who,
                        mx_user_push_settings_t *settings, apr_int64_t upto, apr_pool_t *pool);
void mx_sync_tally_put(mx_sync_tally_pick_t *pick);
/** Remembers what the database has counted as of `upto`, by plain rules. */
void mx_sync_tally_keep(mx_sync_state_t *state, const mx_who_t *who, const mx_user_push_settings_t *settings,
                        const mx_sync_unread_room_t *room, apr_int64_t upto);

/* push_settings.c */
mx_cache_t *mx_sync_push_settings_cache_create(apr_size_t max_bytes, apr_pool_t *pool);
/** As they are at the ring's head, or later; NULL: not known. They point into what *pref borrows. Under the lock. */
mx_user_push_settings_t *mx_sync_push_settings_known_locked(mx_cache_ref_t **pref, mx_sync_state_t *state, const mx_who_t *who,
                                                            apr_pool_t *pool);
/** From the database, in `pool`, and remembered. `position` was the stream's, or the ring's, before the call. */
const mx_error_t *mx_sync_push_settings_read(mx_user_push_settings_t **psettings, mx_server_t *server, const mx_who_t *who,
                                             apr_int64_t position, apr_pool_t *pool);

#endif
