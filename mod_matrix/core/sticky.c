/* SPDX-License-Identifier: Apache-2.0 */
/* Reads how long an event is sticky. MSC4354. */
#include "core/sticky.h"

#include "core/event_private.h"

apr_int64_t mx_sticky_duration(mx_slice_t member)
{
    apr_int64_t ms = member.len && *member.p == '{' ? mx_json_scan_int(mx_event_find_member(member, MX_SLICE_LIT("duration_ms")), -1) : -1;
    return ms < 0 ? -1 : ms < MX_STICKY_MAX_MS ? ms : MX_STICKY_MAX_MS;
}

apr_int64_t mx_sticky_duration_of(const mx_event_t *event)
{
    return mx_sticky_duration(mx_json_scan_get(&event->scan, MX_STICKY_KEY));
}

apr_int64_t mx_sticky_duration_in(mx_slice_t pdu)
{
    return mx_sticky_duration(mx_event_find_member(pdu, MX_SLICE_LIT(MX_STICKY_KEY)));
}
