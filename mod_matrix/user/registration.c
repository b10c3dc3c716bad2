/* SPDX-License-Identifier: Apache-2.0 */
/* New accounts. */
#include "user/registration.h"

#include "core/ident.h"
#include "store/device.h"
#include "store/registration_token.h"
#include "store/user.h"
#include "user/password.h"
#include "user/user_private.h"

#define MADE_NAME_CHARS 12 /* of a name that we make: 26^12 */
#define MADE_NAME_TRIES 3

const mx_error_t *mx_user_registration_allowed(mx_server_t *server, apr_pool_t *pool)
{
    if (server->settings->registration != MX_REGISTRATION_CLOSED) return NULL;
    return mx_error_make(pool, MX_E_FORBIDDEN, "Registration is closed on this server.");
}

/** Appendices: user identifiers. Upper case is folded, anything else that does not fit is refused. */
static const mx_error_t *user_id_of(const char **puser_id, mx_server_t *server, const char *username, apr_pool_t *pool)
{
    char *localpart = apr_pstrdup(pool, username);
    const char *user_id;

    for (char *p = localpart; *p; p++)
        if (*p >= 'A' && *p <= 'Z') *p += 'a' - 'A';
    if (!mx_ident_is_new_localpart(localpart))
        return mx_error_make(pool, MX_E_INVALID_USERNAME,
                             "A user name consists of a-z, 0-9 and . _ = - / + and is not empty.");
    user_id = apr_pstrcat(pool, "@", localpart, ":", server->name, NULL);
    if (strlen(user_id) > MX_IDENT_MAX_BYTES)
        return mx_error_make(pool, MX_E_INVALID_USERNAME, "The user name is too long: @name:server may have %d bytes.",
                             MX_IDENT_MAX_BYTES);
    *puser_id = user_id;
    return NULL;
}

static const mx_error_t *name_taken(apr_pool_t *pool)
{
    return mx_error_make(pool, MX_E_USER_IN_USE, "The user name is already taken.");
}

const mx_error_t *mx_user_registration_available(mx_server_t *server, const char *username, apr_pool_t *pool)
{
    const char *user_id = NULL;
    int exists = 0;
    const mx_error_t *err = user_id_of(&user_id, server, username, pool);

    if (!err) err = mx_user_exists(&exists, server, user_id, pool);
    if (!err && exists) err = name_taken(pool);
    return err;
}

const mx_error_t *mx_user_registration_token_valid(int *pvalid, mx_server_t *server, const char *token, apr_time_t now,
                                                   apr_pool_t *pool)
{
    const mx_error_t *err = mx_user_registration_allowed(server, pool);
    apr_status_t rv;

    if (err) return err;
    rv = mx_store_registration_token_check(pvalid, server->store, token, apr_time_as_msec(now), pool);
    return rv ? mx_server_store_error(rv, "looking for a registration token", pool) : NULL;
}

/** What an account is made from. */
typedef struct account_plan_t {
    mx_account_row_t row;
    const mx_uia_t *uia;                      /* NULL: none stood before it */
    const mx_user_session_request_t *request; /* NULL: no device */
    int upgrade;                              /* the account is there, a guest's */
    apr_time_t now;
} account_plan_t;

/** A guest's sessions end when the account becomes a user's. */
static apr_status_t account_write(apr_int64_t *pepoch, mx_conn_t *conn, const account_plan_t *plan, apr_pool_t *pool)
{
    apr_status_t rv;

    if (!plan->upgrade) return mx_store_user_insert(conn, &plan->row, apr_time_as_msec(plan->now), pool);
    rv = mx_store_user_upgrade(conn, &plan->row, pool);
    return rv ? rv : mx_store_device_delete_all(pepoch, conn, plan->row.user_nid, 0, pool);
}

static apr_status_t account_store(mx_user_session_t **psession, mx_server_t *server, const account_plan_t *plan,
                                  apr_pool_t *pool)
{
    mx_conn_t *conn = NULL;
    apr_int64_t epoch = 0, unmoved = 0; /* a new device has no tokens that could be taken back */
    mx_user_session_t *session = apr_pcalloc(pool, sizeof(*session));
    apr_status_t rv = mx_store_borrow(&conn, server->store, pool);

    session->user_id = plan->row.user_id;
    if (!rv) rv = mx_store_begin(conn);
    if (!rv && plan->uia) rv = mx_user_uia_finish(plan->uia, conn, pool);
    if (!rv) rv = account_write(&epoch, conn, plan, pool);
    if (!rv && plan->request)
        rv = mx_user_session_open(&session, &unmoved, server, conn, plan->row.user_nid, plan->row.user_id,
                                  plan->row.password_hash, plan->request, pool);
    if (!rv) rv = mx_store_commit(conn);
    mx_store_return(conn);
    if (rv) return rv;
    mx_user_token_moved(server, plan->row.user_nid, epoch);
    *psession = session;
    return APR_SUCCESS;
}

static const mx_error_t *account_create(mx_user_session_t **psession, mx_server_t *server, account_plan_t *plan,
                                        apr_pool_t *pool)
{
    apr_status_t rv = mx_server_user_nid(&plan->row.user_nid, server, plan->row.user_id, pool);

    if (!rv) rv = account_store(psession, server, plan, pool);
    if (rv == MX_STORE_DUPLICATE) return name_taken(pool);
    if (rv == MX_STORE_NONE) return mx_user_uia_used_up(pool);
    return rv ? mx_server_store_error(rv, "making an account", pool) : NULL;
}

/** Under the name asked for, or one that we make. */
static const mx_error_t *account_create_named(mx_user_session_t **psession, mx_server_t *server, account_plan_t *plan,
                                              const char *username, apr_pool_t *pool)
{
    const mx_error_t *err = NULL;

    for (int i = 0; i < (username ? 1 : MADE_NAME_TRIES); i++) {
        const char *name = username ? username : mx_random_string(mx_alphabet_lower, MADE_NAME_CHARS, pool);
        err = user_id_of(&plan->row.user_id, server, name, pool);
        if (!err) err = account_create(psession, server, plan, pool);
        if (!err || err->code != MX_E_USER_IN_USE) break;
    }
    return err;
}

/** CS-API: guest access: the username must be the local part of the guest's. */
static const mx_error_t *check_guest(mx_server_t *server, const mx_user_registration_t *reg, apr_pool_t *pool)
{
    const char *user_id = NULL;
    const mx_error_t *err;

    if (!reg->guest->guest)
        return mx_error_make(pool, MX_E_INVALID_PARAM, "guest_access_token is not that of a guest.");
    if (!reg->username) return mx_error_make(pool, MX_E_MISSING_PARAM, "username is missing: it must be the guest's.");
    if ((err = user_id_of(&user_id, server, reg->username, pool))) return err;
    if (mx_str_eq(user_id, reg->guest->user_id)) return NULL;
    return mx_error_make(pool, MX_E_INVALID_USERNAME, "username must be the guest's.");
}

/** CS-API: POST /register. All that is wrong with the request is told before the client is sent through authentication.
 */
static const mx_error_t *check(mx_server_t *server, const mx_user_registration_t *reg, apr_pool_t *pool)
{
    const mx_error_t *err = mx_user_registration_allowed(server, pool);

    if (!err && reg->guest)
        err = check_guest(server, reg, pool);
    else if (!err && reg->username)
        err = mx_user_registration_available(server, reg->username, pool);
    if (!err && reg->password) err = mx_user_password_check_strength(server, reg->password, pool);
    if (!err) err = mx_user_session_check(&reg->session, pool);
    return err;
}

static const mx_uia_flow_t open_flows[] = { { { MX_UIA_DUMMY } } };
static const mx_uia_flow_t token_flows[] = { { { MX_UIA_REGISTRATION_TOKEN } } };

const mx_error_t *mx_user_register(mx_user_session_t **psession, mx_server_t *server, mx_uia_t *uia,
                                   const mx_user_registration_t *reg, apr_pool_t *pool)
{
    account_plan_t plan = { .uia = uia,
                            .request = reg->inhibit_login ? NULL : &reg->session,
                            .upgrade = reg->guest != NULL,
                            .now = reg->session.now };
    const mx_error_t *err = check(server, reg, pool);

    if (!err)
        err = mx_user_uia_check(uia, server->settings->registration == MX_REGISTRATION_TOKEN ? token_flows : open_flows,
                                1);
    if (!err && reg->password) err = mx_user_password_hash(&plan.row.password_hash, server, reg->password, pool);
    return err ? err : account_create_named(psession, server, &plan, reg->username, pool);
}

const mx_error_t *mx_user_register_guest(mx_user_session_t **psession, mx_server_t *server,
                                         const mx_user_session_request_t *request, apr_pool_t *pool)
{
    mx_user_session_request_t own = { .display_name = request->display_name, .ip = request->ip, .now = request->now };
    account_plan_t plan = { .row = { .guest = 1 }, .request = &own, .now = request->now };
    const mx_error_t *err = mx_user_session_check(&own, pool);

    if (!server->settings->guests)
        return mx_error_make(pool, MX_E_FORBIDDEN, "Guests may not register on this server.");
    return err ? err : account_create_named(psession, server, &plan, NULL, pool);
}
