/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Timelines of rooms with forks. Events stand on states that were never the room's, and a resolution changes the room's state
 * without an event that says so. CS-API: syncing; SS-API: room state resolution.
 */
#include "sync/full.h"

int mx_sync_part_is_linked(const mx_sync_part_t *part)
{
    int i;

    for (i = 0; i < part->n; i++) {
        const mx_event_row_t *row = &part->rows[i];

        if ((row->skey_nid ? row->snap_after : row->snap_nid) != (i + 1 < part->n ? row[1].snap_nid : part->snap_end)) return 0;
    }
    return 1;
}

/*
 * A client takes the last event of the timeline with a type and key for the room's state. Where that has lost against another, no
 * `state` could say so, for it is applied before the timeline. (With `state_after` it is the other way round.)
 */
static int may_mislead(const mx_sync_full_t *full, const mx_sync_part_t *part)
{
    return !full->ask->use_state_after && mx_sync_part_has_state(part) && !mx_sync_part_is_linked(part);
}

typedef struct end_key_t {
    apr_int64_t snap_nid, skey_nid;
} end_key_t;

/* What the room's state at the end has for the keys of the timeline: end_key_t -> nid. */
static const mx_error_t *read_ends(apr_hash_t *ends, mx_sync_full_t *full, mx_sync_part_t *const *parts, int n)
{
    apr_array_header_t *skeys = apr_array_make(full->pool, 16, sizeof(apr_int64_t));
    apr_int64_t *snaps = apr_palloc(full->pool, sizeof(*snaps) * (apr_size_t)(n + 1));
    apr_hash_t *asked = apr_hash_make(full->pool);
    mx_state_hit_t *hits = NULL;
    apr_status_t rv;
    int i, k, nhits = 0;

    for (i = 0; i < n; i++) {
        snaps[i] = parts[i]->snap_end;
        for (k = 0; k < parts[i]->n; k++) {
            const apr_int64_t *skey = &parts[i]->rows[k].skey_nid;

            if (!*skey || apr_hash_get(asked, skey, sizeof(*skey))) continue;
            apr_hash_set(asked, skey, sizeof(*skey), "");
            APR_ARRAY_PUSH(skeys, apr_int64_t) = *skey;
        }
    }
    if (!skeys->nelts) return NULL;
    rv = mx_store_state_entries(&hits, &nhits, full->server->store, snaps, n, (const apr_int64_t *)skeys->elts, skeys->nelts, full->pool);
    if (rv != APR_SUCCESS) return mx_server_store_error(rv, "read what timelines led to", full->pool);
    for (i = 0; i < nhits; i++) {
        end_key_t *key = apr_pcalloc(full->pool, sizeof(*key));

        *key = (end_key_t){ hits[i].snap_nid, hits[i].skey_nid };
        apr_hash_set(ends, key, sizeof(*key), &hits[i].nid);
    }
    return NULL;
}

/* The timeline begins after the last event that misleads: what is before it is behind a gap, and its outcome in `state`. */
static void cut(mx_sync_full_t *full, mx_sync_part_t *part, apr_hash_t *ends)
{
    apr_hash_t *seen = apr_hash_make(full->pool);
    int i;

    for (i = part->n - 1; i >= 0; i--) {
        const mx_event_row_t *row = &part->rows[i];
        end_key_t key = { part->snap_end, row->skey_nid };
        const apr_int64_t *nid;

        if (!row->skey_nid || apr_hash_get(seen, &row->skey_nid, sizeof(row->skey_nid))) continue;
        apr_hash_set(seen, &row->skey_nid, sizeof(row->skey_nid), "");
        nid = apr_hash_get(ends, &key, sizeof(key));
        if (nid && *nid == row->nid) continue;
        part->prev = row->ord;
        part->limited = 1;
        part->rows += i + 1;
        part->n -= i + 1;
        return;
    }
}

const mx_error_t *mx_sync_room_fork_settle(mx_sync_full_t *full)
{
    mx_sync_part_t **parts = apr_palloc(full->pool, sizeof(*parts) * (apr_size_t)(full->nparts + 1));
    apr_hash_t *ends = apr_hash_make(full->pool);
    const mx_error_t *err;
    int i, n = 0;

    for (i = 0; i < full->nparts; i++)
        if (may_mislead(full, &full->parts[i])) parts[n++] = &full->parts[i];
    err = read_ends(ends, full, parts, n);
    for (i = 0; !err && i < n; i++) cut(full, parts[i], ends);
    for (i = 0; i < full->nparts; i++) {
        mx_sync_part_t *part = &full->parts[i];

        int linked = mx_sync_part_is_linked(part);

        part->snap_start = part->n ? part->rows[0].snap_nid : part->snap_end;
        if (!part->full && !part->limited && part->snap_start != part->snap_since) linked = 0;     /* from where the client is */
        part->broken = !linked;
        part->snap_base = linked && !full->ask->use_state_after ? part->snap_start : part->snap_end;
    }
    return err;
}
