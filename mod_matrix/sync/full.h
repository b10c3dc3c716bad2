/* SPDX-License-Identifier: Apache-2.0 */
/*
 * An answer from the database, in steps that each read for many rooms at once: rooms.c finds the rooms and their
 * timelines, room_fork.c what forks did to them, room_state.c their state, room_write.c writes; full.c is the table of contents.
 * All rooms are found first; the other steps are taken for a chunk of them after the other (chunks.c), so that a long answer is never
 * in memory as a whole.
 */
#ifndef MX_SYNC_FULL_H
#define MX_SYNC_FULL_H

#include "sync/devices.h"
#include "sync/unread.h"
#include <apr_hash.h>

typedef enum { MX_SECTION_NONE, MX_SECTION_JOIN, MX_SECTION_INVITE, MX_SECTION_KNOCK, MX_SECTION_LEAVE } mx_sync_section_e;

/** What is told of one room. */
typedef struct mx_sync_part_t {
    const mx_sync_member_row_t *member;
    mx_sync_section_e section;
    mx_membership_e at_since, at_end;
    unsigned fresh : 1;          /* the client knows nothing of it (yet, or any more) */
    unsigned full : 1;           /* its whole state is told */
    unsigned moved : 1;          /* there may be events in its span */
    unsigned was_joined : 1;     /* LEAVE: the reader was in the room before */
    unsigned limited : 1;        /* older events of the span are left out */
    unsigned gappy : 1;          /* events between those of the timeline are left out: filtered, or hidden from the reader */
    unsigned open : 1;           /* the reader may see the whole timeline */
    unsigned broken : 1;         /* the room's state at the end is not what it was at `since` and what the timeline says */
    mx_sync_span_t span;
    mx_event_row_t *rows;        /* timeline, oldest first */
    int n;
    apr_int64_t prev;            /* position just before the timeline */
    apr_int64_t snap_since, snap_start, snap_end;   /* the state at the token, at the timeline's start, at the end */
    apr_int64_t snap_base;       /* one of the latter: what is told in `state` */
    const mx_room_summary_t *summary;   /* NULL: not told */
    apr_array_header_t *state;   /* of apr_int64_t: nids of the state events to tell */
    apr_array_header_t *state_rows;   /* of const mx_event_row_t *, in the order of their nids */
    mx_sync_receipt_row_t *receipts;
    mx_sync_typing_row_t *typing;
    mx_sync_data_row_t *data;
    int nreceipts, ndata;
    const mx_sync_unread_room_t *unread;   /* of joined rooms that are told */
    apr_array_header_t *sticky;  /* of mx_event_row_t: sticky events that the timeline lacks; NULL: none */
} mx_sync_part_t;

typedef struct mx_sync_full_t {
    mx_server_t *server;
    const mx_sync_ask_t *ask;
    const mx_filter_t *filter;
    apr_time_t now;
    apr_int64_t upto;            /* the answer's position */
    int quiet;                   /* nothing up to there concerns the reader: no rooms were read */
    mx_sync_member_row_t *members;
    mx_sync_part_t *parts;       /* in the order of room_nid; from chunks.c on by section first, those of none last */
    int nparts;
    int njoined;                 /* of a chunk: so many parts are of MX_SECTION_JOIN, before the others */
    int left, nleft;             /* … and so many, from there on, of MX_SECTION_LEAVE */
    mx_user_push_settings_t *settings;
    mx_sync_data_row_t *global;  /* account data; of the first chunk */
    int nglobal;
    int later;                   /* a chunk that is not the first */
    int for_device;              /* what is told to the device is wanted: its messages may bring `upto` down */
    mx_to_device_row_t *messages;
    int nmessages;
    mx_slice_t stock;            /* sync/devices.h */
    int stock_moved;
    apr_pool_t *pool;
} mx_sync_full_t;

/** The part of a room; NULL: it has none. */
mx_sync_part_t *mx_sync_part_of(mx_sync_full_t *full, apr_int64_t room_nid);
/** A room without news is left out. */
int mx_sync_part_is_told(const mx_sync_part_t *part);
static inline int mx_sync_is_initial(const mx_sync_full_t *full) { return full->ask->since < 0; }
/** 1 if the part's state, changes of it included, is to be told. */
static inline int mx_sync_part_has_state(const mx_sync_part_t *part)
{
    return (part->section == MX_SECTION_JOIN || (part->section == MX_SECTION_LEAVE && part->was_joined))
           && (part->fresh || part->full || part->moved);
}

/* rooms.c */
/** Makes sure that what room/ keeps of the part's room has seen all that this answer tells. */
const mx_error_t *mx_sync_part_refresh(mx_sync_full_t *full, const mx_sync_part_t *part);
const mx_error_t *mx_sync_rooms_find(mx_sync_full_t *full);
const mx_error_t *mx_sync_rooms_timelines(mx_sync_full_t *full);
/** Takes out of the parts' timelines what the reader may not see; afterwards `was_joined` and the snapshots at the end are known. */
const mx_error_t *mx_sync_rooms_hide(mx_sync_full_t *full);
/* room_fork.c */
/** Each event of the timeline stands on the state that the one before it left, and the last one left the room's. */
int mx_sync_part_is_linked(const mx_sync_part_t *part);
/** Cuts off what would leave the client with a state that is not the room's; then `snap_start`, `snap_base` and `broken` are known. */
const mx_error_t *mx_sync_room_fork_settle(mx_sync_full_t *full);
/* room_state.c */
/** The snapshots that the rooms had at the token, and have at the end. */
const mx_error_t *mx_sync_room_state_snaps(mx_sync_full_t *full);
const mx_error_t *mx_sync_room_state_load(mx_sync_full_t *full);
/* room_lazy.c */
/** Members that lazy loading adds: afterwards the parts' `state` holds them, and `members` (of apr_int64_t) as well. */
const mx_error_t *mx_sync_room_lazy_add(apr_array_header_t *members, mx_sync_full_t *full);
/* invites.c */
/** Takes invitations out that the reader is not to see: of ignored users, or refused. `settings` must be there. */
const mx_error_t *mx_sync_invites_hide(mx_sync_full_t *full);
/* sticky.c */
/** What the timelines lack of sticky events. After the timelines are settled. MSC4354. */
const mx_error_t *mx_sync_sticky_load(mx_sync_full_t *full);
/* room_write.c */
/** Writes a chunk's rooms. *popen: the section whose object `w` has open, and afterwards has. *ptold is set if anything was told. */
const mx_error_t *mx_sync_room_write_all(mx_json_writer_t *w, mx_sync_section_e *popen, int *ptold, mx_sync_full_t *full);
/** Opens the next sections' objects, one after the other, until `section` is the open one. */
void mx_sync_room_write_section(mx_json_writer_t *w, mx_sync_section_e *popen, mx_sync_section_e section);
/* full.c */
/** Reads all that is told of the rooms of a chunk. */
const mx_error_t *mx_sync_full_load(mx_sync_full_t *chunk);
/* chunks.c */
/** The answer, or its beginning, once the rooms are found. All that `full` points to lives as long as its pool. */
const mx_error_t *mx_sync_chunks_begin(mx_sync_answer_t *out, mx_sync_full_t *full);

/** Borrows a connection for one call: `expr` uses `conn`. */
#define MX_SYNC_WITH_CONN(rv, full, expr)                                                     \
    do {                                                                                      \
        mx_conn_t *conn = NULL;                                                               \
        (rv) = mx_store_borrow(&conn, (full)->server->store, (full)->pool);                   \
        if ((rv) == APR_SUCCESS) (rv) = (expr);                                               \
        mx_store_return(conn);                                                                \
    } while (0)

#endif
