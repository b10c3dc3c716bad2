/* SPDX-License-Identifier: Apache-2.0 */
/* What the files of sync/ share: the state of one homeserver's stream in this child. */
#ifndef MX_SYNC_PRIVATE_H
#define MX_SYNC_PRIVATE_H

#include "base/cache.h"
#include "store/sync.h"
#include "sync/interest.h"
#include "sync/ring.h"
#include "sync/sync.h"
#include <apr_thread_cond.h>
#include <apr_thread_mutex.h>
#include <apr_thread_proc.h>

#define MX_SYNC_DEVICES_MAX 20000    /* devices that a child remembers something of */

typedef struct mx_sync_device_t mx_sync_device_t;

typedef struct mx_sync_state_t {
    mx_server_t *server;
    apr_pool_t *pool;                /* of its own allocator; used under `lock` */
    apr_thread_mutex_t *lock;        /* everything down to `lazy_lock` */
    mx_sync_ring_t ring;
    mx_sync_interest_t interest;
    mx_sync_user_t *pending;         /* users whose rooms the notifier has to load */
    mx_nid_map_t devices;            /* device nid -> mx_sync_device_t (sync/devices.c) */
    mx_slab_t *device_slab;
    apr_uint64_t device_versions;    /* given so far */
    struct {
        mx_nid_map_t devices;        /* device nid -> what was seen of it (sync/presence.c) */
        mx_slab_t *slab;
        apr_time_t next_by_request;
        int urgent;                  /* atomic */
    } presence;
    mx_sync_user_t *held;            /* users from whom presence is kept back */
    int waiters;
    int running;                     /* the notifier's thread exists and the ring follows the stream once `ready` */
    int ready, stopping;             /* these three are written under the lock and read anywhere */
    apr_thread_t *thread;
    apr_pool_t *run_pool;            /* of the thread's life */

    apr_thread_mutex_t *lazy_lock;   /* the tables in `lazy` */
    mx_cache_t *lazy;                /* device nid -> members it was told of (sync/lazy.c) */
    mx_cache_t *filters;             /* hash of the body -> filter */
    mx_cache_t *filter_ids;          /* user nid and id -> hash of the body */
    mx_cache_t *push_settings;       /* user nid -> push rules, ignored users (sync/push_settings.c) */
    mx_cache_t *tallies;             /* user and room nid -> unread counts (sync/tally.h) */
    const struct mx_push_set_t *predefined_rules;
    mx_cache_t *sliding_conns;       /* device, version and connection -> what it was told (sync/sliding_conn.c) */
    mx_cache_t *sliding_events;      /* nid -> state event (sync/sliding_rows.c) */
    mx_cache_t *sliding_summaries;   /* reader, room and its last event -> counts, heroes (sync/sliding_summary.c) */
    mx_cache_t *sliding_rooms;       /* user nid -> rooms (sync/sliding_list.c) */

    int wake_fd;                     /* eventfd: pokes the notifier */
    apr_uint32_t poked;              /* atomic: MX_SYNC_POKE_*; the fd is written only when it was 0 */
    apr_int64_t last_seen;           /* atomic: highest position known to have been given */
} mx_sync_state_t;

#define MX_SYNC_POKE_LOOK 1          /* the stream may have moved */
#define MX_SYNC_POKE_LOAD 2          /* users are pending, or the thread shall end */

/* notifier.c */
/** Starts the thread if there is none. Called with the lock held. */
void mx_sync_notifier_start_locked(mx_sync_state_t *state);
void mx_sync_notifier_poke(mx_sync_state_t *state, apr_uint32_t why);
/** Ends the thread and waits for it. */
void mx_sync_notifier_stop(mx_sync_state_t *state);

/* read.c */
/** Reads (after, upto] into a new batch; *pbatch NULL if it holds more than the ring could keep. */
apr_status_t mx_sync_read(mx_sync_batch_t **pbatch, mx_sync_state_t *state, mx_conn_t *conn, apr_int64_t after, apr_int64_t upto,
                          apr_pool_t *pool);

/* waiter.c */
/** What concerns the waiter; NULL filter: unknown. Called with the lock held. */
void mx_sync_waiter_wake_locked(mx_sync_waiter_t *waiter);
/** The notifier shall load the user's rooms; 1 if it was not asked to before. */
int mx_sync_waiter_load_locked(mx_sync_state_t *state, mx_sync_user_t *user);
/** Wakes those whom the new batch concerns and keeps the interest true. */
void mx_sync_waiter_tell_locked(mx_sync_state_t *state, const mx_sync_batch_t *batch);
/** The user's rooms are known now: wakes those of its waiters who have news already. */
void mx_sync_waiter_loaded_locked(mx_sync_state_t *state, mx_sync_user_t *user);
void mx_sync_waiter_wake_all_locked(mx_sync_state_t *state);
/** Wakes those from whom presence was kept back for long enough. */
void mx_sync_waiter_release_locked(mx_sync_state_t *state, apr_time_t now);

/* live.c */
/** 1 if the entry is in what a filter lets through; room membership is not asked. */
int mx_sync_entry_passes(const mx_sync_entry_t *entry, const mx_filter_t *filter);
/** 1 if the user is told of this change of a device list. Called with the lock held. */
int mx_sync_entry_lists(const mx_sync_entry_t *entry, const mx_sync_user_t *reader);
/** Answers from the ring alone; *pdone 0 if that cannot be done. `upto_least` is a position that the answer must reach. */
const mx_error_t *mx_sync_live_answer(mx_sync_answer_t *out, int *pdone, mx_server_t *server, const mx_sync_ask_t *ask,
                                      apr_int64_t upto_least, apr_pool_t *pool);

/* presence.c */
/** Makes what remembers who was seen. */
void mx_sync_presence_init(mx_sync_state_t *state);

/* devices.c */
/** Makes what remembers devices. */
void mx_sync_devices_init(mx_sync_state_t *state);

/* rooms.c */
/** Answers from the database. */
const mx_error_t *mx_sync_full_answer(mx_sync_answer_t *out, mx_server_t *server, const mx_sync_ask_t *ask, apr_pool_t *pool);

/* lazy.c */
mx_cache_t *mx_sync_lazy_create(apr_size_t max_bytes, apr_pool_t *pool);
/** 1 if the device was told this user's member event of the room by an answer that it has acknowledged. */
int mx_sync_lazy_known(mx_sync_state_t *state, apr_int64_t device_nid, apr_int64_t room_nid, apr_int64_t user_nid, apr_int64_t acked);
/** It is told now, by an answer that says `position`. */
void mx_sync_lazy_told(mx_sync_state_t *state, apr_int64_t device_nid, apr_int64_t room_nid, apr_int64_t user_nid, apr_int64_t position);

/* filter.c */
mx_cache_t *mx_sync_filter_cache_create(apr_size_t max_bytes, apr_pool_t *pool);
mx_cache_t *mx_sync_filter_id_cache_create(apr_size_t max_bytes, apr_pool_t *pool);

/* write.c */
typedef struct mx_sync_receipt_out_t {
    const char *thread_id;           /* "": unthreaded */
    const char *event_id, *type, *user_id;
    mx_slice_t data;                 /* {"ts":…} */
} mx_sync_receipt_out_t;
/** The m.receipt events of one room, of readers and threads that are each there once; sorts the array. */
void mx_sync_write_receipts(mx_json_writer_t *w, mx_sync_receipt_out_t *receipts, int n);
mx_slice_t mx_sync_receipt_data(const mx_sync_receipt_row_t *row, apr_pool_t *pool);
void mx_sync_write_typing(mx_json_writer_t *w, const char **user_ids, int n);
void mx_sync_write_account_data(mx_json_writer_t *w, const char *type, mx_slice_t content);
/** The members of `stock` (sync/devices.h) of an open object that has members already; p NULL: none. */
void mx_sync_write_stock(mx_json_writer_t *w, mx_slice_t stock);
/** The limit on a room's timeline that holds for this filter. CS-API: EventFilter.limit. */
int mx_sync_timeline_limit(const mx_server_t *server, const mx_filter_t *filter);

/** An answer with nothing in it but a position and `stock` (sync/devices.h; p NULL: not known). live.c */
mx_buf_t *mx_sync_write_nothing(apr_int64_t position, mx_slice_t stock, apr_pool_t *pool);

#define MX_SYNC_TIMELINE_DEFAULT 10

#endif
