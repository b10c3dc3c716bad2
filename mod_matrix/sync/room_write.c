/* SPDX-License-Identifier: Apache-2.0 */
/* Writes an answer from the database: envelope by hand, stored bytes spliced in. CS-API: GET /sync. */
#include "store/event_id.h"
#include "sync/full.h"
#include "user/push_rules.h"

/* The writing of one answer. */
typedef struct writing_t {
    mx_sync_full_t *full;
    mx_json_writer_t *w;
    mx_json_writer_t *scratch;       /* where an event stands before it is cut down to some fields */
    mx_room_view_t *view;            /* of all timelines' rows, one after the other */
    mx_event_format_e format;
    int at;                          /* next row of the view */
    int sticky_at;                   /* next of its rows that are sticky events beside the timelines: they come last */
    int told;                        /* anything at all */
} writing_t;

/* CS-API: filtering: event_fields. */
static const mx_error_t *cut_fields(writing_t *wr)
{
    mx_json_limits_t limits = { MX_JSON_DEPTH_DEFAULT * 2 };   /* a stored event in an answer: deeper than when it came in */
    mx_json_t *json = NULL;
    const char *why = NULL;
    apr_pool_t *pool = wr->full->pool;

    if (mx_json_parse(&json, &why, wr->scratch->buf->p, wr->scratch->buf->len, &limits, pool) != MX_JSON_OK)
        return mx_error_internal(pool, APR_EINVAL, "read an event back");
    mx_jw_json(wr->w, mx_filter_cut_fields(wr->full->filter, json, pool));
    return NULL;
}

/* Where the next event is written. */
static mx_json_writer_t *event_target(writing_t *wr)
{
    if (!wr->full->filter->event_fields) return wr->w;
    mx_buf_clear(wr->scratch->buf);
    return wr->scratch;
}

static const mx_error_t *write_timeline(writing_t *wr, const mx_sync_part_t *part)
{
    mx_json_writer_t *w = wr->w;
    const mx_error_t *err = NULL;
    int i;

    mx_room_view_set_room(wr->view, part->member->room_nid, part->member->room_id);
    mx_jw_key_object(w, "timeline");
    mx_jw_key_array(w, "events");
    for (i = 0; !err && i < part->n; i++) {
        err = mx_room_view_write(event_target(wr), wr->view, wr->at++, wr->format);
        if (!err && wr->full->filter->event_fields) err = cut_fields(wr);
    }
    mx_jw_end_array(w);
    mx_jw_key_bool(w, "limited", part->limited);
    mx_jw_key_str(w, "prev_batch", mx_sync_token_format(part->prev > 0 ? part->prev : 0, wr->full->pool));
    mx_jw_end_object(w);
    return err;
}

/* MSC4354: sticky events have a section of their own, unless the timeline has them. */
static const mx_error_t *write_sticky(writing_t *wr, const mx_sync_part_t *part)
{
    const mx_error_t *err = NULL;
    int i;

    if (!part->sticky) return NULL;
    mx_jw_key_object(wr->w, "msc4354_sticky");
    mx_jw_key_array(wr->w, "events");
    for (i = 0; !err && i < part->sticky->nelts; i++) {
        err = mx_room_view_write(event_target(wr), wr->view, wr->sticky_at++, wr->format);
        if (!err && wr->full->filter->event_fields) err = cut_fields(wr);
    }
    mx_jw_end_array(wr->w);
    mx_jw_end_object(wr->w);
    return err;
}

static const mx_error_t *write_state_event(writing_t *wr, const mx_sync_part_t *part, const mx_event_row_t *row)
{
    apr_int64_t age_ms = apr_time_as_msec(wr->full->now) - row->ts;
    mx_event_unsigned_t uns = { .age_ms = age_ms > 0 ? age_ms : 0 };

    mx_event_write_raw(event_target(wr), row->pdu, mx_store_event_id_unpack(row->id, wr->full->pool), part->member->room_id,
                       wr->format, &uns);
    return wr->full->filter->event_fields ? cut_fields(wr) : NULL;
}

static const mx_error_t *write_state(writing_t *wr, const mx_sync_part_t *part)
{
    const mx_error_t *err = NULL;
    int i;

    mx_jw_key_object(wr->w, wr->full->ask->use_state_after ? "state_after" : "state");
    mx_jw_key_array(wr->w, "events");
    for (i = 0; !err && i < part->state_rows->nelts; i++)
        err = write_state_event(wr, part, APR_ARRAY_IDX(part->state_rows, i, const mx_event_row_t *));
    mx_jw_end_array(wr->w);
    mx_jw_end_object(wr->w);
    return err;
}

static void write_receipts(writing_t *wr, const mx_sync_part_t *part)
{
    apr_pool_t *pool = wr->full->pool;
    mx_sync_receipt_out_t *out = apr_palloc(pool, sizeof(*out) * (apr_size_t)(part->nreceipts + 1));
    int i;

    for (i = 0; i < part->nreceipts; i++) {
        const mx_sync_receipt_row_t *row = &part->receipts[i];

        out[i] = (mx_sync_receipt_out_t){ row->thread_id, mx_store_event_id_unpack(row->event_id, pool), row->type, row->user_id,
                                          mx_sync_receipt_data(row, pool) };
    }
    mx_sync_write_receipts(wr->w, out, part->nreceipts);
}

static void write_data(writing_t *wr, const mx_sync_data_row_t *rows, int n)
{
    int i;

    for (i = 0; i < n; i++) mx_sync_write_account_data(wr->w, rows[i].type, rows[i].content);
}

static void write_small(writing_t *wr, const mx_sync_part_t *part)
{
    /* CS-API: Left Room: it has none */
    if (part->section == MX_SECTION_JOIN) {
        mx_jw_key_object(wr->w, "ephemeral");
        mx_jw_key_array(wr->w, "events");
        write_receipts(wr, part);
        if (part->typing) mx_sync_write_typing(wr->w, part->typing->user_ids, part->typing->nusers);
        mx_jw_end_array(wr->w);
        mx_jw_end_object(wr->w);
    }
    mx_jw_key_object(wr->w, "account_data");
    mx_jw_key_array(wr->w, "events");
    write_data(wr, part->data, part->ndata);
    mx_jw_end_array(wr->w);
    mx_jw_end_object(wr->w);
}

static void write_summary(writing_t *wr, const mx_sync_part_t *part)
{
    if (!part->summary) return;
    mx_jw_key_object(wr->w, "summary");
    mx_room_summary_write(wr->w, part->summary);
    mx_jw_end_object(wr->w);
}

int mx_sync_part_is_told(const mx_sync_part_t *part)
{
    return part->fresh || part->full || part->n || part->limited || part->state_rows->nelts || part->nreceipts || part->typing
           || part->ndata || part->sticky;
}

static const mx_error_t *write_room(writing_t *wr, const mx_sync_part_t *part)
{
    const mx_error_t *err;

    if (!mx_sync_part_is_told(part)) return NULL;
    wr->told = 1;
    mx_jw_key_object(wr->w, part->member->room_id);
    write_summary(wr, part);
    err = write_timeline(wr, part);
    if (!err) err = write_state(wr, part);
    if (!err) err = write_sticky(wr, part);
    write_small(wr, part);
    if (part->unread) mx_sync_unread_write(wr->w, part->unread, wr->full->filter->timeline.unread_thread_notifications);
    mx_jw_end_object(wr->w);
    return err;
}

/* CS-API: InviteState, KnockState */
static const mx_error_t *write_stripped(writing_t *wr, const mx_sync_part_t *part)
{
    const mx_error_t *err = mx_sync_part_refresh(wr->full, part);

    if (err) return err;
    wr->told = 1;
    mx_jw_key_object(wr->w, part->member->room_id);
    mx_jw_key_object(wr->w, part->section == MX_SECTION_INVITE ? "invite_state" : "knock_state");
    mx_jw_key(wr->w, "events");
    err = mx_room_stripped_state(wr->w, wr->full->server, part->member->room_nid, wr->full->ask->who->user_nid, wr->full->pool);
    if (err) return err;             /* "events" stands there without its value */
    mx_jw_end_object(wr->w);
    mx_jw_end_object(wr->w);
    return NULL;
}

static const char *const section_names[] = { NULL, "join", "invite", "knock", "leave" };

void mx_sync_room_write_section(mx_json_writer_t *w, mx_sync_section_e *popen, mx_sync_section_e section)
{
    while (*popen < section) {
        if (*popen != MX_SECTION_NONE) mx_jw_end_object(w);
        mx_jw_key_object(w, section_names[++*popen]);
    }
}

/*
 * CS-API: aggregations of child events: where a section is limited, or tells the room for the first time. A timeline that goes on where
 * the last one ended brings the children themselves, and clients add them up: so nothing is bundled there, and the ring, which gives
 * no others, says what this says.
 */
static int bundle_of(const mx_sync_part_t *part)
{
    if (!part->limited && !part->fresh) return MX_ROOM_BUNDLE_NOT;
    return part->section == MX_SECTION_JOIN && part->member->membership == MX_MEMBERSHIP_JOIN ? MX_ROOM_BUNDLE_MEMBER : MX_ROOM_BUNDLE;
}

static const mx_error_t *make_view(writing_t *wr)
{
    mx_sync_full_t *full = wr->full;
    mx_event_row_t *rows;
    unsigned char *which;
    const mx_error_t *err;
    int i, n = 0, bundled = 0;

    for (i = 0; i < full->nparts; i++) n += full->parts[i].n + (full->parts[i].sticky ? full->parts[i].sticky->nelts : 0);
    rows = apr_palloc(full->pool, sizeof(*rows) * (apr_size_t)(n + 1));
    which = apr_palloc(full->pool, (apr_size_t)n + 1);
    for (i = 0, n = 0; i < full->nparts; i++) {
        if (!full->parts[i].n) continue;
        memcpy(rows + n, full->parts[i].rows, sizeof(*rows) * (apr_size_t)full->parts[i].n);
        memset(which + n, bundle_of(&full->parts[i]), (apr_size_t)full->parts[i].n);
        bundled |= which[n];
        n += full->parts[i].n;
    }
    wr->sticky_at = n;
    for (i = 0; i < full->nparts; i++) {
        const apr_array_header_t *sticky = full->parts[i].sticky;

        if (!sticky) continue;
        memcpy(rows + n, sticky->elts, sizeof(*rows) * (apr_size_t)sticky->nelts);
        memset(which + n, MX_ROOM_BUNDLE_NOT, (apr_size_t)sticky->nelts);
        n += sticky->nelts;
    }
    err = mx_room_view_create(&wr->view, full->server, full->ask->who, rows, n, full->now, full->pool);
    return err || !bundled ? err : mx_room_view_bundle(wr->view, which, 0);
}

const mx_error_t *mx_sync_room_write_all(mx_json_writer_t *w, mx_sync_section_e *popen, int *ptold, mx_sync_full_t *full)
{
    writing_t wr = { .full = full, .w = w, .scratch = mx_jw_create(full->pool), .told = *ptold,
                     .format = full->filter->event_format == MX_EVENT_FORMAT_FEDERATION ? MX_FORMAT_FEDERATION : MX_FORMAT_SYNC };
    const mx_error_t *err = make_view(&wr);
    int i;

    for (i = 0; !err && i < full->nparts && full->parts[i].section != MX_SECTION_NONE; i++) {
        const mx_sync_part_t *part = &full->parts[i];

        mx_sync_room_write_section(w, popen, part->section);
        if (part->section == MX_SECTION_INVITE || part->section == MX_SECTION_KNOCK) err = write_stripped(&wr, part);
        else err = write_room(&wr, part);
    }
    *ptold = wr.told;
    return err;
}
