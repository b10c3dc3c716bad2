/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What /sync reads: the stream as the notifier follows it, and the set-based queries behind an answer. Nothing here asks
 * once per room. Positions are as in store/stream.h: ranges are (after, upto].
 */
#ifndef MX_STORE_SYNC_H
#define MX_STORE_SYNC_H

#include "store/event.h"
#include "store/state.h"

/* ---- the stream as it moves (sync_stream.c); on the notifier's own connection ---- */

/** A new event with all that an answer may want to say of it. Text points into the result. */
typedef struct mx_sync_event_row_t {
    mx_event_row_t event;
    const char *room_id, *type, *sender;
    const char *state_key;           /* NULL: not a state event */
    apr_int64_t target_nid;          /* of a member event: whose membership; else 0 */
    mx_slice_t replaced;             /* PDU of the state event it took the place of */
    mx_slice_t replaced_id;          /* packed */
    apr_int64_t replaced_snap;       /* state before it */
    apr_int64_t txn_device_nid;      /* the device that sent it, with its transaction id; 0: none */
    const char *txn_id;
    apr_int64_t snap_was, snap_is;   /* the room's state until the event's position, and from there on; 0: none */
    int after_gap;                   /* what came before it in the timeline is not all here */
    int marked, marks;               /* it has marks: mx_push_mark_e, its thread (NULL: main timeline), users of ours it mentions */
    const char *thread;
    apr_int64_t *mentions; int nmentions;
} mx_sync_event_row_t;

/** Live events whose position (`event.ord`) is in the range, in stream order, at most `limit`; *pseen counts hidden ones too. */
apr_status_t mx_store_sync_events(mx_sync_event_row_t **pout, int *pn, int *pseen, mx_conn_t *conn, apr_int64_t after,
                                  apr_int64_t upto, int limit, apr_pool_t *pool);

typedef struct mx_sync_data_row_t {
    apr_int64_t stream, user_nid, room_nid;   /* room_nid 0: global */
    const char *room_id;             /* NULL: global */
    const char *type;
    mx_slice_t content;
} mx_sync_data_row_t;
apr_status_t mx_store_sync_account_data(mx_sync_data_row_t **pout, int *pn, mx_conn_t *conn, apr_int64_t after, apr_int64_t upto,
                                        int limit, apr_pool_t *pool);

typedef struct mx_sync_receipt_row_t {
    apr_int64_t stream, room_nid, user_nid, ts;
    const char *room_id, *user_id, *type, *thread_id;   /* thread_id "": unthreaded */
    mx_slice_t event_id;             /* packed */
} mx_sync_receipt_row_t;
apr_status_t mx_store_sync_receipts(mx_sync_receipt_row_t **pout, int *pn, mx_conn_t *conn, apr_int64_t after, apr_int64_t upto,
                                    int limit, apr_pool_t *pool);

typedef struct mx_sync_typing_row_t {
    apr_int64_t stream, room_nid;
    const char *room_id;
    const char **user_ids;           /* who types now, in the order of their ids */
    int nusers;
    apr_int64_t first_until;         /* when the first of them stops, ms; 0: nobody types */
} mx_sync_typing_row_t;
apr_status_t mx_store_sync_typing(mx_sync_typing_row_t **pout, int *pn, mx_conn_t *conn, apr_int64_t after, apr_int64_t upto,
                                  apr_int64_t now_ms, int limit, apr_pool_t *pool);

/** Which rooms these users are members of now, and when each membership became current. */
typedef struct mx_sync_interest_row_t {
    apr_int64_t user_nid, room_nid, stream;
    int membership;                  /* mx_membership_e */
} mx_sync_interest_row_t;
/** Joined rooms, and whatever changed after `since`. */
apr_status_t mx_store_sync_interest(mx_sync_interest_row_t **pout, int *pn, mx_conn_t *conn, const apr_int64_t *user_nids, int n,
                                    apr_int64_t since, apr_pool_t *pool);

/** Local members of the room whom these state keys are about, as they are now; a row with a later `stream` moved again since. */
apr_status_t mx_store_sync_moved(mx_sync_interest_row_t **pout, int *pn, mx_conn_t *conn, apr_int64_t room_nid, const apr_int64_t *skeys,
                                 int n, apr_pool_t *pool);

/* ---- an answer (sync_rooms.c) ---- */

typedef struct mx_sync_member_row_t {
    apr_int64_t room_nid, nid, stream, last_stream;
    int membership, forgotten, version;
    const char *room_id;
    apr_int64_t joined;              /* members of the room, as of now */
    apr_int64_t snap_nid, state_redacted;    /* of the room at its last event: its state, its last redaction of a state event */
} mx_sync_member_row_t;
/** The user's rooms: the joined ones, and those whose membership changed after `since` (-1: every one). In the order of room_nid. */
apr_status_t mx_store_sync_members(mx_sync_member_row_t **pout, int *pn, mx_conn_t *conn, apr_int64_t user_nid, apr_int64_t since,
                                   apr_pool_t *pool);

#define MX_SYNC_QUIET_SPAN 256       /* positions: a longer way is not looked at */
/**
 * 1 if nothing in (since, upto] can concern the user: neither rooms, nor receipts, typing, account data, nor what is told to
 * devices; each kind of news that an answer tells has to be asked for here. 0 also if the span is too long to look.
 */
apr_status_t mx_store_sync_quiet(int *pquiet, mx_conn_t *conn, apr_int64_t user_nid, apr_int64_t device_nid, apr_int64_t since,
                                 apr_int64_t upto, apr_pool_t *pool);

/** What a filter says, as SQL can use it: LIKE patterns for types, user ids for senders; NULL: not asked. */
typedef struct mx_sync_sql_filter_t {
    const char **types, **not_types, **senders, **not_senders;
    const apr_int64_t *ignored; int nignored;   /* users whose events are left out, state aside */
} mx_sync_sql_filter_t;

typedef struct mx_sync_span_t {
    apr_int64_t room_nid, after, upto;
} mx_sync_span_t;
/** What a span holds. */
typedef struct mx_sync_timeline_t {
    mx_event_row_t *rows;            /* oldest first */
    int n;
    apr_int64_t gap;                 /* ord of the newest event in the span before which events are missing; 0: none */
} mx_sync_timeline_t;
/** The newest `limit` events of each span that pass the filter, but none from before a gap: out[i] for spans[i]. */
apr_status_t mx_store_sync_timelines(mx_sync_timeline_t *out, mx_conn_t *conn, const mx_sync_span_t *spans, int nspans,
                                     const mx_sync_sql_filter_t *filter, int limit, apr_pool_t *pool);

/** State events by nid; with lazy set, member events only if their nid is among `members`. In no order. */
apr_status_t mx_store_sync_state_rows(mx_event_row_t **pout, int *pn, mx_conn_t *conn, const apr_int64_t *nids, int n, int lazy,
                                      const apr_int64_t *members, int nmembers, apr_pool_t *pool);
/** skey_nid of each user's m.room.member, for those that have one. */
typedef struct mx_sync_skey_row_t {
    apr_int64_t user_nid, skey_nid;
} mx_sync_skey_row_t;
apr_status_t mx_store_sync_member_skeys(mx_sync_skey_row_t **pout, int *pn, mx_conn_t *conn, const apr_int64_t *user_nids, int n,
                                        apr_pool_t *pool);

/** Rooms whose ephemeral and account data is asked for, each since a position of its own. */
typedef struct mx_sync_since_t {
    apr_int64_t room_nid, since;
} mx_sync_since_t;
apr_status_t mx_store_sync_room_receipts(mx_sync_receipt_row_t **pout, int *pn, mx_conn_t *conn, const mx_sync_since_t *rooms, int nrooms,
                                         apr_int64_t upto, apr_int64_t reader_nid, apr_pool_t *pool);
apr_status_t mx_store_sync_room_typing(mx_sync_typing_row_t **pout, int *pn, mx_conn_t *conn, const mx_sync_since_t *rooms, int nrooms,
                                       apr_int64_t upto, apr_int64_t now_ms, apr_pool_t *pool);
/** Global account data (room_nid 0) after `since`, that of the rooms after theirs. */
apr_status_t mx_store_sync_user_data(mx_sync_data_row_t **pout, int *pn, mx_conn_t *conn, apr_int64_t user_nid, apr_int64_t since,
                                     const mx_sync_since_t *rooms, int nrooms, apr_int64_t upto, apr_pool_t *pool);

#endif
