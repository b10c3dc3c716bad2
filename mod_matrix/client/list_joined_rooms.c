/* SPDX-License-Identifier: Apache-2.0 */
/* CS-API: GET /joined_rooms. */
#include "api/req.h"
#include "room/roster.h"

const mx_error_t *mx_client_get_joined_rooms(mx_reply_t *reply, mx_req_t *req)
{
    mx_json_writer_t *w = mx_jw_create(req->pool);
    const char **ids = NULL;
    int i, n = 0;
    const mx_error_t *err = mx_room_roster_rooms(&ids, &n, req->server, req->who->user_nid, req->pool);

    if (err)
        return err;
    mx_jw_object(w);
    mx_jw_key_array(w, "joined_rooms");
    for (i = 0; i < n; i++)
        mx_jw_str(w, ids[i]);
    mx_jw_end_array(w);
    mx_jw_end_object(w);
    mx_reply_writer(reply, w);
    return NULL;
}
