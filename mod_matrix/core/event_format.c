/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The client form of stored events. CS-API: room event format, stripped state. The hottest code of the project: one pass
 * over the bytes, no allocation but the buffer's own. Members are an allow list: what a stranger put into a PDU beside
 * them is not told to clients.
 */
#include "core/event_private.h"
#include "core/sticky.h"

/** Raw values of the members that clients see; len 0 if absent. */
typedef struct client_fields_t {
    mx_slice_t content, origin_server_ts, redacts, sender, state_key, sticky, type;
} client_fields_t;

static mx_slice_t *field_slot(client_fields_t *f, const char *key, apr_size_t len)
{
    switch (len) {
    case 4:
        return memcmp(key, "type", 4) == 0 ? &f->type : NULL;
    case 6:
        return memcmp(key, "sender", 6) == 0 ? &f->sender : NULL;
    case 7:
        return memcmp(key, "content", 7) == 0 ? &f->content : memcmp(key, "redacts", 7) == 0 ? &f->redacts : NULL;
    case 9:
        return memcmp(key, "state_key", 9) == 0 ? &f->state_key : NULL;
    case sizeof(MX_STICKY_KEY) - 1:
        return memcmp(key, MX_STICKY_KEY, sizeof(MX_STICKY_KEY) - 1) == 0 ? &f->sticky : NULL;
    case 16:
        return memcmp(key, "origin_server_ts", 16) == 0 ? &f->origin_server_ts : NULL;
    default:
        return NULL;
    }
}

/** The text is canonical: no white space to skip. */
static void find_fields(client_fields_t *f, mx_slice_t pdu)
{
    const char *p = pdu.p + 1, *end = pdu.p + pdu.len;
    memset(f, 0, sizeof(*f));
    while (p < end && *p == '"') {
        const char *key = p + 1, *value = mx_json_scan_skip(p, end) + 1, *after = mx_json_scan_skip(value, end);
        mx_slice_t *slot = field_slot(f, key, (apr_size_t)(value - key) - 2);
        if (slot)
            *slot = mx_slice(value, (apr_size_t)(after - value));
        p = after + 1;
    }
}

mx_slice_t mx_event_find_member(mx_slice_t object, mx_slice_t name)
{
    const char *p = object.p + 1, *end = object.p + object.len;
    while (p < end && *p == '"') {
        const char *key = p + 1, *value = mx_json_scan_skip(p, end) + 1, *after = mx_json_scan_skip(value, end);
        if (mx_slice_eq(mx_slice(key, (apr_size_t)(value - key) - 2), name))
            return mx_slice(value, (apr_size_t)(after - value));
        p = after + 1;
    }
    return MX_SLICE_NONE;
}

#define PUT(b, literal) mx_buf_append((b), (literal), sizeof(literal) - 1)

static void put_slice(mx_buf_t *b, mx_slice_t s)
{
    mx_buf_append(b, s.p, s.len);
}

/**
 * Rooms v11: redactions are served with `redacts` both on top and in the content, whichever of them the PDU has.
 * Returns what to write on top; *pinner is what the content lacks.
 */
static mx_slice_t both_redacts(mx_slice_t *pinner, const client_fields_t *f)
{
    mx_slice_t inner = mx_event_find_member(f->content, MX_SLICE_LIT("redacts"));
    *pinner = MX_SLICE_NONE;
    if (f->redacts.len) {
        if (!inner.len)
            *pinner = f->redacts;
        return f->redacts;
    }
    return inner.len && *inner.p == '"' ? inner : MX_SLICE_NONE;
}

static void put_content(mx_buf_t *b, const client_fields_t *f, mx_slice_t redacts)
{
    PUT(b, "\"content\":");
    if (!redacts.len) {
        put_slice(b, f->content);
        return;
    }
    put_slice(b, mx_slice(f->content.p, f->content.len - 1));
    if (f->content.len > 2)
        mx_buf_append_char(b, ',');
    PUT(b, "\"redacts\":");
    put_slice(b, redacts);
    mx_buf_append_char(b, '}');
}

static int unsigned_is_empty(const mx_event_unsigned_t *u)
{
    return !u
           || (u->age_ms < 0 && !u->transaction_id && !u->delay_id && !u->membership && !u->prev_content.len && !u->prev_sender
               && !u->replaces_state && !u->redacted_because.len && !u->relations.len);
}

/** `ttl_ms`: so much longer it is sticky. */
static void write_unsigned(mx_json_writer_t *w, const mx_event_unsigned_t *u, apr_int64_t ttl_ms)
{
    mx_jw_object(w);
    if (u->age_ms >= 0)
        mx_jw_key_int(w, "age", u->age_ms);
    if (u->relations.len)
        mx_jw_key_raw(w, "m.relations", u->relations);
    if (u->membership)
        mx_jw_key_str(w, "membership", u->membership);
    if (ttl_ms > 0)
        mx_jw_key_int(w, MX_STICKY_TTL, ttl_ms);
    if (u->delay_id)
        mx_jw_key_str(w, MX_EVENT_DELAY_ID, u->delay_id);
    if (u->prev_content.len)
        mx_jw_key_raw(w, "prev_content", u->prev_content);
    if (u->prev_sender)
        mx_jw_key_str(w, "prev_sender", u->prev_sender);
    if (u->redacted_because.len)
        mx_jw_key_raw(w, "redacted_because", u->redacted_because);
    if (u->replaces_state)
        mx_jw_key_str(w, "replaces_state", u->replaces_state);
    if (u->transaction_id)
        mx_jw_key_str(w, "transaction_id", u->transaction_id);
    mx_jw_end_object(w);
}

/** `sticky`: the event's member of that name. */
static void put_unsigned(mx_json_writer_t *w, const mx_event_unsigned_t *uns, mx_slice_t sticky)
{
    if (unsigned_is_empty(uns))
        return;
    PUT(w->buf, ",\"unsigned\":");
    w->after_key = 1;
    write_unsigned(w, uns, sticky.len && uns->age_ms >= 0 ? mx_sticky_duration(sticky) - uns->age_ms : 0);
}

/** The PDU as it is, and `unsigned`. */
static void write_federation(mx_json_writer_t *w, mx_slice_t pdu, const mx_event_unsigned_t *uns)
{
    mx_jw_raw(w, pdu.p, pdu.len - 1);
    put_unsigned(w, uns, MX_SLICE_NONE);
    mx_buf_append_char(w->buf, '}');
}

static void put_ids(mx_buf_t *b, const char *event_id, const char *room_id)
{
    if (event_id) {
        PUT(b, ",\"event_id\":");
        mx_jw_escape(b, event_id, strlen(event_id));
    }
    if (room_id) {
        PUT(b, ",\"room_id\":");
        mx_jw_escape(b, room_id, strlen(room_id));
    }
}

void mx_event_write_raw(mx_json_writer_t *w, mx_slice_t pdu, const char *event_id, const char *room_id,
                        mx_event_format_e format, const mx_event_unsigned_t *uns)
{
    client_fields_t f;
    mx_slice_t redacts = MX_SLICE_NONE, inner = MX_SLICE_NONE;
    mx_buf_t *b = w->buf;
    if (format == MX_FORMAT_FEDERATION) {
        write_federation(w, pdu, uns);
        return;
    }
    find_fields(&f, pdu);
    if (mx_slice_is(f.type, "\"m.room.redaction\""))
        redacts = both_redacts(&inner, &f);
    mx_buf_reserve(b, pdu.len);
    mx_jw_object(w);
    put_content(b, &f, inner);
    if (format != MX_FORMAT_STRIPPED) {
        put_ids(b, event_id, format == MX_FORMAT_SYNC ? NULL : room_id);
        if (f.sticky.len && mx_sticky_duration(f.sticky) >= 0) {
            PUT(b, ",\"" MX_STICKY_KEY "\":");
            put_slice(b, f.sticky);
        }
        PUT(b, ",\"origin_server_ts\":");
        put_slice(b, f.origin_server_ts);
        if (redacts.len) {
            PUT(b, ",\"redacts\":");
            put_slice(b, redacts);
        }
    }
    PUT(b, ",\"sender\":");
    put_slice(b, f.sender);
    if (f.state_key.len) {
        PUT(b, ",\"state_key\":");
        put_slice(b, f.state_key);
    }
    PUT(b, ",\"type\":");
    put_slice(b, f.type);
    if (format != MX_FORMAT_STRIPPED)
        put_unsigned(w, uns, f.sticky);
    mx_jw_end_object(w);
}

void mx_event_write(mx_json_writer_t *w, const mx_event_t *event, mx_event_format_e format, const mx_event_unsigned_t *uns)
{
    mx_event_write_raw(w, event->pdu, event->event_id, event->room_id, format, uns);
}
