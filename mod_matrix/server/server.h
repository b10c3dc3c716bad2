/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One homeserver (= one vhost) in one child: what every function of floor 3 and up is handed. Made once in child_init
 * by glue/child.c, read-only afterwards but for the parts that lock themselves.
 */
#ifndef MX_SERVER_SERVER_H
#define MX_SERVER_SERVER_H

#include "base/rate.h"
#include "core/error.h"
#include "core/sign.h"
#include "server/settings.h"
#include "store/store.h"

typedef struct mx_server_t {
    const char *name;                    /* "example.org", perhaps with a port */
    mx_signing_key_t key;
    const mx_settings_t *settings;
    mx_store_t *store;
    const mx_log_ctx_t *log;
    apr_pool_t *pool;                    /* the child's; thread-safe only for what is made in child_init */
    struct mx_server_state_t *state;     /* server/: interned strings mx_server_init() */
    struct mx_user_state_t *user;        /* user/: token cache, names        mx_user_init()  */
    struct mx_room_state_t *room;        /* room/: room cache, combiner      mx_room_init()  */
    struct mx_sync_state_t *sync;        /* sync/: ring, waiters, notifier   mx_sync_init()  */
    struct mx_runner_t *runner;          /* server/: background work     mx_runner_init(); NULL: none */
    mx_rate_t *rate;
    /** Tells the other children (and hosts) that the stream moved. A hint: a lost one costs 250 ms. */
    void (*poke_others)(void *baton);
    void *poke_baton;
} mx_server_t;

/** Turns what store returned into what the client is told (MX_STORE_UNAVAILABLE: 503; else 500), `what` for the log. */
const mx_error_t *mx_server_store_error(apr_status_t rv, const char *what, apr_pool_t *pool);

/*
 * Interned strings. What the cache does not have is asked of the database on a connection of its own: call these before
 * you borrow one.
 */
/** nid of an id string, made if it is new; cached for ever. APR_EINVAL for an id without a server. */
apr_status_t mx_server_user_nid(apr_int64_t *pnid, mx_server_t *server, const char *user_id, apr_pool_t *pool);
/** nid of a user that may not exist: MX_STORE_NONE. */
apr_status_t mx_server_user_nid_find(apr_int64_t *pnid, mx_server_t *server, const char *user_id, apr_pool_t *pool);
/** The string of a nid, in `pool` (cached); MX_STORE_NONE. */
apr_status_t mx_server_user_id(const char **pid, mx_server_t *server, apr_int64_t user_nid, apr_pool_t *pool);
/** The strings of many, in their order, with at most one query; NULL for an unknown one. */
apr_status_t mx_server_user_ids(const char ***pids, mx_server_t *server, const apr_int64_t *nids, int n, apr_pool_t *pool);
apr_status_t mx_server_type_nid(int *pnid, mx_server_t *server, const char *type, apr_pool_t *pool);
apr_status_t mx_server_type_name(const char **ptype, mx_server_t *server, int type_nid, apr_pool_t *pool);
/** nid of (type, state_key), made if it is new. */
apr_status_t mx_server_skey_nid(apr_int64_t *pnid, mx_server_t *server, const char *type, const char *state_key, apr_pool_t *pool);
/** Same for one that may not exist: MX_STORE_NONE. */
apr_status_t mx_server_skey_nid_find(apr_int64_t *pnid, mx_server_t *server, const char *type, const char *state_key, apr_pool_t *pool);

/** Called by server/server.c users after a commit that drew a stream position: wakes our own waiters and pokes the others. */
void mx_server_stream_moved(mx_server_t *server);
/** sync/ installs what mx_server_stream_moved() calls first (NULL: nothing). */
void mx_server_on_stream_moved(mx_server_t *server, void (*fn)(mx_server_t *server));

/** Makes the interning caches; called by glue/child.c before the *_init of floor 3. */
apr_status_t mx_server_init(mx_server_t *server);

#endif
