/* SPDX-License-Identifier: Apache-2.0 */
/* The end of an account. */
#include "user/deactivation.h"

#include "room/room.h"
#include "store/delayed.h"
#include "store/device.h"
#include "store/key_backup.h"
#include "store/user.h"
#include "user/user_private.h"

/* The account first: a login that is under way waits for its row, and its device is then seen by what deletes the
 * devices. */
static apr_status_t account_close(apr_int64_t *pepoch, mx_server_t *server, const mx_uia_t *uia, int erase,
                                  apr_pool_t *pool)
{
    apr_int64_t user_nid = mx_user_uia_user_nid(uia);
    mx_conn_t *conn = NULL;
    apr_status_t rv = mx_store_borrow(&conn, server->store, pool);

    if (!rv) rv = mx_store_begin(conn);
    if (!rv) rv = mx_user_uia_finish(uia, conn, pool);
    if (!rv) rv = mx_store_user_deactivate(conn, user_nid, erase, pool);
    if (!rv) rv = mx_store_device_delete_all(pepoch, conn, user_nid, 0, pool);
    if (!rv) rv = mx_store_backup_forget(conn, user_nid, pool);
    if (!rv) rv = mx_store_delayed_forget(conn, user_nid, pool);
    if (!rv) rv = mx_store_commit(conn);
    mx_store_return(conn);
    return rv;
}

static const mx_uia_flow_t deactivate_flows[] = { { { MX_UIA_PASSWORD } } };

const mx_error_t *mx_user_deactivate(mx_server_t *server, mx_uia_t *uia, int erase, apr_pool_t *pool)
{
    const char *user_id = NULL;
    apr_int64_t epoch = 0;
    apr_status_t rv;
    const mx_error_t *err = mx_user_uia_check(uia, deactivate_flows, 1);

    if (err) return err;
    rv = mx_server_user_id(&user_id, server, mx_user_uia_user_nid(uia), pool);
    if (rv) return mx_server_store_error(rv, "deactivating an account", pool);
    /* Rooms first: if that fails, the user still has a token to try again with. */
    err = mx_room_member_leave_all(server, user_id, pool);
    if (err) return err;
    rv = account_close(&epoch, server, uia, erase, pool);
    if (rv == MX_STORE_NONE) return mx_user_uia_used_up(pool);
    if (rv) return mx_server_store_error(rv, "deactivating an account", pool);
    mx_user_token_moved(server, mx_user_uia_user_nid(uia), epoch);
    mx_server_stream_moved(server);
    /* and what another device joined meanwhile; nobody is left who could try again */
    err = mx_room_member_leave_all(server, user_id, pool);
    if (err)
        mx_log(server->log, MX_LOG_WARNING, err->rv, "MX0601: user=%s was deactivated but may still be in rooms: %s",
               user_id, err->detail ? err->detail : err->message);
    return NULL;
}
