/* SPDX-License-Identifier: Apache-2.0 */
/* A user's devices, and logging them out. */
#include "user/device.h"

#include "user/session.h"
#include "user/user_private.h"

static const mx_error_t *device_unknown(apr_pool_t *pool)
{
    return mx_error_make(pool, MX_E_NOT_FOUND, "You have no device with that id.");
}

const mx_error_t *mx_user_device_list(mx_device_row_t **pdevices, int *pn, mx_server_t *server, const mx_who_t *who,
                                      apr_pool_t *pool)
{
    apr_status_t rv = mx_store_device_list(pdevices, pn, server->store, who->user_nid, NULL, pool);

    return rv ? mx_server_store_error(rv, "listing devices", pool) : NULL;
}

const mx_error_t *mx_user_device_get(mx_device_row_t **pdevice, mx_server_t *server, const mx_who_t *who,
                                     const char *device_id, apr_pool_t *pool)
{
    mx_device_row_t *devices = NULL;
    int n = 0;
    apr_status_t rv = mx_store_device_list(&devices, &n, server->store, who->user_nid, device_id, pool);

    if (rv) return mx_server_store_error(rv, "reading a device", pool);
    if (!n) return device_unknown(pool);
    *pdevice = devices;
    return NULL;
}

const mx_error_t *mx_user_device_rename(mx_server_t *server, const mx_who_t *who, const char *device_id,
                                        const char *display_name, apr_pool_t *pool)
{
    const mx_error_t *err = mx_user_session_check_name(display_name, pool);
    apr_status_t rv;
    int told = 0;

    if (err) return err;
    rv = mx_store_device_rename(&told, server->store, who->user_nid, device_id, display_name, pool);
    if (rv == MX_STORE_NONE) return device_unknown(pool);
    if (rv) return mx_server_store_error(rv, "renaming a device", pool);
    if (told) mx_server_stream_moved(server);
    return NULL;
}

/** `uia` may be NULL; n < 0: all devices. */
static const mx_error_t *delete_devices(mx_server_t *server, apr_int64_t user_nid, const mx_uia_t *uia,
                                        const char *const *device_ids, int n, apr_pool_t *pool)
{
    mx_conn_t *conn = NULL;
    apr_int64_t epoch = 0;
    apr_status_t rv = mx_store_borrow(&conn, server->store, pool);

    if (!rv) rv = mx_store_begin(conn);
    if (!rv && uia) rv = mx_user_uia_finish(uia, conn, pool);
    if (!rv && n >= 0)
        rv = mx_store_device_delete(&epoch, conn, user_nid, device_ids, n, pool);
    else if (!rv)
        rv = mx_store_device_delete_all(&epoch, conn, user_nid, 0, pool);
    if (!rv) rv = mx_store_commit(conn);
    mx_store_return(conn);
    if (rv == MX_STORE_NONE) return mx_user_uia_used_up(pool);
    if (rv) return mx_server_store_error(rv, "deleting devices", pool);
    mx_user_token_moved(server, user_nid, epoch);
    mx_server_stream_moved(server);
    return NULL;
}

static const mx_uia_flow_t delete_flows[] = { { { MX_UIA_PASSWORD } } };

const mx_error_t *mx_user_device_delete(mx_server_t *server, mx_uia_t *uia, const char *const *device_ids, int n,
                                        apr_pool_t *pool)
{
    const mx_error_t *err = mx_user_uia_check(uia, delete_flows, 1);

    return err ? err : delete_devices(server, mx_user_uia_user_nid(uia), uia, device_ids, n, pool);
}

const mx_error_t *mx_user_device_drop(mx_server_t *server, apr_int64_t user_nid, const char *device_id, apr_pool_t *pool)
{
    return delete_devices(server, user_nid, NULL, &device_id, 1, pool);
}

const mx_error_t *mx_user_device_logout(mx_server_t *server, const mx_who_t *who, apr_pool_t *pool)
{
    return delete_devices(server, who->user_nid, NULL, &who->device_id, 1, pool);
}

const mx_error_t *mx_user_device_logout_all(mx_server_t *server, const mx_who_t *who, apr_pool_t *pool)
{
    return delete_devices(server, who->user_nid, NULL, NULL, -1, pool);
}
