/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Strings that live once and are integers everywhere else: user ids, event types, (type, state_key) pairs. Rows are
 * never changed or deleted, so whatever is read may be cached for ever: server/server.h does, call that.
 * Each call borrows a connection of its own and commits at once: a name outlives a transaction that is rolled back.
 */
#ifndef MX_STORE_INTERN_H
#define MX_STORE_INTERN_H

#include "store/store.h"

typedef struct mx_intern_user_t {
    const char *user_id;
    const char *server;              /* its part after the first colon */
    int local;
} mx_intern_user_t;

/* *_find: MX_STORE_NONE if there is none. The others make it if it is new. */
apr_status_t mx_store_intern_user_find(apr_int64_t *pnid, mx_store_t *store, const char *user_id, apr_pool_t *pool);
apr_status_t mx_store_intern_user(apr_int64_t *pnid, mx_store_t *store, const mx_intern_user_t *user, apr_pool_t *pool);
apr_status_t mx_store_intern_type(int *pnid, mx_store_t *store, const char *type, apr_pool_t *pool);
apr_status_t mx_store_intern_skey_find(apr_int64_t *pnid, mx_store_t *store, const char *type, const char *state_key, apr_pool_t *pool);
apr_status_t mx_store_intern_skey(apr_int64_t *pnid, mx_store_t *store, int type_nid, const char *state_key, apr_pool_t *pool);

/** The strings of nids, in `pool`, in their order; NULL for one that is unknown. One query. */
apr_status_t mx_store_intern_user_ids(const char **ids_out, mx_store_t *store, const apr_int64_t *nids, int n, apr_pool_t *pool);
/** MX_STORE_NONE. */
apr_status_t mx_store_intern_type_name(const char **ptype, mx_store_t *store, int type_nid, apr_pool_t *pool);

#endif
