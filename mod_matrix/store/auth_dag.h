/* SPDX-License-Identifier: Apache-2.0 */
/* The edges of a room's auth DAG as they are stored. */
#ifndef MX_STORE_AUTH_DAG_H
#define MX_STORE_AUTH_DAG_H

#include "store/store.h"

/** One state event and its auth events. */
typedef struct mx_store_auth_row_t {
    apr_int64_t nid, skey_nid;
    apr_int64_t *auth_nids;
    int nauth;
} mx_store_auth_row_t;

/**
 * Up to `limit` state events of the room with a nid above `after`, ascending; rejected ones are left out, outliers are not.
 *
 * Nothing can appear later below what was read: whoever stores events of a room locks the room's row before it draws
 * their nids (sql/0005_persist.sql), so within one room the order of nids is the order of commits. Between rooms it is not.
 */
apr_status_t mx_store_auth_dag_read(mx_store_auth_row_t **prows, int *pn, mx_store_t *store, apr_int64_t room_nid, apr_int64_t after,
                                    int limit, apr_pool_t *pool);

#endif
