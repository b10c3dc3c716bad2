/* SPDX-License-Identifier: Apache-2.0 */
/* One event by itself: is its body what was hashed and signed, and do the columns say what the body says? */
#include "tools/doctor.h"

#include "core/event_sign.h"
#include "core/ident.h"
#include "store/event_id.h"

#define ADD(check, ...) mx_doctor_report_add(room->report, MX_DOCTOR_##check, event_id, __VA_ARGS__)

mx_event_t *mx_doctor_event_read(mx_doctor_room_t *room, const mx_doctor_row_t *row, const char *event_id)
{
    mx_event_t *event = NULL;
    const mx_error_t *err;
    if (!row->event.pdu.len) {
        ADD(BODY, "the body cannot be unpacked: what is stored is damaged.");
        return NULL;
    }
    err = mx_event_parse_foreign(&event, room->version, row->event.pdu, room->chunk);
    if (err) {
        ADD(BODY, "the body is no event of this room version: %s", err->message);
        return NULL;
    }
    if (!mx_slice_eq(event->pdu, row->event.pdu))
        ADD(BODY, "the body is no canonical JSON.");
    return event;
}

static int is_redacted_form(mx_doctor_room_t *room, const mx_event_t *event)
{
    return mx_slice_eq(mx_event_redact(room->version, event->pdu, room->chunk), event->pdu);
}

/**
 * Rooms: event ids; SS-API: content hash. A redacted event keeps its id, but not what the content hash was made of; what came with a
 * wrong hash is kept as if it was redacted. Of both, id and signatures cover all that is left.
 */
static void check_hashes(mx_doctor_room_t *room, const mx_doctor_row_t *row, const mx_event_t *event, const char *event_id)
{
    if (!mx_str_eq(event->event_id, event_id))
        ADD(EVENT_ID, "the body belongs to the id %s.", event->event_id);
    if (mx_event_content_hash_ok(event))
        return;
    if (is_redacted_form(room, event))
        room->report->unchecked[MX_DOCTOR_REDACTED_HASH]++;
    else
        ADD(CONTENT_HASH, "the content is not what its hash was made of.");
}

static void check_text(mx_doctor_room_t *room, const char *event_id, const char *what, const char *column, const char *body)
{
    if (!mx_str_eq(column, body))
        ADD(COLUMNS, "the column of its %s says %s, the body says %s.", what, column ? column : "nothing", body ? body : "nothing");
}

static void check_number(mx_doctor_room_t *room, const char *event_id, const char *what, apr_int64_t column, apr_int64_t body)
{
    if (column != body)
        ADD(COLUMNS, "the column of its %s says %" APR_INT64_T_FMT ", the body says %" APR_INT64_T_FMT ".", what, column, body);
}

static int is_timeline(const mx_doctor_row_t *row)
{
    return !(row->event.flags & MX_EVENT_APART);
}

static void check_columns(mx_doctor_room_t *room, const mx_doctor_row_t *row, const mx_event_t *event, const char *event_id)
{
    check_text(room, event_id, "type", row->type, event->type);
    check_text(room, event_id, "sender", row->sender, event->sender);
    check_text(room, event_id, "room", room->row->room_id, event->room_id);
    check_number(room, event_id, "depth", row->event.depth, event->depth);
    check_number(room, event_id, "origin_server_ts", row->event.ts, event->origin_server_ts);
    if (row->has_state || event->state_key)
        check_text(room, event_id, "state key", row->state_key, event->state_key);
    if (row->has_state && event->state_key)
        check_text(room, event_id, "state's type", row->state_type, event->type);
    if (row->has_state && row->state_room_nid != row->event.room_nid)
        ADD(COLUMNS, "its row in state_event is of another room.");
    /* one that was an outlier first has a later place than its number */
    if (row->has_ord && is_timeline(row) && row->event.ord > 0 && row->event.ord < row->event.nid)
        ADD(COLUMNS, "its place in the timeline is %" APR_INT64_T_FMT ", before its number %" APR_INT64_T_FMT ".", row->event.ord,
            row->event.nid);
}

static void check_flag(mx_doctor_room_t *room, const mx_doctor_row_t *row, const char *event_id, int flag, int must, const char *words)
{
    int is = (row->event.flags & flag) != 0;
    if (is != must)
        ADD(FLAGS, "it is %smarked as %s.", is ? "" : "not ", words);
}

static void check_flags(mx_doctor_room_t *room, const mx_doctor_row_t *row, const mx_event_t *event, const char *event_id)
{
    int flags = row->event.flags;
    check_flag(room, row, event_id, MX_EVENT_FLAG_STATE, event->state_key != NULL, "a state event");
    /* Not the other way round: an event of ours that we lost may have come back from another server. */
    if (room->d->server_name && (flags & MX_EVENT_FLAG_LOCAL) && !mx_ident_is_local(event->sender, room->d->server_name))
        ADD(FLAGS, "it is marked as sent by this server, and its sender is of another.");
    if ((flags & MX_EVENT_FLAG_OUTLIER) && row->event.snap_nid)
        ADD(FLAGS, "it is marked as an outlier and has a state before it.");
    if ((flags & MX_EVENT_FLAG_OUTLIER) && row->has_ord && row->event.ord)
        ADD(FLAGS, "it is marked as an outlier and has a place in the timeline.");
    if (is_timeline(row) && !row->event.snap_nid && event->nprev)
        ADD(FLAGS, "it has no state before it and is not marked as an outlier.");
}

/** Which event does a redaction redact? In its stored, canonical bytes. */
static const char *redacts_of(mx_doctor_room_t *room, mx_slice_t packed)
{
    mx_event_row_t *rows;
    mx_event_t *event;
    int n = 0;
    room->rv = mx_store_doctor_by_ids(&rows, &n, room->d->store, &packed, 1, room->chunk);
    if (room->rv != APR_SUCCESS || !n ||
        mx_event_parse(&event, room->version, rows->pdu, mx_store_event_id_unpack(packed, room->chunk), room->chunk) != NULL)
        return NULL;
    return strcmp(event->type, "m.room.redaction") == 0 ? event->redacts : NULL;
}

static void check_redaction(mx_doctor_room_t *room, const mx_doctor_row_t *row, const mx_event_t *event, const char *event_id)
{
    int redacted = (row->event.flags & MX_EVENT_FLAG_REDACTED) != 0;
    if (redacted && !is_redacted_form(room, event))
        ADD(REDACTION, "it is marked as redacted, and its body is not the redacted form.");
    if (!row->event.redacted_by)
        return;
    if (!redacted)
        ADD(REDACTION, "a redaction of it is stored, and it is not marked as redacted.");
    if (!row->redacted_by_id.p)
        ADD(REDACTION, "the redaction that it is said to be redacted by does not exist.");
    else if (!mx_str_eq(redacts_of(room, row->redacted_by_id), event_id) && room->rv == APR_SUCCESS)
        ADD(REDACTION, "it is said to be redacted by %s, which does not redact it.",
            mx_store_event_id_unpack(row->redacted_by_id, room->chunk));
}

/** 1 good, 0 bad, -1 no key of those is known. */
static int verify(mx_doctor_room_t *room, const mx_event_t *event, const char *server, const char **key_ids, int n)
{
    const apr_array_header_t *keys = room->d->keys;
    int i, k, outcome = -1;
    for (i = 0; i < n; i++) {
        for (k = 0; k < keys->nelts; k++) {
            const mx_doctor_key_t *key = &APR_ARRAY_IDX(keys, k, mx_doctor_key_t);
            if (strcmp(key->server, server) != 0 || strcmp(key->key_id, key_ids[i]) != 0)
                continue;
            outcome = mx_event_verify(event, server, key->key_id, key->public_key);
            if (outcome)
                return 1;
        }
    }
    return outcome;
}

/** SS-API: validating hashes and signatures on received events. One good signature of each server that must have signed. */
static void check_signatures(mx_doctor_room_t *room, const mx_event_t *event, const char *event_id)
{
    const char *servers[MX_EVENT_SIGNERS_MAX], **key_ids;
    int i, n = mx_event_signers(servers, event), nkeys;
    for (i = 0; i < n; i++) {
        nkeys = mx_event_signature_keys(&key_ids, event, servers[i], room->chunk);
        if (!nkeys) {
            ADD(SIGNATURE, "it carries no signature of %s.", servers[i]);
            continue;
        }
        switch (verify(room, event, servers[i], key_ids, nkeys)) {
        case 0: ADD(SIGNATURE, "the signature of %s is not good.", servers[i]); break;
        case -1: room->report->unchecked[MX_DOCTOR_NO_KEY]++; break;
        default: break;
        }
    }
}

void mx_doctor_event_check(mx_doctor_room_t *room, const mx_doctor_row_t *row, mx_event_t *event, const char *event_id)
{
    check_hashes(room, row, event, event_id);
    check_columns(room, row, event, event_id);
    check_flags(room, row, event, event_id);
    check_redaction(room, row, event, event_id);
    check_signatures(room, event, event_id);
}
