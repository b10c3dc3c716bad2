/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The sticky events of an answer: those that its timelines leave out, because of their limit, a filter, or what happened before the
 * reader came. MSC4354: sync API changes. Every timeline that leaves nothing out has them all.
 */
#include "store/sticky.h"
#include "sync/full.h"

#define PER_ROOM_MAX 1000            /* the newest: a room of many senders would else make answers without end */

/** 1 if events of its span may be missing from its timeline. */
static int may_lack(const mx_sync_part_t *part)
{
    return part->section == MX_SECTION_JOIN && (part->fresh || part->limited || part->gappy || part->broken);
}

static int in_timeline(const mx_sync_part_t *part, const mx_event_row_t *row)
{
    int i;

    for (i = part->n; i-- > 0 && part->rows[i].ord >= row->ord;)
        if (part->rows[i].nid == row->nid) return 1;
    return 0;
}

static void share(mx_sync_full_t *full, const mx_event_row_t *rows, int n)
{
    int i;

    for (i = 0; i < n; i++) {
        mx_sync_part_t *part = mx_sync_part_of(full, rows[i].room_nid);

        if (!part || in_timeline(part, &rows[i])) continue;
        if (!part->sticky) part->sticky = apr_array_make(full->pool, 4, sizeof(mx_event_row_t));
        APR_ARRAY_PUSH(part->sticky, mx_event_row_t) = rows[i];
    }
}

const mx_error_t *mx_sync_sticky_load(mx_sync_full_t *full)
{
    mx_sync_since_t *rooms = apr_palloc(full->pool, sizeof(*rooms) * (apr_size_t)(full->nparts + 1));
    mx_sticky_ask_t ask = { .rooms = rooms, .upto = full->upto, .now_ms = apr_time_as_msec(full->now), .per_room = PER_ROOM_MAX,
                            .limit = PER_ROOM_MAX * full->nparts, .ignored = full->settings->ignored,
                            .nignored = full->settings->nignored };
    mx_event_row_t *rows = NULL;
    apr_status_t rv;
    int i, n = 0;

    for (i = 0; i < full->nparts; i++) {
        const mx_sync_part_t *part = &full->parts[i];

        if (may_lack(part)) rooms[ask.nrooms++] = (mx_sync_since_t){ part->member->room_nid, part->fresh ? -1 : full->ask->since };
    }
    if (!ask.nrooms) return NULL;
    MX_SYNC_WITH_CONN(rv, full, mx_store_sticky_read(&rows, &n, conn, &ask, full->pool));
    if (rv != APR_SUCCESS) return mx_server_store_error(rv, "read sticky events", full->pool);
    share(full, rows, n);
    return NULL;
}
