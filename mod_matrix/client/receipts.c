/* SPDX-License-Identifier: Apache-2.0 */
/* CS-API: POST /rooms/{roomId}/receipt/{receiptType}/{eventId}. */
#include "api/req.h"
#include "sync/sync.h"

/* CS-API: whatever is wrong with it is M_INVALID_PARAM. */
static const mx_error_t *read_thread(const char **pthread, mx_req_t *req)
{
    const mx_json_t *value = mx_json_get(req->body, "thread_id");
    const char *thread = mx_json_str(value);

    if (value && (!thread || !*thread)) return mx_error_make(req->pool, MX_E_INVALID_PARAM, "thread_id must be a non-empty string.");
    *pthread = thread;
    return NULL;
}

const mx_error_t *mx_client_post_receipt(mx_reply_t *reply, mx_req_t *req)
{
    mx_sync_receipt_t receipt = { .type = mx_param_path(req, "receiptType") };
    const char *room_id = NULL;
    const mx_error_t *err = mx_param_room_id(&room_id, req, "roomId");

    if (!err) err = mx_param_event_id(&receipt.event_id, req, "eventId");
    if (!err) err = read_thread(&receipt.thread_id, req);
    return err ? err : mx_sync_receipts_put(req->server, req->who, room_id, &receipt, 1, req->pool);
}
