/* SPDX-License-Identifier: Apache-2.0 */
/* Timelines, counts and stamps of the rooms that are told: each read for all of them at once. MSC4186: RoomResult. */
#include "store/sliding.h"
#include "sync/sliding_private.h"
#include "sync/tally.h"

#define BUMP_SCAN 500                /* events looked through for one that counts as activity */

/* MSC4186: bump_stamp */
static const char *const bump_types[] = { "m.room.create", "m.room.message", "m.room.encrypted", "m.sticker", "m.call.invite",
                                          "m.poll.start", "org.matrix.msc3381.poll.start", "m.beacon_info" };
#define BUMP_NTYPES (int)(sizeof(bump_types) / sizeof(bump_types[0]))

static mx_sync_section_e section_of(int membership)
{
    switch (membership) {
    case MX_MEMBERSHIP_JOIN: return MX_SECTION_JOIN;
    case MX_MEMBERSHIP_INVITE: return MX_SECTION_INVITE;
    case MX_MEMBERSHIP_KNOCK: return MX_SECTION_KNOCK;
    default: return MX_SECTION_LEAVE;
    }
}

static void fill_part(mx_sliding_t *s, mx_sync_part_t *part, const mx_sliding_wanted_t *wanted)
{
    const mx_sync_member_row_t *member = &wanted->entry->member;
    int from_start = wanted->initial || wanted->expanded;

    part->member = member;
    part->section = section_of(member->membership);
    part->at_since = wanted->before ? (mx_membership_e)wanted->before->membership : MX_MEMBERSHIP_NONE;
    part->at_end = (mx_membership_e)member->membership;
    part->fresh = wanted->initial;
    part->full = 1;                  /* its state is wanted in any case */
    part->span = (mx_sync_span_t){ member->room_nid, from_start ? 0 : wanted->since, s->upto };
    if (part->section == MX_SECTION_LEAVE && member->stream < s->upto) part->span.upto = member->stream;
    part->moved = part->section == MX_SECTION_JOIN || part->section == MX_SECTION_LEAVE;
    part->prev = from_start ? part->span.upto : wanted->since;
    if (part->section == MX_SECTION_JOIN && member->last_stream <= s->upto) part->snap_end = member->snap_nid;
}

static void make_parts(mx_sliding_t *s)
{
    int i, n = 0;

    s->full.parts = apr_pcalloc(s->pool, sizeof(*s->full.parts) * (apr_size_t)(s->nwanted + 1));
    s->telling = apr_palloc(s->pool, sizeof(*s->telling) * (apr_size_t)(s->nwanted + 1));
    for (i = 0; i < s->nwanted; i++) {
        if (!s->wanted[i].tell) continue;
        s->telling[n] = &s->wanted[i];
        s->wanted[i].part = &s->full.parts[n];
        fill_part(s, &s->full.parts[n++], &s->wanted[i]);
    }
    s->full.nparts = n;
}

/* ---- timelines ---- */

static void take_timeline(mx_sync_part_t *part, const mx_sync_timeline_t *read, int limit)
{
    part->rows = read->rows;
    part->n = read->n;
    part->limited = read->n > limit || read->gap;
    if (part->n > limit) {
        part->rows += part->n - limit;
        part->n = limit;
    }
    if (part->n) part->prev = part->rows[0].ord - 1;
    else if (read->gap) part->prev = read->gap - 1;
}

/* Those of the rooms with one limit. */
static apr_status_t read_of_limit(mx_sliding_t *s, int limit, unsigned char *done)
{
    mx_sync_sql_filter_t sql = { .ignored = s->full.settings->ignored, .nignored = s->full.settings->nignored };
    mx_sync_span_t *spans = apr_palloc(s->pool, sizeof(*spans) * (apr_size_t)s->full.nparts);
    mx_sync_timeline_t *timelines = apr_palloc(s->pool, sizeof(*timelines) * (apr_size_t)s->full.nparts);
    apr_status_t rv;
    int i, n = 0, at = 0;

    for (i = 0; i < s->full.nparts; i++)
        if (!done[i] && s->telling[i]->config.timeline_limit == limit) spans[n++] = s->full.parts[i].span;
    MX_SYNC_WITH_CONN(rv, &s->full, mx_store_sync_timelines(timelines, conn, spans, n, &sql, limit + 1, s->pool));
    for (i = 0; rv == APR_SUCCESS && i < s->full.nparts; i++) {
        if (done[i] || s->telling[i]->config.timeline_limit != limit) continue;
        take_timeline(&s->full.parts[i], &timelines[at++], limit);
        done[i] = 1;
    }
    return rv;
}

static const mx_error_t *read_timelines(mx_sliding_t *s)
{
    unsigned char *done = apr_pcalloc(s->pool, (apr_size_t)s->full.nparts + 1);
    apr_status_t rv = APR_SUCCESS;
    int i;

    for (i = 0; i < s->full.nparts; i++)
        done[i] = !s->full.parts[i].moved || !s->telling[i]->config.timeline_limit
                  || s->full.parts[i].span.after >= s->full.parts[i].span.upto;
    for (i = 0; rv == APR_SUCCESS && i < s->full.nparts; i++)
        if (!done[i]) rv = read_of_limit(s, s->telling[i]->config.timeline_limit, done);
    return rv == APR_SUCCESS ? NULL : mx_server_store_error(rv, "read timelines", s->pool);
}

static void count_live(mx_sliding_wanted_t *wanted, apr_int64_t since)
{
    int i;

    for (i = wanted->part->n - 1; i >= 0 && wanted->part->rows[i].ord > since; i--) wanted->live++;
}

/* ---- bump stamps ---- */

static int is_bump(int type_nid, const int *types)
{
    int i;

    for (i = 0; i < BUMP_NTYPES; i++)
        if (types[i] == type_nid) return 1;
    return 0;
}

/* From the timeline, or else 0. */
static apr_int64_t bump_of_timeline(const mx_sync_part_t *part, const int *types)
{
    int i;

    for (i = part->n - 1; i >= 0; i--)
        if (is_bump(part->rows[i].type_nid, types)) return part->rows[i].ord;
    return 0;
}

static const mx_error_t *read_bumps(mx_sliding_t *s)
{
    apr_int64_t *rooms = apr_palloc(s->pool, sizeof(*rooms) * (apr_size_t)(s->full.nparts + 1));
    apr_int64_t *bumps = apr_palloc(s->pool, sizeof(*bumps) * (apr_size_t)(s->full.nparts + 1));
    mx_sliding_wanted_t **asked = apr_palloc(s->pool, sizeof(*asked) * (apr_size_t)(s->full.nparts + 1));
    apr_status_t rv = APR_SUCCESS;
    int types[BUMP_NTYPES], i, n = 0;

    for (i = 0; rv == APR_SUCCESS && i < BUMP_NTYPES; i++) rv = mx_server_type_nid(&types[i], s->server, bump_types[i], s->pool);
    for (i = 0; rv == APR_SUCCESS && i < s->full.nparts; i++) {
        mx_sliding_wanted_t *wanted = s->telling[i];

        if (wanted->part->section != MX_SECTION_JOIN) {
            wanted->bump = wanted->entry->member.stream;
            continue;
        }
        wanted->bump = bump_of_timeline(wanted->part, types);
        if (wanted->bump || !(wanted->initial || wanted->part->limited || !wanted->config.timeline_limit)) continue;
        asked[n] = wanted;
        rooms[n++] = wanted->entry->member.room_nid;
    }
    if (rv == APR_SUCCESS && n)
        rv = mx_store_sliding_bumps(bumps, s->server->store, rooms, n, s->upto, types, BUMP_NTYPES, BUMP_SCAN, s->pool);
    for (i = 0; rv == APR_SUCCESS && i < n; i++) asked[i]->bump = bumps[i];
    return rv == APR_SUCCESS ? NULL : mx_server_store_error(rv, "read when rooms were active", s->pool);
}

/* ---- counts, and what is in memory ---- */

static apr_status_t give_back(void *data)
{
    mx_cache_put(data);
    return APR_SUCCESS;
}

/* Push rules and ignored users: from memory, if the ring says that they are what they were. */
static const mx_error_t *read_settings(mx_sliding_t *s)
{
    mx_sync_state_t *state = s->server->sync;
    mx_cache_ref_t *ref = NULL;

    apr_thread_mutex_lock(state->lock);
    if (state->ready && state->ring.head >= s->upto)
        s->full.settings = mx_sync_push_settings_known_locked(&ref, state, s->ask->who, s->pool);
    apr_thread_mutex_unlock(state->lock);
    if (ref) apr_pool_cleanup_register(s->pool, ref, give_back, apr_pool_cleanup_null);
    return s->full.settings ? NULL : mx_sync_push_settings_read(&s->full.settings, s->server, s->ask->who, s->upto, s->pool);
}

/* What was counted by other rules, or with other users ignored, counts no more. */
static void check_settings(mx_sliding_t *s)
{
    const mx_user_push_settings_t *settings = s->full.settings;
    int i;

    if (!settings->unknown && s->rooms.rules_stream == settings->rules_stream && s->rooms.ignored_stream == settings->ignored_stream)
        return;
    for (i = 0; i < s->rooms.n; i++) s->rooms.entries[i].counted = 0;
    s->rooms.rules_stream = settings->rules_stream;
    s->rooms.ignored_stream = settings->ignored_stream;
}

/* All threads of a room together. An event that is counted later, as it lies past the answer, would not be missed: so that is not kept. */
static void note_count(mx_sliding_entry_t *entry, const mx_sync_unread_room_t *room, apr_int64_t upto)
{
    int i;

    entry->notified = entry->highlighted = 0;
    for (i = 0; i < room->n; i++) {
        entry->notified += room->lines[i].notified;
        entry->highlighted += room->lines[i].highlighted;
    }
    entry->counted = entry->member.last_stream <= upto;
}

static const mx_error_t *read_unread(int *pcounted, mx_sliding_t *s)
{
    mx_sync_unread_room_t *rooms = apr_pcalloc(s->pool, sizeof(*rooms) * (apr_size_t)(s->full.nparts + 1));
    mx_sliding_entry_t **entries = apr_palloc(s->pool, sizeof(*entries) * (apr_size_t)(s->full.nparts + 1));
    const mx_error_t *err;
    int i, n = 0;

    check_settings(s);
    for (i = 0; i < s->full.nparts; i++) {
        mx_sliding_entry_t *entry = s->telling[i]->entry;

        if (entry->counted || s->full.parts[i].section != MX_SECTION_JOIN) continue;
        entries[n] = entry;
        rooms[n++] = (mx_sync_unread_room_t){ .room_nid = entry->member.room_nid, .room_id = entry->member.room_id };
    }
    *pcounted = n;
    if (!n) return NULL;
    err = mx_sync_unread_count(rooms, n, s->server, s->ask->who, s->full.settings, s->upto, s->pool);
    for (i = 0; !err && i < n; i++) note_count(entries[i], &rooms[i], s->upto);
    return err;
}

const mx_error_t *mx_sliding_rooms_load(mx_sliding_t *s)
{
    const mx_error_t *err;
    int i, was, counted = 0;

    make_parts(s);
    if (!s->full.nparts) return NULL;
    err = read_settings(s);
    if (!err) err = read_timelines(s);
    if (!err) err = mx_sync_rooms_hide(&s->full);
    if (err) return err;
    for (i = 0; s->ask->version && i < s->full.nparts; i++) count_live(s->telling[i], s->ask->since);
    err = mx_sliding_state_load(s);
    if (!err) err = read_bumps(s);
    was = s->rooms.direct_known;
    if (!err) err = mx_sliding_list_direct(s);
    if (!err) err = read_unread(&counted, s);
    if (!err && (counted || !was)) mx_sliding_list_keep(s);
    return err;
}
