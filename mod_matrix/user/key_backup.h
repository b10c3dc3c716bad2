/* SPDX-License-Identifier: Apache-2.0 */
/* Backups of room keys. CS-API: end-to-end encryption, server-side key backups. */
#ifndef MX_USER_KEY_BACKUP_H
#define MX_USER_KEY_BACKUP_H

#include "base/json_writer.h"
#include "server/server.h"
#include "server/who.h"
#include "store/key_backup.h"

#define MX_BACKUP_NAME_MAX_BYTES 255     /* an algorithm, a room, a session */

/** What of a backup is meant: all of it (room_id NULL), a room (session_id NULL), or one session. */
typedef struct mx_backup_place_t {
    const char *version;
    const char *room_id, *session_id;
} mx_backup_place_t;

/** The new version's id. M_BAD_JSON, M_MISSING_PARAM, M_INVALID_PARAM. */
const mx_error_t *mx_user_key_backup_create(const char **pversion, mx_server_t *server, const mx_who_t *who, const mx_json_t *body,
                                            apr_pool_t *pool);
/** version NULL: the latest. M_NOT_FOUND. */
const mx_error_t *mx_user_key_backup_get(mx_backup_version_t *out, mx_server_t *server, const mx_who_t *who, const char *version,
                                         apr_pool_t *pool);
/** Only auth_data may change: M_INVALID_PARAM. M_NOT_FOUND. */
const mx_error_t *mx_user_key_backup_update(mx_server_t *server, const mx_who_t *who, const char *version, const mx_json_t *body,
                                            apr_pool_t *pool);
const mx_error_t *mx_user_key_backup_delete(mx_server_t *server, const mx_who_t *who, const char *version, apr_pool_t *pool);

/** Stores keys; the form of the body is that of the place. M_WRONG_ROOM_KEYS_VERSION, M_NOT_FOUND, M_BAD_JSON. `out`: etag and count. */
const mx_error_t *mx_user_key_backup_put(mx_backup_version_t *out, mx_server_t *server, const mx_who_t *who, const mx_backup_place_t *place,
                                         const mx_json_t *body, apr_pool_t *pool);
/** Writes keys in the form of the place. M_NOT_FOUND: no such version, or no such session. */
const mx_error_t *mx_user_key_backup_read(mx_json_writer_t *w, mx_server_t *server, const mx_who_t *who, const mx_backup_place_t *place,
                                          apr_pool_t *pool);
const mx_error_t *mx_user_key_backup_clear(mx_backup_version_t *out, mx_server_t *server, const mx_who_t *who,
                                           const mx_backup_place_t *place, apr_pool_t *pool);

#endif
