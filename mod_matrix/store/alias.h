/* SPDX-License-Identifier: Apache-2.0 */
/* Room aliases of this server. */
#ifndef MX_STORE_ALIAS_H
#define MX_STORE_ALIAS_H

#include "store/store.h"

typedef struct mx_alias_row_t {
    const char *room_id;
    apr_int64_t room_nid, creator_nid;
} mx_alias_row_t;

/** MX_STORE_NONE. */
apr_status_t mx_store_alias_find(mx_alias_row_t *out, mx_store_t *store, const char *alias, apr_pool_t *pool);
/** Room ids of several aliases in one query: ids_out[i] is NULL for an unknown one. */
apr_status_t mx_store_alias_find_all(const char **ids_out, mx_store_t *store, const char *const *aliases, int n,
                                     apr_pool_t *pool);
/** MX_STORE_DUPLICATE if it is taken. */
apr_status_t mx_store_alias_insert(mx_store_t *store, const char *alias, apr_int64_t room_nid, apr_int64_t creator_nid,
                                   apr_int64_t created_ts, apr_pool_t *pool);
/** MX_STORE_NONE. */
apr_status_t mx_store_alias_delete(mx_store_t *store, const char *alias, apr_int64_t room_nid, apr_pool_t *pool);
/** The aliases of a room, sorted. */
apr_status_t mx_store_alias_of_room(const char ***paliases, int *pn, mx_store_t *store, apr_int64_t room_nid,
                                    apr_pool_t *pool);

/** Every alias of one room becomes one of the other. */
apr_status_t mx_store_alias_move(mx_store_t *store, apr_int64_t from_nid, apr_int64_t to_nid, apr_pool_t *pool);

#endif
