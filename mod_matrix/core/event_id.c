/* SPDX-License-Identifier: Apache-2.0 */
/* Hashes of events. SS-API: calculating the reference hash, the content hash; Rooms: event ids. */
#include "base/base64.h"
#include "core/event_private.h"

const mx_error_t *mx_event_id_compute(const char **pid, const mx_room_version_t *version, const mx_json_scan_t *scan, apr_pool_t *pool)
{
    unsigned char hash[MX_SHA256_BYTES];
    mx_slice_t redacted;
    char *id;
    if (version->event_id == MX_EVENT_ID_SERVER)
        return mx_error_make(pool, MX_E_UNSUPPORTED_ROOM_VERSION, "Events of room version %s carry their id.", version->name);
    redacted = mx_redact_scan(version, scan, 1, pool);
    mx_sha256(hash, redacted.p, redacted.len);
    id = apr_palloc(pool, MX_BASE64_LEN(MX_SHA256_BYTES) + 2);
    id[0] = '$';
    id[1 + mx_base64_encode_to(id + 1, version->event_id == MX_EVENT_ID_HASH_URL ? MX_BASE64_URL : MX_BASE64_STD, hash,
                               sizeof(hash))] = '\0';
    *pid = id;
    return NULL;
}

const char *mx_event_reference_hash(const mx_event_t *event, apr_pool_t *pool)
{
    unsigned char hash[MX_SHA256_BYTES];
    mx_slice_t redacted = mx_redact_scan(event->version, &event->scan, 1, pool);
    mx_sha256(hash, redacted.p, redacted.len);
    return mx_base64_encode(MX_BASE64_STD, hash, sizeof(hash), pool);
}

/** The event without hashes, signatures and unsigned: what the content hash covers. */
static mx_slice_t hashed_text(const mx_event_t *event)
{
    char *out = apr_palloc(event->pool, event->pdu.len), *q = out, *first;
    int i;
    *q++ = '{';
    first = q;
    for (i = 0; i < event->scan.nmembers; i++) {
        const mx_json_member_t *m = &event->scan.members[i];
        if (mx_slice_is(m->key, "hashes") || mx_slice_is(m->key, "signatures") || mx_slice_is(m->key, "unsigned"))
            continue;
        q = mx_event_put_key(q, first, m->key);
        memcpy(q, m->value.p, m->value.len);
        q += m->value.len;
    }
    *q++ = '}';
    return mx_slice(out, (apr_size_t)(q - out));
}

int mx_event_content_hash_ok(const mx_event_t *event)
{
    unsigned char hash[MX_SHA256_BYTES], *given;
    apr_size_t len;
    mx_json_scan_t hashes;
    mx_slice_t text = hashed_text(event), raw;
    const char *encoded;
    raw = mx_json_scan_get(&event->scan, "hashes");
    if (!raw.p)
        return 0;
    mx_json_scan_trusted(&hashes, raw, event->pool);
    encoded = mx_json_scan_str(mx_json_scan_get(&hashes, "sha256"), event->pool);
    if (!encoded || mx_base64_decode(&given, &len, MX_BASE64_STD, mx_slice_str(encoded), event->pool) != APR_SUCCESS
        || len != sizeof(hash))
        return 0;
    mx_sha256(hash, text.p, text.len);
    return mx_equal_consttime(hash, given, sizeof(hash));
}
