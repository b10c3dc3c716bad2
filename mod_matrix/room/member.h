/* SPDX-License-Identifier: Apache-2.0 */
/* What room/create.c and room/member.c share about m.room.member. */
#ifndef MX_ROOM_MEMBER_H
#define MX_ROOM_MEMBER_H

#include "room/room.h"

/** Rooms that one m.room.join_rules may name as conditions; further ones are not looked at. */
#define MX_ROOM_ALLOW_MAX 100
/** Local members looked at for one who may let a user into a restricted room. */
#define MX_ROOM_AUTHORISERS_MAX 1000
/** Guests that one change of m.room.guest_access makes leave. */
#define MX_ROOM_EXPELLED_MAX 1000

/** A member content with the user's profile in it (local users), and the reason unless NULL. */
const mx_error_t *mx_room_member_content(mx_json_t **pcontent, mx_server_t *server, mx_membership_e membership,
                                         const char *user_id, const char *reason, apr_pool_t *pool);
/* ---- what the auth rules do not know (room/member_check.c) ---- */

/**
 * NULL if the user can be invited by inviter_id of this server: M_FORBIDDEN for one of another server, `unknown` for a local one that is
 * not there, M_INVITE_BLOCKED for one who wants none of his.
 */
const mx_error_t *mx_room_member_invitable(mx_server_t *server, const char *user_id, const char *inviter_id, mx_errcode_e unknown,
                                           apr_pool_t *pool);
/** M_GUEST_ACCESS_FORBIDDEN unless guests may join the room. CS-API: guest access. */
const mx_error_t *mx_room_member_check_guest(mx_server_t *server, mx_room_t *room, apr_pool_t *pool);
/** Both, for an m.room.member event that a client sends as plain state. */
const mx_error_t *mx_room_member_check_state(mx_server_t *server, const mx_who_t *who, const char *room_id,
                                             const char *target, const mx_json_t *content, apr_pool_t *pool);
/** Makes guests leave a room that takes none (any more); goes on after a failure. CS-API: guest access. */
void mx_room_member_expel_guests(mx_server_t *server, const char *room_id, apr_pool_t *pool);

/* ---- restricted rooms (room/restricted.c) ---- */

/**
 * Who lets the user into a restricted room that he is not invited to. M_FORBIDDEN if no condition of the join rules is
 * met, or nobody here may invite. CS-API: restricted rooms.
 */
const mx_error_t *mx_room_member_authoriser(const char **puser_id, mx_server_t *server, mx_room_t *room,
                                            const mx_event_t *join_rules, const char *user_id, apr_pool_t *pool);

#endif
