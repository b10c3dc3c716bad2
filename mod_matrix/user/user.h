/* SPDX-License-Identifier: Apache-2.0 */
/* The public face of user/: accounts, devices, tokens, user-interactive authentication, profiles. */
#ifndef MX_USER_USER_H
#define MX_USER_USER_H

#include "server/server.h"
#include "server/who.h"

/** Makes server->user (token cache). Child start, one thread. */
apr_status_t mx_user_init(mx_server_t *server);

/**
 * The owner of an access token; cached by its SHA-256 for at most a minute. M_UNKNOWN_TOKEN (soft_logout true for an
 * expired one that can be refreshed), M_USER_DEACTIVATED… The result is in `pool`.
 */
const mx_error_t *mx_user_token_lookup(mx_who_t **pwho, mx_server_t *server, const char *token, const char *remote_ip, apr_pool_t *pool);

/**
 * NULL while the token that `who` came with still opens the account; for polls that waited. As cheap as the lookup.
 * A token that was taken back is refused at once in this child, and within 200 ms in all others.
 */
const mx_error_t *mx_user_token_recheck(mx_server_t *server, const mx_who_t *who, apr_pool_t *pool);

/** Display name and avatar URL of a local user as m.room.member wants them; NULL where not set. */
const mx_error_t *mx_user_profile_for_member(const char **pdisplayname, const char **pavatar_url, mx_server_t *server,
                                             const char *user_id, apr_pool_t *pool);
/** 1 if the id is that of a local account that exists (deactivated ones included). */
const mx_error_t *mx_user_exists(int *pexists, mx_server_t *server, const char *user_id, apr_pool_t *pool);

#endif
