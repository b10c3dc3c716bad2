/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Redactions of other servers, before or after what they redact. Rooms v3: handling redactions. Both ways round the later of the
 * two carries it out, in the transaction that stores it; the room's version keeps two from passing each other.
 */
#include "room/accept_pdu_private.h"

#include "core/ident.h"
#include "store/event_id.h"
#include "store/redaction.h"

/** By the state before the redaction: whoever has the redact level, or is of the server of the event's sender. */
static const mx_error_t *may_redact(int *pmay, mx_room_receiving_t *r, const char *redactor, apr_int64_t before, const char *sender)
{
    mx_room_current_t create, levels;
    const mx_error_t *err;
    mx_power_t *power;
    *pmay = 1;
    if (r->event->version->event_id == MX_EVENT_ID_SERVER)       /* versions 1 and 2: its auth rules have said so */
        return NULL;
    if (mx_str_eq(mx_ident_server(sender), mx_ident_server(redactor)))
        return NULL;
    err = mx_room_accept_find(&create, r, before, "m.room.create", "");
    if (!err)
        err = mx_room_accept_find(&levels, r, before, "m.room.power_levels", "");
    *pmay = 0;
    if (err || !create.event)
        return err;
    power = mx_power_create(create.event, levels.event, r->pool);
    *pmay = mx_power_user(power, redactor) >= mx_power_action(power, MX_POWER_REDACT);
    return NULL;
}

static const mx_error_t *user_of(const char **pid, mx_room_receiving_t *r, apr_int64_t user_nid)
{
    apr_status_t rv = mx_server_user_id(pid, r->server, user_nid, r->pool);
    return rv == APR_SUCCESS ? NULL : mx_server_store_error(rv, "reading a user id", r->pool);
}

const mx_error_t *mx_room_accept_redacts(mx_persist_batch_t *batch, mx_room_receiving_t *r)
{
    mx_persist_redaction_t *redaction;
    mx_event_row_t *target;
    const mx_error_t *err;
    const char *sender;
    int may = 0;
    apr_status_t rv = mx_store_event_by_id(&target, r->server->store, r->event->redacts, r->pool);
    if (rv == MX_STORE_NONE)
        batch->redaction_waits = mx_store_event_id_pack(r->event->redacts, r->pool);
    if (rv == MX_STORE_NONE || (rv == APR_SUCCESS && (target->room_nid != r->room->nid || target->redacted_by)))
        return NULL;
    err = rv != APR_SUCCESS ? mx_server_store_error(rv, "reading the event to redact", r->pool) : user_of(&sender, r, target->sender_nid);
    if (!err)
        err = may_redact(&may, r, r->event->sender, r->before, sender);
    if (err || !may)
        return err;
    redaction = apr_pcalloc(r->pool, sizeof(*redaction));
    redaction->nid = target->nid;
    redaction->pdu = mx_event_redact(r->event->version, target->pdu, r->pool);
    redaction->by = -1;
    batch->redactions = redaction;
    batch->nredactions = 1;
    return NULL;
}

const mx_error_t *mx_room_accept_redacted(mx_persist_batch_t *batch, mx_room_receiving_t *r)
{
    mx_persist_event_t *row = &batch->events[0];
    const mx_error_t *err = NULL;
    mx_event_row_t *waiting;
    int i, n, may = 0;
    apr_status_t rv = mx_store_redaction_waiting(&waiting, &n, r->server->store, r->room->nid, row->id, r->pool);
    if (rv != APR_SUCCESS)
        return mx_server_store_error(rv, "looking for redactions that wait", r->pool);
    batch->redaction_ends = n > 0;
    for (i = 0; !err && !may && i < n; i++) {
        const char *redactor;
        err = user_of(&redactor, r, waiting[i].sender_nid);
        if (!err)
            err = may_redact(&may, r, redactor, waiting[i].snap_nid, r->event->sender);
    }
    if (err || !may)
        return err;
    batch->redacted_by = waiting[i - 1].nid;
    row->pdu = mx_event_redact(r->event->version, row->pdu, r->pool);
    row->flags |= MX_EVENT_FLAG_REDACTED;
    return NULL;
}
