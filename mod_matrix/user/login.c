/* SPDX-License-Identifier: Apache-2.0 */
/* Who is it? Identifiers, passwords, and logging in. */
#include "user/login.h"

#include "core/ident.h"
#include "user/password.h"
#include "user/user_private.h"

#define TRIES 3 /* of a statement that the database broke off to resolve a deadlock */

static const mx_error_t *user_of(const char **puser, const mx_json_t *obj, const char *where, apr_pool_t *pool)
{
    mx_json_t *user = mx_json_get(obj, "user");

    if (!user) return mx_error_make(pool, MX_E_MISSING_PARAM, "%s is missing: who wants to log in?", where);
    if (!mx_json_str(user)) return mx_error_make(pool, MX_E_BAD_JSON, "%s must be a string.", where);
    *puser = mx_json_str(user);
    return NULL;
}

const mx_error_t *mx_user_login_identify(const char **puser, const mx_json_t *obj, apr_pool_t *pool)
{
    mx_json_t *identifier = mx_json_get(obj, "identifier");
    const char *type;

    /* r0's first form: `user`, or `medium` and `address`, without an identifier object */
    if (!identifier && mx_json_get(obj, "medium") && !mx_json_get(obj, "user"))
        type = "m.id.thirdparty";
    else if (!identifier)
        return user_of(puser, obj, "user", pool);
    else if (!mx_json_is(identifier, MX_JSON_OBJECT))
        return mx_error_make(pool, MX_E_BAD_JSON, "identifier must be an object.");
    else if (mx_json_get(identifier, "type"))
        type = mx_json_get_str(identifier, "type");
    else
        return mx_error_make(pool, MX_E_MISSING_PARAM, "identifier.type is missing.");

    if (!type) return mx_error_make(pool, MX_E_BAD_JSON, "identifier.type must be a string.");
    if (mx_str_eq(type, "m.id.user")) return user_of(puser, identifier, "identifier.user", pool);
    if (mx_str_eq(type, "m.id.thirdparty") || mx_str_eq(type, "m.id.phone"))
        return mx_error_make(pool, MX_E_FORBIDDEN, "No account is known by that address.");
    return mx_error_make_status(pool, MX_E_UNKNOWN, 400, "This type of identifier is not known.");
}

/** The account that `user` may mean, or NULL. */
static const mx_error_t *find(mx_account_row_t **paccount, mx_server_t *server, const char *user, apr_pool_t *pool)
{
    char *id = user[0] == '@' ? apr_pstrdup(pool, user) : apr_pstrcat(pool, "@", user, ":", server->name, NULL);
    const char *ids[2] = { id, NULL };
    char *folded;
    apr_status_t rv;

    *paccount = NULL;
    if (strlen(id) > MX_IDENT_MAX_BYTES || !mx_ident_is_user_id(id) || !mx_ident_is_local(id, server->name))
        return NULL;
    /* Appendices: user identifiers. @USER:example.org should reach @user:example.org. */
    ids[1] = folded = apr_pstrdup(pool, id);
    for (; *folded && *folded != ':'; folded++)
        if (*folded >= 'A' && *folded <= 'Z') *folded += 'a' - 'A';
    rv = mx_store_user_find(paccount, server->store, ids, 2, pool);
    return rv && rv != MX_STORE_NONE ? mx_server_store_error(rv, "looking for an account", pool) : NULL;
}

const mx_error_t *mx_user_login_verify(mx_account_row_t **paccount, mx_server_t *server, const char *user,
                                       const char *password, apr_pool_t *pool)
{
    mx_account_row_t *account = NULL;
    int good = 0;
    const mx_error_t *err = find(&account, server, user, pool);

    if (!err) err = mx_user_password_verify(&good, server, password, account ? account->password_hash : NULL, pool);
    if (err) return err;
    if (!good) return mx_error_make(pool, MX_E_FORBIDDEN, "The user name or the password is wrong.");
    if (account->deactivated) return mx_error_make(pool, MX_E_USER_DEACTIVATED, "The account has been deactivated.");
    *paccount = account;
    return NULL;
}

static apr_status_t session_open(mx_user_session_t **psession, apr_int64_t *pepoch, mx_server_t *server,
                                 const mx_account_row_t *account, const mx_user_session_request_t *request,
                                 apr_pool_t *pool)
{
    mx_conn_t *conn = NULL;
    apr_status_t rv = mx_store_borrow(&conn, server->store, pool);

    if (!rv)
        rv = mx_user_session_open(psession, pepoch, server, conn, account->user_nid, account->user_id,
                                  account->password_hash, request, pool);
    mx_store_return(conn);
    return rv;
}

const mx_error_t *mx_user_login(mx_user_session_t **psession, mx_server_t *server, const char *user,
                                const char *password, const mx_user_session_request_t *request, apr_pool_t *pool)
{
    mx_account_row_t *account = NULL;
    apr_int64_t epoch = 0;
    apr_status_t rv = MX_STORE_RETRY;
    const mx_error_t *err = mx_user_session_check(request, pool);

    if (!err) err = mx_user_login_verify(&account, server, user, password, pool);
    if (err) return err;
    for (int i = 0; i < TRIES && rv == MX_STORE_RETRY; i++)
        rv = session_open(psession, &epoch, server, account, request, pool);
    /* changed or closed since it was verified */
    if (rv == MX_STORE_NONE) return mx_error_make(pool, MX_E_FORBIDDEN, "The user name or the password is wrong.");
    if (rv) return mx_server_store_error(rv, "opening a session", pool);
    mx_user_token_moved(server, account->user_nid, epoch);
    return NULL;
}
