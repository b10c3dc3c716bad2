/* SPDX-License-Identifier: Apache-2.0 */
/* Dehydrated devices. MSC3814. */
#include "user/dehydrated.h"

#include "core/ident.h"
#include "user/device.h"
#include "user/device_keys.h"
#include "user/session.h"

#define TRIES 3 /* of a transaction that the database broke off to resolve a deadlock */

/* What a request brings. */
typedef struct device_t {
    const char *device_id, *display_name;
    mx_slice_t data;
    mx_key_upload_t keys;
} device_t;

static const mx_error_t *read_name(device_t *out, const mx_json_t *body, apr_pool_t *pool)
{
    const mx_json_t *id = mx_json_get(body, "device_id"), *name = mx_json_get(body, "initial_device_display_name");

    if (!id) return mx_error_make(pool, MX_E_MISSING_PARAM, "device_id is missing.");
    if (!mx_json_str(id) || (name && !mx_json_is(name, MX_JSON_NULL) && !mx_json_str(name)))
        return mx_error_make(pool, MX_E_BAD_JSON, "device_id and initial_device_display_name must be strings.");
    out->device_id = mx_json_str(id);
    out->display_name = mx_json_str(name);
    if (!mx_ident_is_opaque(out->device_id, MX_DEHYDRATED_ID_MAX_BYTES) || mx_str_eq(out->device_id, MX_TO_DEVICE_ALL))
        return mx_error_make(pool, MX_E_INVALID_PARAM, "device_id must have 1 to %d bytes.", MX_DEHYDRATED_ID_MAX_BYTES);
    return mx_user_session_check_name(out->display_name, pool);
}

static const mx_error_t *read_device(device_t *out, const mx_json_t *body, const mx_who_t *who, apr_pool_t *pool)
{
    const mx_json_t *data = mx_json_get(body, "device_data");
    mx_buf_t *text = mx_buf_create(pool);
    const mx_error_t *err = read_name(out, body, pool);

    if (err) return err;
    if (!data || !mx_json_get(body, "device_keys")) return mx_error_make(pool, MX_E_MISSING_PARAM,
                                                                         "device_data and device_keys are both needed.");
    if (!mx_json_is(data, MX_JSON_OBJECT) || !mx_json_get_str(data, "algorithm"))
        return mx_error_make(pool, MX_E_BAD_JSON, "device_data must be an object with the string algorithm.");
    mx_json_write(text, data);
    out->data = mx_buf_slice(text);
    return mx_user_device_keys_read(&out->keys, body, who->user_id, out->device_id, pool);
}

static const mx_error_t *store_once(mx_server_t *server, mx_conn_t *conn, const mx_who_t *who, device_t *device, apr_time_t now,
                                    apr_pool_t *pool)
{
    apr_int64_t device_nid = 0;
    const mx_error_t *err;
    apr_status_t rv = mx_store_begin(conn);

    if (!rv)
        rv = mx_store_dehydrated_set(&device_nid, conn, who->user_nid, device->device_id, device->display_name, device->data,
                                     apr_time_as_msec(now), pool);
    if (rv == MX_STORE_DUPLICATE) return mx_error_make(pool, MX_E_INVALID_PARAM, "You have another device with that id.");
    if (rv) return mx_server_store_error(rv, "storing a dehydrated device", pool);
    err = mx_user_device_keys_store(server, conn, who->user_nid, device_nid, &device->keys, pool);
    if (err) return err;
    rv = mx_store_commit(conn);
    return rv ? mx_server_store_error(rv, "storing a dehydrated device", pool) : NULL;
}

const mx_error_t *mx_user_dehydrated_put(const char **pdevice_id, mx_server_t *server, const mx_who_t *who, const mx_json_t *body,
                                         apr_time_t now, apr_pool_t *pool)
{
    device_t device = { 0 };
    const mx_error_t *err = read_device(&device, body, who, pool);
    int done = err != NULL;

    for (int i = 0; i < TRIES && !done; i++) {
        mx_conn_t *conn = NULL;
        apr_status_t rv = mx_store_borrow(&conn, server->store, pool);

        if (rv) return mx_server_store_error(rv, "storing a dehydrated device", pool);
        err = store_once(server, conn, who, &device, now, pool);
        mx_store_return(conn);
        done = !err || err->rv != MX_STORE_RETRY;
    }
    if (err) return err;
    mx_server_stream_moved(server);
    *pdevice_id = device.device_id;
    return NULL;
}

const mx_error_t *mx_user_dehydrated_get(mx_dehydrated_t *out, mx_server_t *server, const mx_who_t *who, apr_pool_t *pool)
{
    apr_status_t rv = mx_store_dehydrated_get(out, server->store, who->user_nid, pool);

    if (rv == MX_STORE_NONE) return mx_error_make(pool, MX_E_NOT_FOUND, "You have no dehydrated device.");
    return rv ? mx_server_store_error(rv, "reading a dehydrated device", pool) : NULL;
}

const mx_error_t *mx_user_dehydrated_delete(const char **pdevice_id, mx_server_t *server, const mx_who_t *who, apr_pool_t *pool)
{
    mx_dehydrated_t device;
    const mx_error_t *err = mx_user_dehydrated_get(&device, server, who, pool);

    if (!err) err = mx_user_device_drop(server, who->user_nid, device.device_id, pool);
    if (!err) *pdevice_id = device.device_id;
    return err;
}

const mx_error_t *mx_user_dehydrated_messages(mx_to_device_row_t **prows, int *pn, mx_server_t *server, const mx_who_t *who,
                                              const char *device_id, apr_int64_t after, apr_int64_t upto, int limit, apr_pool_t *pool)
{
    mx_dehydrated_t device;
    mx_conn_t *conn = NULL;
    apr_status_t rv = mx_store_dehydrated_get(&device, server->store, who->user_nid, pool);

    if (rv == MX_STORE_NONE || (!rv && !mx_str_eq(device.device_id, device_id)))
        return mx_error_make(pool, MX_E_FORBIDDEN, "You have no dehydrated device of that id.");
    if (!rv) rv = mx_store_borrow(&conn, server->store, pool);
    if (!rv) rv = mx_store_to_device_read(prows, pn, conn, device.device_nid, after, upto, limit, pool);
    mx_store_return(conn);
    return rv ? mx_server_store_error(rv, "reading a dehydrated device's messages", pool) : NULL;
}
