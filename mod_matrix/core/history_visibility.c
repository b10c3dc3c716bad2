/* SPDX-License-Identifier: Apache-2.0 */
/* Who may see an event. CS-API: room history visibility, server behaviour. */
#include "core/history_visibility.h"

static const char *const membership_names[] = { "leave", "invite", "join", "knock", "leave", "ban" };

mx_membership_e mx_membership_parse(const char *s)
{
    int i;
    for (i = MX_MEMBERSHIP_INVITE; i <= MX_MEMBERSHIP_BAN; i++) {
        if (mx_str_eq(membership_names[i], s))
            return (mx_membership_e)i;
    }
    return MX_MEMBERSHIP_NONE;
}

const char *mx_membership_name(mx_membership_e m)
{
    return membership_names[m];
}

mx_histvis_e mx_histvis_parse(const char *s)
{
    if (mx_str_eq(s, "invited"))
        return MX_HISTVIS_INVITED;
    if (mx_str_eq(s, "joined"))
        return MX_HISTVIS_JOINED;
    if (mx_str_eq(s, "world_readable"))
        return MX_HISTVIS_WORLD_READABLE;
    return MX_HISTVIS_SHARED;
}

/** Rules 1 to 5 for one visibility and one membership. */
static int allows(mx_histvis_e visibility, mx_membership_e membership, int joined_since)
{
    if (visibility == MX_HISTVIS_WORLD_READABLE || membership == MX_MEMBERSHIP_JOIN)
        return 1;
    if (visibility == MX_HISTVIS_SHARED)
        return joined_since;
    return visibility == MX_HISTVIS_INVITED && membership == MX_MEMBERSHIP_INVITE;
}

int mx_histvis_allowed(const mx_histvis_view_t *view)
{
    return allows(view->at_event, view->user_at_event, view->user_joined_since)
           || allows(view->at_event, view->user_after_event, view->user_joined_since)
           || allows(view->after_event, view->user_at_event, view->user_joined_since);
}
