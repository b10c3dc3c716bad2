/* SPDX-License-Identifier: Apache-2.0 */
/* The gate before every read of a room. */
#include "room/reader.h"

#include "base/nid_map.h"
#include "room/facts.h"
#include "store/member_list.h"
#include "store/state.h"
#include "user/push_settings.h"

#include <stdlib.h>

/** Member events looked at, newest first, for the last join of one who is not joined (an invitation declined again and
 * again). */
#define DEPARTURE_CHAIN_MAX 64

/** The usual case: a leave or a ban that took the place of a join, or of what came after one. */
static void depart_by_event(mx_room_departure_t *out, const mx_event_row_t *rows, int n, apr_pool_t *pool)
{
    int i;

    for (i = 1; i < n; i++) {
        if (mx_room_facts_row_membership(&rows[i], pool) != MX_MEMBERSHIP_JOIN)
            continue;
        out->ord = rows[i - 1].ord;
        out->snap_after = rows[i - 1].snap_after;
        break;
    }
}

/** Forks were resolved to a state without the user: out->ord stays 0 if it was no member before that. */
static const mx_error_t *depart_by_state(mx_room_departure_t *out, mx_server_t *server, apr_int64_t room_nid, apr_int64_t user_nid,
                                         apr_int64_t stream, apr_pool_t *pool)
{
    const apr_int64_t rooms[2] = { room_nid, room_nid }, at[2] = { stream - 1, stream };
    mx_membership_e before = MX_MEMBERSHIP_NONE;
    const char *user_id;
    apr_int64_t snaps[2];
    const mx_error_t *err;
    apr_status_t rv = mx_store_state_at_each(snaps, server->store, rooms, at, 2, pool);

    if (rv == APR_SUCCESS)
        rv = mx_server_user_id(&user_id, server, user_nid, pool);
    if (rv != APR_SUCCESS)
        return mx_server_store_error(rv, "reading a room's state at a position", pool);
    err = mx_room_facts_membership(&before, server, snaps, 1, user_id, pool);
    if (!err && before == MX_MEMBERSHIP_JOIN)
        *out = (mx_room_departure_t){ stream, snaps[1] };
    return err;
}

const mx_error_t *mx_room_departure(mx_room_departure_t *out, mx_server_t *server, apr_int64_t room_nid,
                                    apr_int64_t user_nid, apr_pool_t *pool)
{
    mx_room_departure_t found = { 0, 0 };
    mx_event_row_t *rows = NULL;
    apr_int64_t stream = 0;
    const mx_error_t *err = NULL;
    int n = 0;
    apr_status_t rv = mx_store_member_chain(&rows, &n, &stream, server->store, room_nid, user_nid, DEPARTURE_CHAIN_MAX, pool);

    if (rv != APR_SUCCESS)
        return mx_server_store_error(rv, "reading a user's memberships", pool);
    if (n && rows[0].ord == stream)
        depart_by_event(&found, rows, n, pool);
    if (n && !found.ord)
        err = depart_by_state(&found, server, room_nid, user_nid, stream, pool);
    if (!err && n && !found.ord)
        depart_by_event(&found, rows, n, pool);
    if (!err)
        *out = found;
    return err;
}

static const mx_error_t *forbidden(const char *room_id, apr_pool_t *pool)
{
    return mx_error_make(pool, MX_E_FORBIDDEN, "You are not a member of %s.", room_id);
}

/** 1 if the room's current history visibility lets anybody read. */
static const mx_error_t *is_world_readable(int *pyes, mx_server_t *server, mx_room_t *room, apr_pool_t *pool)
{
    const mx_event_t *event = NULL;
    const mx_error_t *err = mx_room_state_get(&event, server, room, "m.room.history_visibility", "", pool);

    if (!err)
        *pyes = event && mx_histvis_parse(mx_json_get_str(mx_event_content(event), "history_visibility")) ==
                             MX_HISTVIS_WORLD_READABLE;
    return err;
}

/** For one who is not joined and may not read the whole room: what was until they left. */
static const mx_error_t *limit_to_departure(mx_room_reader_t *reader, apr_pool_t *pool)
{
    mx_member_row_t member;
    mx_room_departure_t departure = { 0, 0 };
    const mx_error_t *err;
    apr_status_t rv;

    if (!reader->who || reader->membership == MX_MEMBERSHIP_BAN)
        return forbidden(reader->room->room_id, pool);
    rv = mx_store_member_find(&member, reader->server->store, reader->room->nid, reader->who->user_nid, pool);
    if (rv == MX_STORE_NONE || (rv == APR_SUCCESS && member.forgotten))
        return forbidden(reader->room->room_id, pool);
    if (rv != APR_SUCCESS)
        return mx_server_store_error(rv, "reading a membership", pool);
    err = mx_room_departure(&departure, reader->server, reader->room->nid, reader->who->user_nid, pool);
    if (err)
        return err;
    if (!departure.ord)
        return forbidden(reader->room->room_id, pool);
    reader->whole = 0;
    reader->upto_ord = departure.ord;
    reader->snap_nid = departure.snap_after;
    return NULL;
}

const mx_error_t *mx_room_reader_open(mx_room_reader_t **preader, mx_server_t *server, const mx_who_t *who,
                                      const char *room_id, apr_pool_t *pool)
{
    mx_room_reader_t *reader = apr_pcalloc(pool, sizeof(*reader));
    /* fresh: what another child just answered to this user holds here too */
    const mx_error_t *err = mx_room_get(&reader->room, server, room_id, 1, pool);
    int world_readable = 0;

    /* who may not read a room need not know that it exists */
    if (err)
        return err->code == MX_E_NOT_FOUND ? forbidden(room_id, pool) : err;
    reader->server = server;
    reader->who = who;
    reader->whole = 1;
    reader->upto_ord = APR_INT64_MAX;
    reader->snap_nid = reader->room->snap_nid;
    if (who)
        err = mx_room_membership(&reader->membership, server, reader->room, who->user_id, pool);
    if (!err && reader->membership != MX_MEMBERSHIP_JOIN) {
        err = is_world_readable(&world_readable, server, reader->room, pool);
        if (!err && !world_readable)
            err = limit_to_departure(reader, pool);
    }
    if (!err)
        *preader = reader;
    return err;
}

static const mx_error_t *no_such_event(apr_pool_t *pool)
{
    return mx_error_make(pool, MX_E_NOT_FOUND, "There is no such event, or you may not see it.");
}

const mx_error_t *mx_room_reader_event(mx_event_row_t **prow, const mx_room_reader_t *reader, const char *event_id,
                                       apr_pool_t *pool)
{
    const mx_who_t *who = reader->who;
    mx_event_row_t *row = NULL;
    unsigned char visible = 0;
    const mx_error_t *err = NULL;
    apr_status_t rv = mx_store_event_by_id(&row, reader->server->store, event_id, pool);

    if (rv != APR_SUCCESS && rv != MX_STORE_NONE)
        return mx_server_store_error(rv, "looking up an event", pool);
    if (rv == APR_SUCCESS && row->room_nid == reader->room->nid && !(row->flags & MX_EVENT_HIDDEN))
        err = mx_room_visibility(&visible, reader->server, row->room_nid, who ? who->user_nid : 0,
                                 who ? who->user_id : NULL, row, 1, pool);
    if (!err && !visible)
        err = no_such_event(pool);
    if (!err)
        *prow = row;
    return err;
}

int mx_room_reader_ignores(const mx_event_row_t *row, const apr_int64_t *ignored, int nignored)
{
    return nignored && !(row->flags & MX_EVENT_FLAG_STATE)
           && bsearch(&row->sender_nid, ignored, (apr_size_t)nignored, sizeof(row->sender_nid), mx_nid_cmp) != NULL;
}

const mx_error_t *mx_room_reader_check_ignored(const mx_room_reader_t *reader, const mx_event_row_t *row, apr_pool_t *pool)
{
    apr_int64_t *ignored = NULL;
    int n = 0;
    const mx_error_t *err = reader->who ? mx_user_push_settings_ignored(&ignored, &n, reader->server, reader->who, pool) : NULL;

    return !err && mx_room_reader_ignores(row, ignored, n) ? no_such_event(pool) : err;
}

const mx_error_t *mx_room_reader_open_at(mx_room_reader_t **preader, mx_event_row_t **prow, mx_server_t *server, const mx_who_t *who,
                                         const char *room_id, const char *event_id, apr_pool_t *pool)
{
    const mx_error_t *err = mx_room_reader_open(preader, server, who, room_id, pool);

    if (!err)
        err = mx_room_reader_event(prow, *preader, event_id, pool);
    return err && err->code == MX_E_FORBIDDEN ? no_such_event(pool) : err;
}
