/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Storing a batch of events of one room: one statement, one transaction, all or nothing (sql/0005_persist.sql). Nothing is
 * decided here; room/accept.c says what the batch does to the room.
 *
 * References (mx_ref_t) stand for nids: positive a nid, -i the i-th event (or snapshot) of this batch counted from 1, 0 none.
 */
#ifndef MX_STORE_PERSIST_H
#define MX_STORE_PERSIST_H

#include "store/event.h"
#include "store/mark.h"
#include "store/state.h"

typedef apr_int64_t mx_ref_t;

/** With MX_EVENT_FLAG_OUTLIER: an outlier of that id is there. It keeps its number and gets a place, as if it had come now. */
typedef struct mx_persist_event_t {
    mx_slice_t id;                   /* packed */
    mx_slice_t pdu;
    apr_int64_t ts, depth, sender_nid;
    int type_nid, flags;
    mx_ref_t before;                 /* snapshot: state before the event */
    apr_int64_t sticky_until;        /* ms; 0: not sticky. Not of plain messages */
    int after_gap;                   /* it is shown, and what was before it is missing */
    apr_int64_t device_nid;          /* with a txn_id */
    const char *txn_id, *txn_scope;  /* NULL: none */
    /* of state events */
    apr_int64_t skey_nid;            /* 0: no state event */
    mx_ref_t replaces, after;        /* event; snapshot */
    mx_ref_t auth[10];               /* MX_EVENT_MAX_AUTH: events */
    int nauth;
} mx_persist_event_t;

/** A state that is `pred` with one entry changed, or several. */
typedef struct mx_persist_snap_t {
    mx_ref_t pred;                   /* snapshot; 0: the empty state */
    apr_int64_t skey_nid;
    mx_ref_t event;                  /* 0: the entry goes */
    const mx_state_item_t *more;     /* further entries; nid is a reference, 0 removes */
    int nmore;
    int size;
    mx_state_hash_t hash;
} mx_persist_snap_t;

typedef struct mx_persist_member_t {
    apr_int64_t user_nid;
    int membership;                  /* mx_membership_e */
    mx_ref_t event, since;           /* the member event; the event that made it current */
} mx_persist_member_t;

typedef struct mx_persist_redaction_t {
    apr_int64_t nid;                 /* of the target */
    mx_slice_t pdu;                  /* its redacted form */
    mx_ref_t by;
} mx_persist_redaction_t;

/** The room to make, with room_nid 0. */
typedef struct mx_persist_begin_t {
    const char *room_id, *alias;     /* alias NULL: none */
    int version, published;
    apr_int64_t creator_nid, ts;
} mx_persist_begin_t;

typedef struct mx_persist_batch_t {
    apr_int64_t room_nid, ver;       /* what the batch was built on */
    const mx_persist_begin_t *begin; /* NULL: the room exists */
    mx_conn_t *turn;                 /* of mx_store_persist_turn(); NULL: a transaction of its own */
    mx_persist_event_t *events; int nevents;
    mx_persist_snap_t *snaps; int nsnaps;
    mx_ref_t *heads; mx_slice_t *head_ids; int nheads;   /* afterwards */
    apr_int64_t depth;               /* of the heads */
    mx_ref_t snap;                   /* the current state afterwards */
    mx_ref_t *log_events, *log_snaps; int nlog;          /* since which event which snapshot was current */
    mx_state_item_t *current;
    int ncurrent; /* what changes in the current state; nid is a reference, 0 removes */
    mx_persist_member_t *members; int nmembers;          /* one per user */
    mx_persist_redaction_t *redactions; int nredactions;
    const mx_store_mark_t *marks; int nmarks;            /* what its events relate to, and whom they concern */
    /* of a batch of one event (store/redaction.h) */
    mx_slice_t redaction_waits;      /* what it redacts once that is there; p NULL: nothing */
    int redaction_ends;              /* redactions have waited for it … */
    apr_int64_t redacted_by;         /* … and this one counts: its pdu is the redacted form. 0: none */
} mx_persist_batch_t;

typedef enum {
    MX_PERSIST_STORED,
    MX_PERSIST_CONFLICT,
    MX_PERSIST_KNOWN_TXN,
    MX_PERSIST_NO_ROOM,
    MX_PERSIST_ALIAS_TAKEN
} mx_persist_status_e;

/** The room after the call; all but STORED have changed nothing. */
typedef struct mx_persist_result_t {
    mx_persist_status_e status;
    apr_int64_t room_nid, ver, snap_nid, depth, state_redacted;
    apr_int64_t *heads; mx_slice_t *head_ids; int nheads;
    int joined, invited;
    apr_int64_t *nids; int nnids;    /* STORED: of the events */
    apr_int64_t *snaps; int nsnaps;  /* STORED: of the snapshots */
    apr_int64_t *known_at;
    mx_slice_t *known_ids;
    int nknown; /* KNOWN_TXN: events of the batch (from 1), and what they are */
} mx_persist_result_t;

/** Plain messages on top of the room's one state, a chain: of the batch only room, ver, marks and events (without state) are read. */
apr_status_t mx_store_persist_messages(mx_persist_result_t **presult, mx_store_t *store,
                                       const mx_persist_batch_t *batch, apr_pool_t *pool);

/** A room's share of mx_store_persist_many(). */
typedef struct mx_persist_many_t {
    const mx_persist_batch_t *batch; /* as for mx_store_persist_messages() */
    mx_persist_result_t **presult;
    apr_pool_t *pool;                /* the result lives in it */
} mx_persist_many_t;

/**
 * Messages of several rooms in one transaction. `many` ascends by the nids of the rooms, each of which is there once. Results are the
 * rooms' own: a conflict in one leaves the others stored. An error is everybody's and, but for MX_STORE_UNAVAILABLE, means that
 * nothing is stored.
 */
apr_status_t mx_store_persist_many(mx_store_t *store, const mx_persist_many_t *many, int n, apr_pool_t *pool);

/** Anything. MX_STORE_DUPLICATE: an event, a room or an alias of that name came into being this moment. */
apr_status_t mx_store_persist_batch(mx_persist_result_t **presult, mx_store_t *store, const mx_persist_batch_t *batch,
                                    apr_pool_t *pool);
/**
 * Waits until the room is nobody else's and locks it, in a transaction on *pconn. mx_store_persist_batch() with that as `turn` commits
 * it if it stores; mx_store_return() gives up. MX_STORE_NONE: no such room.
 */
apr_status_t mx_store_persist_turn(mx_conn_t **pconn, mx_store_t *store, apr_int64_t room_nid, apr_pool_t *pool);
/** The packed id of the event that a transaction id has made. MX_STORE_NONE. */
apr_status_t mx_store_persist_known(mx_slice_t *pid, mx_store_t *store, apr_int64_t device_nid, const char *txn_id,
                                    const char *scope, apr_pool_t *pool);

#endif
