/* SPDX-License-Identifier: Apache-2.0 */
/*
 * From a raw request target to a row of routes.def. Knows neither httpd nor handlers: tests/fuzz/fuzz_router.c drives it
 * alone. Compiled once per configuration, then read-only; matching allocates nothing but decoded parameters.
 */
#ifndef MX_GLUE_ROUTER_H
#define MX_GLUE_ROUTER_H

#include "api/req.h"

#define MX_ROUTER_SEGMENTS_MAX 16
#define MX_ROUTER_PARAMS_MAX 6

typedef struct mx_route_t {
    const char *method;
    const char *path;                /* as in routes.def: "(r0|v3)" segments are alternatives, "{x}" takes one segment */
    mx_cred_e cred;
    mx_rate_class_e rate;
    mx_body_e body;
    mx_handler_fn *handler;
} mx_route_t;

typedef struct mx_router_t mx_router_t;

typedef enum { MX_ROUTE_FOUND, MX_ROUTE_UNKNOWN_PATH, MX_ROUTE_WRONG_METHOD } mx_route_result_e;

typedef struct mx_match_t {
    const mx_route_t *route;         /* with MX_ROUTE_FOUND */
    int nparams;
    struct {
        const char *name;
        mx_slice_t raw;              /* the segment as it stands in the target */
    } params[MX_ROUTER_PARAMS_MAX];
} mx_match_t;

/** The rows of routes.def (glue/routes.c). */
const mx_route_t *mx_routes(int *pn);

/** Compiles the rows, which must outlive it. NULL, *perr a sentence: two rows collide or a path is malformed. */
mx_router_t *mx_router_create(const char **perr, const mx_route_t *routes, int n, apr_pool_t *pool);
/** `path` is raw; HEAD is matched as GET. A static segment wins over a parameter. */
mx_route_result_e mx_router_match(mx_match_t *out, const mx_router_t *router, const char *method, mx_slice_t path);

/* ---- targets (glue/target.c) ---- */

/** Splits origin-form ("/p?q") and absolute-form ("https://host/p?q") targets. Anything else: an empty path. */
void mx_target_split(mx_slice_t *ppath, mx_slice_t *pquery, const char *target);
/** 1 if the path is one that a homeserver answers: /_matrix/, /.well-known/matrix/, /_synapse/admin/. */
int mx_target_is_ours(mx_slice_t path);
/**
 * 0 if an escape is broken, or if a segment stands for "." or "..", percent-encoded or not: httpd, which checks access by
 * its own view of the path, would see another path than we do.
 */
int mx_target_is_sound(mx_slice_t path);

typedef enum { MX_DECODE_PATH, MX_DECODE_QUERY /* '+' is a space */ } mx_decode_e;
/** Percent-decodes into `pool`; NULL for a broken escape, U+0000 or bytes that are not UTF-8. */
char *mx_target_decode(mx_slice_t raw, mx_decode_e form, apr_pool_t *pool);
/** Decoded pairs of a query in order; APR_EINVAL with the raw name in *pbad. NULL table entries never occur. */
apr_status_t mx_target_query(apr_table_t **pquery, mx_slice_t *pbad, mx_slice_t query, apr_pool_t *pool);
/** Writes at most raw.len bytes; returns their number, or -1 for a broken escape or a zero byte. */
apr_ssize_t mx_target_decode_to(char *out, mx_slice_t raw, mx_decode_e form);
/** 1 if the query has an access_token, however its name is escaped. */
int mx_target_has_token(mx_slice_t query);
/**
 * A copy of `text`, a request line or target whose query starts at `query_at`, with the value of each access_token
 * replaced by "redacted"; NULL if there is none.
 */
char *mx_target_redact(const char *text, apr_size_t query_at, apr_pool_t *pool);

#endif
