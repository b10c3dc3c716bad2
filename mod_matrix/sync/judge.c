/* SPDX-License-Identifier: Apache-2.0 */
/* Push rules asked of the events of a room. */
#include "sync/judge.h"

struct mx_sync_judge_t {
    const mx_push_set_t *rules;
    mx_push_event_t room;            /* all but the event */
    const mx_power_t *power;
};

const mx_error_t *mx_sync_judge_create(mx_sync_judge_t **pjudge, mx_server_t *server, const mx_who_t *who, const mx_push_set_t *rules,
                                       const char *room_id, apr_pool_t *pool)
{
    const mx_event_t *member = NULL, *levels = NULL;
    mx_sync_judge_t *judge = apr_pcalloc(pool, sizeof(*judge));
    mx_room_t *view = NULL;
    const mx_error_t *err = mx_room_get(&view, server, room_id, 0, pool);

    if (!err) err = mx_room_power(&judge->power, server, view, pool);
    if (!err) err = mx_room_state_get(&member, server, view, "m.room.member", who->user_id, pool);
    if (!err) err = mx_room_state_get(&levels, server, view, "m.room.power_levels", "", pool);
    if (err) return err;
    judge->rules = rules;
    judge->room = (mx_push_event_t){ .room_id = room_id, .members = view->joined };
    if (member) judge->room.display_name = mx_json_get_str(mx_event_content(member), "displayname");
    if (levels) judge->room.notification_power = mx_json_get(mx_event_content(levels), "notifications");
    *pjudge = judge;
    return NULL;
}

mx_push_verdict_t mx_sync_judge_event(mx_json_t **pevent, const mx_sync_judge_t *judge, mx_slice_t pdu, apr_pool_t *pool)
{
    mx_json_limits_t limits = { MX_JSON_DEPTH_DEFAULT * 2 };
    mx_push_verdict_t nothing = { 0 };
    mx_push_event_t e = judge->room;
    mx_json_t *json = NULL;
    const char *sender;

    if (pevent) *pevent = NULL;
    if (mx_json_parse(&json, NULL, pdu.p, pdu.len, &limits, pool) != MX_JSON_OK) return nothing;
    if (pevent) *pevent = json;
    e.event = json;
    sender = mx_json_get_str(json, "sender");
    e.sender_power = sender ? mx_power_user(judge->power, sender) : 0;
    return mx_push_eval(judge->rules, &e);
}
