/* SPDX-License-Identifier: Apache-2.0 */
/* Events that are to reach all clients for a while, whatever else goes on in the room. MSC4354: sticky events. */
#ifndef MX_CORE_STICKY_H
#define MX_CORE_STICKY_H

#include "core/event.h"

#define MX_STICKY_KEY "msc4354_sticky"                          /* of the event */
#define MX_STICKY_TTL "msc4354_sticky_duration_ttl_ms"          /* in unsigned */
#define MX_STICKY_MAX_MS APR_INT64_C(3600000)

/** How long the event of this member (canonical text) is sticky, cut to MX_STICKY_MAX_MS; -1: not at all. */
apr_int64_t mx_sticky_duration(mx_slice_t member);
/** Same, of an event, or of a stored PDU. Redacted ones have no such member any more. */
apr_int64_t mx_sticky_duration_of(const mx_event_t *event);
apr_int64_t mx_sticky_duration_in(mx_slice_t pdu);

#endif
