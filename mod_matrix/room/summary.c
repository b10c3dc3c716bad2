/* SPDX-License-Identifier: Apache-2.0 */
/* A room in a few words: stripped state for who is invited, heroes and counts for who is in. */
#include "room/room.h"

#include "store/member_list.h"

/* CS-API: stripped state */
static const char *const stripped_types[] = {"m.room.create",    "m.room.join_rules", "m.room.name",
                                             "m.room.avatar",    "m.room.topic",      "m.room.canonical_alias",
                                             "m.room.encryption"};
#define STRIPPED_NTYPES (int)(sizeof(stripped_types) / sizeof(stripped_types[0]))

/** CS-API: room summary: "the first 5 members of the room". */
#define HEROES_MAX 5

static const mx_error_t *write_stripped(mx_json_writer_t *w, mx_server_t *server, mx_room_t *room, const char *type,
                                        const char *state_key, apr_pool_t *pool)
{
    const mx_event_t *event = NULL;
    const mx_error_t *err = mx_room_state_get(&event, server, room, type, state_key, pool);

    if (!err && event)
        mx_event_write(w, event, MX_FORMAT_STRIPPED, NULL);
    return err;
}

const mx_error_t *mx_room_stripped_state(mx_json_writer_t *w, mx_server_t *server, apr_int64_t room_nid,
                                         apr_int64_t user_nid, apr_pool_t *pool)
{
    mx_room_t *room;
    const mx_event_t *member = NULL;
    const char *user_id = NULL;
    const mx_error_t *err = mx_room_get_by_nid(&room, server, room_nid, pool);
    int i;
    apr_status_t rv;

    if (err)
        return err;
    rv = mx_server_user_id(&user_id, server, user_nid, pool);
    if (rv != APR_SUCCESS)
        return mx_server_store_error(rv, "looking up the invited user", pool);
    mx_jw_array(w);
    for (i = 0; !err && i < STRIPPED_NTYPES; i++)
        err = write_stripped(w, server, room, stripped_types[i], "", pool);
    /* the invitation itself, and who sent it: clients show both */
    if (!err)
        err = mx_room_state_get(&member, server, room, "m.room.member", user_id, pool);
    if (!err && member && !mx_str_eq(member->sender, user_id))
        err = write_stripped(w, server, room, "m.room.member", member->sender, pool);
    if (!err && member)
        mx_event_write(w, member, MX_FORMAT_STRIPPED, NULL);
    mx_jw_end_array(w);
    return err;
}

static int has_text(const mx_event_t *event, const char *key)
{
    const char *text = event ? mx_json_get_str(mx_event_content(event), key) : NULL;
    return text && *text;
}

/** 1 if clients can name the room without its members. */
static const mx_error_t *has_name(int *pyes, mx_server_t *server, mx_room_t *room, apr_pool_t *pool)
{
    const mx_event_t *name = NULL, *alias = NULL;
    const mx_error_t *err = mx_room_state_get(&name, server, room, "m.room.name", "", pool);

    if (!err)
        err = mx_room_state_get(&alias, server, room, "m.room.canonical_alias", "", pool);
    if (!err)
        *pyes = has_text(name, "name") || has_text(alias, "alias");
    return err;
}

static const mx_error_t *write_heroes(mx_json_writer_t *w, mx_server_t *server, apr_int64_t room_nid,
                                      apr_int64_t reader_nid, apr_pool_t *pool)
{
    const char **ids = NULL;
    int i, n = 0;
    apr_status_t rv = mx_store_member_heroes(&ids, &n, server->store, room_nid, reader_nid, 0, HEROES_MAX, pool);

    if (rv == APR_SUCCESS && !n)
        rv = mx_store_member_heroes(&ids, &n, server->store, room_nid, reader_nid, 1, HEROES_MAX, pool);
    if (rv != APR_SUCCESS)
        return mx_server_store_error(rv, "reading a room's heroes", pool);
    mx_jw_key_array(w, "m.heroes");
    for (i = 0; i < n; i++)
        mx_jw_str(w, ids[i]);
    mx_jw_end_array(w);
    return NULL;
}

const mx_error_t *mx_room_summary_write(mx_json_writer_t *w, mx_server_t *server, apr_int64_t room_nid,
                                        apr_int64_t reader_nid, apr_pool_t *pool)
{
    mx_room_t *room;
    int named = 0;
    const mx_error_t *err = mx_room_get_by_nid(&room, server, room_nid, pool);

    if (!err)
        err = has_name(&named, server, room, pool);
    if (!err && !named)
        err = write_heroes(w, server, room_nid, reader_nid, pool);
    if (err)
        return err;
    mx_jw_key_int(w, "m.joined_member_count", room->joined);
    mx_jw_key_int(w, "m.invited_member_count", room->invited);
    return NULL;
}
