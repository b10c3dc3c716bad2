/* SPDX-License-Identifier: Apache-2.0 */
/* Shared by persist.c (one room) and persist_many.c (several): events as columns, what the database's functions answer. */
#ifndef MX_STORE_PERSIST_PRIVATE_H
#define MX_STORE_PERSIST_PRIVATE_H

#include "store/persist.h"
#include "store/pg_private.h"

/** What every event has, column by column. */
typedef struct mx_persist_columns_t {
    mx_slice_t *id, *pdu;
    apr_int64_t *ts, *depth, *sender, *device;
    int *type;
    const char **txn, **scope;
    int n, max;
    int ntxn;                        /* 0: no event has a transaction id, and the three columns of them stay empty; else max */
} mx_persist_columns_t;

/** Empty columns for `max` events. */
void mx_store_persist_columns(mx_persist_columns_t *c, int max, apr_pool_t *pool);
/** Appends the batch's events; bodies are packed. */
void mx_store_persist_columns_add(mx_persist_columns_t *c, mx_store_t *store, const mx_persist_batch_t *batch, apr_pool_t *pool);

/** The columns of type `persisted`, from p, in the order in which they are read. */
#define MX_PERSIST_RESULT                                                                                               \
    "p.status, p.room_nid, p.ver, p.snap_nid, p.depth, p.heads, p.head_ids, p.joined, p.invited, p.state_redacted, p.nids, p.snaps," \
    " p.known_at, p.known_id"

/** Bytes point into the rows. */
mx_persist_result_t *mx_store_persist_read(const mx_rows_t *rows, int row, apr_pool_t *pool);

#endif
