/* SPDX-License-Identifier: Apache-2.0 */
/* Backups of room keys: versions. CS-API: /room_keys/version. */
#include "user/key_backup.h"

#include "core/ident.h"
#include "user/key_backup_private.h"

#define CREATE_TRIES 5 /* two clients that make a version at once */

const mx_error_t *mx_user_key_backup_none(apr_pool_t *pool)
{
    return mx_error_make(pool, MX_E_NOT_FOUND, "There is no such backup.");
}

const mx_error_t *mx_user_key_backup_version(apr_int64_t *pversion, const char *version, apr_pool_t *pool)
{
    return mx_str_to_int64(pversion, version, 1, APR_INT64_MAX) ? mx_user_key_backup_none(pool) : NULL;
}

const mx_error_t *mx_user_key_backup_fault(apr_status_t rv, const char *what, apr_pool_t *pool)
{
    if (rv == MX_STORE_NONE) return mx_user_key_backup_none(pool);
    return rv ? mx_server_store_error(rv, what, pool) : NULL;
}

static const mx_error_t *read_body(const char **palgorithm, mx_slice_t *pauth_data, const mx_json_t *body, apr_pool_t *pool)
{
    const mx_json_t *algorithm = mx_json_get(body, "algorithm"), *auth_data = mx_json_get(body, "auth_data");
    mx_buf_t *text = mx_buf_create(pool);

    if (!algorithm || !auth_data) return mx_error_make(pool, MX_E_MISSING_PARAM, "algorithm and auth_data are both needed.");
    if (!mx_json_str(algorithm)) return mx_error_make(pool, MX_E_BAD_JSON, "algorithm must be a string.");
    if (!mx_json_is(auth_data, MX_JSON_OBJECT)) return mx_error_make(pool, MX_E_BAD_JSON, "auth_data must be an object.");
    if (!mx_ident_is_opaque(mx_json_str(algorithm), MX_BACKUP_NAME_MAX_BYTES))
        return mx_error_make(pool, MX_E_INVALID_PARAM, "algorithm must have 1 to %d bytes.", MX_BACKUP_NAME_MAX_BYTES);
    mx_json_write(text, auth_data);
    *palgorithm = mx_json_str(algorithm);
    *pauth_data = mx_buf_slice(text);
    return NULL;
}

const mx_error_t *mx_user_key_backup_create(const char **pversion, mx_server_t *server, const mx_who_t *who, const mx_json_t *body,
                                            apr_pool_t *pool)
{
    const char *algorithm = NULL;
    mx_slice_t auth_data = MX_SLICE_NONE;
    apr_int64_t version = 0;
    apr_status_t rv = MX_STORE_DUPLICATE;
    const mx_error_t *err = read_body(&algorithm, &auth_data, body, pool);

    if (err) return err;
    for (int i = 0; i < CREATE_TRIES && rv == MX_STORE_DUPLICATE; i++)
        rv = mx_store_backup_create(&version, server->store, who->user_nid, algorithm, auth_data, pool);
    if (rv) return mx_server_store_error(rv, "making a key backup", pool);
    *pversion = apr_psprintf(pool, "%" APR_INT64_T_FMT, version);
    return NULL;
}

const mx_error_t *mx_user_key_backup_get(mx_backup_version_t *out, mx_server_t *server, const mx_who_t *who, const char *version,
                                         apr_pool_t *pool)
{
    apr_int64_t number = 0;
    const mx_error_t *err = version ? mx_user_key_backup_version(&number, version, pool) : NULL;

    return err ? err : mx_user_key_backup_fault(mx_store_backup_get(out, server->store, who->user_nid, number, pool),
                                                "reading a key backup", pool);
}

const mx_error_t *mx_user_key_backup_update(mx_server_t *server, const mx_who_t *who, const char *version, const mx_json_t *body,
                                            apr_pool_t *pool)
{
    const char *algorithm = NULL;
    const mx_json_t *named = mx_json_get(body, "version");
    mx_slice_t auth_data = MX_SLICE_NONE;
    mx_backup_version_t have;
    const mx_error_t *err = read_body(&algorithm, &auth_data, body, pool);

    if (!err) err = mx_user_key_backup_get(&have, server, who, version, pool);
    if (err) return err;
    if (named && !mx_str_eq(mx_json_str(named), version))
        return mx_error_make(pool, MX_E_INVALID_PARAM, "The version in the body is not that in the path.");
    if (!mx_str_eq(algorithm, have.algorithm)) return mx_error_make(pool, MX_E_INVALID_PARAM, "The algorithm of a backup cannot change.");
    return mx_user_key_backup_fault(mx_store_backup_update(server->store, who->user_nid, have.version, auth_data, pool),
                                    "changing a key backup",
                                    pool);
}

const mx_error_t *mx_user_key_backup_delete(mx_server_t *server, const mx_who_t *who, const char *version, apr_pool_t *pool)
{
    apr_int64_t number = 0;
    const mx_error_t *err = mx_user_key_backup_version(&number, version, pool);

    return err ? err : mx_user_key_backup_fault(mx_store_backup_delete(server->store, who->user_nid, number, pool),
                                                "deleting a key backup", pool);
}
