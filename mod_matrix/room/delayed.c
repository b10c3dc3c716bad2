/* SPDX-License-Identifier: Apache-2.0 */
/* Schedules events, changes what is scheduled, and sends it. */
#include "room/delayed.h"

#include "base/wake.h"
#include "room/accept.h"
#include "room/post.h"
#include "server/runner.h"
#include "store/event_id.h"

#define DELAY_ID_CHARS 24
#define TXN_SCOPE "delayed"
#define TASK "room.delayed"          /* delayed_due() in sql/0019_calls.sql names it, too */
#define TASK_INTERVAL_MS 3600000
#define TASK_SLICE_MS 20000
#define RETRY_MS 1000                /* what failed by our own fault: doubled each time … */
#define TRIES_MAX 10                 /* … and given up after so many */
#define BUSY_TRIES 100               /* orders for an event that is just being sent wait for it: so often … */
#define BUSY_REST_US 20000           /* … for so long, with no connection in hand */

/* ---- to be sent later ---- */

/** Clients that use the older form look for these members, and then ask for less. */
static const mx_error_t *too_long(apr_int64_t max_ms, int older_form, apr_pool_t *pool)
{
    mx_error_t *err = mx_error_copy(pool, mx_error_make_status(pool, older_form ? MX_E_UNKNOWN : MX_E_FORBIDDEN, older_form ? 400 : 403,
                                                               "Events can be delayed by %" APR_INT64_T_FMT " ms at most.", max_ms));

    err->extra = mx_json_new_object(pool);
    mx_json_set_str(err->extra, "org.matrix.msc4140.errcode", "M_MAX_DELAY_EXCEEDED");
    mx_json_set_int(err->extra, "org.matrix.msc4140.max_delay", max_ms);
    return err;
}

static const mx_error_t *check_limits(const mx_settings_t *settings, const mx_room_delayed_t *event, apr_pool_t *pool)
{
    if (!settings->delayed_events_max)
        return mx_error_make(pool, MX_E_FORBIDDEN, "This server sends no delayed events.");
    return event->delay_ms > settings->event_delay_max_ms ? too_long(settings->event_delay_max_ms, event->older_form, pool) : NULL;
}

static const mx_error_t *too_many(apr_int64_t wait_ms, apr_pool_t *pool)
{
    mx_error_t *err = mx_error_copy(pool, mx_error_make(pool, MX_E_LIMIT_EXCEEDED, "You have as many delayed events as are allowed."));

    err->extra = mx_json_new_object(pool);
    mx_json_set_int(err->extra, "retry_after_ms", wait_ms > 1 ? wait_ms : 1);
    return err;
}

/** Could the event be one at all? Whether it may be sent is asked at its time. */
static const mx_error_t *check_event(mx_slice_t *pcontent, mx_server_t *server, const mx_who_t *who, const mx_room_delayed_t *event,
                                     apr_pool_t *pool)
{
    mx_room_draft_t draft = { .sender = who->user_id, .type = event->type, .state_key = event->state_key, .content = event->content,
                              .txn_id = event->txn_id };
    mx_room_accept_item_t item;
    mx_room_t *room;
    const mx_error_t *err = mx_room_get(&room, server, event->room_id, 0, pool);

    if (!err) err = mx_room_accept_prepare(&item, server, &draft, pool);
    if (!err) *pcontent = item.content;
    return err;
}

const mx_error_t *mx_room_delayed_schedule(const char **pdelay_id, mx_server_t *server, const mx_who_t *who,
                                           const mx_room_delayed_t *event, apr_pool_t *pool)
{
    mx_delayed_ask_t ask = { who->user_nid, who->device_nid, event->txn_id, event->txn_scope, (int)server->settings->delayed_events_max };
    mx_delayed_t row = { .delay_id = mx_random_string(mx_alphabet_alnum, DELAY_ID_CHARS, pool), .room_id = event->room_id,
                         .type = event->type, .state_key = event->state_key, .sticky_ms = event->sticky_ms, .delay_ms = event->delay_ms };
    const char *delay_id = NULL;
    apr_int64_t wait_ms = 0;
    apr_status_t rv;
    const mx_error_t *err = check_limits(server->settings, event, pool);

    if (!err) err = check_event(&row.content, server, who, event, pool);
    if (err) return err;
    rv = mx_store_delayed_schedule(&delay_id, &wait_ms, server->store, &row, &ask, pool);
    if (rv) return mx_server_store_error(rv, "scheduling an event", pool);
    if (!delay_id) return too_many(wait_ms, pool);
    mx_runner_look(server);
    *pdelay_id = delay_id;
    return NULL;
}

/* ---- sending ---- */

/** The event goes the way of all others, as its user, and under a transaction id of its own. */
static const mx_error_t *post(const char **pevent_id, mx_server_t *server, const mx_delayed_t *event, apr_pool_t *pool)
{
    mx_who_t who = { .user_id = event->user_id, .user_nid = event->user_nid, .device_id = "", .guest = event->guest,
                     .admin = event->admin };
    mx_room_draft_t draft = { .sender = event->user_id, .type = event->type, .state_key = event->state_key, .is_admin = event->admin,
                              .sticky_ms = event->sticky_ms, .txn_id = event->delay_id, .txn_scope = TXN_SCOPE };
    mx_json_t *content = NULL;

    if (event->deactivated) return mx_error_make(pool, MX_E_USER_DEACTIVATED, "The account is deactivated.");
    if (mx_json_parse(&content, NULL, event->content.p, event->content.len, NULL, pool) != MX_JSON_OK)
        return mx_error_internal(pool, APR_EGENERAL, "reading a delayed event");
    draft.content = content;
    return mx_room_post(pevent_id, server, &who, event->room_id, &draft, pool);
}

static mx_slice_t error_json(const mx_error_t *err, apr_pool_t *pool)
{
    mx_json_writer_t *w = mx_jw_create(pool);

    mx_jw_object(w);
    mx_jw_key_str(w, "errcode", mx_errcode_wire(err->code));
    mx_jw_key_str(w, "error", err->message);
    mx_jw_end_object(w);
    return mx_buf_slice(w->buf);
}

/** The fault is ours, or the moment's: the same again may succeed. */
static int is_passing(const mx_error_t *err)
{
    return err->status >= 500;
}

static apr_status_t finish_sent(mx_server_t *server, const char *delay_id, const char *event_id, apr_pool_t *pool)
{
    return mx_store_delayed_finish(server->store, delay_id, mx_store_event_id_pack(event_id, pool), MX_SLICE_NONE, pool);
}

/** One that is due. An error: it could not be noted what became of it. */
static apr_status_t send_due(mx_server_t *server, const mx_delayed_t *event, apr_pool_t *pool)
{
    const char *event_id = NULL;
    const mx_error_t *err = post(&event_id, server, event, pool);

    if (!err) return finish_sent(server, event->delay_id, event_id, pool);
    mx_log(server->log, MX_LOG_DEBUG, err->rv, "room=%s user=%s a delayed event is not sent (try %d): %s", event->room_id, event->user_id,
           event->tries, err->detail ? err->detail : err->message);
    if (is_passing(err) && event->tries < TRIES_MAX)
        return mx_store_delayed_give_back(server->store, event->delay_id, (apr_int64_t)RETRY_MS << event->tries, pool);
    return mx_store_delayed_finish(server->store, event->delay_id, MX_SLICE_NONE, error_json(err, pool), pool);
}

/* ---- the task ---- */

static const mx_error_t *send_all_due(mx_runner_job_t *job, apr_pool_t *pool)
{
    mx_server_t *server = job->server;
    mx_delayed_t event;
    apr_pool_t *step;
    apr_status_t rv = APR_SUCCESS;

    apr_pool_create(&step, pool);
    while (rv == APR_SUCCESS && mx_runner_go_on(job)) {
        apr_pool_clear(step);
        rv = mx_store_delayed_take(&event, server->store, step);
        if (rv == APR_SUCCESS) rv = send_due(server, &event, step);
    }
    if (rv == MX_STORE_NONE) rv = mx_store_delayed_next(&job->next_ms, server->store, step);
    return rv == APR_SUCCESS || rv == MX_STORE_NONE ? NULL : mx_server_store_error(rv, "sending delayed events", pool);
}

static apr_status_t is_waiting(int *pwaiting, mx_server_t *server, apr_pool_t *pool)
{
    apr_int64_t ms;
    apr_status_t rv = mx_store_delayed_next(&ms, server->store, pool);

    *pwaiting = rv == APR_SUCCESS;
    return rv == MX_STORE_NONE ? APR_SUCCESS : rv;
}

static const mx_runner_task_t task = { .name = TASK, .run = send_all_due, .is_waiting = is_waiting, .interval_ms = TASK_INTERVAL_MS,
                                       .slice_ms = TASK_SLICE_MS };

apr_status_t mx_room_delayed_init(mx_server_t *server)
{
    return mx_runner_add(server, &task);
}

/* ---- orders of the user ---- */

static const mx_error_t *no_such(apr_pool_t *pool)
{
    return mx_error_make(pool, MX_E_NOT_FOUND, "You have no delayed event of that id.");
}

static const mx_error_t *outcome_error(mx_delayed_outcome_e outcome, apr_pool_t *pool)
{
    switch (outcome) {
    case MX_DELAYED_NONE:
        return no_such(pool);
    case MX_DELAYED_ENDED:
        return mx_error_make_status(pool, MX_E_UNKNOWN, 409, "The delayed event has been sent or cancelled before.");
    case MX_DELAYED_BUSY:
        return mx_error_make_status(pool, MX_E_UNKNOWN, 503, "The delayed event is being sent; try again.");
    default:
        return NULL;
    }
}

/** Who sends it needs a few ms, and is another child or thread: there is nobody to be woken by. */
static void wait_for_sender(apr_pool_t *pool)
{
    mx_wake_t *wake;

    if (mx_wake_create(&wake, pool) == APR_SUCCESS) mx_wake_wait(wake, BUSY_REST_US);
}

const mx_error_t *mx_room_delayed_change(mx_server_t *server, const mx_who_t *who, const char *delay_id, mx_delayed_change_e change,
                                         apr_pool_t *pool)
{
    mx_delayed_outcome_e outcome = MX_DELAYED_BUSY;
    int i;

    for (i = 0; outcome == MX_DELAYED_BUSY && i < BUSY_TRIES; i++) {
        apr_status_t rv = mx_store_delayed_change(&outcome, server->store, who->user_nid, delay_id, change, pool);
        if (rv) return mx_server_store_error(rv, "changing a delayed event", pool);
        if (outcome == MX_DELAYED_BUSY) wait_for_sender(pool);
    }
    return outcome_error(outcome, pool);
}

/** Sends one that was taken at its user's wish: what is refused stays as it was. */
static const mx_error_t *send_taken(mx_server_t *server, const mx_delayed_t *event, apr_pool_t *pool)
{
    const char *event_id = NULL;
    const mx_error_t *err = post(&event_id, server, event, pool);
    apr_status_t rv = err ? mx_store_delayed_give_back(server->store, event->delay_id, 0, pool)
                          : finish_sent(server, event->delay_id, event_id, pool);

    if (err) {
        mx_runner_look(server);
        return err;
    }
    /* what is stored is sent, whether that could be noted or not: the task will find it so */
    return rv ? mx_server_store_error(rv, "noting that a delayed event is sent", pool) : NULL;
}

/** Why it could not be taken. */
static const mx_error_t *why_not(mx_delayed_outcome_e *poutcome, mx_server_t *server, const mx_who_t *who, const char *delay_id,
                                 apr_pool_t *pool)
{
    mx_delayed_t event;
    const mx_error_t *err = mx_room_delayed_get(&event, server, who, delay_id, pool);

    if (!err) *poutcome = !event.finalised_ts ? MX_DELAYED_BUSY : event.event_id.p ? MX_DELAYED_DONE : MX_DELAYED_ENDED;
    return err;
}

const mx_error_t *mx_room_delayed_send(mx_server_t *server, const mx_who_t *who, const char *delay_id, apr_pool_t *pool)
{
    mx_delayed_outcome_e outcome = MX_DELAYED_BUSY;
    const mx_error_t *err = NULL;
    int i;

    for (i = 0; !err && outcome == MX_DELAYED_BUSY && i < BUSY_TRIES; i++) {
        mx_delayed_t event;
        apr_status_t rv = mx_store_delayed_take_one(&event, server->store, who->user_nid, delay_id, pool);
        if (rv == APR_SUCCESS) return send_taken(server, &event, pool);
        if (rv != MX_STORE_NONE) return mx_server_store_error(rv, "sending a delayed event", pool);
        err = why_not(&outcome, server, who, delay_id, pool);
        if (!err && outcome == MX_DELAYED_BUSY) wait_for_sender(pool);
    }
    return err ? err : outcome_error(outcome, pool);
}

const mx_error_t *mx_room_delayed_get(mx_delayed_t *out, mx_server_t *server, const mx_who_t *who, const char *delay_id, apr_pool_t *pool)
{
    apr_status_t rv = mx_store_delayed_get(out, server->store, who->user_nid, delay_id, pool);

    if (rv == MX_STORE_NONE) return no_such(pool);
    return rv ? mx_server_store_error(rv, "reading a delayed event", pool) : NULL;
}
