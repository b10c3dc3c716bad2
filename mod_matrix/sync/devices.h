/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What an answer tells the device that asks: messages to it, what is left of its keys, whose keys changed. And what a
 * child remembers of a device while the ring follows the stream, so that an answer needs no look into the database.
 */
#ifndef MX_SYNC_DEVICES_H
#define MX_SYNC_DEVICES_H

#include "store/sync_devices.h"
#include "sync/sync_private.h"

#define MX_SYNC_TO_DEVICE_MAX 100    /* messages in one answer; the answer's position goes no further than they do */

/* ---- devices.c ---- */

/** Acknowledges what the client's token says it has, and learns what is not known of its device: nothing to do for most requests. */
const mx_error_t *mx_sync_devices_settle(mx_server_t *server, const mx_sync_ask_t *ask, apr_pool_t *pool);
/** The two members of an answer about the device's own keys, without braces, as the ring's head has them; p NULL: not known.
    Under the lock. */
mx_slice_t mx_sync_devices_stock_locked(mx_sync_state_t *state, apr_int64_t device_nid, apr_pool_t *pool);
/** The same from the database, with all that happened up to now. *pmoved: it changed after ask->since. */
const mx_error_t *mx_sync_devices_stock(mx_slice_t *pstock, int *pmoved, mx_server_t *server, const mx_sync_ask_t *ask, apr_pool_t *pool);
/** New entries of the ring. Under the lock. */
void mx_sync_devices_tell_locked(mx_sync_state_t *state, const mx_sync_batch_t *batch);
/** Nothing is known any more. Under the lock. */
void mx_sync_devices_forget_locked(mx_sync_state_t *state);

/* ---- device_lists.c ---- */

struct mx_sync_full_t;
/** `changed` and `left` of the span of an answer whose rooms were found; *ptold: there is anything. */
const mx_error_t *mx_sync_device_lists_write(mx_json_writer_t *w, int *ptold, const struct mx_sync_full_t *full);
/** `to_device` of an answer. */
void mx_sync_write_to_device(mx_json_writer_t *w, const mx_to_device_row_t *rows, int n);

#endif
