/* SPDX-License-Identifier: Apache-2.0 */
/* MSC4143: GET /rtc/transports, under org.matrix.msc4143. */
#include "api/req.h"

const mx_error_t *mx_client_get_rtc_transports(mx_reply_t *reply, mx_req_t *req)
{
    const char *transports = req->server->settings->rtc_transports;
    mx_json_writer_t *w = mx_jw_create(req->pool);

    mx_jw_object(w);
    /* glue/check.c has seen that it is an array of objects */
    mx_jw_key_raw(w, "rtc_transports", transports ? mx_slice_str(transports) : mx_slice_str("[]"));
    mx_jw_end_object(w);
    mx_reply_writer(reply, w);
    return NULL;
}
