/* SPDX-License-Identifier: Apache-2.0 */
/* CS-API: POST /rooms/{roomId}/read_markers. */
#include "api/req.h"
#include "sync/sync.h"

const mx_error_t *mx_client_set_read_marker(mx_reply_t *reply, mx_req_t *req)
{
    static const char *const types[] = { "m.fully_read", "m.read", "m.read.private" };
    mx_sync_receipt_t receipts[sizeof(types) / sizeof(types[0])];
    const char *room_id = NULL, *event_id = NULL;
    const mx_error_t *err = mx_param_room_id(&room_id, req, "roomId");
    int i, n = 0;

    for (i = 0; !err && i < (int)(sizeof(types) / sizeof(types[0])); i++) {
        err = mx_param_body_str(&event_id, req, req->body, types[i], NULL);
        if (!err && event_id) receipts[n++] = (mx_sync_receipt_t){ types[i], event_id, NULL };
    }
    return err ? err : mx_sync_receipts_put(req->server, req->who, room_id, receipts, n, req->pool);
}
