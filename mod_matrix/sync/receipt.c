/* SPDX-License-Identifier: Apache-2.0 */
/* Receipts and read markers. CS-API: receipts; fully read markers. */
#include "core/ident.h"
#include "store/account_data.h"
#include "store/receipt.h"
#include "sync/sync_private.h"

#define THREAD_HOPS 3                /* CS-API: threaded read receipts: "a maximum of 3 hops is recommended" */
#define THREAD_MAIN "main"

const mx_error_t *mx_sync_joined_room(mx_room_t **proom, mx_server_t *server, const mx_who_t *who, const char *room_id, apr_pool_t *pool)
{
    mx_membership_e membership = MX_MEMBERSHIP_NONE;
    mx_room_t *room = NULL;
    const mx_error_t *err = mx_room_get(&room, server, room_id, 0, pool);

    if (err && err->code != MX_E_NOT_FOUND) return err;
    if (!err) err = mx_room_membership(&membership, server, room, who->user_id, pool);
    if (room && err) return err;
    if (membership != MX_MEMBERSHIP_JOIN) return mx_error_make(pool, MX_E_FORBIDDEN, "You are not in this room.");
    *proom = room;
    return NULL;
}

static const mx_error_t *find_event(mx_event_row_t **prow, mx_server_t *server, const mx_room_t *room, const char *event_id,
                                    apr_pool_t *pool)
{
    mx_event_row_t *row = NULL;
    apr_status_t rv = mx_store_event_by_id(&row, server->store, event_id, pool);

    if (rv != APR_SUCCESS && rv != MX_STORE_NONE) return mx_server_store_error(rv, "read an event", pool);
    if (rv == MX_STORE_NONE || row->room_nid != room->nid)
        return mx_error_make(pool, MX_E_NOT_FOUND, "This room has no event %s.", event_id);
    *prow = row;
    return NULL;
}

/* content.m.relates_to: the parent, and whether the relation is that of a thread. NULL: none. */
static const char *parent_of(int *pis_thread, const mx_event_row_t *row, apr_pool_t *pool)
{
    mx_json_scan_t scan;
    mx_slice_t value;

    mx_json_scan_trusted(&scan, row->pdu, pool);
    mx_json_scan_trusted(&scan, mx_json_scan_get(&scan, "content"), pool);
    value = mx_json_scan_get(&scan, "m.relates_to");
    if (!value.len || value.p[0] != '{') return NULL;
    mx_json_scan_trusted(&scan, value, pool);
    *pis_thread = mx_str_eq(mx_json_scan_str(mx_json_scan_get(&scan, "rel_type"), pool), "m.thread");
    return mx_json_scan_str(mx_json_scan_get(&scan, "event_id"), pool);
}

/* CS-API: threaded read receipts: the root of the thread the event is in; "main" outside of threads. */
static const mx_error_t *thread_of(const char **pthread, mx_server_t *server, const mx_room_t *room, mx_event_row_t *row, apr_pool_t *pool)
{
    const mx_error_t *err;
    int i, is_thread = 0;

    *pthread = THREAD_MAIN;
    for (i = 0; i < THREAD_HOPS; i++) {
        const char *parent = parent_of(&is_thread, row, pool);

        if (!parent) return NULL;
        if (is_thread) {
            *pthread = parent;
            return NULL;
        }
        err = find_event(&row, server, room, parent, pool);
        if (err) return err->code == MX_E_NOT_FOUND ? NULL : err;
    }
    return NULL;
}

static const mx_error_t *check_thread(mx_server_t *server, const mx_room_t *room, const mx_sync_receipt_t *receipt, mx_event_row_t *row,
                                      apr_pool_t *pool)
{
    const char *thread = NULL;
    const mx_error_t *err;

    if (!receipt->thread_id) return NULL;
    if (mx_str_eq(receipt->type, "m.fully_read"))
        return mx_error_make(pool, MX_E_INVALID_PARAM, "m.fully_read takes no `thread_id`.");
    if (!mx_str_eq(receipt->thread_id, THREAD_MAIN) && !mx_ident_is_event_id(receipt->thread_id))
        return mx_error_make(pool, MX_E_INVALID_PARAM, "`thread_id` is neither \"main\" nor the id of an event.");
    err = thread_of(&thread, server, room, row, pool);
    if (err || mx_str_eq(thread, receipt->thread_id)) return err;
    /* the root itself may be read in its own thread, too */
    if (mx_str_eq(thread, THREAD_MAIN) && mx_str_eq(receipt->event_id, receipt->thread_id)) return NULL;
    return mx_error_make(pool, MX_E_INVALID_PARAM, "The event is not in that thread.");
}

static const mx_error_t *check(mx_event_row_t **prow, mx_server_t *server, const mx_room_t *room, const mx_sync_receipt_t *receipt,
                               apr_pool_t *pool)
{
    const mx_error_t *err;

    if (!mx_str_eq(receipt->type, "m.read") && !mx_str_eq(receipt->type, "m.read.private") && !mx_str_eq(receipt->type, "m.fully_read"))
        return mx_error_make(pool, MX_E_INVALID_PARAM, "The type of a receipt is m.read, m.read.private or m.fully_read.");
    if (!mx_ident_is_event_id(receipt->event_id)) return mx_error_make(pool, MX_E_INVALID_PARAM, "A receipt names no event.");
    err = find_event(prow, server, room, receipt->event_id, pool);
    return err ? err : check_thread(server, room, receipt, *prow, pool);
}

/* CS-API: m.fully_read is account data of the room that only this way can set. */
static apr_status_t store_marker(mx_server_t *server, const mx_who_t *who, const mx_room_t *room, const char *event_id, apr_pool_t *pool)
{
    mx_json_writer_t *w = mx_jw_create(pool);

    mx_jw_object(w);
    mx_jw_key_str(w, "event_id", event_id);
    mx_jw_end_object(w);
    return mx_store_account_data_put(server->store, who->user_nid, room->nid, "m.fully_read", mx_buf_slice(w->buf), pool);
}

static apr_status_t store_one(mx_server_t *server, const mx_who_t *who, const mx_room_t *room, const mx_sync_receipt_t *receipt,
                              const mx_event_row_t *row, apr_pool_t *pool)
{
    mx_receipt_t stored = { .room_nid = room->nid, .user_nid = who->user_nid, .nid = row->nid, .ts = apr_time_as_msec(apr_time_now()),
                            .type = receipt->type, .thread_id = receipt->thread_id ? receipt->thread_id : "", .event_id = row->id };

    if (mx_str_eq(receipt->type, "m.fully_read")) return store_marker(server, who, room, receipt->event_id, pool);
    return mx_store_receipt_put(server->store, &stored, pool);
}

const mx_error_t *mx_sync_receipts_put(mx_server_t *server, const mx_who_t *who, const char *room_id, const mx_sync_receipt_t *receipts,
                                       int n, apr_pool_t *pool)
{
    mx_event_row_t **rows = apr_pcalloc(pool, sizeof(*rows) * (apr_size_t)(n + 1));
    mx_room_t *room = NULL;
    const mx_error_t *err = mx_sync_joined_room(&room, server, who, room_id, pool);
    apr_status_t rv = APR_SUCCESS;
    int i;

    for (i = 0; !err && i < n; i++) err = check(&rows[i], server, room, &receipts[i], pool);
    for (i = 0; !err && rv == APR_SUCCESS && i < n; i++) rv = store_one(server, who, room, &receipts[i], rows[i], pool);
    if (err) return err;
    if (i) mx_server_stream_moved(server);
    mx_sync_presence_active(server, who);
    return rv == APR_SUCCESS ? NULL : mx_server_store_error(rv, "store a receipt", pool);
}
