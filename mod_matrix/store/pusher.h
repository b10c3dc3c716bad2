/* SPDX-License-Identifier: Apache-2.0 */
/* Pushers as users make them: table `pusher` (sql/0020_pusher.sql). What is pushed: store/push.h. */
#ifndef MX_STORE_PUSHER_H
#define MX_STORE_PUSHER_H

#include "store/store.h"

typedef struct mx_store_pusher_t {
    apr_int64_t user_nid, device_nid;
    const char *app_id, *pushkey, *url;
    mx_slice_t body;                 /* JSON object as GET /pushers tells it */
    apr_int64_t now_ms;
    int append;                      /* others may have the same app_id and pushkey */
} mx_store_pusher_t;

/** Makes or changes the pusher with that user, app_id and pushkey, in one statement; MX_STORE_NONE: the user has `max` others. */
apr_status_t mx_store_pusher_set(mx_store_t *store, const mx_store_pusher_t *pusher, int max, apr_pool_t *pool);
/** Success also if there is none. */
apr_status_t mx_store_pusher_delete(mx_store_t *store, apr_int64_t user_nid, const char *app_id, const char *pushkey, apr_pool_t *pool);
/** The bodies of a user's pushers, oldest first. */
apr_status_t mx_store_pusher_list(mx_slice_t **pbodies, int *pn, mx_store_t *store, apr_int64_t user_nid, apr_pool_t *pool);

#endif
