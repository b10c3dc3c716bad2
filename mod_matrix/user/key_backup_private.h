/* SPDX-License-Identifier: Apache-2.0 */
/* What key_backup.c and key_backup_keys.c share. */
#ifndef MX_USER_KEY_BACKUP_PRIVATE_H
#define MX_USER_KEY_BACKUP_PRIVATE_H

#include "user/key_backup.h"

/** M_NOT_FOUND */
const mx_error_t *mx_user_key_backup_none(apr_pool_t *pool);
/** A version's id as a number; what is none names no backup: M_NOT_FOUND. */
const mx_error_t *mx_user_key_backup_version(apr_int64_t *pversion, const char *version, apr_pool_t *pool);
/** NULL for success; MX_STORE_NONE is M_NOT_FOUND. */
const mx_error_t *mx_user_key_backup_fault(apr_status_t rv, const char *what, apr_pool_t *pool);

#endif
