/* SPDX-License-Identifier: Apache-2.0 */
/* The two-way map between users and the rooms they are joined to. */
#include "sync/interest.h"

void mx_sync_interest_init(mx_sync_interest_t *in, apr_pool_t *pool)
{
    *in = (mx_sync_interest_t){ .user_slab = mx_slab_create(sizeof(mx_sync_user_t), pool),
                                .room_slab = mx_slab_create(sizeof(mx_sync_room_t), pool) };
}

mx_sync_user_t *mx_sync_interest_user(const mx_sync_interest_t *in, apr_int64_t user_nid)
{
    return mx_nid_map_get(&in->users, user_nid);
}

mx_sync_user_t *mx_sync_interest_add(mx_sync_interest_t *in, apr_int64_t user_nid)
{
    mx_sync_user_t *user = mx_nid_map_get(&in->users, user_nid);

    if (user) return user;
    user = mx_slab_get(in->user_slab);
    user->nid = user_nid;
    mx_nid_map_set(&in->users, user_nid, user);
    return user;
}

const mx_sync_room_t *mx_sync_interest_room(const mx_sync_interest_t *in, apr_int64_t room_nid)
{
    return mx_nid_map_get(&in->rooms, room_nid);
}

void mx_sync_interest_join(mx_sync_interest_t *in, mx_sync_user_t *user, apr_int64_t room_nid)
{
    mx_sync_room_t *room = mx_nid_map_get(&in->rooms, room_nid);

    if (!room) {
        room = mx_slab_get(in->room_slab);
        room->nid = room_nid;
        mx_nid_map_set(&in->rooms, room_nid, room);
    }
    mx_nid_map_set(&room->users, user->nid, user);
    mx_nid_map_set(&user->rooms, room_nid, room);
}

static void room_without(mx_sync_interest_t *in, mx_sync_room_t *room, const mx_sync_user_t *user)
{
    mx_nid_map_remove(&room->users, user->nid);
    if (room->users.count) return;
    mx_nid_map_free(&room->users);
    mx_nid_map_remove(&in->rooms, room->nid);
    mx_slab_put(in->room_slab, room);
}

void mx_sync_interest_part(mx_sync_interest_t *in, mx_sync_user_t *user, apr_int64_t room_nid)
{
    mx_sync_room_t *room = mx_nid_map_remove(&user->rooms, room_nid);

    if (room) room_without(in, room, user);
}

void mx_sync_interest_unlearn(mx_sync_interest_t *in, mx_sync_user_t *user)
{
    const mx_nid_map_slot_t *slot;
    apr_uint32_t at = 0;

    while ((slot = mx_nid_map_next(&user->rooms, &at)) != NULL) room_without(in, slot->value, user);
    mx_nid_map_free(&user->rooms);
    user->loaded = 0;
}

void mx_sync_interest_remove(mx_sync_interest_t *in, mx_sync_user_t *user)
{
    mx_sync_interest_unlearn(in, user);
    mx_nid_map_remove(&in->users, user->nid);
    mx_slab_put(in->user_slab, user);
}

void mx_sync_interest_clear(mx_sync_interest_t *in)
{
    const mx_nid_map_slot_t *slot;
    apr_uint32_t at;

    while (in->users.count) {
        at = 0;
        slot = mx_nid_map_next(&in->users, &at);
        mx_sync_interest_remove(in, slot->value);
    }
    mx_nid_map_free(&in->users);
    mx_nid_map_free(&in->rooms);
}
