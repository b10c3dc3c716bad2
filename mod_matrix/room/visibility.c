/* SPDX-License-Identifier: Apache-2.0 */
/* Which events a user may see, by core/history_visibility.c's rules. CS-API: room history visibility. */
#include "room/facts.h"
#include "room/reader.h"

/** What all rows of one question share. */
typedef struct sight_t {
    mx_server_t *server;
    mx_room_t *room;
    apr_int64_t user_nid;
    const char *user_id;
    const mx_event_row_t *rows;
    int n;
    mx_histvis_e *histvis;           /* before each row */
    mx_membership_e *memberships;    /* before each row; NULL: the reader has none anywhere */
    mx_membership_e now;
    mx_room_departure_t departure;
    apr_int64_t histvis_skey;        /* (type, state_key) of the room's visibility, … */
    apr_int64_t member_skey;         /* … of the reader's own member events; 0: there are none */
    apr_pool_t *pool;
} sight_t;

static apr_status_t find_skey(apr_int64_t *pnid, const sight_t *s, const char *type, const char *state_key)
{
    apr_status_t rv = mx_server_skey_nid_find(pnid, s->server, type, state_key, s->pool);
    return rv == MX_STORE_NONE ? APR_SUCCESS : rv;
}

static const mx_error_t *load_skeys(sight_t *s)
{
    apr_status_t rv = find_skey(&s->histvis_skey, s, "m.room.history_visibility", "");

    if (rv == APR_SUCCESS && s->user_nid)
        rv = find_skey(&s->member_skey, s, "m.room.member", s->user_id);
    return rv == APR_SUCCESS ? NULL : mx_server_store_error(rv, "looking up state keys", s->pool);
}

/** The snapshots before the rows. */
static apr_int64_t *snaps_of(const sight_t *s)
{
    apr_int64_t *snaps = apr_palloc(s->pool, (s->n + 1) * sizeof(*snaps));
    int i;

    for (i = 0; i < s->n; i++)
        snaps[i] = s->rows[i].snap_nid;
    return snaps;
}

/** 1 if a joined reader sees all of the rows whatever the memberships were: the usual room. */
static int hides_nothing(const sight_t *s)
{
    int i;

    if (s->now != MX_MEMBERSHIP_JOIN)
        return 0;
    for (i = 0; i < s->n; i++) {
        if (s->histvis[i] != MX_HISTVIS_SHARED && s->histvis[i] != MX_HISTVIS_WORLD_READABLE)
            return 0;
    }
    return 1;
}

static int may_see(const sight_t *s, int i)
{
    const mx_event_row_t *row = &s->rows[i];
    mx_membership_e membership = s->memberships ? s->memberships[i] : MX_MEMBERSHIP_NONE;
    mx_histvis_view_t view = { s->histvis[i], membership, 0, membership, s->histvis[i] };

    view.user_joined_since = s->now == MX_MEMBERSHIP_JOIN || row->ord < s->departure.ord;
    if (row->skey_nid && row->skey_nid == s->member_skey)
        view.user_after_event = mx_room_facts_row_membership(row, s->pool);
    if (row->skey_nid && row->skey_nid == s->histvis_skey)
        view.after_event = mx_room_facts_row_histvis(row, s->pool);
    return mx_histvis_allowed(&view);
}

/** Loads what may_see() asks, but for the usual room, where *pall is set. */
static const mx_error_t *load(int *pall, sight_t *s)
{
    apr_int64_t *snaps = snaps_of(s);
    const mx_error_t *err = load_skeys(s);

    s->histvis = apr_palloc(s->pool, (s->n + 1) * sizeof(*s->histvis));
    if (!err)
        err = mx_room_facts_histvis(s->histvis, s->server, snaps, s->n, s->pool);
    if (!err && s->user_nid)
        err = mx_room_membership(&s->now, s->server, s->room, s->user_id, s->pool);
    if (err)
        return err;
    *pall = hides_nothing(s);
    if (*pall || !s->member_skey)
        return NULL;
    s->memberships = apr_palloc(s->pool, (s->n + 1) * sizeof(*s->memberships));
    err = mx_room_facts_membership(s->memberships, s->server, snaps, s->n, s->user_id, s->pool);
    if (!err && s->now != MX_MEMBERSHIP_JOIN)
        err = mx_room_departure(&s->departure, s->server, s->room->nid, s->user_nid, s->pool);
    return err;
}

const mx_error_t *mx_room_get_with(mx_room_t **proom, mx_server_t *server, apr_int64_t room_nid, const mx_event_row_t *rows, int n,
                                   apr_pool_t *pool)
{
    apr_int64_t newest = 0;
    int i;

    for (i = 0; i < n; i++)
        if (rows[i].room_nid == room_nid && rows[i].ord > newest)
            newest = rows[i].ord;
    return mx_room_get_since(proom, server, room_nid, newest, pool);
}

const mx_error_t *mx_room_visibility(unsigned char *visible, mx_server_t *server, apr_int64_t room_nid,
                                     apr_int64_t user_nid, const char *user_id, const mx_event_row_t *rows, int n,
                                     apr_pool_t *pool)
{
    sight_t s = {.server = server,
                 .user_nid = user_nid,
                 .user_id = user_id,
                 .rows = rows,
                 .n = n,
                 .now = MX_MEMBERSHIP_NONE,
                 .pool = pool};
    const mx_error_t *err;
    int i, all = 0;

    if (n <= 0)
        return NULL;
    err = mx_room_get_with(&s.room, server, room_nid, rows, n, pool);
    if (!err)
        err = load(&all, &s);
    for (i = 0; !err && i < n; i++)
        visible[i] = all || may_see(&s, i);
    return err;
}
