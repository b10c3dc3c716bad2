/* SPDX-License-Identifier: Apache-2.0 */
/* Shared by the files that make, read and hash events. */
#ifndef MX_CORE_EVENT_PRIVATE_H
#define MX_CORE_EVENT_PRIVATE_H

#include "core/event.h"

/** Nesting that a PDU may have: what other servers' parsers take, so that a room does not split over it. */
#define MX_PDU_MAX_DEPTH 1000

/** Fills the fields of `ev` from ev->scan; version, pdu, pool and event_id (where the version has hashes) are set. */
const mx_error_t *mx_event_fill(mx_event_t *ev);

/**
 * The redacted form of the scanned event, canonical if that was; `signatures` left out if asked.
 * Rooms: redactions. The result is in `pool`.
 */
mx_slice_t mx_redact_scan(const mx_room_version_t *version, const mx_json_scan_t *scan, int without_signatures, apr_pool_t *pool);

/** The raw value of a member of a canonical object, without allocating; of length 0: it has none. */
mx_slice_t mx_event_find_member(mx_slice_t object, mx_slice_t name);

/** Appends `"key":` for a key that needs no escapes, and a comma before it unless it is the object's first. */
char *mx_event_put_key(char *q, const char *first, mx_slice_t key);

#endif
