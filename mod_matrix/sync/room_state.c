/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The `state` (or `state_after`) of each room: which state events are told, and their rows. CS-API: syncing.
 *
 * With the timeline whole, `state` is what changed before it begins. Where changes are missing from the timeline (it is filtered, or
 * history is hidden, or forks were resolved), `state` says what has become of the room, or the client would never learn of them.
 */
#include "room/page.h"
#include "sync/full.h"
#include <stdlib.h>

/* ---- snapshots ---- */

static const mx_error_t *snaps_at(mx_sync_full_t *full, apr_int64_t position, int at_end)
{
    mx_sync_part_t **parts = apr_palloc(full->pool, sizeof(*parts) * (apr_size_t)(full->nparts + 1));
    apr_int64_t *rooms = apr_palloc(full->pool, sizeof(*rooms) * (apr_size_t)(full->nparts + 1));
    apr_int64_t *snaps = apr_palloc(full->pool, sizeof(*snaps) * (apr_size_t)(full->nparts + 1));
    apr_status_t rv;
    int i, n = 0;

    for (i = 0; i < full->nparts; i++) {
        mx_sync_part_t *part = &full->parts[i];

        if (!mx_sync_part_has_state(part) || (at_end ? part->section != MX_SECTION_JOIN || part->snap_end : part->fresh)) continue;
        parts[n] = part;
        rooms[n++] = part->member->room_nid;
    }
    if (!n) return NULL;
    rv = mx_store_state_at(snaps, full->server->store, rooms, n, position, full->pool);
    if (rv != APR_SUCCESS) return mx_server_store_error(rv, "read the rooms' snapshots", full->pool);
    for (i = 0; i < n; i++) *(at_end ? &parts[i]->snap_end : &parts[i]->snap_since) = snaps[i];
    return NULL;
}

const mx_error_t *mx_sync_room_state_snaps(mx_sync_full_t *full)
{
    const mx_error_t *err = snaps_at(full, full->upto, 1);

    return err || mx_sync_is_initial(full) ? err : snaps_at(full, full->ask->since, 0);
}

/* ---- which events ---- */

static void add_items(mx_sync_part_t *part, const mx_state_list_t *list)
{
    int i;

    for (i = 0; i < list->n; i++)
        if (list->items[i].nid) APR_ARRAY_PUSH(part->state, apr_int64_t) = list->items[i].nid;
}

static int by_value(const void *a, const void *b)
{
    const apr_int64_t *x = a, *y = b;

    return *x < *y ? -1 : *x > *y;
}

/* Numbers of the timeline's events, sorted: its own order is another. */
static apr_int64_t *timeline_nids(const mx_sync_part_t *part, apr_pool_t *pool)
{
    apr_int64_t *nids = apr_palloc(pool, sizeof(*nids) * (apr_size_t)(part->n + 1));
    int i;

    for (i = 0; i < part->n; i++) nids[i] = part->rows[i].nid;
    if (part->n > 1) qsort(nids, (apr_size_t)part->n, sizeof(*nids), by_value);
    return nids;
}

/*
 * Where `state` is what the room has become, what the timeline tells anyway is taken out of it: so that its events have something to take
 * the place of, a client that does not know it yet is told what was there before them.
 */
static void add_replaced(mx_sync_part_t *part, apr_array_header_t *members, apr_pool_t *pool)
{
    apr_hash_t *seen = apr_hash_make(pool);
    int i;

    if (!(part->full || part->limited) || part->snap_base == part->snap_start) return;
    for (i = 0; i < part->n; i++) {
        const mx_event_row_t *row = &part->rows[i];

        if (!row->skey_nid || !row->replaces || apr_hash_get(seen, &row->skey_nid, sizeof(row->skey_nid))) continue;
        apr_hash_set(seen, &row->skey_nid, sizeof(row->skey_nid), "");
        APR_ARRAY_PUSH(part->state, apr_int64_t) = row->replaces;
        APR_ARRAY_PUSH(members, apr_int64_t) = row->replaces;
    }
}

/* What has to be asked of the snapshots: whole states, and differences. */
typedef struct plan_t {
    apr_int64_t *snaps, *from, *to;
    mx_sync_part_t **whole_of, **diff_of;
    mx_state_list_t *wholes, *diffs;
    int nwhole, ndiff;
} plan_t;

static void plan_part(plan_t *plan, mx_sync_part_t *part)
{
    if (part->full) {
        plan->whole_of[plan->nwhole] = part;
        plan->snaps[plan->nwhole++] = part->snap_base;
    } else if (part->snap_since != part->snap_base) {
        plan->diff_of[plan->ndiff] = part;
        plan->from[plan->ndiff] = part->snap_since;
        plan->to[plan->ndiff++] = part->snap_base;
    }
}

static plan_t make_plan(mx_sync_full_t *full)
{
    apr_size_t n = (apr_size_t)full->nparts + 1;
    plan_t plan = { 0 };
    int i;

    plan.snaps = apr_palloc(full->pool, sizeof(apr_int64_t) * n);
    plan.from = apr_palloc(full->pool, sizeof(apr_int64_t) * n);
    plan.to = apr_palloc(full->pool, sizeof(apr_int64_t) * n);
    plan.whole_of = apr_palloc(full->pool, sizeof(mx_sync_part_t *) * n);
    plan.diff_of = apr_palloc(full->pool, sizeof(mx_sync_part_t *) * n);
    plan.wholes = apr_palloc(full->pool, sizeof(mx_state_list_t) * n);
    plan.diffs = apr_palloc(full->pool, sizeof(mx_state_list_t) * n);
    for (i = 0; i < full->nparts; i++) {
        full->parts[i].state = apr_array_make(full->pool, 4, sizeof(apr_int64_t));
        full->parts[i].state_rows = apr_array_make(full->pool, 4, sizeof(const mx_event_row_t *));
        if (mx_sync_part_has_state(&full->parts[i])) plan_part(&plan, &full->parts[i]);
    }
    return plan;
}

static const mx_error_t *run_plan(plan_t *plan, mx_sync_full_t *full)
{
    mx_store_t *store = full->server->store;
    apr_status_t rv = mx_store_state_load_many(plan->wholes, store, plan->snaps, plan->nwhole, full->pool);
    int i;

    if (rv == APR_SUCCESS) rv = mx_store_state_diff_many(plan->diffs, store, plan->from, plan->to, plan->ndiff, full->pool);
    if (rv != APR_SUCCESS) return mx_server_store_error(rv, "read the rooms' states", full->pool);
    for (i = 0; i < plan->nwhole; i++) add_items(plan->whole_of[i], &plan->wholes[i]);
    for (i = 0; i < plan->ndiff; i++) add_items(plan->diff_of[i], &plan->diffs[i]);
    return NULL;
}

/* ---- their rows ---- */

/* Sorts, and drops doubles and what the timeline tells anyway. */
static void tidy(mx_sync_full_t *full, mx_sync_part_t *part)
{
    const apr_int64_t *told = timeline_nids(part, full->pool);
    apr_int64_t *nids = (apr_int64_t *)part->state->elts;
    int i, k = 0, kept = 0;

    qsort(nids, (apr_size_t)part->state->nelts, sizeof(*nids), by_value);
    for (i = 0; i < part->state->nelts; i++) {
        if (kept && nids[kept - 1] == nids[i]) continue;
        while (k < part->n && told[k] < nids[i]) k++;
        if (!full->ask->use_state_after && k < part->n && told[k] == nids[i]) continue;
        nids[kept++] = nids[i];
    }
    part->state->nelts = kept;
}

static const mx_error_t *take_rows(mx_sync_full_t *full, mx_sync_part_t *part, apr_hash_t *rows)
{
    const mx_error_t *err = NULL;
    int i, yes;

    for (i = 0; !err && i < part->state->nelts; i++) {
        const mx_event_row_t *row = apr_hash_get(rows, &APR_ARRAY_IDX(part->state, i, apr_int64_t), sizeof(apr_int64_t));

        if (!row) continue;
        err = mx_room_page_allows(&yes, full->server, &full->filter->state, part->member->room_id, row, full->pool);
        if (!err && yes) APR_ARRAY_PUSH(part->state_rows, const mx_event_row_t *) = row;
    }
    return err;
}

static const mx_error_t *read_rows(mx_sync_full_t *full, const apr_array_header_t *members)
{
    apr_array_header_t *nids = apr_array_make(full->pool, 64, sizeof(apr_int64_t));
    apr_hash_t *by_row = apr_hash_make(full->pool);
    mx_event_row_t *rows = NULL;
    const mx_error_t *err = NULL;
    apr_status_t rv;
    int i, n = 0;

    for (i = 0; i < full->nparts; i++) {
        tidy(full, &full->parts[i]);
        apr_array_cat(nids, full->parts[i].state);
    }
    if (!nids->nelts) return NULL;
    MX_SYNC_WITH_CONN(rv, full,
                      mx_store_sync_state_rows(&rows, &n, conn, (const apr_int64_t *)nids->elts, nids->nelts,
                                               full->filter->state.lazy_load_members, (const apr_int64_t *)members->elts,
                                               members->nelts, full->pool));
    if (rv != APR_SUCCESS) return mx_server_store_error(rv, "read state events", full->pool);
    for (i = 0; i < n; i++) apr_hash_set(by_row, &rows[i].nid, sizeof(rows[i].nid), &rows[i]);
    for (i = 0; !err && i < full->nparts; i++) err = take_rows(full, &full->parts[i], by_row);
    return err;
}

/* With lazy loading the members of whole states are chosen; those of differences are news, and told. */
static void allow_changed_members(apr_array_header_t *members, const plan_t *plan)
{
    int i, k;

    for (i = 0; i < plan->ndiff; i++)
        for (k = 0; k < plan->diffs[i].n; k++)
            if (plan->diffs[i].items[k].nid) APR_ARRAY_PUSH(members, apr_int64_t) = plan->diffs[i].items[k].nid;
}

const mx_error_t *mx_sync_room_state_load(mx_sync_full_t *full)
{
    apr_array_header_t *members = apr_array_make(full->pool, 16, sizeof(apr_int64_t));
    plan_t plan = make_plan(full);
    const mx_error_t *err = run_plan(&plan, full);
    int i;

    for (i = 0; !err && !full->ask->use_state_after && i < full->nparts; i++) add_replaced(&full->parts[i], members, full->pool);
    if (!err && full->filter->state.lazy_load_members) {
        allow_changed_members(members, &plan);
        err = mx_sync_room_lazy_add(members, full);
    }
    return err ? err : read_rows(full, members);
}
