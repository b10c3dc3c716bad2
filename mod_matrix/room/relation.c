/* SPDX-License-Identifier: Apache-2.0 */
/* Children of an event, and what may become one. CS-API: relationships API. */
#include "room/relation.h"

#include "core/ident.h"
#include "room/accept_private.h"
#include "store/event_id.h"
#include "user/push_settings.h"

const mx_error_t *mx_room_relation_page(mx_room_page_t *out, mx_server_t *server, const mx_who_t *who, const mx_room_relation_ask_t *ask,
                                        apr_pool_t *pool)
{
    mx_store_relation_ask_t relation = { .parent = mx_store_event_id_pack(ask->event_id, pool), .rel_type = ask->rel_type,
                                         .type = ask->type, .recurse = ask->recurse };
    mx_room_page_ask_t page = { .dir = ask->dir, .from = ask->from, .to = ask->to, .limit = ask->limit, .relation = &relation };
    apr_int64_t *ignored = NULL;
    mx_room_reader_t *reader = NULL;
    mx_event_row_t *row = NULL;
    const mx_error_t *err = mx_room_reader_open_at(&reader, &row, server, who, ask->room_id, ask->event_id, pool);

    if (!err && who)
        err = mx_user_push_settings_ignored(&ignored, &relation.nignored, server, who, pool);
    if (err)
        return err;
    relation.ignored = ignored;
    page.reader = reader;
    return mx_room_page_read(out, server, &page, pool);
}

const mx_error_t *mx_room_relation_check(mx_server_t *server, const mx_who_t *who, const char *room_id, const mx_room_draft_t *draft,
                                         apr_pool_t *pool)
{
    const mx_json_t *relates = mx_json_get(draft->content, "m.relates_to");
    const char *parent = mx_json_get_str(relates, "event_id");
    mx_store_relation_draft_t asked = { .type = draft->type, .rel_type = mx_json_get_str(relates, "rel_type"),
                                        .key = mx_json_get_str(relates, "key"), .user_nid = who->user_nid,
                                        .device_nid = draft->device_nid, .txn_id = draft->txn_id };
    mx_store_relation_fault_e fault = MX_STORE_RELATION_GOOD;
    mx_membership_e membership = MX_MEMBERSHIP_NONE;
    mx_room_t *room = NULL;
    const mx_error_t *err;
    apr_status_t rv;

    if (!parent || !mx_ident_is_event_id(parent) || (!mx_str_eq(asked.rel_type, "m.thread") && !mx_str_eq(asked.rel_type, "m.annotation")))
        return NULL;
    err = mx_room_get(&room, server, room_id, 0, pool);
    if (!err)
        err = mx_room_membership(&membership, server, room, draft->sender, pool);
    if (err || membership != MX_MEMBERSHIP_JOIN)     /* who may not send is told that, and nothing of what is there */
        return err && err->code != MX_E_NOT_FOUND ? err : NULL;
    asked.room_nid = room->nid;
    asked.txn_scope = mx_room_accept_txn_scope(room->nid, draft->txn_scope, pool);
    asked.parent = mx_store_event_id_pack(parent, pool);
    rv = mx_store_relation_fault(&fault, server->store, &asked, pool);
    if (rv != APR_SUCCESS)
        return mx_server_store_error(rv, "looking at what an event relates to", pool);
    if (fault == MX_STORE_RELATION_NESTED)
        return mx_error_make_status(pool, MX_E_UNKNOWN, 400, "A thread cannot begin with an event that relates to another one.");
    if (fault == MX_STORE_RELATION_TWICE)
        return mx_error_make(pool, MX_E_DUPLICATE_ANNOTATION, "You have annotated that event with this key already.");
    return NULL;
}
