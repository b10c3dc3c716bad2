/* SPDX-License-Identifier: Apache-2.0 */
/* Forgetting rooms. CS-API: POST /rooms/{roomId}/forget. */
#include "room/forget.h"

#include "store/member_list.h"

const mx_error_t *mx_room_forget(mx_server_t *server, const mx_who_t *who, const char *room_id, apr_pool_t *pool)
{
    mx_room_t *room;
    const mx_error_t *err = mx_room_get(&room, server, room_id, 0, pool);
    apr_status_t rv;

    if (err)
        return err;
    rv = mx_store_member_forget(server->store, room->nid, who->user_nid, pool);
    if (rv == MX_STORE_NONE)
        return mx_error_make_status(pool, MX_E_UNKNOWN, 400, "User %s has not left room %s.", who->user_id, room_id);
    return rv == APR_SUCCESS ? NULL : mx_server_store_error(rv, "forgetting a room", pool);
}
