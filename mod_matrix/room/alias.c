/* SPDX-License-Identifier: Apache-2.0 */
/* Room aliases: making, resolving, removing; the canonical alias. CS-API: room aliases. */
#include "room/alias.h"

#include "core/ident.h"
#include "core/power.h"
#include "room/reader.h"
#include "store/alias.h"

static const mx_error_t *not_found(const char *alias, apr_pool_t *pool)
{
    return mx_error_make(pool, MX_E_NOT_FOUND, "Room alias %s not found.", alias);
}

static const mx_error_t *find(mx_alias_row_t *out, mx_server_t *server, const char *alias, apr_pool_t *pool)
{
    apr_status_t rv = mx_store_alias_find(out, server->store, alias, pool);

    if (rv == MX_STORE_NONE)
        return not_found(alias, pool);
    return rv == APR_SUCCESS ? NULL : mx_server_store_error(rv, "looking up a room alias", pool);
}

const mx_error_t *mx_room_alias_resolve(const char **proom_id, mx_server_t *server, const char *alias, apr_pool_t *pool)
{
    mx_alias_row_t row;
    const mx_error_t *err;

    if (!mx_ident_is_room_alias(alias))
        return mx_error_make(pool, MX_E_INVALID_PARAM, "That is not a valid room alias.");
    if (!mx_ident_is_local(alias, server->name))
        return mx_error_make(pool, MX_E_NOT_FOUND, "%s is an alias of another server, which this one cannot ask.",
                             alias);
    err = find(&row, server, alias, pool);
    if (!err)
        *proom_id = row.room_id;
    return err;
}

/** M_FORBIDDEN unless the user is joined. */
static const mx_error_t *must_be_joined(mx_server_t *server, mx_room_t *room, const char *user_id, apr_pool_t *pool)
{
    mx_membership_e membership;
    const mx_error_t *err = mx_room_membership(&membership, server, room, user_id, pool);

    if (!err && membership != MX_MEMBERSHIP_JOIN)
        err = mx_error_make(pool, MX_E_FORBIDDEN, "You are not a member of %s.", room->room_id);
    return err;
}

const mx_error_t *mx_room_alias_create(mx_server_t *server, const mx_who_t *who, const char *alias, const char *room_id,
                                       apr_time_t now, apr_pool_t *pool)
{
    mx_room_t *room;
    const mx_error_t *err;
    apr_status_t rv;

    if (!mx_ident_is_local(alias, server->name))
        return mx_error_make(pool, MX_E_INVALID_PARAM, "Aliases of this server end in :%s.", server->name);
    err = mx_room_get(&room, server, room_id, 1, pool);
    if (!err)
        err = must_be_joined(server, room, who->user_id, pool);
    if (err)
        return err;
    rv = mx_store_alias_insert(server->store, alias, room->nid, who->user_nid, apr_time_as_msec(now), pool);
    /* the specification gives 409 and M_UNKNOWN here, M_ROOM_IN_USE in createRoom */
    if (rv == MX_STORE_DUPLICATE)
        return mx_error_make_status(pool, MX_E_UNKNOWN, 409, "Room alias %s already exists.", alias);
    return rv == APR_SUCCESS ? NULL : mx_server_store_error(rv, "storing a room alias", pool);
}

/** 1 if the user is joined and may send m.room.canonical_alias. */
static const mx_error_t *may_set_canonical(int *pyes, mx_server_t *server, mx_room_t *room, const char *user_id,
                                           apr_pool_t *pool)
{
    const mx_power_t *power;
    mx_membership_e membership;
    const mx_error_t *err = mx_room_membership(&membership, server, room, user_id, pool);

    if (!err)
        err = mx_room_power(&power, server, room, pool);
    if (!err)
        *pyes = membership == MX_MEMBERSHIP_JOIN
                && mx_power_user(power, user_id) >= mx_power_event(power, "m.room.canonical_alias", 1);
    return err;
}

/** The content without the alias; NULL if it did not name it. */
static mx_json_t *content_without(const mx_json_t *content, const char *alias, apr_pool_t *pool)
{
    mx_json_t *out = mx_json_copy(pool, content), *alt = mx_json_get(content, "alt_aliases"),
              *kept = mx_json_new_array(pool);
    int named = mx_str_eq(mx_json_get_str(content, "alias"), alias);
    apr_size_t i;

    if (named)
        mx_json_del(out, "alias");
    for (i = 0; i < mx_json_len(alt); i++) {
        if (!mx_str_eq(mx_json_str(mx_json_at(alt, i)), alias))
            mx_json_add(kept, mx_json_at(alt, i));
    }
    if (mx_json_len(kept) == mx_json_len(alt))
        return named ? out : NULL;
    mx_json_set(out, "alt_aliases", kept);
    return out;
}

/** Takes a removed alias out of the room's canonical alias event. */
static const mx_error_t *drop_canonical(mx_server_t *server, mx_room_t *room, const char *user_id, const char *alias,
                                        apr_pool_t *pool)
{
    const mx_event_t *event = NULL;
    const char *event_id;
    mx_room_draft_t draft = { .sender = user_id, .type = "m.room.canonical_alias", .state_key = "" };
    const mx_error_t *err = mx_room_state_get(&event, server, room, draft.type, "", pool);

    if (err || !event)
        return err;
    draft.content = content_without(mx_event_content(event), alias, pool);
    return draft.content ? mx_room_send(&event_id, server, room->room_id, &draft, 1, pool) : NULL;
}

const mx_error_t *mx_room_alias_delete(mx_server_t *server, const mx_who_t *who, const char *alias, apr_pool_t *pool)
{
    mx_alias_row_t row;
    mx_room_t *room;
    int powerful = 0;
    const mx_error_t *err =
        mx_ident_is_local(alias, server->name) ? find(&row, server, alias, pool) : not_found(alias, pool);
    apr_status_t rv;

    if (!err)
        err = mx_room_get(&room, server, row.room_id, 1, pool);
    if (!err)
        err = may_set_canonical(&powerful, server, room, who->user_id, pool);
    if (err)
        return err;
    if (row.creator_nid != who->user_nid && !powerful && !who->admin)
        return mx_error_make(pool, MX_E_FORBIDDEN,
                             "Only who made %s, or may set the room's canonical alias, can remove it.", alias);
    rv = mx_store_alias_delete(server->store, alias, row.room_nid, pool);
    if (rv == MX_STORE_NONE)
        return not_found(alias, pool);
    if (rv != APR_SUCCESS)
        return mx_server_store_error(rv, "removing a room alias", pool);
    /* the alias is gone whatever becomes of the event: the specification wants success then */
    if (powerful)
        drop_canonical(server, room, who->user_id, alias, pool);
    return NULL;
}

const mx_error_t *mx_room_alias_list(const char ***paliases, int *pn, mx_server_t *server, const mx_who_t *who,
                                     const char *room_id, apr_pool_t *pool)
{
    mx_room_reader_t *reader = NULL;
    const mx_error_t *err = mx_room_reader_open(&reader, server, who, room_id, pool);
    apr_status_t rv;

    if (!err && !reader->whole)
        err = mx_error_make(pool, MX_E_FORBIDDEN, "You are not a member of %s.", room_id);
    if (err)
        return err;
    rv = mx_store_alias_of_room(paliases, pn, server->store, reader->room->nid, pool);
    return rv == APR_SUCCESS ? NULL : mx_server_store_error(rv, "reading the aliases of a room", pool);
}

/* ---- the canonical alias ---- */

/** 1 if the content names the alias, as `alias` or among `alt_aliases`. */
static int names(const mx_json_t *content, const char *alias)
{
    mx_json_t *alt = mx_json_get(content, "alt_aliases");
    apr_size_t i;

    if (mx_str_eq(mx_json_get_str(content, "alias"), alias))
        return 1;
    for (i = 0; i < mx_json_len(alt); i++) {
        if (mx_str_eq(mx_json_str(mx_json_at(alt, i)), alias))
            return 1;
    }
    return 0;
}

/** Adds `value` to the list if it is a new alias; an absent, null or empty one says nothing. */
static const mx_error_t *add_new(const char **list, int *pn, const mx_json_t *value, const mx_json_t *old,
                                 apr_pool_t *pool)
{
    const char *alias = mx_json_str(value);

    if (!value || mx_json_is(value, MX_JSON_NULL) || (alias && !*alias))
        return NULL;
    if (alias && names(old, alias))
        return NULL;
    if (!mx_ident_is_room_alias(alias))
        return mx_error_make(pool, MX_E_INVALID_PARAM, "%s is not a valid room alias.",
                             alias ? alias : "What stands in alias or alt_aliases");
    list[(*pn)++] = alias;
    return NULL;
}

/** The aliases that `content` has and `old` has not. */
static const mx_error_t *collect_new(const char ***plist, int *pn, const mx_json_t *content, const mx_json_t *old,
                                     apr_pool_t *pool)
{
    mx_json_t *alt = mx_json_get(content, "alt_aliases");
    const mx_error_t *err;
    apr_size_t i;

    if (alt && !mx_json_is(alt, MX_JSON_ARRAY))
        return mx_error_make(pool, MX_E_INVALID_PARAM, "alt_aliases must be a list.");
    if (mx_json_len(alt) > MX_ROOM_ALT_ALIASES_MAX)
        return mx_error_make(pool, MX_E_INVALID_PARAM, "alt_aliases may hold at most %d aliases.",
                             MX_ROOM_ALT_ALIASES_MAX);
    *plist = apr_pcalloc(pool, (mx_json_len(alt) + 2) * sizeof(**plist));
    *pn = 0;
    err = add_new(*plist, pn, mx_json_get(content, "alias"), old, pool);
    for (i = 0; !err && i < mx_json_len(alt); i++)
        err = add_new(*plist, pn, mx_json_at(alt, i), old, pool);
    return err;
}

const mx_error_t *mx_room_alias_check_canonical(mx_server_t *server, const char *room_id, const mx_json_t *content,
                                                apr_pool_t *pool)
{
    mx_room_t *room;
    const mx_event_t *old = NULL;
    const char **list = NULL, **ids;
    int i, n = 0;
    const mx_error_t *err = mx_room_get(&room, server, room_id, 1, pool);
    apr_status_t rv;

    if (!err)
        err = mx_room_state_get(&old, server, room, "m.room.canonical_alias", "", pool);
    if (!err)
        err = collect_new(&list, &n, content, old ? mx_event_content(old) : NULL, pool);
    if (err || !n)
        return err;
    ids = apr_pcalloc(pool, n * sizeof(*ids));
    rv = mx_store_alias_find_all(ids, server->store, list, n, pool);
    if (rv != APR_SUCCESS)
        return mx_server_store_error(rv, "looking up room aliases", pool);
    for (i = 0; i < n; i++) {
        if (!mx_str_eq(ids[i], room_id))
            return mx_error_make(pool, MX_E_ALIAS_MISMATCH, "The alias %s does not point to this room.", list[i]);
    }
    return NULL;
}
