/* SPDX-License-Identifier: Apache-2.0 */
/* MSC4140: /delayed_events and PUT /rooms/{roomId}/delayed_event/{eventType}/{txnId}, under org.matrix.msc4140. */
#include "api/post.h"

#include "store/event_id.h"

/* ---- scheduling ---- */

static const mx_error_t *must_delay(apr_int64_t *pdelay_ms, mx_req_t *req)
{
    if (!mx_json_get(req->body, "delay_ms")) return mx_error_make(req->pool, MX_E_MISSING_PARAM, "The body lacks delay_ms.");
    return mx_param_body_int(pdelay_ms, req, req->body, "delay_ms", 0, 1, MX_POST_DELAY_MAX);
}

static const mx_error_t *must_content(const mx_json_t **pcontent, mx_req_t *req)
{
    mx_json_t *content = NULL;
    const mx_error_t *err = mx_param_body_object(&content, req, req->body, "content");

    if (!err && !content) err = mx_error_make(req->pool, MX_E_MISSING_PARAM, "The body lacks content.");
    if (!err) *pcontent = content;
    return err;
}

const mx_error_t *mx_client_put_delayed_event(mx_reply_t *reply, mx_req_t *req)
{
    mx_room_delayed_t event = { .type = mx_param_path(req, "eventType"), .txn_id = mx_param_path(req, "txnId") };
    const mx_error_t *err = mx_param_room_id(&event.room_id, req, "roomId");

    if (!err) err = must_delay(&event.delay_ms, req);
    if (!err) err = must_content(&event.content, req);
    if (!err) err = mx_param_body_str(&event.state_key, req, req->body, "state_key", NULL);
    if (err) return err;
    event.txn_scope = apr_pstrcat(req->pool, "delayed_event/", event.room_id, "/", event.type, NULL);
    return mx_post_later(reply, req, &event);
}

/* ---- managing ---- */

const mx_error_t *mx_client_cancel_delayed_event(mx_reply_t *reply, mx_req_t *req)
{
    (void)reply;
    return mx_room_delayed_change(req->server, req->who, mx_param_path(req, "delayId"), MX_DELAYED_CANCEL, req->pool);
}

const mx_error_t *mx_client_restart_delayed_event(mx_reply_t *reply, mx_req_t *req)
{
    (void)reply;
    return mx_room_delayed_change(req->server, req->who, mx_param_path(req, "delayId"), MX_DELAYED_RESTART, req->pool);
}

const mx_error_t *mx_client_send_delayed_event(mx_reply_t *reply, mx_req_t *req)
{
    (void)reply;
    return mx_room_delayed_send(req->server, req->who, mx_param_path(req, "delayId"), req->pool);
}

/** The form that clients used first: what is to be done stands in the body. */
const mx_error_t *mx_client_update_delayed_event(mx_reply_t *reply, mx_req_t *req)
{
    static const struct {
        const char *name;
        mx_handler_fn *fn;
    } actions[] = {
        { "cancel", mx_client_cancel_delayed_event },
        { "restart", mx_client_restart_delayed_event },
        { "send", mx_client_send_delayed_event },
    };
    const char *action = NULL;
    apr_size_t i;
    const mx_error_t *err = mx_param_must_str(&action, req, req->body, "action");

    for (i = 0; !err && i < sizeof(actions) / sizeof(actions[0]); i++) {
        if (strcmp(action, actions[i].name) == 0) return actions[i].fn(reply, req);
    }
    return err ? err : mx_error_make(req->pool, MX_E_INVALID_PARAM, "The action must be cancel, restart or send.");
}

/* ---- reading ---- */

/** `delay` and `running_since` are what clients knew delay_ms and scheduled_at as before. */
static void write_scheduled(mx_json_writer_t *w, const mx_delayed_t *event)
{
    mx_jw_key_str(w, "delay_id", event->delay_id);
    mx_jw_key_str(w, "room_id", event->room_id);
    mx_jw_key_str(w, "type", event->type);
    if (event->state_key) mx_jw_key_str(w, "state_key", event->state_key);
    mx_jw_key_int(w, "delay_ms", event->delay_ms);
    mx_jw_key_int(w, "delay", event->delay_ms);
    mx_jw_key_int(w, "scheduled_at", event->scheduled_ts);
    mx_jw_key_int(w, "running_since", event->scheduled_ts);
    mx_jw_key_raw(w, "content", event->content);
}

static void write_finalised(mx_json_writer_t *w, const mx_delayed_t *event, apr_pool_t *pool)
{
    if (event->event_id.p) mx_jw_key_str(w, "event_id", mx_store_event_id_unpack(event->event_id, pool));
    if (event->error.p) mx_jw_key_raw(w, "error", event->error);
    if (event->finalised_ts) mx_jw_key_int(w, "finalised_ts", event->finalised_ts);
}

const mx_error_t *mx_client_get_delayed_event(mx_reply_t *reply, mx_req_t *req)
{
    mx_delayed_t event;
    mx_json_writer_t *w = mx_jw_create(req->pool);
    const mx_error_t *err = mx_room_delayed_get(&event, req->server, req->who, mx_param_path(req, "delayId"), req->pool);

    if (err) return err;
    mx_jw_object(w);
    write_scheduled(w, &event);
    write_finalised(w, &event, req->pool);
    mx_jw_end_object(w);
    mx_reply_writer(reply, w);
    return NULL;
}

const mx_error_t *mx_client_get_delayed_events(mx_reply_t *reply, mx_req_t *req)
{
    mx_delayed_t *events;
    mx_json_writer_t *w = mx_jw_create(req->pool);
    int i, n = 0;
    apr_status_t rv = mx_store_delayed_list(&events, &n, req->server->store, req->who->user_nid, req->pool);

    if (rv) return mx_server_store_error(rv, "reading delayed events", req->pool);
    mx_jw_object(w);
    mx_jw_key_array(w, "delayed_events");
    for (i = 0; i < n; i++) {
        mx_jw_object(w);
        write_scheduled(w, &events[i]);
        mx_jw_end_object(w);
    }
    mx_jw_end_array(w);
    mx_jw_end_object(w);
    mx_reply_writer(reply, w);
    return NULL;
}
