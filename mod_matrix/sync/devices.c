/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a child remembers of devices that sync here: whether messages are stored that the device has acknowledged, and
 * the text about its own keys. Both hang on entries of the ring, so they are as true as the ring's head.
 */
#include "sync/devices.h"

#define STOCK_MAX_BYTES 400          /* a device with more to say is asked of the database each time */

struct mx_sync_device_t {
    apr_int64_t unacked;             /* messages from there on may be stored; 0: none is */
    apr_int64_t last;                /* where the newest of them may be */
    apr_uint64_t version;            /* of the stock: another one whenever it moves */
    apr_size_t len;                  /* 0: not known */
    char stock[STOCK_MAX_BYTES];
};

void mx_sync_devices_init(mx_sync_state_t *state)
{
    state->device_slab = mx_slab_create(sizeof(mx_sync_device_t), state->pool);
}

/* NULL while the ring does not follow the stream: then nothing would keep it true. */
static mx_sync_device_t *find_or_add(mx_sync_state_t *state, apr_int64_t device_nid)
{
    mx_sync_device_t *device = mx_nid_map_get(&state->devices, device_nid);

    if (device || !state->ready) return device;
    if (state->devices.count >= MX_SYNC_DEVICES_MAX) mx_sync_devices_forget_locked(state);
    device = mx_slab_get(state->device_slab);
    device->unacked = 1;
    device->last = state->ring.head;
    device->version = ++state->device_versions;
    mx_nid_map_set(&state->devices, device_nid, device);
    return device;
}

void mx_sync_devices_forget_locked(mx_sync_state_t *state)
{
    const mx_nid_map_slot_t *slot;
    apr_uint32_t at = 0;

    while ((slot = mx_nid_map_next(&state->devices, &at)) != NULL) mx_slab_put(state->device_slab, slot->value);
    mx_nid_map_free(&state->devices);
}

void mx_sync_devices_tell_locked(mx_sync_state_t *state, const mx_sync_batch_t *batch)
{
    for (int i = 0; i < batch->n; i++) {
        const mx_sync_entry_t *entry = &batch->entries[i];
        mx_sync_device_t *device = entry->device_nid ? mx_nid_map_get(&state->devices, entry->device_nid) : NULL;

        if (!device) continue;
        if (entry->kind == MX_ENTRY_KEY_STOCK) {
            device->version = ++state->device_versions;
            device->len = 0;
        } else {
            if (!device->unacked) device->unacked = entry->position;
            device->last = entry->position;
        }
    }
}

static mx_slice_t stock_text(const mx_sync_device_state_t *row, apr_pool_t *pool)
{
    return mx_slice_str(apr_pstrcat(pool, "\"device_one_time_keys_count\":", row->counts, ",\"device_unused_fallback_key_types\":",
                                    row->unused, NULL));
}

mx_slice_t mx_sync_devices_stock_locked(mx_sync_state_t *state, apr_int64_t device_nid, apr_pool_t *pool)
{
    const mx_sync_device_t *device = mx_nid_map_get(&state->devices, device_nid);

    return device && device->len ? mx_slice(apr_pmemdup(pool, device->stock, device->len), device->len) : MX_SLICE_NONE;
}

/* Reads the device's row of everything, and deletes what it has acknowledged. */
static apr_status_t read_state(mx_sync_device_state_t *row, mx_server_t *server, const mx_sync_ask_t *ask, apr_pool_t *pool)
{
    apr_int64_t device_nid = ask->who->device_nid;
    mx_conn_t *conn = NULL;
    apr_status_t rv = mx_store_borrow(&conn, server->store, pool);

    if (rv == APR_SUCCESS) rv = mx_store_sync_device_state(row, conn, device_nid, ask->acked, pool);
    mx_store_return(conn);
    if (rv == APR_SUCCESS && row->acked) rv = mx_store_to_device_ack(server->store, device_nid, ask->acked, pool);
    return rv;
}

/* What was read is kept if nothing happened meanwhile. */
static void learn(mx_sync_state_t *state, const mx_sync_ask_t *ask, apr_uint64_t version, mx_slice_t stock)
{
    mx_sync_device_t *device;

    apr_thread_mutex_lock(state->lock);
    device = mx_nid_map_get(&state->devices, ask->who->device_nid);
    if (device && device->version == version && stock.len <= STOCK_MAX_BYTES) {
        memcpy(device->stock, stock.p, stock.len);
        device->len = stock.len;
    }
    if (device && device->unacked && device->unacked <= ask->acked)
        device->unacked = device->last > ask->acked ? ask->acked + 1 : 0;
    apr_thread_mutex_unlock(state->lock);
}

/* *pversion 0: nothing is remembered of this device. */
static int must_read(apr_uint64_t *pversion, mx_sync_state_t *state, const mx_sync_ask_t *ask)
{
    mx_sync_device_t *device;
    int must;

    apr_thread_mutex_lock(state->lock);
    device = find_or_add(state, ask->who->device_nid);
    *pversion = device ? device->version : 0;
    must = device && (!device->len || (device->unacked && device->unacked <= ask->acked));
    apr_thread_mutex_unlock(state->lock);
    return must;
}

const mx_error_t *mx_sync_devices_settle(mx_server_t *server, const mx_sync_ask_t *ask, apr_pool_t *pool)
{
    mx_sync_device_state_t row = { 0 };
    apr_uint64_t version = 0;
    apr_status_t rv;

    if (!must_read(&version, server->sync, ask)) return NULL;
    rv = read_state(&row, server, ask, pool);
    if (rv != APR_SUCCESS) return mx_server_store_error(rv, "read what a device is told", pool);
    learn(server->sync, ask, version, stock_text(&row, pool));
    return NULL;
}

const mx_error_t *mx_sync_devices_stock(mx_slice_t *pstock, int *pmoved, mx_server_t *server, const mx_sync_ask_t *ask, apr_pool_t *pool)
{
    mx_sync_device_state_t row = { 0 };
    apr_uint64_t version = 0;
    apr_status_t rv;

    must_read(&version, server->sync, ask);
    rv = read_state(&row, server, ask, pool);
    if (rv != APR_SUCCESS) return mx_server_store_error(rv, "read what a device is told", pool);
    *pstock = stock_text(&row, pool);
    *pmoved = row.stock_stream > ask->since;
    if (version) learn(server->sync, ask, version, *pstock);
    return NULL;
}
