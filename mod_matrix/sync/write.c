/* SPDX-License-Identifier: Apache-2.0 */
/* The small events of an answer, written alike whether they come from the ring or from the database. */
#include "sync/sync_private.h"
#include <stdlib.h>

int mx_sync_timeline_limit(const mx_server_t *server, const mx_filter_t *filter)
{
    int limit = filter->timeline.limit >= 0 ? filter->timeline.limit : MX_SYNC_TIMELINE_DEFAULT;

    return limit < server->settings->timeline_max ? limit : server->settings->timeline_max;
}

mx_slice_t mx_sync_receipt_data(const mx_sync_receipt_row_t *row, apr_pool_t *pool)
{
    mx_json_writer_t *w = mx_jw_create(pool);

    mx_jw_object(w);
    mx_jw_key_int(w, "ts", row->ts);
    if (row->thread_id && *row->thread_id) mx_jw_key_str(w, "thread_id", row->thread_id);
    mx_jw_end_object(w);
    return mx_buf_slice(w->buf);
}

static int by_thread_event_type(const void *a, const void *b)
{
    const mx_sync_receipt_out_t *x = a, *y = b;
    int cmp = strcmp(x->thread_id, y->thread_id);

    if (!cmp) cmp = strcmp(x->event_id, y->event_id);
    return cmp ? cmp : strcmp(x->type, y->type);
}

/* How many from the first on share its thread, its event, its type (as far down as asked). */
typedef enum { SAME_THREAD, SAME_EVENT, SAME_TYPE } same_e;
static int run_length(const mx_sync_receipt_out_t *r, int n, same_e same)
{
    int i;

    for (i = 1; i < n; i++) {
        if (strcmp(r[i].thread_id, r[0].thread_id) != 0) break;
        if (same >= SAME_EVENT && strcmp(r[i].event_id, r[0].event_id) != 0) break;
        if (same >= SAME_TYPE && strcmp(r[i].type, r[0].type) != 0) break;
    }
    return i;
}

static void write_event_receipts(mx_json_writer_t *w, const mx_sync_receipt_out_t *r, int n)
{
    int i, j, run;

    mx_jw_key_object(w, r[0].event_id);
    for (i = 0; i < n; i += run) {
        run = run_length(r + i, n - i, SAME_TYPE);
        mx_jw_key_object(w, r[i].type);
        for (j = i; j < i + run; j++) mx_jw_key_raw(w, r[j].user_id, r[j].data);
        mx_jw_end_object(w);
    }
    mx_jw_end_object(w);
}

static void write_thread_receipts(mx_json_writer_t *w, const mx_sync_receipt_out_t *r, int n)
{
    int i, run;

    mx_jw_object(w);
    mx_jw_key_str(w, "type", "m.receipt");
    mx_jw_key_object(w, "content");
    for (i = 0; i < n; i += run) {
        run = run_length(r + i, n - i, SAME_EVENT);
        write_event_receipts(w, r + i, run);
    }
    mx_jw_end_object(w);
    mx_jw_end_object(w);
}

/* CS-API: receipts, server behaviour: one event per room and thread. */
void mx_sync_write_receipts(mx_json_writer_t *w, mx_sync_receipt_out_t *receipts, int n)
{
    int i, run;

    if (n > 1) qsort(receipts, (apr_size_t)n, sizeof(*receipts), by_thread_event_type);
    for (i = 0; i < n; i += run) {
        run = run_length(receipts + i, n - i, SAME_THREAD);
        write_thread_receipts(w, receipts + i, run);
    }
}

void mx_sync_write_typing(mx_json_writer_t *w, const char **user_ids, int n)
{
    int i;

    mx_jw_object(w);
    mx_jw_key_str(w, "type", "m.typing");
    mx_jw_key_object(w, "content");
    mx_jw_key_array(w, "user_ids");
    for (i = 0; i < n; i++) mx_jw_str(w, user_ids[i]);
    mx_jw_end_array(w);
    mx_jw_end_object(w);
    mx_jw_end_object(w);
}

void mx_sync_write_account_data(mx_json_writer_t *w, const char *type, mx_slice_t content)
{
    mx_jw_object(w);
    mx_jw_key_str(w, "type", type);
    mx_jw_key_raw(w, "content", content);
    mx_jw_end_object(w);
}

void mx_sync_write_stock(mx_json_writer_t *w, mx_slice_t stock)
{
    if (!stock.p) return;
    mx_buf_append_char(w->buf, ',');
    mx_buf_append(w->buf, stock.p, stock.len);
}
