/* SPDX-License-Identifier: Apache-2.0 */
/* MSC4186: the request of simplified sliding sync, in its unstable form. */
#include "api/sliding_request.h"

#define TO_DEVICE_MAX 100            /* MSC3885 leaves it open */

static const mx_error_t *bad(mx_req_t *req, const char *what)
{
    return mx_error_make(req->pool, MX_E_BAD_JSON, "%s", what);
}

static const mx_error_t *too_many(mx_req_t *req, const char *what, int max)
{
    return mx_error_make(req->pool, MX_E_INVALID_PARAM, "%s has more than %d entries.", what, max);
}

/* An array of strings, or NULL; with `nulls` an element may be null as well. */
static const mx_error_t *read_strings(const apr_array_header_t **pout, mx_req_t *req, const mx_json_t *obj, const char *key, int nulls)
{
    const mx_json_t *list = mx_json_get(obj, key);
    apr_array_header_t *out;
    apr_size_t i;

    if (!list || mx_json_is(list, MX_JSON_NULL)) return NULL;
    if (!mx_json_is(list, MX_JSON_ARRAY)) return mx_error_make(req->pool, MX_E_BAD_JSON, "%s must be an array of strings.", key);
    if (mx_json_len(list) > MX_SLIDING_FILTER_MAX) return too_many(req, key, MX_SLIDING_FILTER_MAX);
    out = apr_array_make(req->keep, (int)mx_json_len(list) + 1, sizeof(const char *));
    for (i = 0; i < mx_json_len(list); i++) {
        const mx_json_t *item = mx_json_at(list, i);

        if (!mx_json_str(item) && !(nulls && mx_json_is(item, MX_JSON_NULL)))
            return mx_error_make(req->pool, MX_E_BAD_JSON, "%s must be an array of strings.", key);
        APR_ARRAY_PUSH(out, const char *) = mx_json_str(item) ? apr_pstrdup(req->keep, mx_json_str(item)) : NULL;
    }
    *pout = out;
    return NULL;
}

/* ---- what of a room is wanted ---- */

static const mx_error_t *read_key(mx_sliding_config_t *out, mx_req_t *req, const mx_json_t *pair)
{
    const char *type = mx_json_str(mx_json_at(pair, 0)), *state_key = mx_json_str(mx_json_at(pair, 1));

    if (!mx_json_is(pair, MX_JSON_ARRAY) || mx_json_len(pair) != 2 || !type || !state_key)
        return bad(req, "required_state must be an array of pairs of strings: type and state key.");
    if (!strcmp(state_key, "$LAZY")) {
        if (strcmp(type, "m.room.member") != 0) return NULL;     /* nothing else is lazy */
        out->lazy = 1;
        return NULL;
    }
    if (!strcmp(state_key, "$ME")) state_key = req->who->user_id;
    out->keys[out->nkeys++] = (mx_sliding_key_t){ apr_pstrdup(req->keep, type), apr_pstrdup(req->keep, state_key) };
    return NULL;
}

static const mx_error_t *read_config(mx_sliding_config_t *out, mx_req_t *req, const mx_json_t *obj)
{
    const mx_json_t *list = mx_json_get(obj, "required_state");
    apr_int64_t limit = 0;
    const mx_error_t *err = NULL;
    apr_size_t i;

    if (!mx_json_is(obj, MX_JSON_OBJECT)) return bad(req, "lists and room_subscriptions hold objects.");
    if (!mx_json_get(obj, "timeline_limit")) return mx_error_make(req->pool, MX_E_MISSING_PARAM, "timeline_limit is missing.");
    if (!list) return mx_error_make(req->pool, MX_E_MISSING_PARAM, "required_state is missing.");
    if (!mx_json_is(list, MX_JSON_ARRAY)) return bad(req, "required_state must be an array.");
    if (mx_json_len(list) > MX_SLIDING_STATE_MAX) return too_many(req, "required_state", MX_SLIDING_STATE_MAX);
    err = mx_param_body_int(&limit, req, obj, "timeline_limit", 0, 0, MX_SLIDING_TIMELINE_LIMIT_MAX);
    *out = (mx_sliding_config_t){ .timeline_limit = (int)limit };
    out->keys = apr_palloc(req->keep, sizeof(*out->keys) * (mx_json_len(list) + 1));
    for (i = 0; !err && i < mx_json_len(list); i++) err = read_key(out, req, mx_json_at(list, i));
    if (!err) mx_sync_sliding_config_settle(out);
    return err;
}

/* ---- lists ---- */

static const mx_error_t *read_range(mx_sliding_range_t *out, mx_req_t *req, const mx_json_t *pair)
{
    const mx_json_t *from = mx_json_at(pair, 0), *to = mx_json_at(pair, 1);

    if (!mx_json_is(pair, MX_JSON_ARRAY) || mx_json_len(pair) != 2 || !mx_json_is(from, MX_JSON_INT) || !mx_json_is(to, MX_JSON_INT))
        return bad(req, "A range is an array of two whole numbers.");
    *out = (mx_sliding_range_t){ mx_json_int(from, 0), mx_json_int(to, 0) };
    if (out->from >= 0 && out->to >= out->from) return NULL;
    return mx_error_make(req->pool, MX_E_INVALID_PARAM, "A range begins at 0 or later, and does not end before it begins.");
}

/* `ranges` of the unstable form, or `range` of the stable one. */
static const mx_error_t *read_ranges(mx_sliding_list_t *out, mx_req_t *req, const mx_json_t *obj)
{
    const mx_json_t *ranges = mx_json_get(obj, "ranges"), *range = mx_json_get(obj, "range");
    const mx_error_t *err = NULL;
    int i;

    out->nranges = -1;
    if (ranges && mx_json_is(ranges, MX_JSON_NULL)) ranges = NULL;
    if (ranges && !mx_json_is(ranges, MX_JSON_ARRAY)) return bad(req, "ranges must be an array.");
    if (mx_json_len(ranges) > MX_SLIDING_RANGES_MAX) return too_many(req, "ranges", MX_SLIDING_RANGES_MAX);
    if (mx_json_get_bool(obj, "slow_get_all_rooms", 0) || (!ranges && !range)) return NULL;
    out->nranges = ranges ? (int)mx_json_len(ranges) : 1;
    out->ranges = apr_palloc(req->keep, sizeof(*out->ranges) * (apr_size_t)(out->nranges + 1));
    for (i = 0; !err && i < out->nranges; i++)
        err = read_range(&out->ranges[i], req, ranges ? mx_json_at(ranges, (apr_size_t)i) : range);
    return err;
}

static const mx_error_t *read_flag(signed char *out, mx_req_t *req, const mx_json_t *obj, const char *key)
{
    const mx_json_t *value = mx_json_get(obj, key);
    int flag = 0;
    const mx_error_t *err;

    if (!value || mx_json_is(value, MX_JSON_NULL)) return NULL;
    err = mx_param_body_bool(&flag, req, obj, key, 0);
    if (!err) *out = (signed char)flag;
    return err;
}

static const mx_error_t *read_filter(mx_sliding_filter_t *out, mx_req_t *req, const mx_json_t *obj)
{
    const mx_json_t *filters = mx_json_get(obj, "filters");
    const mx_error_t *err;

    *out = (mx_sliding_filter_t){ .is_dm = -1, .is_encrypted = -1, .is_invite = -1 };
    if (!filters || mx_json_is(filters, MX_JSON_NULL)) return NULL;
    if (!mx_json_is(filters, MX_JSON_OBJECT)) return bad(req, "filters must be an object.");
    err = read_flag(&out->is_dm, req, filters, "is_dm");
    if (!err) err = read_flag(&out->is_encrypted, req, filters, "is_encrypted");
    if (!err) err = read_flag(&out->is_invite, req, filters, "is_invited");
    if (!err) err = read_flag(&out->is_invite, req, filters, "is_invite");
    if (!err) err = read_strings(&out->spaces, req, filters, "spaces", 0);
    if (!err) err = read_strings(&out->tags, req, filters, "tags", 0);
    if (!err) err = read_strings(&out->not_tags, req, filters, "not_tags", 0);
    if (!err) err = read_strings(&out->room_types, req, filters, "room_types", 1);
    return err ? err : read_strings(&out->not_room_types, req, filters, "not_room_types", 1);
}

static const mx_error_t *read_lists(mx_sliding_request_t *out, mx_req_t *req)
{
    mx_json_t *lists = NULL, *value;
    const char *name;
    void *it = NULL;
    const mx_error_t *err = mx_param_body_object(&lists, req, req->body, "lists");

    if (err) return err;
    if (mx_json_len(lists) > MX_SLIDING_LISTS_MAX) return too_many(req, "lists", MX_SLIDING_LISTS_MAX);
    out->lists = apr_pcalloc(req->keep, sizeof(*out->lists) * (mx_json_len(lists) + 1));
    while (!err && lists && mx_json_next(lists, &it, &name, &value)) {
        mx_sliding_list_t *list = &out->lists[out->nlists++];

        if (strlen(name) > MX_SLIDING_LIST_NAME_MAX_BYTES)
            return mx_error_make(req->pool, MX_E_INVALID_PARAM, "A list's name is too long.");
        list->name = apr_pstrdup(req->keep, name);
        err = read_config(&list->config, req, value);
        if (!err) err = read_ranges(list, req, value);
        if (!err) err = read_filter(&list->filter, req, value);
    }
    return err;
}

static const mx_error_t *read_subscriptions(mx_sliding_request_t *out, mx_req_t *req)
{
    mx_json_t *rooms = NULL, *value;
    const char *room_id;
    void *it = NULL;
    const mx_error_t *err = mx_param_body_object(&rooms, req, req->body, "room_subscriptions");

    if (err) return err;
    if (mx_json_len(rooms) > MX_SLIDING_SUBSCRIPTIONS_MAX) return too_many(req, "room_subscriptions", MX_SLIDING_SUBSCRIPTIONS_MAX);
    out->subscriptions = apr_pcalloc(req->keep, sizeof(*out->subscriptions) * (mx_json_len(rooms) + 1));
    while (!err && rooms && mx_json_next(rooms, &it, &room_id, &value)) {
        mx_sliding_subscription_t *subscription = &out->subscriptions[out->nsubscriptions++];

        subscription->room_id = apr_pstrdup(req->keep, room_id);
        err = read_config(&subscription->config, req, value);
    }
    return err;
}

/* ---- extensions ---- */

/* *pobj NULL: not there, or not enabled. */
static const mx_error_t *read_extension(const mx_json_t **pobj, mx_req_t *req, const mx_json_t *extensions, const char *name)
{
    const mx_json_t *value = mx_json_get(extensions, name);
    int enabled = 0;
    const mx_error_t *err;

    *pobj = NULL;
    if (!value || mx_json_is(value, MX_JSON_NULL)) return NULL;
    if (!mx_json_is(value, MX_JSON_OBJECT)) return mx_error_make(req->pool, MX_E_BAD_JSON, "%s must be an object.", name);
    if (mx_json_is(mx_json_get(value, "enabled"), MX_JSON_NULL)) return NULL;
    err = mx_param_body_bool(&enabled, req, value, "enabled", 0);
    if (!err && enabled) *pobj = value;
    return err;
}

static const mx_error_t *read_scope(mx_sliding_scope_t *out, mx_req_t *req, const mx_json_t *extensions, const char *name)
{
    const mx_json_t *value = NULL;
    const mx_error_t *err = read_extension(&value, req, extensions, name);

    if (err || !value) return err;
    out->enabled = 1;
    err = read_strings(&out->lists, req, value, "lists", 0);
    return err ? err : read_strings(&out->rooms, req, value, "rooms", 0);
}

static const mx_error_t *read_to_device(mx_sliding_request_t *out, mx_req_t *req, const mx_json_t *extensions)
{
    const mx_json_t *value = NULL;
    const char *since = NULL;
    apr_int64_t limit = TO_DEVICE_MAX;
    const mx_error_t *err = read_extension(&value, req, extensions, "to_device");

    if (err || !value) return err;
    out->to_device = 1;
    err = mx_param_body_int(&limit, req, value, "limit", TO_DEVICE_MAX, 1, APR_INT64_MAX);
    out->to_device_limit = limit < TO_DEVICE_MAX ? (int)limit : TO_DEVICE_MAX;
    if (!err && !mx_json_is(mx_json_get(value, "since"), MX_JSON_NULL)) err = mx_param_body_str(&since, req, value, "since", NULL);
    if (!err && since) err = mx_sync_token_parse(&out->to_device_since, req->server, since, req->pool);
    return err;
}

static const mx_error_t *read_extensions(mx_sliding_request_t *out, mx_req_t *req)
{
    mx_json_t *extensions = NULL;
    const mx_json_t *e2ee = NULL;
    const mx_error_t *err = mx_param_body_object(&extensions, req, req->body, "extensions");

    if (!err) err = read_to_device(out, req, extensions);
    if (!err) err = read_extension(&e2ee, req, extensions, "e2ee");
    if (!err) err = read_scope(&out->account_data, req, extensions, "account_data");
    if (!err) err = read_scope(&out->receipts, req, extensions, "receipts");
    if (!err) err = read_scope(&out->typing, req, extensions, "typing");
    out->e2ee = e2ee != NULL;
    return err;
}

const mx_error_t *mx_api_sliding_request_read(mx_sliding_request_t *out, mx_req_t *req)
{
    const char *conn_id = NULL;
    const mx_error_t *err = mx_param_body_str(&conn_id, req, req->body, "conn_id", "");

    *out = (mx_sliding_request_t){ 0 };
    if (err) return err;
    if (strlen(conn_id) > MX_SLIDING_CONN_ID_MAX_BYTES) return mx_error_make(req->pool, MX_E_INVALID_PARAM, "conn_id is too long.");
    out->conn_id = apr_pstrdup(req->keep, conn_id);
    err = read_lists(out, req);
    if (!err) err = read_subscriptions(out, req);
    return err ? err : read_extensions(out, req);
}

/* ---- the position ---- */

static const mx_error_t *read_presence(mx_presence_e *out, mx_req_t *req)
{
    const char *presence = mx_param_query(req, "set_presence");

    if (!presence) presence = mx_json_get_str(req->body, "set_presence");
    if (mx_sync_presence_parse(out, presence)) return NULL;
    return mx_error_make(req->pool, MX_E_INVALID_PARAM, "set_presence is offline, online or unavailable.");
}

const mx_error_t *mx_api_sliding_request_place(mx_sliding_ask_t *ask, apr_int64_t *ptimeout_ms, mx_presence_e *ppresence, mx_req_t *req)
{
    const char *pos = mx_param_query(req, "pos");
    const mx_error_t *err = read_presence(ppresence, req);

    if (!err && !pos) err = mx_param_body_str(&pos, req, req->body, "pos", NULL);
    if (!err) err = mx_param_body_int(ptimeout_ms, req, req->body, "timeout", 0, 0, APR_INT64_MAX);
    if (!err) err = mx_param_query_int(ptimeout_ms, req, "timeout", *ptimeout_ms, 0, APR_INT64_MAX);
    if (err || !pos) return err;
    if (mx_sync_sliding_pos_read(&ask->version, &ask->since, pos)) return NULL;
    return mx_error_make(req->pool, MX_E_UNKNOWN_POS, "This position is none of this server's: begin without `pos`.");
}
