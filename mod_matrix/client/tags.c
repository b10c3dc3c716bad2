/* SPDX-License-Identifier: Apache-2.0 */
/* CS-API: /user/{userId}/rooms/{roomId}/tags. */
#include "api/req.h"
#include "core/ident.h"
#include "sync/sync.h"

static const mx_error_t *read_room(apr_int64_t *proom_nid, mx_req_t *req)
{
    const char *user_id = NULL, *room_id = NULL;
    mx_room_t *room = NULL;
    const mx_error_t *err = mx_param_user_id(&user_id, req, "userId");

    if (!err && !mx_str_eq(user_id, req->who->user_id)) err = mx_error_make(req->pool, MX_E_FORBIDDEN, "These are another user's tags.");
    if (!err) err = mx_param_room_id(&room_id, req, "roomId");
    if (!err) err = mx_room_get(&room, req->server, room_id, 0, req->pool);
    if (!err) *proom_nid = room->nid;
    return err;
}

/* CS-API: room tagging: "MUST NOT exceed 255 bytes" */
static const mx_error_t *read_tag(const char **ptag, mx_req_t *req)
{
    const char *tag = mx_param_path(req, "tag");

    if (!mx_ident_is_opaque(tag, MX_SYNC_TAG_MAX_BYTES))
        return mx_error_make(req->pool, MX_E_INVALID_PARAM, "A tag has 1 to %d bytes.", MX_SYNC_TAG_MAX_BYTES);
    *ptag = tag;
    return NULL;
}

static const mx_error_t *check_order(mx_req_t *req)
{
    const mx_json_t *order = mx_json_get(req->body, "order");
    double value = mx_json_is(order, MX_JSON_INT) ? (double)mx_json_int(order, -1) : mx_json_real(order, -1);

    if (!order || (value >= 0 && value <= 1)) return NULL;
    return mx_error_make(req->pool, MX_E_BAD_JSON, "order must be a number from 0 to 1.");
}

const mx_error_t *mx_client_get_room_tags(mx_reply_t *reply, mx_req_t *req)
{
    mx_json_t *tags = NULL, *json;
    apr_int64_t room_nid = 0;
    const mx_error_t *err = read_room(&room_nid, req);

    if (!err) err = mx_sync_tags_get(&tags, req->server, req->who, room_nid, req->pool);
    if (err) return err;
    json = mx_json_new_object(req->pool);
    mx_json_set(json, "tags", tags);
    mx_reply_json(reply, json);
    return NULL;
}

const mx_error_t *mx_client_set_room_tag(mx_reply_t *reply, mx_req_t *req)
{
    apr_int64_t room_nid = 0;
    const char *tag = NULL;
    const mx_error_t *err = read_room(&room_nid, req);

    if (!err) err = read_tag(&tag, req);
    if (!err) err = check_order(req);
    return err ? err : mx_sync_tags_set(req->server, req->who, room_nid, tag, req->body, req->pool);
}

const mx_error_t *mx_client_delete_room_tag(mx_reply_t *reply, mx_req_t *req)
{
    apr_int64_t room_nid = 0;
    const char *tag = NULL;
    const mx_error_t *err = read_room(&room_nid, req);

    if (!err) err = read_tag(&tag, req);
    return err ? err : mx_sync_tags_set(req->server, req->who, room_nid, tag, NULL, req->pool);
}
