/* SPDX-License-Identifier: Apache-2.0 */
/* Clients that sync, without httpd: their answers from the ring and from the database, and waiters that ring a bell. */
#ifndef MX_TESTS_SYNCING_H
#define MX_TESTS_SYNCING_H

#include "homeserver.h"

#include "store/stream.h"
#include "sync/full.h"
#include "sync/sync_private.h"

#include <apr_hash.h>

#define WAIT_MAX_US 5000000

static mx_server_t *server;

/** A child that syncs. */
static inline mx_server_t *child(void)
{
    mx_server_t *made = homeserver_child(NULL, pool);
    ck_assert_int_eq(mx_sync_init(made), APR_SUCCESS);
    return made;
}

static inline void fresh(void)
{
    homeserver_reset();
    server = child();
}

/** Somebody with a device; device_nid is made up from the user's. */
static inline mx_who_t *who_is(const char *user_id)
{
    mx_who_t *who = apr_pcalloc(pool, sizeof(*who));
    who->user_id = user_id;
    who->device_id = "D";
    ck_assert_int_eq(mx_server_user_nid(&who->user_nid, server, user_id, pool), APR_SUCCESS);
    who->device_nid = who->user_nid + 1000;
    return who;
}

static inline const mx_filter_t *filter_of(const char *text)
{
    mx_filter_t *filter = NULL;
    const mx_error_t *err = mx_filter_parse(&filter, unit_json(text), pool);
    ck_assert_msg(!err, "%s", err ? err->message : "");
    return filter;
}

static inline mx_json_t *body_of(const mx_sync_answer_t *answer)
{
    return unit_json(mx_slice_dup(mx_buf_slice(answer->body), pool));
}

static inline mx_sync_answer_t full(mx_server_t *from, const mx_sync_ask_t *ask)
{
    mx_sync_answer_t answer = { 0 };
    const mx_error_t *err = mx_sync_full_answer(&answer, from, ask, pool);
    ck_assert_msg(!err, "%s / %s", err ? err->message : "", err && err->detail ? err->detail : "");
    return answer;
}

/* ---- a waiter ---- */

typedef struct bell_t {
    mx_sync_waiter_t waiter;
    apr_thread_mutex_t *lock;
    apr_thread_cond_t *rung;
    int times;
} bell_t;

static inline void ring(void *baton)
{
    bell_t *bell = baton;
    apr_thread_mutex_lock(bell->lock);
    bell->times++;
    apr_thread_cond_signal(bell->rung);
    apr_thread_mutex_unlock(bell->lock);
}

static inline bell_t *bell_hang(mx_server_t *at, const mx_who_t *who, const mx_filter_t *filter, apr_int64_t checked)
{
    bell_t *bell = apr_pcalloc(pool, sizeof(*bell));
    apr_thread_mutex_create(&bell->lock, APR_THREAD_MUTEX_DEFAULT, pool);
    apr_thread_cond_create(&bell->rung, pool);
    bell->waiter = (mx_sync_waiter_t){ .server = at, .user_nid = who->user_nid, .device_nid = who->device_nid, .filter = filter,
                                       .checked = checked };
    mx_sync_waiter_arm(&bell->waiter, ring, bell);
    return bell;
}

/** 1 if it rang in that time. It is taken down in any case. */
static inline int bell_rang(bell_t *bell, apr_interval_time_t patience)
{
    apr_time_t end = apr_time_now() + patience;
    apr_thread_mutex_lock(bell->lock);
    while (!bell->times && apr_time_now() < end)
        apr_thread_cond_timedwait(bell->rung, bell->lock, end - apr_time_now() > 0 ? end - apr_time_now() : 1);
    apr_thread_mutex_unlock(bell->lock);
    mx_sync_waiter_disarm(&bell->waiter);
    return bell->times > 0;
}

/** Waits until the child's ring follows the stream and knows the user; returns where it is. */
static inline apr_int64_t follow(mx_server_t *at, const mx_who_t *who, const mx_filter_t *filter)
{
    mx_sync_ask_t ask = { .who = who, .since = 0, .filter = filter };
    apr_time_t end = apr_time_now() + WAIT_MAX_US;
    mx_sync_answer_t answer = full(at, &ask);
    int done = 0;
    for (ask.since = answer.position; !done; ask.since = full(at, &ask).position) {
        bell_rang(bell_hang(at, who, filter, ask.since), 20000);
        ck_assert(!mx_sync_live_answer(&answer, &done, at, &ask, 0, pool));
        ck_assert_msg(apr_time_now() < end, "the notifier does not come up");
    }
    return answer.position;
}

/** The live answer since then, once the ring has come as far as the database. *pdone 0: the ring declines. */
static inline mx_sync_answer_t live(int *pdone, mx_server_t *at, const mx_sync_ask_t *ask)
{
    mx_sync_answer_t answer = { 0 };
    apr_time_t end = apr_time_now() + WAIT_MAX_US;
    apr_int64_t upto = 0;
    int arrived = 0;
    ck_assert(!mx_sync_position(&upto, at, pool));
    while (!arrived) {
        apr_thread_mutex_lock(at->sync->lock);
        arrived = at->sync->ring.head >= upto;
        apr_thread_mutex_unlock(at->sync->lock);
        ck_assert_msg(apr_time_now() < end, "the ring does not follow");
        apr_sleep(1000);
    }
    ck_assert(!mx_sync_live_answer(&answer, pdone, at, ask, upto, pool));
    return answer;
}

/* ---- comparing ---- */

static inline void drop_ages(mx_json_t *json)
{
    const char *key;
    mx_json_t *value;
    void *it = NULL;
    apr_size_t i;
    if (mx_json_is(json, MX_JSON_OBJECT)) {
        mx_json_del(json, "age");
        while (mx_json_next(json, &it, &key, &value))
            drop_ages(value);
    }
    for (i = 0; mx_json_is(json, MX_JSON_ARRAY) && i < mx_json_len(json); i++)
        drop_ages(mx_json_at(json, i));
}

static inline const char *text_without_ages(const mx_sync_answer_t *answer)
{
    mx_json_t *json = body_of(answer);
    mx_buf_t *text = mx_buf_create(pool);
    drop_ages(json);
    mx_json_write_canonical(text, json);
    return mx_slice_dup(mx_buf_slice(text), pool);
}

static inline mx_json_t *joined(const mx_sync_answer_t *answer, const char *room_id)
{
    return mx_json_get(mx_json_get(mx_json_get(body_of(answer), "rooms"), "join"), room_id);
}

static inline mx_json_t *timeline(const mx_sync_answer_t *answer, const char *room_id)
{
    return mx_json_get(mx_json_get(joined(answer, room_id), "timeline"), "events");
}

static inline void join(const char *room_id, const char *user_id)
{
    homeserver_send(server, room_id, user_id, "m.room.member", user_id, "{\"membership\":\"join\"}");
}

#define SAY(room, user, text) homeserver_send(server, room, user, "m.room.message", NULL, "{\"body\":\"" text "\",\"msgtype\":\"m.text\"}")

/** What a client that follows both lists believes: type and key to event id. */
static inline void learn(apr_hash_t *state, mx_json_t *events)
{
    apr_size_t i;
    for (i = 0; i < mx_json_len(events); i++) {
        const mx_json_t *ev = mx_json_at(events, i);
        const char *key = mx_json_get_str(ev, "state_key");
        if (key)
            apr_hash_set(state, apr_pstrcat(pool, mx_json_get_str(ev, "type"), " ", key, NULL), APR_HASH_KEY_STRING,
                         mx_json_get_str(ev, "event_id"));
    }
}

static inline void learn_answer(apr_hash_t *state, const mx_sync_answer_t *answer, const char *room_id, const char *list)
{
    learn(state, mx_json_get(mx_json_get(joined(answer, room_id), list), "events"));
    if (!strcmp(list, "state"))
        learn(state, timeline(answer, room_id));
}

static inline void same_state(apr_hash_t *a, apr_hash_t *b)
{
    apr_hash_index_t *hi;
    ck_assert_int_eq((int)apr_hash_count(a), (int)apr_hash_count(b));
    for (hi = apr_hash_first(pool, a); hi; hi = apr_hash_next(hi))
        ck_assert_msg(mx_str_eq(apr_hash_this_val(hi), apr_hash_get(b, apr_hash_this_key(hi), APR_HASH_KEY_STRING)), "%s differs",
                      (const char *)apr_hash_this_key(hi));
}

#endif
