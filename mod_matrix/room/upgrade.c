/* SPDX-License-Identifier: Apache-2.0 */
/* The order of an upgrade: see the header. CS-API: room upgrades. */
#include "room/upgrade_private.h"

#include "core/ident.h"
#include "core/power_upgrade.h"
#include "store/alias.h"
#include "store/directory.h"

#define CANONICAL_ALIAS "m.room.canonical_alias"
#define TOMBSTONE "m.room.tombstone"

void mx_room_upgrade_log(mx_server_t *server, const char *room_id, const char *what, const mx_error_t *err)
{
    if (err && err->code != MX_E_FORBIDDEN)
        mx_log(server->log, MX_LOG_WARNING, err->rv, "MX0611: room=%s upgrade: %s did not work: %s", room_id, what,
               err->detail ? err->detail : err->message);
}

/* ---- may they, and to what ---- */

static const mx_error_t *read_creators(mx_room_upgrade_t *up, const mx_json_t *wished)
{
    const mx_error_t *err;
    mx_json_t *once;
    apr_size_t i, k;
    if (!wished)
        return NULL;
    err = mx_room_create_check_creators(wished, "additional_creators", up->pool);
    if (err || !up->version->privileged_creators)
        return err;
    once = mx_json_new_array(up->pool);
    for (i = 0; i < mx_json_len(wished); i++) {
        const char *user_id = mx_json_str(mx_json_at(wished, i));
        for (k = 0; k < mx_json_len(once) && !mx_str_eq(mx_json_str(mx_json_at(once, k)), user_id); k++)
            ;
        if (k == mx_json_len(once))
            mx_json_add_str(once, user_id);
    }
    up->creators = once;
    return NULL;
}

/** "Checks that the user has permission to send m.room.tombstone events in the room." */
static const mx_error_t *check_power(const mx_room_upgrade_t *up)
{
    const mx_power_t *power = NULL;
    mx_membership_e membership;
    const mx_error_t *err = mx_room_membership(&membership, up->server, up->old, up->who->user_id, up->pool);
    if (!err && membership != MX_MEMBERSHIP_JOIN)
        return mx_error_make(up->pool, MX_E_FORBIDDEN, "You are not a member of %s.", up->old->room_id);
    if (!err)
        err = mx_room_power(&power, up->server, up->old, up->pool);
    if (!err && mx_power_user(power, up->who->user_id) < mx_power_event(power, TOMBSTONE, 1))
        err = mx_error_make(up->pool, MX_E_FORBIDDEN, "Your power level in %s is too low to upgrade it.", up->old->room_id);
    return err;
}

static const mx_error_t *prepare(mx_room_upgrade_t *up, const char *room_id, const mx_room_upgrade_ask_t *ask)
{
    const mx_error_t *err;
    up->version = mx_room_version_find(ask->version_name);
    if (!up->version || !up->version->creatable)
        return mx_error_make(up->pool, MX_E_UNSUPPORTED_ROOM_VERSION, "This server makes no rooms of version %s.",
                             ask->version_name);
    err = read_creators(up, ask->additional_creators);
    if (!err)
        err = mx_room_get(&up->old, up->server, room_id, 1, up->pool);
    if (!err)
        err = check_power(up);
    if (!err)
        err = mx_room_state_get(&up->create, up->server, up->old, "m.room.create", "", up->pool);
    if (!err)
        err = mx_room_state_get(&up->levels, up->server, up->old, "m.room.power_levels", "", up->pool);
    if (!err)
        err = mx_room_state_get(&up->tombstone, up->server, up->old, TOMBSTONE, "", up->pool);
    return err ? err : mx_room_upgrade_load(up);
}

/* ---- the new room ---- */

static const mx_error_t *make_room(mx_room_upgrade_t *up)
{
    mx_room_drafts_t drafts;
    const char *ids[MX_ROOM_DRAFTS_MAX];
    const mx_error_t *err = mx_room_upgrade_drafts(&drafts, up);
    int done = 0, n;
    while (!err && done < drafts.n) {
        n = drafts.n - done < MX_ROOM_DRAFTS_MAX ? drafts.n - done : MX_ROOM_DRAFTS_MAX;
        err = done ? mx_room_send(ids, up->server, up->room_id, drafts.items + done, n, up->pool)
                   : mx_room_begin(&up->room_id, up->server, up->version, drafts.items, n, 0, NULL, up->pool);
        done += n;
    }
    return err;
}

/* ---- the old room ---- */

/** Refuses if somebody else has upgraded the room meanwhile: aliases and members would go there, the tombstone elsewhere. */
static const mx_error_t *check_first(const mx_room_upgrade_t *up)
{
    const mx_event_t *now = NULL;
    mx_room_t *room = NULL;
    const mx_error_t *err = mx_room_get(&room, up->server, up->old->room_id, 1, up->pool);
    if (!err)
        err = mx_room_state_get(&now, up->server, room, TOMBSTONE, "", up->pool);
    if (!err && now && (!up->tombstone || !mx_str_eq(now->event_id, up->tombstone->event_id)))
        err = mx_error_make_status(up->pool, MX_E_UNKNOWN, 400, "%s has just been upgraded by somebody else.", up->old->room_id);
    return err;
}

/** The tombstone, and the levels with it if the user may set them. */
static const mx_error_t *close_old(const mx_room_upgrade_t *up)
{
    mx_json_t *content = mx_json_new_object(up->pool),
              *levels = mx_power_silence(up->create, up->levels ? mx_event_content(up->levels) : NULL, up->pool);
    mx_room_draft_t drafts[] = {
        { .sender = up->who->user_id, .type = TOMBSTONE, .state_key = "", .content = content },
        { .sender = up->who->user_id, .type = "m.room.power_levels", .state_key = "", .content = levels },
    };
    const char *ids[2];
    const mx_error_t *err = NULL;
    mx_json_set_str(content, "body", "This room has been replaced");
    mx_json_set_str(content, "replacement_room", up->room_id);
    if (levels) {
        err = mx_room_send(ids, up->server, up->old->room_id, drafts, 2, up->pool);
        mx_room_upgrade_log(up->server, up->old->room_id, "raising the levels of the old room", err);
    }
    return levels && !err ? NULL : mx_room_send(ids, up->server, up->old->room_id, drafts, 1, up->pool);
}

/* ---- aliases ---- */

static int is_moved(const char *alias, const char *const *aliases, int n)
{
    int i;
    for (i = 0; i < n; i++) {
        if (mx_str_eq(aliases[i], alias))
            return 1;
    }
    return 0;
}

/** The part of an m.room.canonical_alias that moves (`moved` 1) or stays; members that are no aliases stay. */
static mx_json_t *part_of(const mx_json_t *content, int moved, const char *const *aliases, int n, apr_pool_t *pool)
{
    mx_json_t *out = moved ? mx_json_new_object(pool) : mx_json_copy(pool, content);
    mx_json_t *alt = mx_json_get(content, "alt_aliases"), *kept = mx_json_new_array(pool);
    const char *alias = mx_json_get_str(content, "alias");
    apr_size_t i;
    if (is_moved(alias, aliases, n) == moved)
        mx_json_set_str(out, "alias", alias);
    else
        mx_json_del(out, "alias");
    for (i = 0; i < mx_json_len(alt); i++) {
        if (is_moved(mx_json_str(mx_json_at(alt, i)), aliases, n) == moved)
            mx_json_add(kept, mx_json_at(alt, i));
    }
    mx_json_del(out, "alt_aliases");
    if (mx_json_len(kept))
        mx_json_set(out, "alt_aliases", kept);
    return out;
}

static const mx_error_t *set_canonical(const mx_room_upgrade_t *up, const char *room_id, const mx_json_t *content)
{
    mx_room_draft_t draft = { .sender = up->who->user_id, .type = CANONICAL_ALIAS, .state_key = "", .content = content };
    const char *event_id;
    return mx_room_send(&event_id, up->server, room_id, &draft, 1, up->pool);
}

/** "Moves any local aliases to the new room." */
static void move_aliases(const mx_room_upgrade_t *up, const mx_room_t *room)
{
    const mx_event_t *canonical = NULL;
    const char **aliases = NULL;
    int n = 0;
    const mx_error_t *err = mx_room_state_get(&canonical, up->server, up->old, CANONICAL_ALIAS, "", up->pool);
    apr_status_t rv = mx_store_alias_of_room(&aliases, &n, up->server->store, up->old->nid, up->pool);
    if (rv == APR_SUCCESS && n)
        rv = mx_store_alias_move(up->server->store, up->old->nid, room->nid, up->pool);
    if (rv != APR_SUCCESS)
        err = mx_server_store_error(rv, "moving the aliases of a room", up->pool);
    if (!err && n && canonical) {
        const mx_json_t *content = mx_event_content(canonical);
        err = set_canonical(up, up->old->room_id, part_of(content, 0, aliases, n, up->pool));
        mx_room_upgrade_log(up->server, up->old->room_id, "changing the canonical alias of the old room", err);
        err = set_canonical(up, up->room_id, part_of(content, 1, aliases, n, up->pool));
    }
    mx_room_upgrade_log(up->server, up->old->room_id, "moving the aliases", err);
}

static void move_listing(const mx_room_upgrade_t *up, const mx_room_t *room)
{
    apr_status_t rv = mx_store_directory_move(up->server->store, up->old->nid, room->nid, up->pool);
    if (rv != APR_SUCCESS)
        mx_room_upgrade_log(up->server, up->old->room_id, "moving the place in the directory",
                            mx_server_store_error(rv, "moving the place of a room in the directory", up->pool));
}

const mx_error_t *mx_room_upgrade(const char **proom_id, mx_server_t *server, const mx_who_t *who, const char *room_id,
                                  const mx_room_upgrade_ask_t *ask, apr_pool_t *pool)
{
    mx_room_upgrade_t up = { .server = server, .who = who, .pool = pool };
    mx_room_t *room = NULL;
    const mx_error_t *err = prepare(&up, room_id, ask);
    if (!err)
        err = make_room(&up);
    if (!err)
        err = mx_room_get(&room, server, up.room_id, 0, pool);
    if (!err)
        err = check_first(&up);
    if (!err)
        err = close_old(&up);
    if (err)
        return err;
    move_aliases(&up, room);
    move_listing(&up, room);
    mx_room_upgrade_spaces(&up);
    mx_room_upgrade_user(server, who->user_id, up.old, room, pool);
    *proom_id = up.room_id;
    return NULL;
}
