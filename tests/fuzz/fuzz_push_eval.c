/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Push rules of a user and an event of another server. An input is the stored ruleset, a line feed and the event. Whatever they are, an
 * answer comes; and for a plain ruleset the kind of the event says the same as the event.
 */
#include "fuzz.h"

#include "core/push_eval.h"

#define ME "@me:example.org"
#define ROOM "!r:example.org"

static mx_json_t *parse(mx_slice_t text, apr_pool_t *pool)
{
    mx_json_limits_t limits = { MX_JSON_DEPTH_DEFAULT };
    mx_json_t *json = NULL;
    mx_json_parse(&json, NULL, text.p, text.len, &limits, pool);
    return json;
}

static int mentions_me(const mx_json_t *content)
{
    const mx_json_t *users = mx_json_get(mx_json_get(content, "m.mentions"), "user_ids");
    return mx_json_is(users, MX_JSON_ARRAY) && mx_json_has_str(users, ME) ? MX_PUSH_MARK_USER : 0;
}

/** Events whose kind says all: of a plain form, and no membership (invitations are told apart by their content). */
static int has_kind(const mx_json_t *event)
{
    const char *type = mx_json_get_str(event, "type");
    return type && strcmp(type, "m.room.member") != 0 && mx_json_is(mx_json_get(event, "content"), MX_JSON_OBJECT)
           && !mx_json_get(event, "room_id") && (!mx_json_get(event, "state_key") || mx_json_get_str(event, "state_key"));
}

static void fuzz_one(const char *p, apr_size_t len, apr_pool_t *pool)
{
    const char *feed = len ? memchr(p, '\n', len) : NULL;
    mx_push_event_t e = { .room_id = ROOM, .display_name = "Me", .members = 3, .sender_power = APR_INT64_MAX };
    mx_push_verdict_t v, kind;
    const mx_push_set_t *set;
    const mx_json_t *content;
    if (!feed)
        return;
    set = mx_push_eval_compile(mx_push_rules_compose(ME, parse(mx_slice(p, (apr_size_t)(feed - p)), pool), pool), ME, pool);
    e.event = parse(mx_slice(feed + 1, (apr_size_t)(p + len - feed - 1)), pool);
    v = mx_push_eval(set, &e);
    if (mx_str_eq(mx_json_get_str(e.event, "sender"), ME)) {
        FUZZ_CHECK(!v.notify && !v.highlight);
        return;
    }
    if (!mx_push_eval_is_plain(set) || !has_kind(e.event))
        return;
    content = mx_json_get(e.event, "content");
    kind = mx_push_eval_kind(set, mx_json_get_str(e.event, "type"), mx_json_get_str(e.event, "state_key"),
                             mx_push_eval_marks(content) | mentions_me(content), ROOM, 3, pool);
    FUZZ_CHECK(kind.notify == v.notify && kind.highlight == v.highlight);
}
