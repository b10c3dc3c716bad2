/* SPDX-License-Identifier: Apache-2.0 */
/* CS-API: /directory/room/{roomAlias}, /rooms/{roomId}/aliases. */
#include "api/req.h"
#include "core/ident.h"
#include "room/alias.h"

const mx_error_t *mx_client_set_room_alias(mx_reply_t *reply, mx_req_t *req)
{
    const char *alias = NULL, *room_id = NULL;
    const mx_error_t *err = mx_param_alias(&alias, req, "roomAlias");

    if (!err) err = mx_param_must_str(&room_id, req, req->body, "room_id");
    if (!err && !mx_ident_is_room_id(room_id))
        err = mx_error_make(req->pool, MX_E_INVALID_PARAM, "room_id is not a room id.");
    return err ? err : mx_room_alias_create(req->server, req->who, alias, room_id, req->now, req->pool);
}

const mx_error_t *mx_client_get_room_id_by_alias(mx_reply_t *reply, mx_req_t *req)
{
    const char *alias = NULL, *room_id = NULL;
    mx_json_t *servers;
    const mx_error_t *err = mx_param_alias(&alias, req, "roomAlias");

    if (!err) err = mx_room_alias_resolve(&room_id, req->server, alias, req->pool);
    if (err)
        return err;
    servers = mx_json_new_array(req->pool);
    mx_json_add_str(servers, req->server->name);
    mx_reply_json(reply, mx_json_new_object(req->pool));
    mx_json_set_str(reply->json, "room_id", room_id);
    mx_json_set(reply->json, "servers", servers);
    return NULL;
}

const mx_error_t *mx_client_delete_room_alias(mx_reply_t *reply, mx_req_t *req)
{
    const char *alias = NULL;
    const mx_error_t *err = mx_param_alias(&alias, req, "roomAlias");

    return err ? err : mx_room_alias_delete(req->server, req->who, alias, req->pool);
}

const mx_error_t *mx_client_get_local_aliases(mx_reply_t *reply, mx_req_t *req)
{
    const char *room_id = NULL, **aliases = NULL;
    mx_json_t *list;
    int i, n = 0;
    const mx_error_t *err = mx_param_room_id(&room_id, req, "roomId");

    if (!err) err = mx_room_alias_list(&aliases, &n, req->server, req->who, room_id, req->pool);
    if (err)
        return err;
    list = mx_json_new_array(req->pool);
    for (i = 0; i < n; i++)
        mx_json_add_str(list, aliases[i]);
    mx_reply_json(reply, mx_json_new_object(req->pool));
    mx_json_set(reply->json, "aliases", list);
    return NULL;
}
