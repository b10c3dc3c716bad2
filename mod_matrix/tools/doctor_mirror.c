/* SPDX-License-Identifier: Apache-2.0 */
/* What mirrors the current state (cur_state, member, room_server, counters): what it must be, whether it is, and rebuilding it. */
#include "tools/doctor.h"

#include "core/history_visibility.h"
#include "core/ident.h"
#include "store/event_id.h"

#include <stdlib.h>

#define MEMBERS_A_QUERY 1000
#define REPAIR_TRIES 3               /* deadlocks with writers */

#define ADD(check, ...) mx_doctor_report_add(room->report, MX_DOCTOR_##check, NULL, __VA_ARGS__)

/* ---- what must be ---- */

static const char *membership_of(mx_doctor_room_t *room, const mx_event_row_t *row, apr_pool_t *pool)
{
    mx_event_t *event;
    if (!row->pdu.len || mx_event_parse_foreign(&event, room->version, row->pdu, pool) != NULL)
        return NULL;
    return strcmp(event->type, "m.room.member") == 0 ? mx_json_get_str(mx_event_content(event), "membership") : NULL;
}

/** Users whom no table knows yet get their number; of those that are no user ids nothing is made. */
static apr_status_t find_user(mx_doctor_skey_t *skey, mx_doctor_room_t *room, apr_pool_t *pool)
{
    mx_intern_user_t user = { skey->state_key, mx_ident_server(skey->state_key), 0 };
    if (skey->user_nid || !room->writing || !mx_ident_is_user_id(skey->state_key))
        return APR_SUCCESS;
    user.local = room->d->server_name && mx_ident_is_local(skey->state_key, room->d->server_name);
    mx_store_intern_user(&skey->user_nid, room->d->store, &user, pool);
    return mx_store_doctor_skeys(skey, room->d->store, &skey->skey_nid, 1, pool);
}

static void add_member(mx_doctor_mirrors_t *out, const mx_doctor_skey_t *skey, apr_int64_t nid, int membership)
{
    out->members[out->nmembers++] = (mx_doctor_member_t){ skey->user_nid, nid, 0, membership, skey->local, skey->server_nid };
    out->joined += membership == MX_MEMBERSHIP_JOIN;
    out->local_joined += membership == MX_MEMBERSHIP_JOIN && skey->local;
    out->invited += membership == MX_MEMBERSHIP_INVITE;
}

/** The memberships among some entries of the state. */
static apr_status_t add_members(mx_doctor_mirrors_t *out, mx_doctor_room_t *room, const mx_state_item_t *items, int n, apr_pool_t *pool)
{
    apr_int64_t *keys = apr_palloc(pool, sizeof(*keys) * (apr_size_t)n), *nids = apr_palloc(pool, sizeof(*nids) * (apr_size_t)n);
    mx_doctor_skey_t *skeys = apr_palloc(pool, sizeof(*skeys) * (apr_size_t)n);
    mx_event_row_t *rows;
    int i, k, nrows, used = 0;
    apr_status_t rv;
    for (i = 0; i < n; i++)
        keys[i] = items[i].skey_nid;
    rv = mx_store_doctor_skeys(skeys, room->d->store, keys, n, pool);
    for (i = 0; rv == APR_SUCCESS && i < n; i++) {
        if (!skeys[i].type || strcmp(skeys[i].type, "m.room.member") != 0)
            continue;
        rv = find_user(&skeys[i], room, pool);
        nids[used] = items[i].nid;
        skeys[used++] = skeys[i];
    }
    if (rv == APR_SUCCESS)
        rv = mx_store_event_by_nids(&rows, &nrows, room->d->store, nids, used, pool);
    for (i = k = 0; rv == APR_SUCCESS && i < nrows; i++, k++) {
        int membership = mx_membership_parse(membership_of(room, &rows[i], pool));
        while (nids[k] != rows[i].nid)       /* events that do not exist are left out */
            k++;
        if (membership != MX_MEMBERSHIP_NONE && skeys[k].user_nid)
            add_member(out, &skeys[k], nids[k], membership);
    }
    return rv;
}

static int member_cmp(const void *a, const void *b)
{
    apr_int64_t x = ((const mx_doctor_member_t *)a)->user_nid, y = ((const mx_doctor_member_t *)b)->user_nid;
    return x < y ? -1 : x > y;
}

static void count_servers(mx_doctor_mirrors_t *out, apr_pool_t *pool)
{
    apr_int64_t *servers = apr_palloc(pool, sizeof(*servers) * (apr_size_t)(out->nmembers + 1));
    int i, n = 0;
    for (i = 0; i < out->nmembers; i++) {
        if (out->members[i].membership == MX_MEMBERSHIP_JOIN)
            servers[n++] = out->members[i].server_nid;
    }
    qsort(servers, (size_t)n, sizeof(*servers), mx_nid_cmp);
    out->servers = apr_palloc(pool, sizeof(*out->servers) * (apr_size_t)(n + 1));
    for (i = 0; i < n; i++) {
        if (!out->nservers || out->servers[out->nservers - 1].skey_nid != servers[i])
            out->servers[out->nservers++] = (mx_state_item_t){ servers[i], 0 };
        out->servers[out->nservers - 1].nid++;
    }
}

apr_status_t mx_doctor_mirror_make(mx_doctor_mirrors_t *out, mx_doctor_room_t *room, apr_int64_t snap_nid)
{
    apr_pool_t *part;
    int at;
    apr_status_t rv;
    memset(out, 0, sizeof(*out));
    rv = mx_store_state_load(&out->current, &out->ncurrent, room->d->store, snap_nid, room->pool);
    if (rv != APR_SUCCESS)
        return rv;
    out->members = apr_palloc(room->pool, sizeof(*out->members) * (apr_size_t)(out->ncurrent + 1));
    apr_pool_create(&part, room->pool);
    apr_pool_tag(part, "mx_doctor_members");
    for (at = 0; rv == APR_SUCCESS && at < out->ncurrent; at += MEMBERS_A_QUERY) {
        int n = out->ncurrent - at < MEMBERS_A_QUERY ? out->ncurrent - at : MEMBERS_A_QUERY;
        apr_pool_clear(part);
        rv = add_members(out, room, out->current + at, n, part);
    }
    apr_pool_destroy(part);
    qsort(out->members, (size_t)out->nmembers, sizeof(*out->members), member_cmp);
    count_servers(out, room->pool);
    return rv;
}

/* ---- what is ---- */

static const char *user_of(mx_doctor_room_t *room, apr_int64_t user_nid)
{
    const char *id = NULL;
    if (mx_store_intern_user_ids(&id, room->d->store, &user_nid, 1, room->chunk) != APR_SUCCESS || !id)
        id = apr_psprintf(room->chunk, "a user who does not exist (number %" APR_INT64_T_FMT ")", user_nid);
    return id;
}

static void differs_current(mx_doctor_room_t *room, apr_int64_t skey_nid, apr_int64_t must, apr_int64_t is)
{
    mx_doctor_diff_t diff = { skey_nid, must, is };
    const char *words = room->report->found[MX_DOCTOR_CUR_STATE] < MX_DOCTOR_SHOWN_MAX ? mx_doctor_state_words(room, &diff, 1) : "";
    ADD(CUR_STATE, "cur_state %s: %s.", !is ? "lacks an entry of the current state" : !must ? "has an entry that the current state lacks"
        : "has another event than the current state", words);
}

static apr_status_t check_current(mx_doctor_room_t *room, const mx_doctor_mirrors_t *must)
{
    mx_state_item_t *is;
    int i = 0, k = 0, n;
    apr_status_t rv = mx_store_doctor_current(&is, &n, room->d->store, room->row->nid, room->chunk);
    if (rv != APR_SUCCESS)
        return rv;
    while (i < must->ncurrent || k < n) {
        int order = i == must->ncurrent ? 1 : k == n ? -1 : mx_nid_cmp(&must->current[i].skey_nid, &is[k].skey_nid);
        if (order != 0 || must->current[i].nid != is[k].nid)
            differs_current(room, order <= 0 ? must->current[i].skey_nid : is[k].skey_nid, order <= 0 ? must->current[i].nid : 0,
                            order >= 0 ? is[k].nid : 0);
        i += order <= 0;
        k += order >= 0;
    }
    return APR_SUCCESS;
}

static void differs_member(mx_doctor_room_t *room, const mx_doctor_member_t *must, const mx_doctor_member_t *is)
{
    const char *user = room->report->found[MX_DOCTOR_MEMBER] < MX_DOCTOR_SHOWN_MAX ? user_of(room, (must ? must : is)->user_nid) : "";
    if (!is)
        ADD(MEMBER, "member has no row of %s, who should be there with membership %s.", user, mx_membership_name(must->membership));
    else if (!must)
        ADD(MEMBER, "member has a row of %s, of whom the current state says nothing.", user);
    else if (must->membership != is->membership)
        ADD(MEMBER, "member says %s of %s, the current state says %s.", mx_membership_name(is->membership), user,
            mx_membership_name(must->membership));
    else if (must->nid != is->nid)
        ADD(MEMBER, "member names another event for %s than the current state.", user);
    else if (must->local != is->local)
        ADD(MEMBER, "member says that %s is %s this server, which is wrong.", user, is->local ? "of" : "not of");
    else
        ADD(MEMBER, "member says that the membership of %s was known before its event was.", user);
}

static int member_is_right(const mx_doctor_member_t *must, const mx_doctor_member_t *is)
{
    if (!must || !is)        /* whose membership state resolution took out of the state is told as one who left */
        return !must && is->membership == MX_MEMBERSHIP_LEAVE;
    return must->membership == is->membership && must->nid == is->nid && must->local == is->local && is->stream >= must->nid;
}

static void compare_member(mx_doctor_room_t *room, const mx_doctor_member_t *must, const mx_doctor_member_t *is)
{
    if (!member_is_right(must, is))
        differs_member(room, must, is);
}

static apr_status_t check_members(mx_doctor_room_t *room, const mx_doctor_mirrors_t *must)
{
    mx_doctor_member_t *is;
    int i = 0, k = 0, n;
    apr_status_t rv = mx_store_doctor_members(&is, &n, room->d->store, room->row->nid, room->chunk);
    if (rv != APR_SUCCESS)
        return rv;
    while (i < must->nmembers || k < n) {
        int order = i == must->nmembers ? 1 : k == n ? -1 : member_cmp(&must->members[i], &is[k]);
        compare_member(room, order <= 0 ? &must->members[i] : NULL, order >= 0 ? &is[k] : NULL);
        i += order <= 0;
        k += order >= 0;
    }
    return APR_SUCCESS;
}

static apr_status_t check_servers(mx_doctor_room_t *room, const mx_doctor_mirrors_t *must)
{
    mx_state_item_t *is;
    int i = 0, k = 0, n;
    apr_status_t rv = mx_store_doctor_servers(&is, &n, room->d->store, room->row->nid, room->chunk);
    while (rv == APR_SUCCESS && (i < must->nservers || k < n)) {
        int order = i == must->nservers ? 1 : k == n ? -1 : mx_nid_cmp(&must->servers[i].skey_nid, &is[k].skey_nid);
        apr_int64_t m = order <= 0 ? must->servers[i].nid : 0, has = order >= 0 ? is[k].nid : 0;
        if (m != has)
            ADD(ROOM_SERVER, "room_server counts %" APR_INT64_T_FMT " members of server number %" APR_INT64_T_FMT " instead of %"
                APR_INT64_T_FMT ".", has, order <= 0 ? must->servers[i].skey_nid : is[k].skey_nid, m);
        i += order <= 0;
        k += order >= 0;
    }
    return rv;
}

static void check_counter(mx_doctor_room_t *room, const char *what, int is, int must)
{
    if (is != must)
        ADD(COUNTER, "room.%s is %d, the current state has %d.", what, is, must);
}

apr_status_t mx_doctor_mirror_check(mx_doctor_room_t *room, const mx_doctor_mirrors_t *must)
{
    apr_status_t rv;
    mx_doctor_state_next_part(room);
    rv = check_current(room, must);
    if (rv == APR_SUCCESS)
        rv = check_members(room, must);
    if (rv == APR_SUCCESS)
        rv = check_servers(room, must);
    check_counter(room, "joined", room->row->joined, must->joined);
    check_counter(room, "invited", room->row->invited, must->invited);
    check_counter(room, "local_joined", room->row->local_joined, must->local_joined);
    return rv;
}

/* ---- repair ---- */

static apr_status_t repair(mx_doctor_room_t *room, const mx_doctor_mirrors_t *must, apr_int64_t snap_nid)
{
    mx_doctor_mirrors_t anew;
    mx_doctor_written_t written = { 0, 0, 0, 0 };
    mx_conn_t *conn;
    apr_int64_t now;
    apr_status_t rv = mx_store_doctor_begin(&conn, room->d->store, MX_DOCTOR_WRITE, room->pool);
    if (rv != APR_SUCCESS)
        return rv;
    rv = mx_store_doctor_lock(&now, room->d->store, room->row->nid, room->pool);
    if (rv == APR_SUCCESS && now != snap_nid) {
        rv = mx_doctor_mirror_make(&anew, room, now);
        must = &anew;
    }
    if (rv == APR_SUCCESS)
        rv = mx_store_doctor_rebuild(&written, room->d->store, room->row->nid, must, room->pool);
    if (rv == APR_SUCCESS)
        rv = mx_store_doctor_commit(conn);
    mx_store_doctor_end(conn);
    if (rv == APR_SUCCESS) {
        room->report->repaired = 1;
        room->report->written = written;
    }
    return rv;
}

apr_status_t mx_doctor_mirror_repair(mx_doctor_room_t *room, const mx_doctor_mirrors_t *must, apr_int64_t snap_nid)
{
    apr_status_t rv = MX_STORE_RETRY;
    int i;
    room->writing = 1;
    for (i = 0; i < REPAIR_TRIES && rv == MX_STORE_RETRY; i++)
        rv = repair(room, must, snap_nid);
    return rv;
}
