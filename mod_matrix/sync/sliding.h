/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Simplified sliding sync, MSC4186: what a client asks for, and the answer. A client names lists of its rooms (filtered, ordered by
 * activity, cut to ranges) and single rooms; it is told of those what it was not told on this connection. What it was told is the
 * connection's state, named by the position that it sends back: the same position and question give the same answer, from any child.
 */
#ifndef MX_SYNC_SLIDING_H
#define MX_SYNC_SLIDING_H

#include "sync/sync.h"

#define MX_SLIDING_LISTS_MAX 100             /* MSC4186: lists, room_subscriptions */
#define MX_SLIDING_SUBSCRIPTIONS_MAX 100
#define MX_SLIDING_LIST_NAME_MAX_BYTES 255   /* appendices: opaque identifiers */
#define MX_SLIDING_CONN_ID_MAX_BYTES 255
#define MX_SLIDING_RANGES_MAX 100            /* of one list */
#define MX_SLIDING_STATE_MAX 500             /* entries of one required_state */
#define MX_SLIDING_FILTER_MAX 500            /* entries of one array of a filter */
#define MX_SLIDING_NAMES_MAX 500             /* lists or rooms that an extension names */
#define MX_SLIDING_TIMELINE_LIMIT_MAX 1000   /* what may be asked for; what is given: MatrixSyncTimelineLimit */

/** A pattern of required_state: "*" stands for everything, $ME is the reader's id already. */
typedef struct mx_sliding_key_t {
    const char *type, *state_key;
} mx_sliding_key_t;

/** What is told of a room. */
typedef struct mx_sliding_config_t {
    int timeline_limit;
    int lazy;                        /* ["m.room.member", "$LAZY"]: patterns for every type do not mean members then */
    mx_sliding_key_t *keys;          /* ascending, each once */
    int nkeys;
} mx_sliding_config_t;

/** NULL arrays: not asked. */
typedef struct mx_sliding_filter_t {
    signed char is_dm, is_encrypted, is_invite;  /* -1: not asked */
    const apr_array_header_t *spaces, *tags, *not_tags, *room_types, *not_room_types;   /* of const char *; a room type NULL: none */
} mx_sliding_filter_t;

typedef struct mx_sliding_range_t {
    apr_int64_t from, to;            /* both are in it */
} mx_sliding_range_t;

typedef struct mx_sliding_list_t {
    const char *name;
    mx_sliding_config_t config;
    mx_sliding_range_t *ranges;
    int nranges;                     /* -1: all rooms */
    mx_sliding_filter_t filter;
} mx_sliding_list_t;

typedef struct mx_sliding_subscription_t {
    const char *room_id;
    mx_sliding_config_t config;
} mx_sliding_subscription_t;

/** An extension that tells of rooms: of which of those that the lists and subscriptions mean. NULL: of all. */
typedef struct mx_sliding_scope_t {
    int enabled;
    const apr_array_header_t *lists, *rooms;     /* of const char * */
} mx_sliding_scope_t;

typedef struct mx_sliding_request_t {
    const char *conn_id;             /* "" if there is none */
    mx_sliding_list_t *lists;
    mx_sliding_subscription_t *subscriptions;
    int nlists, nsubscriptions;
    int to_device, e2ee;             /* enabled */
    apr_int64_t to_device_since;     /* 0: from the start */
    int to_device_limit;
    mx_sliding_scope_t account_data, receipts, typing;
} mx_sliding_request_t;

typedef struct mx_sliding_ask_t {
    const mx_who_t *who;
    const mx_sliding_request_t *request;
    apr_int64_t version, since;      /* of the client's `pos`; version 0: it has none */
    int patient;                     /* news of the last milliseconds may be left to a wake-up */
    int last;                        /* the client is answered whatever there is: what an answer without news says is stored too */
} mx_sliding_ask_t;

/** Orders the patterns and drops doubles: whoever fills them calls it. Pure. */
void mx_sync_sliding_config_settle(mx_sliding_config_t *config);
/** `pos`: 0 for what is none of ours. Pure. */
int mx_sync_sliding_pos_read(apr_int64_t *pversion, apr_int64_t *psince, const char *pos);

/** M_UNKNOWN_POS: the connection has no such position (any more); the client begins anew. */
const mx_error_t *mx_sync_sliding_answer(mx_sync_answer_t *out, mx_server_t *server, const mx_sliding_ask_t *ask, apr_pool_t *pool);

#endif
