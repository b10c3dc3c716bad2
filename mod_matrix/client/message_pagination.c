/* SPDX-License-Identifier: Apache-2.0 */
/* CS-API: GET /rooms/{roomId}/messages. */
#include "api/event_filter.h"
#include "api/paging.h"
#include "room/view.h"

/** Events in an answer when the client names no number. */
#define MESSAGES_LIMIT_DEFAULT 10

/** Everything but the room. */
static const mx_error_t *read_ask(mx_room_page_ask_t *ask, mx_event_filter_t **pfilter, mx_req_t *req)
{
    int max = req->server->settings->timeline_max;
    const mx_error_t *err = mx_api_paging_dir(&ask->dir, req, NULL);

    if (!err) err = mx_api_paging_range(&ask->from, &ask->to, req, ask->dir);
    if (!err) err = mx_api_event_filter(pfilter, req);
    if (!err)
        err = mx_param_limit(&ask->limit, req,
                             *pfilter && (*pfilter)->limit > 0 ? (*pfilter)->limit : MESSAGES_LIMIT_DEFAULT, max);
    if (!err && ask->limit > max) ask->limit = max;
    if (!err) ask->filter = *pfilter;
    return err;
}

/** The members who sent something of the page, as they were at its newest event. */
static const mx_error_t *write_state(mx_json_writer_t *w, mx_req_t *req, const mx_room_page_ask_t *ask,
                                     const mx_room_page_t *page)
{
    const mx_event_row_t *newest = page->n ? &page->rows[ask->dir == MX_DIR_BACKWARD ? 0 : page->n - 1] : NULL;
    apr_int64_t snap_nid = newest ? (newest->snap_after ? newest->snap_after : newest->snap_nid) : 0;
    mx_event_row_t *members = NULL;
    int n = 0;
    const mx_error_t *err = mx_room_page_members(&members, &n, req->server, snap_nid, page->rows, page->n, req->pool);

    if (err)
        return err;
    mx_jw_key_array(w, "state");
    err = mx_room_view_write_all(w, req->server, req->who, members, n, MX_FORMAT_CLIENT, req->now, req->pool);
    mx_jw_end_array(w);
    return err;
}

static const mx_error_t *write_page(mx_json_writer_t *w, mx_req_t *req, const mx_room_page_ask_t *ask,
                                    const mx_room_page_t *page)
{
    const char *from = mx_param_query(req, "from");
    const mx_error_t *err;

    mx_jw_object(w);
    mx_jw_key_str(w, "start", from ? from : mx_room_page_token(page->start, req->pool));
    if (page->more)
        mx_jw_key_str(w, "end", mx_room_page_token(page->end, req->pool));
    mx_jw_key_array(w, "chunk");
    err = mx_room_view_write_all(w, req->server, req->who, page->rows, page->n, MX_FORMAT_CLIENT, req->now, req->pool);
    mx_jw_end_array(w);
    if (!err && ask->filter && ask->filter->lazy_load_members)
        err = write_state(w, req, ask, page);
    mx_jw_end_object(w);
    return err;
}

const mx_error_t *mx_client_get_room_events(mx_reply_t *reply, mx_req_t *req)
{
    mx_json_writer_t *w = mx_jw_create(req->pool);
    const char *room_id = NULL;
    mx_room_page_ask_t ask = { .dir = MX_DIR_BACKWARD };
    mx_event_filter_t *filter = NULL;
    mx_room_reader_t *reader = NULL;
    mx_room_page_t page;
    const mx_error_t *err = mx_param_room_id(&room_id, req, "roomId");

    if (!err) err = read_ask(&ask, &filter, req);
    if (!err) err = mx_room_reader_open(&reader, req->server, req->who, room_id, req->pool);
    ask.reader = reader;
    if (!err) err = mx_room_page_read(&page, req->server, &ask, req->pool);
    if (!err) err = write_page(w, req, &ask, &page);
    if (!err) mx_reply_writer(reply, w);
    return err;
}
