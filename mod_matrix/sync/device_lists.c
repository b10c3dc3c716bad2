/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Whose keys a client has to ask for anew, and whose it may forget. CS-API: end-to-end encryption, tracking the device
 * list for a user. To tell one too many costs a question; to tell one too few costs messages that cannot be read.
 */
#include "room/facts.h"
#include "sync/devices.h"
#include "sync/full.h"

static void place(apr_array_header_t *entered, apr_array_header_t *stayed, apr_array_header_t *left, const mx_sync_full_t *full,
                  const mx_sync_part_t *part)
{
    int was = part->at_since == MX_MEMBERSHIP_JOIN, is = part->at_end == MX_MEMBERSHIP_JOIN;

    if (is && !was) APR_ARRAY_PUSH(entered, apr_int64_t) = part->member->room_nid;
    if (was && !is) APR_ARRAY_PUSH(left, apr_int64_t) = part->member->room_nid;
    if (was && is && part->member->last_stream > full->ask->since) APR_ARRAY_PUSH(stayed, apr_int64_t) = part->member->room_nid;
}

/* Those who came in. Who only changed a profile was there before: its member event took the place of a join. */
static apr_status_t add_joined(apr_hash_t *changed, const mx_sync_full_t *full, const mx_sync_device_span_t *span)
{
    mx_sync_joined_row_t *joined = NULL;
    mx_event_row_t *rows = NULL;
    apr_hash_t *were_in = apr_hash_make(full->pool);
    apr_int64_t *nids;
    int i, n = 0, nrows = 0, nnids = 0;
    apr_status_t rv;

    MX_SYNC_WITH_CONN(rv, full, mx_store_sync_devices_joined(&joined, &n, conn, span, full->pool));
    if (rv != APR_SUCCESS || !n) return rv;
    nids = apr_palloc(full->pool, sizeof(*nids) * (apr_size_t)n);
    for (i = 0; i < n; i++)
        if (joined[i].replaces) nids[nnids++] = joined[i].replaces;
    if (nnids) rv = mx_store_event_by_nids(&rows, &nrows, full->server->store, nids, nnids, full->pool);
    for (i = 0; rv == APR_SUCCESS && i < nrows; i++)
        if (mx_room_facts_row_membership(&rows[i], full->pool) == MX_MEMBERSHIP_JOIN)
            apr_hash_set(were_in, &rows[i].nid, sizeof(rows[i].nid), "");
    for (i = 0; rv == APR_SUCCESS && i < n; i++)
        if (!apr_hash_get(were_in, &joined[i].replaces, sizeof(joined[i].replaces)))
            apr_hash_set(changed, joined[i].user_id, APR_HASH_KEY_STRING, joined[i].user_id);
    return rv;
}

/* Everybody once. */
static apr_status_t find_changed(apr_hash_t *changed, const mx_sync_full_t *full, const mx_sync_device_span_t *span)
{
    const char **users = NULL;
    int n = 0;
    apr_status_t rv;

    MX_SYNC_WITH_CONN(rv, full, mx_store_sync_devices_changed(&users, &n, conn, span, full->pool));
    for (int i = 0; i < n; i++) apr_hash_set(changed, users[i], APR_HASH_KEY_STRING, users[i]);
    return rv == APR_SUCCESS && span->nstayed ? add_joined(changed, full, span) : rv;
}

static void write_changed(mx_json_writer_t *w, apr_hash_t *changed, apr_pool_t *pool)
{
    mx_jw_key_array(w, "changed");
    for (apr_hash_index_t *i = apr_hash_first(pool, changed); i; i = apr_hash_next(i)) mx_jw_str(w, apr_hash_this_key(i));
    mx_jw_end_array(w);
}

static void write_users(mx_json_writer_t *w, const char *name, const char **users, int n)
{
    mx_jw_key_array(w, name);
    for (int i = 0; i < n; i++) mx_jw_str(w, users[i]);
    mx_jw_end_array(w);
}

const mx_error_t *mx_sync_device_lists_write(mx_json_writer_t *w, int *ptold, const mx_sync_full_t *full)
{
    apr_array_header_t *entered = apr_array_make(full->pool, 4, sizeof(apr_int64_t));
    apr_array_header_t *stayed = apr_array_make(full->pool, 16, sizeof(apr_int64_t));
    apr_array_header_t *left = apr_array_make(full->pool, 4, sizeof(apr_int64_t));
    mx_sync_device_span_t span = { .user_nid = full->ask->who->user_nid, .after = full->ask->since };
    apr_hash_t *changed = apr_hash_make(full->pool);
    const char **gone = NULL;
    int ngone = 0;
    apr_status_t rv;

    for (int i = 0; i < full->nparts; i++) place(entered, stayed, left, full, &full->parts[i]);
    span.entered = (const apr_int64_t *)entered->elts;
    span.stayed = (const apr_int64_t *)stayed->elts;
    span.left = (const apr_int64_t *)left->elts;
    span.nentered = entered->nelts;
    span.nstayed = stayed->nelts;
    span.nleft = left->nelts;
    rv = find_changed(changed, full, &span);
    if (rv == APR_SUCCESS && (span.nstayed || span.nleft))
        MX_SYNC_WITH_CONN(rv, full, mx_store_sync_devices_left(&gone, &ngone, conn, &span, full->pool));
    if (rv != APR_SUCCESS) return mx_server_store_error(rv, "read whose keys changed", full->pool);
    mx_jw_object(w);
    write_changed(w, changed, full->pool);
    write_users(w, "left", gone, ngone);
    mx_jw_end_object(w);
    *ptold = apr_hash_count(changed) || ngone;
    return NULL;
}

/* CS-API: GET /keys/changes. What changed after `to` may be in it as well. */
const mx_error_t *mx_sync_device_lists_between(mx_json_writer_t *w, mx_server_t *server, const mx_who_t *who, apr_int64_t from,
                                               apr_int64_t to, apr_pool_t *pool)
{
    mx_sync_ask_t ask = { .who = who, .since = from, .acked = MX_SYNC_INITIAL, .filter = mx_filter_default() };
    mx_sync_full_t full = { .server = server, .ask = &ask, .filter = ask.filter, .now = apr_time_now(), .pool = pool };
    const mx_error_t *err = mx_sync_rooms_find(&full);
    int told = 0;

    if (to < from) return mx_error_make(pool, MX_E_INVALID_PARAM, "`to` lies before `from`.");
    if (err) return err;
    if (!full.quiet) return mx_sync_device_lists_write(w, &told, &full);
    mx_jw_object(w);
    write_users(w, "changed", NULL, 0);
    write_users(w, "left", NULL, 0);
    mx_jw_end_object(w);
    return NULL;
}

void mx_sync_write_messages(mx_json_writer_t *w, const mx_to_device_row_t *rows, int n)
{
    mx_jw_key_array(w, "events");
    for (int i = 0; i < n; i++) {
        mx_jw_object(w);
        mx_jw_key_str(w, "sender", rows[i].sender);
        mx_jw_key_str(w, "type", rows[i].type);
        mx_jw_key_raw(w, "content", rows[i].content);
        mx_jw_end_object(w);
    }
    mx_jw_end_array(w);
}

void mx_sync_write_to_device(mx_json_writer_t *w, const mx_to_device_row_t *rows, int n)
{
    mx_jw_key_object(w, "to_device");
    mx_sync_write_messages(w, rows, n);
    mx_jw_end_object(w);
}
