/* SPDX-License-Identifier: Apache-2.0 */
/* Redaction: which keys of an event survive, as tables. Rooms: redactions. Works on slices; nothing is parsed twice. */
#include "core/event_private.h"

#include <stddef.h>

/** A condition on the room version under which a key survives. */
typedef enum { ALWAYS, OLD_ONLY, ALIASES, RESTRICTED, AUTHORISED, UPDATED } when_e;

typedef struct keep_t {
    const char *type;                /* event type; NULL in the table of top-level keys */
    const char *key;                 /* NULL: all keys */
    when_e when;
} keep_t;

static const keep_t keep_top[] = {
    { NULL, "auth_events", ALWAYS },
    { NULL, "content", ALWAYS },
    { NULL, "depth", ALWAYS },
    { NULL, "event_id", ALWAYS },
    { NULL, "hashes", ALWAYS },
    { NULL, "membership", OLD_ONLY },
    { NULL, "origin", OLD_ONLY },
    { NULL, "origin_server_ts", ALWAYS },
    { NULL, "prev_events", ALWAYS },
    { NULL, "prev_state", OLD_ONLY },
    { NULL, "room_id", ALWAYS },
    { NULL, "sender", ALWAYS },
    { NULL, "signatures", ALWAYS },
    { NULL, "state_key", ALWAYS },
    { NULL, "type", ALWAYS },
};

static const keep_t keep_content[] = {
    { "m.room.aliases", "aliases", ALIASES },
    { "m.room.create", "creator", OLD_ONLY },
    { "m.room.create", NULL, UPDATED },
    { "m.room.history_visibility", "history_visibility", ALWAYS },
    { "m.room.join_rules", "allow", RESTRICTED },
    { "m.room.join_rules", "join_rule", ALWAYS },
    { "m.room.member", "join_authorised_via_users_server", AUTHORISED },
    { "m.room.member", "membership", ALWAYS },
    { "m.room.member", "third_party_invite", UPDATED },        /* only its `signed`: put_content_value() */
    { "m.room.power_levels", "ban", ALWAYS },
    { "m.room.power_levels", "events", ALWAYS },
    { "m.room.power_levels", "events_default", ALWAYS },
    { "m.room.power_levels", "invite", UPDATED },
    { "m.room.power_levels", "kick", ALWAYS },
    { "m.room.power_levels", "redact", ALWAYS },
    { "m.room.power_levels", "state_default", ALWAYS },
    { "m.room.power_levels", "users", ALWAYS },
    { "m.room.power_levels", "users_default", ALWAYS },
    { "m.room.redaction", "redacts", UPDATED },
};

#define COUNT(table) (sizeof(table) / sizeof((table)[0]))

static int version_keeps(const mx_room_version_t *v, when_e when)
{
    switch (when) {
    case OLD_ONLY:
        return !v->updated_redaction;
    case ALIASES:
        return v->special_aliases_auth;
    case RESTRICTED:
        return v->restricted_join;
    case AUTHORISED:
        return v->redact_keeps_join_authorised;
    case UPDATED:
        return v->updated_redaction;
    default:
        return 1;
    }
}

static int keeps_top(const mx_room_version_t *v, mx_slice_t key)
{
    apr_size_t i;
    for (i = 0; i < COUNT(keep_top); i++) {
        if (mx_slice_is(key, keep_top[i].key))
            return version_keeps(v, keep_top[i].when);
    }
    return 0;
}

static int keeps_content(const mx_room_version_t *v, mx_slice_t type, mx_slice_t key)
{
    apr_size_t i;
    for (i = 0; i < COUNT(keep_content); i++) {
        const keep_t *row = &keep_content[i];
        if (mx_slice_is(type, row->type) && version_keeps(v, row->when) && (!row->key || mx_slice_is(key, row->key)))
            return 1;
    }
    return 0;
}

static char *put(char *q, mx_slice_t text)
{
    if (text.len)
        memcpy(q, text.p, text.len);
    return q + text.len;
}

char *mx_event_put_key(char *q, const char *first, mx_slice_t key)
{
    if (q != first)
        *q++ = ',';
    *q++ = '"';
    q = put(q, key);
    *q++ = '"';
    *q++ = ':';
    return q;
}

/** Of m.room.member's third_party_invite only `signed` is left; what is no object goes as a whole. */
static char *put_third_party_invite(char *q, mx_slice_t value, apr_pool_t *pool)
{
    mx_json_scan_t scan;
    mx_slice_t signed_part;
    mx_json_scan_trusted(&scan, value, pool);
    signed_part = mx_json_scan_get(&scan, "signed");
    *q++ = '{';
    if (signed_part.p)
        q = put(mx_event_put_key(q, q, MX_SLICE_LIT("signed")), signed_part);
    *q++ = '}';
    return q;
}

/** The content cut down to what its type keeps; nothing of what is no object. */
static char *put_content(char *q, const mx_room_version_t *v, mx_slice_t type, mx_slice_t content, apr_pool_t *pool)
{
    mx_json_scan_t scan;
    char *first;
    int i;
    mx_json_scan_trusted(&scan, *content.p == '{' ? content : MX_SLICE_LIT("{}"), pool);
    *q++ = '{';
    first = q;
    for (i = 0; i < scan.nmembers; i++) {
        const mx_json_member_t *m = &scan.members[i];
        int is_invite = mx_slice_is(type, "m.room.member") && mx_slice_is(m->key, "third_party_invite");
        if (!keeps_content(v, type, m->key) || (is_invite && *m->value.p != '{'))
            continue;
        q = mx_event_put_key(q, first, m->key);
        q = is_invite ? put_third_party_invite(q, m->value, pool) : put(q, m->value);
    }
    *q++ = '}';
    return q;
}

/** Event types of the tables need no escapes, so the raw text of `type` may be compared. */
static mx_slice_t raw_type(const mx_json_scan_t *scan)
{
    mx_slice_t raw = mx_json_scan_get(scan, "type");
    return raw.len >= 2 ? mx_slice(raw.p + 1, raw.len - 2) : MX_SLICE_NONE;
}

mx_slice_t mx_redact_scan(const mx_room_version_t *version, const mx_json_scan_t *scan, int without_signatures, apr_pool_t *pool)
{
    mx_slice_t type = raw_type(scan);
    apr_size_t bytes = 4;            /* two pairs of braces */
    char *out, *q, *first;
    int i;
    for (i = 0; i < scan->nmembers; i++)
        bytes += scan->members[i].key.len + scan->members[i].value.len + 4;
    q = out = apr_palloc(pool, bytes);
    *q++ = '{';
    first = q;
    for (i = 0; i < scan->nmembers; i++) {
        const mx_json_member_t *m = &scan->members[i];
        if (!keeps_top(version, m->key) || (without_signatures && mx_slice_is(m->key, "signatures")))
            continue;
        q = mx_event_put_key(q, first, m->key);
        if (mx_slice_is(m->key, "content"))
            q = put_content(q, version, type, m->value, pool);
        else
            q = put(q, m->value);
    }
    *q++ = '}';
    return mx_slice(out, (apr_size_t)(q - out));
}

mx_slice_t mx_event_redact(const mx_room_version_t *version, mx_slice_t pdu, apr_pool_t *pool)
{
    mx_json_scan_t scan;
    mx_json_scan_trusted(&scan, pdu, pool);
    return mx_redact_scan(version, &scan, 0, pool);
}
