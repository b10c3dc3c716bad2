/* SPDX-License-Identifier: Apache-2.0 */
/* Signing vectors, building, reading, redacting and formatting events, by room version. */
#include "unit.h"

#include "base/base64.h"
#include "core/event.h"
#include "core/sign.h"

#define SEED "YJDBA9Xnr2sVqXD9Vj7XVUnmFZcZrlw8Md7kMW+3XA1"    /* appendices: cryptographic test vectors */

static mx_signing_key_t vector_key(void)
{
    mx_signing_key_t key;
    const char *why;
    ck_assert_int_eq(mx_signing_key_parse(&key, &why, "ed25519 1 " SEED "\n", pool), APR_SUCCESS);
    return key;
}

static const mx_room_version_t *version(const char *name)
{
    const mx_room_version_t *v = mx_room_version_find(name);
    ck_assert_ptr_nonnull(v);
    return v;
}

static const char *text_of(mx_slice_t s)
{
    return mx_slice_dup(s, pool);
}

static const char *json_text(const mx_json_t *j)
{
    mx_buf_t *buf = mx_buf_create(pool);
    mx_json_write_canonical(buf, j);
    return text_of(mx_buf_slice(buf));
}

/* Appendices: JSON signing. */
START_TEST(spec_json_signing_examples_hold)
{
    static const struct {
        const char *in, *out;
    } cases[] = {
        { "{}",
          "{\"signatures\":{\"domain\":{\"ed25519:1\":\"K8280/U9SSy9IVtjBuVeLr+HpOB4BQFWbg+UZaADMtTdGYI7Geitb76LTrr5QV/7Xg4ahLwY"
          "GYZzuHGZKM5ZAQ\"}}}" },
        { "{\"one\":1,\"two\":\"Two\"}",
          "{\"one\":1,\"signatures\":{\"domain\":{\"ed25519:1\":\"KqmLSbO39/Bzb0QIYE82zqLwsA+PDzYIpIRA2sRQ4sL53+sN6/fpNSoqE7BP7vBZ"
          "hG6kYdD13EIMJpvhJI+6Bw\"}},\"two\":\"Two\"}" },
    };
    mx_signing_key_t key = vector_key();
    int i;
    for (i = 0; i < UNIT_COUNT(cases); i++) {
        mx_json_t *obj = unit_json(cases[i].in);
        mx_sign_json(obj, "domain", &key, pool);
        ck_assert_str_eq(json_text(obj), cases[i].out);
        ck_assert_int_eq(mx_sign_verify_json(obj, "domain", "ed25519:1", key.key.public, pool), 1);
        mx_json_set_int(mx_json_get(obj, "signatures"), "x", 1);
        mx_json_set_str(obj, "unsigned", "not covered");
        ck_assert_int_eq(mx_sign_verify_json(obj, "domain", "ed25519:1", key.key.public, pool), 1);
        mx_json_set_int(obj, "new", 1);
        ck_assert_int_eq(mx_sign_verify_json(obj, "domain", "ed25519:1", key.key.public, pool), 0);
        ck_assert_int_eq(mx_sign_verify_json(obj, "other", "ed25519:1", key.key.public, pool), 0);
    }
}
END_TEST

START_TEST(a_signature_covers_keys_behind_u0000)
{
    mx_signing_key_t key = vector_key();
    mx_json_t *obj = unit_json("{\"a\":1,\"unsigned\\u0000x\":1}"), *more = unit_json("{\"a\":1,\"unsigned\\u0000x\":2}");
    mx_sign_json(obj, "domain", &key, pool);
    ck_assert_int_eq(mx_sign_verify_json(obj, "domain", "ed25519:1", key.key.public, pool), 1);
    mx_json_set(more, "signatures", mx_json_get(obj, "signatures"));
    ck_assert_int_eq(mx_sign_verify_json(more, "domain", "ed25519:1", key.key.public, pool), 0);
}
END_TEST

/** An event of the vectors: incomplete, so it is made by hand around its text. */
static mx_event_t *vector_event(const char *text)
{
    mx_event_t *ev = apr_pcalloc(pool, sizeof(*ev));
    ev->version = version("1");
    ev->pdu = mx_slice_str(text);
    ev->pool = pool;
    mx_json_scan_trusted(&ev->scan, ev->pdu, pool);
    ev->content = mx_json_scan_get(&ev->scan, "content");
    return ev;
}

/* Appendices: event signing. */
START_TEST(spec_event_signing_examples_hold)
{
    static const struct {
        const char *hashed, *signature;
    } cases[] = {
        { "{\"auth_events\":[],\"content\":{},\"depth\":3,\"hashes\":{\"sha256\":\"5jM4wQpv6lnBo7CLIghJuHdW+s2CMBJPUOGOC89ncos\"},"
          "\"origin\":\"domain\",\"origin_server_ts\":1000000,\"prev_events\":[],\"room_id\":\"!x:domain\",\"sender\":\"@a:domain\","
          "\"type\":\"X\"}",
          "KxwGjPSDEtvnFgU00fwFz+l6d2pJM6XBIaMEn81SXPTRl16AqLAYqfIReFGZlHi5KLjAWbOoMszkwsQma+lYAg" },
        { "{\"content\":{\"body\":\"Here is the message content\"},\"event_id\":\"$0:domain\",\"hashes\":{\"sha256\":"
          "\"onLKD1bGljeBWQhWZ1kaP9SorVmRQNdN5aM2JYU2n/g\"},\"origin\":\"domain\",\"origin_server_ts\":1000000,\"room_id\":"
          "\"!r:domain\",\"sender\":\"@u:domain\",\"type\":\"m.room.message\"}",
          "Wm+VzmOUOz08Ds+0NTWb1d4CZrVsJSikkeRxh6aCcUwu6pNC78FunoD7KNWzqFn241eYHYMGCA5McEiVPdhzBA" },
    };
    mx_signing_key_t key = vector_key();
    int i;
    for (i = 0; i < UNIT_COUNT(cases); i++) {
        mx_event_t *ev = vector_event(cases[i].hashed);
        ck_assert_int_eq(mx_event_content_hash_ok(ev), 1);
        ck_assert_ptr_null(mx_event_sign(ev, "domain", key.key_id, &key.key));
        ck_assert_str_eq(text_of(mx_json_scan_get(&ev->scan, "signatures")),
                         apr_psprintf(pool, "{\"domain\":{\"ed25519:1\":\"%s\"}}", cases[i].signature));
        ck_assert_int_eq(mx_event_content_hash_ok(ev), 1);
    }
}
END_TEST

static mx_event_t *build(const char *version_name, const char *type, const char *state_key, const char *content)
{
    static const char *prev[] = { "$prev000000000000000000000000000000000000000" }, *auth[] = {
        "$auth000000000000000000000000000000000000000" };
    mx_event_t *ev = NULL;
    mx_event_draft_t d = { .version = version(version_name), .room_id = "!r:domain", .sender = "@u:domain", .type = type,
                           .state_key = state_key, .content = mx_slice_str(content), .depth = 7, .origin_server_ts = 1000,
                           .prev_events = prev, .nprev = 1, .auth_events = auth, .nauth = 1, .origin = "domain" };
    const mx_error_t *err = mx_event_build(&ev, &d, pool);
    ck_assert_msg(err == NULL, "%s", err ? err->message : "");
    return ev;
}

START_TEST(built_events_are_canonical_and_read_back_the_same)
{
    int i;
    for (i = 0; mx_room_version_at(i); i++) {
        const char *name = mx_room_version_at(i)->name;
        mx_event_t *ev = build(name, "m.room.topic", "", "{\"topic\":\"a \\\"b\\\"\"}"), *again;
        mx_signing_key_t key = vector_key();
        const mx_error_t *err;
        mx_json_scan_t scan;
        ck_assert_ptr_null(mx_event_sign(ev, "domain", key.key_id, &key.key));
        ck_assert_int_eq(mx_json_scan_object(&scan, ev->pdu.p, ev->pdu.len, NULL, pool), MX_JSON_OK);
        ck_assert_int_eq(scan.canonical, 1);
        err = mx_event_parse_foreign(&again, ev->version, ev->pdu, pool);
        ck_assert_msg(err == NULL, "version %s: %s", name, err ? err->message : "");
        ck_assert_str_eq(again->event_id, ev->event_id);
        ck_assert(again->pdu.p == ev->pdu.p);
        ck_assert_int_eq(mx_event_content_hash_ok(again), 1);
        ck_assert_str_eq(again->sender, "@u:domain");
        ck_assert_str_eq(again->room_id, "!r:domain");
        ck_assert_str_eq(again->state_key, "");
        ck_assert_int_eq(again->depth, 7);
        ck_assert_int_eq(again->nprev, 1);
        ck_assert_str_eq(again->prev_events[0], "$prev000000000000000000000000000000000000000");
        ck_assert_int_eq(mx_event_is(again, "m.room.topic", ""), 1);
        ck_assert_int_eq(mx_event_is(again, "m.room.topic", NULL), 0);
        ck_assert_str_eq(mx_json_get_str(mx_event_content(again), "topic"), "a \"b\"");
    }
}
END_TEST

START_TEST(signing_does_not_change_the_id_and_a_second_signature_joins_the_first)
{
    mx_event_t *ev = build("11", "m.room.message", NULL, "{\"body\":\"x\"}");
    const char *id = ev->event_id;
    mx_signing_key_t key = vector_key();
    const mx_json_t *signatures;
    mx_json_t *redacted;
    mx_event_sign(ev, "domain", key.key_id, &key.key);
    mx_event_sign(ev, "alpha.example", "ed25519:2", &key.key);
    mx_event_id_compute(&id, ev->version, &ev->scan, pool);
    ck_assert_str_eq(id, ev->event_id);
    signatures = unit_json(text_of(mx_json_scan_get(&ev->scan, "signatures")));
    ck_assert_ptr_nonnull(mx_json_get_str(mx_json_get(signatures, "domain"), "ed25519:1"));
    ck_assert_ptr_nonnull(mx_json_get_str(mx_json_get(signatures, "alpha.example"), "ed25519:2"));
    ck_assert_str_eq(unit_canonical(text_of(ev->pdu)), text_of(ev->pdu));
    redacted = unit_json(text_of(mx_event_redact(ev->version, ev->pdu, pool)));
    ck_assert_int_eq(mx_sign_verify_json(redacted, "domain", "ed25519:1", key.key.public, pool), 1);
    ck_assert_int_eq(mx_sign_verify_json(redacted, "alpha.example", "ed25519:2", key.key.public, pool), 1);
}
END_TEST

START_TEST(a_redacted_event_keeps_its_id)
{
    int i;
    for (i = 2; mx_room_version_at(i); i++) {
        mx_event_t *ev = build(mx_room_version_at(i)->name, "m.room.member", "@u:domain",
                               "{\"displayname\":\"x\",\"membership\":\"join\"}"), *redacted;
        ck_assert_ptr_null(mx_event_parse(&redacted, ev->version, mx_event_redact(ev->version, ev->pdu, pool), NULL, pool));
        ck_assert_str_eq(redacted->event_id, ev->event_id);
        ck_assert_str_eq(text_of(redacted->content), "{\"membership\":\"join\"}");
        ck_assert_int_eq(mx_event_content_hash_ok(redacted), 0);
    }
}
END_TEST

START_TEST(redaction_leaves_nothing_of_a_content_that_is_no_object)
{
    static const char *const contents[] = { "\"x\"", "5", "[1]", "null", "\"\"" };
    int i;
    for (i = 0; i < UNIT_COUNT(contents); i++) {
        const char *pdu = apr_psprintf(pool, "{\"content\":%s,\"depth\":1,\"type\":\"m.room.create\"}", contents[i]);
        ck_assert_str_eq(text_of(mx_event_redact(version("11"), mx_slice_str(pdu), pool)),
                         "{\"content\":{},\"depth\":1,\"type\":\"m.room.create\"}");
    }
}
END_TEST

/* Rooms v3, v4: event ids. */
START_TEST(event_ids_have_their_versions_alphabet)
{
    mx_event_t *v1 = build("1", "X", NULL, "{}"), *v3, *v4;
    int i;
    ck_assert(v1->event_id[0] == '$' && strstr(v1->event_id, ":domain"));
    for (i = 0; i < 50; i++) {
        const char *content = apr_psprintf(pool, "{\"n\":%d}", i);
        v3 = build("3", "m.room.create", "", content);
        v4 = build("4", "m.room.create", "", content);
        ck_assert_uint_eq(strlen(v3->event_id), 44);
        ck_assert_uint_eq(strlen(v4->event_id), 44);
        ck_assert_ptr_null(strpbrk(v3->event_id, "-_"));
        ck_assert_ptr_null(strpbrk(v4->event_id, "+/"));
    }
}
END_TEST

/* Computed by a separate program (Python: json, hashlib) that follows the text of each room version. */
START_TEST(ids_are_those_of_an_independent_computation)
{
    static const char *const versions[] = { "3", "4", "6", "8", "9", "11", "12" };
    static const struct {
        const char *pdu, *ids[7];
    } cases[] = {
        { "{\"auth_events\":[],\"content\":{\"displayname\":\"日\\u0001\",\"join_authorised_via_users_server\":\"@j:"
          "d\",\"membership\":\"invite\",\"third_party_invite\":{\"display_name\":\"x\",\"signed\":{\"token\":\"t\""
          "}}},\"depth\":5,\"hashes\":{\"sha256\":\"TM0lesjUWJ/nonwaBpInvuP4rhwtipJRy4LNHtwTuXQ\"},\"origin\":\"d\""
          ",\"origin_server_ts\":1000,\"prev_events\":[],\"redacts\":\"$x\",\"room_id\":\"!r:d\",\"sender\":\"@u:d"
          "\",\"signatures\":{},\"state_key\":\"@t:d\",\"type\":\"m.room.member\"}",
          { "$kZw4+cI1T3BDFRRzu0E05OIm+Xs0jB530nL7nZtDmH4",
            "$kZw4-cI1T3BDFRRzu0E05OIm-Xs0jB530nL7nZtDmH4",
            "$kZw4-cI1T3BDFRRzu0E05OIm-Xs0jB530nL7nZtDmH4",
            "$kZw4-cI1T3BDFRRzu0E05OIm-Xs0jB530nL7nZtDmH4",
            "$22Qq6BNguRkfM1XtxtAlcGqfIDlPgxwN_axujgXSyvY",
            "$3umwMANqmK_kG2peQqSfcdFK6WGYgYihz6f-m4Nxi48",
            "$3umwMANqmK_kG2peQqSfcdFK6WGYgYihz6f-m4Nxi48" } },
        { "{\"auth_events\":[],\"content\":{\"ban\":1,\"invite\":2,\"notifications\":{\"room\":3},\"users\":{\"@u:d"
          "\":100}},\"depth\":5,\"hashes\":{\"sha256\":\"ScADyqfmuFg/YW+t/btVBejYvj1zJ2ocFzXlRFAJiec\"},\"origin\":"
          "\"d\",\"origin_server_ts\":1000,\"prev_events\":[],\"redacts\":\"$x\",\"room_id\":\"!r:d\",\"sender\":\""
          "@u:d\",\"signatures\":{},\"state_key\":\"\",\"type\":\"m.room.power_levels\"}",
          { "$8TkN3DyB1lI+ac0lqUccrZiII4UFYcCjbdApAslKLRM",
            "$8TkN3DyB1lI-ac0lqUccrZiII4UFYcCjbdApAslKLRM",
            "$8TkN3DyB1lI-ac0lqUccrZiII4UFYcCjbdApAslKLRM",
            "$8TkN3DyB1lI-ac0lqUccrZiII4UFYcCjbdApAslKLRM",
            "$8TkN3DyB1lI-ac0lqUccrZiII4UFYcCjbdApAslKLRM",
            "$7tQJMl9wKo2KjcU3r-o_9YpTQq9bpDf_g96kwXgwGgU",
            "$7tQJMl9wKo2KjcU3r-o_9YpTQq9bpDf_g96kwXgwGgU" } },
        { "{\"auth_events\":[],\"content\":{\"creator\":\"@u:d\",\"room_version\":\"x\"},\"depth\":5,\"hashes\":{\""
          "sha256\":\"Sd6lvTcxM05zwbqEPvVzm98G2hHyGLFuJBy9PMD/wcw\"},\"origin\":\"d\",\"origin_server_ts\":1000,\"p"
          "rev_events\":[],\"redacts\":\"$x\",\"room_id\":\"!r:d\",\"sender\":\"@u:d\",\"signatures\":{},\"state_ke"
          "y\":\"\",\"type\":\"m.room.create\"}",
          { "$nESdMl5BdxNJUs0Yr6dpOnnj7bv6VywInrb9teIt5Po",
            "$nESdMl5BdxNJUs0Yr6dpOnnj7bv6VywInrb9teIt5Po",
            "$nESdMl5BdxNJUs0Yr6dpOnnj7bv6VywInrb9teIt5Po",
            "$nESdMl5BdxNJUs0Yr6dpOnnj7bv6VywInrb9teIt5Po",
            "$nESdMl5BdxNJUs0Yr6dpOnnj7bv6VywInrb9teIt5Po",
            "$O15fxvXiGWbU4s02UlrOJGzIcpx3HpR4mN0g7rJZMVw",
            "$O15fxvXiGWbU4s02UlrOJGzIcpx3HpR4mN0g7rJZMVw" } },
        { "{\"auth_events\":[],\"content\":{\"allow\":[],\"join_rule\":\"restricted\"},\"depth\":5,\"hashes\":{\"sh"
          "a256\":\"q0iSITFXO/D9pWPv0zahae7p3QrnGoxZ0aLZMwIwInA\"},\"origin\":\"d\",\"origin_server_ts\":1000,\"pre"
          "v_events\":[],\"redacts\":\"$x\",\"room_id\":\"!r:d\",\"sender\":\"@u:d\",\"signatures\":{},\"state_key"
          "\":\"\",\"type\":\"m.room.join_rules\"}",
          { "$C/Jby7K/nXxi82G0fE6kuCMGMJos8EYI3yvuGvcZfGA",
            "$C_Jby7K_nXxi82G0fE6kuCMGMJos8EYI3yvuGvcZfGA",
            "$C_Jby7K_nXxi82G0fE6kuCMGMJos8EYI3yvuGvcZfGA",
            "$x3v3i-r4c9C_9KoFMipKbNNpCf8ZpGkAIQlvU2U6u54",
            "$x3v3i-r4c9C_9KoFMipKbNNpCf8ZpGkAIQlvU2U6u54",
            "$UOj6ZkyvcuJSVVdRMxuojduCl2vVd-jsxDACU0D0ev0",
            "$UOj6ZkyvcuJSVVdRMxuojduCl2vVd-jsxDACU0D0ev0" } },
        { "{\"auth_events\":[],\"content\":{\"body\":\"a \\\"b\\\"\"},\"depth\":5,\"hashes\":{\"sha256\":\"gE/MfU05"
          "6Bw8WuEF9SFhjtUQ7yDY/0jqHsVMbgdLnik\"},\"origin\":\"d\",\"origin_server_ts\":1000,\"prev_events\":[],\"r"
          "edacts\":\"$x\",\"room_id\":\"!r:d\",\"sender\":\"@u:d\",\"signatures\":{},\"type\":\"m.room.message\"}",
          { "$XLbePnZKqhlLv1lUgRW+AsF4uar7hbYImZmzGilUs5U",
            "$XLbePnZKqhlLv1lUgRW-AsF4uar7hbYImZmzGilUs5U",
            "$XLbePnZKqhlLv1lUgRW-AsF4uar7hbYImZmzGilUs5U",
            "$XLbePnZKqhlLv1lUgRW-AsF4uar7hbYImZmzGilUs5U",
            "$XLbePnZKqhlLv1lUgRW-AsF4uar7hbYImZmzGilUs5U",
            "$WAkFHrRZCIvTZbZMoEM0X1D-yYYz4YlPVySqa9BCRTs",
            "$WAkFHrRZCIvTZbZMoEM0X1D-yYYz4YlPVySqa9BCRTs" } },
    };
    int i, k;
    for (i = 0; i < UNIT_COUNT(cases); i++) {
        for (k = 0; k < UNIT_COUNT(versions); k++) {
            mx_event_t *ev;
            ck_assert_ptr_null(mx_event_parse_foreign(&ev, version(versions[k]), mx_slice_str(cases[i].pdu), pool));
            ck_assert_str_eq(ev->event_id, cases[i].ids[k]);
            ck_assert_int_eq(mx_event_content_hash_ok(ev), 1);
        }
    }
}
END_TEST

/* Rooms v12: event format. */
START_TEST(a_version_12_create_event_names_its_room)
{
    mx_event_t *ev = NULL, *foreign;
    mx_signing_key_t key = vector_key();
    mx_event_draft_t d = { .version = version("12"), .sender = "@u:domain", .type = "m.room.create", .state_key = "",
                           .content = MX_SLICE_LIT("{\"room_version\":\"12\"}"), .depth = 1, .origin_server_ts = 1000,
                           .origin = "domain" };
    ck_assert_ptr_null(mx_event_build(&ev, &d, pool));
    ck_assert_ptr_null(mx_event_sign(ev, "domain", key.key_id, &key.key));
    ck_assert_ptr_null(mx_json_scan_get(&ev->scan, "room_id").p);
    ck_assert_int_eq(ev->room_id[0], '!');
    ck_assert_str_eq(ev->room_id + 1, ev->event_id + 1);
    ck_assert_ptr_null(mx_event_parse_foreign(&foreign, ev->version, ev->pdu, pool));
    ck_assert_str_eq(foreign->room_id, ev->room_id);
}
END_TEST

/* CS-API: size limits. */
START_TEST(events_past_the_limits_are_not_built)
{
    mx_event_t *ev;
    char *long_key = apr_pcalloc(pool, 300), *body = apr_pcalloc(pool, MX_PDU_MAX_BYTES + 100);
    mx_event_draft_t d = { .version = version("11"), .room_id = "!r:domain", .sender = "@u:domain", .type = "X",
                           .content = MX_SLICE_LIT("{}"), .origin = "domain" };
    const mx_error_t *err;
    memset(long_key, 'k', 256);
    d.state_key = long_key;
    err = mx_event_build(&ev, &d, pool);
    ck_assert(err && err->code == MX_E_TOO_LARGE);
    long_key[255] = '\0';
    ck_assert_ptr_null(mx_event_build(&ev, &d, pool));
    memset(body, 'b', MX_PDU_MAX_BYTES);
    d.content = mx_slice_str(apr_pstrcat(pool, "{\"body\":\"", body, "\"}", NULL));
    err = mx_event_build(&ev, &d, pool);
    ck_assert(err && err->code == MX_E_TOO_LARGE && err->status == 413);
}
END_TEST

#define FOREIGN(members) \
    "{\"auth_events\":[],\"content\":{},\"depth\":1,\"hashes\":{\"sha256\":\"x\"},\"origin_server_ts\":1,\"prev_events\":[]," \
    "\"room_id\":\"!r:d\",\"sender\":\"@u:d\",\"signatures\":{},\"type\":\"X\"" members "}"

START_TEST(foreign_events_are_cleaned_of_what_is_not_theirs)
{
    mx_event_t *ev;
    ck_assert_ptr_null(mx_event_parse_foreign(&ev, version("11"),
                                              MX_SLICE_LIT(FOREIGN(",\"unsigned\":{\"age\":1},\"event_id\":\"$x\"")), pool));
    ck_assert_str_eq(text_of(ev->pdu), FOREIGN(""));
    ck_assert_ptr_null(mx_event_parse_foreign(&ev, version("11"), MX_SLICE_LIT(FOREIGN(",\"unsigned\":{\"age\":1}")), pool));
    ck_assert_str_eq(text_of(ev->pdu), FOREIGN(""));
    ck_assert_ptr_null(mx_event_parse_foreign(&ev, version("11"), MX_SLICE_LIT(" " FOREIGN("") "\n"), pool));
    ck_assert_str_eq(text_of(ev->pdu), FOREIGN(""));
    ck_assert_ptr_null(mx_event_parse_foreign(&ev, version("11"), MX_SLICE_LIT(FOREIGN(",\"unknown\":\"kept\"")), pool));
    ck_assert_str_eq(text_of(ev->pdu), FOREIGN(",\"unknown\":\"kept\""));
}
END_TEST

/** An event of that raw type (JSON), read as another server's. */
static mx_event_t *foreign_of_type(const char *raw_type, const char *sender, const char *state_key)
{
    mx_event_t *ev = NULL;
    const char *text = apr_psprintf(pool, "{\"auth_events\":[],\"content\":{\"membership\":\"join\"},\"depth\":1,"
                                    "\"hashes\":{\"sha256\":\"x\"},\"origin_server_ts\":1,\"prev_events\":[],\"room_id\":\"!r:h\","
                                    "\"sender\":\"%s\",\"signatures\":{},"
                                    "\"state_key\":\"%s\",\"type\":%s}", sender, state_key, raw_type);
    const mx_error_t *err = mx_event_parse_foreign(&ev, version("11"), mx_slice_str(text), pool);
    ck_assert_msg(err == NULL, "%s: %s", raw_type, err ? err->message : "");
    return ev;
}

START_TEST(a_type_of_the_table_is_known_by_its_number_and_no_other_is)
{
    static const char *const others[] = { "\"\"", "\"m.room.membe\"", "\"m.room.members\"", "\"M.room.member\"", "\"m.room.topic\"",
                                          "\"m.room.third_party_invites_and_more\"" };
    char text[MX_EVENT_TYPE_BYTES];
    int i;
    for (i = MX_TYPE_OTHER + 1; i < MX_TYPES; i++) {
        mx_event_t *ev = foreign_of_type(apr_psprintf(pool, "\"%s\"", mx_event_types[i]), "@u:h", "@u:h");
        apr_cpystrn(text, mx_event_types[i], sizeof(text));
        ck_assert_int_eq(ev->type_id, i);
        ck_assert(ev->type == mx_event_types[i]);
        ck_assert_int_eq(mx_event_type_of(text), MX_TYPE_OTHER);
        ck_assert_int_eq(mx_event_is(ev, text, "@u:h") && mx_event_is(ev, mx_event_types[i], "@u:h"), 1);
        ck_assert_int_eq(mx_event_type_eq(text, mx_event_types[i]) && mx_event_type_is(text, (mx_event_type_e)i), 1);
        ck_assert_int_eq(mx_event_is(ev, mx_event_types[i % (MX_TYPES - 1) + 1], "@u:h"), 0);
        ck_assert_int_eq(ev->member, i == MX_TYPE_MEMBER ? MX_MEMBERSHIP_JOIN : MX_MEMBERSHIP_NONE);
    }
    ck_assert_int_eq(foreign_of_type("\"m.room.\\u006dember\"", "@u:h", "@u:h")->type_id, MX_TYPE_MEMBER);
    for (i = 0; i < UNIT_COUNT(others); i++) {
        mx_event_t *ev = foreign_of_type(others[i], "@u:h", "");
        ck_assert_int_eq(ev->type_id, MX_TYPE_OTHER);
        ck_assert_int_eq(mx_event_is(ev, mx_event_types[MX_TYPE_MEMBER], ""), 0);
        ck_assert_int_eq(mx_event_is(ev, ev->type, ""), 1);
    }
}
END_TEST

START_TEST(users_of_any_length_are_read_whole)
{
    int len;
    for (len = 1; len < 250; len++) {
        const char *sender = apr_psprintf(pool, "@%0*d:h", len, 1), *target = apr_psprintf(pool, "@%0*d:i", 250 - len, 2);
        mx_event_t *ev = foreign_of_type("\"m.room.member\"", sender, target), *own = foreign_of_type("\"m.room.member\"", sender, sender);
        ck_assert_str_eq(ev->sender, sender);
        ck_assert_str_eq(ev->state_key, target);
        ck_assert_str_eq(ev->room_id, "!r:h");
        ck_assert_str_eq(own->sender, sender);
        ck_assert_str_eq(own->state_key, sender);
    }
}
END_TEST

START_TEST(malformed_foreign_events_are_refused)
{
    static const struct {
        const char *version, *from, *to;      /* `from` of a good event is replaced by `to` */
        int good;
    } cases[] = {
        { "11", "\"depth\":1", "\"depth\":1", 1 },
        { "11", "\"depth\":1", "\"depth\":\"1\"", 0 },
        { "11", "\"depth\":1", "\"depth\":-1", 0 },
        { "11", "\"depth\":1", "\"depth\":1.0", 0 },
        { "11", "\"depth\":1", "\"depth\":9007199254740991", 1 },
        { "11", "\"depth\":1", "\"depth\":9007199254740992", 0 },
        { "5", "\"depth\":1", "\"depth\":9007199254740992", 1 },
        { "11", "\"depth\":1,", "", 0 },
        { "11", "\"content\":{}", "\"content\":[]", 0 },
        { "11", "\"content\":{}", "\"content\":{\"n\":1.5}", 0 },
        { "5", "\"content\":{}", "\"content\":{\"n\":1.5}", 1 },
        { "11", "\"content\":{}", "\"content\":{\"s\":\"\\u0000\"}", 1 },
        { "11", "\"sender\":\"@u:d\"", "\"sender\":\"u\"", 0 },
        { "11", "\"sender\":\"@u:d\",", "", 0 },
        { "11", "\"room_id\":\"!r:d\"", "\"room_id\":\"r\"", 0 },
        { "11", "\"type\":\"X\"", "\"type\":1", 0 },
        { "11", "\"type\":\"X\"", "\"type\":\"X\",\"state_key\":1", 0 },
        { "11", "\"type\":\"X\"", "\"type\":\"X\",\"state_key\":\"\"", 1 },
        { "11", "\"origin_server_ts\":1", "\"origin_server_ts\":\"1\"", 0 },
        { "11", "\"prev_events\":[]", "\"prev_events\":{}", 0 },
        { "11", "\"prev_events\":[]", "\"prev_events\":[1]", 0 },
        { "11", "\"prev_events\":[]", "\"prev_events\":[\"x\"]", 0 },
        { "11", "\"prev_events\":[]", "\"prev_events\":[\"$prev0000000000000000000000000000000000000000\"]", 0 },
        { "11", "\"prev_events\":[]", "\"prev_events\":[\"$prev000000000000000000000000000000000000000\"]", 1 },
        { "1", "\"prev_events\":[]", "\"event_id\":\"$a:d\",\"prev_events\":[[\"$b:d\",{}]]", 1 },
        { "1", "\"prev_events\":[]", "\"event_id\":\"$a:d\",\"prev_events\":[\"$b:d\"]", 0 },
        { "1", "\"prev_events\":[]", "\"prev_events\":[]", 0 },
        { "11", "\"hashes\":{\"sha256\":\"x\"}", "\"hashes\":{}", 0 },
        { "11", "\"signatures\":{}", "\"signatures\":{\"d\":{\"k\":1}}", 0 },
        { "11", "\"signatures\":{}", "\"signatures\":{\"d\":\"x\"}", 0 },
        { "11", "\"signatures\":{},", "", 0 },
    };
    int i;
    for (i = 0; i < UNIT_COUNT(cases); i++) {
        static const char good[] = FOREIGN("");
        const char *at = strstr(good, cases[i].from);
        const char *text = apr_pstrcat(pool, apr_pstrmemdup(pool, good, (apr_size_t)(at - good)), cases[i].to,
                                       at + strlen(cases[i].from), NULL);
        mx_event_t *ev;
        const mx_error_t *err = mx_event_parse_foreign(&ev, version(cases[i].version), mx_slice_str(text), pool);
        ck_assert_msg((err == NULL) == cases[i].good, "%s: %s", text, err ? err->message : "accepted");
    }
}
END_TEST

START_TEST(events_of_the_largest_size_are_read_and_larger_ones_refused)
{
    apr_size_t frame = strlen(FOREIGN("")) + strlen("\"b\":\"\"");
    char *body = apr_pcalloc(pool, MX_PDU_MAX_BYTES + 10), *text;
    mx_event_t *ev;
    const mx_error_t *err;
    const char *at = strstr(FOREIGN(""), "{},\"depth");
    memset(body, 'b', MX_PDU_MAX_BYTES - frame);
    text = apr_psprintf(pool, "%.*s{\"b\":\"%s\"}%s", (int)(at - FOREIGN("")), FOREIGN(""), body, at + 2);
    ck_assert_uint_eq(strlen(text), MX_PDU_MAX_BYTES);
    ck_assert_ptr_null(mx_event_parse_foreign(&ev, version("11"), mx_slice_str(text), pool));
    strcat(body, "b");
    text = apr_psprintf(pool, "%.*s{\"b\":\"%s\"}%s", (int)(at - FOREIGN("")), FOREIGN(""), body, at + 2);
    err = mx_event_parse_foreign(&ev, version("11"), mx_slice_str(text), pool);
    ck_assert(err && err->code == MX_E_TOO_LARGE);
}
END_TEST

/* Rooms vN: redactions. */
START_TEST(redaction_keeps_what_each_version_keeps)
{
    static const struct {
        const char *version, *type, *content, *kept;
    } cases[] = {
        { "1", "m.room.message", "{\"body\":\"x\"}", "{}" },
        { "1", "m.room.aliases", "{\"aliases\":[],\"x\":1}", "{\"aliases\":[]}" },
        { "5", "m.room.aliases", "{\"aliases\":[],\"x\":1}", "{\"aliases\":[]}" },
        { "6", "m.room.aliases", "{\"aliases\":[],\"x\":1}", "{}" },
        { "1", "m.room.create", "{\"creator\":\"@u:d\",\"x\":1}", "{\"creator\":\"@u:d\"}" },
        { "10", "m.room.create", "{\"creator\":\"@u:d\",\"x\":1}", "{\"creator\":\"@u:d\"}" },
        { "11", "m.room.create", "{\"creator\":\"@u:d\",\"x\":1}", "{\"creator\":\"@u:d\",\"x\":1}" },
        { "12", "m.room.create", "{\"x\":1}", "{\"x\":1}" },
        { "7", "m.room.join_rules", "{\"allow\":[],\"join_rule\":\"x\"}", "{\"join_rule\":\"x\"}" },
        { "8", "m.room.join_rules", "{\"allow\":[],\"join_rule\":\"x\",\"z\":1}", "{\"allow\":[],\"join_rule\":\"x\"}" },
        { "8", "m.room.member", "{\"join_authorised_via_users_server\":\"@u:d\",\"membership\":\"join\"}",
          "{\"membership\":\"join\"}" },
        { "9", "m.room.member", "{\"join_authorised_via_users_server\":\"@u:d\",\"membership\":\"join\"}",
          "{\"join_authorised_via_users_server\":\"@u:d\",\"membership\":\"join\"}" },
        { "10", "m.room.member", "{\"membership\":\"invite\",\"third_party_invite\":{\"display_name\":\"x\",\"signed\":{\"a\":1}}}",
          "{\"membership\":\"invite\"}" },
        { "11", "m.room.member", "{\"membership\":\"invite\",\"third_party_invite\":{\"display_name\":\"x\",\"signed\":{\"a\":1}}}",
          "{\"membership\":\"invite\",\"third_party_invite\":{\"signed\":{\"a\":1}}}" },
        { "11", "m.room.member", "{\"membership\":\"invite\",\"third_party_invite\":\"x\"}", "{\"membership\":\"invite\"}" },
        { "10", "m.room.power_levels",
          "{\"ban\":1,\"events\":{},\"events_default\":2,\"invite\":3,\"kick\":4,\"notifications\":{},\"redact\":5,"
          "\"state_default\":6,\"users\":{},\"users_default\":7}",
          "{\"ban\":1,\"events\":{},\"events_default\":2,\"kick\":4,\"redact\":5,\"state_default\":6,\"users\":{},"
          "\"users_default\":7}" },
        { "11", "m.room.power_levels", "{\"ban\":1,\"invite\":3,\"notifications\":{}}", "{\"ban\":1,\"invite\":3}" },
        { "1", "m.room.history_visibility", "{\"history_visibility\":\"joined\",\"x\":1}",
          "{\"history_visibility\":\"joined\"}" },
        { "10", "m.room.redaction", "{\"reason\":\"x\",\"redacts\":\"$e\"}", "{}" },
        { "11", "m.room.redaction", "{\"reason\":\"x\",\"redacts\":\"$e\"}", "{\"redacts\":\"$e\"}" },
        { "11", "m.room.topic", "{\"topic\":\"x\"}", "{}" },
    };
    int i;
    for (i = 0; i < UNIT_COUNT(cases); i++) {
        const char *pdu = apr_psprintf(pool, "{\"content\":%s,\"type\":\"%s\"}", cases[i].content, cases[i].type);
        ck_assert_str_eq(text_of(mx_event_redact(version(cases[i].version), mx_slice_str(pdu), pool)),
                         apr_psprintf(pool, "{\"content\":%s,\"type\":\"%s\"}", cases[i].kept, cases[i].type));
    }
}
END_TEST

START_TEST(redaction_keeps_the_top_level_keys_of_its_version)
{
    static const char pdu[] =
        "{\"auth_events\":[],\"content\":{},\"depth\":1,\"event_id\":\"$e\",\"hashes\":{},\"membership\":\"join\",\"origin\":\"d\","
        "\"origin_server_ts\":1,\"prev_events\":[],\"prev_state\":[],\"redacts\":\"$x\",\"room_id\":\"!r\",\"sender\":\"@u\","
        "\"signatures\":{},\"state_key\":\"\",\"type\":\"X\",\"zzz\":1}";
    ck_assert_str_eq(text_of(mx_event_redact(version("10"), MX_SLICE_LIT(pdu), pool)),
                     "{\"auth_events\":[],\"content\":{},\"depth\":1,\"event_id\":\"$e\",\"hashes\":{},\"membership\":\"join\","
                     "\"origin\":\"d\",\"origin_server_ts\":1,\"prev_events\":[],\"prev_state\":[],\"room_id\":\"!r\","
                     "\"sender\":\"@u\",\"signatures\":{},\"state_key\":\"\",\"type\":\"X\"}");
    ck_assert_str_eq(text_of(mx_event_redact(version("11"), MX_SLICE_LIT(pdu), pool)),
                     "{\"auth_events\":[],\"content\":{},\"depth\":1,\"event_id\":\"$e\",\"hashes\":{},\"origin_server_ts\":1,"
                     "\"prev_events\":[],\"room_id\":\"!r\",\"sender\":\"@u\",\"signatures\":{},\"state_key\":\"\",\"type\":\"X\"}");
}
END_TEST

START_TEST(redacts_lives_where_the_version_wants_it)
{
    mx_event_t *ev;
    mx_event_draft_t d = { .version = version("10"), .room_id = "!r:domain", .sender = "@u:domain", .type = "m.room.redaction",
                           .redacts = "$target", .content = MX_SLICE_LIT("{\"reason\":\"x\"}"), .origin = "domain" };
    ck_assert_ptr_null(mx_event_build(&ev, &d, pool));
    ck_assert_str_eq(ev->redacts, "$target");
    ck_assert_str_eq(text_of(ev->content), "{\"reason\":\"x\"}");
    d.version = version("11");
    ck_assert_ptr_null(mx_event_build(&ev, &d, pool));
    ck_assert_str_eq(ev->redacts, "$target");
    ck_assert_str_eq(text_of(ev->content), "{\"reason\":\"x\",\"redacts\":\"$target\"}");
    ck_assert_ptr_null(mx_json_scan_get(&ev->scan, "redacts").p);
}
END_TEST

#define STORED                                                                                                            \
    "{\"auth_events\":[\"$a\"],\"content\":{\"body\":\"x}\\\"\"},\"depth\":3,\"hashes\":{\"sha256\":\"h\"},\"origin_server_ts\":5," \
    "\"prev_events\":[],\"room_id\":\"!r:d\",\"sender\":\"@u:d\",\"signatures\":{},\"state_key\":\"k\",\"type\":\"X\",\"zzz\":1}"

static const char *formatted(const char *pdu, mx_event_format_e format, const mx_event_unsigned_t *uns)
{
    mx_json_writer_t *w = mx_jw_create(pool);
    mx_jw_array(w);
    mx_event_write_raw(w, mx_slice_str(pdu), "$e", "!r:d", format, uns);
    mx_event_write_raw(w, mx_slice_str(pdu), "$e", "!r:d", format, uns);
    mx_jw_end_array(w);
    unit_json(text_of(mx_buf_slice(w->buf)));
    return apr_pstrmemdup(pool, w->buf->p + 1, (w->buf->len - 3) / 2);
}

/* CS-API: room event format. */
START_TEST(client_formats_show_their_fields_and_no_others)
{
    mx_event_unsigned_t none = { .age_ms = -1 }, age = { .age_ms = 0 };
    ck_assert_str_eq(formatted(STORED, MX_FORMAT_CLIENT, NULL),
                     "{\"content\":{\"body\":\"x}\\\"\"},\"event_id\":\"$e\",\"room_id\":\"!r:d\",\"origin_server_ts\":5,"
                     "\"sender\":\"@u:d\",\"state_key\":\"k\",\"type\":\"X\"}");
    ck_assert_str_eq(formatted(STORED, MX_FORMAT_SYNC, &none),
                     "{\"content\":{\"body\":\"x}\\\"\"},\"event_id\":\"$e\",\"origin_server_ts\":5,"
                     "\"sender\":\"@u:d\",\"state_key\":\"k\",\"type\":\"X\"}");
    ck_assert_str_eq(formatted(STORED, MX_FORMAT_STRIPPED, &age),
                     "{\"content\":{\"body\":\"x}\\\"\"},\"sender\":\"@u:d\",\"state_key\":\"k\",\"type\":\"X\"}");
    ck_assert_str_eq(formatted(STORED, MX_FORMAT_FEDERATION, NULL), STORED);
    ck_assert_str_eq(formatted("{\"a\":1}", MX_FORMAT_FEDERATION, &age), "{\"a\":1,\"unsigned\":{\"age\":0}}");
}
END_TEST

START_TEST(unsigned_holds_all_that_is_given)
{
    mx_event_unsigned_t uns = { .age_ms = 12, .transaction_id = "t\"1", .membership = "join", .prev_content = MX_SLICE_LIT("{\"a\":1}"),
                                .prev_sender = "@p:d", .replaces_state = "$o", .redacted_because = MX_SLICE_LIT("{\"b\":2}"),
                                .relations = MX_SLICE_LIT("{\"m.replace\":{}}") };
    ck_assert_ptr_nonnull(strstr(formatted(STORED, MX_FORMAT_SYNC, &uns),
                                 "\"type\":\"X\",\"unsigned\":{\"age\":12,\"m.relations\":{\"m.replace\":{}},"
                                 "\"membership\":\"join\",\"prev_content\":{\"a\":1},"
                                 "\"prev_sender\":\"@p:d\",\"redacted_because\":{\"b\":2},\"replaces_state\":\"$o\","
                                 "\"transaction_id\":\"t\\\"1\"}}"));
}
END_TEST

/* Rooms v11: moving the redacts property. */
START_TEST(redactions_are_served_with_redacts_in_both_places)
{
    static const char want[] = "{\"content\":{\"redacts\":\"$x\"},\"event_id\":\"$e\",\"origin_server_ts\":5,\"redacts\":\"$x\","
                               "\"sender\":\"@u:d\",\"type\":\"m.room.redaction\"}";
    ck_assert_str_eq(formatted("{\"content\":{},\"origin_server_ts\":5,\"redacts\":\"$x\",\"sender\":\"@u:d\","
                               "\"type\":\"m.room.redaction\"}", MX_FORMAT_SYNC, NULL), want);
    ck_assert_str_eq(formatted("{\"content\":{\"redacts\":\"$x\"},\"origin_server_ts\":5,\"sender\":\"@u:d\","
                               "\"type\":\"m.room.redaction\"}", MX_FORMAT_SYNC, NULL), want);
    ck_assert_ptr_nonnull(strstr(formatted("{\"content\":{\"reason\":\"r\"},\"origin_server_ts\":5,\"redacts\":\"$x\",\"sender\":\"@u:d\","
                                           "\"type\":\"m.room.redaction\"}", MX_FORMAT_SYNC, NULL),
                                 "{\"reason\":\"r\",\"redacts\":\"$x\"}"));
    ck_assert_ptr_null(strstr(formatted("{\"content\":{\"redacts\":5},\"origin_server_ts\":5,\"sender\":\"@u:d\","
                                        "\"type\":\"m.room.redaction\"}", MX_FORMAT_SYNC, NULL), "5,\"redacts\""));
    ck_assert_ptr_null(strstr(formatted("{\"content\":{\"redacts\":\"$x\"},\"origin_server_ts\":5,\"sender\":\"@u:d\","
                                        "\"type\":\"X\"}", MX_FORMAT_SYNC, NULL), "5,\"redacts\""));
}
END_TEST

START_TEST(key_files_are_read_and_bad_ones_explained)
{
    static const char *const bad[] = { "", "ed25519", "ed25519 1", "rsa 1 " SEED, "ed25519 1 short", "ed25519 a:b " SEED,
                                       "ed25519 1 !!!!" };
    mx_signing_key_t key;
    const char *why;
    int i;
    for (i = 0; i < UNIT_COUNT(bad); i++) {
        why = NULL;
        ck_assert_int_eq(mx_signing_key_parse(&key, &why, bad[i], pool), APR_EINVAL);
        ck_assert_ptr_nonnull(why);
    }
    ck_assert_int_eq(mx_signing_key_parse(&key, &why, mx_signing_key_generate(pool), pool), APR_SUCCESS);
    ck_assert_int_eq(strncmp(key.key_id, "ed25519:a_", 10), 0);
}
END_TEST

START_TEST(room_versions_are_found_by_name_and_number)
{
    int i;
    ck_assert_ptr_null(mx_room_version_find("13"));
    ck_assert_ptr_null(mx_room_version_find(""));
    ck_assert_ptr_null(mx_room_version_find(NULL));
    ck_assert_ptr_null(mx_room_version_by_number(0));
    ck_assert_ptr_null(mx_room_version_by_number(13));
    for (i = 1; i <= 12; i++)
        ck_assert_ptr_eq(mx_room_version_find(apr_itoa(pool, i)), mx_room_version_by_number(i));
    ck_assert_int_eq(mx_room_version_find(MX_ROOM_VERSION_DEFAULT)->creatable, 1);
}
END_TEST

UNIT_MAIN("core_event", spec_json_signing_examples_hold, a_signature_covers_keys_behind_u0000, spec_event_signing_examples_hold,
          built_events_are_canonical_and_read_back_the_same,
          signing_does_not_change_the_id_and_a_second_signature_joins_the_first, a_redacted_event_keeps_its_id,
          redaction_leaves_nothing_of_a_content_that_is_no_object,
          event_ids_have_their_versions_alphabet, ids_are_those_of_an_independent_computation,
          a_version_12_create_event_names_its_room, events_past_the_limits_are_not_built,
          foreign_events_are_cleaned_of_what_is_not_theirs,
          a_type_of_the_table_is_known_by_its_number_and_no_other_is, users_of_any_length_are_read_whole,
          malformed_foreign_events_are_refused,
          events_of_the_largest_size_are_read_and_larger_ones_refused, redaction_keeps_what_each_version_keeps,
          redaction_keeps_the_top_level_keys_of_its_version, redacts_lives_where_the_version_wants_it,
          client_formats_show_their_fields_and_no_others, unsigned_holds_all_that_is_given,
          redactions_are_served_with_redacts_in_both_places, key_files_are_read_and_bad_ones_explained,
          room_versions_are_found_by_name_and_number)
