/* SPDX-License-Identifier: Apache-2.0 */
/* The names of the event types that the rules know. */
#include "core/event_type.h"

const char mx_event_types[MX_TYPES][MX_EVENT_TYPE_BYTES] = {
    [MX_TYPE_CREATE] = "m.room.create",
    [MX_TYPE_MEMBER] = "m.room.member",
    [MX_TYPE_POWER_LEVELS] = "m.room.power_levels",
    [MX_TYPE_JOIN_RULES] = "m.room.join_rules",
    [MX_TYPE_THIRD_PARTY_INVITE] = "m.room.third_party_invite",
    [MX_TYPE_REDACTION] = "m.room.redaction",
    [MX_TYPE_ALIASES] = "m.room.aliases",
    [MX_TYPE_MESSAGE] = "m.room.message",
    [MX_TYPE_ENCRYPTED] = "m.room.encrypted",
};

mx_event_type_e mx_event_type_find(mx_slice_t name)
{
    int i;
    if (name.len >= MX_EVENT_TYPE_BYTES || memchr(name.p, '\0', name.len))
        return MX_TYPE_OTHER;
    for (i = MX_TYPE_OTHER + 1; i < MX_TYPES; i++) {
        if (!mx_event_types[i][name.len] && memcmp(mx_event_types[i], name.p, name.len) == 0)
            return (mx_event_type_e)i;
    }
    return MX_TYPE_OTHER;
}
