/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What httpd itself answers under our prefixes (404, 405, 413, time-outs, refusals of its access control, request lines it
 * cannot read) takes the Matrix form. CS-API: standard error response.
 */
#include "glue/child.h"

#include <apr_buckets.h>
#include <util_filter.h>

#define FILTER_NAME "MATRIX_ERROR"
#define STATUS_ROOM 64               /* httpd may be newer than its header that we were compiled with */

typedef struct form_t {
    int status;
    mx_errcode_e code;
    const char *message;
} form_t;

/** The last row of its hundred stands for all others of it. */
static const form_t forms[] = {
    { 401, MX_E_UNAUTHORIZED, "The web server asks for other credentials." },
    { 403, MX_E_FORBIDDEN, "The web server does not allow this." },
    { 404, MX_E_UNRECOGNIZED, "There is no such endpoint." },
    { 405, MX_E_UNRECOGNIZED, "The endpoint does not know this method." },
    { 408, MX_E_UNKNOWN, "The request did not arrive in time." },
    { 413, MX_E_TOO_LARGE, "The request body is too large." },
    { 414, MX_E_TOO_LARGE, "The request target is too long." },
    { 429, MX_E_LIMIT_EXCEEDED, "Too many requests." },
    { 431, MX_E_TOO_LARGE, "The request headers are too large." },
    { 400, MX_E_UNKNOWN, "The web server could not read the request." },
    { 501, MX_E_UNRECOGNIZED, "The web server does not know this method." },
    { 503, MX_E_UNKNOWN, "The server is too busy or not ready." },
    { 500, MX_E_UNKNOWN, "The server had an internal error." },
};

static const form_t *form_of(int status)
{
    apr_size_t i, last = sizeof(forms) / sizeof(forms[0]) - 1;
    for (i = 0; i < last; i++) {
        if (forms[i].status == status || (forms[i].status == 400 && status / 100 == 4))
            return &forms[i];
    }
    return &forms[last];
}

static apr_bucket *make_body(request_rec *r)
{
    const form_t *form = form_of(r->status);
    const char *body = apr_psprintf(r->pool, "{\"errcode\":\"%s\",\"error\":\"%s\"}", mx_errcode_wire(form->code), form->message);
    apr_size_t len = strlen(body);
    ap_set_content_type(r, "application/json");
    ap_set_content_length(r, (apr_off_t)len);
    return apr_bucket_heap_create(body, len, NULL, r->connection->bucket_alloc);
}

/** httpd swaps its header tables when it makes an error page, so ours are set here, late. */
static void finish_headers(request_rec *r)
{
    mx_reply_cors(r->headers_out);
    apr_table_unset(r->headers_out, "Content-Language");
    apr_table_setn(r->headers_out, "Cache-Control", "no-store");
}

static void drop_data(apr_bucket_brigade *bb)
{
    apr_bucket *b = APR_BRIGADE_FIRST(bb);
    while (b != APR_BRIGADE_SENTINEL(bb)) {
        apr_bucket *next = APR_BUCKET_NEXT(b);
        if (!APR_BUCKET_IS_METADATA(b))
            apr_bucket_delete(b);
        b = next;
    }
}

static int holds_eos(const apr_bucket_brigade *bb)
{
    apr_bucket *b;
    for (b = APR_BRIGADE_FIRST(bb); b != APR_BRIGADE_SENTINEL(bb); b = APR_BUCKET_NEXT(b)) {
        if (APR_BUCKET_IS_EOS(b))
            return 1;
    }
    return 0;
}

/** Drops httpd's page and, when it ends, puts ours in its place. */
static apr_status_t filter(ap_filter_t *f, apr_bucket_brigade *bb)
{
    drop_data(bb);
    if (!holds_eos(bb)) {
        apr_brigade_cleanup(bb);
        return APR_SUCCESS;
    }
    finish_headers(f->r);
    APR_BRIGADE_INSERT_HEAD(bb, make_body(f->r));
    ap_remove_output_filter(f);
    return ap_pass_brigade(f->next, bb);
}

/** By its claim, or, if it failed before there was one, by its target. */
static int is_ours(request_rec *r)
{
    mx_slice_t path, query;
    if (mx_glue_claim(r))
        return 1;
    if (!r->unparsed_uri || !mx_child_home(r->server))
        return 0;
    mx_target_split(&path, &query, r->unparsed_uri);
    return mx_target_is_ours(path);
}

void mx_errors_insert(request_rec *r)
{
    if (r->status >= 400 && is_ours(r))
        ap_add_output_filter(FILTER_NAME, NULL, r, r->connection);
}

char **mx_errors_texts(apr_pool_t *pconf)
{
    int i, n = RESPONSE_CODES + STATUS_ROOM;
    char **texts = apr_palloc(pconf, (apr_size_t)n * sizeof(*texts));
    for (i = 0; i < n; i++)
        texts[i] = apr_pstrdup(pconf, "\"");
    return texts;
}

/**
 * An ErrorDocument would redirect our errors to a page. A custom text of the request goes before it; ours is empty, the
 * filter above replaces it. The texts are one table for all requests, made with the configuration.
 */
void mx_errors_claim(request_rec *r, char **texts)
{
    core_request_config *core = ap_get_core_module_config(r->request_config);
    core->response_code_strings = texts;
}

void mx_errors_register(void)
{
    ap_register_output_filter(FILTER_NAME, filter, NULL, AP_FTYPE_RESOURCE);
}
