/* SPDX-License-Identifier: Apache-2.0 */
/* CS-API: /devices, /devices/{deviceId}, POST /delete_devices. */
#include "api/session.h"
#include "user/device.h"

#define DELETE_MAX 1000 /* devices in one call */

static mx_json_t *device_json(const mx_device_row_t *device, apr_pool_t *pool)
{
    mx_json_t *json = mx_json_new_object(pool);

    mx_json_set_str(json, "device_id", device->device_id);
    mx_json_set_str(json, "display_name", device->display_name);
    mx_json_set_str(json, "last_seen_ip", device->last_seen_ip);
    if (device->last_seen_ts) mx_json_set_int(json, "last_seen_ts", device->last_seen_ts);
    return json;
}

const mx_error_t *mx_client_get_devices(mx_reply_t *reply, mx_req_t *req)
{
    mx_device_row_t *devices = NULL;
    int n = 0;
    mx_json_t *json = mx_json_new_object(req->pool), *list = mx_json_new_array(req->pool);
    const mx_error_t *err = mx_user_device_list(&devices, &n, req->server, req->who, req->pool);

    if (err) return err;
    for (int i = 0; i < n; i++)
        mx_json_add(list, device_json(&devices[i], req->pool));
    mx_json_set(json, "devices", list);
    mx_reply_json(reply, json);
    return NULL;
}

const mx_error_t *mx_client_get_device(mx_reply_t *reply, mx_req_t *req)
{
    mx_device_row_t *device = NULL;
    const mx_error_t *err =
        mx_user_device_get(&device, req->server, req->who, mx_param_path(req, "deviceId"), req->pool);

    if (!err) mx_reply_json(reply, device_json(device, req->pool));
    return err;
}

const mx_error_t *mx_client_update_device(mx_reply_t *reply, mx_req_t *req)
{
    const char *display_name = NULL;
    const mx_error_t *err = mx_param_body_str(&display_name, req, req->body, "display_name", NULL);

    return err ? err
               : mx_user_device_rename(req->server, req->who, mx_param_path(req, "deviceId"), display_name, req->pool);
}

const mx_error_t *mx_client_delete_device(mx_reply_t *reply, mx_req_t *req)
{
    const char *device_id = mx_param_path(req, "deviceId");
    mx_uia_t *uia = NULL;
    const mx_error_t *err = mx_api_session_uia(&uia, req);

    return err ? err : mx_user_device_delete(req->server, uia, &device_id, 1, req->pool);
}

static const mx_error_t *read_devices(const char ***pids, int *pn, mx_req_t *req, const mx_json_t *body)
{
    mx_json_t *list = NULL;
    const char **ids;
    int n;
    const mx_error_t *err = mx_param_body_array(&list, req, body, "devices");

    if (err) return err;
    if (!list) return mx_error_make(req->pool, MX_E_MISSING_PARAM, "devices is missing.");
    if (mx_json_len(list) > DELETE_MAX)
        return mx_error_make(req->pool, MX_E_TOO_LARGE, "devices may name at most %d devices.", DELETE_MAX);
    n = (int)mx_json_len(list);
    ids = apr_palloc(req->pool, sizeof(*ids) * (apr_size_t)(n ? n : 1));
    for (int i = 0; i < n; i++)
        if (!(ids[i] = mx_json_str(mx_json_at(list, (apr_size_t)i))))
            return mx_error_make(req->pool, MX_E_BAD_JSON, "devices must be a list of strings.");
    *pids = ids;
    *pn = n;
    return NULL;
}

const mx_error_t *mx_client_delete_devices(mx_reply_t *reply, mx_req_t *req)
{
    const char **ids = NULL;
    int n = 0;
    mx_uia_t *uia = NULL;
    const mx_error_t *err = mx_api_session_uia(&uia, req);

    if (!err) err = read_devices(&ids, &n, req, mx_user_uia_body(uia));
    if (!err) err = mx_user_device_delete(req->server, uia, ids, n, req->pool);
    return err;
}
