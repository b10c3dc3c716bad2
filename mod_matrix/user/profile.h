/* SPDX-License-Identifier: Apache-2.0 */
/* Profiles of local users: displayname, avatar_url, m.tz and fields of anybody's. CS-API: profiles. */
#ifndef MX_USER_PROFILE_H
#define MX_USER_PROFILE_H

#include "server/server.h"
#include "server/who.h"

/** All fields as one object; M_NOT_FOUND if there is no such user, he has none, or is of another server. */
const mx_error_t *mx_user_profile_get(mx_json_t **pprofile, mx_server_t *server, const char *user_id, apr_pool_t *pool);
/** An object with that one field; M_NOT_FOUND as above. */
const mx_error_t *mx_user_profile_get_field(mx_json_t **pfield, mx_server_t *server, const char *user_id,
                                            const char *field, apr_pool_t *pool);
/**
 * Sets a field of who's own profile (user_id must be his: M_FORBIDDEN) and tells his rooms. M_INVALID_PARAM and
 * M_KEY_TOO_LARGE for the key, M_BAD_JSON and M_INVALID_PARAM for the value, M_PROFILE_TOO_LARGE for the whole. An
 * empty displayname or avatar_url removes it.
 */
const mx_error_t *mx_user_profile_set(mx_server_t *server, const mx_who_t *who, const char *user_id, const char *field,
                                      const mx_json_t *value, apr_pool_t *pool);
/** Removes a field, if it is there. */
const mx_error_t *mx_user_profile_delete(mx_server_t *server, const mx_who_t *who, const char *user_id,
                                         const char *field, apr_pool_t *pool);
/** Whether `field` may be changed by `who` in the profile of user_id: what the two above check first. */
const mx_error_t *mx_user_profile_may_change(mx_server_t *server, const mx_who_t *who, const char *user_id,
                                             const char *field, apr_pool_t *pool);

#endif
