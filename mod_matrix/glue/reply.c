/* SPDX-License-Identifier: Apache-2.0 */
/* The only writer of responses. */
#include "glue/glue.h"

#include <apr_buckets.h>
#include <stdlib.h>

#define COPY_MAX_BYTES 8000          /* up to here copying into a bucket is cheaper than handing memory over */

/* CS-API: web browser clients. */
void mx_reply_cors(apr_table_t *headers)
{
    apr_table_setn(headers, "Access-Control-Allow-Origin", "*");
    apr_table_setn(headers, "Access-Control-Allow-Methods", "GET, POST, PUT, DELETE, OPTIONS");
    apr_table_setn(headers, "Access-Control-Allow-Headers", "X-Requested-With, Content-Type, Authorization");
}

static int copy_header(void *data, const char *key, const char *value)
{
    request_rec *r = data;
    apr_table_set(r->headers_out, key, value);
    return 1;
}

static void set_headers(request_rec *r, const mx_reply_t *reply)
{
    r->status = reply->status ? reply->status : HTTP_OK;
    ap_set_content_type(r, reply->content_type ? apr_pstrdup(r->pool, reply->content_type) : "application/json");
    apr_table_setn(r->headers_out, "Cache-Control", "no-store");
    if (reply->headers)
        apr_table_do(copy_header, r, reply->headers, NULL);
}

/** The bytes in memory that does not depend on the turn's pool: copied if few, else taken out of the buffer. */
static apr_bucket *make_bucket(mx_buf_t *buf, apr_bucket_alloc_t *alloc)
{
    apr_size_t len;
    char *p;
    if (buf->len <= COPY_MAX_BYTES)
        return apr_bucket_heap_create(buf->p, buf->len, NULL, alloc);
    p = mx_buf_detach(buf, &len);
    return apr_bucket_heap_create(p, len, free, alloc);
}

/** Once, here: what an operator must see as error, what a client did wrong only for those who debug. */
static void log_error(request_rec *r, const mx_error_t *err)
{
    int level = err->status >= 500 ? APLOG_ERR : APLOG_DEBUG;
    const mx_error_t *e;
    if (!APLOG_R_IS_LEVEL(r, level))
        return;
    for (e = err; e; e = e->prev)
        ap_log_rerror(APLOG_MARK, level, e->rv, r, "MX0510: %s %s: %d %s: %s%s%s", r->method, r->uri, e->status, mx_errcode_wire(e->code),
                      e->message ? e->message : "", e->detail ? ": " : "", e->detail ? e->detail : "");
}

/**
 * What cannot be gone on with must not look finished: the error bucket keeps HTTP/1.1 from writing its last chunk, and resets an HTTP/2
 * stream.
 */
static void break_off(request_rec *r, apr_bucket_brigade *bb, const mx_error_t *err)
{
    apr_bucket_alloc_t *alloc = r->connection->bucket_alloc;
    log_error(r, err);
    r->connection->keepalive = AP_CONN_CLOSE;
    APR_BRIGADE_INSERT_TAIL(bb, ap_bucket_error_create(HTTP_BAD_GATEWAY, NULL, r->pool, alloc));
}

/** A chunk after the other: the next one is made when the client has taken nearly all of the last. */
static int pass_while_made(request_rec *r, mx_buf_t *buf, const mx_reply_more_t *more)
{
    apr_bucket_alloc_t *alloc = r->connection->bucket_alloc;
    apr_bucket_brigade *bb = apr_brigade_create(r->pool, alloc);
    const mx_error_t *err = NULL;
    apr_status_t rv = APR_SUCCESS;
    int done = r->header_only;
    while (!rv && !r->eos_sent && !r->connection->aborted) {
        if (buf->len)
            APR_BRIGADE_INSERT_TAIL(bb, make_bucket(buf, alloc));
        if (err)
            break_off(r, bb, err);
        if (done)
            APR_BRIGADE_INSERT_TAIL(bb, apr_bucket_eos_create(alloc));
        rv = ap_pass_brigade(r->output_filters, bb);
        apr_brigade_cleanup(bb);
        if (done)
            break;
        err = more->next(&done, more->baton);
        if (err) {
            mx_buf_clear(buf);
            done = 1;
        }
    }
    return OK;
}

static int pass(request_rec *r, mx_buf_t *buf)
{
    apr_bucket_alloc_t *alloc = r->connection->bucket_alloc;
    apr_bucket_brigade *bb;
    if (r->eos_sent)
        return OK;                   /* httpd's own filter refused the body and has answered */
    bb = apr_brigade_create(r->pool, alloc);
    ap_set_content_length(r, (apr_off_t)buf->len);
    if (buf->len)
        APR_BRIGADE_INSERT_TAIL(bb, make_bucket(buf, alloc));
    APR_BRIGADE_INSERT_TAIL(bb, apr_bucket_eos_create(alloc));
    ap_pass_brigade(r->output_filters, bb);
    return OK;                       /* a client that went away is no error of ours */
}

/** The reply's bytes; those of a JSON tree are written into `buf`. */
static mx_buf_t *reply_bytes(mx_buf_t *buf, const mx_reply_t *reply)
{
    if (reply->raw)
        return reply->raw;
    if (reply->json)
        mx_json_write(buf, reply->json);
    else
        mx_buf_append(buf, "{}", 2);
    return buf;
}

int mx_reply_send(request_rec *r, mx_reply_t *reply, apr_pool_t *pool)
{
    set_headers(r, reply);
    if (reply->more)
        return pass_while_made(r, reply->raw, reply->more);
    return pass(r, reply_bytes(mx_buf_create(pool), reply));
}

/** CS-API: standard error response. */
static void write_error(mx_json_writer_t *w, const mx_error_t *err)
{
    const char *key;
    mx_json_t *value;
    void *it = NULL;
    mx_jw_object(w);
    if (!err->omit_errcode) {
        mx_jw_key_str(w, "errcode", mx_errcode_wire(err->code));
        mx_jw_key_str(w, "error", err->message ? err->message : "");
    }
    while (err->extra && mx_json_next(err->extra, &it, &key, &value))
        mx_jw_key_json(w, key, value);
    mx_jw_end_object(w);
}

/** Retry-After in whole seconds wherever coming back later helps. */
static void set_retry_after(request_rec *r, const mx_error_t *err)
{
    apr_int64_t ms = mx_json_get_int(err->extra, "retry_after_ms", err->status == HTTP_SERVICE_UNAVAILABLE ? 1000 : 0);
    if (ms > 0)
        apr_table_setn(r->err_headers_out, "Retry-After", apr_psprintf(r->pool, "%" APR_INT64_T_FMT, (ms + 999) / 1000));
}

int mx_reply_error(request_rec *r, const mx_error_t *err, apr_pool_t *pool)
{
    mx_reply_t reply = { .status = err->status };
    mx_json_writer_t *w = mx_jw_create(pool);
    log_error(r, err);
    set_retry_after(r, err);
    write_error(w, err);
    mx_reply_writer(&reply, w);
    return mx_reply_send(r, &reply, pool);
}

int mx_reply_options(request_rec *r, apr_pool_t *pool)
{
    mx_reply_t reply = { .status = HTTP_OK };
    apr_table_setn(r->headers_out, "Access-Control-Max-Age", "86400");
    return mx_reply_send(r, &reply, pool);
}
