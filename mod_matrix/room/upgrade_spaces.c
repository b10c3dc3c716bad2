/* SPDX-License-Identifier: Apache-2.0 */
/* The relations between spaces and rooms that name an upgraded room from outside it. CS-API: spaces; restricted rooms. */
#include "room/upgrade_private.h"

#include "store/member_list.h"

/** The room, if the user is joined to it. */
static mx_room_t *joined_room(const mx_room_upgrade_t *up, const char *room_id)
{
    mx_membership_e membership = MX_MEMBERSHIP_NONE;
    mx_room_t *room = NULL;
    if (mx_room_get(&room, up->server, room_id, 1, up->pool) != NULL ||
        mx_room_membership(&membership, up->server, room, up->who->user_id, up->pool) != NULL)
        return NULL;
    return membership == MX_MEMBERSHIP_JOIN ? room : NULL;
}

/** Sends the drafts, or nothing where the user's power is too low for them. */
static void send_quietly(const mx_room_upgrade_t *up, const mx_room_t *room, const mx_room_draft_t *drafts, int n)
{
    const char *ids[2];
    mx_room_upgrade_log(up->server, room->room_id, "changing a related room",
                        mx_room_send(ids, up->server, room->room_id, drafts, n, up->pool));
}

/** `via` names who is in the new room now: us. */
static mx_json_t *content_for_new(const mx_room_upgrade_t *up, const mx_event_t *relation)
{
    mx_json_t *content = mx_json_copy(up->pool, mx_event_content(relation)), *via = mx_json_new_array(up->pool);
    mx_json_add_str(via, up->server->name);
    mx_json_set(content, "via", via);
    return content;
}

/** In `room`, the relation of that type to the old room becomes one to the new room. */
static void move_relation(const mx_room_upgrade_t *up, mx_room_t *room, const char *type)
{
    const mx_event_t *relation = NULL;
    const mx_error_t *err = mx_room_state_get(&relation, up->server, room, type, up->old->room_id, up->pool);
    mx_room_draft_t drafts[] = {
        { .sender = up->who->user_id, .type = type, .state_key = up->room_id },
        { .sender = up->who->user_id, .type = type, .state_key = up->old->room_id, .content = mx_json_new_object(up->pool) },
    };
    if (err || !relation || !mx_room_upgrade_relates(relation))
        return;
    drafts[0].content = content_for_new(up, relation);
    send_quietly(up, room, drafts, 2);
}

static int allows(const mx_json_t *allow, const char *room_id)
{
    apr_size_t i;
    for (i = 0; i < mx_json_len(allow); i++) {
        if (mx_str_eq(mx_json_get_str(mx_json_at(allow, i), "room_id"), room_id))
            return 1;
    }
    return 0;
}

/** Join rules that let members of the old room in let those of the new one in as well. */
static void widen_join_rules(const mx_room_upgrade_t *up, mx_room_t *room)
{
    const mx_event_t *rules = NULL;
    const mx_error_t *err = mx_room_state_get(&rules, up->server, room, "m.room.join_rules", "", up->pool);
    mx_json_t *content, *condition = mx_json_new_object(up->pool);
    mx_room_draft_t draft = { .sender = up->who->user_id, .type = "m.room.join_rules", .state_key = "" };
    if (err || !rules || !allows(mx_json_get(mx_event_content(rules), "allow"), up->old->room_id))
        return;
    content = mx_json_copy(up->pool, mx_event_content(rules));
    mx_json_set_str(condition, "type", "m.room_membership");
    mx_json_set_str(condition, "room_id", up->room_id);
    mx_json_add(mx_json_get(content, "allow"), condition);
    draft.content = content;
    send_quietly(up, room, &draft, 1);
}

/** Spaces, of those the user is in, that hold the old room. */
static void move_in_parents(const mx_room_upgrade_t *up)
{
    const char **ids = NULL;
    apr_int64_t skey_nid;
    int i, n = 0;
    apr_status_t rv = mx_server_skey_nid_find(&skey_nid, up->server, MX_SPACE_CHILD, up->old->room_id, up->pool);
    if (rv == MX_STORE_NONE)
        return;
    if (rv == APR_SUCCESS)
        rv = mx_store_member_rooms_with(&ids, &n, up->server->store, up->who->user_nid, skey_nid, MX_ROOM_UPGRADE_RELATED_MAX,
                                        up->pool);
    if (rv != APR_SUCCESS)
        mx_room_upgrade_log(up->server, up->old->room_id, "finding the spaces that hold the room",
                            mx_server_store_error(rv, "finding the spaces that hold a room", up->pool));
    for (i = 0; i < n; i++) {
        mx_room_t *room = joined_room(up, ids[i]);
        if (room && room->nid != up->old->nid)
            move_relation(up, room, MX_SPACE_CHILD);
    }
}

/** Rooms that the old space held. */
static void move_in_children(const mx_room_upgrade_t *up)
{
    int i, n = 0;
    for (i = 0; i < up->nstate && n < MX_ROOM_UPGRADE_RELATED_MAX; i++) {
        mx_room_t *room;
        if (strcmp(up->state[i]->type, MX_SPACE_CHILD) != 0)
            continue;
        n++;
        room = joined_room(up, up->state[i]->state_key);
        if (!room || room->nid == up->old->nid)
            continue;
        move_relation(up, room, MX_SPACE_PARENT);
        widen_join_rules(up, room);
    }
}

void mx_room_upgrade_spaces(const mx_room_upgrade_t *up)
{
    move_in_parents(up);
    move_in_children(up);
}
