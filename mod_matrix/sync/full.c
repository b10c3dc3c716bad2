/* SPDX-License-Identifier: Apache-2.0 */
/* An answer from the database: the steps, and what is small: summaries, receipts, typing, account data. */
#include "room/facts.h"
#include "sync/full.h"
#include "sync/tally.h"

/* ---- summaries ---- */

/* Types that a summary hangs on. */
typedef struct summary_types_t {
    int member, name, alias;
    apr_hash_t *same;                /* nids of member events that changed a profile alone */
} summary_types_t;

static apr_status_t find_types(summary_types_t *types, mx_sync_full_t *full)
{
    apr_status_t rv = mx_server_type_nid(&types->member, full->server, "m.room.member", full->pool);

    if (rv == APR_SUCCESS) rv = mx_server_type_nid(&types->name, full->server, "m.room.name", full->pool);
    if (rv == APR_SUCCESS) rv = mx_server_type_nid(&types->alias, full->server, "m.room.canonical_alias", full->pool);
    return rv;
}

/* Member events that took the place of one with the same membership. */
static apr_status_t find_profile_changes(summary_types_t *types, mx_sync_full_t *full)
{
    apr_array_header_t *replaced = apr_array_make(full->pool, 4, sizeof(apr_int64_t));
    apr_array_header_t *news = apr_array_make(full->pool, 4, sizeof(mx_event_row_t *));
    apr_hash_t *by_nid = apr_hash_make(full->pool);
    mx_event_row_t *rows = NULL;
    apr_status_t rv;
    int i, k, n = 0;

    for (i = 0; i < full->nparts; i++)
        for (k = 0; k < full->parts[i].n; k++) {
            mx_event_row_t *row = &full->parts[i].rows[k];

            if (row->type_nid != types->member || !row->replaces || full->parts[i].section != MX_SECTION_JOIN) continue;
            APR_ARRAY_PUSH(replaced, apr_int64_t) = row->replaces;
            APR_ARRAY_PUSH(news, mx_event_row_t *) = row;
        }
    if (!news->nelts) return APR_SUCCESS;
    rv = mx_store_event_by_nids(&rows, &n, full->server->store, (const apr_int64_t *)replaced->elts, replaced->nelts, full->pool);
    for (i = 0; rv == APR_SUCCESS && i < n; i++) apr_hash_set(by_nid, &rows[i].nid, sizeof(rows[i].nid), &rows[i]);
    for (i = 0; rv == APR_SUCCESS && i < news->nelts; i++) {
        const mx_event_row_t *row = APR_ARRAY_IDX(news, i, mx_event_row_t *);
        const mx_event_row_t *old = apr_hash_get(by_nid, &row->replaces, sizeof(row->replaces));

        if (old && mx_room_facts_row_membership(row, full->pool) == mx_room_facts_row_membership(old, full->pool))
            apr_hash_set(types->same, &row->nid, sizeof(row->nid), "");
    }
    return rv;
}

static int moves_summary(const mx_sync_part_t *part, const summary_types_t *types)
{
    int i;

    for (i = 0; i < part->n; i++) {
        const mx_event_row_t *row = &part->rows[i];

        if (row->skey_nid && (row->type_nid == types->name || row->type_nid == types->alias)) return 1;
        if (row->skey_nid && row->type_nid == types->member && !apr_hash_get(types->same, &row->nid, sizeof(row->nid))) return 1;
    }
    return 0;
}

/* CS-API: RoomSummary: told when it may have changed. Where not every event was looked at, any state may have. */
static int needs_summary(const mx_sync_part_t *part, const summary_types_t *types)
{
    if (part->section != MX_SECTION_JOIN) return 0;
    if (part->full) return 1;
    return part->moved && (part->limited || part->gappy || part->broken ? part->snap_since != part->snap_end : moves_summary(part, types));
}

static const mx_error_t *add_summaries(mx_sync_full_t *full)
{
    summary_types_t types = { .same = apr_hash_make(full->pool) };
    mx_room_summary_t *summaries = apr_pcalloc(full->pool, sizeof(*summaries) * (apr_size_t)(full->nparts + 1));
    apr_status_t rv = find_types(&types, full);
    int i, n = 0;

    if (rv == APR_SUCCESS && !mx_sync_is_initial(full)) rv = find_profile_changes(&types, full);
    if (rv != APR_SUCCESS) return mx_server_store_error(rv, "look for changed memberships", full->pool);
    for (i = 0; i < full->nparts; i++) {
        mx_sync_part_t *part = &full->parts[i];

        if (!needs_summary(part, &types)) continue;
        summaries[n].room_nid = part->member->room_nid;
        part->summary = &summaries[n++];
    }
    return mx_room_summaries(summaries, n, full->server, full->ask->who->user_nid, full->pool);
}

/* ---- receipts, typing, account data ---- */

static mx_sync_part_t *find_part(mx_sync_part_t *parts, int n, apr_int64_t room_nid)
{
    int low = 0, high = n - 1;

    while (low <= high) {
        int mid = (low + high) / 2;
        apr_int64_t nid = parts[mid].member->room_nid;

        if (nid == room_nid) return &parts[mid];
        if (nid < room_nid) low = mid + 1;
        else high = mid - 1;
    }
    return NULL;
}

mx_sync_part_t *mx_sync_part_of(mx_sync_full_t *full, apr_int64_t room_nid)
{
    mx_sync_part_t *part = find_part(full->parts, full->njoined, room_nid);

    return part ? part : find_part(full->parts + full->left, full->nleft, room_nid);
}

static void share_receipts(mx_sync_full_t *full, mx_sync_receipt_row_t *rows, int n)
{
    int i;

    for (i = 0; i < n; i++) {
        mx_sync_part_t *part = mx_sync_part_of(full, rows[i].room_nid);

        if (!part || !mx_event_filter_allows(&full->filter->ephemeral, "m.receipt", NULL, part->member->room_id, 0)) continue;
        if (!part->nreceipts++) part->receipts = &rows[i];
    }
}

static void share_typing(mx_sync_full_t *full, mx_sync_typing_row_t *rows, int n)
{
    int i;

    for (i = 0; i < n; i++) {
        mx_sync_part_t *part = mx_sync_part_of(full, rows[i].room_nid);

        if (!part || !mx_event_filter_allows(&full->filter->ephemeral, "m.typing", NULL, part->member->room_id, 0)) continue;
        if (rows[i].nusers || !part->fresh) part->typing = &rows[i];
    }
}

/* Rows come sorted by room, the global ones (room 0) first; what a filter refuses is taken out in place. */
static void share_data(mx_sync_full_t *full, mx_sync_data_row_t *rows, int n)
{
    int i, kept = 0;

    for (i = 0; i < n; i++) {
        mx_sync_part_t *part = rows[i].room_nid ? mx_sync_part_of(full, rows[i].room_nid) : NULL;
        const mx_event_filter_t *filter = part ? &full->filter->room_account_data : &full->filter->account_data;

        if ((rows[i].room_nid && !part) || !mx_event_filter_allows(filter, rows[i].type, NULL, part ? part->member->room_id : NULL, 0))
            continue;
        rows[kept] = rows[i];
        if (part && !part->ndata++) part->data = &rows[kept];
        else if (!part) full->nglobal++;
        kept++;
    }
    full->global = rows;
}

/* The rooms of a section, after `n` that are there already. */
static int asked_rooms(mx_sync_since_t *rooms, int n, const mx_sync_full_t *full, mx_sync_section_e section)
{
    int i;

    for (i = 0; i < full->nparts; i++) {
        const mx_sync_part_t *part = &full->parts[i];

        if (part->section != section) continue;
        rooms[n++] = (mx_sync_since_t){ part->member->room_nid, part->fresh ? -1 : full->ask->since };
    }
    return n;
}

static apr_status_t read_small(mx_sync_full_t *full, mx_conn_t *conn)
{
    mx_sync_since_t *rooms = apr_palloc(full->pool, sizeof(*rooms) * (apr_size_t)(full->nparts + 1));
    int n = asked_rooms(rooms, 0, full, MX_SECTION_JOIN), nreceipts = 0, ntyping = 0, ndata = 0;
    apr_int64_t user_nid = full->ask->who->user_nid;
    mx_sync_receipt_row_t *receipts = NULL;
    mx_sync_typing_row_t *typing = NULL;
    mx_sync_data_row_t *data = NULL;
    apr_status_t rv = APR_SUCCESS;

    if (n) rv = mx_store_sync_room_receipts(&receipts, &nreceipts, conn, rooms, n, full->upto, user_nid, full->pool);
    if (n && rv == APR_SUCCESS)
        rv = mx_store_sync_room_typing(&typing, &ntyping, conn, rooms, n, full->upto, apr_time_as_msec(full->now), full->pool);
    /* CS-API: Left Room: account_data */
    n = asked_rooms(rooms, n, full, MX_SECTION_LEAVE);
    if (rv == APR_SUCCESS)
        rv = mx_store_sync_user_data(&data, &ndata, conn, user_nid, full->later ? full->upto : full->ask->since, rooms, n, full->upto,
                                     full->pool);
    if (rv != APR_SUCCESS) return rv;
    share_receipts(full, receipts, nreceipts);
    share_typing(full, typing, ntyping);
    share_data(full, data, ndata);
    return APR_SUCCESS;
}

static const mx_error_t *add_small(mx_sync_full_t *full)
{
    apr_status_t rv;

    MX_SYNC_WITH_CONN(rv, full, read_small(full, conn));
    return rv == APR_SUCCESS ? NULL : mx_server_store_error(rv, "read receipts, typing and account data", full->pool);
}

/* ---- unread counts ---- */

static const mx_error_t *add_unread(mx_sync_full_t *full)
{
    mx_sync_unread_room_t *rooms = apr_pcalloc(full->pool, sizeof(*rooms) * (apr_size_t)(full->nparts + 1));
    int i, n = 0;

    for (i = 0; i < full->nparts; i++) {
        mx_sync_part_t *part = &full->parts[i];

        if (part->section != MX_SECTION_JOIN || !mx_sync_part_is_told(part)) continue;
        rooms[n] = (mx_sync_unread_room_t){ .room_nid = part->member->room_nid, .room_id = part->member->room_id };
        part->unread = &rooms[n++];
    }
    return mx_sync_unread_count(rooms, n, full->server, full->ask->who, full->settings, full->upto, full->pool);
}

const mx_error_t *mx_sync_full_load(mx_sync_full_t *chunk)
{
    const mx_error_t *err = mx_sync_rooms_timelines(chunk);

    if (!err) err = mx_sync_room_fork_settle(chunk);
    if (!err) err = mx_sync_sticky_load(chunk);
    if (!err) err = add_summaries(chunk);
    if (!err) err = mx_sync_room_state_load(chunk);
    if (!err) err = add_small(chunk);
    return err ? err : add_unread(chunk);
}

const mx_error_t *mx_sync_full_answer(mx_sync_answer_t *out, mx_server_t *server, const mx_sync_ask_t *ask, apr_pool_t *pool)
{
    mx_sync_full_t full = { .server = server, .ask = ask, .filter = ask->filter, .now = apr_time_now(), .for_device = 1, .pool = pool };
    const mx_error_t *err = mx_sync_rooms_find(&full);

    if (!err) err = mx_sync_devices_stock(&full.stock, &full.stock_moved, server, ask, pool);
    if (!err && full.quiet && !full.stock_moved) {
        *out = (mx_sync_answer_t){ mx_sync_write_nothing(full.upto, full.stock, pool), NULL, full.upto, 1 };
        return NULL;
    }
    if (!err) err = mx_sync_push_settings_read(&full.settings, server, ask->who, full.upto, pool);
    if (!err) err = mx_sync_invites_hide(&full);
    return err ? err : mx_sync_chunks_begin(out, &full);
}
