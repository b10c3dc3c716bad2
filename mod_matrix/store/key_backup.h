/* SPDX-License-Identifier: Apache-2.0 */
/* Backups of room keys: versions, and the sessions in them. A version's row is locked by whoever changes its keys. */
#ifndef MX_STORE_KEY_BACKUP_H
#define MX_STORE_KEY_BACKUP_H

#include "store/store.h"

typedef struct mx_backup_version_t {
    apr_int64_t version, etag, count;
    const char *algorithm;
    mx_slice_t auth_data;
} mx_backup_version_t;

/** A new version; its number is greater than all before. */
apr_status_t mx_store_backup_create(apr_int64_t *pversion, mx_store_t *store, apr_int64_t user_nid, const char *algorithm,
                                    mx_slice_t auth_data, apr_pool_t *pool);
/** version 0: the latest. MX_STORE_NONE. */
apr_status_t mx_store_backup_get(mx_backup_version_t *out, mx_store_t *store, apr_int64_t user_nid, apr_int64_t version, apr_pool_t *pool);
/** MX_STORE_NONE. */
apr_status_t mx_store_backup_update(mx_store_t *store, apr_int64_t user_nid, apr_int64_t version, mx_slice_t auth_data, apr_pool_t *pool);
/** The version and its keys. MX_STORE_NONE. */
apr_status_t mx_store_backup_delete(mx_store_t *store, apr_int64_t user_nid, apr_int64_t version, apr_pool_t *pool);

/** All versions and their keys: the account ends. */
apr_status_t mx_store_backup_forget(mx_conn_t *conn, apr_int64_t user_nid, apr_pool_t *pool);

/** Sessions as columns of `n` rows. */
typedef struct mx_backup_keys_t {
    const char **rooms, **sessions;
    apr_int64_t *first_message, *forwarded;
    int *verified;
    mx_slice_t *data;
    int n;
} mx_backup_keys_t;
/** Stores those that are better than what is there (CS-API: server-side key backups, backup key replacement). Nothing is stored
    if `version`
    is not the latest: out->version says which is. MX_STORE_NONE: there is no backup. */
apr_status_t mx_store_backup_put(mx_backup_version_t *out, mx_store_t *store, apr_int64_t user_nid, apr_int64_t version,
                                 const mx_backup_keys_t *keys, apr_pool_t *pool);
/** Deletes keys: of all rooms (room NULL), of a room (session NULL), or one. MX_STORE_NONE: no such version. */
apr_status_t mx_store_backup_clear(mx_backup_version_t *out, mx_store_t *store, apr_int64_t user_nid, apr_int64_t version, const char *room,
                                   const char *session, apr_pool_t *pool);

typedef struct mx_backup_key_t {
    const char *room, *session;
    apr_int64_t first_message, forwarded;
    int verified;
    mx_slice_t data;
} mx_backup_key_t;
/** Keys in the order of room and session, one by one; room and session as above. The key is gone when fn returns. */
typedef void mx_backup_key_fn(void *baton, const mx_backup_key_t *key);
apr_status_t mx_store_backup_each(mx_store_t *store, apr_int64_t user_nid, apr_int64_t version, const char *room, const char *session,
                                  mx_backup_key_fn *fn, void *baton, apr_pool_t *pool);

#endif
