/* SPDX-License-Identifier: Apache-2.0 */
/* The public face of sync/: the answer of GET /sync, who is woken when, and what else the stream tells. */
#ifndef MX_SYNC_SYNC_H
#define MX_SYNC_SYNC_H

#include "core/filter.h"
#include "room/room.h"
#include "server/server.h"
#include "server/who.h"
#include "store/presence.h"
#include "store/to_device.h"

/** Makes server->sync and installs itself as server's on_stream_moved. No thread or connection before somebody waits. */
apr_status_t mx_sync_init(mx_server_t *server);
/** Another child (or host) moved the stream: look soon. Any thread; cheap. */
void mx_sync_poked(mx_server_t *server);
/** The child stops: the notifier ends, connections close. */
void mx_sync_stop(mx_server_t *server);

/* ---- tokens: "s<position>" (sync/token.c) ---- */

/** A position of the stream as clients see it, in `pool`. */
const char *mx_sync_token_format(apr_int64_t position, apr_pool_t *pool);
/** The form alone, without asking whether the position was ever given. 0 for anything that is no token. Pure. */
int mx_sync_token_read(apr_int64_t *pposition, const char *token);
/** M_INVALID_PARAM for anything that is no token of ours. Tokens of the future are refused too. */
const mx_error_t *mx_sync_token_parse(apr_int64_t *pposition, mx_server_t *server, const char *token, apr_pool_t *pool);
/** The watermark now: what a new token says. */
const mx_error_t *mx_sync_position(apr_int64_t *pposition, mx_server_t *server, apr_pool_t *pool);

/* ---- the answer (sync/answer.c) ---- */

#define MX_SYNC_INITIAL (-1)

/** What a client asks for. Everything is borrowed. */
typedef struct mx_sync_ask_t {
    const mx_who_t *who;
    apr_int64_t since;           /* MX_SYNC_INITIAL: everything */
    apr_int64_t acked;           /* the token the client holds (<= since) */
    const mx_filter_t *filter;
    int full_state, use_state_after;
    int patient;                 /* news of the last milliseconds may be left to a wake-up: the client waits anyway */
} mx_sync_ask_t;

typedef struct mx_sync_chunks_t mx_sync_chunks_t;

typedef struct mx_sync_answer_t {
    mx_buf_t *body;              /* the JSON answer, or how it begins */
    mx_sync_chunks_t *rest;      /* NULL: that is all of it */
    apr_int64_t position;        /* what its next_batch says */
    int empty;                   /* it tells nothing */
} mx_sync_answer_t;

/** Everything in (since, position] that concerns the user and passes the filter. CS-API: GET /sync. */
const mx_error_t *mx_sync_answer(mx_sync_answer_t *out, mx_server_t *server, const mx_sync_ask_t *ask, apr_pool_t *pool);
/** Reads on: empties the answer's body and writes what comes next into it. *pdone: that was the end. After an error there is no next.
    What the ask pointed to must still be there. */
const mx_error_t *mx_sync_chunks_next(int *pdone, mx_sync_chunks_t *rest);
/** An answer that tells nothing but where to go on, and what is left of the device's keys. */
const mx_error_t *mx_sync_answer_nothing(mx_buf_t **pbody, mx_server_t *server, const mx_who_t *who, apr_int64_t position,
                                         apr_pool_t *pool);
/** `"events":[…]` with to-device messages. */
void mx_sync_write_messages(mx_json_writer_t *w, const mx_to_device_row_t *rows, int n);
/** Writes {"changed":[…],"left":[…]} since `from`. CS-API: GET /keys/changes. M_INVALID_PARAM for a `to` that is before. */
const mx_error_t *mx_sync_device_lists_between(mx_json_writer_t *w, mx_server_t *server, const mx_who_t *who, apr_int64_t from,
                                               apr_int64_t to, apr_pool_t *pool);

/* ---- waiting (sync/waiter.c) ---- */

/** A user who waits for news. Filled by the caller as said; the rest belongs to sync/. */
typedef struct mx_sync_waiter_t {
    mx_server_t *server;         /* caller */
    apr_int64_t user_nid, device_nid;   /* caller */
    const mx_filter_t *filter;   /* caller; must outlive the wait */
    apr_int64_t checked;         /* caller: nothing up to here; moved on by mx_sync_waiter_disarm() */
    void (*wake)(void *baton);
    void *baton;
    struct mx_sync_user_t *user;
    struct mx_sync_waiter_t *next, *prev;
    apr_int64_t held;            /* presence from there on is kept back for a while; 0: none */
    unsigned armed : 1, woken : 1;
} mx_sync_waiter_t;

/** From now on wake(baton) may be called, once, from any thread; at once if there is news already. */
void mx_sync_waiter_arm(mx_sync_waiter_t *waiter, void (*wake)(void *baton), void *baton);
/** No wake-up runs or comes after this. If none came, `checked` has moved to where nothing concerned the user so far. */
void mx_sync_waiter_disarm(mx_sync_waiter_t *waiter);

/* ---- filters (sync/filter.c) ---- */

#define MX_SYNC_FILTERS_PER_USER 1000

/** Stores a filter; its id. M_BAD_JSON, M_INVALID_PARAM; M_LIMIT_EXCEEDED past MX_SYNC_FILTERS_PER_USER. */
const mx_error_t *mx_sync_filter_put(const char **pid, mx_server_t *server, apr_int64_t user_nid, const mx_json_t *json, apr_pool_t *pool);
/** The filter as it was uploaded: M_NOT_FOUND. */
const mx_error_t *mx_sync_filter_get(mx_slice_t *pbody, mx_server_t *server, apr_int64_t user_nid, const char *filter_id, apr_pool_t *pool);
/** The filter that a query parameter means: NULL, an id, or JSON that begins with '{'. It stays valid as long as `keep`, from
    which it takes next to nothing. M_NOT_JSON, M_BAD_JSON, M_INVALID_PARAM. */
const mx_error_t *mx_sync_filter_resolve(const mx_filter_t **pfilter, mx_server_t *server, apr_int64_t user_nid, const char *text,
                                         apr_pool_t *keep, apr_pool_t *pool);

/* ---- presence (sync/presence.c); without MatrixPresence nothing is kept, and everybody is offline ---- */

#define MX_SYNC_STATUS_MAX_BYTES 1024

/** The device syncs and says this. Offline: it does not want to be seen. Writes only if that changes something; never fails. */
void mx_sync_presence_seen(mx_server_t *server, const mx_who_t *who, mx_presence_e presence, apr_pool_t *pool);
/** What set_presence says; NULL is online. 0: it is none of the three. CS-API: GET /sync. */
int mx_sync_presence_parse(mx_presence_e *out, const char *text);
/** The user did something. Memory alone. */
void mx_sync_presence_active(mx_server_t *server, const mx_who_t *who);
/** What PUT /presence/{userId}/status says of the caller; status_msg NULL: none. */
const mx_error_t *mx_sync_presence_set(mx_server_t *server, const mx_who_t *who, mx_presence_e presence, const char *status_msg,
                                       apr_pool_t *pool);
/** Writes {"presence":…} of a user who shares a room with the caller, or is it: M_FORBIDDEN; M_NOT_FOUND if there is no such user. */
const mx_error_t *mx_sync_presence_get(mx_json_writer_t *w, mx_server_t *server, const mx_who_t *who, const char *user_id,
                                       apr_pool_t *pool);

/* ---- account data, tags, receipts, typing ---- */

#define MX_SYNC_TAG_MAX_BYTES 255

/** room_nid 0: global. M_NOT_FOUND. The stored object, in `pool`. */
const mx_error_t *mx_sync_account_data_get(mx_slice_t *pcontent, mx_server_t *server, const mx_who_t *who, apr_int64_t room_nid,
                                           const char *type, apr_pool_t *pool);
const mx_error_t *mx_sync_account_data_put(mx_server_t *server, const mx_who_t *who, apr_int64_t room_nid, const char *type,
                                           const mx_json_t *content, apr_pool_t *pool);
/** The room's tags as an object that may be empty. */
const mx_error_t *mx_sync_tags_get(mx_json_t **ptags, mx_server_t *server, const mx_who_t *who, apr_int64_t room_nid, apr_pool_t *pool);
/** Sets a tag, or removes it (info NULL). */
const mx_error_t *mx_sync_tags_set(mx_server_t *server, const mx_who_t *who, apr_int64_t room_nid, const char *tag,
                                   const mx_json_t *info, apr_pool_t *pool);

/** The room, if the user is joined to it: M_FORBIDDEN otherwise (also for unknown rooms). */
const mx_error_t *mx_sync_joined_room(mx_room_t **proom, mx_server_t *server, const mx_who_t *who, const char *room_id, apr_pool_t *pool);

typedef struct mx_sync_receipt_t {
    const char *type;            /* m.read, m.read.private or m.fully_read */
    const char *event_id;
    const char *thread_id;       /* NULL: unthreaded */
} mx_sync_receipt_t;
/** Checks and stores receipts and read markers, one after the other, all checked before the first is stored. */
const mx_error_t *mx_sync_receipts_put(mx_server_t *server, const mx_who_t *who, const char *room_id, const mx_sync_receipt_t *receipts,
                                       int n, apr_pool_t *pool);

#define MX_SYNC_TYPING_MAX_MS 120000
#define MX_SYNC_TYPING_DEFAULT_MS 30000
/** The user types for so long, or not any more (0). */
const mx_error_t *mx_sync_typing_set(mx_server_t *server, const mx_who_t *who, const char *room_id, apr_int64_t timeout_ms,
                                     apr_pool_t *pool);

#endif
