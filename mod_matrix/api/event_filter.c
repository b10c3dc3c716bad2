/* SPDX-License-Identifier: Apache-2.0 */
/* The `filter` of /messages and /context. */
#include "api/event_filter.h"

const mx_error_t *mx_api_event_filter(mx_event_filter_t **pfilter, mx_req_t *req)
{
    const char *text = mx_param_query(req, "filter"), *why = NULL;
    mx_json_limits_t limits = { req->server->settings->max_json_depth };
    mx_json_t *json = NULL;

    *pfilter = NULL;
    if (!text)
        return NULL;
    if (mx_json_parse(&json, &why, text, strlen(text), &limits, req->pool) != MX_JSON_OK)
        return mx_error_make(req->pool, MX_E_NOT_JSON, "filter is no JSON: %s", why ? why : "it cannot be read.");
    return mx_event_filter_parse(pfilter, json, req->pool);
}
