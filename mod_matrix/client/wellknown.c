/* SPDX-License-Identifier: Apache-2.0 */
/* CS-API: GET /.well-known/matrix/client and /support; SS-API: GET /.well-known/matrix/server */
#include "api/req.h"

#include "core/ident.h"

/* Others ask for these before each first contact; what is in them changes with the configuration only. */
#define WELLKNOWN_CACHE "public, max-age=3600"

static void answer(mx_reply_t *reply, mx_req_t *req, mx_json_t *json)
{
    reply->headers = apr_table_make(req->pool, 1);
    apr_table_setn(reply->headers, "Cache-Control", WELLKNOWN_CACHE);
    mx_reply_json(reply, json);
}

const mx_error_t *mx_client_get_wellknown(mx_reply_t *reply, mx_req_t *req)
{
    const char *url = req->server->settings->well_known_client;
    mx_json_t *json = mx_json_new_object(req->pool), *homeserver = mx_json_new_object(req->pool);
    mx_json_set_str(homeserver, "base_url", url ? url : apr_pstrcat(req->pool, "https://", req->server->name, NULL));
    mx_json_set(json, "m.homeserver", homeserver);
    answer(reply, req, json);
    return NULL;
}

/** 1 for "host:port", "[::1]:port"; 0 for "host", "[::1]". */
static int has_port(const char *server_name)
{
    const char *bracket = strchr(server_name, ']');
    return strchr(bracket ? bracket : server_name, ':') != NULL;
}

const mx_error_t *mx_client_get_wellknown_server(mx_reply_t *reply, mx_req_t *req)
{
    const char *at = req->server->settings->well_known_server, *name = req->server->name;
    mx_json_t *json = mx_json_new_object(req->pool);
    mx_json_set_str(json, "m.server", at ? at : has_port(name) ? name : apr_pstrcat(req->pool, name, ":443", NULL));
    answer(reply, req, json);
    return NULL;
}

const mx_error_t *mx_client_get_wellknown_support(mx_reply_t *reply, mx_req_t *req)
{
    const mx_settings_t *set = req->server->settings;
    mx_json_t *json = mx_json_new_object(req->pool);
    if (!set->support_contact && !set->support_page)
        return mx_error_make(req->pool, MX_E_NOT_FOUND, "This server names no support.");
    if (set->support_contact) {
        mx_json_t *contacts = mx_json_new_array(req->pool), *admin = mx_json_new_object(req->pool);
        mx_json_set_str(admin, mx_ident_is_user_id(set->support_contact) ? "matrix_id" : "email_address", set->support_contact);
        mx_json_set_str(admin, "role", "m.role.admin");
        mx_json_add(contacts, admin);
        mx_json_set(json, "contacts", contacts);
    }
    mx_json_set_str(json, "support_page", set->support_page);
    answer(reply, req, json);
    return NULL;
}
