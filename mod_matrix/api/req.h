/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A request as an endpoint sees it: who asks, what for, with what. Made by glue/request.c (or by a unit test), without
 * httpd. Method, credentials, rate and body size were settled by the route's row.
 */
#ifndef MX_API_REQ_H
#define MX_API_REQ_H

#include "base/json_writer.h"
#include <apr_tables.h>
#include "server/server.h"
#include "server/who.h"

/** What a route asks of the caller. */
typedef enum {
    MX_CRED_NONE,        /* no token looked at */
    MX_CRED_OPTIONAL,    /* a token is used if there is one; a bad one is refused */
    MX_CRED_USER,        /* a user's token; guests refused (M_GUEST_ACCESS_FORBIDDEN) */
    MX_CRED_GUEST        /* a user's or a guest's token */
} mx_cred_e;

/** Rate classes; limits per class in api/rate_classes.def. */
typedef enum { MX_RATE_NONE, MX_RATE_LOGIN, MX_RATE_REGISTER, MX_RATE_SEND, MX_RATE_JOIN, MX_RATE_INVITE, MX_RATE_OTHER } mx_rate_class_e;

/** What a route expects as body. */
typedef enum {
    MX_BODY_NONE,        /* ignored */
    MX_BODY_OBJECT,      /* a JSON object; an empty body is M_NOT_JSON */
    MX_BODY_OBJECT_OR_EMPTY, /* a JSON object, or nothing at all (= {}) */
    MX_BODY_ANY          /* any JSON value */
} mx_body_e;

typedef struct mx_req_t {
    mx_server_t *server;
    apr_pool_t *pool;                /* of this turn: gone when the handler has returned and its answer is on its way, or it waits */
    apr_pool_t *keep;                /* of the request: for mx_wait_t and the little it needs between turns, nothing else */
    const char *method;
    const char *path;                /* raw, without the query: for UIA and txn scopes */
    mx_who_t *who;                   /* NULL: no token */
    const apr_table_t *path_params;  /* decoded, by the name in the row's path */
    const apr_table_t *query;        /* decoded; repeated names stand several times */
    mx_json_t *body;                 /* NULL with MX_BODY_NONE; {} for an empty one where allowed */
    const char *remote_ip, *user_agent;
    apr_time_t now;
} mx_req_t;

/* ---- the answer ---- */

typedef enum { MX_WAKE_NEWS, MX_WAKE_DEADLINE, MX_WAKE_STOPPING } mx_wake_e;
struct mx_wait_t;

/** An answer that is made while it is sent: raw is its beginning. */
typedef struct mx_reply_more_t {
    /** Empties raw and puts what comes next into it; *pdone: that was the end. An error ends the connection, and there is no next call. */
    const mx_error_t *(*next)(int *pdone, void *baton);
    void *baton;
} mx_reply_more_t;

typedef struct mx_reply_t {
    int status;                      /* 200 unless set */
    mx_json_t *json;                 /* one of these two; neither: {} */
    mx_buf_t *raw;                   /* finished bytes */
    const mx_reply_more_t *more;     /* NULL: raw is all. It lives in the pool of the turn */
    const char *content_type;        /* NULL: application/json */
    apr_table_t *headers;            /* NULL: none */
    struct mx_wait_t *wait;          /* set: do not answer yet, wait (glue/park.c) */
} mx_reply_t;

/**
 * A waiting poll. The handler allocates it from req->keep (thousands of them wait: keep it small), fills it and sets
 * reply->wait; everything in req->pool is gone then. glue/park.c owns the turns:
 *  arm()    registers for wake-ups: afterwards wake(wake_baton) may be called from any thread, any number of times;
 *           called again after each turn that goes on waiting. If there already is news, arm() calls wake at once.
 *  disarm() no wake() runs or comes after it returned. Called before each resume() and when the client hung up.
 *  resume() a turn on a worker thread, with a pool of its own: fills the reply, or sets *pagain = 1 to wait on.
 */
typedef void mx_wake_fn(void *wake_baton);
typedef struct mx_wait_t {
    mx_server_t *server;
    apr_time_t deadline;
    void (*arm)(struct mx_wait_t *wait, mx_wake_fn *wake, void *wake_baton);
    void (*disarm)(struct mx_wait_t *wait);
    const mx_error_t *(*resume)(mx_reply_t *reply, int *pagain, struct mx_wait_t *wait, mx_wake_e why, apr_pool_t *pool);
    void *baton;
} mx_wait_t;

/** Every endpoint. */
typedef const mx_error_t *mx_handler_fn(mx_reply_t *reply, mx_req_t *req);

static inline void mx_reply_json(mx_reply_t *reply, mx_json_t *json) { reply->json = json; }
static inline void mx_reply_writer(mx_reply_t *reply, mx_json_writer_t *w) { reply->raw = w->buf; }

/* ---- typed reading (api/param.c); each error names the parameter ---- */

/** A path parameter that must fit its grammar: M_INVALID_PARAM. */
const mx_error_t *mx_param_room_id(const char **pout, mx_req_t *req, const char *name);
const mx_error_t *mx_param_event_id(const char **pout, mx_req_t *req, const char *name);
const mx_error_t *mx_param_user_id(const char **pout, mx_req_t *req, const char *name);
const mx_error_t *mx_param_alias(const char **pout, mx_req_t *req, const char *name);
/** A decoded path parameter as it is ("" if empty). */
const char *mx_param_path(mx_req_t *req, const char *name);
/** A query parameter or NULL. */
const char *mx_param_query(mx_req_t *req, const char *name);
/** Query integer within [min,max]: M_INVALID_PARAM. Absent: fallback. */
const mx_error_t *mx_param_query_int(apr_int64_t *pout, mx_req_t *req, const char *name, apr_int64_t fallback,
                                     apr_int64_t min, apr_int64_t max);
/** "true" or "false": M_INVALID_PARAM. */
const mx_error_t *mx_param_query_bool(int *pout, mx_req_t *req, const char *name, int fallback);
/** A page size: negative or not a number is M_INVALID_PARAM, more than max is cut to it. */
const mx_error_t *mx_param_limit(int *pout, mx_req_t *req, int fallback, int max);

/* Members of the body (or of any object): absent gives the fallback (for must_: M_MISSING_PARAM), a wrong type M_BAD_JSON. */
const mx_error_t *mx_param_body_str(const char **pout, mx_req_t *req, const mx_json_t *obj, const char *key, const char *fallback);
const mx_error_t *mx_param_must_str(const char **pout, mx_req_t *req, const mx_json_t *obj, const char *key);
const mx_error_t *mx_param_body_bool(int *pout, mx_req_t *req, const mx_json_t *obj, const char *key, int fallback);
const mx_error_t *mx_param_body_int(apr_int64_t *pout, mx_req_t *req, const mx_json_t *obj, const char *key, apr_int64_t fallback,
                                    apr_int64_t min, apr_int64_t max);
const mx_error_t *mx_param_body_object(mx_json_t **pout, mx_req_t *req, const mx_json_t *obj, const char *key);  /* absent: NULL */
const mx_error_t *mx_param_body_array(mx_json_t **pout, mx_req_t *req, const mx_json_t *obj, const char *key);   /* absent: NULL */

#endif
