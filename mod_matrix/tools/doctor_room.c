/* SPDX-License-Identifier: Apache-2.0 */
/* Examinations: of a room, and of one event. */
#include "tools/doctor.h"

#include "store/event_id.h"
#include "store/resolve.h"

#define IDS_A_QUERY 5000

#define ADD(check, ...) mx_doctor_report_add(room->report, MX_DOCTOR_##check, NULL, __VA_ARGS__)

static apr_status_t free_maps(void *data)
{
    mx_doctor_room_t *room = data;
    mx_nid_map_free(&room->by_nid);
    mx_nid_map_free(&room->map);
    return APR_SUCCESS;
}

apr_status_t mx_doctor_room_open(mx_doctor_room_t **proom, mx_doctor_t *d, apr_int64_t room_nid, apr_pool_t *pool)
{
    mx_doctor_room_t *room = apr_pcalloc(pool, sizeof(*room));
    mx_room_row_t *row;
    apr_status_t rv = mx_store_room_row(&row, d->store, room_nid, pool);
    if (rv != APR_SUCCESS)
        return rv;
    room->d = d;
    room->row = row;
    room->pool = pool;
    room->version = mx_room_version_by_number(row->version);
    room->report = mx_doctor_report_create(row->room_id, pool);
    apr_pool_create(&room->chunk, pool);
    apr_pool_tag(room->chunk, "mx_doctor_part");
    apr_pool_cleanup_register(pool, room, free_maps, apr_pool_cleanup_null);
    mx_doctor_state_next_part(room);
    mx_doctor_auth_trim(room);
    *proom = room;
    return room->version ? APR_SUCCESS : APR_EINVAL;
}

/* ---- what the room's row says ---- */

static const char *nids_words(mx_doctor_room_t *room, const apr_int64_t *nids, int n)
{
    const char *words = n ? "" : "none";
    mx_event_row_t *rows;
    int i;
    if (mx_store_event_by_nids(&rows, &n, room->d->store, nids, n < 5 ? n : 5, room->pool) != APR_SUCCESS)
        return "(they cannot be read)";
    for (i = 0; i < n; i++)
        words = apr_pstrcat(room->pool, words, i ? " " : "", mx_store_event_id_unpack(rows[i].id, room->pool), NULL);
    return words;
}

static int is_among(apr_int64_t nid, const apr_int64_t *nids, int n)
{
    while (n > 0 && nids[n - 1] != nid)
        n--;
    return n > 0;
}

static apr_status_t check_head_ids(mx_doctor_room_t *room)
{
    const mx_room_row_t *row = room->row;
    mx_event_row_t *rows;
    int i, n;
    apr_status_t rv = mx_store_event_by_nids(&rows, &n, room->d->store, row->heads, row->nheads, room->pool);
    if (rv != APR_SUCCESS)
        return rv;
    if (n != row->nheads)
        ADD(HEADS, "room.heads names %d events that do not exist.", row->nheads - n);
    for (i = 0; i < n && n == row->nheads; i++) {
        if (!mx_slice_eq(rows[i].id, row->head_ids[i]))
            ADD(HEADS, "room.head_ids has another id for the head %s.", mx_store_event_id_unpack(rows[i].id, room->pool));
    }
    return APR_SUCCESS;
}

static apr_status_t check_heads(mx_doctor_room_t *room, const mx_doctor_end_t *end)
{
    const mx_room_row_t *row = room->row;
    int i, same = row->nheads == end->nheads;
    if (end->unread)
        return check_head_ids(room);
    for (i = 0; same && i < row->nheads; i++)
        same = is_among(row->heads[i], end->heads, end->nheads);
    if (!same)
        ADD(HEADS, "room.heads are %d events (%s), the events that nobody follows are %d (%s).", row->nheads,
            nids_words(room, row->heads, row->nheads), end->nheads, nids_words(room, end->heads, end->nheads));
    else if (row->depth < end->depth || row->depth > end->depth_max)        /* it never falls, though that of the heads may */
        ADD(HEADS, "room.depth is %" APR_INT64_T_FMT ", the greatest depth of the heads is %" APR_INT64_T_FMT ".", row->depth, end->depth);
    if (row->last_stream < end->newest)
        ADD(HEADS, "room.last_stream is %" APR_INT64_T_FMT ", the newest event has %" APR_INT64_T_FMT ".", row->last_stream, end->newest);
    return check_head_ids(room);
}

/** The snapshot's hash and size, worked out of all its entries. */
static apr_status_t check_snapshot_hash(mx_doctor_room_t *room)
{
    mx_state_item_t *items;
    mx_state_hash_t hash;
    unsigned char key[MX_STATE_HASH_KEY_BYTES];
    int i, k, at, n, nrows;
    apr_status_t rv = mx_store_state_hash_key(key, room->d->store, room->pool);
    memset(&hash, 0, sizeof(hash));
    if (rv == APR_SUCCESS)
        rv = mx_store_state_load(&items, &n, room->d->store, room->row->snap_nid, room->pool);
    if (rv != APR_SUCCESS)
        return rv;
    for (at = 0; at < n && rv == APR_SUCCESS; at += IDS_A_QUERY) {
        mx_resolve_event_t *rows;
        apr_int64_t *nids;
        mx_doctor_state_next_part(room);
        nids = apr_palloc(room->chunk, sizeof(*nids) * IDS_A_QUERY);
        for (i = 0; i < IDS_A_QUERY && at + i < n; i++)
            nids[i] = items[at + i].nid;
        rv = mx_store_doctor_ids(&rows, &nrows, room->d->store, nids, i, room->chunk);
        for (k = i = 0; rv == APR_SUCCESS && k < nrows; k++, i++) {
            while (nids[i] != rows[k].nid)
                i++;
            mx_store_state_hash_change(&hash, key, items[at + i].skey_nid, MX_SLICE_NONE, rows[k].id, room->chunk);
        }
    }
    room->report->state_entries = n;
    if (rv == APR_SUCCESS && n != room->row->snap_size)
        ADD(SNAPSHOT, "the room's current snapshot says to have %d entries, and has %d.", room->row->snap_size, n);
    if (rv == APR_SUCCESS && memcmp(hash.bytes, room->row->snap_hash.bytes, sizeof(hash.bytes)) != 0)
        ADD(SNAPSHOT, "the hash of the room's current snapshot is not that of its entries.");
    return rv;
}

static apr_status_t check_current_snapshot(mx_doctor_room_t *room, const mx_doctor_end_t *end)
{
    mx_doctor_state_t is = { room->row->snap_nid, NULL, 0 };
    mx_doctor_diff_t *diffs;
    int n;
    apr_status_t rv = mx_doctor_state_diff(&diffs, &n, room, &end->state, &is);
    if (rv != APR_SUCCESS)
        return rv;
    if (n && end->doubt)
        room->report->unchecked[MX_DOCTOR_REDACTED_AUTH]++;
    else if (n)
        ADD(CURRENT_SNAPSHOT, "the room's current state is not the state after its heads: %s.", mx_doctor_state_words(room, diffs, n));
    return APR_SUCCESS;
}

/** Is another snapshot of the room the same state as its current one? */
static apr_status_t same_state(int *psame, mx_doctor_room_t *room, apr_int64_t snap)
{
    mx_doctor_state_t state = { snap, NULL, 0 };
    mx_doctor_snap_t snaps[2];
    const apr_int64_t nids[] = { snap, room->row->snap_nid };
    apr_status_t rv = mx_store_doctor_snaps(snaps, room->d->store, nids, 2, room->chunk);
    *psame = snap == room->row->snap_nid;
    if (rv != APR_SUCCESS || *psame || !snaps[0].room_nid || !snaps[1].room_nid)
        return rv;
    return mx_doctor_state_is(psame, room, &state, room->row->snap_nid);
}

static apr_status_t check_log(mx_doctor_room_t *room)
{
    mx_doctor_log_t log;
    int same;
    apr_status_t rv = mx_store_doctor_log(&log, room->d->store, room->row->nid, room->chunk);
    if (rv != APR_SUCCESS)
        return rv;
    if (log.dangling)
        ADD(STATE_LOG, "%d rows of room_state_log name snapshots that the room does not have.", log.dangling);
    rv = same_state(&same, room, log.snap_nid);
    if (rv == APR_SUCCESS && !same)
        ADD(STATE_LOG, "the last row of room_state_log names snapshot %" APR_INT64_T_FMT ", the room's is %" APR_INT64_T_FMT ".",
            log.snap_nid, room->row->snap_nid);
    if (log.stream > room->row->last_stream)
        ADD(STATE_LOG, "the last row of room_state_log is of a time after the room's newest event.");
    return rv;
}

/** 0 in *pthere: the mirrors have nothing to mirror. */
static apr_status_t check_row(int *pthere, mx_doctor_room_t *room, const mx_doctor_end_t *end)
{
    mx_doctor_snap_t snap = { .room_nid = 0 };
    apr_status_t rv = check_heads(room, end);
    *pthere = 0;
    if (rv == APR_SUCCESS && !room->row->snap_nid && !room->row->nheads && !end->newest)
        return APR_SUCCESS;          /* nothing but outliers: a join through another server that came to nothing */
    if (rv == APR_SUCCESS && room->row->snap_nid)
        rv = mx_store_doctor_snaps(&snap, room->d->store, &room->row->snap_nid, 1, room->chunk);
    *pthere = snap.room_nid == room->row->nid && !snap.ancestors_missing;
    if (rv != APR_SUCCESS)
        return rv;
    if (!*pthere) {
        ADD(CURRENT_SNAPSHOT, "the room's current snapshot, number %" APR_INT64_T_FMT ", %s.", room->row->snap_nid,
            snap.ancestors_missing ? "builds on others that do not exist" : "does not exist in this room");
        return check_log(room);
    }
    rv = check_log(room);
    if (rv == APR_SUCCESS && !end->unread)
        rv = check_current_snapshot(room, end);
    if (rv == APR_SUCCESS)
        rv = check_snapshot_hash(room);
    if (!mx_doctor_state_is_damage(room, rv))
        return rv;
    *pthere = 0;
    ADD(CURRENT_SNAPSHOT, "the room's current snapshot, number %" APR_INT64_T_FMT ", is damaged and cannot be read.", room->row->snap_nid);
    return APR_SUCCESS;
}

/* ---- a room ---- */

static apr_status_t examine(mx_doctor_room_t *room, mx_doctor_mirrors_t *must, int *pthere)
{
    mx_doctor_end_t end;
    apr_status_t rv = mx_doctor_replay_run(&end, room);
    *pthere = 0;
    if (rv == APR_SUCCESS)
        rv = check_row(pthere, room, &end);
    if (rv == APR_SUCCESS && *pthere)
        rv = mx_doctor_mirror_make(must, room, room->row->snap_nid);
    if (rv == APR_SUCCESS && *pthere)
        rv = mx_doctor_mirror_check(room, must);
    return rv;
}

apr_status_t mx_doctor_room_examine(mx_doctor_report_t **preport, mx_doctor_t *d, apr_int64_t room_nid, apr_pool_t *pool)
{
    mx_doctor_mirrors_t must;
    mx_doctor_room_t *room = NULL;
    mx_conn_t *conn;
    int there;
    apr_status_t rv = mx_store_doctor_begin(&conn, d->store, MX_DOCTOR_READ, pool);
    if (rv != APR_SUCCESS)
        return rv;
    rv = mx_doctor_room_open(&room, d, room_nid, pool);
    if (rv == APR_SUCCESS)
        rv = examine(room, &must, &there);
    mx_store_doctor_end(conn);
    if (rv == APR_SUCCESS && d->repair && there && mx_doctor_report_repairable(room->report))
        rv = mx_doctor_mirror_repair(room, &must, room->row->snap_nid);
    if (rv == APR_SUCCESS)
        *preport = room->report;
    return rv;
}

/* ---- one event ---- */

typedef struct lone_t {
    mx_doctor_room_t *room;
    mx_doctor_state_t before;
} lone_t;

static apr_int64_t lone_entry(void *baton, apr_int64_t skey_nid)
{
    lone_t *lone = baton;
    apr_int64_t nid = 0;
    apr_status_t rv = skey_nid ? mx_doctor_state_entries(&nid, lone->room, &lone->before, &skey_nid, 1) : APR_SUCCESS;
    if (rv != APR_SUCCESS)
        lone->room->rv = rv;
    return nid;
}

/** `replaces` and the state after, against the state before as it is stored. */
static apr_status_t check_lone_state(lone_t *lone, const mx_event_row_t *row, const char *event_id)
{
    mx_doctor_room_t *room = lone->room;
    mx_state_item_t change = { row->skey_nid, row->nid };
    mx_doctor_state_t after = mx_doctor_state_with(&lone->before, &change, 1, room->chunk);
    apr_int64_t replaced = lone_entry(lone, row->skey_nid);
    int equal = 0;
    apr_status_t rv = row->snap_after ? mx_doctor_state_is(&equal, room, &after, row->snap_after) : APR_SUCCESS;
    if (rv == APR_SUCCESS && replaced != row->replaces)
        mx_doctor_report_add(room->report, MX_DOCTOR_REPLACES, event_id, "what it is said to replace is not what the state before it has.");
    if (rv == APR_SUCCESS && !equal)
        mx_doctor_report_add(room->report, MX_DOCTOR_STATE_AFTER, event_id,
                             "the state after it is not the state before it with this event in its place.");
    return rv == APR_SUCCESS ? room->rv : rv;
}

static apr_status_t examine_event(mx_doctor_room_t *room, apr_int64_t nid, const char *event_id)
{
    lone_t lone = { room, { 0, NULL, 0 } };
    mx_doctor_snap_t snap = { .room_nid = 0 };
    mx_doctor_row_t *row;
    mx_event_t *event;
    int n, known;
    apr_status_t rv = mx_store_doctor_events(&row, &n, room->d->store, &nid, 1, room->chunk);
    if (rv != APR_SUCCESS)
        return rv;
    room->report->events = 1;
    room->report->state_events = row->has_state;
    event = mx_doctor_event_read(room, row, event_id);
    if (!event)
        return room->rv;
    mx_doctor_event_check(room, row, event, event_id);
    rv = mx_doctor_auth_load_ids(room, event->auth_events, event->nauth);
    if (rv == APR_SUCCESS && row->event.snap_nid)
        rv = mx_store_doctor_snaps(&snap, room->d->store, &row->event.snap_nid, 1, room->chunk);
    if (rv != APR_SUCCESS)
        return rv;
    known = row->event.snap_nid ? snap.room_nid == room->row->nid && !snap.ancestors_missing : !event->nprev;
    if (row->event.snap_nid && !known)
        mx_doctor_report_add(room->report, MX_DOCTOR_SNAPSHOT, event_id, "the snapshot of the state before it, number %" APR_INT64_T_FMT
                             ", does not exist whole in this room.", row->event.snap_nid);
    lone.before.snap = row->event.snap_nid;
    mx_doctor_auth_check(room, row, event, known ? lone_entry : NULL, &lone);
    if (room->rv == APR_SUCCESS && known && row->event.skey_nid && !(row->event.flags & (MX_EVENT_FLAG_REJECTED | MX_EVENT_FLAG_OUTLIER)))
        return check_lone_state(&lone, &row->event, event_id);
    return room->rv;
}

apr_status_t mx_doctor_room_examine_event(mx_doctor_report_t **preport, mx_doctor_t *d, const char *event_id, apr_pool_t *pool)
{
    mx_doctor_room_t *room = NULL;
    mx_event_row_t *row;
    mx_conn_t *conn;
    apr_status_t rv = mx_store_doctor_begin(&conn, d->store, MX_DOCTOR_READ, pool);
    if (rv != APR_SUCCESS)
        return rv;
    rv = mx_store_event_by_id(&row, d->store, event_id, pool);
    if (rv == APR_SUCCESS)
        rv = mx_doctor_room_open(&room, d, row->room_nid, pool);
    if (rv == APR_SUCCESS)
        rv = examine_event(room, row->nid, event_id);
    mx_store_doctor_end(conn);
    if (rv == APR_SUCCESS)
        *preport = room->report;
    return rv;
}
