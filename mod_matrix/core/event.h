/* SPDX-License-Identifier: Apache-2.0 */
/*
 * An event as the protocol knows it: the canonical bytes of its PDU and an index of what the rules ask for.
 * PDU bytes never hold `unsigned`; room versions 3 and on never hold `event_id`.
 */
#ifndef MX_CORE_EVENT_H
#define MX_CORE_EVENT_H

#include "base/crypto.h"
#include "base/json_scan.h"
#include "base/json_writer.h"
#include "core/error.h"
#include "core/event_type.h"
#include "core/room_version.h"

#define MX_PDU_MAX_BYTES 65536
#define MX_EVENT_FIELD_MAX_BYTES 255   /* sender, room_id, type, state_key, event_id */
#define MX_EVENT_MAX_PREV 20
#define MX_EVENT_MAX_AUTH 10
#define MX_EVENT_DELAY_ID "org.matrix.msc4140.delay_id"   /* in unsigned */
#define MX_EVENT_NEAR_BYTES 120        /* of an event's short texts beside its fields */

typedef enum { MX_MEMBERSHIP_NONE, MX_MEMBERSHIP_INVITE, MX_MEMBERSHIP_JOIN, MX_MEMBERSHIP_KNOCK, MX_MEMBERSHIP_LEAVE,
               MX_MEMBERSHIP_BAN } mx_membership_e;

/** What the rules ask of every event stands first, so that little of the memory around it is waited for. Never copied by value. */
typedef struct mx_event_t {
    mx_event_type_e type_id;
    mx_membership_e member;          /* what `membership` says; NONE where it says nothing that is known */
    const mx_room_version_t *version;
    const char *sender;
    const char *state_key;           /* NULL: not a state event; the same pointer as sender if it says the same */
    const char *room_id;             /* in version 12 a create event's is derived from its id */
    const char *membership;          /* of m.room.member, as content has it; else NULL: the rules ask for it all the time */
    const char *type;                /* of the table in core/event_type.h if it is one of them */
    const char *event_id;
    char near[MX_EVENT_NEAR_BYTES];  /* room_id, sender and state_key, as far as they fit: comparing them finds them here */
    int has_authoriser;              /* a membership's content has join_authorised_via_users_server, whatever it holds */
    int closed;                      /* a create event's content has m.federate false */
    const char *join_rule;           /* of m.room.join_rules, as content has it; else NULL */
    int nprev, nauth;
    const char **prev_events, **auth_events;
    const char *redacts;             /* of m.room.redaction, wherever the version keeps it; else NULL */
    mx_slice_t content;              /* raw object */
    mx_json_t *content_json;         /* parsed on first mx_event_content() */
    mx_slice_t pdu;                  /* canonical JSON with hashes and signatures */
    mx_json_scan_t scan;             /* its top-level members */
    apr_int64_t depth;
    apr_int64_t origin_server_ts;    /* ms */
    apr_pool_t *pool;
} mx_event_t;

/**
 * Reads a canonical PDU of ours (trusted: from the database, or just built). `event_id` NULL: computed from the hash
 * (versions 3 and on) or read (1, 2). `pdu` must outlive the event.
 */
const mx_error_t *mx_event_parse(mx_event_t **pevent, const mx_room_version_t *version, mx_slice_t pdu,
                                 const char *event_id, apr_pool_t *pool);
/**
 * Reads a foreign PDU: grammar, UTF-8, types of all fields, size limits, number range; re-serialises it canonically
 * without `unsigned` if need be (result in `pool`). Hashes and signatures are not checked here (core/sign.h).
 */
const mx_error_t *mx_event_parse_foreign(mx_event_t **pevent, const mx_room_version_t *version, mx_slice_t text, apr_pool_t *pool);

/** The content as a tree, parsed once; belongs to event->pool. Not for two threads at once unless it was parsed before. */
mx_json_t *mx_event_content(const mx_event_t *event);
static inline int mx_event_is_state(const mx_event_t *ev) { return ev->state_key != NULL; }
/** By the type alone. */
static inline int mx_event_is_type(const mx_event_t *ev, const char *type)
{
    mx_event_type_e known = mx_event_type_of(type);
    return known ? ev->type_id == known : strcmp(ev->type, type) == 0;
}
/** NULL: no state event of that type. Fastest with a type of mx_event_types. */
static inline int mx_event_is(const mx_event_t *ev, const char *type, const char *state_key)
{
    return mx_event_is_type(ev, type) && mx_str_eq(ev->state_key, state_key);
}

/** What a new event of ours is made from. */
typedef struct mx_event_draft_t {
    const mx_room_version_t *version;
    const char *room_id;             /* NULL for a version 12 create event */
    const char *sender, *type;
    const char *state_key;           /* NULL: not state */
    const char *redacts;
    mx_slice_t content;              /* canonical JSON object */
    const apr_int64_t *sticky_ms;    /* NULL: not sticky (core/sticky.h) */
    apr_int64_t depth, origin_server_ts;
    const char **prev_events; int nprev;
    const char **auth_events; int nauth;
    const char *origin;              /* our server name */
    const char **prev_hashes;        /* versions 1 and 2: reference hashes of prev_events, unpadded base64; NULL: none */
    const char **auth_hashes;
} mx_event_draft_t;

/**
 * Builds the event: canonical JSON, content hash, reference hash (id). The signature is separate so that a chain can be
 * built before any of it is signed: the result's pdu has no `signatures` until mx_event_sign().
 * M_TOO_LARGE past the limits of size.
 */
const mx_error_t *mx_event_build(mx_event_t **pevent, const mx_event_draft_t *draft, apr_pool_t *pool);
/** Signs with our key; event->pdu and scan are replaced by the signed bytes in `event->pool`. key_id like "ed25519:a_abcd". */
const mx_error_t *mx_event_sign(mx_event_t *event, const char *server_name, const char *key_id, const mx_ed25519_key_t *key);

/** "$…" of the reference hash (room versions 3 and on) of a canonical PDU. */
const mx_error_t *mx_event_id_compute(const char **pid, const mx_room_version_t *version, const mx_json_scan_t *scan, apr_pool_t *pool);
/** The reference hash of an event of any version, unpadded base64, in `pool`. SS-API: calculating the reference hash. */
const char *mx_event_reference_hash(const mx_event_t *event, apr_pool_t *pool);
/** 1 if hashes.sha256 is that of the content. */
int mx_event_content_hash_ok(const mx_event_t *event);

/** The redacted form (Rooms: redactions), canonical bytes in `pool`; signatures and hashes stay. */
mx_slice_t mx_event_redact(const mx_room_version_t *version, mx_slice_t pdu, apr_pool_t *pool);

/** What the client format adds to a stored PDU. Zero or NULL fields are left out. */
typedef struct mx_event_unsigned_t {
    apr_int64_t age_ms;              /* <0: left out */
    const char *transaction_id;      /* only for the device that sent it */
    const char *delay_id;            /* of an event that was sent later, only for its sender. MSC4140 */
    const char *membership;          /* the reading user's membership at the event */
    mx_slice_t prev_content;         /* raw content of the replaced state event */
    const char *prev_sender;
    const char *replaces_state;
    mx_slice_t redacted_because;     /* a whole client event, raw */
    mx_slice_t relations;            /* m.relations: what is bundled with the event, raw */
} mx_event_unsigned_t;

typedef enum { MX_FORMAT_CLIENT, MX_FORMAT_SYNC /* no room_id */, MX_FORMAT_STRIPPED, MX_FORMAT_FEDERATION } mx_event_format_e;

/** Writes one event in the wished format by splicing slices of the PDU; nothing is parsed and printed again. */
void mx_event_write(mx_json_writer_t *w, const mx_event_t *event, mx_event_format_e format, const mx_event_unsigned_t *uns);
/**
 * The hot form of the same: from the stored bytes alone. Finds its keys in one pass without allocating.
 * room_id and event_id come from the row; fields of the PDU that clients must not see (auth_events, hashes…) are cut.
 */
void mx_event_write_raw(mx_json_writer_t *w, mx_slice_t pdu, const char *event_id, const char *room_id,
                        mx_event_format_e format, const mx_event_unsigned_t *uns);

#endif
