/* SPDX-License-Identifier: Apache-2.0 */
/* PUT of an event as clients do it, now or later. */
#include "api/post.h"

#include "core/sticky.h"
#include "room/post.h"

static const mx_error_t *reply_id(mx_reply_t *reply, mx_req_t *req, const char *key, const char *id)
{
    mx_json_writer_t *w = mx_jw_create(req->pool);

    mx_jw_object(w);
    mx_jw_key_str(w, key, id);
    mx_jw_end_object(w);
    mx_reply_writer(reply, w);
    return NULL;
}

const mx_error_t *mx_post_later(mx_reply_t *reply, mx_req_t *req, const mx_room_delayed_t *event)
{
    const char *delay_id = NULL;
    const mx_error_t *err = mx_room_delayed_schedule(&delay_id, req->server, req->who, event, req->pool);

    return err ? err : reply_id(reply, req, "delay_id", delay_id);
}

static const mx_error_t *post_now(mx_reply_t *reply, mx_req_t *req, const char *room_id, const mx_room_draft_t *draft)
{
    const char *event_id = NULL;
    const mx_error_t *err = mx_room_post(&event_id, req->server, req->who, room_id, draft, req->pool);

    return err ? err : reply_id(reply, req, "event_id", event_id);
}

/** MSC4354: how long the event is to be sticky; -1: not at all. */
static const mx_error_t *sticky_query(apr_int64_t *pms, mx_req_t *req)
{
    return mx_param_query_int(pms, req, "org.matrix.msc4354.sticky_duration_ms", -1, 0, MX_STICKY_MAX_MS);
}

const mx_error_t *mx_post_event(mx_reply_t *reply, mx_req_t *req, mx_room_draft_t *draft)
{
    mx_room_delayed_t later = { .type = draft->type, .state_key = draft->state_key, .content = req->body, .older_form = 1,
                                .txn_id = draft->txn_id };
    apr_int64_t sticky_ms = -1;
    const mx_error_t *err = mx_param_room_id(&later.room_id, req, "roomId");

    if (!err) err = mx_param_query_int(&later.delay_ms, req, "org.matrix.msc4140.delay", 0, 1, MX_POST_DELAY_MAX);
    if (!err) err = sticky_query(&sticky_ms, req);
    if (err) return err;
    if (sticky_ms >= 0) draft->sticky_ms = later.sticky_ms = &sticky_ms;
    draft->sender = req->who->user_id;
    draft->content = req->body;
    if (!later.delay_ms) return post_now(reply, req, later.room_id, draft);
    later.txn_scope = apr_pstrcat(req->pool, draft->txn_scope ? draft->txn_scope : "", " ", later.room_id, NULL);
    return mx_post_later(reply, req, &later);
}
