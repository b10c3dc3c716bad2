/* SPDX-License-Identifier: Apache-2.0 */
/* Receipt rows. */
#include "store/receipt.h"

MX_STMT(receipt_put, "llssbll",
        "insert into receipt (room_nid, user_nid, type, thread_id, event_id, nid, ts, stream)"
        " values ($1::int8, $2::int8, $3::text, $4::text, $5::bytea, $6::int8, $7::int8, stream_next())"
        " on conflict (room_nid, user_nid, type, thread_id) do update set event_id = excluded.event_id, nid = excluded.nid,"
        " ts = excluded.ts, data = null, stream = excluded.stream");

apr_status_t mx_store_receipt_put(mx_store_t *store, const mx_receipt_t *r, apr_pool_t *pool)
{
    return mx_store_run(NULL, store, pool, &receipt_put, r->room_nid, r->user_nid, r->type, r->thread_id, r->event_id, r->nid, r->ts);
}
