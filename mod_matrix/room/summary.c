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

/** 1 if the event's content has a non-empty string there. */
static int has_text(mx_slice_t pdu, const char *key, apr_pool_t *pool)
{
    mx_json_scan_t scan;
    mx_slice_t value;

    if (!pdu.p)
        return 0;
    mx_json_scan_trusted(&scan, pdu, pool);
    mx_json_scan_trusted(&scan, mx_json_scan_get(&scan, "content"), pool);
    value = mx_json_scan_get(&scan, key);
    return value.len > 2 && value.p[0] == '"';
}

/** Hands the heroes out; those gone count only where nobody else is there. */
static void share_heroes(mx_room_summary_t *summaries, int n, const mx_store_hero_t *heroes, int nheroes)
{
    int i, k = 0;

    for (i = 0; i < n; i++) {
        int first = k;

        while (k < nheroes && heroes[k].room_nid == summaries[i].room_nid && (!heroes[k].gone || heroes[first].gone))
            k++;
        summaries[i].heroes = heroes + first;
        summaries[i].nheroes = k - first;
        while (k < nheroes && heroes[k].room_nid == summaries[i].room_nid)
            k++;
    }
}

static const mx_error_t *load_heroes(mx_room_summary_t *summaries, int n, mx_server_t *server, apr_int64_t reader_nid, apr_pool_t *pool)
{
    apr_int64_t *unnamed = apr_palloc(pool, sizeof(*unnamed) * (apr_size_t)(n + 1));
    mx_store_hero_t *heroes = NULL;
    int i, nunnamed = 0, nheroes = 0;
    apr_status_t rv;

    for (i = 0; i < n; i++)
        if (!summaries[i].named)
            unnamed[nunnamed++] = summaries[i].room_nid;
    if (!nunnamed)
        return NULL;
    rv = mx_store_member_heroes(&heroes, &nheroes, server->store, unnamed, nunnamed, reader_nid, HEROES_MAX, pool);
    if (rv != APR_SUCCESS)
        return mx_server_store_error(rv, "reading rooms' heroes", pool);
    share_heroes(summaries, n, heroes, nheroes);
    return NULL;
}

const mx_error_t *mx_room_summaries(mx_room_summary_t *summaries, int n, mx_server_t *server, apr_int64_t reader_nid, apr_pool_t *pool)
{
    apr_int64_t *nids = apr_palloc(pool, sizeof(*nids) * (apr_size_t)(n + 1));
    mx_store_summary_t *rows = apr_palloc(pool, sizeof(*rows) * (apr_size_t)(n + 1));
    apr_status_t rv;
    int i;

    if (!n)
        return NULL;
    for (i = 0; i < n; i++)
        nids[i] = summaries[i].room_nid;
    rv = mx_store_member_summaries(rows, server->store, nids, n, pool);
    if (rv != APR_SUCCESS)
        return mx_server_store_error(rv, "reading rooms' summaries", pool);
    for (i = 0; i < n; i++) {
        summaries[i].joined = rows[i].joined;
        summaries[i].invited = rows[i].invited;
        summaries[i].named = has_text(rows[i].name, "name", pool) || has_text(rows[i].alias, "alias", pool);
    }
    return load_heroes(summaries, n, server, reader_nid, pool);
}

void mx_room_summary_write(mx_json_writer_t *w, const mx_room_summary_t *summary)
{
    int i;

    if (!summary->named) {
        mx_jw_key_array(w, "m.heroes");
        for (i = 0; i < summary->nheroes; i++)
            mx_jw_str(w, summary->heroes[i].user_id);
        mx_jw_end_array(w);
    }
    mx_jw_key_int(w, "m.joined_member_count", summary->joined);
    mx_jw_key_int(w, "m.invited_member_count", summary->invited);
}
