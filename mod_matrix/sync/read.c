/* SPDX-License-Identifier: Apache-2.0 */
/* New rows of the stream as entries of the ring: everything that is the same for all readers is written here, once. */
#include "core/sticky.h"
#include "room/facts.h"
#include "store/event_id.h"
#include "store/sync_devices.h"
#include "store/unread.h"
#include "sync/presence.h"
#include <stdlib.h>

/* A batch in the making. */
typedef struct reading_t {
    mx_sync_state_t *state;
    mx_sync_batch_t *batch;
    mx_conn_t *conn;
    mx_buf_t *text;              /* scratch */
    apr_pool_t *pool;            /* of the turn */
} reading_t;

static mx_slice_t keep_text(reading_t *rd)
{
    mx_slice_t text = mx_slice(apr_pmemdup(rd->batch->pool, rd->text->p, rd->text->len), rd->text->len);

    rd->batch->bytes += text.len;
    mx_buf_clear(rd->text);
    return text;
}

static const char *keep_str(const reading_t *rd, const char *s)
{
    return s ? apr_pstrdup(rd->batch->pool, s) : NULL;
}

static mx_sync_entry_t *add_entry(reading_t *rd, mx_sync_kind_e kind, apr_int64_t position, apr_int64_t room_nid, apr_int64_t user_nid)
{
    mx_sync_entry_t *entry = &rd->batch->entries[rd->batch->n++];

    entry->kind = kind;
    entry->position = position;
    entry->room_nid = room_nid;
    entry->user_nid = user_nid;
    return entry;
}

/* ---- events ---- */

static int is_string(mx_slice_t raw)
{
    return raw.len > 0 && raw.p[0] == '"';
}

/* Without `unsigned`: the reader's own is spliced in before the last brace. */
static mx_slice_t event_body(reading_t *rd, const mx_sync_event_row_t *row, const char *event_id)
{
    mx_json_writer_t w;

    mx_jw_init(&w, rd->text);
    mx_event_write_raw(&w, row->event.pdu, event_id, row->room_id, MX_FORMAT_SYNC, NULL);
    rd->text->len--;
    return keep_text(rd);
}

/* CS-API: UnsignedData: what stood there before, for those who may see it. *phidden: not everybody may. */
static mx_slice_t replaced_part(int *phidden, reading_t *rd, const mx_sync_event_row_t *row)
{
    mx_histvis_e histvis = MX_HISTVIS_SHARED;
    mx_json_scan_t scan;
    mx_json_writer_t w;

    if (!row->replaced.p) return MX_SLICE_NONE;
    if (mx_room_facts_histvis(&histvis, rd->state->server, &row->replaced_snap, 1, rd->pool)
        || (histvis != MX_HISTVIS_SHARED && histvis != MX_HISTVIS_WORLD_READABLE))
        *phidden = 1;
    mx_json_scan_trusted(&scan, row->replaced, rd->pool);
    mx_jw_init(&w, rd->text);
    mx_jw_object(&w);
    mx_jw_key_raw(&w, "prev_content", mx_json_scan_get(&scan, "content"));
    mx_jw_key_str(&w, "replaces_state", mx_store_event_id_unpack(row->replaced_id, rd->pool));
    mx_jw_end_object(&w);
    {
        mx_slice_t whole = keep_text(rd);

        return mx_slice(whole.p + 1, whole.len - 2);
    }
}

static mx_membership_e membership_of(mx_slice_t pdu, apr_pool_t *pool)
{
    mx_json_scan_t scan;

    if (!pdu.p) return MX_MEMBERSHIP_NONE;
    mx_json_scan_trusted(&scan, pdu, pool);
    mx_json_scan_trusted(&scan, mx_json_scan_get(&scan, "content"), pool);
    return mx_membership_parse(mx_json_scan_str(mx_json_scan_get(&scan, "membership"), pool));
}

static void read_content(mx_sync_entry_t *entry, reading_t *rd, const mx_sync_event_row_t *row)
{
    mx_json_scan_t scan;
    mx_slice_t redacts, content;

    mx_json_scan_trusted(&scan, row->event.pdu, rd->pool);
    redacts = mx_json_scan_get(&scan, "redacts");
    content = mx_json_scan_get(&scan, "content");
    mx_json_scan_trusted(&scan, content, rd->pool);
    entry->has_url = is_string(mx_json_scan_get(&scan, "url"));
    if (mx_str_eq(row->type, "m.room.redaction"))
        entry->redacts = keep_str(rd, mx_json_scan_str(redacts.p ? redacts : mx_json_scan_get(&scan, "redacts"), rd->pool));
    /* CS-API: RoomSummary: a room with a name needs no heroes */
    entry->moves_summary = entry->is_state && (mx_str_eq(row->type, "m.room.name") || mx_str_eq(row->type, "m.room.canonical_alias"));
    if (!mx_str_eq(row->type, "m.room.member") || !row->state_key) return;
    entry->target_nid = row->target_nid;
    entry->membership = mx_membership_parse(mx_json_scan_str(mx_json_scan_get(&scan, "membership"), rd->pool));
    entry->moves_summary = entry->membership != membership_of(row->replaced, rd->pool);
}

/* Those of our users whose membership is among the changes. */
static apr_status_t find_moved(mx_sync_entry_t *entry, reading_t *rd, const mx_state_item_t *changes, int n)
{
    apr_int64_t *skeys = apr_palloc(rd->pool, sizeof(*skeys) * (apr_size_t)(n + 1));
    mx_sync_interest_row_t *rows = NULL;
    mx_sync_moved_t *moved;
    apr_status_t rv;
    int i;

    for (i = 0; i < n; i++) skeys[i] = changes[i].skey_nid;
    rv = n ? mx_store_sync_moved(&rows, &entry->nmoved, rd->conn, entry->room_nid, skeys, n, rd->pool) : APR_SUCCESS;
    if (rv != APR_SUCCESS || !entry->nmoved) return rv;
    entry->moved = moved = apr_palloc(rd->batch->pool, sizeof(*moved) * (apr_size_t)entry->nmoved);
    for (i = 0; i < entry->nmoved; i++)
        moved[i] = (mx_sync_moved_t){ rows[i].user_nid, rows[i].stream, (mx_membership_e)rows[i].membership };
    rd->batch->bytes += sizeof(*moved) * (apr_size_t)entry->nmoved;
    return APR_SUCCESS;
}

/*
 * Where one of our users was another member on the event's own branch than in the room, the event is not the same for all readers: some
 * may not see it, or are told another `membership` of theirs.
 */
static apr_status_t find_strangers(mx_sync_entry_t *entry, reading_t *rd, const mx_sync_event_row_t *row)
{
    mx_state_item_t *changes = NULL;
    mx_sync_interest_row_t *rows = NULL;
    apr_int64_t *skeys;
    int i, n = 0, nrows = 0;
    apr_status_t rv = mx_store_state_diff(&changes, &n, rd->state->server->store, row->event.snap_nid, row->snap_was, rd->pool);

    if (rv != APR_SUCCESS || !n) return rv;
    skeys = apr_palloc(rd->pool, sizeof(*skeys) * (apr_size_t)n);
    for (i = 0; i < n; i++) skeys[i] = changes[i].skey_nid;
    rv = mx_store_sync_moved(&rows, &nrows, rd->conn, entry->room_nid, skeys, n, rd->pool);
    if (nrows) entry->stale = 1;
    return rv;
}

/* An event from beside the room's line of states. It is one like others if it changed what it says, and nothing else. */
static apr_status_t add_fork(mx_sync_entry_t *entry, reading_t *rd, const mx_sync_event_row_t *row)
{
    const mx_event_row_t *event = &row->event;
    mx_state_item_t *changes = NULL;
    int n = 0;
    apr_status_t rv = mx_store_state_diff(&changes, &n, rd->state->server->store, row->snap_was, row->snap_is, rd->pool);

    if (rv != APR_SUCCESS) return rv;
    if (event->skey_nid) entry->jumps = entry->target_nid || n != 1 || changes->nid != event->nid;
    else entry->jumps = n > 0;
    if (!entry->jumps) rv = find_strangers(entry, rd, row);
    return rv == APR_SUCCESS ? find_moved(entry, rd, changes, n) : rv;
}

static int is_fork(const mx_sync_event_row_t *row)
{
    const mx_event_row_t *event = &row->event;

    return event->snap_nid != row->snap_was || (event->skey_nid ? event->snap_after : event->snap_nid) != row->snap_is;
}

/* The event for unread counts, as unread_events() of sql/0014_push.sql takes it. */
static void read_marks(mx_sync_entry_t *entry, reading_t *rd, const mx_sync_event_row_t *row)
{
    int flags = row->event.flags;

    entry->type_nid = row->event.type_nid;
    entry->marks = row->marks;
    entry->thread = keep_str(rd, row->thread);
    entry->counts = !(flags & (MX_EVENT_HIDDEN | MX_EVENT_FLAG_REDACTED));
    entry->reads = !(flags & (MX_EVENT_HIDDEN | MX_EVENT_FLAG_STATE)) && (row->thread || !mx_str_eq(row->type, "m.room.redaction"));
    entry->marked = row->marked || mx_store_unread_counts_type(row->type);
    entry->unsettles = entry->jumps || entry->moves_summary || entry->redacts || row->event.ord != row->event.nid;
    if (!row->nmentions) return;
    entry->nmentions = row->nmentions;
    entry->mentions = apr_pmemdup(rd->batch->pool, row->mentions, sizeof(*row->mentions) * (apr_size_t)row->nmentions);
    rd->batch->bytes += sizeof(*row->mentions) * (apr_size_t)row->nmentions;
}

static apr_status_t add_event(reading_t *rd, const mx_sync_event_row_t *row)
{
    const mx_event_row_t *event = &row->event;
    mx_sync_entry_t *entry = add_entry(rd, MX_ENTRY_EVENT, event->ord, event->room_nid, event->sender_nid);
    apr_status_t rv = APR_SUCCESS;
    int hidden = 0;

    entry->room_id = keep_str(rd, row->room_id);
    entry->type = keep_str(rd, row->type);
    entry->user_id = keep_str(rd, row->sender);
    entry->event_id = mx_store_event_id_unpack(event->id, rd->batch->pool);
    entry->ts = event->ts;
    entry->is_state = (event->flags & MX_EVENT_FLAG_STATE) != 0;
    entry->silent = (event->flags & MX_EVENT_FLAG_SILENT) != 0;
    entry->sticky_ms = event->flags & MX_EVENT_FLAG_STICKY ? mx_sticky_duration_in(event->pdu) : 0;
    entry->txn_device_nid = row->txn_device_nid;
    entry->txn_id = keep_str(rd, row->txn_id);
    read_content(entry, rd, row);
    entry->body = event_body(rd, row, entry->event_id);
    entry->more_unsigned = replaced_part(&hidden, rd, row);
    entry->stale = event->redacted_by != 0 || hidden;
    if (is_fork(row)) rv = add_fork(entry, rd, row);
    else if (row->after_gap && event->skey_nid) rv = find_moved(entry, rd, &(mx_state_item_t){ event->skey_nid, event->nid }, 1);
    if (row->after_gap) entry->jumps = 1;
    read_marks(entry, rd, row);
    return rv;
}

/* The batch, or none, is the caller's. */
static apr_status_t add_events(reading_t *rd, const mx_sync_event_row_t *rows, int n)
{
    apr_status_t rv = APR_SUCCESS;
    int i;

    for (i = 0; rv == APR_SUCCESS && i < n; i++) rv = add_event(rd, &rows[i]);
    if (rv != APR_SUCCESS) mx_sync_batch_unpin(rd->batch);
    return rv;
}

/* ---- what is no event ---- */

static void add_account_data(reading_t *rd, const mx_sync_data_row_t *row)
{
    mx_sync_entry_t *entry = add_entry(rd, MX_ENTRY_ACCOUNT_DATA, row->stream, row->room_nid, row->user_nid);

    entry->room_id = keep_str(rd, row->room_id);
    entry->type = keep_str(rd, row->type);
    mx_buf_append(rd->text, row->content.p, row->content.len);
    entry->body = keep_text(rd);
}

static void add_receipt(reading_t *rd, const mx_sync_receipt_row_t *row)
{
    mx_sync_entry_t *entry = add_entry(rd, MX_ENTRY_RECEIPT, row->stream, row->room_nid, row->user_nid);
    mx_slice_t data = mx_sync_receipt_data(row, rd->pool);

    entry->room_id = keep_str(rd, row->room_id);
    entry->type = keep_str(rd, row->type);
    entry->user_id = keep_str(rd, row->user_id);
    entry->event_id = mx_store_event_id_unpack(row->event_id, rd->batch->pool);
    entry->thread_id = keep_str(rd, row->thread_id);
    mx_buf_append(rd->text, data.p, data.len);
    entry->body = keep_text(rd);
}

static void add_typing(reading_t *rd, const mx_sync_typing_row_t *row)
{
    mx_sync_entry_t *entry = add_entry(rd, MX_ENTRY_TYPING, row->stream, row->room_nid, 0);
    mx_json_writer_t w;

    entry->room_id = keep_str(rd, row->room_id);
    entry->type = "m.typing";
    entry->first_until = row->first_until;
    mx_jw_init(&w, rd->text);
    mx_sync_write_typing(&w, row->user_ids, row->nusers);
    entry->body = keep_text(rd);
}

static void add_device(reading_t *rd, const mx_sync_device_row_t *row)
{
    mx_sync_entry_t *entry = add_entry(rd, row->stock ? MX_ENTRY_KEY_STOCK : MX_ENTRY_TO_DEVICE, row->stream, 0, row->user_nid);

    entry->device_nid = row->device_nid;
}

static void add_device_change(reading_t *rd, const mx_sync_device_change_row_t *row)
{
    mx_sync_entry_t *entry = add_entry(rd, MX_ENTRY_DEVICE_LIST, row->stream, 0, row->user_nid);

    entry->user_id = keep_str(rd, row->user_id);
    entry->viewer_nid = row->viewer_nid;
    entry->nrooms = row->nrooms;
    if (row->nrooms) entry->rooms = apr_pmemdup(rd->batch->pool, row->rooms, sizeof(*row->rooms) * (apr_size_t)row->nrooms);
    rd->batch->bytes += sizeof(*row->rooms) * (apr_size_t)row->nrooms;
}

static void add_presence(reading_t *rd, const mx_presence_row_t *row)
{
    mx_sync_entry_t *entry = add_entry(rd, MX_ENTRY_PRESENCE, row->stream, 0, row->user_nid);
    mx_json_writer_t w;

    entry->user_id = keep_str(rd, row->user_id);
    entry->type = "m.presence";
    entry->ts = row->active_ms;
    entry->nrooms = row->nrooms;
    if (row->nrooms) entry->rooms = apr_pmemdup(rd->batch->pool, row->rooms, sizeof(*row->rooms) * (apr_size_t)row->nrooms);
    rd->batch->bytes += sizeof(*row->rooms) * (apr_size_t)row->nrooms;
    mx_jw_init(&w, rd->text);
    mx_sync_presence_begin(&w, row);
    entry->body = keep_text(rd);
}

/* Rows of one range, as read. */
typedef struct news_t {
    mx_sync_event_row_t *events;
    mx_sync_data_row_t *data;
    mx_sync_receipt_row_t *receipts;
    mx_sync_typing_row_t *typing;
    mx_sync_device_row_t *devices;
    mx_sync_device_change_row_t *changes;
    mx_presence_row_t *presence;
    int nevents, ndata, nreceipts, ntyping, ndevices, nchanges, npresence;
} news_t;

/* Most ranges hold events alone: where those use up all positions, nothing else is asked for. */
static apr_status_t read_rows(news_t *news, int *pfits, const mx_server_t *server, mx_conn_t *conn, apr_int64_t after, apr_int64_t upto,
                              int max, apr_pool_t *pool)
{
    mx_presence_reach_t reach = mx_sync_presence_reach(server);
    apr_int64_t now_ms = apr_time_as_msec(apr_time_now());
    int seen = 0;
    apr_status_t rv = mx_store_sync_events(&news->events, &news->nevents, &seen, conn, after, upto, max, pool);

    if (rv == APR_SUCCESS && seen < max && seen < upto - after) {
        rv = mx_store_sync_account_data(&news->data, &news->ndata, conn, after, upto, max, pool);
        if (rv == APR_SUCCESS) rv = mx_store_sync_receipts(&news->receipts, &news->nreceipts, conn, after, upto, max, pool);
        if (rv == APR_SUCCESS) rv = mx_store_sync_typing(&news->typing, &news->ntyping, conn, after, upto, now_ms, max, pool);
        if (rv == APR_SUCCESS) rv = mx_store_sync_devices(&news->devices, &news->ndevices, conn, after, upto, max, pool);
        if (rv == APR_SUCCESS) rv = mx_store_sync_device_changes(&news->changes, &news->nchanges, conn, after, upto, max, pool);
        if (rv == APR_SUCCESS && server->settings->presence)
            rv = mx_store_presence_news(&news->presence, &news->npresence, conn, after, upto, &reach, max, pool);
    }
    *pfits = seen < max && news->ndata < max && news->nreceipts < max && news->ntyping < max
             && news->ndevices < max && news->nchanges < max && news->npresence < max;
    return rv;
}

static int by_position(const void *a, const void *b)
{
    const mx_sync_entry_t *x = a, *y = b;

    return x->position < y->position ? -1 : x->position > y->position;
}

apr_status_t mx_sync_read(mx_sync_batch_t **pbatch, mx_sync_state_t *state, mx_conn_t *conn, apr_int64_t after, apr_int64_t upto,
                          apr_pool_t *pool)
{
    reading_t rd = { .state = state, .conn = conn, .text = mx_buf_create(pool), .pool = pool };
    news_t news = { 0 };
    int i, fits = 0;
    apr_status_t rv = read_rows(&news, &fits, state->server, conn, after, upto, state->ring.max_entries + 1, pool);

    if (rv != APR_SUCCESS) return rv;
    if (!fits) {
        *pbatch = NULL;
        return APR_SUCCESS;
    }
    rd.batch = mx_sync_batch_create(after, upto, news.nevents + news.ndata + news.nreceipts + news.ntyping + news.ndevices + news.nchanges
                                                 + news.npresence);
    if (!rd.batch) return APR_ENOMEM;
    rv = add_events(&rd, news.events, news.nevents);
    if (rv != APR_SUCCESS) return rv;
    for (i = 0; i < news.ndata; i++) add_account_data(&rd, &news.data[i]);
    for (i = 0; i < news.nreceipts; i++) add_receipt(&rd, &news.receipts[i]);
    for (i = 0; i < news.ntyping; i++) add_typing(&rd, &news.typing[i]);
    for (i = 0; i < news.ndevices; i++) add_device(&rd, &news.devices[i]);
    for (i = 0; i < news.nchanges; i++) add_device_change(&rd, &news.changes[i]);
    for (i = 0; i < news.npresence; i++) add_presence(&rd, &news.presence[i]);
    if (news.nevents < rd.batch->n) qsort(rd.batch->entries, (apr_size_t)rd.batch->n, sizeof(*rd.batch->entries), by_position);
    *pbatch = rd.batch;
    return APR_SUCCESS;
}
