/* SPDX-License-Identifier: Apache-2.0 */
/* Writes `rooms` of an answer of sliding sync. MSC4186: RoomResult, in the names of its unstable form. */
#include "base/json_scan.h"
#include "store/event_id.h"
#include "sync/sliding_private.h"

/* ---- text of state events ---- */

/* A member of the content that is a string with something in it; p NULL: there is none. */
static mx_slice_t content_text(const mx_event_row_t *row, const char *key, apr_pool_t *pool)
{
    mx_json_scan_t scan;
    mx_slice_t value;

    if (!row) return MX_SLICE_NONE;
    mx_json_scan_trusted(&scan, row->pdu, pool);
    mx_json_scan_trusted(&scan, mx_json_scan_get(&scan, "content"), pool);
    value = mx_json_scan_get(&scan, key);
    return value.len > 2 && value.p[0] == '"' ? value : MX_SLICE_NONE;
}

static void write_text(mx_json_writer_t *w, const char *name, mx_slice_t text)
{
    if (text.p) mx_jw_key_raw(w, name, text);
}

/* MSC4186: null says that there is none any more; what a new room does not have is left out. */
static void write_moved(mx_json_writer_t *w, const char *name, const mx_event_row_t *row, const char *key, int moved, apr_pool_t *pool)
{
    mx_slice_t text = content_text(row, key, pool);

    if (text.p) mx_jw_key_raw(w, name, text);
    else if (moved) {
        mx_jw_key(w, name);
        mx_jw_null(w);
    }
}

static void write_heroes(mx_json_writer_t *w, const mx_sliding_t *s, const mx_room_summary_t *summary)
{
    int i;

    if (summary->named || !summary->nheroes) return;
    mx_jw_key_array(w, "heroes");
    for (i = 0; i < summary->nheroes; i++) {
        const mx_event_row_t *row = apr_hash_get(s->heroes, &summary->heroes[i], sizeof(apr_int64_t) * 2);

        mx_jw_object(w);
        mx_jw_key_str(w, "user_id", summary->heroes[i].user_id);
        write_text(w, "displayname", content_text(row, "displayname", s->pool));
        write_text(w, "avatar_url", content_text(row, "avatar_url", s->pool));
        mx_jw_end_object(w);
    }
    mx_jw_end_array(w);
}

/* ---- parts of a room ---- */

static void write_counts(mx_json_writer_t *w, const mx_sliding_wanted_t *wanted)
{
    mx_jw_key_int(w, "notification_count", wanted->entry->notified);
    mx_jw_key_int(w, "highlight_count", wanted->entry->highlighted);
    if (!wanted->summary) return;
    mx_jw_key_int(w, "joined_count", wanted->summary->joined);
    mx_jw_key_int(w, "invited_count", wanted->summary->invited);
}

static void write_state(mx_json_writer_t *w, const mx_sliding_t *s, const mx_sliding_wanted_t *wanted)
{
    apr_int64_t now_ms = apr_time_as_msec(s->now);
    int i;

    if (!wanted->state->nelts) return;
    mx_jw_key_array(w, "required_state");
    for (i = 0; i < wanted->state->nelts; i++) {
        const mx_event_row_t *row = APR_ARRAY_IDX(wanted->state, i, const mx_event_row_t *);
        mx_event_unsigned_t uns = { .age_ms = now_ms > row->ts ? now_ms - row->ts : 0 };

        mx_event_write_raw(w, row->pdu, mx_store_event_id_unpack(row->id, s->pool), wanted->entry->member.room_id, MX_FORMAT_SYNC, &uns);
    }
    mx_jw_end_array(w);
}

static const mx_error_t *write_timeline(mx_json_writer_t *w, mx_sliding_t *s, const mx_sliding_wanted_t *wanted, int at)
{
    const mx_sync_part_t *part = wanted->part;
    const mx_error_t *err = NULL;
    int i;

    if (!wanted->config.timeline_limit) return NULL;
    mx_room_view_set_room(s->view, part->member->room_nid, part->member->room_id);
    mx_jw_key_array(w, "timeline");
    for (i = 0; !err && i < part->n; i++) err = mx_room_view_write(w, s->view, at + i, MX_FORMAT_SYNC);
    mx_jw_end_array(w);
    mx_jw_key_bool(w, "limited", part->limited);
    mx_jw_key_str(w, "prev_batch", mx_sync_token_format(part->prev > 0 ? part->prev : 0, s->pool));
    mx_jw_key_int(w, "num_live", wanted->live);
    return err;
}

static void write_lists(mx_json_writer_t *w, const mx_sliding_t *s, const mx_sliding_wanted_t *wanted)
{
    int i;

    if (!wanted->lists->nelts) return;
    mx_jw_key_array(w, "lists");
    for (i = 0; i < wanted->lists->nelts; i++) mx_jw_str(w, s->ask->request->lists[APR_ARRAY_IDX(wanted->lists, i, int)].name);
    mx_jw_end_array(w);
}

static const mx_error_t *write_stripped(mx_json_writer_t *w, mx_sliding_t *s, const mx_sliding_wanted_t *wanted)
{
    const mx_error_t *err = mx_sync_part_refresh(&s->full, wanted->part);

    if (err) return err;
    mx_jw_key(w, "invite_state");
    return mx_room_stripped_state(w, s->server, wanted->entry->member.room_nid, s->ask->who->user_nid, s->pool);
}

static const mx_error_t *write_inside(mx_json_writer_t *w, mx_sliding_t *s, const mx_sliding_wanted_t *wanted, int at)
{
    write_moved(w, "name", wanted->name, "name", wanted->name_moved, s->pool);
    write_moved(w, "avatar", wanted->avatar, "url", wanted->avatar_moved, s->pool);
    if (wanted->summary) write_heroes(w, s, wanted->summary);
    write_counts(w, wanted);
    if (wanted->expanded) mx_jw_key_bool(w, "unstable_expanded_timeline", 1);
    write_state(w, s, wanted);
    return write_timeline(w, s, wanted, at);
}

static const mx_error_t *write_room(mx_json_writer_t *w, mx_sliding_t *s, const mx_sliding_wanted_t *wanted, int at)
{
    const char *room_id = wanted->entry->member.room_id;
    mx_sync_section_e section = wanted->part->section;
    const mx_error_t *err;

    mx_jw_key_object(w, room_id);
    if (wanted->initial) mx_jw_key_bool(w, "initial", 1);
    if (wanted->bump) mx_jw_key_int(w, "bump_stamp", wanted->bump);
    mx_jw_key_str(w, "membership", mx_membership_name((mx_membership_e)wanted->entry->member.membership));
    write_lists(w, s, wanted);
    if (wanted->entry->direct) mx_jw_key_bool(w, "is_dm", 1);
    if (section == MX_SECTION_INVITE || section == MX_SECTION_KNOCK) err = write_stripped(w, s, wanted);
    else err = write_inside(w, s, wanted, at);
    if (err) return err;             /* a key may stand there without its value */
    mx_jw_end_object(w);
    return NULL;
}

/* ---- all of them ---- */

/* Is there anything to tell? What happened in a room may all be hidden from the reader. */
static int is_told(const mx_sliding_wanted_t *wanted)
{
    const mx_sync_part_t *part = wanted->part;

    if (wanted->initial || wanted->expanded || wanted->read || wanted->skips || part->section != MX_SECTION_JOIN) return 1;
    return part->n || part->limited || wanted->state->nelts || wanted->name_moved || wanted->avatar_moved || wanted->members_moved;
}

/* The rows of all timelines in a row. CS-API: aggregations: where a timeline is limited, or a room is told anew. */
static const mx_error_t *make_view(mx_sliding_t *s)
{
    mx_event_row_t *rows;
    unsigned char *which;
    const mx_error_t *err;
    int i, n = 0, bundled = 0;

    for (i = 0; i < s->full.nparts; i++) n += s->full.parts[i].n;
    rows = apr_palloc(s->pool, sizeof(*rows) * (apr_size_t)(n + 1));
    which = apr_palloc(s->pool, (apr_size_t)n + 1);
    for (i = 0, n = 0; i < s->full.nparts; i++) {
        const mx_sync_part_t *part = &s->full.parts[i];
        int how = part->limited || s->telling[i]->initial || s->telling[i]->expanded ? MX_ROOM_BUNDLE : MX_ROOM_BUNDLE_NOT;

        if (!part->n) continue;
        if (how && part->section == MX_SECTION_JOIN) how = MX_ROOM_BUNDLE_MEMBER;
        memcpy(rows + n, part->rows, sizeof(*rows) * (apr_size_t)part->n);
        memset(which + n, how, (apr_size_t)part->n);
        bundled |= how;
        n += part->n;
    }
    err = mx_room_view_create(&s->view, s->server, s->ask->who, rows, n, s->now, s->pool);
    return err || !bundled ? err : mx_room_view_bundle(s->view, which, 0);
}

const mx_error_t *mx_sliding_write_rooms(mx_json_writer_t *w, mx_sliding_t *s)
{
    const mx_error_t *err = s->full.nparts ? make_view(s) : NULL;
    int i, at = 0;

    mx_jw_key_object(w, "rooms");
    for (i = 0; !err && i < s->full.nparts; i++) {
        mx_sliding_wanted_t *wanted = s->telling[i];

        wanted->told = is_told(wanted);
        if (wanted->told) {
            err = write_room(w, s, wanted, at);
            s->told = 1;
        }
        at += s->full.parts[i].n;
    }
    if (err) return err;
    mx_jw_end_object(w);
    return NULL;
}
