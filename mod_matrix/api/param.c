/* SPDX-License-Identifier: Apache-2.0 */
/* Typed reading of path, query and body values, each with its errcode and a sentence that names the parameter. */
#include "api/req.h"

#include "core/ident.h"

const char *mx_param_path(mx_req_t *req, const char *name)
{
    const char *value = apr_table_get(req->path_params, name);
    return value ? value : "";
}

static const mx_error_t *path_grammar(const char **pout, mx_req_t *req, const char *name, int (*fits)(const char *), const char *what)
{
    const char *value = mx_param_path(req, name);
    if (!fits(value))
        return mx_error_make(req->pool, MX_E_INVALID_PARAM, "%s in the path is not %s.", name, what);
    *pout = value;
    return NULL;
}

const mx_error_t *mx_param_room_id(const char **pout, mx_req_t *req, const char *name)
{
    return path_grammar(pout, req, name, mx_ident_is_room_id, "a room id");
}

const mx_error_t *mx_param_event_id(const char **pout, mx_req_t *req, const char *name)
{
    return path_grammar(pout, req, name, mx_ident_is_event_id, "an event id");
}

const mx_error_t *mx_param_user_id(const char **pout, mx_req_t *req, const char *name)
{
    return path_grammar(pout, req, name, mx_ident_is_user_id, "a user id");
}

const mx_error_t *mx_param_alias(const char **pout, mx_req_t *req, const char *name)
{
    return path_grammar(pout, req, name, mx_ident_is_room_alias, "a room alias");
}

const char *mx_param_query(mx_req_t *req, const char *name)
{
    return apr_table_get(req->query, name);
}

const mx_error_t *mx_param_query_int(apr_int64_t *pout, mx_req_t *req, const char *name, apr_int64_t fallback, apr_int64_t min,
                                     apr_int64_t max)
{
    const char *text = mx_param_query(req, name);
    apr_int64_t value = fallback;
    if (text && mx_str_to_int64(&value, text, min, max))
        return mx_error_make(req->pool, MX_E_INVALID_PARAM, "%s must be a whole number from %" APR_INT64_T_FMT " to %" APR_INT64_T_FMT ".",
                             name, min, max);
    *pout = value;
    return NULL;
}

const mx_error_t *mx_param_query_bool(int *pout, mx_req_t *req, const char *name, int fallback)
{
    const char *text = mx_param_query(req, name);
    if (text && strcmp(text, "true") != 0 && strcmp(text, "false") != 0)
        return mx_error_make(req->pool, MX_E_INVALID_PARAM, "%s must be true or false.", name);
    *pout = text ? strcmp(text, "true") == 0 : fallback;
    return NULL;
}

const mx_error_t *mx_param_limit(int *pout, mx_req_t *req, int fallback, int max)
{
    apr_int64_t value = fallback;
    const mx_error_t *err = mx_param_query_int(&value, req, "limit", fallback, 0, APR_INT64_MAX);
    if (!err)
        *pout = value > max ? max : (int)value;
    return err;
}

static const mx_error_t *wrong_type(mx_req_t *req, const char *key, const char *what)
{
    return mx_error_make(req->pool, MX_E_BAD_JSON, "%s must be %s.", key, what);
}

const mx_error_t *mx_param_body_str(const char **pout, mx_req_t *req, const mx_json_t *obj, const char *key, const char *fallback)
{
    const mx_json_t *value = mx_json_get(obj, key);
    if (value && !mx_json_str(value))
        return wrong_type(req, key, "a string without U+0000");
    *pout = value ? mx_json_str(value) : fallback;
    return NULL;
}

const mx_error_t *mx_param_must_str(const char **pout, mx_req_t *req, const mx_json_t *obj, const char *key)
{
    if (!mx_json_get(obj, key))
        return mx_error_make(req->pool, MX_E_MISSING_PARAM, "%s is missing.", key);
    return mx_param_body_str(pout, req, obj, key, NULL);
}

const mx_error_t *mx_param_body_bool(int *pout, mx_req_t *req, const mx_json_t *obj, const char *key, int fallback)
{
    const mx_json_t *value = mx_json_get(obj, key);
    if (value && !mx_json_is(value, MX_JSON_BOOL))
        return wrong_type(req, key, "true or false");
    *pout = mx_json_bool(value, fallback);
    return NULL;
}

const mx_error_t *mx_param_body_int(apr_int64_t *pout, mx_req_t *req, const mx_json_t *obj, const char *key, apr_int64_t fallback,
                                    apr_int64_t min, apr_int64_t max)
{
    const mx_json_t *value = mx_json_get(obj, key);
    if (value && !mx_json_is(value, MX_JSON_INT))
        return wrong_type(req, key, "a whole number");
    if (value && (mx_json_int(value, 0) < min || mx_json_int(value, 0) > max))
        return mx_error_make(req->pool, MX_E_INVALID_PARAM, "%s must be a whole number from %" APR_INT64_T_FMT " to %" APR_INT64_T_FMT ".",
                             key, min, max);
    *pout = mx_json_int(value, fallback);
    return NULL;
}

static const mx_error_t *body_container(mx_json_t **pout, mx_req_t *req, const mx_json_t *obj, const char *key, mx_json_type_e type,
                                        const char *what)
{
    mx_json_t *value = mx_json_get(obj, key);
    if (value && !mx_json_is(value, type))
        return wrong_type(req, key, what);
    *pout = value;
    return NULL;
}

const mx_error_t *mx_param_body_object(mx_json_t **pout, mx_req_t *req, const mx_json_t *obj, const char *key)
{
    return body_container(pout, req, obj, key, MX_JSON_OBJECT, "an object");
}

const mx_error_t *mx_param_body_array(mx_json_t **pout, mx_req_t *req, const mx_json_t *obj, const char *key)
{
    return body_container(pout, req, obj, key, MX_JSON_ARRAY, "an array");
}
