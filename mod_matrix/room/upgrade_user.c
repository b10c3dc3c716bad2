/* SPDX-License-Identifier: Apache-2.0 */
/* A user's settings for an upgraded room. CS-API: room upgrades: "notifications, tags, etc." */
#include "room/upgrade_private.h"

#include "store/account_data.h"
#include "user/push_rules.h"

#define SWAP_TRIES 10                /* two devices that change one document at once */

/** One user's move from one room to the next. */
typedef struct move_t {
    mx_server_t *server;
    mx_who_t who;
    const mx_room_t *old, *next;
    apr_pool_t *pool;
} move_t;

static void log_failure(const move_t *m, const char *what, apr_status_t rv)
{
    if (rv != APR_SUCCESS && rv != MX_STORE_NONE)
        mx_room_upgrade_log(m->server, m->old->room_id, what, mx_server_store_error(rv, what, m->pool));
}

/** A room that has tags of its own keeps them. */
static void copy_tags(const move_t *m)
{
    mx_slice_t tags;
    apr_int64_t stream;
    apr_status_t rv = mx_store_account_data_get(&tags, &stream, m->server->store, m->who.user_nid, m->old->nid, "m.tag", m->pool);
    if (rv == APR_SUCCESS)
        rv = mx_store_account_data_swap(m->server->store, m->who.user_nid, m->next->nid, "m.tag", tags, 0, m->pool);
    log_failure(m, "copying a user's tags", rv == MX_STORE_RETRY ? APR_SUCCESS : rv);
}

/** Adds the new room wherever m.direct lists the old one; 0 if there is nothing to add. */
static int add_direct(const move_t *m, mx_json_t *direct)
{
    const char *key;
    mx_json_t *rooms;
    void *it = NULL;
    int changed = 0;
    while (mx_json_next(direct, &it, &key, &rooms)) {
        if (!mx_json_is(rooms, MX_JSON_ARRAY) || !mx_json_has_str(rooms, m->old->room_id) || mx_json_has_str(rooms, m->next->room_id))
            continue;
        mx_json_add_str(rooms, m->next->room_id);
        changed = 1;
    }
    return changed;
}

static apr_status_t try_direct(const move_t *m)
{
    mx_json_limits_t limits = { m->server->settings->max_json_depth };
    mx_slice_t text;
    mx_json_t *direct = NULL;
    mx_buf_t *buf = mx_buf_create(m->pool);
    apr_int64_t seen;
    apr_status_t rv = mx_store_account_data_get(&text, &seen, m->server->store, m->who.user_nid, 0, "m.direct", m->pool);
    if (rv != APR_SUCCESS || mx_json_parse(&direct, NULL, text.p, text.len, &limits, m->pool) != MX_JSON_OK ||
        !mx_json_is(direct, MX_JSON_OBJECT) || !add_direct(m, direct))
        return rv;
    mx_json_write(buf, direct);
    return mx_store_account_data_swap(m->server->store, m->who.user_nid, 0, "m.direct", mx_buf_slice(buf), seen, m->pool);
}

static void copy_direct(const move_t *m)
{
    apr_status_t rv = MX_STORE_RETRY;
    int i;
    for (i = 0; i < SWAP_TRIES && rv == MX_STORE_RETRY; i++)
        rv = try_direct(m);
    log_failure(m, "copying a user's direct chats", rv);
}

/* ---- push rules ---- */

/** Kinds whose rules can name a room. */
static const char *const kinds[] = { "override", "room", "underride" };
#define NKINDS (sizeof(kinds) / sizeof(kinds[0]))

/** Points the conditions that ask for the old room to the new one; 0 if there are none. */
static int retarget(const move_t *m, mx_json_t *rule)
{
    mx_json_t *conditions = mx_json_get(rule, "conditions"), *condition;
    static const char *const places[] = { "pattern", "value" };
    apr_size_t i, k;
    int found = 0;
    for (i = 0; i < mx_json_len(conditions); i++) {
        condition = mx_json_at(conditions, i);
        if (!mx_str_eq(mx_json_get_str(condition, "key"), "room_id"))
            continue;
        for (k = 0; k < 2; k++) {
            if (!mx_str_eq(mx_json_get_str(condition, places[k]), m->old->room_id))
                continue;
            mx_json_set_str(condition, places[k], m->next->room_id);
            found = 1;
        }
    }
    return found;
}

/** A copy of the rule for the new room; NULL if it is not about the old one. Rules of kind room are named after theirs. */
static mx_json_t *rule_for_new(const move_t *m, const mx_json_t *rule, const char *kind)
{
    mx_json_t *copy = mx_json_copy(m->pool, rule);
    const char *id = mx_json_get_str(rule, "rule_id");
    int named = mx_str_eq(id, m->old->room_id);
    if (mx_json_get_bool(rule, "default", 0) || !(retarget(m, copy) || (named && strcmp(kind, "room") == 0)))
        return NULL;
    mx_json_set_str(copy, "rule_id", named ? m->next->room_id : apr_pstrcat(m->pool, id, "_", m->next->room_id, NULL));
    return copy;
}

static const mx_error_t *edit_rules(mx_json_t *doc, void *baton, apr_pool_t *pool)
{
    const move_t *m = baton;
    mx_json_t *unused;
    apr_size_t k, i;
    for (k = 0; k < NKINDS; k++) {
        const mx_json_t *list = mx_json_copy(pool, mx_json_get(mx_json_get(doc, "global"), kinds[k]));
        for (i = mx_json_len(list); i-- > 0;) {
            mx_json_t *rule = rule_for_new(m, mx_json_at(list, i), kinds[k]);
            const char *id = mx_json_get_str(rule, "rule_id");
            const mx_error_t *err;
            if (!rule || !mx_push_rules_find(&unused, doc, kinds[k], id, pool))
                continue;
            /* one more than a user may have, or with an id that has grown too long: the others are copied */
            err = mx_push_rules_put(doc, kinds[k], id, rule, NULL, NULL, m->server->settings->max_push_rules, pool);
            if (!err)
                mx_push_rules_set_enabled(doc, kinds[k], id, mx_json_get_bool(rule, "enabled", 1), pool);
        }
    }
    return NULL;
}

/** 1 if some rule of the user's is about the old room: most users have none, and nothing is written for them. */
static int has_rules(const move_t *m, const mx_json_t *doc)
{
    apr_size_t k, i;
    for (k = 0; k < NKINDS; k++) {
        const mx_json_t *list = mx_json_get(mx_json_get(doc, "global"), kinds[k]);
        for (i = 0; i < mx_json_len(list); i++) {
            if (rule_for_new(m, mx_json_at(list, i), kinds[k]))
                return 1;
        }
    }
    return 0;
}

static void copy_push_rules(move_t *m)
{
    mx_json_t *doc = NULL;
    const mx_error_t *err = mx_user_push_rules_get(&doc, m->server, &m->who, m->pool);
    if (!err && has_rules(m, doc))
        err = mx_user_push_rules_change(m->server, &m->who, edit_rules, m, m->pool);
    mx_room_upgrade_log(m->server, m->old->room_id, "copying a user's push rules", err);
}

void mx_room_upgrade_user(mx_server_t *server, const char *user_id, const mx_room_t *old, const mx_room_t *new_room,
                          apr_pool_t *pool)
{
    move_t m = { .server = server, .who = { .user_id = user_id }, .old = old, .next = new_room, .pool = pool };
    apr_status_t rv = mx_server_user_nid(&m.who.user_nid, server, user_id, pool);
    if (rv != APR_SUCCESS) {
        log_failure(&m, "finding a user", rv);
        return;
    }
    copy_tags(&m);
    copy_direct(&m);
    copy_push_rules(&m);
    mx_server_stream_moved(server);
}

/* ---- who joins later ---- */

/** The room that `room` says it replaces, if that says so as well; NULL if not, or if it is not known here. */
static mx_room_t *replaced_room(mx_server_t *server, mx_room_t *room, apr_pool_t *pool)
{
    const mx_event_t *create = NULL, *tombstone = NULL;
    mx_room_t *old = NULL;
    const char *old_id;
    if (mx_room_state_get(&create, server, room, "m.room.create", "", pool) || !create)
        return NULL;
    old_id = mx_json_get_str(mx_json_get(mx_event_content(create), "predecessor"), "room_id");
    if (!old_id || mx_room_get(&old, server, old_id, 0, pool) ||
        mx_room_state_get(&tombstone, server, old, "m.room.tombstone", "", pool) || !tombstone)
        return NULL;
    return mx_str_eq(mx_json_get_str(mx_event_content(tombstone), "replacement_room"), room->room_id) ? old : NULL;
}

void mx_room_upgrade_joined(mx_server_t *server, mx_room_t *room, const char *user_id, apr_pool_t *pool)
{
    mx_membership_e membership = MX_MEMBERSHIP_NONE;
    mx_room_t *old = replaced_room(server, room, pool);
    if (!old || mx_room_membership(&membership, server, old, user_id, pool))
        return;
    if (membership == MX_MEMBERSHIP_JOIN || membership == MX_MEMBERSHIP_LEAVE)
        mx_room_upgrade_user(server, user_id, old, room, pool);
}
