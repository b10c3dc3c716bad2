/* SPDX-License-Identifier: Apache-2.0 */
/* Which rooms an answer tells of, in which section, and their timelines. CS-API: syncing. */
#include "room/facts.h"
#include "room/page.h"
#include "store/stream.h"
#include "sync/full.h"

#define URL_SCAN_FACTOR 4            /* contains_url is asked of the events, not of the database: so many more are read */

/* ---- rooms ---- */

/* What is told to the device. More than fits goes into the next answer: this one then reaches no further. */
static apr_status_t read_messages(mx_sync_full_t *full, mx_conn_t *conn)
{
    apr_status_t rv = mx_store_to_device_read(&full->messages, &full->nmessages, conn, full->ask->who->device_nid, full->ask->since,
                                              full->upto, MX_SYNC_TO_DEVICE_MAX + 1, full->pool);

    if (rv != APR_SUCCESS || full->nmessages <= MX_SYNC_TO_DEVICE_MAX) return rv;
    full->nmessages = MX_SYNC_TO_DEVICE_MAX;
    full->upto = full->messages[MX_SYNC_TO_DEVICE_MAX - 1].stream;
    return APR_SUCCESS;
}

static apr_status_t read_members(mx_sync_full_t *full)
{
    const mx_who_t *who = full->ask->who;
    mx_conn_t *conn = NULL;
    apr_status_t rv = mx_store_borrow(&conn, full->server->store, full->pool);

    /* a writer that was slow to register can set the watermark back; what was told stays told */
    if (rv == APR_SUCCESS) rv = mx_store_stream_watermark_after(&full->upto, full->ask->since, conn, full->pool);
    if (rv == APR_SUCCESS && !mx_sync_is_initial(full) && !full->ask->full_state)
        rv = mx_store_sync_quiet(&full->quiet, conn, who->user_nid, who->device_nid, full->ask->since, full->upto, full->pool);
    if (rv == APR_SUCCESS && full->for_device && !full->quiet) rv = read_messages(full, conn);
    if (rv == APR_SUCCESS && !full->quiet)
        rv = mx_store_sync_members(&full->members, &full->nparts, conn, who->user_nid, full->ask->since, full->pool);
    mx_store_return(conn);
    return rv;
}

/* The reader's membership in the chosen rooms as of a position. */
static const mx_error_t *memberships_at(mx_sync_full_t *full, mx_sync_part_t **chosen, int n, apr_int64_t position, int at_end)
{
    apr_int64_t *rooms = apr_palloc(full->pool, sizeof(*rooms) * (apr_size_t)(n + 1));
    apr_int64_t *snaps = apr_palloc(full->pool, sizeof(*snaps) * (apr_size_t)(n + 1));
    mx_membership_e *out = apr_palloc(full->pool, sizeof(*out) * (apr_size_t)(n + 1));
    const mx_error_t *err;
    apr_status_t rv;
    int i;

    if (!n) return NULL;
    for (i = 0; i < n; i++) rooms[i] = chosen[i]->member->room_nid;
    rv = mx_store_state_at(snaps, full->server->store, rooms, n, position, full->pool);
    if (rv != APR_SUCCESS) return mx_server_store_error(rv, "read the rooms' state at a position", full->pool);
    err = mx_room_facts_membership(out, full->server, snaps, n, full->ask->who->user_id, full->pool);
    for (i = 0; !err && i < n; i++) *(at_end ? &chosen[i]->at_end : &chosen[i]->at_since) = out[i];
    return err;
}

/* Rows say what is true now. Where that is younger than the token, or even than this answer, the state of then is asked. */
static const mx_error_t *settle_memberships(mx_sync_full_t *full)
{
    mx_sync_part_t **since = apr_palloc(full->pool, sizeof(*since) * (apr_size_t)(full->nparts + 1));
    mx_sync_part_t **end = apr_palloc(full->pool, sizeof(*end) * (apr_size_t)(full->nparts + 1));
    const mx_error_t *err;
    int i, nsince = 0, nend = 0;

    for (i = 0; i < full->nparts; i++) {
        mx_sync_part_t *part = &full->parts[i];

        part->member = &full->members[i];
        part->at_since = mx_sync_is_initial(full) ? MX_MEMBERSHIP_NONE : (mx_membership_e)part->member->membership;
        part->at_end = (mx_membership_e)part->member->membership;
        if (!mx_sync_is_initial(full) && part->member->stream > full->ask->since) since[nsince++] = part;
        if (part->member->stream > full->upto) end[nend++] = part;
    }
    err = memberships_at(full, since, nsince, full->ask->since, 0);
    return err ? err : memberships_at(full, end, nend, full->upto, 1);
}

/* CS-API: sync: rooms.join, invite, knock, leave. */
static mx_sync_section_e section_of(const mx_sync_full_t *full, const mx_sync_part_t *part)
{
    int changed = part->member->stream > full->ask->since && (part->member->stream <= full->upto || part->at_since != part->at_end);

    if (!mx_filter_allows_room(full->filter, part->member->room_id)) return MX_SECTION_NONE;
    switch (part->at_end) {
    case MX_MEMBERSHIP_JOIN: return MX_SECTION_JOIN;
    case MX_MEMBERSHIP_INVITE: return changed ? MX_SECTION_INVITE : MX_SECTION_NONE;
    case MX_MEMBERSHIP_KNOCK: return changed ? MX_SECTION_KNOCK : MX_SECTION_NONE;
    case MX_MEMBERSHIP_NONE:     /* or no more: forks were resolved to a state that does not know the reader */
        if (part->at_since == MX_MEMBERSHIP_NONE) return MX_SECTION_NONE;
        break;
    default: break;
    }
    if (mx_sync_is_initial(full)) return full->filter->include_leave && !part->member->forgotten ? MX_SECTION_LEAVE : MX_SECTION_NONE;
    return changed ? MX_SECTION_LEAVE : MX_SECTION_NONE;
}

static void place_part(const mx_sync_full_t *full, mx_sync_part_t *part)
{
    const mx_sync_member_row_t *member = part->member;

    part->section = section_of(full, part);
    if (part->section != MX_SECTION_JOIN && part->section != MX_SECTION_LEAVE) return;
    part->fresh = part->at_since != MX_MEMBERSHIP_JOIN;
    part->full = part->fresh || (full->ask->full_state && part->section == MX_SECTION_JOIN);
    part->span.room_nid = member->room_nid;
    part->span.after = part->fresh ? 0 : full->ask->since;
    part->span.upto = full->upto;
    if (part->section == MX_SECTION_LEAVE && member->stream < part->span.upto) part->span.upto = member->stream;
    part->moved = member->last_stream > part->span.after;
    part->prev = part->fresh ? part->span.upto : full->ask->since;
}

const mx_error_t *mx_sync_rooms_find(mx_sync_full_t *full)
{
    const mx_error_t *err;
    apr_status_t rv = read_members(full);
    int i;

    if (rv != APR_SUCCESS) return mx_server_store_error(rv, "read a user's rooms", full->pool);
    full->parts = apr_pcalloc(full->pool, sizeof(*full->parts) * (apr_size_t)(full->nparts + 1));
    err = settle_memberships(full);
    for (i = 0; !err && i < full->nparts; i++) place_part(full, &full->parts[i]);
    return err;
}

const mx_error_t *mx_sync_part_refresh(mx_sync_full_t *full, const mx_sync_part_t *part)
{
    mx_room_t *room = NULL;

    return mx_room_get_since(&room, full->server, part->member->room_nid, part->member->last_stream, full->pool);
}

/* ---- timelines ---- */

/* A `*` of a filter as LIKE has it. */
static const char **patterns(const char **types, apr_pool_t *pool)
{
    const char **out;
    int i, n = 0;

    if (!types) return NULL;
    while (types[n]) n++;
    out = apr_pcalloc(pool, sizeof(*out) * (apr_size_t)(n + 1));
    for (i = 0; i < n; i++) {
        const char *p;
        char *q = apr_palloc(pool, strlen(types[i]) * 2 + 1);

        out[i] = q;
        for (p = types[i]; *p; p++) {
            if (*p == '%' || *p == '_' || *p == '\\') *q++ = '\\';
            *q++ = *p == '*' ? '%' : *p;
        }
        *q = '\0';
    }
    return out;
}

static int wants_timeline(const mx_sync_full_t *full, const mx_sync_part_t *part)
{
    mx_event_filter_t rooms_alone = { .rooms = full->filter->timeline.rooms, .not_rooms = full->filter->timeline.not_rooms,
                                      .contains_url = -1 };

    return part->moved && mx_event_filter_allows(&rooms_alone, NULL, NULL, part->member->room_id, 0);
}

/* What the database has for the part, cut at the newest gap; NULL timeline: nothing was asked for. */
static apr_status_t read_timelines(mx_sync_timeline_t **ptimelines, mx_sync_full_t *full, int limit)
{
    const mx_event_filter_t *f = &full->filter->timeline;
    mx_sync_sql_filter_t sql = { patterns(f->types, full->pool), patterns(f->not_types, full->pool), f->senders, f->not_senders,
                                 full->settings->ignored, full->settings->nignored };
    mx_sync_span_t *spans = apr_palloc(full->pool, sizeof(*spans) * (apr_size_t)(full->nparts + 1));
    apr_status_t rv;
    int i, n = 0;

    for (i = 0; i < full->nparts; i++)
        if (wants_timeline(full, &full->parts[i])) spans[n++] = full->parts[i].span;
    *ptimelines = apr_palloc(full->pool, sizeof(**ptimelines) * (apr_size_t)(n + 1));
    if (!n) return APR_SUCCESS;
    MX_SYNC_WITH_CONN(rv, full, mx_store_sync_timelines(*ptimelines, conn, spans, n, &sql, limit, full->pool));
    return rv;
}

static const mx_error_t *drop_without_url(mx_sync_full_t *full, mx_sync_part_t *part)
{
    const mx_error_t *err = NULL;
    int i, kept = 0, yes;

    for (i = 0; !err && i < part->n; i++) {
        err = mx_room_page_allows(&yes, full->server, &full->filter->timeline, part->member->room_id, &part->rows[i], full->pool);
        if (!err && yes) part->rows[kept++] = part->rows[i];
    }
    part->n = kept;
    return err;
}

/* What was read of a room becomes its timeline, at most as long as the filter's limit. A gap that it reached is one that it tells of. */
static const mx_error_t *take_timeline(mx_sync_full_t *full, mx_sync_part_t *part, const mx_sync_timeline_t *read, int asked, int limit)
{
    const mx_error_t *err = NULL;

    part->rows = read->rows;
    part->n = read->n;
    part->limited = read->n >= asked || read->gap;
    part->gappy = !mx_event_filter_is_open(&full->filter->timeline);
    if (full->filter->timeline.contains_url >= 0) err = drop_without_url(full, part);
    if (part->n > limit) {
        part->limited = 1;
        part->rows += part->n - limit;
        part->n = limit;
        part->prev = part->rows[-1].ord;   /* where no event was asked for, history begins with the newest */
        if (!limit) return err;
    }
    if (part->n) part->prev = part->rows[0].ord - 1;
    else if (read->n >= asked) part->prev = read->rows[0].ord - 1;
    else if (read->gap) part->prev = read->gap - 1;
    return err;
}

/* ---- what the reader may see of them ---- */

/*
 * Was the reader in the rooms it left, and what were they when it did? Who only declined an invitation has seen nothing and is shown
 * nothing. What ended the membership need not be an event of the reader's: forks may resolve to a state without it.
 */
static const mx_error_t *find_departures(mx_sync_full_t *full)
{
    apr_size_t max = (apr_size_t)full->nparts * 2 + 1;
    apr_int64_t *rooms = apr_palloc(full->pool, sizeof(*rooms) * max), *at = apr_palloc(full->pool, sizeof(*at) * max);
    apr_int64_t *snaps = apr_palloc(full->pool, sizeof(*snaps) * max);
    mx_sync_part_t **parts = apr_palloc(full->pool, sizeof(*parts) * max);
    mx_membership_e *before = apr_palloc(full->pool, sizeof(*before) * max);
    const mx_error_t *err;
    apr_status_t rv;
    int i, n = 0;

    for (i = 0; i < full->nparts; i++)
        if (full->parts[i].section == MX_SECTION_LEAVE) parts[n++] = &full->parts[i];
    if (!n) return NULL;
    for (i = 0; i < n; i++) {
        rooms[i] = rooms[n + i] = parts[i]->member->room_nid;
        at[n + i] = parts[i]->span.upto;
        at[i] = at[n + i] - 1;
    }
    rv = mx_store_state_at_each(snaps, full->server->store, rooms, at, 2 * n, full->pool);
    if (rv != APR_SUCCESS) return mx_server_store_error(rv, "read the states that ended memberships", full->pool);
    err = mx_room_facts_membership(before, full->server, snaps, n, full->ask->who->user_id, full->pool);
    for (i = 0; !err && i < n; i++) {
        parts[i]->was_joined = before[i] == MX_MEMBERSHIP_JOIN || parts[i]->at_since == MX_MEMBERSHIP_JOIN;
        parts[i]->snap_end = snaps[n + i];
    }
    return err;
}

/* Members since before the timeline see all of it, if each of its events stands on a state in which they are members. */
static int needs_look(const mx_sync_part_t *part)
{
    return part->n && (part->section == MX_SECTION_LEAVE || part->member->stream > part->rows[0].ord || !mx_sync_part_is_linked(part));
}

/* Who is in a room now sees what was open to later members, if all of it was: known from the snapshots, without the room. */
static int may_be_open(const mx_sync_part_t *part)
{
    return needs_look(part) && part->section == MX_SECTION_JOIN && part->member->membership == MX_MEMBERSHIP_JOIN;
}

/* The snapshots under a timeline, those in a row that are the same once. */
static int list_snaps(apr_int64_t *snaps, const mx_sync_part_t *part)
{
    int i, n = 0;

    for (i = 0; i < part->n; i++)
        if (!n || snaps[n - 1] != part->rows[i].snap_nid) snaps[n++] = part->rows[i].snap_nid;
    return n;
}

/* Sets `open` where nothing is hidden: one question for all rooms, or a new account's many rooms would be loaded one by one. */
static const mx_error_t *find_open(mx_sync_full_t *full, int nrows)
{
    apr_int64_t *snaps = apr_palloc(full->pool, sizeof(*snaps) * (apr_size_t)(nrows + 1));
    mx_histvis_e *histvis = apr_palloc(full->pool, sizeof(*histvis) * (apr_size_t)(nrows + 1));
    const mx_error_t *err;
    int i, k, n = 0, at = 0;

    for (i = 0; i < full->nparts; i++)
        if (may_be_open(&full->parts[i])) n += list_snaps(snaps + n, &full->parts[i]);
    err = mx_room_facts_histvis(histvis, full->server, snaps, n, full->pool);
    for (i = 0; !err && i < full->nparts; i++) {
        mx_sync_part_t *part = &full->parts[i];

        if (!may_be_open(part)) continue;
        part->open = 1;
        for (k = list_snaps(snaps, part); k > 0; k--, at++)
            if (histvis[at] != MX_HISTVIS_SHARED && histvis[at] != MX_HISTVIS_WORLD_READABLE) part->open = 0;
    }
    return err;
}

/* CS-API: room history visibility. The reader's own leaving is always told, or the room would not go away. */
static const mx_error_t *hide(mx_sync_full_t *full, mx_sync_part_t *part)
{
    const mx_who_t *who = full->ask->who;
    unsigned char *visible = apr_pcalloc(full->pool, (apr_size_t)part->n + 1);
    const mx_error_t *err = mx_sync_part_refresh(full, part);
    int i, kept = 0;

    if (err) return err;
    if (part->section == MX_SECTION_JOIN || part->was_joined)
        err = mx_room_visibility(visible, full->server, part->member->room_nid, who->user_nid, who->user_id, part->rows, part->n,
                                 full->pool);
    else part->limited = 0;
    if (err) return err;
    for (i = 0; i < part->n; i++)
        if (visible[i] || part->rows[i].nid == part->member->nid) part->rows[kept++] = part->rows[i];
    if (kept < part->n) part->gappy = 1;
    part->n = kept;
    if (kept) part->prev = part->rows[0].ord - 1;
    return NULL;
}

const mx_error_t *mx_sync_rooms_hide(mx_sync_full_t *full)
{
    const mx_error_t *err = find_departures(full);
    int i, n = 0;

    for (i = 0; i < full->nparts; i++) n += full->parts[i].n;
    if (!err) err = mx_sync_room_state_snaps(full);
    if (!err) err = find_open(full, n);
    for (i = 0; !err && i < full->nparts; i++)
        if (needs_look(&full->parts[i]) && !full->parts[i].open) err = hide(full, &full->parts[i]);
    return err;
}

const mx_error_t *mx_sync_rooms_timelines(mx_sync_full_t *full)
{
    int limit = mx_sync_timeline_limit(full->server, full->filter), i, at = 0;
    int asked = (limit + 1) * (full->filter->timeline.contains_url >= 0 ? URL_SCAN_FACTOR : 1);
    mx_sync_timeline_t *timelines = NULL;
    apr_status_t rv = read_timelines(&timelines, full, asked);
    const mx_error_t *err = rv == APR_SUCCESS ? NULL : mx_server_store_error(rv, "read timelines", full->pool);

    for (i = 0; !err && i < full->nparts; i++) {
        mx_sync_part_t *part = &full->parts[i];

        if (wants_timeline(full, part)) err = take_timeline(full, part, &timelines[at++], asked, limit);
        else part->gappy = part->moved;
    }
    return err ? err : mx_sync_rooms_hide(full);
}
