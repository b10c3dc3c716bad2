/* SPDX-License-Identifier: Apache-2.0 */
/* One pusher's turn: counts, events, the cursor. */
#include "workers/push_turn.h"

#include "base/crypto.h"
#include "sync/judge.h"

#define CALL "m.call.invite"
#define BACKOFF_MS 1000              /* doubled with each failure … */
#define BACKOFF_MAX_MS 3600000       /* … up to this; from half of it to all of it, by chance */
#define BACKOFF_DOUBLES 12

/* ---- counts ---- */

static void sum_up(mx_workers_push_turn_t *turn)
{
    int i;

    turn->unread = turn->push.invites;
    turn->calls = 0;
    for (i = 0; i < turn->ncounts; i++) {
        turn->unread += turn->counts[i].unread;
        turn->calls += turn->counts[i].calls;
    }
}

/** By the same rules as /sync counts, from the database. */
static const mx_error_t *count_rooms(mx_workers_push_turn_t *turn, mx_store_push_count_t *counts, const char *const *ids, int n, int all)
{
    mx_sync_unread_room_t *rooms = apr_pcalloc(turn->step, sizeof(*rooms) * (apr_size_t)(n + 1));
    apr_int64_t *nids = apr_palloc(turn->step, sizeof(*nids) * (apr_size_t)(n + 1)), *calls;
    const mx_error_t *err;
    int i, k;
    apr_status_t rv;

    for (i = 0; i < n; i++) {
        rooms[i].room_nid = nids[i] = counts[i].room_nid;
        rooms[i].room_id = ids[i];
    }
    err = mx_sync_unread_count(rooms, n, turn->server, &turn->who, turn->settings, turn->upto, turn->step);
    if (err) return err;
    calls = apr_pcalloc(turn->step, sizeof(*calls) * (apr_size_t)(n + 1));
    rv = n ? mx_store_push_calls(calls, turn->server->store, turn->who.user_nid, nids, n, turn->upto, turn->settings->ignored,
                                 turn->settings->nignored, turn->step) : APR_SUCCESS;
    for (i = 0; i < n; i++) {
        counts[i].unread = 0;
        for (k = 0; k < rooms[i].n; k++) counts[i].unread += rooms[i].lines[k].notified;
        counts[i].calls = calls[i] < counts[i].unread ? calls[i] : counts[i].unread;
    }
    if (rv == APR_SUCCESS) rv = mx_store_push_recount(turn->server->store, turn->push.nid, counts, n, all, turn->upto, turn->step);
    return rv == APR_SUCCESS ? NULL : mx_server_store_error(rv, "counting for a pusher", turn->step);
}

static const mx_error_t *count_all(mx_workers_push_turn_t *turn)
{
    mx_store_push_count_t *counts;
    apr_int64_t *nids = NULL;
    const char **ids = NULL;
    const mx_error_t *err;
    int i, n = 0;
    apr_status_t rv = mx_store_push_rooms(&nids, &ids, &n, turn->server->store, turn->who.user_nid, turn->step);

    if (rv != APR_SUCCESS) return mx_server_store_error(rv, "reading a pusher's rooms", turn->step);
    counts = apr_pcalloc(turn->step, sizeof(*counts) * (apr_size_t)(n + 1));
    for (i = 0; i < n; i++) counts[i].room_nid = nids[i];
    err = count_rooms(turn, counts, ids, n, 1);
    if (!err) turn->push.counted = turn->upto;
    return err;
}

static const mx_error_t *load_counts(mx_workers_push_turn_t *turn)
{
    mx_store_push_count_t *counts = NULL;
    int n = 0;
    apr_status_t rv = mx_store_push_counts(&counts, &n, turn->server->store, turn->push.nid, turn->who.user_nid, turn->step);

    if (rv != APR_SUCCESS) return mx_server_store_error(rv, "reading a pusher's counts", turn->step);
    turn->counts = apr_palloc(turn->pool, sizeof(*counts) * (apr_size_t)(n + 1));
    memcpy(turn->counts, counts, sizeof(*counts) * (apr_size_t)n);
    turn->ncounts = n;
    return NULL;
}

/** Only rooms with unread events can have fewer of them; and only where something moved. */
static const mx_error_t *count_moved(mx_workers_push_turn_t *turn)
{
    mx_store_push_count_t *moved = apr_palloc(turn->step, sizeof(*moved) * (apr_size_t)(turn->ncounts + 1));
    const char **ids = apr_palloc(turn->step, sizeof(*ids) * (apr_size_t)(turn->ncounts + 1));
    const mx_error_t *err;
    int i, n = 0;

    for (i = 0; i < turn->ncounts; i++) {
        if (!turn->counts[i].moved) continue;
        ids[n] = turn->counts[i].room_id;
        moved[n++] = turn->counts[i];
    }
    if (!n) return NULL;
    err = count_rooms(turn, moved, ids, n, 0);
    return err ? err : load_counts(turn);
}

/** A gateway that was told nothing yet is not told at once: whoever makes a pusher knows what is unread. */
static const mx_error_t *count(mx_workers_push_turn_t *turn)
{
    int first = !turn->push.counted;
    const mx_error_t *err = first || turn->push.look & MX_PUSH_LOOK_ALL ? count_all(turn) : NULL;

    if (!err) err = load_counts(turn);
    if (!err && turn->push.look & MX_PUSH_LOOK_READ) err = count_moved(turn);
    if (err || !first) return err;
    sum_up(turn);
    turn->push.told_unread = turn->unread;
    turn->push.told_calls = turn->calls;
    return NULL;
}

/** The counts of an event's room, and the sums, with it in them; it may be counted already. */
static void count_in(mx_workers_push_turn_t *turn, const mx_store_push_event_t *event, int is_call)
{
    mx_store_push_count_t *count = &turn->count;
    int i;

    count->room_nid = event->event.room_nid;
    for (i = 0; i < turn->ncounts; i++)
        if (turn->counts[i].room_nid == count->room_nid) *count = turn->counts[i];
    if (count->upto < turn->push.counted) count->upto = turn->push.counted;
    if (event->pos <= count->upto) return;
    count->upto = event->pos;
    count->unread++;
    count->calls += is_call;
    turn->unread++;
    turn->calls += is_call;
}

static void remember(mx_workers_push_turn_t *turn)
{
    mx_store_push_count_t *more;
    int i;

    if (!turn->count.room_nid) return;
    for (i = 0; i < turn->ncounts && turn->counts[i].room_nid != turn->count.room_nid; i++)
        ;
    if (i == turn->ncounts) {
        more = apr_palloc(turn->pool, sizeof(*more) * (apr_size_t)(turn->ncounts + 1));
        memcpy(more, turn->counts, sizeof(*more) * (apr_size_t)turn->ncounts);
        turn->counts = more;
        turn->ncounts++;
    }
    turn->counts[i] = turn->count;
}

/* ---- the beginning ---- */

/** What is stored was checked when it came. */
static const mx_error_t *read_pusher(mx_workers_push_turn_t *turn)
{
    mx_json_limits_t limits = { MX_JSON_DEPTH_DEFAULT * 2 };
    mx_json_t *body = NULL;

    mx_json_parse(&body, NULL, turn->push.body.p, turn->push.body.len, &limits, turn->pool);
    if (!body) return mx_error_internal(turn->pool, APR_EINVAL, "a pusher in the database is damaged");
    turn->data = mx_json_copy(turn->pool, mx_json_get(body, "data"));
    mx_json_del(turn->data, "url");
    turn->event_id_only = mx_str_eq(mx_json_get_str(turn->data, "format"), "event_id_only");
    return NULL;
}

static const mx_error_t *read_batch(mx_workers_push_turn_t *turn)
{
    apr_status_t rv;

    apr_pool_clear(turn->batch);
    turn->at = 0;
    rv = mx_store_push_events(&turn->events, &turn->n, turn->server->store, turn->who.user_nid, turn->push.pos, turn->upto,
                              turn->settings->ignored, turn->settings->nignored, MX_WORKERS_PUSH_BATCH, turn->batch);
    return rv == APR_SUCCESS ? NULL : mx_server_store_error(rv, "reading events for a pusher", turn->step);
}

const mx_error_t *mx_workers_push_turn_create(mx_workers_push_turn_t **pturn, mx_server_t *server, const mx_store_push_t *push,
                                              apr_int64_t upto, apr_pool_t *pool)
{
    mx_workers_push_turn_t *turn = apr_pcalloc(pool, sizeof(*turn));
    const mx_error_t *err;

    turn->server = server;
    turn->push = *push;
    turn->upto = upto > push->pos ? upto : push->pos;
    turn->pool = pool;
    turn->who = (mx_who_t){ .user_id = push->user_id, .user_nid = push->user_nid, .device_id = "" };
    apr_pool_create(&turn->batch, pool);
    apr_pool_create(&turn->step, pool);
    err = read_pusher(turn);
    if (!err) err = mx_user_push_settings_get(&turn->settings, server, &turn->who, NULL, pool);
    if (err) return err;
    turn->rules = mx_user_push_settings_rules(turn->settings, pool);
    err = count(turn);
    apr_pool_clear(turn->step);
    if (!err) err = read_batch(turn);
    if (!err) *pturn = turn;
    return err;
}

/* ---- what is to be sent ---- */

/** *pjson is left alone where the rules do not notify. */
static const mx_error_t *write_if_notified(mx_slice_t *pjson, mx_workers_push_turn_t *turn, const mx_store_push_event_t *event)
{
    mx_sync_judge_t *judge = NULL;
    mx_push_verdict_t verdict;
    mx_json_t *json = NULL;
    const mx_error_t *err = mx_sync_judge_create(&judge, turn->server, &turn->who, turn->rules, event->room_id, turn->step);

    if (err) return err;
    verdict = mx_sync_judge_event(&json, judge, event->event.pdu, turn->step);
    if (!verdict.notify) return NULL;
    turn->sending = event;
    turn->count = (mx_store_push_count_t){ 0 };
    sum_up(turn);
    if (!event->is_invite) count_in(turn, event, mx_str_eq(mx_json_get_str(json, "type"), CALL));
    return mx_workers_push_body_write(pjson, turn, json, verdict.actions, turn->step);
}

/** The counts alone, if the gateway knows others. */
static const mx_error_t *write_badge(mx_slice_t *pjson, mx_workers_push_turn_t *turn)
{
    sum_up(turn);
    if (turn->unread == turn->push.told_unread && turn->calls == turn->push.told_calls) return NULL;
    turn->sending = NULL;
    turn->count = (mx_store_push_count_t){ 0 };
    return mx_workers_push_body_write(pjson, turn, NULL, NULL, turn->step);
}

static const mx_error_t *move_cursor(mx_workers_push_turn_t *turn, apr_int64_t pos)
{
    apr_status_t rv = mx_store_push_sent(turn->server->store, &turn->push, pos, turn->count.room_nid ? &turn->count : NULL, turn->step);

    if (rv != APR_SUCCESS) return mx_server_store_error(rv, "moving a pusher's cursor", turn->step);
    turn->push.pos = pos;
    return NULL;
}

static const mx_error_t *finish(mx_workers_push_turn_t *turn)
{
    apr_status_t rv = mx_store_push_done(turn->server->store, &turn->push, turn->upto, turn->count.room_nid ? &turn->count : NULL,
                                         turn->step);

    return rv == APR_SUCCESS ? NULL : mx_server_store_error(rv, "moving a pusher's cursor", turn->step);
}

const mx_error_t *mx_workers_push_turn_next(mx_slice_t *pjson, mx_workers_push_turn_t *turn)
{
    mx_slice_t json = MX_SLICE_NONE;
    const mx_error_t *err = NULL;

    apr_pool_clear(turn->step);
    while (!err && !json.p && turn->at < turn->n) {
        err = write_if_notified(&json, turn, &turn->events[turn->at++]);
        if (err || json.p || turn->at < turn->n || turn->n < MX_WORKERS_PUSH_BATCH) continue;
        turn->count = (mx_store_push_count_t){ 0 };
        err = move_cursor(turn, turn->events[turn->n - 1].pos);
        if (!err) err = read_batch(turn);
        if (!err) apr_pool_clear(turn->step);
    }
    turn->count = json.p ? turn->count : (mx_store_push_count_t){ 0 };
    if (!err && !json.p) err = write_badge(&json, turn);
    if (!err && !json.p) err = finish(turn);
    if (!err) *pjson = json;
    return err;
}

/* ---- what came of it ---- */

/** Push Gateway API: `rejected`. Keys that were not in the request are none of its business. */
static int is_rejected(const mx_workers_push_turn_t *turn, const mx_http_out_answer_t *answer)
{
    mx_json_limits_t limits = { MX_JSON_DEPTH_DEFAULT };
    mx_json_t *json = NULL;

    mx_json_parse(&json, NULL, answer->body.p ? answer->body.p : "", answer->body.len, &limits, turn->step);
    return mx_json_has_str(mx_json_get(json, "rejected"), turn->push.pushkey);
}

static const mx_error_t *take_success(int *pover, mx_workers_push_turn_t *turn, const mx_http_out_answer_t *answer)
{
    apr_int64_t pos = turn->sending ? turn->sending->pos : turn->push.pos;
    const mx_error_t *err;
    apr_status_t rv;

    if (is_rejected(turn, answer)) {
        *pover = 1;
        mx_log(turn->server->log, MX_LOG_INFO, 0, "MX0310: a pusher is gone: its gateway rejects the key user=%s", turn->who.user_id);
        rv = mx_store_push_reject(turn->server->store, &turn->push, turn->step);
        return rv == APR_SUCCESS ? NULL : mx_server_store_error(rv, "deleting a rejected pusher", turn->step);
    }
    turn->push.told_unread = turn->unread;
    turn->push.told_calls = turn->calls;
    remember(turn);
    if (turn->at == turn->n && turn->n < MX_WORKERS_PUSH_BATCH) {      /* the last one, and the counts are told with it */
        *pover = 1;
        return finish(turn);
    }
    err = move_cursor(turn, pos);
    if (!err && turn->sending && turn->at == turn->n && turn->n == MX_WORKERS_PUSH_BATCH) err = read_batch(turn);
    return err;
}

static apr_int64_t backoff_ms(int fails)
{
    apr_int64_t ms = (apr_int64_t)BACKOFF_MS << (fails < BACKOFF_DOUBLES ? fails : BACKOFF_DOUBLES);
    apr_uint32_t random;

    if (ms > BACKOFF_MAX_MS) ms = BACKOFF_MAX_MS;
    mx_random_bytes(&random, sizeof(random));
    return ms / 2 + (apr_int64_t)(random % (apr_uint64_t)(ms / 2));
}

/** What is too old to be news is given up, all of it: a gateway that comes back after days is not told of each message since. */
static const mx_error_t *take_failure(mx_workers_push_turn_t *turn, const mx_http_out_answer_t *answer, apr_time_t now)
{
    apr_int64_t now_ms = apr_time_as_msec(now), since = turn->push.failing_ts ? turn->push.failing_ts : now_ms,
                due_ms = backoff_ms(turn->push.fails);
    apr_status_t rv;

    if (now_ms - since >= turn->server->settings->push_give_up_ms) {
        mx_log(turn->server->log, MX_LOG_INFO, 0, "MX0311: pushes are given up after %d tries user=%s", turn->push.fails + 1,
               turn->who.user_id);
        turn->push.told_unread = turn->unread;
        turn->push.told_calls = turn->calls;
        turn->count = (mx_store_push_count_t){ 0 };
        return finish(turn);
    }
    mx_log(turn->server->log, MX_LOG_DEBUG, 0, "a push failed (status %d, %s), again in %" APR_INT64_T_FMT " ms user=%s", answer->status,
           answer->fault ? answer->fault : "an error of the gateway", due_ms, turn->who.user_id);
    rv = mx_store_push_failed(turn->server->store, &turn->push, now_ms, due_ms, turn->step);
    return rv == APR_SUCCESS ? NULL : mx_server_store_error(rv, "putting a push off", turn->step);
}

const mx_error_t *mx_workers_push_turn_answer(int *pover, mx_workers_push_turn_t *turn, const mx_http_out_answer_t *answer, apr_time_t now)
{
    if (answer->status >= 200 && answer->status < 300) return take_success(pover, turn, answer);
    *pover = 1;
    return take_failure(turn, answer, now);
}
