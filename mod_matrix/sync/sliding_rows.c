/* SPDX-License-Identifier: Apache-2.0 */
/*
 * State events as sliding sync tells them, remembered by a child: the members of a room are told the same ones. They change once, when
 * they are redacted: then the room's number of that is another (store/sync.h).
 */
#include "base/json_scan.h"
#include "sync/sliding_private.h"

#define OVERHEAD_BYTES 160           /* of an entry of the cache */

/* A value of the cache: one block; `type`, `state_key` and the slices of `event` are offsets into `bytes` until it is copied. */
typedef struct kept_t {
    mx_sliding_row_event_t event;
    apr_size_t id_at, pdu_at, type_at, key_at, len;
    char bytes[];
} kept_t;

mx_cache_t *mx_sliding_rows_cache_create(apr_size_t max_bytes, apr_pool_t *pool)
{
    return mx_cache_create("sliding sync events", max_bytes, mx_cache_value_destroy, pool);
}

static apr_size_t put(kept_t *kept, const char *p, apr_size_t len)
{
    apr_size_t at = kept->len;

    memcpy(kept->bytes + at, p, len);
    kept->bytes[at + len] = '\0';
    kept->len += len + 1;
    return at;
}

static void keep(mx_cache_t *cache, const mx_sliding_nid_t *key, const mx_sliding_row_event_t *event)
{
    apr_size_t type_len = strlen(event->type), key_len = strlen(event->state_key);
    apr_size_t bytes = sizeof(kept_t) + event->row.id.len + event->row.pdu.len + type_len + key_len + 4;
    kept_t *kept = mx_cache_value_create(bytes);

    kept->event = *event;
    kept->id_at = put(kept, event->row.id.p, event->row.id.len);
    kept->pdu_at = put(kept, event->row.pdu.p, event->row.pdu.len);
    kept->type_at = put(kept, event->type, type_len);
    kept->key_at = put(kept, event->state_key, key_len);
    mx_cache_set(NULL, cache, key, sizeof(*key), kept, bytes + OVERHEAD_BYTES, 0);
}

static mx_sliding_row_event_t *recall(mx_cache_t *cache, const mx_sliding_nid_t *key, apr_pool_t *pool)
{
    mx_cache_ref_t *ref = NULL;
    const kept_t *kept = mx_cache_get(&ref, cache, key, sizeof(*key));
    kept_t *copy;

    if (!kept) return NULL;
    copy = apr_pmemdup(pool, kept, sizeof(*kept) + kept->len);
    mx_cache_put(ref);
    copy->event.row.id.p = copy->bytes + copy->id_at;
    copy->event.row.pdu.p = copy->bytes + copy->pdu_at;
    copy->event.type = copy->bytes + copy->type_at;
    copy->event.state_key = copy->bytes + copy->key_at;
    return &copy->event;
}

/* 0: it is no state event that can be told. */
static int fill(mx_sliding_row_event_t *event, mx_sync_full_t *full, const mx_event_row_t *row)
{
    mx_json_scan_t scan;

    event->row = *row;
    if (mx_server_type_name(&event->type, full->server, row->type_nid, full->pool) != APR_SUCCESS) return 0;
    mx_json_scan_trusted(&scan, row->pdu, full->pool);
    event->state_key = mx_json_scan_str(mx_json_scan_get(&scan, "state_key"), full->pool);
    return event->state_key != NULL;
}

static void take(apr_hash_t *rows, mx_sync_full_t *full, const mx_event_row_t *row, const mx_sliding_nid_t *asked)
{
    mx_sliding_row_event_t *event = apr_palloc(full->pool, sizeof(*event));

    if (!fill(event, full, row)) return;
    apr_hash_set(rows, &event->row.nid, sizeof(event->row.nid), event);
    if (asked && asked->redacted != MX_SLIDING_NEVER) keep(full->server->sync->sliding_events, asked, event);
}

const mx_error_t *mx_sliding_rows_read(apr_hash_t *rows, mx_sync_full_t *full, const apr_array_header_t *nids, int lazy)
{
    apr_int64_t *missing = apr_palloc(full->pool, sizeof(*missing) * (apr_size_t)(nids->nelts + 1));
    apr_hash_t *asked = apr_hash_make(full->pool);
    mx_event_row_t *found = NULL;
    apr_status_t rv;
    int i, n = 0, nfound = 0;

    for (i = 0; i < nids->nelts; i++) {
        const mx_sliding_nid_t *key = &APR_ARRAY_IDX(nids, i, mx_sliding_nid_t);
        mx_sliding_row_event_t *event = NULL;

        if (apr_hash_get(rows, &key->nid, sizeof(key->nid)) || apr_hash_get(asked, &key->nid, sizeof(key->nid))) continue;
        if (!lazy && key->redacted != MX_SLIDING_NEVER) event = recall(full->server->sync->sliding_events, key, full->pool);
        if (event) {
            apr_hash_set(rows, &event->row.nid, sizeof(event->row.nid), event);
            continue;
        }
        apr_hash_set(asked, &key->nid, sizeof(key->nid), key);
        missing[n++] = key->nid;
    }
    if (!n) return NULL;
    MX_SYNC_WITH_CONN(rv, full, mx_store_sync_state_rows(&found, &nfound, conn, missing, n, lazy, NULL, 0, full->pool));
    if (rv != APR_SUCCESS) return mx_server_store_error(rv, "read state events", full->pool);
    for (i = 0; i < nfound; i++) take(rows, full, &found[i], apr_hash_get(asked, &found[i].nid, sizeof(found[i].nid)));
    return NULL;
}
