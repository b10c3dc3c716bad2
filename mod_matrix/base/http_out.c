/* SPDX-License-Identifier: Apache-2.0 */
/* Outgoing HTTP: libcurl's multi interface, one easy handle a request. */
#include "base/http_out.h"

#include "base/buf.h"

#include <apr_time.h>
#include <curl/curl.h>
#include <netinet/in.h>
#include <unistd.h>

#define CONNECT_SHARE 2              /* of the time, names and connection may take one part of so many */
#define KEPT_CONNECTIONS 32          /* idle ones, kept for the next request */

typedef struct request_t {
    struct request_t *next;          /* all that are open */
    mx_http_out_t *out;
    CURL *easy;
    struct curl_slist *headers;
    mx_buf_t *answer;
    const char *fault;
    mx_http_out_done_fn *done;
    void *baton;
    apr_pool_t *pool;
} request_t;

struct mx_http_out_t {
    CURLM *multi;
    mx_http_out_limits_t limits;
    request_t *open;
    int n;
    apr_pool_t *pool;
};

void mx_http_out_init(void)
{
    curl_global_init(CURL_GLOBAL_DEFAULT);
}

/* ---- addresses ---- */

typedef struct net_t {
    apr_uint32_t address;
    int bits;
} net_t;

/* RFC 6890: special-purpose IPv4 addresses, and multicast. */
static const net_t private_nets[] = {
    { 0x00000000, 8 }, { 0x0a000000, 8 }, { 0x64400000, 10 }, { 0x7f000000, 8 }, { 0xa9fe0000, 16 }, { 0xac100000, 12 },
    { 0xc0000000, 24 }, { 0xc0000200, 24 }, { 0xc0586300, 24 }, { 0xc0a80000, 16 }, { 0xc6120000, 15 }, { 0xc6336400, 24 },
    { 0xcb007100, 24 }, { 0xe0000000, 3 },
};

static int is_private_v4(apr_uint32_t address)
{
    apr_size_t i;
    for (i = 0; i < sizeof(private_nets) / sizeof(private_nets[0]); i++) {
        if ((address ^ private_nets[i].address) >> (32 - private_nets[i].bits) == 0)
            return 1;
    }
    return 0;
}

static apr_uint32_t word_of(const unsigned char *p)
{
    return (apr_uint32_t)p[0] << 24 | (apr_uint32_t)p[1] << 16 | (apr_uint32_t)p[2] << 8 | p[3];
}

/** Only 2000::/3 is given out; in it stand documentation, and 6to4 and Teredo, which lead to IPv4 addresses. */
static int is_private_v6(const unsigned char a[16])
{
    static const unsigned char mapped[12] = { [10] = 0xff, [11] = 0xff }, nat64[12] = { 0x00, 0x64, 0xff, 0x9b };
    if (memcmp(a, mapped, sizeof(mapped)) == 0 || memcmp(a, nat64, sizeof(nat64)) == 0)
        return is_private_v4(word_of(a + 12));
    if (a[0] == 0x20 && a[1] == 0x02)
        return is_private_v4(word_of(a + 2));
    return (a[0] & 0xe0) != 0x20 || word_of(a) == 0x20010db8 || word_of(a) == 0x20010000;
}

int mx_http_out_is_private(const struct sockaddr *address)
{
    if (address->sa_family == AF_INET)
        return is_private_v4(ntohl(((const struct sockaddr_in *)(const void *)address)->sin_addr.s_addr));
    if (address->sa_family == AF_INET6)
        return is_private_v6(((const struct sockaddr_in6 *)(const void *)address)->sin6_addr.s6_addr);
    return 1;
}

/** libcurl asks for a socket with the address in hand that it is going to connect to: nothing can be resolved anew after that. */
static curl_socket_t open_socket(void *baton, curlsocktype purpose, struct curl_sockaddr *address)
{
    request_t *request = baton;
    if (purpose != CURLSOCKTYPE_IPCXN || (!request->out->limits.allow_private && mx_http_out_is_private(&address->addr))) {
        request->fault = "its address is of a private network";
        return CURL_SOCKET_BAD;
    }
    request->fault = NULL;
    return socket(address->family, address->socktype | SOCK_CLOEXEC, address->protocol);
}

/* ---- URLs ---- */

const char *mx_http_out_host(int *psecure, const char **ppath, const char *url, apr_pool_t *pool)
{
    CURLU *parts = curl_url();
    char *scheme = NULL, *host = NULL, *port = NULL, *path = NULL, *user = NULL, *fragment = NULL;
    const char *out = NULL;
    if (parts && !curl_url_set(parts, CURLUPART_URL, url, CURLU_DISALLOW_USER) && !curl_url_get(parts, CURLUPART_SCHEME, &scheme, 0)
        && !curl_url_get(parts, CURLUPART_HOST, &host, 0) && !curl_url_get(parts, CURLUPART_PORT, &port, CURLU_DEFAULT_PORT)
        && !curl_url_get(parts, CURLUPART_PATH, &path, 0) && curl_url_get(parts, CURLUPART_FRAGMENT, &fragment, 0)
        && *host && (mx_str_eq(scheme, "https") || mx_str_eq(scheme, "http"))) {
        char *at = apr_psprintf(pool, "%s:%s", host, port);
        *psecure = mx_str_eq(scheme, "https");
        *ppath = apr_pstrdup(pool, path);
        for (out = at; *at; at++)
            *at = *at >= 'A' && *at <= 'Z' ? (char)(*at + 'a' - 'A') : *at;
    }
    curl_free(scheme);
    curl_free(host);
    curl_free(port);
    curl_free(path);
    curl_free(user);
    curl_free(fragment);
    curl_url_cleanup(parts);
    return out;
}

/* ---- requests ---- */

static size_t take(char *p, size_t size, size_t n, void *baton)
{
    request_t *request = baton;
    if (request->answer->len + size * n > request->out->limits.max_answer_bytes) {
        request->fault = "its answer is too long";
        return 0;
    }
    mx_buf_append(request->answer, p, size * n);
    return size * n;
}

/** No longer one of the open ones. */
static void take_out(request_t *request)
{
    request_t **at;
    for (at = &request->out->open; *at && *at != request; at = &(*at)->next)
        ;
    if (!*at)
        return;
    *at = request->next;
    request->out->n--;
}

static apr_status_t request_end(void *data)
{
    request_t *request = data;
    take_out(request);
    if (request->easy)
        curl_multi_remove_handle(request->out->multi, request->easy);
    curl_easy_cleanup(request->easy);
    curl_slist_free_all(request->headers);
    return APR_SUCCESS;
}

static request_t *request_create(mx_http_out_t *out)
{
    apr_pool_t *pool;
    request_t *request;
    apr_pool_create(&pool, out->pool);
    apr_pool_tag(pool, "mx_http_out_request");
    request = apr_pcalloc(pool, sizeof(*request));
    request->pool = pool;
    request->out = out;
    request->easy = curl_easy_init();
    request->answer = mx_buf_create(pool);
    request->next = out->open;
    out->open = request;
    out->n++;
    apr_pool_cleanup_register(pool, request, request_end, apr_pool_cleanup_null);
    return request;
}

#define SET(option, value) (good = good && curl_easy_setopt(request->easy, option, value) == CURLE_OK)

static int set_limits(request_t *request)
{
    const mx_http_out_limits_t *limits = &request->out->limits;
    int good = request->easy != NULL;
    SET(CURLOPT_PROTOCOLS_STR, "http,https");
    SET(CURLOPT_FOLLOWLOCATION, 0L);
    SET(CURLOPT_PROXY, "");
    SET(CURLOPT_NETRC, (long)CURL_NETRC_IGNORED);
    SET(CURLOPT_NOSIGNAL, 1L);
    SET(CURLOPT_USERAGENT, limits->user_agent);
    SET(CURLOPT_TIMEOUT_MS, (long)limits->timeout_ms);
    SET(CURLOPT_CONNECTTIMEOUT_MS, (long)limits->timeout_ms / CONNECT_SHARE + 1);
    SET(CURLOPT_OPENSOCKETFUNCTION, open_socket);
    SET(CURLOPT_OPENSOCKETDATA, request);
    SET(CURLOPT_WRITEFUNCTION, take);
    SET(CURLOPT_WRITEDATA, request);
    SET(CURLOPT_PRIVATE, request);
    return good;
}

static int set_post(request_t *request, const char *url, mx_slice_t json)
{
    int good = 1;
    request->headers = curl_slist_append(NULL, "Content-Type: application/json");
    good = request->headers != NULL;
    SET(CURLOPT_URL, url);
    SET(CURLOPT_HTTPHEADER, request->headers);
    SET(CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)json.len);
    SET(CURLOPT_COPYPOSTFIELDS, json.p);
    return good;
}

apr_status_t mx_http_out_post(mx_http_out_t *out, const char *url, mx_slice_t json, mx_http_out_done_fn *done, void *baton)
{
    request_t *request;
    const char *path;
    int secure;
    if (out->n >= out->limits.max_open)
        return APR_EAGAIN;
    request = request_create(out);
    if (!mx_http_out_host(&secure, &path, url, request->pool)) {
        apr_pool_destroy(request->pool);
        return APR_EINVAL;
    }
    request->done = done;
    request->baton = baton;
    if (!set_limits(request) || !set_post(request, url, json) || curl_multi_add_handle(out->multi, request->easy) != CURLM_OK) {
        apr_pool_destroy(request->pool);
        return APR_ENOMEM;
    }
    return APR_SUCCESS;
}

int mx_http_out_count(const mx_http_out_t *out)
{
    return out->n;
}

/** Libcurl's own words name no URL. */
static void finish(request_t *request, CURLcode code)
{
    mx_http_out_answer_t answer = { .status = 0 };
    long status = 0;
    if (code == CURLE_OK && curl_easy_getinfo(request->easy, CURLINFO_RESPONSE_CODE, &status) == CURLE_OK && status) {
        answer.status = (int)status;
        answer.body = mx_buf_slice(request->answer);
    } else {
        answer.fault = request->fault ? request->fault : curl_easy_strerror(code);
    }
    take_out(request);
    request->done(request->baton, &answer);
    apr_pool_destroy(request->pool);
}

apr_status_t mx_http_out_run(mx_http_out_t *out, int wait_ms)
{
    CURLMsg *message;
    int running, left;
    if (curl_multi_perform(out->multi, &running) != CURLM_OK || curl_multi_poll(out->multi, NULL, 0, wait_ms, NULL) != CURLM_OK
        || curl_multi_perform(out->multi, &running) != CURLM_OK)
        return APR_EGENERAL;
    while ((message = curl_multi_info_read(out->multi, &left))) {
        request_t *request = NULL;
        CURLcode code = message->data.result;
        if (message->msg == CURLMSG_DONE && curl_easy_getinfo(message->easy_handle, CURLINFO_PRIVATE, (char **)&request) == CURLE_OK)
            finish(request, code);
    }
    return APR_SUCCESS;
}

/* ---- the whole ---- */

static apr_status_t end(void *data)
{
    mx_http_out_t *out = data;
    while (out->open)
        apr_pool_destroy(out->open->pool);
    curl_multi_cleanup(out->multi);
    return APR_SUCCESS;
}

apr_status_t mx_http_out_create(mx_http_out_t **pout, const mx_http_out_limits_t *limits, apr_pool_t *pool)
{
    mx_http_out_t *out = apr_pcalloc(pool, sizeof(*out));
    out->limits = *limits;
    out->pool = pool;
    out->multi = curl_multi_init();
    if (!out->multi)
        return APR_ENOMEM;
    curl_multi_setopt(out->multi, CURLMOPT_MAXCONNECTS, (long)KEPT_CONNECTIONS);
    /* before the pool's children, in which the requests are */
    apr_pool_pre_cleanup_register(pool, out, end);
    *pout = out;
    return APR_SUCCESS;
}
