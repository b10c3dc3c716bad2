/* SPDX-License-Identifier: Apache-2.0 */
/* Typing notifications. CS-API: typing notifications. */
#include "store/typing.h"
#include "sync/sync_private.h"

const mx_error_t *mx_sync_typing_set(mx_server_t *server, const mx_who_t *who, const char *room_id, apr_int64_t timeout_ms,
                                     apr_pool_t *pool)
{
    apr_int64_t now_ms = apr_time_as_msec(apr_time_now());
    mx_room_t *room = NULL;
    const mx_error_t *err = mx_sync_joined_room(&room, server, who, room_id, pool);
    apr_status_t rv;
    int moved = 0;

    if (err) return err;
    if (timeout_ms > MX_SYNC_TYPING_MAX_MS) timeout_ms = MX_SYNC_TYPING_MAX_MS;
    if (timeout_ms > 0)
        rv = mx_store_typing_start(&moved, server->store, room->nid, who->user_nid, now_ms + timeout_ms, now_ms, pool);
    else rv = mx_store_typing_stop(&moved, server->store, room->nid, who->user_nid, pool);
    if (rv != APR_SUCCESS) return mx_server_store_error(rv, "store who types", pool);
    if (moved) mx_server_stream_moved(server);
    mx_sync_presence_active(server, who);
    return NULL;
}
