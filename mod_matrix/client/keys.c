/* SPDX-License-Identifier: Apache-2.0 */
/* CS-API: POST /keys/upload, /keys/query, /keys/claim, GET /keys/changes. */
#include "api/req.h"
#include "sync/sync.h"
#include "user/device_keys.h"
#include "user/key_query.h"

const mx_error_t *mx_client_upload_keys(mx_reply_t *reply, mx_req_t *req)
{
    mx_key_stock_t stock = { 0 };
    mx_json_writer_t *w = mx_jw_create(req->pool);
    const mx_error_t *err = mx_user_device_keys_upload(&stock, req->server, req->who, req->body, req->pool);

    if (err) return err;
    mx_jw_object(w);
    mx_jw_key_object(w, "one_time_key_counts");
    for (int i = 0; i < stock.n; i++) mx_jw_key_int(w, stock.algorithms[i], stock.counts[i]);
    mx_jw_end_object(w);
    mx_jw_end_object(w);
    mx_reply_writer(reply, w);
    return NULL;
}

/* `timeout` is for asking other servers; it is checked all the same. */
static const mx_error_t *check_timeout(mx_req_t *req)
{
    apr_int64_t timeout_ms;

    return mx_param_body_int(&timeout_ms, req, req->body, "timeout", 0, 0, APR_INT64_MAX);
}

const mx_error_t *mx_client_query_keys(mx_reply_t *reply, mx_req_t *req)
{
    mx_json_writer_t *w = mx_jw_create(req->pool);
    const mx_error_t *err = check_timeout(req);

    if (!err) err = mx_user_key_query(w, req->server, req->who, mx_json_get(req->body, "device_keys"), req->pool);
    if (!err) mx_reply_writer(reply, w);
    return err;
}

const mx_error_t *mx_client_claim_keys(mx_reply_t *reply, mx_req_t *req)
{
    mx_json_writer_t *w = mx_jw_create(req->pool);
    const mx_error_t *err = check_timeout(req);

    if (!err) err = mx_user_key_claim(w, req->server, mx_json_get(req->body, "one_time_keys"), req->pool);
    if (!err) mx_reply_writer(reply, w);
    return err;
}

static const mx_error_t *read_token(apr_int64_t *pposition, mx_req_t *req, const char *name)
{
    const char *token = mx_param_query(req, name);

    if (!token || !*token) return mx_error_make(req->pool, MX_E_MISSING_PARAM, "%s is missing.", name);
    return mx_sync_token_parse(pposition, req->server, token, req->pool);
}

const mx_error_t *mx_client_get_keys_changes(mx_reply_t *reply, mx_req_t *req)
{
    apr_int64_t from = 0, to = 0;
    mx_json_writer_t *w = mx_jw_create(req->pool);
    const mx_error_t *err = read_token(&from, req, "from");

    if (!err) err = read_token(&to, req, "to");
    if (!err) err = mx_sync_device_lists_between(w, req->server, req->who, from, to, req->pool);
    if (!err) mx_reply_writer(reply, w);
    return err;
}
