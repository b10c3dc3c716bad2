/* SPDX-License-Identifier: Apache-2.0 */
/*
 * matrix-doctor from the inside: what it knows of the database it looks at, and the steps of an examination. One thread.
 *
 *   doctor_report.c    what is found, in words and as JSON
 *   doctor_event.c     one event: body, hashes, columns, signatures
 *   doctor_auth.c      one event against the authorization rules; events that the rules ask for
 *   doctor_state.c     states as (stored snapshot, what is to be put right about it), compared and moved between
 *   doctor_replay.c    a room's events in order: the state before and after each from its previous events
 *   doctor_heads.c     which events nobody follows
 *   doctor_fork.c      states that differ resolved by core/state_res.h
 *   doctor_mirror.c    what mirrors the current state, compared and rebuilt
 *   doctor_room.c      a room, an event, all rooms
 *
 * Nothing here reads a cache of the server's, and no remembered resolution: what is stored is read by store/, what should be is worked
 * out of the events.
 */
#ifndef MX_TOOLS_DOCTOR_H
#define MX_TOOLS_DOCTOR_H

#include "base/json_writer.h"
#include "base/nid_map.h"
#include "core/auth_dag.h"
#include "core/auth_rules.h"
#include "store/doctor.h"
#include "store/intern.h"

#include <apr_hash.h>
#include <apr_tables.h>
#include <stdio.h>

/* ---- what is found (doctor_report.c) ---- */

/** Checks that can fail: code in JSON, 1 if --repair heals it, what an administrator can do. */
#define MX_DOCTOR_CHECKS(X) \
    X(BODY, "body", 0, RESTORE) \
    X(CONTENT_HASH, "content_hash", 0, RESTORE) \
    X(EVENT_ID, "event_id", 0, RESTORE) \
    X(COLUMNS, "columns", 0, RESTORE) \
    X(SIGNATURE, "signature", 0, RESTORE) \
    X(REDACTION, "redaction", 0, RESTORE) \
    X(AUTH_EVENTS, "auth_events", 0, RULES) \
    X(AUTH_STATE, "auth_state", 0, RULES) \
    X(FLAGS, "flags", 0, RESTORE) \
    X(SNAPSHOT, "snapshot", 0, STATE) \
    X(STATE_BEFORE, "state_before", 0, STATE) \
    X(STATE_AFTER, "state_after", 0, STATE) \
    X(REPLACES, "replaces", 0, STATE) \
    X(HEADS, "heads", 0, HEADS) \
    X(CURRENT_SNAPSHOT, "current_snapshot", 0, STATE) \
    X(STATE_LOG, "state_log", 0, STATE) \
    X(CUR_STATE, "cur_state", 1, REBUILD) \
    X(MEMBER, "member", 1, REBUILD) \
    X(COUNTER, "counter", 1, REBUILD) \
    X(ROOM_SERVER, "room_server", 1, REBUILD)

typedef enum {
#define X(name, code, repairs, advice) MX_DOCTOR_##name,
    MX_DOCTOR_CHECKS(X)
#undef X
    MX_DOCTOR_NCHECKS
} mx_doctor_check_e;

/** What could not be checked, and is no fault. */
#define MX_DOCTOR_UNCHECKED(X) \
    X(NO_KEY, "signatures_without_key", "signatures of servers whose key is not known here (give it by --key)") \
    X(REDACTED_HASH, "content_hashes_of_redacted", "content hashes of redacted events: what was hashed is gone") \
    X(REDACTED_AUTH, "rules_on_redacted", "decisions that hang on events redacted since") \
    X(GAP, "states_at_gaps", "states before events some of whose previous events are not here: taken as stored") \
    X(MANY_FAULTS, "states_after_many_faults", "states that follow from too many wrong ones: taken as stored")

typedef enum {
#define X(name, code, words) MX_DOCTOR_##name,
    MX_DOCTOR_UNCHECKED(X)
#undef X
    MX_DOCTOR_NUNCHECKED
} mx_doctor_unchecked_e;

#define MX_DOCTOR_SHOWN_MAX 20       /* findings of one check and room that are told one by one */

typedef struct mx_doctor_finding_t {
    mx_doctor_check_e check;
    const char *event_id;            /* NULL: of the room */
    const char *words;
} mx_doctor_finding_t;

/** The examination of one room, or one event. Lives in its pool. */
typedef struct mx_doctor_report_t {
    apr_pool_t *pool;
    const char *room_id;
    apr_array_header_t *findings;    /* mx_doctor_finding_t, MX_DOCTOR_SHOWN_MAX of a check */
    long found[MX_DOCTOR_NCHECKS];
    long unchecked[MX_DOCTOR_NUNCHECKED];
    long follow;                     /* events whose wrong state only follows from a wrong one before */
    long events, state_events, rejected, soft_failed, outliers, forks;
    int state_entries;
    int repaired;                    /* the mirrors were rebuilt; `written` says how much was wrong */
    mx_doctor_written_t written;
} mx_doctor_report_t;

mx_doctor_report_t *mx_doctor_report_create(const char *room_id, apr_pool_t *pool);
/** event_id NULL: of the room. The words are a sentence. */
void mx_doctor_report_add(mx_doctor_report_t *report, mx_doctor_check_e check, const char *event_id, const char *fmt, ...)
    __attribute__((format(printf, 4, 5)));
/** Findings that are left: all but those that a repair healed. */
long mx_doctor_report_left(const mx_doctor_report_t *report);
/** Findings that --repair heals. */
long mx_doctor_report_repairable(const mx_doctor_report_t *report);
void mx_doctor_report_print(const mx_doctor_report_t *report, FILE *to);
/** One object. */
void mx_doctor_report_write(const mx_doctor_report_t *report, mx_json_writer_t *w);

/* ---- the doctor ---- */

/** A public key that was given. */
typedef struct mx_doctor_key_t {
    const char *server, *key_id;     /* "ed25519:a_abcd" */
    unsigned char public_key[MX_ED25519_PUBLIC_BYTES];
} mx_doctor_key_t;

typedef struct mx_doctor_t {
    mx_store_t *store;
    const char *server_name;         /* whose events are local; NULL: not known */
    apr_array_header_t *keys;        /* mx_doctor_key_t */
    int repair;
    apr_pool_t *pool;
} mx_doctor_t;

/** An event read for the rules' sake. */
typedef struct mx_doctor_known_t {
    apr_int64_t nid, room_nid;
    int flags;
    const mx_event_t *event;         /* NULL: its body cannot be read */
} mx_doctor_known_t;

/** A state: a stored snapshot, and how the state differs from it (sorted; nid 0: the entry is gone). */
typedef struct mx_doctor_state_t {
    apr_int64_t snap;
    mx_state_item_t *fixes;
    int nfixes;
} mx_doctor_state_t;

/** An entry in which two states differ. */
typedef struct mx_doctor_diff_t {
    apr_int64_t skey_nid, from, to;  /* 0: none */
} mx_doctor_diff_t;

/** What is known of the room under examination. */
typedef struct mx_doctor_room_t {
    mx_doctor_t *d;
    const mx_room_row_t *row;
    const mx_room_version_t *version;
    mx_doctor_report_t *report;
    apr_pool_t *pool;
    apr_pool_t *chunk;               /* cleared after each part of the events */
    int writing;                     /* a repair is under way: users may be given numbers */
    apr_status_t rv;                 /* of a callback that could not read: ends the examination */
    /* doctor_auth.c */
    apr_pool_t *arena;               /* of the events below; given up when there are too many */
    mx_nid_map_t by_nid;             /* mx_doctor_known_t */
    apr_hash_t *by_id;               /* id: mx_doctor_known_t */
    apr_hash_t *skeys;               /* type NUL state_key: apr_int64_t */
    int nskeys;
    const mx_power_t *power;         /* of these two events */
    apr_int64_t power_create, power_levels;
    const mx_doctor_known_t *create;
    /* doctor_state.c */
    apr_hash_t *diffs;               /* (from, to): mx_state_list_t, of this part of the events */
    apr_hash_t *owns;                /* (from, to): mx_state_own_t */
    mx_nid_map_t map;                /* skey: nid as a pointer, of map_state; NULL entries are absent */
    mx_doctor_state_t map_state;
    /* doctor_fork.c */
    mx_auth_dag_t *dag;
} mx_doctor_room_t;

/** Opens a room; its maps are freed with the pool. MX_STORE_NONE; APR_EINVAL for a room version that this program does not know. */
apr_status_t mx_doctor_room_open(mx_doctor_room_t **proom, mx_doctor_t *d, apr_int64_t room_nid, apr_pool_t *pool);

/* ---- one event (doctor_event.c) ---- */

/** Reads the body; NULL if it cannot be read (a finding says why). The event lives in room->chunk. */
mx_event_t *mx_doctor_event_read(mx_doctor_room_t *room, const mx_doctor_row_t *row, const char *event_id);
/** Hashes, columns, flags, redaction and signatures. */
void mx_doctor_event_check(mx_doctor_room_t *room, const mx_doctor_row_t *row, mx_event_t *event, const char *event_id);

/* ---- the rules (doctor_auth.c) ---- */

/** Reads events by id into the room's table, as far as they are not there. */
apr_status_t mx_doctor_auth_load_ids(mx_doctor_room_t *room, const char *const *ids, int n);
apr_status_t mx_doctor_auth_load_nids(mx_doctor_room_t *room, const apr_int64_t *nids, int n);
/** Gives the table up if it grew too big. What was got from it is then gone. */
void mx_doctor_auth_trim(mx_doctor_room_t *room);
/** In the table; NULL. */
const mx_doctor_known_t *mx_doctor_auth_known(mx_doctor_room_t *room, const char *id);
/** Reads numbers that mx_doctor_auth_skey() will be asked for, in one query. */
apr_status_t mx_doctor_auth_load_skeys(mx_doctor_room_t *room, const mx_state_key_t *keys, int n);
/** Number of a (type, state_key); 0: nothing of the kind is stored. */
apr_int64_t mx_doctor_auth_skey(mx_doctor_room_t *room, const char *type, const char *state_key);
/** An event by number, read if need be; NULL if it does not exist (or room->rv is set). */
const mx_doctor_known_t *mx_doctor_auth_get(mx_doctor_room_t *room, apr_int64_t nid);

/** Which event the state before has for a skey; 0: none. */
typedef apr_int64_t mx_doctor_entry_fn(void *baton, apr_int64_t skey_nid);
/**
 * Checks an event against its auth events, and against the state before it (`entry` NULL: unknown). A rejected event should fail, any
 * other pass.
 */
void mx_doctor_auth_check(mx_doctor_room_t *room, const mx_doctor_row_t *row, const mx_event_t *event, mx_doctor_entry_fn *entry,
                          void *baton);

/* ---- states (doctor_state.c) ---- */

/** Clears room->chunk, and forgets the differences that were in it. */
void mx_doctor_state_next_part(mx_doctor_room_t *room);
int mx_doctor_state_same(const mx_doctor_state_t *a, const mx_doctor_state_t *b);
/** The state with some entries (sorted) changed, in `pool`. */
mx_doctor_state_t mx_doctor_state_with(const mx_doctor_state_t *state, const mx_state_item_t *changes, int n, apr_pool_t *pool);
/** Reads at once what mx_doctor_state_diff() and _is() will need of many pairs of snapshots. */
apr_status_t mx_doctor_state_prefetch(mx_doctor_room_t *room, const apr_int64_t *from, const apr_int64_t *to, int n);
/** Where two states differ, sorted, in room->chunk. */
apr_status_t mx_doctor_state_diff(mx_doctor_diff_t **pdiffs, int *pn, mx_doctor_room_t *room, const mx_doctor_state_t *from,
                                  const mx_doctor_state_t *to);
/** Is the snapshot that state? */
apr_status_t mx_doctor_state_is(int *pequal, mx_doctor_room_t *room, const mx_doctor_state_t *state, apr_int64_t snap);
/** Entries of a state: out[i] for skeys[i], each given once. */
apr_status_t mx_doctor_state_entries(apr_int64_t *out, mx_doctor_room_t *room, const mx_doctor_state_t *state, const apr_int64_t *skeys,
                                     int n);
/** 1 if reading a state failed since the bytes of a snapshot are damaged: the database itself goes on answering. */
int mx_doctor_state_is_damage(mx_doctor_room_t *room, apr_status_t rv);
/** Makes room->map the entries of this state. */
apr_status_t mx_doctor_state_move(mx_doctor_room_t *room, const mx_doctor_state_t *state);
/** An entry of room->map; a mx_doctor_entry_fn whose baton is the room. */
apr_int64_t mx_doctor_state_entry(void *room, apr_int64_t skey_nid);
/** The map has been made the state after an event. */
void mx_doctor_state_put(mx_doctor_room_t *room, apr_int64_t skey_nid, apr_int64_t nid, const mx_doctor_state_t *now);
/** The differences in words: "m.room.topic is $a instead of $b, and 3 more". */
const char *mx_doctor_state_words(mx_doctor_room_t *room, const mx_doctor_diff_t *should_is, int n);

/* ---- forks (doctor_fork.c) ---- */

/** Resolves states; *pdoubt is set if an event was redacted that the outcome hangs on. The result lives in room->chunk. */
apr_status_t mx_doctor_fork_resolve(mx_doctor_state_t *out, int *pdoubt, mx_doctor_room_t *room, const mx_doctor_state_t *states, int n);

/* ---- the events in order (doctor_replay.c) ---- */

typedef struct mx_doctor_end_t {
    apr_int64_t *heads;              /* ascending */
    int nheads;
    apr_int64_t depth, depth_max;    /* the greatest of the heads; of all events */
    apr_int64_t newest;              /* place of the newest event in the timeline */
    mx_doctor_state_t state;         /* after the heads */
    int unread;                      /* bodies could not be read: what they follow is not known, nor are the heads */
    int doubt;                       /* the state hangs on a redacted event */
} mx_doctor_end_t;
/** Examines every event of the room. */
apr_status_t mx_doctor_replay_run(mx_doctor_end_t *out, mx_doctor_room_t *room);

/* ---- the heads (doctor_heads.c) ---- */

/** An event, as those that follow it see it. */
typedef struct mx_doctor_node_t {
    apr_int64_t nid;
    int flags, is_state;
    apr_int64_t before, after;       /* snapshots */
} mx_doctor_node_t;

typedef struct mx_doctor_heads_t {
    mx_doctor_room_t *room;
    apr_hash_t *behind;              /* nid of a rejected or soft-failed event: what it follows */
    mx_nid_map_t unfollowed;         /* nids of events that may be heads; the value is the depth + 1 */
    apr_hash_t *unseen;              /* ids of previous events that were not there when they were followed */
    apr_int64_t newest, depth;       /* the greatest of any event that is no outlier */
} mx_doctor_heads_t;

void mx_doctor_heads_init(mx_doctor_heads_t *heads, mx_doctor_room_t *room);
/**
 * The next event, no outlier; `nodes` (id: mx_doctor_node_t) has those before it. A soft-failed or rejected event is no head; what is
 * behind it goes with what follows it.
 */
void mx_doctor_heads_follow(mx_doctor_heads_t *heads, apr_hash_t *nodes, const mx_doctor_row_t *row, const mx_event_t *event,
                            const char *event_id);
/** Heads, their number and depth, and the newest place. */
void mx_doctor_heads_end(mx_doctor_end_t *out, const mx_doctor_heads_t *heads);

/* ---- mirrors (doctor_mirror.c) ---- */

/** What the mirrors of a snapshot must be. */
apr_status_t mx_doctor_mirror_make(mx_doctor_mirrors_t *out, mx_doctor_room_t *room, apr_int64_t snap_nid);
/** Compares what is stored. */
apr_status_t mx_doctor_mirror_check(mx_doctor_room_t *room, const mx_doctor_mirrors_t *must);
/** Rebuilds under the room's lock. `must` is of snapshot `snap_nid`; if another is current by now, it is made anew. */
apr_status_t mx_doctor_mirror_repair(mx_doctor_room_t *room, const mx_doctor_mirrors_t *must, apr_int64_t snap_nid);

/* ---- examinations (doctor_room.c) ---- */

/** A room. With d->repair what can be repaired is. MX_STORE_NONE: there is no such room. */
apr_status_t mx_doctor_room_examine(mx_doctor_report_t **preport, mx_doctor_t *d, apr_int64_t room_nid, apr_pool_t *pool);
/** One event alone. MX_STORE_NONE. */
apr_status_t mx_doctor_room_examine_event(mx_doctor_report_t **preport, mx_doctor_t *d, const char *event_id, apr_pool_t *pool);

#endif
