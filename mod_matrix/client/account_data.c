/* SPDX-License-Identifier: Apache-2.0 */
/* CS-API: /user/{userId}/account_data/{type}, /user/{userId}/rooms/{roomId}/account_data/{type}. */
#include "api/req.h"
#include "core/ident.h"
#include "sync/sync.h"
#include "user/push_rules.h"

/* Whose, where, which. */
typedef struct place_t {
    apr_int64_t room_nid;        /* 0: global */
    const char *type;
} place_t;

static const mx_error_t *read_room(place_t *place, mx_req_t *req)
{
    const char *room_id = NULL;
    mx_room_t *room = NULL;
    const mx_error_t *err = mx_param_room_id(&room_id, req, "roomId");

    if (!err) err = mx_room_get(&room, req->server, room_id, 0, req->pool);
    if (!err) place->room_nid = room->nid;
    return err;
}

static const mx_error_t *read_place(place_t *place, mx_req_t *req, int in_room)
{
    const char *user_id = NULL;
    const mx_error_t *err = mx_param_user_id(&user_id, req, "userId");

    *place = (place_t){ 0, mx_param_path(req, "type") };
    if (!err && !mx_str_eq(user_id, req->who->user_id))
        err = mx_error_make(req->pool, MX_E_FORBIDDEN, "This is another user's account data.");
    if (!err && !mx_ident_is_opaque(place->type, MX_IDENT_MAX_BYTES))
        err = mx_error_make(req->pool, MX_E_INVALID_PARAM, "The type has 1 to %d bytes.", MX_IDENT_MAX_BYTES);
    return !err && in_room ? read_room(place, req) : err;
}

static const mx_error_t *reply_content(mx_reply_t *reply, mx_req_t *req, const place_t *place)
{
    mx_slice_t content = MX_SLICE_NONE;
    const mx_error_t *err = mx_sync_account_data_get(&content, req->server, req->who, place->room_nid, place->type, req->pool);

    /* every account has push rules: what is not saved are the predefined ones */
    if (!place->room_nid && mx_str_eq(place->type, "m.push_rules") && (!err || err->code == MX_E_NOT_FOUND)) {
        content = mx_user_push_rules_for_sync(req->who->user_id, content, req->pool);
        err = NULL;
    }
    if (err) return err;
    reply->raw = mx_buf_create(req->pool);
    mx_buf_append(reply->raw, content.p, content.len);
    return NULL;
}

static const mx_error_t *put_content(mx_req_t *req, const place_t *place)
{
    /* CS-API: client config, server behaviour: types that the server manages */
    if (mx_str_eq(place->type, "m.fully_read") || mx_str_eq(place->type, "m.push_rules"))
        return mx_error_make_status(req->pool, MX_E_BAD_JSON, 405, "Cannot set %s through this API.", place->type);
    return mx_sync_account_data_put(req->server, req->who, place->room_nid, place->type, req->body, req->pool);
}

const mx_error_t *mx_client_get_account_data(mx_reply_t *reply, mx_req_t *req)
{
    place_t place;
    const mx_error_t *err = read_place(&place, req, 0);

    return err ? err : reply_content(reply, req, &place);
}

const mx_error_t *mx_client_get_account_data_per_room(mx_reply_t *reply, mx_req_t *req)
{
    place_t place;
    const mx_error_t *err = read_place(&place, req, 1);

    return err ? err : reply_content(reply, req, &place);
}

const mx_error_t *mx_client_set_account_data(mx_reply_t *reply, mx_req_t *req)
{
    place_t place;
    const mx_error_t *err = read_place(&place, req, 0);

    return err ? err : put_content(req, &place);
}

const mx_error_t *mx_client_set_account_data_per_room(mx_reply_t *reply, mx_req_t *req)
{
    place_t place;
    const mx_error_t *err = read_place(&place, req, 1);

    return err ? err : put_content(req, &place);
}
