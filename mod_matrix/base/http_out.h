/* SPDX-License-Identifier: Apache-2.0 */
/*
 * HTTP requests to other servers: many at once on one thread. base/http_out.c alone knows libcurl.
 *
 * Bounded: how many are open at a time, how long each may take, how much of an answer is read. Only http and https, no redirects, no
 * proxy of the environment. The address that is really connected to is looked at, after names were resolved: one of this host or of a
 * private network is refused unless that is allowed.
 * Threads: an mx_http_out_t belongs to one thread.
 */
#ifndef MX_BASE_HTTP_OUT_H
#define MX_BASE_HTTP_OUT_H

#include "base/str.h"

struct sockaddr;

typedef struct mx_http_out_t mx_http_out_t;

/** Limits, and what stands for us. Read when it is made. */
typedef struct mx_http_out_limits_t {
    int max_open;                    /* requests at a time */
    apr_int64_t timeout_ms;          /* for all of a request, names and connection included */
    apr_size_t max_answer_bytes;     /* a longer one is a fault */
    int allow_private;               /* connect to this host and to private networks */
    const char *user_agent;
} mx_http_out_limits_t;

/** What came back; lives as long as the call of `done`. */
typedef struct mx_http_out_answer_t {
    int status;                      /* of HTTP; 0: there is no answer, `fault` says why */
    mx_slice_t body;
    const char *fault;               /* for the log: a phrase without URL or content; NULL: none */
} mx_http_out_answer_t;
typedef void mx_http_out_done_fn(void *baton, const mx_http_out_answer_t *answer);

/** Once per process, before its threads. */
void mx_http_out_init(void);
/** In `pool`; what is open when that goes is dropped, and nobody is told. */
apr_status_t mx_http_out_create(mx_http_out_t **pout, const mx_http_out_limits_t *limits, apr_pool_t *pool);
/**
 * Begins to post JSON, of which a copy is kept; `done` is called by mx_http_out_run(). APR_EAGAIN: as many are open as may be. APR_EINVAL:
 * the URL is none.
 */
apr_status_t mx_http_out_post(mx_http_out_t *out, const char *url, mx_slice_t json, mx_http_out_done_fn *done, void *baton);
/** How many are open. */
int mx_http_out_count(const mx_http_out_t *out);
/** Sends and receives for up to `wait_ms`, or until something came in, and tells those that ended, whose `done` may post again. */
apr_status_t mx_http_out_run(mx_http_out_t *out, int wait_ms);

/** The lower-case "host:port" of an http or https URL without user and fragment, in `pool`, and its path; NULL if it is none. Pure. */
const char *mx_http_out_host(int *psecure, const char **ppath, const char *url, apr_pool_t *pool);
/** 1 for an address of this host, of a private network, or of no single host; and for what is neither IPv4 nor IPv6. Pure. */
int mx_http_out_is_private(const struct sockaddr *address);

#endif
