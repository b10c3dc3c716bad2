/* SPDX-License-Identifier: Apache-2.0 */
/* What a gateway is told. Push Gateway API: POST /_matrix/push/v1/notify. */
#include "workers/push_turn.h"

#include "store/event_id.h"

/** Where an event stands, as people call it. */
typedef struct names_t {
    const char *room_name, *room_alias, *sender_name;
} names_t;

/** A string of the content of a state event; NULL: none, or an empty one. */
static const mx_error_t *read_name(const char **pname, mx_server_t *server, mx_room_t *room, const char *type, const char *state_key,
                                   const char *member, apr_pool_t *pool)
{
    const mx_event_t *event = NULL;
    const mx_error_t *err = mx_room_state_get(&event, server, room, type, state_key, pool);
    const char *name = event ? mx_json_get_str(mx_event_content(event), member) : NULL;

    if (!err && name && *name) *pname = name;
    return err;
}

static const mx_error_t *read_names(names_t *out, const mx_workers_push_turn_t *turn, const char *sender, apr_pool_t *pool)
{
    mx_room_t *room = NULL;
    const mx_error_t *err = mx_room_get(&room, turn->server, turn->sending->room_id, 0, pool);

    if (!err) err = read_name(&out->room_name, turn->server, room, "m.room.name", "", "name", pool);
    if (!err) err = read_name(&out->room_alias, turn->server, room, "m.room.canonical_alias", "", "alias", pool);
    if (!err) err = read_name(&out->sender_name, turn->server, room, "m.room.member", sender, "displayname", pool);
    return err;
}

/** CS-API: actions: a tweak without a value is true. */
static mx_json_t *read_tweaks(const mx_json_t *actions, apr_pool_t *pool)
{
    mx_json_t *tweaks = mx_json_new_object(pool);
    apr_size_t i;

    for (i = 0; i < mx_json_len(actions); i++) {
        mx_json_t *action = mx_json_at(actions, i);
        const char *name = mx_json_get_str(action, "set_tweak");

        if (!name) continue;
        if (mx_json_get(action, "value")) mx_json_set(tweaks, name, mx_json_get(action, "value"));
        else mx_json_set_bool(tweaks, name, 1);
    }
    return tweaks;
}

/** Low is what neither sounds nor stands out, and cannot turn out to once it is decrypted. */
static const char *priority(const mx_json_t *event, const mx_json_t *tweaks)
{
    int high = mx_str_eq(mx_json_get_str(event, "type"), "m.room.encrypted") || mx_json_get(tweaks, "sound")
               || mx_json_bool(mx_json_get(tweaks, "highlight"), 0);

    return high ? "high" : "low";
}

/**
 * "Counts whose value is zero should be omitted"; but where nothing else is told the zero is the news: gateways take no count for no
 * change.
 */
static void write_counts(mx_json_writer_t *w, const mx_workers_push_turn_t *turn, int alone)
{
    mx_jw_key_object(w, "counts");
    if (turn->unread || alone) mx_jw_key_int(w, "unread", turn->unread);
    if (turn->calls) mx_jw_key_int(w, "missed_calls", turn->calls);
    mx_jw_end_object(w);
}

static void write_device(mx_json_writer_t *w, const mx_workers_push_turn_t *turn, const mx_json_t *tweaks)
{
    mx_jw_key_array(w, "devices");
    mx_jw_object(w);
    mx_jw_key_str(w, "app_id", turn->push.app_id);
    mx_jw_key_str(w, "pushkey", turn->push.pushkey);
    mx_jw_key_int(w, "pushkey_ts", turn->push.changed_ts / 1000);
    mx_jw_key_json(w, "data", turn->data);
    if (tweaks && mx_json_len(tweaks)) mx_jw_key_json(w, "tweaks", tweaks);
    mx_jw_end_object(w);
    mx_jw_end_array(w);
}

static const mx_error_t *write_event(mx_json_writer_t *w, const mx_workers_push_turn_t *turn, const mx_json_t *event, apr_pool_t *pool)
{
    const char *type = mx_json_get_str(event, "type"), *sender = mx_json_get_str(event, "sender"),
               *state_key = mx_json_get_str(event, "state_key");
    names_t names = { 0 };
    const mx_error_t *err = read_names(&names, turn, sender, pool);

    if (err) return err;
    mx_jw_key_str(w, "type", type);
    mx_jw_key_str(w, "sender", sender);
    if (names.sender_name) mx_jw_key_str(w, "sender_display_name", names.sender_name);
    if (names.room_name) mx_jw_key_str(w, "room_name", names.room_name);
    if (names.room_alias) mx_jw_key_str(w, "room_alias", names.room_alias);
    if (state_key && mx_str_eq(type, "m.room.member")) mx_jw_key_bool(w, "user_is_target", mx_str_eq(state_key, turn->who.user_id));
    if (mx_json_get(event, "content")) mx_jw_key_json(w, "content", mx_json_get(event, "content"));
    return NULL;
}

const mx_error_t *mx_workers_push_body_write(mx_slice_t *pjson, const mx_workers_push_turn_t *turn, const mx_json_t *event,
                                             const mx_json_t *actions, apr_pool_t *pool)
{
    mx_json_writer_t *w = mx_jw_create(pool);
    mx_json_t *tweaks = event ? read_tweaks(actions, pool) : NULL;
    const mx_error_t *err = NULL;

    mx_jw_object(w);
    mx_jw_key_object(w, "notification");
    if (event) {
        mx_jw_key_str(w, "event_id", mx_store_event_id_unpack(turn->sending->event.id, pool));
        mx_jw_key_str(w, "room_id", turn->sending->room_id);
        mx_jw_key_str(w, "prio", priority(event, tweaks));
        if (!turn->event_id_only) err = write_event(w, turn, event, pool);
    }
    if (err) return err;
    write_counts(w, turn, event == NULL);
    write_device(w, turn, turn->event_id_only ? NULL : tweaks);
    mx_jw_end_object(w);
    mx_jw_end_object(w);
    *pjson = mx_buf_slice(w->buf);
    return NULL;
}
