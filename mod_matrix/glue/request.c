/* SPDX-License-Identifier: Apache-2.0 */
/* From request_rec to mx_req_t: claiming, routing, credentials, body; then the handler, then the answer. */
#include "glue/child.h"

#include "glue/database.h"
#include "glue/park.h"
#include "sync/sync.h"

#include <apr_buckets.h>

#define READ_CHUNK_BYTES 65536

/* ---- hooks ---- */

/** Keeps access tokens out of the access log, the scoreboard and whatever else reads request_rec. */
static void redact(request_rec *r)
{
    const char *mark = r->the_request ? strchr(r->the_request, '?') : NULL;
    char *text;
    if (!r->args || !mx_target_has_token(mx_slice_str(r->args)))
        return;
    if (mark && (text = mx_target_redact(r->the_request, (apr_size_t)(mark + 1 - r->the_request), r->pool)))
        r->the_request = text;
    mark = r->unparsed_uri ? strchr(r->unparsed_uri, '?') : NULL;
    if (mark && (text = mx_target_redact(r->unparsed_uri, (apr_size_t)(mark + 1 - r->unparsed_uri), r->pool)))
        r->unparsed_uri = text;
    if ((text = mx_target_redact(r->args, 0, r->pool)))
        r->args = r->parsed_uri.query = text;
}

/** The first hook of a request: claims it, so that all later ones see no token. */
int mx_request_post_read(request_rec *r)
{
    mx_home_t *home = mx_child_home(r->server);
    mx_slice_t path, query;
    mx_claim_t *claim;
    if (!home || r->main || !r->unparsed_uri)
        return DECLINED;
    mx_target_split(&path, &query, r->unparsed_uri);
    if (!mx_target_is_ours(path))
        return DECLINED;
    claim = apr_palloc(r->pool, sizeof(*claim));
    claim->home = home;
    claim->path = path;
    claim->query = query;
    ap_set_module_config(r->request_config, &matrix_module, claim);
    mx_errors_claim(r, mx_child_conf()->error_texts);
    redact(r);
    return DECLINED;
}

/** What failed before post_read is logged, too. */
int mx_request_log(request_rec *r)
{
    if (!mx_glue_claim(r) && mx_child_home(r->server))
        redact(r);
    return DECLINED;
}

/** Before httpd looks at the path itself: what it would refuse as malformed, or see otherwise than we do. */
int mx_request_quick(request_rec *r, int lookup)
{
    const mx_claim_t *claim = mx_glue_claim(r);
    mx_turn_t *turn;
    if (lookup || !claim || mx_target_is_sound(claim->path))
        return DECLINED;
    mx_reply_cors(r->err_headers_out);
    turn = mx_child_turn_get();
    mx_reply_error(r, mx_error_make(turn->pool, MX_E_INVALID_PARAM, "The path has a broken escape or a segment \".\" or \"..\"."),
                   turn->pool);
    mx_child_turn_put(turn);
    return OK;
}

/** DONE: httpd neither unescapes the path nor refuses %2F in it. */
int mx_request_pre_translate(request_rec *r)
{
    return mx_glue_claim(r) ? DONE : DECLINED;
}

int mx_request_translate(request_rec *r)
{
    return mx_glue_claim(r) ? OK : DECLINED;
}

int mx_request_map_to_storage(request_rec *r)
{
    return mx_glue_claim(r) ? OK : DECLINED;
}

/* ---- reading ---- */

static const mx_error_t *too_large(const mx_req_t *req)
{
    return mx_error_make(req->pool, MX_E_TOO_LARGE, "The request body is larger than %" APR_INT64_T_FMT " bytes.",
                         req->server->settings->max_body);
}

static const mx_error_t *read_failed(request_rec *r, const mx_req_t *req, apr_status_t rv)
{
    int status = ap_map_http_request_error(rv, HTTP_BAD_REQUEST);
    if (status == HTTP_REQUEST_ENTITY_TOO_LARGE)
        return too_large(req);
    r->connection->keepalive = AP_CONN_CLOSE;    /* where the next request starts nobody knows */
    if (status == HTTP_REQUEST_TIME_OUT)
        return mx_error_make_status(req->pool, MX_E_UNKNOWN, status, "The request body did not arrive in time.");
    return mx_error_make_status(req->pool, MX_E_UNKNOWN, HTTP_BAD_REQUEST, "The request body could not be read.");
}

/** Appends the brigade's bytes; *peos is set at the end of the body. */
static apr_status_t take_brigade(mx_buf_t *body, int *peos, apr_bucket_brigade *bb)
{
    apr_bucket *b;
    for (b = APR_BRIGADE_FIRST(bb); b != APR_BRIGADE_SENTINEL(bb); b = APR_BUCKET_NEXT(b)) {
        const char *p;
        apr_size_t len;
        apr_status_t rv;
        if (APR_BUCKET_IS_EOS(b)) {
            *peos = 1;
            break;
        }
        if (APR_BUCKET_IS_METADATA(b))
            continue;
        rv = apr_bucket_read(b, &p, &len, APR_BLOCK_READ);
        if (rv)
            return rv;
        mx_buf_append(body, p, len);
    }
    return APR_SUCCESS;
}

static const mx_error_t *read_body(mx_buf_t **pbody, request_rec *r, mx_req_t *req)
{
    apr_size_t max = (apr_size_t)req->server->settings->max_body;
    apr_bucket_brigade *bb = apr_brigade_create(req->pool, r->connection->bucket_alloc);
    mx_buf_t *body = mx_buf_create(req->pool);
    const char *announced = apr_table_get(r->headers_in, "Content-Length");
    int eos = 0;
    apr_off_t length;
    if (announced && ap_parse_strict_length(&length, announced) && (apr_uint64_t)length > max)
        return too_large(req);
    while (!eos) {
        apr_status_t rv = ap_get_brigade(r->input_filters, bb, AP_MODE_READBYTES, APR_BLOCK_READ, READ_CHUNK_BYTES);
        if (!rv)
            rv = take_brigade(body, &eos, bb);
        apr_brigade_cleanup(bb);
        if (rv)
            return read_failed(r, req, rv);
        if (body->len > max)
            return too_large(req);
    }
    apr_brigade_destroy(bb);
    *pbody = body;
    return NULL;
}

static const mx_error_t *parse_body(mx_req_t *req, mx_buf_t *body, mx_body_e want)
{
    mx_json_limits_t limits = { .depth = req->server->settings->max_json_depth };
    const char *why = NULL;
    mx_json_fault_e fault;
    if (!body->len && want == MX_BODY_OBJECT_OR_EMPTY) {
        req->body = mx_json_new_object(req->pool);
        return NULL;
    }
    if (!body->len)
        return mx_error_make(req->pool, MX_E_NOT_JSON, "The request needs a JSON body.");
    fault = mx_json_parse(&req->body, &why, body->p, body->len, &limits, req->pool);
    if (fault == MX_JSON_DUPLICATE || fault == MX_JSON_DEEP)
        return mx_error_make(req->pool, MX_E_BAD_JSON, "%s", why);
    if (fault != MX_JSON_OK)
        return mx_error_make(req->pool, MX_E_NOT_JSON, "%s", why);
    if (want != MX_BODY_ANY && !mx_json_is(req->body, MX_JSON_OBJECT))
        return mx_error_make(req->pool, MX_E_BAD_JSON, "The request body must be a JSON object.");
    return NULL;
}

static const mx_error_t *get_body(request_rec *r, mx_req_t *req, mx_body_e want)
{
    mx_buf_t *body = NULL;
    const mx_error_t *err;
    if (want == MX_BODY_NONE)
        return NULL;
    err = read_body(&body, r, req);
    return err ? err : parse_body(req, body, want);
}

/** Path and query, decoded. */
static const mx_error_t *get_params(mx_req_t *req, const mx_claim_t *claim, const mx_match_t *match)
{
    apr_table_t *path = apr_table_make(req->pool, match->nparams), *query = NULL;
    mx_slice_t bad;
    int i;
    for (i = 0; i < match->nparams; i++) {
        char *value = mx_target_decode(match->params[i].raw, MX_DECODE_PATH, req->pool);
        if (!value)
            return mx_error_make(req->pool, MX_E_INVALID_PARAM, "%s in the path is not percent-encoded UTF-8.", match->params[i].name);
        apr_table_addn(path, match->params[i].name, value);
    }
    if (mx_target_query(&query, &bad, claim->query, req->pool))
        return mx_error_make(req->pool, MX_E_INVALID_PARAM, "A query parameter is not percent-encoded UTF-8.");
    req->path_params = path;
    req->query = query;
    return NULL;
}

/* ---- one request ---- */

static void fill(mx_req_t *req, request_rec *r, const mx_claim_t *claim, apr_pool_t *turn)
{
    memset(req, 0, sizeof(*req));
    req->server = &claim->home->server;
    req->pool = turn;
    req->keep = r->pool;
    req->method = r->method;
    req->path = mx_slice_dup(claim->path, turn);
    req->remote_ip = r->useragent_ip;
    req->user_agent = apr_table_get(r->headers_in, "User-Agent");
    req->now = apr_time_now();
}

/** RFC 9110, 15.5.6: an answer 405 lists what the target takes. */
static const char *allowed_methods(const mx_req_t *req, const mx_claim_t *claim)
{
    static const char *const methods[] = { "GET", "POST", "PUT", "DELETE" };
    const char *list = "OPTIONS";
    mx_match_t match;
    apr_size_t i;
    for (i = 0; i < sizeof(methods) / sizeof(methods[0]); i++)
        if (mx_router_match(&match, mx_child_conf()->router, methods[i], claim->path) == MX_ROUTE_FOUND)
            list = apr_pstrcat(req->pool, list, ", ", methods[i], i ? "" : ", HEAD", NULL);
    return list;
}

static const mx_error_t *find_route(mx_match_t *match, const mx_req_t *req, request_rec *r, const mx_claim_t *claim)
{
    switch (mx_router_match(match, mx_child_conf()->router, req->method, claim->path)) {
    case MX_ROUTE_FOUND:
        return NULL;
    case MX_ROUTE_WRONG_METHOD:
        apr_table_setn(r->headers_out, "Allow", apr_pstrdup(r->pool, allowed_methods(req, claim)));
        return mx_error_make_status(req->pool, MX_E_UNRECOGNIZED, HTTP_METHOD_NOT_ALLOWED, "This endpoint does not know the method %s.",
                                    req->method);
    default:
        return mx_error_make(req->pool, MX_E_UNRECOGNIZED, "There is no such endpoint.");
    }
}

/** Everything that stands between a request and its handler. */
static const mx_error_t *prepare(mx_req_t *req, mx_match_t *match, request_rec *r, const mx_claim_t *claim)
{
    const mx_error_t *err = find_route(match, req, r, claim);
    if (!err)
        err = get_params(req, claim, match);
    if (!err && (claim->home->broken || !mx_database_ready(claim->home, req->pool)))
        err = mx_error_make_status(req->pool, MX_E_UNKNOWN, HTTP_SERVICE_UNAVAILABLE, "This homeserver is not ready: try again soon.");
    if (!err)
        err = mx_credentials_check(&req->who, r, req, match->route->cred);
    if (!err)
        err = mx_credentials_rate(req, match->route->rate);
    return err ? err : get_body(r, req, match->route->body);
}

static int serve(request_rec *r, mx_claim_t *claim, mx_turn_t *turn)
{
    mx_req_t req;
    mx_match_t match;
    mx_reply_t reply = { 0 };
    const mx_error_t *err;
    int rc;
    fill(&req, r, claim, turn->pool);
    err = prepare(&req, &match, r, claim);
    if (!err)
        err = match.route->handler(&reply, &req);
    if (!err && req.who && match.route->rate == MX_RATE_SEND)
        mx_sync_presence_active(req.server, req.who);
    if (!err && reply.wait)
        return mx_park(r, claim->home, reply.wait, turn);
    rc = err ? mx_reply_error(r, err, turn->pool) : mx_reply_send(r, &reply, turn->pool);
    mx_child_turn_put(turn);
    return rc;
}

int mx_request_handler(request_rec *r)
{
    mx_claim_t *claim = mx_glue_claim(r);
    mx_turn_t *turn;
    int rc;
    if (!claim)
        return DECLINED;
    mx_reply_cors(r->err_headers_out);
    turn = mx_child_turn_get();
    if (r->method_number != M_OPTIONS)
        return serve(r, claim, turn);
    rc = mx_reply_options(r, turn->pool);
    mx_child_turn_put(turn);
    return rc;
}
