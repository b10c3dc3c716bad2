/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a user's push rules say of an event. CS-API: push rules. Pure.
 * A ruleset is compiled once and then never changes: many threads may ask it.
 */
#ifndef MX_CORE_PUSH_EVAL_H
#define MX_CORE_PUSH_EVAL_H

#include "core/push_rules.h"

typedef struct mx_push_set_t mx_push_set_t;

/** An event and what the conditions ask besides. Everything is borrowed; names may be NULL. */
typedef struct mx_push_event_t {
    const mx_json_t *event;              /* with type, sender, room_id, content and, of state, state_key */
    const char *room_id;                 /* stands in for the event's, which an event told by a room does not hold */
    const char *display_name;            /* of the ruleset's owner in that room */
    apr_int64_t members;                 /* joined to the room now */
    apr_int64_t sender_power;
    const mx_json_t *notification_power; /* content.notifications of m.room.power_levels */
} mx_push_event_t;

typedef struct mx_push_verdict_t {
    const mx_json_t *actions;            /* of the rule that matched; NULL: none did. Belongs to the set's document */
    const char *rule_id;
    unsigned notify : 1, highlight : 1;
} mx_push_verdict_t;

/** CS-API: m.room.power_levels: the level that `notifications` means where it does not name a key. */
#define MX_PUSH_POWER_DEFAULT 50

/**
 * `doc` is what mx_push_rules_compose() gives; it must outlive the set, as must `user_id`, and not change. A rule that holds a
 * condition which nobody knows never matches, nor does one whose parameters are no good.
 */
mx_push_set_t *mx_push_eval_compile(const mx_json_t *doc, const char *user_id, apr_pool_t *pool);

/** The first enabled rule that matches: override, content, room, sender, underride. Never for the user's own events. */
mx_push_verdict_t mx_push_eval(const mx_push_set_t *set, const mx_push_event_t *event);

/**
 * 1 if whoever knows the room, and of an event what MX_PUSH_MARK_* and its type say, knows the verdict: apart from predefined rules the
 * user has only such as name a room. Then few made-up events (mx_push_eval_kind()) answer for all.
 */
int mx_push_eval_is_plain(const mx_push_set_t *set);

/** What the predefined rules look at in a content. Stored: numbers never change. */
typedef enum {
    MX_PUSH_MARK_NOTICE = 1,             /* content.msgtype is m.notice */
    MX_PUSH_MARK_EDIT = 2,               /* the relation is m.replace */
    MX_PUSH_MARK_ROOM = 4,               /* m.mentions.room, by somebody who may */
    MX_PUSH_MARK_USER = 8,               /* m.mentions.user_ids names the user: not of the event alone, never stored */
    MX_PUSH_MARK_STATE = 16              /* a state event, with an empty key, that a predefined rule notifies of */
} mx_push_mark_e;

/** The verdict on an event of that type with these marks; for plain sets. `state_key` NULL: no state event. */
mx_push_verdict_t mx_push_eval_kind(const mx_push_set_t *set, const char *type, const char *state_key, int marks, const char *room_id,
                                    apr_int64_t members, apr_pool_t *pool);

/** NOTICE and EDIT, and ROOM without asking whether the sender may, of a content. */
int mx_push_eval_marks(const mx_json_t *content);

/**
 * The value at a path of names between dots. Appendices: dot-separated property paths: `\.` is a dot in a name and `\\` a backslash;
 * any other backslash is itself. NULL if there is none.
 */
const mx_json_t *mx_push_eval_path(const mx_json_t *event, const char *path);

#endif
