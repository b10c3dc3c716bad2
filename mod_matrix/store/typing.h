/* SPDX-License-Identifier: Apache-2.0 */
/* Who types where, until when. A room's position moves when the set of its typists changes, not when one goes on. */
#ifndef MX_STORE_TYPING_H
#define MX_STORE_TYPING_H

#include "store/store.h"

/** The user types until `until_ms`. *pmoved: the set changed. */
apr_status_t mx_store_typing_start(int *pmoved, mx_store_t *store, apr_int64_t room_nid, apr_int64_t user_nid, apr_int64_t until_ms,
                                   apr_int64_t now_ms, apr_pool_t *pool);
apr_status_t mx_store_typing_stop(int *pmoved, mx_store_t *store, apr_int64_t room_nid, apr_int64_t user_nid, apr_pool_t *pool);
/** Removes those whose time is over. *pmoved: there were some; *pnext_ms: when the next one's is, 0: nobody types. */
apr_status_t mx_store_typing_expire(int *pmoved, apr_int64_t *pnext_ms, mx_conn_t *conn, apr_int64_t now_ms, apr_pool_t *pool);

#endif
