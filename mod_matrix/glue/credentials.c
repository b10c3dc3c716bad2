/* SPDX-License-Identifier: Apache-2.0 */
/* Who asks, and whether too often. CS-API: using access tokens; rate limiting. */
#include "glue/glue.h"

#include "user/user.h"

#include <strings.h>

#define BEARER "Bearer"

/** The token of the Authorization header (the scheme in any case), else of the query; NULL if neither has one. */
static const char *find_token(request_rec *r, mx_req_t *req)
{
    const char *header = apr_table_get(r->headers_in, "Authorization");
    const char *token = NULL;
    if (header && strncasecmp(header, BEARER, strlen(BEARER)) == 0 && header[strlen(BEARER)] == ' ') {
        token = header + strlen(BEARER);
        token += strspn(token, " ");
    }
    if (!token || !*token)
        token = mx_param_query(req, "access_token");
    return token && *token ? token : NULL;
}

const mx_error_t *mx_credentials_check(mx_who_t **pwho, request_rec *r, mx_req_t *req, mx_cred_e need)
{
    const char *token = need == MX_CRED_NONE ? NULL : find_token(r, req);
    const mx_error_t *err;
    mx_who_t *who = NULL;
    if (!token) {
        if (need == MX_CRED_USER || need == MX_CRED_GUEST)
            return mx_error_make(req->pool, MX_E_MISSING_TOKEN, "An access token is needed.");
        *pwho = NULL;
        return NULL;
    }
    err = mx_user_token_lookup(&who, req->server, token, req->remote_ip, req->pool);
    if (err)
        return err;
    if (who->guest && need == MX_CRED_USER)
        return mx_error_make(req->pool, MX_E_GUEST_ACCESS_FORBIDDEN, "Guests may not do this.");
    *pwho = who;
    return NULL;
}

/** Indexed by mx_rate_class_e. */
static const mx_rate_limit_t limits[] = {
#define MX_RATE_CLASS(class, per_second, burst) [MX_RATE_##class] = { per_second, burst },
#include "api/rate_classes.def"
#undef MX_RATE_CLASS
};

const mx_error_t *mx_credentials_rate(mx_req_t *req, mx_rate_class_e rate)
{
    const mx_rate_limit_t *limit = &limits[rate];
    mx_error_t *err;
    apr_int64_t wait_ms;
    const char *key;
    if (!req->server->settings->rate_limits || limit->per_second <= 0)
        return NULL;
    key = apr_psprintf(req->pool, "%d %s", (int)rate, req->who ? req->who->user_id : req->remote_ip);
    wait_ms = mx_rate_take_ms(req->server->rate, key, limit, req->now);
    if (!wait_ms)
        return NULL;
    err = mx_error_copy(req->pool, mx_error_make(req->pool, MX_E_LIMIT_EXCEEDED, "Too many requests: try again in %" APR_INT64_T_FMT " ms.",
                                                 wait_ms));
    err->extra = mx_json_new_object(req->pool);
    mx_json_set_int(err->extra, "retry_after_ms", wait_ms);
    return err;
}
