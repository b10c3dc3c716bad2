/* SPDX-License-Identifier: Apache-2.0 */
/* Sessions and flows of user-interactive authentication. */
#include "user/uia_private.h"

#define SESSION_CHARS 24
#define SESSION_MAX_BYTES 64 /* longer ones are none of ours */
#define HTTP_TRY_AGAIN 401
#define REQUEST_MAX_BYTES (32 * 1024) /* of a body that has to be remembered */

/* ---- opening ---- */

static mx_json_t *without_auth(const mx_json_t *body, apr_pool_t *pool)
{
    mx_json_t *copy = mx_json_copy(pool, body);

    mx_json_del(copy, "auth");
    return copy;
}

static const mx_error_t *seal_body(mx_slice_t *psealed, mx_uia_t *uia)
{
    mx_buf_t *text = mx_buf_create(uia->pool);

    mx_json_write(text, uia->body);
    if (text->len > REQUEST_MAX_BYTES)
        return mx_error_make(uia->pool, MX_E_TOO_LARGE,
                             "A request that must be authenticated may have at most %d bytes.", REQUEST_MAX_BYTES);
    *psealed = mx_seal(uia->server->user->seal_key, mx_buf_slice(text), uia->pool);
    return NULL;
}

/** NULL if it was sealed by somebody else, or under a signing key of before. */
static mx_json_t *unseal_body(mx_uia_t *uia, mx_slice_t sealed)
{
    mx_json_limits_t limits = { uia->server->settings->max_json_depth };
    mx_json_t *body = NULL;
    mx_slice_t plain;

    if (mx_unseal(&plain, uia->server->user->seal_key, sealed, uia->pool)) return NULL;
    mx_json_parse(&body, NULL, plain.p, plain.len, &limits, uia->pool);
    return body;
}

static const mx_error_t *other_request(const mx_uia_t *uia)
{
    return mx_error_make(uia->pool, MX_E_FORBIDDEN,
                         "The request is not the one that this authentication session was opened for.");
}

/** The session was opened for this body, or for none yet. */
static const mx_error_t *bind_body(mx_uia_t *uia, const mx_uia_row_t *row, mx_json_t *stored)
{
    mx_slice_t sealed;
    const mx_error_t *err;
    apr_status_t rv;

    if (!mx_json_len(uia->body)) {
        uia->body = stored;
        return NULL;
    }
    if (mx_json_equal(uia->body, stored)) return NULL;
    if (mx_json_len(stored) || row->nstages) return other_request(uia);
    if ((err = seal_body(&sealed, uia))) return err;
    rv = mx_store_uia_rebind(uia->server->store, row->session, sealed, uia->pool);
    if (rv == MX_STORE_NONE) return other_request(uia);
    return rv ? mx_server_store_error(rv, "storing an authentication session", uia->pool) : NULL;
}

static int is_foreign(const mx_uia_t *uia, const mx_uia_row_t *row)
{
    if (row->nstages > MX_UIA_STAGES_MAX) return 1;
    return uia->who && row->user_nid && row->user_nid != uia->who->user_nid;
}

static const mx_error_t *load_session(mx_uia_t *uia, const char *session)
{
    apr_int64_t expired_ts = apr_time_as_msec(uia->now) - uia->server->settings->uia_session_ms;
    mx_uia_row_t *row = NULL;
    mx_json_t *stored;
    apr_status_t rv = MX_STORE_NONE;

    if (*session && strlen(session) <= SESSION_MAX_BYTES)
        rv = mx_store_uia_load(&row, uia->server->store, session, expired_ts, uia->pool);
    if (rv && rv != MX_STORE_NONE) return mx_server_store_error(rv, "loading an authentication session", uia->pool);
    stored = rv || is_foreign(uia, row) ? NULL : unseal_body(uia, row->request);
    if (!stored) {
        uia->lost = 1;
        return NULL;
    }
    if (!mx_str_eq(row->operation, uia->operation)) return other_request(uia);
    uia->session = row->session;
    for (int i = 0; i < row->nstages; i++)
        uia->stages[i] = row->stages[i];
    uia->nstages = uia->nstored = row->nstages;
    if (!uia->user_nid) uia->user_nid = row->user_nid;
    return bind_body(uia, row, stored);
}

const mx_error_t *mx_user_uia_open(mx_uia_t **puia, mx_server_t *server, const mx_uia_call_t *call, apr_pool_t *pool)
{
    mx_uia_t *uia = apr_pcalloc(pool, sizeof(*uia));
    mx_json_t *session;
    const mx_error_t *err = NULL;

    uia->server = server;
    uia->pool = pool;
    uia->who = call->who;
    uia->user_nid = call->who ? call->who->user_nid : 0;
    uia->now = call->now;
    uia->operation = apr_pstrcat(pool, call->method, " ", call->path, NULL);
    uia->body = without_auth(call->body, pool);
    uia->auth = mx_json_get(call->body, "auth");
    if (uia->auth && !mx_json_is(uia->auth, MX_JSON_OBJECT))
        return mx_error_make(pool, MX_E_BAD_JSON, "auth must be an object.");
    session = mx_json_get(uia->auth, "session");
    if (session && !mx_json_is(session, MX_JSON_NULL)) {   /* the Rust SDK's null: none yet */
        if (!mx_json_str(session)) return mx_error_make(pool, MX_E_BAD_JSON, "auth.session must be a string.");
        err = load_session(uia, mx_json_str(session));
    }
    if (!err) *puia = uia;
    return err;
}

const mx_json_t *mx_user_uia_body(const mx_uia_t *uia)
{
    return uia->body;
}

apr_int64_t mx_user_uia_user_nid(const mx_uia_t *uia)
{
    return uia->user_nid;
}

apr_int64_t mx_user_uia_device_nid(const mx_uia_t *uia)
{
    return uia->who ? uia->who->device_nid : 0;
}

/* ---- flows ---- */

static int has_stage(const mx_uia_t *uia, const char *stage)
{
    for (int i = 0; i < uia->nstages; i++)
        if (mx_str_eq(uia->stages[i], stage)) return 1;
    return 0;
}

/** How many of the flow's first stages are completed; -1 if something else is completed too: this flow was not
 * followed. */
static int flow_progress(const mx_uia_t *uia, const mx_uia_flow_t *flow)
{
    int n = 0;

    while (flow->stages[n] && has_stage(uia, flow->stages[n]))
        n++;
    return n == uia->nstages ? n : -1;
}

static int is_complete(const mx_uia_t *uia, const mx_uia_flow_t *flows, int nflows)
{
    for (int i = 0; i < nflows; i++) {
        int n = flow_progress(uia, &flows[i]);
        if (n >= 0 && !flows[i].stages[n]) return 1;
    }
    return 0;
}

/** The stage of that type, if it is the next one of a flow; the string lives as long as the flows. */
static const char *next_stage(const mx_uia_t *uia, const mx_uia_flow_t *flows, int nflows, const char *type)
{
    for (int i = 0; i < nflows; i++) {
        int n = flow_progress(uia, &flows[i]);
        if (n >= 0 && mx_str_eq(flows[i].stages[n], type)) return flows[i].stages[n];
    }
    return NULL;
}

static mx_json_t *flows_json(const mx_uia_t *uia, const mx_uia_flow_t *flows, int nflows)
{
    mx_json_t *list = mx_json_new_array(uia->pool);

    for (int i = 0; i < nflows; i++) {
        mx_json_t *flow = mx_json_new_object(uia->pool), *stages = mx_json_new_array(uia->pool);
        for (int k = 0; flows[i].stages[k]; k++)
            mx_json_add_str(stages, flows[i].stages[k]);
        mx_json_set(flow, "stages", stages);
        mx_json_add(list, flow);
    }
    return list;
}

/* ---- the session ---- */

static const mx_error_t *session_ensure(mx_uia_t *uia)
{
    apr_int64_t now_ms = apr_time_as_msec(uia->now);
    mx_uia_row_t row = { .operation = uia->operation,
                         .user_nid = uia->who ? uia->who->user_nid : 0,
                         .created_ts = now_ms };
    const mx_error_t *err;
    apr_status_t rv;

    if (uia->session) return NULL;
    if ((err = seal_body(&row.request, uia))) return err;
    row.session = mx_random_string(mx_alphabet_alnum, SESSION_CHARS, uia->pool);
    rv = mx_store_uia_insert(uia->server->store, &row, now_ms - uia->server->settings->uia_session_ms, uia->pool);
    if (rv) return mx_server_store_error(rv, "storing an authentication session", uia->pool);
    uia->session = row.session;
    return NULL;
}

/** The session learns of the stages that were completed in this request. */
static const mx_error_t *session_save(mx_uia_t *uia)
{
    const mx_error_t *err = session_ensure(uia);

    for (; !err && uia->nstored < uia->nstages; uia->nstored++) {
        apr_status_t rv =
            mx_store_uia_pass(uia->server->store, uia->session, uia->stages[uia->nstored], uia->user_nid, uia->pool);
        if (rv)
            err = rv == MX_STORE_NONE ? mx_user_uia_used_up(uia->pool)
                                      : mx_server_store_error(rv, "noting a completed stage", uia->pool);
    }
    return err;
}

/** The 401. `why`: what went wrong with an attempt, or NULL. */
static const mx_error_t *challenge(mx_uia_t *uia, const mx_uia_flow_t *flows, int nflows, const mx_error_t *why)
{
    const mx_error_t *err = session_save(uia);
    mx_error_t *out;

    if (err) return err;
    out = mx_error_copy(uia->pool,
                        why ? why : mx_error_make(uia->pool, MX_E_UNAUTHORIZED, "More authentication is needed."));
    out->status = HTTP_TRY_AGAIN;
    out->omit_errcode = why == NULL;
    out->extra = mx_json_new_object(uia->pool);
    mx_json_set(out->extra, "flows", flows_json(uia, flows, nflows));
    mx_json_set(out->extra, "params", mx_json_new_object(uia->pool));
    mx_json_set_str(out->extra, "session", uia->session);
    if (uia->auth) {
        mx_json_t *completed = mx_json_new_array(uia->pool);
        for (int i = 0; i < uia->nstages; i++)
            mx_json_add_str(completed, uia->stages[i]);
        mx_json_set(out->extra, "completed", completed);
    }
    return out;
}

/** Runs the stage of `auth.type`; *pwhy is what the client is to be told if it did not pass. */
static const mx_error_t *attempt(const mx_error_t **pwhy, mx_uia_t *uia, const mx_uia_flow_t *flows, int nflows)
{
    mx_json_t *type = mx_json_get(uia->auth, "type");
    const mx_error_t *err = NULL;
    const char *stage;

    if (!type) return NULL; /* it only asks how far it got */
    if (!mx_json_str(type)) return mx_error_make(uia->pool, MX_E_BAD_JSON, "auth.type must be a string.");
    if (has_stage(uia, mx_json_str(type))) return NULL;
    stage = next_stage(uia, flows, nflows, mx_json_str(type));
    if (!stage) {
        *pwhy = mx_error_make(uia->pool, MX_E_FORBIDDEN, "That stage is not the next one of any flow offered here.");
        return NULL;
    }
    if (mx_user_uia_stage_needs_session(stage)) err = session_save(uia);
    if (!err) err = mx_user_uia_stage_run(uia, stage);
    if (err && err->status == HTTP_TRY_AGAIN) {
        *pwhy = err;
        return NULL;
    }
    if (err) return err;
    uia->stages[uia->nstages++] = stage;
    if (mx_user_uia_stage_needs_session(stage)) uia->nstored = uia->nstages;
    return NULL;
}

const mx_error_t *mx_user_uia_check(mx_uia_t *uia, const mx_uia_flow_t *flows, int nflows)
{
    const mx_error_t *why = NULL, *err;

    if (!uia->auth) return challenge(uia, flows, nflows, NULL);
    if (uia->lost) {
        why = mx_error_make(uia->pool, MX_E_FORBIDDEN,
                            "The authentication session is not known or has expired; here is a new one.");
        return challenge(uia, flows, nflows, why);
    }
    if ((err = attempt(&why, uia, flows, nflows))) return err;
    if (!why && is_complete(uia, flows, nflows)) return NULL;
    return challenge(uia, flows, nflows, why);
}

/* ---- ending ---- */

apr_status_t mx_user_uia_finish(const mx_uia_t *uia, mx_conn_t *conn, apr_pool_t *pool)
{
    return uia->session ? mx_store_uia_finish(conn, uia->session, pool) : APR_SUCCESS;
}

const mx_error_t *mx_user_uia_used_up(apr_pool_t *pool)
{
    return mx_error_make(pool, MX_E_FORBIDDEN, "The authentication session has been used up by another request.");
}
