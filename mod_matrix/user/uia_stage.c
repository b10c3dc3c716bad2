/* SPDX-License-Identifier: Apache-2.0 */
/* What each stage of user-interactive authentication asks for. CS-API: authentication types. */
#include "user/login.h"
#include "user/uia_private.h"

#define REGISTRATION_TOKEN_MAX_BYTES 64

static const mx_error_t *run_dummy(mx_uia_t *uia)
{
    return NULL;
}

/** Not passed, and the client may try again. */
static const mx_error_t *refused(mx_uia_t *uia, mx_errcode_e code, const char *message)
{
    return mx_error_make_status(uia->pool, code, 401, "%s", message);
}

static const mx_error_t *run_password(mx_uia_t *uia)
{
    const char *user = NULL, *password = mx_json_get_str(uia->auth, "password");
    mx_account_row_t *account = NULL;
    const mx_error_t *err = mx_user_login_identify(&user, uia->auth, uia->pool);

    if (err) return err;
    if (!mx_json_get(uia->auth, "password"))
        return mx_error_make(uia->pool, MX_E_MISSING_PARAM, "auth.password is missing.");
    if (!password) return mx_error_make(uia->pool, MX_E_BAD_JSON, "auth.password must be a string.");
    err = mx_user_login_verify(&account, uia->server, user, password, uia->pool);
    if (err && err->code == MX_E_FORBIDDEN) return refused(uia, MX_E_FORBIDDEN, err->message);
    if (err) return err;
    if (uia->user_nid && uia->user_nid != account->user_nid)
        return refused(uia, MX_E_FORBIDDEN, "The password is that of another user.");
    uia->user_nid = account->user_nid;
    return NULL;
}

/* CS-API: token-authenticated registration. One use is reserved until the session ends. */
static const mx_error_t *run_registration_token(mx_uia_t *uia)
{
    const char *token = mx_json_get_str(uia->auth, "token");
    apr_status_t rv = MX_STORE_NONE;

    if (!mx_json_get(uia->auth, "token")) return mx_error_make(uia->pool, MX_E_MISSING_PARAM, "auth.token is missing.");
    if (!token) return mx_error_make(uia->pool, MX_E_BAD_JSON, "auth.token must be a string.");
    if (*token && strlen(token) <= REGISTRATION_TOKEN_MAX_BYTES)
        rv = mx_store_uia_pass_token(uia->server->store, uia->session, MX_UIA_REGISTRATION_TOKEN, token,
                                     apr_time_as_msec(uia->now), uia->pool);
    if (rv == MX_STORE_NONE)
        return refused(uia, MX_E_UNAUTHORIZED, "The registration token is not known, has expired or is used up.");
    return rv ? mx_server_store_error(rv, "reserving a use of a registration token", uia->pool) : NULL;
}

static const struct {
    const char *type;
    const mx_error_t *(*run)(mx_uia_t *uia);
    int needs_session;
} stage_types[] = {
    { MX_UIA_DUMMY, run_dummy, 0 },
    { MX_UIA_PASSWORD, run_password, 0 },
    { MX_UIA_REGISTRATION_TOKEN, run_registration_token, 1 },
};
#define NSTAGE_TYPES (int)(sizeof(stage_types) / sizeof(stage_types[0]))

int mx_user_uia_stage_needs_session(const char *stage)
{
    for (int i = 0; i < NSTAGE_TYPES; i++)
        if (mx_str_eq(stage_types[i].type, stage)) return stage_types[i].needs_session;
    return 0;
}

const mx_error_t *mx_user_uia_stage_run(mx_uia_t *uia, const char *stage)
{
    for (int i = 0; i < NSTAGE_TYPES; i++)
        if (mx_str_eq(stage_types[i].type, stage)) return stage_types[i].run(uia);
    return mx_error_internal(uia->pool, APR_ENOTIMPL, "a flow names a stage that nobody can run");
}
