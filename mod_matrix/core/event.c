/* SPDX-License-Identifier: Apache-2.0 */
/* Reads PDUs: our own, trusted, and those of strangers, checked field by field. Rooms: event format. */
#include "core/event_private.h"

#include "core/history_visibility.h"
#include "core/ident.h"

#include <stdint.h>

#define DEPTH_MAX_OLD INT64_MAX
#define DEPTH_MAX_CANONICAL INT64_C(9007199254740991)

static const mx_error_t *bad_pdu(const mx_event_t *ev, const char *what)
{
    return mx_error_make(ev->pool, MX_E_BAD_JSON, "The event is malformed: %s.", what);
}

static mx_slice_t field(const mx_event_t *ev, const char *key)
{
    return mx_json_scan_get(&ev->scan, key);
}

static const char *field_str(const mx_event_t *ev, const char *key)
{
    return mx_json_scan_str(field(ev, key), ev->pool);
}

/** Event ids of an array; versions 1 and 2 hold pairs of id and hashes. Returns their number, -1 for another shape. */
static int read_event_ids(const char ***pids, const mx_event_t *ev, const char *key)
{
    mx_slice_t *items, *pair;
    const char **ids;
    int n = mx_json_scan_array(&items, field(ev, key), ev->pool), i;
    if (n < 0)
        return -1;
    ids = apr_palloc(ev->pool, sizeof(*ids) * (apr_size_t)(n + 1));
    for (i = 0; i < n; i++) {
        mx_slice_t raw = items[i];
        if (ev->version->event_id == MX_EVENT_ID_SERVER) {
            int parts = mx_json_scan_array(&pair, raw, ev->pool);
            if (parts != 2 || *pair[1].p != '{')
                return -1;
            raw = pair[0];
        }
        ids[i] = mx_json_scan_str(raw, ev->pool);
        if (!ids[i])
            return -1;
    }
    ids[n] = NULL;
    *pids = ids;
    return n;
}

/** Where a version keeps it: content from 11 on, else on top. */
static const char *read_redacts(const mx_event_t *ev)
{
    mx_json_scan_t content;
    if (ev->type_id != MX_TYPE_REDACTION)
        return NULL;
    if (!ev->version->updated_redaction)
        return field_str(ev, "redacts");
    mx_json_scan_trusted(&content, ev->content, ev->pool);
    return mx_json_scan_str(mx_json_scan_get(&content, "redacts"), ev->pool);
}

/** What the rules ask again and again of the contents of others' events. */
static void read_content(mx_event_t *ev)
{
    mx_json_scan_t content;
    if (ev->type_id != MX_TYPE_MEMBER && ev->type_id != MX_TYPE_JOIN_RULES && ev->type_id != MX_TYPE_CREATE)
        return;
    mx_json_scan_trusted(&content, ev->content, ev->pool);
    if (ev->type_id == MX_TYPE_CREATE)
        ev->closed = mx_slice_is(mx_json_scan_get(&content, "m.federate"), "false");
    if (ev->type_id == MX_TYPE_JOIN_RULES)
        ev->join_rule = mx_json_scan_str(mx_json_scan_get(&content, "join_rule"), ev->pool);
    if (ev->type_id != MX_TYPE_MEMBER)
        return;
    ev->membership = mx_json_scan_str(mx_json_scan_get(&content, "membership"), ev->pool);
    ev->member = mx_membership_parse(ev->membership);
    ev->has_authoriser = mx_json_scan_get(&content, "join_authorised_via_users_server").p != NULL;
}

/** A version 12 create event has no room_id: the room's id is its own with another sigil. */
static int names_its_room(const mx_event_t *ev)
{
    return ev->version->room_id_is_create_hash && ev->type_id == MX_TYPE_CREATE && ev->state_key && !*ev->state_key;
}

static const mx_error_t *fill_ids(mx_event_t *ev)
{
    const mx_error_t *err;
    if (ev->version->event_id == MX_EVENT_ID_SERVER)
        ev->event_id = field_str(ev, "event_id");
    else if (!ev->event_id && (err = mx_event_id_compute(&ev->event_id, ev->version, &ev->scan, ev->pool)) != NULL)
        return err;
    if (!ev->event_id)
        return bad_pdu(ev, "event_id is missing");
    if (!ev->room_id && names_its_room(ev))
        ev->room_id = apr_pstrcat(ev->pool, "!", ev->event_id + 1, NULL);
    return ev->room_id ? NULL : bad_pdu(ev, "room_id is missing or no string");
}

/** The type, from the table if it is there: raw text without escapes in it needs no copy then. */
static void read_type(mx_event_t *ev)
{
    mx_slice_t raw = field(ev, "type");
    if (raw.len >= 2 && *raw.p == '"')
        ev->type_id = mx_event_type_find(mx_slice(raw.p + 1, raw.len - 2));
    ev->type = ev->type_id ? mx_event_types[ev->type_id] : mx_json_scan_str(raw, ev->pool);
    if (!ev->type_id && ev->type && (ev->type_id = mx_event_type_find(mx_slice_str(ev->type))) != MX_TYPE_OTHER)
        ev->type = mx_event_types[ev->type_id];
}

/** A string, beside the event's fields if it fits; *pused bytes are taken there. */
static const char *near_str(mx_event_t *ev, apr_size_t *pused, mx_slice_t raw)
{
    char *at = ev->near + *pused;
    if (raw.len < 2 || *raw.p != '"' || raw.len - 1 > sizeof(ev->near) - *pused || memchr(raw.p, '\\', raw.len))
        return mx_json_scan_str(raw, ev->pool);
    memcpy(at, raw.p + 1, raw.len - 2);
    at[raw.len - 2] = '\0';
    *pused += raw.len - 1;
    return at;
}

/** What the rules compare. Most membership events are of users about themselves: one text then. */
static void read_texts(mx_event_t *ev)
{
    mx_slice_t sender = field(ev, "sender"), state_key = field(ev, "state_key");
    apr_size_t used = 0;
    ev->sender = near_str(ev, &used, sender);
    ev->state_key = mx_slice_eq(sender, state_key) ? ev->sender : near_str(ev, &used, state_key);
    ev->room_id = near_str(ev, &used, field(ev, "room_id"));
}

const mx_error_t *mx_event_fill(mx_event_t *ev)
{
    const mx_error_t *err;
    read_texts(ev);
    read_type(ev);
    ev->content = field(ev, "content");
    if (!ev->sender || !ev->type || !ev->content.len || *ev->content.p != '{')
        return bad_pdu(ev, "sender, type or content is missing or of the wrong type");
    err = fill_ids(ev);
    if (err)
        return err;
    ev->redacts = read_redacts(ev);
    read_content(ev);
    ev->depth = mx_json_scan_int(field(ev, "depth"), 0);
    ev->origin_server_ts = mx_json_scan_int(field(ev, "origin_server_ts"), 0);
    ev->nprev = read_event_ids(&ev->prev_events, ev, "prev_events");
    ev->nauth = read_event_ids(&ev->auth_events, ev, "auth_events");
    if (ev->nprev < 0 || ev->nauth < 0)
        return bad_pdu(ev, "prev_events or auth_events is no list of event ids");
    return NULL;
}

static mx_event_t *event_new(const mx_room_version_t *version, mx_slice_t pdu, const char *event_id, apr_pool_t *pool)
{
    mx_event_t *ev = apr_pcalloc(pool, sizeof(*ev));
    ev->version = version;
    ev->pdu = pdu;
    ev->event_id = event_id;
    ev->pool = pool;
    return ev;
}

const mx_error_t *mx_event_parse(mx_event_t **pevent, const mx_room_version_t *version, mx_slice_t pdu,
                                 const char *event_id, apr_pool_t *pool)
{
    mx_event_t *ev = event_new(version, pdu, event_id, pool);
    const mx_error_t *err;
    mx_json_scan_trusted(&ev->scan, pdu, pool);
    ev->scan.canonical = 1;
    err = mx_event_fill(ev);
    if (!err)
        *pevent = ev;
    return err;
}

static int is_integer(mx_slice_t raw)
{
    apr_int64_t value = mx_json_scan_int(raw, 0);
    return value != 0 || mx_slice_is(raw, "0");
}

static const mx_error_t *check_sizes(const mx_event_t *ev)
{
    const char *fields[] = { ev->sender, ev->room_id, ev->type, ev->state_key, ev->event_id };
    apr_size_t i;
    if (ev->pdu.len > MX_PDU_MAX_BYTES)
        return mx_error_make(ev->pool, MX_E_TOO_LARGE, "The event is larger than %d bytes.", MX_PDU_MAX_BYTES);
    for (i = 0; i < sizeof(fields) / sizeof(fields[0]); i++) {
        if (fields[i] && strlen(fields[i]) > MX_EVENT_FIELD_MAX_BYTES)
            return mx_error_make(ev->pool, MX_E_TOO_LARGE, "A field of the event is longer than %d bytes.",
                                 MX_EVENT_FIELD_MAX_BYTES);
    }
    return NULL;
}

/** signatures: an object of objects of strings. */
static int signatures_ok(mx_slice_t raw, apr_pool_t *pool)
{
    mx_json_scan_t entities, keys;
    int i, k;
    if (!raw.len || *raw.p != '{')
        return 0;
    mx_json_scan_trusted(&entities, raw, pool);
    for (i = 0; i < entities.nmembers; i++) {
        if (*entities.members[i].value.p != '{')
            return 0;
        mx_json_scan_trusted(&keys, entities.members[i].value, pool);
        for (k = 0; k < keys.nmembers; k++) {
            if (*keys.members[k].value.p != '"')
                return 0;
        }
    }
    return 1;
}

static int hashes_ok(mx_slice_t raw, apr_pool_t *pool)
{
    mx_json_scan_t hashes;
    if (!raw.len || *raw.p != '{')
        return 0;
    mx_json_scan_trusted(&hashes, raw, pool);
    return mx_json_scan_str(mx_json_scan_get(&hashes, "sha256"), pool) != NULL;
}

/** What mx_event_fill() takes on trust. */
static const mx_error_t *check_fields(const mx_event_t *ev)
{
    mx_slice_t state_key = field(ev, "state_key"), redacts = field(ev, "redacts");
    apr_int64_t depth_max = ev->version->strict_canonical_json ? DEPTH_MAX_CANONICAL : DEPTH_MAX_OLD;
    int i;
    if (!mx_ident_is_user_id(ev->sender))
        return bad_pdu(ev, "sender is no user id");
    if (!mx_ident_is_room_id(ev->room_id))
        return bad_pdu(ev, "room_id is no room id");
    if (state_key.p && !ev->state_key)
        return bad_pdu(ev, "state_key is no string");
    if (redacts.p && *redacts.p != '"' && !ev->version->updated_redaction)
        return bad_pdu(ev, "redacts is no string");
    if (!is_integer(field(ev, "depth")) || ev->depth < 0 || ev->depth > depth_max)
        return bad_pdu(ev, "depth is no integer in its range");
    if (!is_integer(field(ev, "origin_server_ts")))
        return bad_pdu(ev, "origin_server_ts is no integer");
    if (ev->nprev > MX_EVENT_MAX_PREV || ev->nauth > MX_EVENT_MAX_AUTH)
        return bad_pdu(ev, "it has too many prev_events or auth_events");
    for (i = 0; i < ev->nprev + ev->nauth; i++) {
        if (!mx_ident_is_event_id(i < ev->nprev ? ev->prev_events[i] : ev->auth_events[i - ev->nprev]))
            return bad_pdu(ev, "prev_events or auth_events holds something that is no event id");
    }
    if (!hashes_ok(field(ev, "hashes"), ev->pool))
        return bad_pdu(ev, "hashes holds no sha256");
    if (!signatures_ok(field(ev, "signatures"), ev->pool))
        return bad_pdu(ev, "signatures is no object of objects of strings");
    return NULL;
}

/** What is no part of a PDU: `unsigned`, and `event_id` where ids are hashes. */
static int is_foreign_key(const mx_event_t *ev, mx_slice_t key)
{
    return mx_slice_is(key, "unsigned") || (ev->version->event_id != MX_EVENT_ID_SERVER && mx_slice_is(key, "event_id"));
}

static int has_foreign_key(const mx_event_t *ev)
{
    int i;
    for (i = 0; i < ev->scan.nmembers; i++) {
        if (is_foreign_key(ev, ev->scan.members[i].key))
            return 1;
    }
    return 0;
}

/** Canonical text without its foreign members. */
static mx_slice_t without_foreign_keys(const mx_event_t *ev, mx_slice_t text)
{
    char *out = apr_palloc(ev->pool, text.len), *q = out, *first;
    int i;
    *q++ = '{';
    first = q;
    for (i = 0; i < ev->scan.nmembers; i++) {
        const mx_json_member_t *m = &ev->scan.members[i];
        if (is_foreign_key(ev, m->key))
            continue;
        q = mx_event_put_key(q, first, m->key);
        memcpy(q, m->value.p, m->value.len);
        q += m->value.len;
    }
    *q++ = '}';
    return mx_slice(out, (apr_size_t)(q - out));
}

/** The tree of `text` without foreign members, written canonically. */
static const mx_error_t *canonicalise(mx_slice_t *pcanonical, const mx_event_t *ev, mx_slice_t text)
{
    mx_json_limits_t limits = { MX_PDU_MAX_DEPTH };
    mx_json_t *json;
    mx_buf_t *buf;
    const char *why;
    if (mx_json_parse(&json, &why, text.p, text.len, &limits, ev->pool) != MX_JSON_OK)
        return mx_error_make(ev->pool, MX_E_NOT_JSON, "%s", why);
    mx_json_del(json, "unsigned");
    if (ev->version->event_id != MX_EVENT_ID_SERVER)
        mx_json_del(json, "event_id");
    if (ev->version->strict_canonical_json && mx_json_has_uncanonical_number(json))
        return bad_pdu(ev, "a number is not an integer in the range of canonical JSON");
    buf = mx_buf_create(ev->pool);
    if (ev->version->strict_canonical_json)
        mx_json_write_canonical(buf, json);
    else
        mx_json_write_canonical_old(buf, json);
    *pcanonical = mx_buf_slice(buf);
    return NULL;
}

static const mx_error_t *clean(mx_event_t *ev, mx_slice_t text)
{
    const mx_error_t *err;
    if (ev->scan.canonical && !has_foreign_key(ev))
        return NULL;
    if (ev->scan.canonical)
        ev->pdu = without_foreign_keys(ev, text);
    else if ((err = canonicalise(&ev->pdu, ev, text)) != NULL)
        return err;
    mx_json_scan_trusted(&ev->scan, ev->pdu, ev->pool);
    ev->scan.canonical = 1;
    return NULL;
}

const mx_error_t *mx_event_parse_foreign(mx_event_t **pevent, const mx_room_version_t *version, mx_slice_t text, apr_pool_t *pool)
{
    mx_event_t *ev = event_new(version, text, NULL, pool);
    mx_json_limits_t limits = { MX_PDU_MAX_DEPTH };
    const mx_error_t *err;
    if (mx_json_scan_object(&ev->scan, text.p, text.len, &limits, pool) != MX_JSON_OK)
        return mx_error_make(pool, MX_E_NOT_JSON, "The event is no JSON object.");
    err = clean(ev, text);
    if (!err && ev->pdu.len > MX_PDU_MAX_BYTES)
        err = check_sizes(ev);
    if (!err)
        err = mx_event_fill(ev);
    if (!err)
        err = check_sizes(ev);
    if (!err)
        err = check_fields(ev);
    if (!err)
        *pevent = ev;
    return err;
}

mx_json_t *mx_event_content(const mx_event_t *event)
{
    mx_event_t *ev = (mx_event_t *)(uintptr_t)event;     /* the cached tree is not part of what the event says */
    mx_json_limits_t limits = { MX_PDU_MAX_DEPTH };
    if (!ev->content_json
        && mx_json_parse(&ev->content_json, NULL, ev->content.p, ev->content.len, &limits, ev->pool) != MX_JSON_OK)
        ev->content_json = mx_json_new_object(ev->pool);
    return ev->content_json;
}
