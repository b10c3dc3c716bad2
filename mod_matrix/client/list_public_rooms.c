/* SPDX-License-Identifier: Apache-2.0 */
/* CS-API: /publicRooms, /directory/list/room/{roomId}. */
#include "api/req.h"
#include "room/directory.h"

const mx_error_t *mx_client_get_room_visibility_on_directory(mx_reply_t *reply, mx_req_t *req)
{
    const char *room_id = NULL;
    int published = 0;
    const mx_error_t *err = mx_param_room_id(&room_id, req, "roomId");

    if (!err) err = mx_room_directory_get(&published, req->server, room_id, req->pool);
    if (err)
        return err;
    mx_reply_json(reply, mx_json_new_object(req->pool));
    mx_json_set_str(reply->json, "visibility", published ? "public" : "private");
    return NULL;
}

const mx_error_t *mx_client_set_room_visibility_on_directory(mx_reply_t *reply, mx_req_t *req)
{
    const char *room_id = NULL, *visibility = NULL;
    const mx_error_t *err = mx_param_room_id(&room_id, req, "roomId");

    if (!err) err = mx_param_body_str(&visibility, req, req->body, "visibility", "public");
    if (!err && !mx_str_eq(visibility, "public") && !mx_str_eq(visibility, "private"))
        err = mx_error_make(req->pool, MX_E_INVALID_PARAM, "visibility must be public or private.");
    if (err)
        return err;
    return mx_room_directory_set(req->server, req->who, room_id, mx_str_eq(visibility, "public"), req->pool);
}

/** The directories of other servers are beyond reach. */
static const mx_error_t *check_server(mx_req_t *req)
{
    const char *server = mx_param_query(req, "server");

    if (server && !mx_str_eq(server, req->server->name))
        return mx_error_make(req->pool, MX_E_NOT_FOUND,
                             "The directory of %s cannot be read: this server does not reach other servers.", server);
    return NULL;
}

/** 0 means as many as there may be, as everywhere. */
static int clamp(apr_int64_t limit)
{
    return limit <= 0 || limit > MX_ROOM_DIRECTORY_LIMIT_MAX ? MX_ROOM_DIRECTORY_LIMIT_MAX : (int)limit;
}

static const mx_error_t *answer(mx_reply_t *reply, mx_req_t *req, const mx_room_directory_ask_t *ask)
{
    mx_json_writer_t *w = mx_jw_create(req->pool);
    const mx_error_t *err = mx_room_directory_write(w, req->server, ask, req->pool);

    if (!err) mx_reply_writer(reply, w);
    return err;
}

const mx_error_t *mx_client_get_public_rooms(mx_reply_t *reply, mx_req_t *req)
{
    mx_room_directory_ask_t ask = { .since = mx_param_query(req, "since") };
    const mx_error_t *err = check_server(req);

    if (!err) err = mx_param_limit(&ask.limit, req, MX_ROOM_DIRECTORY_LIMIT_DEFAULT, MX_ROOM_DIRECTORY_LIMIT_MAX);
    ask.limit = clamp(ask.limit);
    return err ? err : answer(reply, req, &ask);
}

/** `filter` of the body. */
static const mx_error_t *read_filter(mx_room_directory_ask_t *ask, mx_req_t *req)
{
    mx_json_t *filter = NULL, *types = NULL;
    const mx_error_t *err = mx_param_body_object(&filter, req, req->body, "filter");
    apr_size_t i;

    if (!err) err = mx_param_body_str(&ask->term, req, filter, "generic_search_term", NULL);
    if (!err) err = mx_param_body_array(&types, req, filter, "room_types");
    for (i = 0; !err && i < mx_json_len(types); i++) {
        if (!mx_json_is(mx_json_at(types, i), MX_JSON_STRING) && !mx_json_is(mx_json_at(types, i), MX_JSON_NULL))
            err = mx_error_make(req->pool, MX_E_BAD_JSON, "room_types must be a list of strings and nulls.");
    }
    ask->room_types = types;
    return err;
}

const mx_error_t *mx_client_query_public_rooms(mx_reply_t *reply, mx_req_t *req)
{
    mx_room_directory_ask_t ask = { 0 };
    const char *network = NULL;
    apr_int64_t limit = 0;
    int all_networks = 0;
    const mx_error_t *err = check_server(req);

    if (!err)
        err = mx_param_body_int(&limit, req, req->body, "limit", MX_ROOM_DIRECTORY_LIMIT_DEFAULT, 0, APR_INT64_MAX);
    if (!err) err = mx_param_body_str(&ask.since, req, req->body, "since", NULL);
    if (!err) err = mx_param_body_bool(&all_networks, req, req->body, "include_all_networks", 0);
    if (!err) err = mx_param_body_str(&network, req, req->body, "third_party_instance_id", NULL);
    if (!err && network && all_networks)
        err = mx_error_make(req->pool, MX_E_INVALID_PARAM,
                            "third_party_instance_id and include_all_networks exclude each other.");
    if (!err && network)
        err = mx_error_make(req->pool, MX_E_NOT_FOUND, "This server is bridged to no network %s.", network);
    if (!err) err = read_filter(&ask, req);
    ask.limit = clamp(limit);
    return err ? err : answer(reply, req, &ask);
}
