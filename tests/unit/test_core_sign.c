/* SPDX-License-Identifier: Apache-2.0 */
/* Who must sign a PDU, and checking what they signed. SS-API: validating hashes and signatures on received events. */
#include "unit.h"

#include "core/event_sign.h"
#include "core/sign.h"

#define SEED "YJDBA9Xnr2sVqXD9Vj7XVUnmFZcZrlw8Md7kMW+3XA1"

static mx_signing_key_t test_key(void)
{
    mx_signing_key_t key;
    const char *why;
    ck_assert_int_eq(mx_signing_key_parse(&key, &why, "ed25519 1 " SEED "\n", pool), APR_SUCCESS);
    return key;
}

static mx_event_t *build(const char *version, const char *type, const char *content)
{
    mx_event_t *ev = NULL;
    mx_event_draft_t d = { .version = mx_room_version_find(version), .room_id = "!r:d", .sender = "@u:domain", .type = type,
                           .state_key = strcmp(type, "m.room.member") == 0 ? "@t:d" : NULL, .content = mx_slice_str(content),
                           .depth = 7, .origin_server_ts = 1000, .origin = "other" };
    ck_assert_ptr_null(mx_event_build(&ev, &d, pool));
    return ev;
}

static const char *signers(const mx_event_t *ev)
{
    const char *servers[MX_EVENT_SIGNERS_MAX], *text = "";
    int n = mx_event_signers(servers, ev), i;
    for (i = 0; i < n; i++)
        text = apr_pstrcat(pool, text, servers[i], " ", NULL);
    return text;
}

START_TEST(the_versions_demand_the_signatures_of_the_specification)
{
    static const char authorised[] = "{\"join_authorised_via_users_server\":\"@j:third:80\",\"membership\":\"join\"}";
    static const char invite[] = "{\"membership\":\"invite\",\"third_party_invite\":{}}";
    static const struct {
        const char *version, *type, *content, *signers;
    } cases[] = {
        { "1", "m.room.message", "{}", "domain other " },
        { "2", "m.room.message", "{}", "domain other " },
        { "3", "m.room.message", "{}", "domain " },
        { "12", "m.room.message", "{}", "domain " },
        { "7", "m.room.member", authorised, "domain " },
        { "8", "m.room.member", authorised, "domain third:80 " },
        { "12", "m.room.member", authorised, "domain third:80 " },
        { "8", "m.room.member", "{\"join_authorised_via_users_server\":\"@j:domain\",\"membership\":\"join\"}", "domain " },
        { "8", "m.room.member", "{\"join_authorised_via_users_server\":5,\"membership\":\"join\"}", "domain " },
        { "8", "m.room.member", "{\"join_authorised_via_users_server\":\"@j:third\",\"membership\":\"leave\"}", "domain third " },
        { "8", "m.room.message", authorised, "domain " },
        { "1", "m.room.member", invite, "other " },
        { "6", "m.room.member", invite, "" },
        { "6", "m.room.message", invite, "domain " },
        { "6", "m.room.member", "{\"membership\":\"join\",\"third_party_invite\":{}}", "domain " },
    };
    int i;
    for (i = 0; i < UNIT_COUNT(cases); i++)
        ck_assert_str_eq(signers(build(cases[i].version, cases[i].type, cases[i].content)), cases[i].signers);
}
END_TEST

START_TEST(a_signature_holds_for_the_full_and_the_redacted_event_and_for_nothing_else)
{
    int i;
    for (i = 0; mx_room_version_at(i); i++) {
        mx_signing_key_t key = test_key();
        unsigned char wrong[MX_ED25519_PUBLIC_BYTES] = { 0 };
        mx_event_t *ev = build(mx_room_version_at(i)->name, "m.room.member", "{\"displayname\":\"x\",\"membership\":\"join\"}"), *other;
        char *changed;
        ck_assert_int_eq(mx_event_verify(ev, "domain", "ed25519:1", key.key.public), 0);
        ck_assert_ptr_null(mx_event_sign(ev, "domain", key.key_id, &key.key));
        ck_assert_ptr_null(mx_event_sign(ev, "second", "ed25519:b", &key.key));
        ck_assert_int_eq(mx_event_verify(ev, "domain", "ed25519:1", key.key.public), 1);
        ck_assert_int_eq(mx_event_verify(ev, "second", "ed25519:b", key.key.public), 1);
        ck_assert_int_eq(mx_event_verify(ev, "domain", "ed25519:b", key.key.public), 0);
        ck_assert_int_eq(mx_event_verify(ev, "third", "ed25519:1", key.key.public), 0);
        ck_assert_int_eq(mx_event_verify(ev, "domain", "ed25519:1", wrong), 0);
        ck_assert_ptr_null(mx_event_parse(&other, ev->version, mx_event_redact(ev->version, ev->pdu, pool), NULL, pool));
        ck_assert_int_eq(mx_event_verify(other, "domain", "ed25519:1", key.key.public), 1);
        changed = mx_slice_dup(ev->pdu, pool);
        memcpy(strstr(changed, "\"join\""), "\"lead\"", 6);
        ck_assert_ptr_null(mx_event_parse(&other, ev->version, mx_slice_str(changed), ev->event_id, pool));
        ck_assert_int_eq(mx_event_verify(other, "domain", "ed25519:1", key.key.public), 0);
    }
}
END_TEST

START_TEST(keys_are_listed_by_server_and_algorithm)
{
    static const char pdu[] = "{\"auth_events\":[],\"content\":{},\"depth\":1,\"hashes\":{\"sha256\":\"x\"},\"origin_server_ts\":1,"
        "\"prev_events\":[],\"room_id\":\"!r:d\",\"sender\":\"@u:domain\",\"signatures\":{\"domain\":{\"curve:1\":\"x\",\"ed25519:\":\"x\","
        "\"ed25519:1\":\"!\",\"ed25519:a_b\":\"AAAA\"},\"other\":{}},\"type\":\"X\"}";
    mx_signing_key_t key = test_key();
    const char **keys;
    mx_event_t *ev;
    ck_assert_ptr_null(mx_event_parse_foreign(&ev, mx_room_version_find("11"), mx_slice_str(pdu), pool));
    ck_assert_int_eq(mx_event_signature_keys(&keys, ev, "domain", pool), 2);
    ck_assert_str_eq(keys[0], "ed25519:1");
    ck_assert_str_eq(keys[1], "ed25519:a_b");
    ck_assert_int_eq(mx_event_signature_keys(&keys, ev, "other", pool), 0);
    ck_assert_int_eq(mx_event_signature_keys(&keys, ev, "third", pool), 0);
    ck_assert_int_eq(mx_event_verify(ev, "domain", "ed25519:1", key.key.public), 0);
    ck_assert_int_eq(mx_event_verify(ev, "domain", "ed25519:a_b", key.key.public), 0);
}
END_TEST

UNIT_MAIN("core_sign", the_versions_demand_the_signatures_of_the_specification,
          a_signature_holds_for_the_full_and_the_redacted_event_and_for_nothing_else, keys_are_listed_by_server_and_algorithm)
