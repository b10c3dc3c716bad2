/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A foreign PDU (the first byte chooses the room version) that is accepted reads back the same, keeps its id when it is
 * redacted, and can be written in every format; an event built from its fields reads back with the same id.
 */
#include "fuzz.h"

#include "core/auth_rules.h"

static void check_formats(const mx_event_t *ev, apr_pool_t *pool)
{
    mx_event_unsigned_t uns = { .age_ms = 1, .prev_content = ev->content };
    mx_event_format_e format;
    for (format = MX_FORMAT_CLIENT; format <= MX_FORMAT_FEDERATION; format++) {
        mx_json_writer_t *w = mx_jw_create(pool);
        mx_json_limits_t limits = { 2000 };
        mx_event_write(w, ev, format, &uns);
        FUZZ_CHECK(mx_json_scan_check(NULL, NULL, w->buf->p, w->buf->len, &limits) == MX_JSON_OK);
    }
}

static void check_redaction(const mx_event_t *ev, apr_pool_t *pool)
{
    mx_slice_t once = mx_event_redact(ev->version, ev->pdu, pool), twice = mx_event_redact(ev->version, once, pool);
    mx_event_t *redacted;
    FUZZ_CHECK(mx_slice_eq(once, twice));
    FUZZ_CHECK(mx_event_parse(&redacted, ev->version, once, NULL, pool) == NULL);
    FUZZ_CHECK(mx_str_eq(redacted->event_id, ev->event_id));
    FUZZ_CHECK(mx_str_eq(redacted->room_id, ev->room_id));
}

static void check_rebuilt(const mx_event_t *ev, apr_pool_t *pool)
{
    mx_event_t *built, *again;
    unsigned char seed[32] = { 1 };
    mx_ed25519_key_t key;
    mx_event_draft_t d = { .version = ev->version, .room_id = ev->room_id, .sender = ev->sender, .type = ev->type,
                           .state_key = ev->state_key, .redacts = ev->redacts, .content = ev->content, .depth = ev->depth,
                           .origin_server_ts = ev->origin_server_ts, .prev_events = ev->prev_events, .nprev = ev->nprev,
                           .auth_events = ev->auth_events, .nauth = ev->nauth, .origin = "h" };
    if (mx_event_build(&built, &d, pool))
        return;
    FUZZ_CHECK(mx_event_content_hash_ok(built));
    mx_ed25519_from_seed(&key, seed);
    FUZZ_CHECK(mx_event_sign(built, "h", "ed25519:1", &key) == NULL);
    FUZZ_CHECK(mx_event_parse_foreign(&again, ev->version, built->pdu, pool) == NULL);
    FUZZ_CHECK(mx_str_eq(again->event_id, built->event_id));
    FUZZ_CHECK(mx_event_content_hash_ok(again));
}

static void fuzz_one(const char *p, apr_size_t len, apr_pool_t *pool)
{
    const mx_room_version_t *version = mx_room_version_at(len ? (unsigned char)*p % 12 : 0);
    mx_state_key_t keys[MX_AUTH_KEYS_MAX];
    mx_event_t *ev, *again;
    if (!len || mx_event_parse_foreign(&ev, version, mx_slice(p + 1, len - 1), pool))
        return;
    FUZZ_CHECK(mx_event_parse_foreign(&again, version, ev->pdu, pool) == NULL);
    FUZZ_CHECK(again->pdu.p == ev->pdu.p || !version->strict_canonical_json);
    FUZZ_CHECK(mx_slice_eq(again->pdu, ev->pdu));
    FUZZ_CHECK(mx_str_eq(again->event_id, ev->event_id));
    FUZZ_CHECK(mx_json_is(mx_event_content(ev), MX_JSON_OBJECT));
    FUZZ_CHECK(mx_auth_keys(keys, version, ev->type, ev->sender, ev->state_key, mx_event_content(ev), pool) <= MX_AUTH_KEYS_MAX);
    mx_event_content_hash_ok(ev);
    check_formats(ev, pool);
    check_redaction(ev, pool);
    check_rebuilt(ev, pool);
}
