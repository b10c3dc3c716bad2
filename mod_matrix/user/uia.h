/* SPDX-License-Identifier: Apache-2.0 */
/*
 * User-interactive authentication. CS-API: user-interactive authentication API.
 *
 *   mx_user_uia_open()    reads `auth`, finds the session it names, and says what body the request stands for
 *   (the caller checks that body)
 *   mx_user_uia_check()   NULL once all stages of a flow are passed, else the 401 that tells how to go on
 *   mx_user_uia_finish()  inside the transaction of what was asked for: the session ends
 *
 * A session belongs to one operation (method and path), one user and one body: only a session opened with an empty body
 * takes the body of the next call, as long as no stage is passed. A later call may leave the body out but for `auth`.
 */
#ifndef MX_USER_UIA_H
#define MX_USER_UIA_H

#include "server/server.h"
#include "server/who.h"

#define MX_UIA_DUMMY "m.login.dummy"
#define MX_UIA_PASSWORD "m.login.password"
#define MX_UIA_REGISTRATION_TOKEN "m.login.registration_token"

#define MX_UIA_STAGES_MAX 4
/** One way through: its stages in order, NULL after the last. */
typedef struct mx_uia_flow_t {
    const char *stages[MX_UIA_STAGES_MAX + 1];
} mx_uia_flow_t;

typedef struct mx_uia_t mx_uia_t; /* one request on its way through; lives in its pool */

/** What is asked for, and by whom. */
typedef struct mx_uia_call_t {
    const char *method, *path;
    const mx_who_t *who;   /* NULL: no token */
    const mx_json_t *body; /* as it came, with `auth` or without */
    apr_time_t now;
} mx_uia_call_t;

/** M_FORBIDDEN for a session of another operation or body; M_BAD_JSON for an `auth` that is none. */
const mx_error_t *mx_user_uia_open(mx_uia_t **puia, mx_server_t *server, const mx_uia_call_t *call, apr_pool_t *pool);
/** What the request asks for, without `auth`; of the session's first call if this one left it out. */
const mx_json_t *mx_user_uia_body(const mx_uia_t *uia);
/** Runs the stage that the request offers. The flows live longer than the request. */
const mx_error_t *mx_user_uia_check(mx_uia_t *uia, const mx_uia_flow_t *flows, int nflows);
/** MX_STORE_NONE if another request has used the session up meanwhile. Nothing to do where no session was stored. */
apr_status_t mx_user_uia_finish(const mx_uia_t *uia, mx_conn_t *conn, apr_pool_t *pool);
/** The error for that. */
const mx_error_t *mx_user_uia_used_up(apr_pool_t *pool);

/** Who it is: the owner of the token, or whom m.login.password proved; 0 and NULL for nobody. */
apr_int64_t mx_user_uia_user_nid(const mx_uia_t *uia);
/** The device that asks; 0 without a token. */
apr_int64_t mx_user_uia_device_nid(const mx_uia_t *uia);

#endif
