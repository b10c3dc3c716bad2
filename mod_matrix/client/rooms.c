/* SPDX-License-Identifier: Apache-2.0 */
/* CS-API: GET /rooms/{roomId}/event/{eventId}, /rooms/{roomId}/members, /rooms/{roomId}/joined_members. */
#include "api/req.h"
#include "room/page.h"
#include "room/roster.h"
#include "room/view.h"

const mx_error_t *mx_client_get_one_room_event(mx_reply_t *reply, mx_req_t *req)
{
    mx_json_writer_t *w = mx_jw_create(req->pool);
    const char *room_id = NULL, *event_id = NULL;
    mx_room_reader_t *reader = NULL;
    mx_event_row_t *row = NULL;
    const mx_error_t *err = mx_param_room_id(&room_id, req, "roomId");

    if (!err) err = mx_param_event_id(&event_id, req, "eventId");
    if (!err) err = mx_room_reader_open_at(&reader, &row, req->server, req->who, room_id, event_id, req->pool);
    if (!err) err = mx_room_reader_check_ignored(reader, row, req->pool);
    if (!err) err = mx_room_view_write_all(w, req->server, req->who, row, 1, MX_FORMAT_CLIENT, req->now, req->pool);
    if (!err) mx_reply_writer(reply, w);
    return err;
}

/** One of the five words as a bit; 0 if the parameter is absent. */
static const mx_error_t *membership_bit(int *pbit, mx_req_t *req, const char *name)
{
    const char *text = mx_param_query(req, name);
    mx_membership_e membership = mx_membership_parse(text);

    if (text && membership == MX_MEMBERSHIP_NONE)
        return mx_error_make(req->pool, MX_E_INVALID_PARAM, "%s must be join, invite, knock, leave or ban.", name);
    *pbit = text ? 1 << membership : 0;
    return NULL;
}

/** The two parameters make an "or": the one, or not the other. */
static const mx_error_t *wanted_memberships(int *pbits, mx_req_t *req)
{
    int with = 0, without = 0;
    const mx_error_t *err = membership_bit(&with, req, "membership");

    if (!err) err = membership_bit(&without, req, "not_membership");
    if (!err) *pbits = (with ? with : 0) | (without ? ~without : 0);
    if (!err && !with && !without) *pbits = MX_ROOM_ROSTER_ALL;
    return err;
}

const mx_error_t *mx_client_get_members_by_room(mx_reply_t *reply, mx_req_t *req)
{
    mx_json_writer_t *w = mx_jw_create(req->pool);
    const char *room_id = NULL, *token = mx_param_query(req, "at");
    apr_int64_t at = MX_ROOM_ROSTER_NOW;
    mx_room_reader_t *reader = NULL;
    mx_event_row_t *rows = NULL;
    int bits = 0, n = 0;
    const mx_error_t *err = mx_param_room_id(&room_id, req, "roomId");

    if (!err) err = wanted_memberships(&bits, req);
    if (!err && token) err = mx_room_page_token_parse(&at, req->server, token, req->pool);
    if (!err) err = mx_room_reader_open(&reader, req->server, req->who, room_id, req->pool);
    if (!err) err = mx_room_roster_events(&rows, &n, reader, at, bits, req->pool);
    if (err)
        return err;
    mx_jw_object(w);
    mx_jw_key_array(w, "chunk");
    err = mx_room_view_write_plain(w, req->server, rows, n, MX_FORMAT_CLIENT, req->now, req->pool);
    mx_jw_end_array(w);
    mx_jw_end_object(w);
    if (!err) mx_reply_writer(reply, w);
    return err;
}

const mx_error_t *mx_client_get_joined_members_by_room(mx_reply_t *reply, mx_req_t *req)
{
    mx_json_writer_t *w = mx_jw_create(req->pool);
    const char *room_id = NULL;
    mx_room_reader_t *reader = NULL;
    const mx_error_t *err = mx_param_room_id(&room_id, req, "roomId");

    if (!err) err = mx_room_reader_open(&reader, req->server, req->who, room_id, req->pool);
    if (!err && reader->membership != MX_MEMBERSHIP_JOIN)
        err = mx_error_make(req->pool, MX_E_FORBIDDEN, "You are not a member of %s.", room_id);
    if (err)
        return err;
    mx_jw_object(w);
    mx_jw_key(w, "joined");
    err = mx_room_roster_write_joined(w, req->server, reader->room, req->pool);
    if (err)
        return err;
    mx_jw_end_object(w);
    mx_reply_writer(reply, w);
    return NULL;
}
