/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Makes and signs new events. The canonical text is written once, keys in their sorted order; hashes and signatures are
 * spliced in. SS-API: adding hashes and signatures to outgoing events.
 */
#include "base/base64.h"
#include "core/event_private.h"
#include "core/ident.h"
#include "core/sticky.h"

#define EVENT_ID_RANDOM_CHARS 18            /* versions 1 and 2 */
#define SIGNATURE_ROOM_BYTES 160            /* what a signature adds beside the server's name */

/** Versions 1 and 2 pair each id with its hashes; an empty object where they are not known. */
static void write_ids(mx_json_writer_t *w, const mx_event_draft_t *d, const char *key, const char **ids, int n,
                      const char **hashes)
{
    int i;
    mx_jw_key_array(w, key);
    for (i = 0; i < n; i++) {
        if (d->version->event_id != MX_EVENT_ID_SERVER) {
            mx_jw_str(w, ids[i]);
            continue;
        }
        mx_jw_array(w);
        mx_jw_str(w, ids[i]);
        mx_jw_object(w);
        if (hashes && hashes[i])
            mx_jw_key_str(w, "sha256", hashes[i]);
        mx_jw_end_object(w);
        mx_jw_end_array(w);
    }
    mx_jw_end_array(w);
}

/** Rooms v11: `redacts` lives in the content; the draft's is put there if the content lacks it. */
static mx_slice_t draft_content(const mx_event_draft_t *d, apr_pool_t *pool)
{
    mx_json_t *json;
    mx_buf_t *buf;
    mx_json_scan_t scan;
    if (!d->redacts || !d->version->updated_redaction)
        return d->content;
    mx_json_scan_trusted(&scan, d->content, pool);
    if (mx_json_scan_get(&scan, "redacts").p
        || mx_json_parse(&json, NULL, d->content.p, d->content.len, NULL, pool) != MX_JSON_OK)
        return d->content;
    mx_json_set_str(json, "redacts", d->redacts);
    buf = mx_buf_create(pool);
    mx_json_write_canonical(buf, json);
    return mx_buf_slice(buf);
}

/** Writes all but hashes and signatures; returns the place after the member that `hashes` follows. */
static apr_size_t write_draft(mx_json_writer_t *w, const mx_event_draft_t *d, const char *event_id, apr_pool_t *pool)
{
    apr_size_t cut;
    mx_jw_object(w);
    write_ids(w, d, "auth_events", d->auth_events, d->nauth, d->auth_hashes);
    mx_jw_key_raw(w, "content", draft_content(d, pool));
    mx_jw_key_int(w, "depth", d->depth);
    if (event_id)
        mx_jw_key_str(w, "event_id", event_id);
    cut = w->buf->len;
    if (d->sticky_ms) {
        mx_jw_key_object(w, MX_STICKY_KEY);
        mx_jw_key_int(w, "duration_ms", *d->sticky_ms);
        mx_jw_end_object(w);
    }
    mx_jw_key_int(w, "origin_server_ts", d->origin_server_ts);
    write_ids(w, d, "prev_events", d->prev_events, d->nprev, d->prev_hashes);
    if (d->redacts && !d->version->updated_redaction)
        mx_jw_key_str(w, "redacts", d->redacts);
    if (d->room_id)
        mx_jw_key_str(w, "room_id", d->room_id);
    mx_jw_key_str(w, "sender", d->sender);
    if (d->state_key)
        mx_jw_key_str(w, "state_key", d->state_key);
    mx_jw_key_str(w, "type", d->type);
    mx_jw_end_object(w);
    return cut;
}

/** The text with `hashes` put in at `cut`. */
static mx_slice_t add_hashes(mx_slice_t text, apr_size_t cut, apr_pool_t *pool)
{
    static const char before[] = ",\"hashes\":{\"sha256\":\"", after[] = "\"}";
    unsigned char hash[MX_SHA256_BYTES];
    apr_size_t added = sizeof(before) - 1 + MX_BASE64_LEN(MX_SHA256_BYTES) + sizeof(after) - 1;
    char *out = apr_palloc(pool, text.len + added), *q = out + cut;
    mx_sha256(hash, text.p, text.len);
    memcpy(out, text.p, cut);
    memcpy(q, before, sizeof(before) - 1);
    q += sizeof(before) - 1;
    q += mx_base64_encode_to(q, MX_BASE64_STD, hash, sizeof(hash));
    memcpy(q, after, sizeof(after) - 1);
    q += sizeof(after) - 1;
    memcpy(q, text.p + cut, text.len - cut);
    return mx_slice(out, text.len + added);
}

static const mx_error_t *check_draft(const mx_event_draft_t *d, apr_pool_t *pool)
{
    const struct {
        const char *name, *value;
    } fields[] = {
        { "sender", d->sender }, { "room_id", d->room_id }, { "type", d->type }, { "state_key", d->state_key }
    };
    apr_size_t i;
    for (i = 0; i < sizeof(fields) / sizeof(fields[0]); i++) {
        if (fields[i].value && strlen(fields[i].value) > MX_EVENT_FIELD_MAX_BYTES)
            return mx_error_make(pool, MX_E_TOO_LARGE, "The event's %s is longer than %d bytes.", fields[i].name,
                                 MX_EVENT_FIELD_MAX_BYTES);
    }
    return NULL;
}

const mx_error_t *mx_event_build(mx_event_t **pevent, const mx_event_draft_t *draft, apr_pool_t *pool)
{
    const char *event_id = NULL;
    mx_json_writer_t w;
    mx_slice_t pdu;
    apr_size_t cut;
    const mx_error_t *err = check_draft(draft, pool);
    if (err)
        return err;
    if (draft->version->event_id == MX_EVENT_ID_SERVER)
        event_id = apr_pstrcat(pool, "$", mx_random_string(mx_alphabet_alnum, EVENT_ID_RANDOM_CHARS, pool), ":", draft->origin,
                               NULL);
    mx_jw_init(&w, mx_buf_create(pool));
    mx_buf_reserve(w.buf, draft->content.len + 1024);
    cut = write_draft(&w, draft, event_id, pool);
    pdu = add_hashes(mx_buf_slice(w.buf), cut, pool);
    if (pdu.len + SIGNATURE_ROOM_BYTES + (draft->origin ? strlen(draft->origin) : 0) > MX_PDU_MAX_BYTES)
        return mx_error_make(pool, MX_E_TOO_LARGE, "The event is larger than %d bytes.", MX_PDU_MAX_BYTES);
    return mx_event_parse(pevent, draft->version, pdu, NULL, pool);
}

/** The value of `signatures` with ours added to those that are there. */
static mx_slice_t merge_signatures(mx_slice_t old, const char *server_name, const char *key_id, const char *signature,
                                   apr_pool_t *pool)
{
    mx_json_t *all, *ours;
    mx_buf_t *buf = mx_buf_create(pool);
    if (!old.p || mx_json_parse(&all, NULL, old.p, old.len, NULL, pool) != MX_JSON_OK)
        all = mx_json_new_object(pool);
    ours = mx_json_get(all, server_name);
    if (!mx_json_is(ours, MX_JSON_OBJECT)) {
        ours = mx_json_new_object(pool);
        mx_json_set(all, server_name, ours);
    }
    mx_json_set_str(ours, key_id, signature);
    mx_json_write_canonical(buf, all);
    return mx_buf_slice(buf);
}

static mx_slice_t first_signature(const char *server_name, const char *key_id, const char *signature, apr_pool_t *pool)
{
    return mx_slice_str(apr_pstrcat(pool, "{\"", server_name, "\":{\"", key_id, "\":\"", signature, "\"}}", NULL));
}

/** The event's text with `signatures` replaced or put where the order of keys wants it. */
static mx_slice_t splice_signatures(const mx_event_t *event, mx_slice_t signatures)
{
    static const mx_slice_t key = MX_SLICE_LIT("signatures");
    char *out = apr_palloc(event->pool, event->pdu.len + signatures.len + key.len + 4), *q = out, *first;
    int i, written = 0;
    *q++ = '{';
    first = q;
    for (i = 0; i <= event->scan.nmembers; i++) {
        const mx_json_member_t *m = i < event->scan.nmembers ? &event->scan.members[i] : NULL;
        if (!written && (!m || mx_json_scan_key_cmp(m->key, key) >= 0)) {
            q = mx_event_put_key(q, first, key);
            memcpy(q, signatures.p, signatures.len);
            q += signatures.len;
            written = 1;
        }
        if (!m || mx_slice_eq(m->key, key))
            continue;
        q = mx_event_put_key(q, first, m->key);
        memcpy(q, m->value.p, m->value.len);
        q += m->value.len;
    }
    *q++ = '}';
    return mx_slice(out, (apr_size_t)(q - out));
}

const mx_error_t *mx_event_sign(mx_event_t *event, const char *server_name, const char *key_id, const mx_ed25519_key_t *key)
{
    unsigned char sig[MX_ED25519_SIGNATURE_BYTES];
    mx_slice_t redacted = mx_redact_scan(event->version, &event->scan, 1, event->pool), old, signatures, pdu;
    const char *encoded;
    mx_ed25519_sign(sig, key, redacted.p, redacted.len);
    encoded = mx_base64_encode(MX_BASE64_STD, sig, sizeof(sig), event->pool);
    old = mx_json_scan_get(&event->scan, "signatures");
    signatures = !old.p || mx_slice_is(old, "{}") ? first_signature(server_name, key_id, encoded, event->pool)
                                                  : merge_signatures(old, server_name, key_id, encoded, event->pool);
    pdu = splice_signatures(event, signatures);
    if (pdu.len > MX_PDU_MAX_BYTES)
        return mx_error_make(event->pool, MX_E_TOO_LARGE, "The event is larger than %d bytes.", MX_PDU_MAX_BYTES);
    event->pdu = pdu;
    mx_json_scan_trusted(&event->scan, pdu, event->pool);
    event->scan.canonical = 1;
    event->content = mx_json_scan_get(&event->scan, "content");
    return NULL;
}
