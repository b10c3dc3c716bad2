/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The public face of room/: rooms as they are now, the one way in for events, and how events are shown.
 *
 * A mx_room_t is an immutable view of a room at one version (room.ver), shared by all threads of the child and borrowed
 * by a request: it stays valid until the pool it was got with is cleared. It may be stale: writers are protected by
 * compare-and-set, readers see a room that was true a moment ago. (What the views share, and who locks what:
 * room/room_private.h.)
 */
#ifndef MX_ROOM_ROOM_H
#define MX_ROOM_ROOM_H

#include "core/auth_rules.h"
#include "core/history_visibility.h"
#include "server/server.h"
#include "server/who.h"
#include "store/event.h"
#include "store/member_list.h"
#include "store/state.h"

/** Makes server->room (cache, combiner). Child start, one thread. */
apr_status_t mx_room_init(mx_server_t *server);

/* ---- a room as it is (room/cache.c) ---- */

typedef struct mx_room_t {
    apr_int64_t nid;
    const char *room_id;
    const mx_room_version_t *version;
    apr_int64_t ver, snap_nid, last_stream;
    int joined, invited;
    int published;
    struct mx_room_private_t *priv;
} mx_room_t;

/** M_NOT_FOUND for an unknown room. Fresh: has at least seen every commit of this child and is checked against the
    database if older than a second (or if `fresh`). */
const mx_error_t *mx_room_get(mx_room_t **proom, mx_server_t *server, const char *room_id, int fresh, apr_pool_t *pool);
const mx_error_t *mx_room_get_by_nid(mx_room_t **proom, mx_server_t *server, apr_int64_t room_nid, apr_pool_t *pool);
/** The room, not older than that position: this child may not have heard yet. */
const mx_error_t *mx_room_get_since(mx_room_t **proom, mx_server_t *server, apr_int64_t room_nid, apr_int64_t stream, apr_pool_t *pool);
/** A current state event, parsed, its content too; *pevent NULL if there is none. Valid as long as `pool` and the room. */
const mx_error_t *mx_room_state_get(const mx_event_t **pevent, mx_server_t *server, mx_room_t *room, const char *type,
                                    const char *state_key, apr_pool_t *pool);
/** All of the current state as rows, in the order of the events. */
const mx_error_t *mx_room_state_all(mx_event_row_t **prows, int *pn, mx_server_t *server, mx_room_t *room, apr_pool_t *pool);
const mx_error_t *mx_room_membership(mx_membership_e *pmembership, mx_server_t *server, mx_room_t *room, const char *user_id,
                                     apr_pool_t *pool);
const mx_error_t *mx_room_power(const mx_power_t **ppower, mx_server_t *server, mx_room_t *room, apr_pool_t *pool);

/* ---- the one way in (room/accept.c, room/send.c) ---- */

/** An event a local user wants. */
typedef struct mx_room_draft_t {
    const char *sender;              /* a local user id */
    const char *type;
    const char *state_key;           /* NULL: not state */
    const mx_json_t *content;        /* an object */
    const char *redacts;
    const apr_int64_t *sticky_ms;    /* NULL: not sticky (core/sticky.h) */
    int is_admin;                    /* of this server: may redact what users of this server sent */
    apr_int64_t device_nid;          /* with txn_id: transaction id of the send, else 0 */
    const char *txn_id, *txn_scope;
} mx_room_draft_t;

/** Drafts of one call of mx_room_send() or mx_room_begin(). */
#define MX_ROOM_DRAFTS_MAX 150

/**
 * Builds, authorises, signs and stores the drafts, one after the other on top of the room, in ONE transaction: all or
 * none. Plain sends into one room combine with those of other threads. A known (device, txn_id, scope) gives the id of
 * the event it made. Returns after COMMIT; the waiters have been told. `event_ids` gets n ids, in `pool`.
 * A state draft that equals the current state event (same sender rules apply) makes no new event: its id is given.
 */
const mx_error_t *mx_room_send(const char **event_ids, mx_server_t *server, const char *room_id, const mx_room_draft_t *drafts,
                               int n, apr_pool_t *pool);
/** Same for a room that begins: drafts[0] is m.room.create. `published` lists it in the directory, `alias` (may be NULL) is
    taken in the same transaction (M_ROOM_IN_USE). */
const mx_error_t *mx_room_begin(const char **proom_id, mx_server_t *server, const mx_room_version_t *version,
                                const mx_room_draft_t *drafts, int n, int published, const char *alias, apr_pool_t *pool);

/* ---- creation and membership (room/create.c, room/member.c) ---- */

/** POST /createRoom with its body checked member by member. */
const mx_error_t *mx_room_create(const char **proom_id, mx_server_t *server, const mx_who_t *who, const mx_json_t *body, apr_pool_t *pool);

typedef enum { MX_ROOM_JOIN, MX_ROOM_INVITE, MX_ROOM_LEAVE, MX_ROOM_KICK, MX_ROOM_BAN, MX_ROOM_UNBAN,
               MX_ROOM_KNOCK } mx_room_member_action_e;
typedef struct mx_room_member_change_t {
    mx_room_member_action_e action;
    const char *actor;               /* user id of who asks (local) */
    const char *target;              /* whose membership */
    const char *reason;              /* may be NULL */
    int is_direct;
    int guest;                       /* the actor is a guest: joins only where m.room.guest_access lets guests in */
    const mx_json_t *extra;          /* further members of the content (third_party_signed …) or NULL */
} mx_room_member_change_t;
const mx_error_t *mx_room_member_change(mx_server_t *server, const char *room_id, const mx_room_member_change_t *change, apr_pool_t *pool);
/** Leaves (or declines) every room of a user: deactivation. */
const mx_error_t *mx_room_member_leave_all(mx_server_t *server, const char *user_id, apr_pool_t *pool);
/** Sends the user's new display name and avatar into every room joined. */
const mx_error_t *mx_room_member_profile_changed(mx_server_t *server, const char *user_id, apr_pool_t *pool);
/** Room id of an alias: M_NOT_FOUND. */
const mx_error_t *mx_room_alias_resolve(const char **proom_id, mx_server_t *server, const char *alias, apr_pool_t *pool);

/* ---- showing events (room/view.c, room/visibility.c) ---- */

/** The room, not older than those of the rows that are its own: who may see them depends on who is in it by then. */
const mx_error_t *mx_room_get_with(mx_room_t **proom, mx_server_t *server, apr_int64_t room_nid, const mx_event_row_t *rows, int n,
                                   apr_pool_t *pool);
/** Which of the rows (of one room) the user may see: visible[i] = 1. user_nid 0: a stranger (world_readable only). */
const mx_error_t *mx_room_visibility(unsigned char *visible, mx_server_t *server, apr_int64_t room_nid, apr_int64_t user_nid,
                                     const char *user_id, const mx_event_row_t *rows, int n, apr_pool_t *pool);

/** Loads what the `unsigned` of these rows needs (replaced events, redactions, transaction ids of who's device), in at most 3 queries. */
typedef struct mx_room_view_t mx_room_view_t;
const mx_error_t *mx_room_view_create(mx_room_view_t **pview, mx_server_t *server, const mx_who_t *who, const mx_event_row_t *rows,
                                      int n, apr_time_t now, apr_pool_t *pool);
/** The rows that are written next are of this room: saves looking its id up. */
void mx_room_view_set_room(mx_room_view_t *view, apr_int64_t room_nid, const char *room_id);
/** Events of these rows are served with what relates to them. CS-API: aggregations of child events. */
enum { MX_ROOM_BUNDLE_NOT, MX_ROOM_BUNDLE, MX_ROOM_BUNDLE_MEMBER /* the reader is joined to its room: saves asking the room */ };
/** Adds that to what is written of rows i where which[i] is not MX_ROOM_BUNDLE_NOT (NULL: of all). `nested`: see room/bundle.h. */
const mx_error_t *mx_room_view_bundle(mx_room_view_t *view, const unsigned char *which, int nested);
/** 1 if row i is written with a thread that it is the root of. */
int mx_room_view_has_thread(const mx_room_view_t *view, int i);
/** Writes row i as a client event. rows may be of several rooms. */
const mx_error_t *mx_room_view_write(mx_json_writer_t *w, mx_room_view_t *view, int i, mx_event_format_e format);

/** Stripped state for invites and knocks, as a JSON array of stripped events (CS-API: stripped state). */
const mx_error_t *mx_room_stripped_state(mx_json_writer_t *w, mx_server_t *server, apr_int64_t room_nid, apr_int64_t user_nid,
                                          apr_pool_t *pool);
/** CS-API: room summary. */
typedef struct mx_room_summary_t {
    apr_int64_t room_nid;            /* set by the caller */
    apr_int64_t joined, invited;
    int named;                       /* by m.room.name or m.room.canonical_alias: clients need no heroes */
    const mx_store_hero_t *heroes;   /* of rooms without a name */
    int nheroes;
} mx_room_summary_t;
/** Fills the summaries of several rooms, as they are now, in two queries; the reader is no hero. */
const mx_error_t *mx_room_summaries(mx_room_summary_t *summaries, int n, mx_server_t *server, apr_int64_t reader_nid, apr_pool_t *pool);
/** m.heroes, m.joined_member_count, m.invited_member_count as the members of an open object. */
void mx_room_summary_write(mx_json_writer_t *w, const mx_room_summary_t *summary);

#endif
