/* SPDX-License-Identifier: Apache-2.0 */
/* A made-up room for tests: events by short names, state as a list. */
#ifndef MX_TESTS_ROOMS_H
#define MX_TESTS_ROOMS_H

#include "unit.h"

#include "core/auth_rules.h"

#define ROOM_MAX 200

typedef struct room_t {
    const mx_room_version_t *version;
    const char *room_id;
    const mx_event_t *state[ROOM_MAX];
    int n;
    apr_int64_t clock;
} room_t;

static inline const mx_event_t *room_get(void *baton, const char *type, const char *state_key)
{
    room_t *room = baton;
    int i;
    for (i = room->n - 1; i >= 0; i--) {
        if (mx_event_is(room->state[i], type, state_key))
            return room->state[i];
    }
    return NULL;
}

/** An event of the room; its auth events are those that the state gives. `content` in any JSON form. */
static inline mx_event_t *room_event(room_t *room, const char *sender, const char *type, const char *state_key,
                                     const char *content)
{
    mx_event_t *ev = NULL;
    mx_state_key_t keys[MX_AUTH_KEYS_MAX];
    const char *auth[MX_AUTH_KEYS_MAX];
    mx_event_draft_t d = { .version = room->version, .room_id = room->room_id, .sender = sender, .type = type,
                           .state_key = state_key, .content = mx_slice_str(unit_canonical(content)), .depth = room->n + 1,
                           .origin_server_ts = ++room->clock, .auth_events = auth, .origin = "h" };
    const mx_error_t *err;
    int i, n = mx_auth_keys(keys, room->version, type, sender, state_key, unit_json(content), pool);
    for (i = 0; i < n; i++) {
        const mx_event_t *found = room_get(room, keys[i].type, keys[i].state_key);
        if (found)
            auth[d.nauth++] = found->event_id;
    }
    err = mx_event_build(&ev, &d, pool);
    ck_assert_msg(err == NULL, "%s", err ? err->message : "");
    return ev;
}

static inline mx_event_t *room_add(room_t *room, const char *sender, const char *type, const char *state_key, const char *content)
{
    mx_event_t *ev = room_event(room, sender, type, state_key, content);
    ck_assert_int_lt(room->n, ROOM_MAX);
    room->state[room->n++] = ev;
    return ev;
}

static inline mx_event_t *room_member(room_t *room, const char *sender, const char *user, const char *membership)
{
    return room_add(room, sender, "m.room.member", user, apr_psprintf(pool, "{\"membership\":\"%s\"}", membership));
}

/** A room that @creator:h made and joined. `content` of the create event without its closing brace, e.g. "{\"x\":1". */
static inline room_t *room_new(const char *version, const char *content)
{
    room_t *room = apr_pcalloc(pool, sizeof(*room));
    const char *more = content ? content : "{\"creator\":\"@creator:h\"";
    mx_event_t *create;
    room->version = mx_room_version_find(version);
    room->room_id = room->version->room_id_is_create_hash ? NULL : "!r:h";
    create = room_add(room, "@creator:h", "m.room.create", "", apr_pstrcat(pool, more, "}", NULL));
    room->room_id = create->room_id;
    room_member(room, "@creator:h", "@creator:h", "join");
    return room;
}

/** NULL if the rules allow the event on the room's state. */
static inline const char *room_refusal(room_t *room, const mx_event_t *ev)
{
    mx_auth_state_t state = { room_get, room, NULL };
    const mx_error_t *err = mx_auth_check(ev, &state, pool);
    ck_assert(!err || (err->code == MX_E_FORBIDDEN && err->status == 403));
    return err ? err->message : NULL;
}

#endif
