/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The news of the last while, ready to be sent: batches of entries in stream order. A batch never changes once it is in
 * the ring (but for `stale`) and lives as long as somebody has it pinned. Callers hold the lock of the sync state, unless said.
 */
#ifndef MX_SYNC_RING_H
#define MX_SYNC_RING_H

#include "base/nid_map.h"
#include "core/history_visibility.h"
#include "core/filter.h"
#include <apr_atomic.h>

#define MX_SYNC_LAST_MAX 65536       /* things whose last change the ring remembers, twice: up to 4 MB */

typedef enum { MX_ENTRY_EVENT, MX_ENTRY_ACCOUNT_DATA, MX_ENTRY_RECEIPT, MX_ENTRY_TYPING,
               MX_ENTRY_TO_DEVICE, MX_ENTRY_KEY_STOCK, MX_ENTRY_DEVICE_LIST, MX_ENTRY_PRESENCE } mx_sync_kind_e;

/** One of our users whom a resolution put out of a room or in again. */
typedef struct mx_sync_moved_t {
    apr_int64_t user_nid;
    apr_int64_t stream;          /* since when; past the entry's position if it moved again */
    mx_membership_e membership;  /* now */
} mx_sync_moved_t;

/** One thing to tell. Strings live in the batch. */
typedef struct mx_sync_entry_t {
    mx_sync_kind_e kind;
    apr_int64_t position;
    apr_int64_t room_nid;        /* 0: global account data */
    apr_int64_t user_nid;        /* event: sender; account data: owner; receipt: reader */
    const char *room_id, *type, *user_id;
    mx_slice_t body;             /* event: client form without `unsigned` and the last brace; receipt: {"ts":…}; presence:
                                    as sync/presence.h begins it; else a whole event */
    unsigned is_state : 1, has_url : 1;
    apr_int64_t sticky_ms;       /* how long it is sticky, from its ts on; 0: not. MSC4354 */
    unsigned silent : 1;         /* no client is shown the event itself */
    unsigned moves_summary : 1;  /* a membership, not only a profile, or the room's name changed: counts and heroes may differ */
    unsigned jumps : 1;          /* after a gap, or the room's state became another than this event says: the database has to tell */
    apr_uint32_t stale;          /* atomic: the event was redacted since, the body is of the past */
    /* events */
    const char *event_id;        /* receipts: the event that was read */
    apr_int64_t ts;              /* origin_server_ts */
    apr_int64_t target_nid;      /* member event: whose */
    mx_membership_e membership;  /* member event: which */
    mx_slice_t more_unsigned;    /* members of `unsigned` that are the same for all readers, without braces */
    apr_int64_t txn_device_nid;
    const char *txn_id;
    const char *redacts;         /* of a redaction: the event it redacts */
    const mx_sync_moved_t *moved;
    int nmoved;
    /* events, for unread counts: what unread_events() of sql/0018_unread.sql looks at */
    unsigned counts : 1;         /* may count for others than its sender */
    unsigned reads : 1;          /* its sender has read what stands before it in its thread */
    unsigned marked : 1;         /* counts whatever its type, as a predefined rule may notify of its marks */
    unsigned unsettles : 1;      /* what was counted of the room has to be counted anew */
    int type_nid, marks;         /* mx_push_mark_e, without MX_PUSH_MARK_USER */
    const char *thread;          /* event id of the root; NULL: main timeline */
    const apr_int64_t *mentions; /* users of ours */
    int nmentions;
    struct mx_sync_batch_t *batch;
    struct mx_sync_entry_t *older;   /* event before this one in the room; only good while `older_position` is above the floor */
    apr_int64_t older_position;  /* 0: none */
    /* receipts */
    const char *thread_id;
    /* messages to a device, its stock of keys: content is read by who is asked for it */
    apr_int64_t device_nid;      /* 0: the entry is not for one device */
    /* device list, or presence, of user_nid, user_id; `ts` of presence: the last activity */
    apr_int64_t viewer_nid;      /* 0: all in `rooms` are told */
    apr_int64_t *rooms;
    int nrooms;
    /* typing */
    apr_int64_t first_until;     /* ms; 0: nobody */
} mx_sync_entry_t;

typedef struct mx_sync_batch_t {
    apr_pool_t *pool;            /* unmanaged; holds the batch itself */
    apr_uint32_t refs;           /* atomic */
    apr_int64_t from, to;        /* it tells (from, to] */
    mx_sync_entry_t *entries;
    int n;
    apr_size_t bytes;
    struct mx_sync_batch_t *newer, *older;
} mx_sync_batch_t;

/** Where something happened last. Remembered for longer than the entries; two generations, so that it is never forgotten at once. */
typedef struct mx_sync_last_t {
    mx_nid_map_t now, before;    /* hash of user and room -> position */
    apr_int64_t from, began;     /* all that happened after `from` is known; `now` began at `began` */
} mx_sync_last_t;

typedef struct mx_sync_ring_t {
    mx_sync_batch_t *newest, *oldest;
    apr_int64_t floor, head;     /* the ring tells (floor, head] whole */
    int entries, max_entries;
    apr_size_t bytes, max_bytes;
    mx_nid_map_t events;         /* room nid -> its newest event that is still here */
    mx_sync_last_t last;
} mx_sync_ring_t;

/** 1 if the entry moved that user. Needs no lock. */
int mx_sync_entry_moved(const mx_sync_entry_t *entry, apr_int64_t user_nid);

/** A batch of (from, to] with one reference; room for `max` entries. Needs no lock. */
mx_sync_batch_t *mx_sync_batch_create(apr_int64_t from, apr_int64_t to, int max);
void mx_sync_batch_pin(mx_sync_batch_t *batch);
/** Needs no lock. */
void mx_sync_batch_unpin(mx_sync_batch_t *batch);

/** Takes over the caller's reference; lets the oldest go while the bounds are passed. batch->from must be the head. */
void mx_sync_ring_append(mx_sync_ring_t *ring, mx_sync_batch_t *batch);
/** Forgets all; goes on from a position. */
void mx_sync_ring_reset(mx_sync_ring_t *ring, apr_int64_t position);
/** The batch where reading after `since` begins; NULL: nothing newer. `since` must not be below the floor. */
mx_sync_batch_t *mx_sync_ring_after(const mx_sync_ring_t *ring, apr_int64_t since);
/**
 * 1 if nothing in (since, head] makes doubtful what is known of the user and the room as of `since`: events, which the reader has to look
 * at, are not asked for. Room 0: of the user's push rules and ignored users. 0 also if that is too long ago.
 */
int mx_sync_ring_is_settled(const mx_sync_ring_t *ring, apr_int64_t user_nid, apr_int64_t room_nid, apr_int64_t since);
/** The events of the room after `since`, the newest first, at most `max`; their number, or -1: they are not all here, or more. */
int mx_sync_ring_events(const mx_sync_entry_t **out, const mx_sync_ring_t *ring, apr_int64_t room_nid, apr_int64_t since, int max);
/** An event of the room was redacted: if it is still here, it is stale. */
void mx_sync_ring_redacted(mx_sync_ring_t *ring, apr_int64_t room_nid, const char *event_id);

#endif
