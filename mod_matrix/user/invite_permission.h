/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Whose invitations a user takes. CS-API: invite permission (m.invite_permission_config), and MSC4155, whose lists of users and servers are
 * globs. Blocking everybody goes first; then users go before servers, and allowed before ignored before blocked.
 */
#ifndef MX_USER_INVITE_PERMISSION_H
#define MX_USER_INVITE_PERMISSION_H

#include "base/json.h"
#include "server/server.h"

#define MX_USER_INVITE_GLOBS_MAX 1000    /* of one list; those after it are not looked at */
#define MX_USER_INVITE_GLOB_MAX_BYTES 255   /* MSC4155: longer ones match no id */

typedef enum { MX_INVITE_ALLOW, MX_INVITE_IGNORE, MX_INVITE_BLOCK } mx_invite_rule_e;

/** What a user has set; all zero: takes all. */
typedef struct mx_user_invites_t {
    int block_all;
    const mx_json_t *lists;          /* NULL: none */
} mx_user_invites_t;

/** As it is now, in `pool`. One query. A value of another form than it should have says nothing. */
const mx_error_t *mx_user_invites_read(mx_user_invites_t *out, mx_server_t *server, apr_int64_t user_nid, apr_pool_t *pool);
/** What becomes of an invitation by that user. Pure. */
mx_invite_rule_e mx_user_invites_rule(const mx_user_invites_t *invites, const char *inviter_id, apr_pool_t *pool);

#endif
