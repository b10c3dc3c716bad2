/* SPDX-License-Identifier: Apache-2.0 */
/* The events of the room that replaces another. CS-API: room upgrades, server behaviour 2 and 3. */
#include "room/upgrade_private.h"

#include "core/power_upgrade.h"
#include "room/member.h"
#include "store/event_id.h"
#include "store/member_list.h"
#include "store/room.h"

#define OWN_EVENTS 3                 /* create, member, power levels */
#define SPACE_TYPE "m.space"

/** State with an empty key that moves as it is. m.room.power_levels and m.room.join_rules move in a form that fits the version. */
static const char *const carried[] = {
    "m.room.avatar",     "m.room.encryption", "m.room.guest_access", "m.room.history_visibility", "m.room.join_rules",
    "m.room.name",       "m.room.server_acl", "m.room.topic",        MX_SPACE_CHILD,              MX_SPACE_PARENT,
};
#define NCARRIED ((int)(sizeof(carried) / sizeof(carried[0])))

int mx_room_upgrade_relates(const mx_event_t *event)
{
    return mx_json_len(mx_json_get(mx_event_content(event), "via")) > 0;
}

static int is_space(const mx_room_upgrade_t *up)
{
    return mx_str_eq(mx_json_get_str(mx_event_content(up->create), "type"), SPACE_TYPE);
}

/** Children belong to a space; a parent to any room. What an event cannot hold any more stays behind. */
static int is_carried(const mx_room_upgrade_t *up, const mx_event_t *event)
{
    int child = strcmp(event->type, MX_SPACE_CHILD) == 0, parent = strcmp(event->type, MX_SPACE_PARENT) == 0;
    if (mx_json_has_uncanonical_number(mx_event_content(event)))
        return 0;
    if (child || parent)
        return mx_room_upgrade_relates(event) && (parent || is_space(up));
    return event->state_key && !*event->state_key;
}

static const mx_error_t *parse_all(const mx_event_t **out, const mx_room_upgrade_t *up, const mx_event_row_t *rows, int n)
{
    const mx_error_t *err = NULL;
    int i;
    for (i = 0; !err && i < n; i++) {
        mx_event_t *event = NULL;
        err = mx_event_parse(&event, up->old->version, rows[i].pdu, mx_store_event_id_unpack(rows[i].id, up->pool), up->pool);
        out[i] = event;
    }
    return err;
}

static const mx_error_t *too_many(const mx_room_upgrade_t *up)
{
    return mx_error_make(up->pool, MX_E_TOO_LARGE, "An upgrade carries over at most %d bans and state events.",
                         MX_ROOM_UPGRADE_EVENTS_MAX);
}

const mx_error_t *mx_room_upgrade_load(mx_room_upgrade_t *up)
{
    mx_event_row_t *rows, *bans;
    int i, n, nbans;
    const mx_error_t *err;
    apr_status_t rv = mx_store_room_typed(&rows, &n, up->server->store, up->old->nid, carried, NCARRIED, up->pool);
    if (rv == APR_SUCCESS)
        rv = mx_store_member_events(&bans, &nbans, up->server->store, up->old->nid, 1 << MX_MEMBERSHIP_BAN, up->pool);
    if (rv != APR_SUCCESS)
        return mx_server_store_error(rv, "reading the state of a room to upgrade", up->pool);
    if (n > MX_ROOM_UPGRADE_EVENTS_MAX || nbans > MX_ROOM_UPGRADE_EVENTS_MAX - n)
        return too_many(up);
    up->state = apr_pcalloc(up->pool, sizeof(*up->state) * (apr_size_t)(n + nbans + 1));
    err = parse_all(up->state, up, bans, nbans);
    if (!err)
        err = parse_all(up->state + nbans, up, rows, n);
    for (i = 0; !err && i < n + nbans; i++) {
        if (i < nbans || is_carried(up, up->state[i]))
            up->state[up->nstate++] = up->state[i];
    }
    return err;
}

static void add(mx_room_drafts_t *out, const mx_room_upgrade_t *up, const char *type, const char *state_key,
                const mx_json_t *content)
{
    out->items[out->n++] =
        (mx_room_draft_t){ .sender = up->who->user_id, .type = type, .state_key = state_key, .content = content };
}

/** The newest of the old room's heads: "the event ID of the last known event in the old room". */
static const char *last_event_id(const mx_room_upgrade_t *up)
{
    const struct mx_room_private_t *priv = up->old->priv;
    int i, newest = 0;
    for (i = 1; i < priv->nheads; i++) {
        if (priv->heads[i] > priv->heads[newest])
            newest = i;
    }
    return priv->nheads ? mx_store_event_id_unpack(priv->head_ids[newest], up->pool) : NULL;
}

/** The room's type and whether it federates stay; its predecessor is named. */
static void add_create(mx_room_drafts_t *out, const mx_room_upgrade_t *up)
{
    const mx_json_t *old = mx_event_content(up->create);
    mx_json_t *content = mx_json_new_object(up->pool), *predecessor = mx_json_new_object(up->pool);
    mx_json_set_str(predecessor, "room_id", up->old->room_id);
    mx_json_set_str(predecessor, "event_id", last_event_id(up));
    mx_json_set(content, "predecessor", predecessor);
    mx_json_set_str(content, "room_version", up->version->name);
    mx_json_set_str(content, "type", mx_json_get_str(old, "type"));
    if (!up->version->create_without_creator)
        mx_json_set_str(content, "creator", up->who->user_id);
    if (!mx_json_get_bool(old, "m.federate", 1))
        mx_json_set_bool(content, "m.federate", 0);
    if (mx_json_len(up->creators))
        mx_json_set(content, "additional_creators", mx_json_copy(up->pool, up->creators));
    add(out, up, "m.room.create", "", content);
}

/** Join rules that the version does not know would let nobody in: the nearest it knows, never a wider one. */
static const char *known_rule(const char *rule, const mx_room_version_t *version)
{
    if (mx_str_eq(rule, "knock_restricted") && !version->knock_restricted)
        rule = version->restricted_join ? "restricted" : "knock";
    if (mx_str_eq(rule, "restricted") && !version->restricted_join)
        return "invite";
    if (mx_str_eq(rule, "knock") && !version->knock)
        return "invite";
    return rule;
}

static const mx_json_t *fitting_content(const mx_room_upgrade_t *up, const mx_event_t *event)
{
    mx_json_t *content = mx_event_content(event);
    const char *rule = mx_json_get_str(content, "join_rule"), *known = known_rule(rule, up->version);
    if (strcmp(event->type, "m.room.join_rules") != 0 || mx_str_eq(rule, known))
        return content;
    content = mx_json_copy(up->pool, content);
    mx_json_set_str(content, "join_rule", known);
    return content;
}

static int is_creator(const mx_room_upgrade_t *up, const char *user_id)
{
    apr_size_t i;
    if (mx_str_eq(user_id, up->who->user_id))
        return 1;
    for (i = 0; i < mx_json_len(up->creators); i++) {
        if (mx_str_eq(mx_json_str(mx_json_at(up->creators, i)), user_id))
            return 1;
    }
    return 0;
}

/*
 * Without power levels the creator has 100 and all others 0, so no event of the list can be refused for a level that the old
 * room asks for; the levels come last. A creator cannot be banned.
 */
const mx_error_t *mx_room_upgrade_drafts(mx_room_drafts_t *out, const mx_room_upgrade_t *up)
{
    const mx_power_upgrade_t levels = { up->create, up->levels ? mx_event_content(up->levels) : NULL, up->version,
                                        up->who->user_id, up->creators };
    mx_json_t *member = NULL;
    const mx_error_t *err =
        mx_room_member_content(&member, up->server, MX_MEMBERSHIP_JOIN, up->who->user_id, NULL, up->pool);
    int i;
    if (err)
        return err;
    out->n = 0;
    out->items = apr_pcalloc(up->pool, sizeof(*out->items) * (apr_size_t)(up->nstate + OWN_EVENTS));
    add_create(out, up);
    add(out, up, "m.room.member", up->who->user_id, member);
    for (i = 0; i < up->nstate; i++) {
        const mx_event_t *event = up->state[i];
        if (strcmp(event->type, "m.room.member") == 0 && is_creator(up, event->state_key))
            continue;
        add(out, up, event->type, event->state_key, fitting_content(up, event));
    }
    /* without levels in the old room, and creators above them in neither, only who made it could upgrade it */
    if (up->levels || up->version->privileged_creators || up->old->version->privileged_creators)
        add(out, up, "m.room.power_levels", "", mx_power_upgrade(&levels, up->pool));
    return NULL;
}
