/* SPDX-License-Identifier: Apache-2.0 */
/* Where a user wants to be pushed: checks and storing. */
#include "user/pusher.h"

#include "base/http_out.h"
#include "server/runner.h"
#include "store/pusher.h"

#define NOTIFY_PATH "/_matrix/push/v1/notify"

const mx_error_t *mx_user_pusher_list(mx_slice_t **pbodies, int *pn, mx_server_t *server, const mx_who_t *who, apr_pool_t *pool)
{
    apr_status_t rv = mx_store_pusher_list(pbodies, pn, server->store, who->user_nid, pool);

    return rv == APR_SUCCESS ? NULL : mx_server_store_error(rv, "reading pushers", pool);
}

/* ---- checks ---- */

static const mx_error_t *must_str(const char **pout, const mx_json_t *body, const char *key, apr_pool_t *pool)
{
    const mx_json_t *value = mx_json_get(body, key);

    if (!value) return mx_error_make(pool, MX_E_MISSING_PARAM, "'%s' is missing.", key);
    if (!mx_json_str(value)) return mx_error_make(pool, MX_E_BAD_JSON, "'%s' must be a string.", key);
    *pout = mx_json_str(value);
    return NULL;
}

static apr_size_t characters(const char *text)
{
    apr_size_t n = 0;

    for (; *text; text++) n += (*text & 0xc0) != 0x80;
    return n;
}

static const mx_error_t *read_key(mx_store_pusher_t *p, const mx_json_t *body, apr_pool_t *pool)
{
    const mx_error_t *err = must_str(&p->app_id, body, "app_id", pool);

    if (!err) err = must_str(&p->pushkey, body, "pushkey", pool);
    if (err) return err;
    if (characters(p->app_id) > MX_PUSHER_APP_ID_MAX_CHARS)
        return mx_error_make(pool, MX_E_INVALID_PARAM, "'app_id' may have %d characters at most.", MX_PUSHER_APP_ID_MAX_CHARS);
    if (strlen(p->pushkey) > MX_PUSHER_KEY_MAX_BYTES)
        return mx_error_make(pool, MX_E_INVALID_PARAM, "'pushkey' may have %d bytes at most.", MX_PUSHER_KEY_MAX_BYTES);
    return NULL;
}

/* Plain http is for gateways of a network of one's own: whoever may not reach those does not need it. */
static const mx_error_t *check_url(const char *url, mx_server_t *server, apr_pool_t *pool)
{
    const char *path;
    int secure;

    if (!mx_http_out_host(&secure, &path, url, pool))
        return mx_error_make(pool, MX_E_INVALID_PARAM, "'data.url' must be an https URL.");
    if (!secure && !server->settings->outgoing_private)
        return mx_error_make(pool, MX_E_INVALID_PARAM, "'data.url' must begin with https://.");
    if (strcmp(path, NOTIFY_PATH) != 0)
        return mx_error_make(pool, MX_E_INVALID_PARAM, "The path of 'data.url' must be " NOTIFY_PATH ".");
    return NULL;
}

/* What GET /pushers tells: the members that the specification names, as they came. */
static const mx_error_t *read_body(mx_store_pusher_t *p, const mx_json_t *body, mx_server_t *server, apr_pool_t *pool)
{
    static const char *const names[] = { "pushkey", "app_id", "app_display_name", "device_display_name", "lang", "profile_tag" };
    const mx_json_t *data = mx_json_get(body, "data");
    mx_json_t *out = mx_json_new_object(pool);
    mx_buf_t *text = mx_buf_create(pool);
    const mx_error_t *err = NULL;
    const char *value;
    apr_size_t i;

    for (i = 0; !err && i < sizeof(names) / sizeof(names[0]); i++) {
        if (!mx_json_get(body, names[i]) && strcmp(names[i], "profile_tag") == 0) continue;
        err = must_str(&value, body, names[i], pool);
        if (!err) mx_json_set_str(out, names[i], value);
    }
    if (err) return err;
    if (!data) return mx_error_make(pool, MX_E_MISSING_PARAM, "'data' is missing.");
    if (!mx_json_is(data, MX_JSON_OBJECT)) return mx_error_make(pool, MX_E_BAD_JSON, "'data' must be an object.");
    if (!mx_json_get(data, "url")) return mx_error_make(pool, MX_E_MISSING_PARAM, "'data.url' is missing.");
    if (!mx_json_get_str(data, "url")) return mx_error_make(pool, MX_E_BAD_JSON, "'data.url' must be a string.");
    if (mx_json_get(data, "format") && !mx_json_get_str(data, "format"))
        return mx_error_make(pool, MX_E_BAD_JSON, "'data.format' must be a string.");
    mx_json_set_str(out, "kind", "http");
    mx_json_set(out, "data", mx_json_get(body, "data"));
    mx_json_write(text, out);
    p->url = mx_json_get_str(data, "url");
    p->body = mx_buf_slice(text);
    if (p->body.len > MX_PUSHER_BODY_MAX_BYTES)
        return mx_error_make(pool, MX_E_INVALID_PARAM, "A pusher may have %d bytes at most.", MX_PUSHER_BODY_MAX_BYTES);
    return check_url(p->url, server, pool);
}

static const mx_error_t *check_kind(int *pdelete, const mx_json_t *body, apr_pool_t *pool)
{
    const mx_json_t *kind = mx_json_get(body, "kind");

    if (!kind) return mx_error_make(pool, MX_E_MISSING_PARAM, "'kind' is missing.");
    *pdelete = mx_json_is(kind, MX_JSON_NULL);
    if (*pdelete || mx_str_eq(mx_json_str(kind), "http")) return NULL;
    if (mx_str_eq(mx_json_str(kind), "email"))
        return mx_error_make(pool, MX_E_INVALID_PARAM, "This server sends no notifications by email: only pushers of kind 'http' work.");
    if (!mx_json_is(kind, MX_JSON_STRING)) return mx_error_make(pool, MX_E_BAD_JSON, "'kind' must be a string or null.");
    return mx_error_make(pool, MX_E_INVALID_PARAM, "There are no pushers of this kind: 'kind' must be 'http', or null to delete one.");
}

/* ---- storing ---- */

static const mx_error_t *store_it(mx_server_t *server, const mx_store_pusher_t *p, apr_pool_t *pool)
{
    int max = server->settings->max_pushers;
    apr_status_t rv = mx_store_pusher_set(server->store, p, max, pool);

    if (rv == MX_STORE_NONE) return mx_error_make(pool, MX_E_INVALID_PARAM, "A user may have %d pushers at most.", max);
    if (rv != APR_SUCCESS) return mx_server_store_error(rv, "storing a pusher", pool);
    if (server->runner) mx_runner_wake_name(server, MX_USER_PUSHER_TASK);
    return NULL;
}

const mx_error_t *mx_user_pusher_set(mx_server_t *server, const mx_who_t *who, const mx_json_t *body, apr_time_t now, apr_pool_t *pool)
{
    mx_store_pusher_t p = { .user_nid = who->user_nid, .device_nid = who->device_nid, .now_ms = apr_time_as_msec(now) };
    const mx_json_t *append = mx_json_get(body, "append");
    int is_delete = 0;
    apr_status_t rv;
    const mx_error_t *err = check_kind(&is_delete, body, pool);

    if (!err) err = read_key(&p, body, pool);
    if (!err && append && !mx_json_is(append, MX_JSON_BOOL)) err = mx_error_make(pool, MX_E_BAD_JSON, "'append' must be true or false.");
    if (!err && !is_delete) err = read_body(&p, body, server, pool);
    if (err) return err;
    p.append = mx_json_bool(append, 0);
    if (!is_delete) return store_it(server, &p, pool);
    rv = mx_store_pusher_delete(server->store, who->user_nid, p.app_id, p.pushkey, pool);
    return rv == APR_SUCCESS ? NULL : mx_server_store_error(rv, "deleting a pusher", pool);
}
