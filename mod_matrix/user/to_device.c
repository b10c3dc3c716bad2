/* SPDX-License-Identifier: Apache-2.0 */
/* Sending to devices. CS-API: PUT /sendToDevice/{eventType}/{txnId}. */
#include "user/to_device.h"

#include "core/ident.h"
#include "store/to_device.h"
#include "user/names.h"

#define SEND_TRIES 3 /* of a statement that the database broke off to resolve a deadlock */

static const mx_error_t *add(mx_to_device_send_t *send, mx_server_t *server, const char *user, const char *device, const mx_json_t *content,
                             apr_pool_t *pool)
{
    mx_buf_t *text = mx_buf_create(pool);

    if (!mx_json_is(content, MX_JSON_OBJECT)) return mx_error_make(pool, MX_E_BAD_JSON, "The content of a message must be an object.");
    if (send->n == server->settings->max_devices)
        return mx_error_make(pool, MX_E_TOO_LARGE, "One request may send to at most %d devices.", (int)server->settings->max_devices);
    mx_json_write(text, content);
    if (text->len > (apr_size_t)server->settings->max_to_device)
        return mx_error_make(pool, MX_E_TOO_LARGE, "The content of a message may have at most %d bytes.",
                             (int)server->settings->max_to_device);
    send->users[send->n] = user;
    send->devices[send->n] = device;
    send->contents[send->n++] = mx_buf_slice(text);
    return NULL;
}

static const mx_error_t *read_user(mx_to_device_send_t *send, mx_server_t *server, const char *user, const mx_json_t *devices,
                                   apr_pool_t *pool)
{
    const mx_error_t *err = NULL;
    void *it = NULL;
    const char *device;
    mx_json_t *content;

    if (!mx_ident_is_user_id(user)) return mx_error_make(pool, MX_E_INVALID_PARAM, "A name in messages is not a user id.");
    if (!mx_json_is(devices, MX_JSON_OBJECT)) return mx_error_make(pool, MX_E_BAD_JSON, "messages must hold an object for each user.");
    while (!err && mx_user_names_next(&err, devices, &it, &device, &content, pool)) err = add(send, server, user, device, content, pool);
    return err;
}

static const mx_error_t *read_messages(mx_to_device_send_t *send, mx_server_t *server, const mx_json_t *messages, apr_pool_t *pool)
{
    apr_size_t max = (apr_size_t)server->settings->max_devices + 1;
    const mx_error_t *err = NULL;
    void *it = NULL;
    const char *user;
    mx_json_t *devices;

    if (!messages) return mx_error_make(pool, MX_E_MISSING_PARAM, "messages is missing.");
    if (!mx_json_is(messages, MX_JSON_OBJECT)) return mx_error_make(pool, MX_E_BAD_JSON, "messages must be an object.");
    send->users = apr_palloc(pool, sizeof(char *) * max);
    send->devices = apr_palloc(pool, sizeof(char *) * max);
    send->contents = apr_palloc(pool, sizeof(mx_slice_t) * max);
    while (!err && mx_user_names_next(&err, messages, &it, &user, &devices, pool)) err = read_user(send, server, user, devices, pool);
    return err;
}

const mx_error_t *mx_user_to_device_send(mx_server_t *server, const mx_who_t *who, const char *type, const char *txn_id,
                                         const mx_json_t *messages, apr_pool_t *pool)
{
    mx_to_device_send_t send = { .sender_nid = who->user_nid, .sender_device_nid = who->device_nid, .type = type, .txn_id = txn_id };
    apr_status_t rv = MX_STORE_RETRY;
    int sent = 0;
    const mx_error_t *err = read_messages(&send, server, messages, pool);

    if (err) return err;
    if (!mx_ident_is_opaque(type, MX_TO_DEVICE_NAME_MAX_BYTES) || !mx_ident_is_opaque(txn_id, MX_TO_DEVICE_NAME_MAX_BYTES))
        return mx_error_make(pool, MX_E_INVALID_PARAM, "Type and transaction id have 1 to %d bytes each.", MX_TO_DEVICE_NAME_MAX_BYTES);
    for (int i = 0; i < SEND_TRIES && rv == MX_STORE_RETRY; i++) rv = mx_store_to_device_send(&sent, server->store, &send, pool);
    if (rv) return mx_server_store_error(rv, "storing to-device messages", pool);
    if (sent) mx_server_stream_moved(server);
    return NULL;
}
