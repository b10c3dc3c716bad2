/* SPDX-License-Identifier: Apache-2.0 */
/* Events that clients send, as messages or as state. */
#include "room/post.h"

#include "room/alias.h"
#include "room/member.h"
#include "room/relation.h"

/** What the auth rules do not know of an event that a client sends as state. */
static const mx_error_t *check_state(mx_server_t *server, const mx_who_t *who, const char *room_id, const mx_room_draft_t *draft,
                                     apr_pool_t *pool)
{
    if (strcmp(draft->type, "m.room.canonical_alias") == 0 && !*draft->state_key)
        return mx_room_alias_check_canonical(server, room_id, draft->content, pool);
    if (strcmp(draft->type, "m.room.member") == 0)
        return mx_room_member_check_state(server, who, room_id, draft->state_key, draft->content, pool);
    return NULL;
}

const mx_error_t *mx_room_post(const char **pevent_id, mx_server_t *server, const mx_who_t *who, const char *room_id,
                               const mx_room_draft_t *draft, apr_pool_t *pool)
{
    const mx_error_t *err = draft->state_key ? check_state(server, who, room_id, draft, pool)
                                             : mx_room_relation_check(server, who, room_id, draft, pool);

    if (!err) err = mx_room_send(pevent_id, server, room_id, draft, 1, pool);
    if (!err && draft->state_key && strcmp(draft->type, "m.room.guest_access") == 0) mx_room_member_expel_guests(server, room_id, pool);
    return err;
}
