/* SPDX-License-Identifier: Apache-2.0 */
/* Shared by uia.c (sessions and flows) and uia_stage.c (what each stage asks for). */
#ifndef MX_USER_UIA_PRIVATE_H
#define MX_USER_UIA_PRIVATE_H

#include "store/uia.h"
#include "user/uia.h"
#include "user/user_private.h"

struct mx_uia_t {
    mx_server_t *server;
    apr_pool_t *pool;
    const char *operation;
    const mx_who_t *who;
    const mx_json_t *auth; /* NULL: none */
    mx_json_t *body;
    apr_time_t now;
    const char *session; /* NULL: none is stored */
    const char *stages[MX_UIA_STAGES_MAX];
    int nstages;          /* completed */
    int nstored;          /* as many of them the session knows */
    int lost;             /* a session was named that is not there */
    apr_int64_t user_nid; /* whom the session or a stage knows; 0: nobody yet */
};

/**
 * Does `uia->auth` pass the stage? An error with status 401: no, and the client may try again. Any other ends the
 * request.
 */
const mx_error_t *mx_user_uia_stage_run(mx_uia_t *uia, const char *stage);
/** 1 for a stage that keeps something in the session, which must be stored before. */
int mx_user_uia_stage_needs_session(const char *stage);

#endif
