/* SPDX-License-Identifier: Apache-2.0 */
/* CS-API: /room_keys/version, /room_keys/keys. */
#include "api/req.h"
#include "user/key_backup.h"

static const char *number(apr_int64_t n, apr_pool_t *pool)
{
    return apr_psprintf(pool, "%" APR_INT64_T_FMT, n);
}

/* ---- versions ---- */

const mx_error_t *mx_client_post_room_keys_version(mx_reply_t *reply, mx_req_t *req)
{
    const char *version = NULL;
    mx_json_t *json = mx_json_new_object(req->pool);
    const mx_error_t *err = mx_user_key_backup_create(&version, req->server, req->who, req->body, req->pool);

    if (err) return err;
    mx_json_set_str(json, "version", version);
    mx_reply_json(reply, json);
    return NULL;
}

static const mx_error_t *reply_version(mx_reply_t *reply, mx_req_t *req, const char *version)
{
    mx_backup_version_t found;
    mx_json_writer_t *w = mx_jw_create(req->pool);
    const mx_error_t *err = mx_user_key_backup_get(&found, req->server, req->who, version, req->pool);

    if (err) return err;
    mx_jw_object(w);
    mx_jw_key_str(w, "algorithm", found.algorithm);
    mx_jw_key_raw(w, "auth_data", found.auth_data);
    mx_jw_key_int(w, "count", found.count);
    mx_jw_key_str(w, "etag", number(found.etag, req->pool));
    mx_jw_key_str(w, "version", number(found.version, req->pool));
    mx_jw_end_object(w);
    mx_reply_writer(reply, w);
    return NULL;
}

const mx_error_t *mx_client_get_room_keys_version_current(mx_reply_t *reply, mx_req_t *req)
{
    return reply_version(reply, req, NULL);
}

const mx_error_t *mx_client_get_room_keys_version(mx_reply_t *reply, mx_req_t *req)
{
    return reply_version(reply, req, mx_param_path(req, "version"));
}

const mx_error_t *mx_client_put_room_keys_version(mx_reply_t *reply, mx_req_t *req)
{
    return mx_user_key_backup_update(req->server, req->who, mx_param_path(req, "version"), req->body, req->pool);
}

const mx_error_t *mx_client_delete_room_keys_version(mx_reply_t *reply, mx_req_t *req)
{
    return mx_user_key_backup_delete(req->server, req->who, mx_param_path(req, "version"), req->pool);
}

/* ---- keys: all, of a room, of a session ---- */

static const mx_error_t *read_place(mx_backup_place_t *place, mx_req_t *req, int room, int session)
{
    *place = (mx_backup_place_t){ mx_param_query(req, "version"), room ? mx_param_path(req, "roomId") : NULL,
                                  session ? mx_param_path(req, "sessionId") : NULL };
    return place->version ? NULL : mx_error_make(req->pool, MX_E_MISSING_PARAM, "version is missing.");
}

static const mx_error_t *reply_change(mx_reply_t *reply, mx_req_t *req, const mx_backup_version_t *now)
{
    mx_json_t *json = mx_json_new_object(req->pool);

    mx_json_set_str(json, "etag", number(now->etag, req->pool));
    mx_json_set_int(json, "count", now->count);
    mx_reply_json(reply, json);
    return NULL;
}

static const mx_error_t *put(mx_reply_t *reply, mx_req_t *req, int room, int session)
{
    mx_backup_place_t place;
    mx_backup_version_t now;
    const mx_error_t *err = read_place(&place, req, room, session);

    if (!err) err = mx_user_key_backup_put(&now, req->server, req->who, &place, req->body, req->pool);
    return err ? err : reply_change(reply, req, &now);
}

static const mx_error_t *get(mx_reply_t *reply, mx_req_t *req, int room, int session)
{
    mx_backup_place_t place;
    mx_json_writer_t *w = mx_jw_create(req->pool);
    const mx_error_t *err = read_place(&place, req, room, session);

    if (!err) err = mx_user_key_backup_read(w, req->server, req->who, &place, req->pool);
    if (!err) mx_reply_writer(reply, w);
    return err;
}

static const mx_error_t *clear(mx_reply_t *reply, mx_req_t *req, int room, int session)
{
    mx_backup_place_t place;
    mx_backup_version_t now;
    const mx_error_t *err = read_place(&place, req, room, session);

    if (!err) err = mx_user_key_backup_clear(&now, req->server, req->who, &place, req->pool);
    return err ? err : reply_change(reply, req, &now);
}

const mx_error_t *mx_client_put_room_keys(mx_reply_t *reply, mx_req_t *req)
{
    return put(reply, req, 0, 0);
}

const mx_error_t *mx_client_put_room_keys_by_room_id(mx_reply_t *reply, mx_req_t *req)
{
    return put(reply, req, 1, 0);
}

const mx_error_t *mx_client_put_room_key_by_session_id(mx_reply_t *reply, mx_req_t *req)
{
    return put(reply, req, 1, 1);
}

const mx_error_t *mx_client_get_room_keys(mx_reply_t *reply, mx_req_t *req)
{
    return get(reply, req, 0, 0);
}

const mx_error_t *mx_client_get_room_keys_by_room_id(mx_reply_t *reply, mx_req_t *req)
{
    return get(reply, req, 1, 0);
}

const mx_error_t *mx_client_get_room_key_by_session_id(mx_reply_t *reply, mx_req_t *req)
{
    return get(reply, req, 1, 1);
}

const mx_error_t *mx_client_delete_room_keys(mx_reply_t *reply, mx_req_t *req)
{
    return clear(reply, req, 0, 0);
}

const mx_error_t *mx_client_delete_room_keys_by_room_id(mx_reply_t *reply, mx_req_t *req)
{
    return clear(reply, req, 1, 0);
}

const mx_error_t *mx_client_delete_room_key_by_session_id(mx_reply_t *reply, mx_req_t *req)
{
    return clear(reply, req, 1, 1);
}
