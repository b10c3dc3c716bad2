/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Extensions of sliding sync: messages to the device (MSC3885), its keys and those of others (MSC3884), account data (MSC3959),
 * receipts (MSC3960), typing (MSC3961). Those of rooms are told of the rooms asked for, news or not, since each was told last.
 */
#include "store/event_id.h"
#include "store/to_device.h"
#include "sync/sliding_private.h"
#include "user/push_rules.h"
#include <stdlib.h>

/* ---- which rooms ---- */

static int names(const apr_array_header_t *list, const char *name)
{
    int i;

    for (i = 0; list && i < list->nelts; i++) {
        const char *text = APR_ARRAY_IDX(list, i, const char *);

        if (mx_str_eq(text, "*") || mx_str_eq(text, name)) return 1;
    }
    return !list;
}

int mx_sliding_ext_means(const mx_sliding_scope_t *scope, const mx_sliding_t *s, const mx_sliding_wanted_t *wanted)
{
    int i;

    if (!scope->enabled || wanted->entry->member.membership != MX_MEMBERSHIP_JOIN) return 0;
    if (wanted->subscribed && names(scope->rooms, wanted->entry->member.room_id)) return 1;
    for (i = 0; i < wanted->lists->nelts; i++)
        if (names(scope->lists, s->ask->request->lists[APR_ARRAY_IDX(wanted->lists, i, int)].name)) return 1;
    return 0;
}

/* In the order of room_nid, as `wanted` is. */
static int asked_rooms(mx_sync_since_t **prooms, const mx_sliding_t *s, const mx_sliding_scope_t *scope, mx_sliding_what_e what)
{
    mx_sync_since_t *rooms = apr_palloc(s->pool, sizeof(*rooms) * (apr_size_t)(s->nwanted + 1));
    int i, n = 0;

    for (i = 0; i < s->nwanted; i++) {
        const mx_sliding_wanted_t *wanted = &s->wanted[i];
        apr_int64_t since = wanted->before && !wanted->initial ? wanted->before->upto[what] : MX_SLIDING_NEVER;

        if (!mx_sliding_ext_means(scope, s, wanted)) continue;
        rooms[n++] = (mx_sync_since_t){ wanted->entry->member.room_nid, since == MX_SLIDING_LIVE ? s->ask->since : since };
    }
    *prooms = rooms;
    return n;
}

static const mx_sliding_wanted_t *wanted_of(const mx_sliding_t *s, apr_int64_t room_nid)
{
    int low = 0, high = s->nwanted - 1;

    while (low <= high) {
        int mid = (low + high) / 2;
        apr_int64_t nid = s->wanted[mid].entry->member.room_nid;

        if (nid == room_nid) return &s->wanted[mid];
        if (nid < room_nid) low = mid + 1;
        else high = mid - 1;
    }
    return NULL;
}

static const char *room_id_of(const mx_sliding_t *s, apr_int64_t room_nid)
{
    return wanted_of(s, room_nid)->entry->member.room_id;
}

/* ---- to the device ---- */

static const mx_error_t *write_to_device(mx_json_writer_t *w, mx_sliding_t *s)
{
    const mx_sliding_request_t *req = s->ask->request;
    apr_int64_t next = s->upto > req->to_device_since ? s->upto : req->to_device_since, device_nid = s->ask->who->device_nid;
    mx_to_device_row_t *rows = NULL;
    apr_status_t rv = APR_SUCCESS;
    int n = 0;

    if (!req->to_device) return NULL;
    /* a waiting request has said so before it began to wait */
    if (req->to_device_since > 0) rv = mx_store_to_device_ack(s->server->store, device_nid, req->to_device_since, s->pool);
    if (rv == APR_SUCCESS)
        MX_SYNC_WITH_CONN(rv, &s->full,
                          mx_store_to_device_read(&rows, &n, conn, device_nid, req->to_device_since, s->upto, req->to_device_limit + 1,
                                                  s->pool));
    if (rv != APR_SUCCESS) return mx_server_store_error(rv, "read to-device messages", s->pool);
    if (n > req->to_device_limit) {
        n = req->to_device_limit;
        next = n ? rows[n - 1].stream : req->to_device_since;
    }
    mx_jw_key_object(w, "to_device");
    mx_jw_key_str(w, "next_batch", mx_sync_token_format(next, s->pool));
    mx_sync_write_messages(w, rows, n);
    mx_jw_end_object(w);
    if (n) s->told = 1;
    return NULL;
}

/* ---- keys ---- */

static const mx_error_t *write_e2ee(mx_json_writer_t *w, mx_sliding_t *s)
{
    static const char none[] = "{\"changed\":[],\"left\":[]}";
    mx_sync_ask_t ask = { .who = s->ask->who, .since = s->ask->since, .acked = MX_SYNC_INITIAL };
    mx_json_writer_t *lists = mx_jw_create(s->pool);
    mx_slice_t stock = MX_SLICE_NONE;
    const mx_error_t *err;
    int moved = 0;

    if (!s->ask->request->e2ee) return NULL;
    err = mx_sync_devices_stock(&stock, &moved, s->server, &ask, s->pool);
    if (!err && s->ask->version) err = mx_sync_device_lists_between(lists, s->server, s->ask->who, s->ask->since, s->upto, s->pool);
    if (err) return err;
    mx_jw_key_object(w, "e2ee");
    if (s->ask->version) mx_jw_key_raw(w, "device_lists", mx_buf_slice(lists->buf));
    else mx_jw_key_raw(w, "device_lists", mx_slice_str(none));
    mx_sync_write_stock(w, stock);
    mx_jw_end_object(w);
    if (moved || (s->ask->version && !mx_slice_is(mx_buf_slice(lists->buf), none))) s->told = 1;
    return NULL;
}

/* ---- account data ---- */

/* Rows are sorted by room, the global ones first. */
static int write_global(mx_json_writer_t *w, const mx_sliding_t *s, const mx_sync_data_row_t *rows, int n)
{
    int i, rules = s->ask->version != 0;

    mx_jw_key_array(w, "global");
    for (i = 0; i < n && !rows[i].room_nid; i++) {
        mx_slice_t content = rows[i].content;

        if (mx_str_eq(rows[i].type, "m.push_rules")) {
            content = mx_user_push_rules_for_sync(s->ask->who->user_id, content, s->pool);
            rules = 1;
        }
        mx_sync_write_account_data(w, rows[i].type, content);
    }
    if (!rules) mx_sync_write_account_data(w, "m.push_rules", mx_user_push_rules_for_sync(s->ask->who->user_id, MX_SLICE_NONE, s->pool));
    mx_jw_end_array(w);
    return i;
}

static const mx_error_t *write_data(mx_json_writer_t *w, mx_sliding_t *s)
{
    mx_sync_since_t *rooms;
    int i, n = 0, nrooms = asked_rooms(&rooms, s, &s->ask->request->account_data, MX_SLIDING_DATA);
    apr_int64_t since = s->ask->version ? s->ask->since : MX_SYNC_INITIAL;
    mx_sync_data_row_t *rows = NULL;
    apr_status_t rv;

    if (!s->ask->request->account_data.enabled) return NULL;
    MX_SYNC_WITH_CONN(rv, &s->full,
                      mx_store_sync_user_data(&rows, &n, conn, s->ask->who->user_nid, since, rooms, nrooms, s->upto, s->pool));
    if (rv != APR_SUCCESS) return mx_server_store_error(rv, "read account data", s->pool);
    mx_jw_key_object(w, "account_data");
    i = write_global(w, s, rows, n);
    mx_jw_key_object(w, "rooms");
    while (i < n) {
        apr_int64_t room_nid = rows[i].room_nid;

        mx_jw_key_array(w, room_id_of(s, room_nid));
        for (; i < n && rows[i].room_nid == room_nid; i++) mx_sync_write_account_data(w, rows[i].type, rows[i].content);
        mx_jw_end_array(w);
    }
    mx_jw_end_object(w);
    mx_jw_end_object(w);
    if (n) s->told = 1;
    return NULL;
}

/* ---- receipts ---- */

static int in_timeline(const mx_sliding_wanted_t *wanted, mx_slice_t event_id)
{
    int i;

    for (i = 0; wanted->part && i < wanted->part->n; i++)
        if (mx_slice_eq(wanted->part->rows[i].id, event_id)) return 1;
    return 0;
}

/* Of a new room: only the reader's own, and those of events that are told. MSC3960. */
static int is_wanted(const mx_sliding_t *s, const mx_sync_receipt_row_t *row)
{
    const mx_sliding_wanted_t *wanted = wanted_of(s, row->room_nid);
    int is_new = !wanted->before || wanted->initial || wanted->before->upto[MX_SLIDING_RECEIPTS] == MX_SLIDING_NEVER;

    return !is_new || row->user_nid == s->ask->who->user_nid || in_timeline(wanted, row->event_id);
}

static int by_event_type_user(const void *a, const void *b)
{
    const mx_sync_receipt_out_t *x = a, *y = b;
    int cmp = strcmp(x->event_id, y->event_id);

    if (!cmp) cmp = strcmp(x->type, y->type);
    return cmp ? cmp : strcmp(x->user_id, y->user_id);
}

/* There is one event for a room, so one receipt of a reader for an event, in whichever of its threads. */
static int drop_doubles(mx_sync_receipt_out_t *out, int n)
{
    int i, kept = 0;

    if (n > 1) qsort(out, (apr_size_t)n, sizeof(*out), by_event_type_user);
    for (i = 0; i < n; i++) {
        if (kept && !by_event_type_user(&out[kept - 1], &out[i])) continue;
        out[kept] = out[i];
        out[kept++].thread_id = "";
    }
    return kept;
}

/* The receipts of one room; how many rows they were. */
static int write_receipts_of(mx_json_writer_t *w, mx_sliding_t *s, const mx_sync_receipt_row_t *rows, int n)
{
    mx_sync_receipt_out_t *out = apr_palloc(s->pool, sizeof(*out) * (apr_size_t)n);
    int i, kept = 0;

    for (i = 0; i < n && rows[i].room_nid == rows[0].room_nid; i++)
        if (is_wanted(s, &rows[i]))
            out[kept++] = (mx_sync_receipt_out_t){ "", mx_store_event_id_unpack(rows[i].event_id, s->pool), rows[i].type, rows[i].user_id,
                                                   mx_sync_receipt_data(&rows[i], s->pool) };
    kept = drop_doubles(out, kept);
    if (kept) {
        mx_jw_key(w, room_id_of(s, rows[0].room_nid));
        mx_sync_write_receipts(w, out, kept);
        s->told = 1;
    }
    return i;
}

static const mx_error_t *write_receipts(mx_json_writer_t *w, mx_sliding_t *s)
{
    mx_sync_since_t *rooms;
    int i, n = 0, nrooms = asked_rooms(&rooms, s, &s->ask->request->receipts, MX_SLIDING_RECEIPTS);
    mx_sync_receipt_row_t *rows = NULL;
    apr_status_t rv = APR_SUCCESS;

    if (!s->ask->request->receipts.enabled) return NULL;
    if (nrooms)
        MX_SYNC_WITH_CONN(rv, &s->full,
                          mx_store_sync_room_receipts(&rows, &n, conn, rooms, nrooms, s->upto, s->ask->who->user_nid, s->pool));
    if (rv != APR_SUCCESS) return mx_server_store_error(rv, "read receipts", s->pool);
    mx_jw_key_object(w, "receipts");
    mx_jw_key_object(w, "rooms");
    for (i = 0; i < n;) i += write_receipts_of(w, s, rows + i, n - i);
    mx_jw_end_object(w);
    mx_jw_end_object(w);
    return NULL;
}

/* ---- typing ---- */

/* Who types is told as of now: of a new room only if somebody does. */
static const mx_error_t *write_typing(mx_json_writer_t *w, mx_sliding_t *s)
{
    mx_sync_since_t *rooms;
    int i, n = 0, nrooms = asked_rooms(&rooms, s, &s->ask->request->typing, MX_SLIDING_ROOM);
    mx_sync_typing_row_t *rows = NULL;
    apr_status_t rv = APR_SUCCESS;

    if (!s->ask->request->typing.enabled) return NULL;
    if (nrooms)
        MX_SYNC_WITH_CONN(rv, &s->full,
                          mx_store_sync_room_typing(&rows, &n, conn, rooms, nrooms, s->upto, apr_time_as_msec(s->now), s->pool));
    if (rv != APR_SUCCESS) return mx_server_store_error(rv, "read who types", s->pool);
    mx_jw_key_object(w, "typing");
    mx_jw_key_object(w, "rooms");
    for (i = 0; i < n; i++) {
        const mx_sliding_wanted_t *wanted = wanted_of(s, rows[i].room_nid);

        if (!rows[i].nusers && wanted->initial) continue;
        mx_jw_key(w, wanted->entry->member.room_id);
        mx_sync_write_typing(w, rows[i].user_ids, rows[i].nusers);
        s->told = 1;
    }
    mx_jw_end_object(w);
    mx_jw_end_object(w);
    return NULL;
}

const mx_error_t *mx_sliding_ext_write(mx_json_writer_t *w, mx_sliding_t *s)
{
    const mx_error_t *err;

    mx_jw_key_object(w, "extensions");
    err = write_to_device(w, s);
    if (!err) err = write_e2ee(w, s);
    if (!err) err = write_data(w, s);
    if (!err) err = write_receipts(w, s);
    if (!err) err = write_typing(w, s);
    mx_jw_end_object(w);
    return err;
}
