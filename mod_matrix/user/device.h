/* SPDX-License-Identifier: Apache-2.0 */
/* A user's devices. CS-API: device management, logout. */
#ifndef MX_USER_DEVICE_H
#define MX_USER_DEVICE_H

#include "server/server.h"
#include "server/who.h"
#include "store/device.h"
#include "user/uia.h"

const mx_error_t *mx_user_device_list(mx_device_row_t **pdevices, int *pn, mx_server_t *server, const mx_who_t *who,
                                      apr_pool_t *pool);
/** M_NOT_FOUND. */
const mx_error_t *mx_user_device_get(mx_device_row_t **pdevice, mx_server_t *server, const mx_who_t *who,
                                     const char *device_id, apr_pool_t *pool);
/** display_name NULL: it stays. M_NOT_FOUND, M_TOO_LARGE. */
const mx_error_t *mx_user_device_rename(mx_server_t *server, const mx_who_t *who, const char *device_id,
                                        const char *display_name, apr_pool_t *pool);
/** Deletes devices and their tokens, behind user-interactive authentication; those that are not there are no error. */
const mx_error_t *mx_user_device_delete(mx_server_t *server, mx_uia_t *uia, const char *const *device_ids, int n,
                                        apr_pool_t *pool);

/** Deletes one device, with all that hangs on it, and asks nobody. */
const mx_error_t *mx_user_device_drop(mx_server_t *server, apr_int64_t user_nid, const char *device_id, apr_pool_t *pool);
/** POST /logout: the device that asks goes, with its tokens. */
const mx_error_t *mx_user_device_logout(mx_server_t *server, const mx_who_t *who, apr_pool_t *pool);
/** POST /logout/all. */
const mx_error_t *mx_user_device_logout_all(mx_server_t *server, const mx_who_t *who, apr_pool_t *pool);

#endif
