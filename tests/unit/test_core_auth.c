/* SPDX-License-Identifier: Apache-2.0 */
/* Authorization rules as tables of cases, by room version. Rooms vN: authorization rules. */
#include "rooms.h"

#include "base/base64.h"
#include "core/sign.h"

#define ALL "1 2 3 4 5 6 7 8 9 10 11 12"

/** 1 if the word stands in the list. */
static int listed(const char *list, const char *word)
{
    apr_size_t len = strlen(word);
    const char *p = list;
    while ((p = strstr(p, word)) != NULL) {
        if ((p == list || p[-1] == ' ') && (p[len] == ' ' || p[len] == '\0'))
            return 1;
        p += len;
    }
    return 0;
}

static const char *const modern[] = { "10", "11", "12" };

static void check(room_t *room, const mx_event_t *ev, int allowed, const char *what)
{
    const char *refusal = room_refusal(room, ev);
    ck_assert_msg((refusal == NULL) == allowed, "version %s, %s: %s", room->version->name, what, refusal ? refusal : "allowed");
}

/* Rule 1. */
START_TEST(create_events_are_checked_by_their_version)
{
    static const struct {
        const char *what, *content, *allowed_in;
    } cases[] = {
        { "with creator", "{\"creator\":\"@creator:h\"}", ALL },
        { "without creator", "{}", "11 12" },
        { "known version", "{\"creator\":\"@creator:h\",\"room_version\":\"6\"}", ALL },
        { "unknown version", "{\"creator\":\"@creator:h\",\"room_version\":\"99\"}", "" },
        { "version no string", "{\"creator\":\"@creator:h\",\"room_version\":6}", "" },
        { "additional creators", "{\"creator\":\"@creator:h\",\"additional_creators\":[\"@b:h\"]}", ALL },
        { "bad additional creators", "{\"creator\":\"@creator:h\",\"additional_creators\":[\"b\"]}", "1 2 3 4 5 6 7 8 9 10 11" },
        { "additional creators no list", "{\"creator\":\"@creator:h\",\"additional_creators\":\"@b:h\"}",
          "1 2 3 4 5 6 7 8 9 10 11" },
        { "additional creators of numbers", "{\"creator\":\"@creator:h\",\"additional_creators\":[1]}",
          "1 2 3 4 5 6 7 8 9 10 11" },
    };
    int i, v;
    for (v = 1; v <= 12; v++) {
        const char *name = apr_itoa(pool, v);
        for (i = 0; i < UNIT_COUNT(cases); i++) {
            room_t room = { mx_room_version_find(name), v == 12 ? NULL : "!r:h", { NULL }, 0, 0 };
            check(&room, room_event(&room, "@creator:h", "m.room.create", "", cases[i].content),
                  listed(cases[i].allowed_in, name), cases[i].what);
        }
    }
}
END_TEST

START_TEST(create_events_have_no_parents_and_the_right_room_id)
{
    unsigned i;
    for (i = 0; i < 3; i++) {
        room_t room = { mx_room_version_find(modern[i]), "!r:other", { NULL }, 0, 0 };
        mx_event_t *ev = room_event(&room, "@creator:h", "m.room.create", "", "{\"creator\":\"@creator:h\"}");
        check(&room, ev, 0, "foreign or given room id");
        room.room_id = i == 2 ? NULL : "!r:h";
        ev = room_event(&room, "@creator:h", "m.room.create", "", "{\"creator\":\"@creator:h\"}");
        check(&room, ev, 1, "fitting room id");
        ev->nprev = 1;
        check(&room, ev, 0, "with a parent");
    }
}
END_TEST

/* Rules on the room: the create event, m.federate. */
START_TEST(events_of_another_or_no_room_are_refused)
{
    unsigned i;
    for (i = 0; i < 3; i++) {
        room_t *room = room_new(modern[i], NULL), *other = room_new(modern[i], "{\"creator\":\"@creator:h\",\"x\":1");
        room_t empty = { room->version, room->room_id, { NULL }, 0, 0 };
        mx_event_t *ev = room_event(room, "@creator:h", "m.room.message", NULL, "{}");
        check(room, ev, 1, "own room");
        check(&empty, ev, 0, "no create event");
        if (i == 2)
            check(other, ev, 0, "another room's create event");
    }
}
END_TEST

START_TEST(unfederated_rooms_take_only_their_own_server)
{
    unsigned i;
    for (i = 0; i < 3; i++) {
        room_t *closed = room_new(modern[i], "{\"creator\":\"@creator:h\",\"m.federate\":false");
        room_t *open = room_new(modern[i], "{\"creator\":\"@creator:h\",\"m.federate\":true");
        room_add(closed, "@creator:h", "m.room.join_rules", "", "{\"join_rule\":\"public\"}");
        room_add(open, "@creator:h", "m.room.join_rules", "", "{\"join_rule\":\"public\"}");
        check(closed, room_event(closed, "@a:other", "m.room.member", "@a:other", "{\"membership\":\"join\"}"), 0, "stranger");
        check(closed, room_event(closed, "@a:h", "m.room.member", "@a:h", "{\"membership\":\"join\"}"), 1, "local");
        check(open, room_event(open, "@a:other", "m.room.member", "@a:other", "{\"membership\":\"join\"}"), 1, "stranger, open");
    }
}
END_TEST

/** Rule "membership": who does what to whom, under which join rule, from which membership. */
typedef struct member_case_t {
    const char *sender, *target, *membership, *join_rule, *before, *allowed_in;
} member_case_t;

static const member_case_t member_cases[] = {
    /* join */
    { "@a:h", "@a:h", "join", "public", "leave", ALL },
    { "@a:h", "@a:h", "join", "public", "ban", "" },
    { "@a:h", "@a:h", "join", "public", "knock", ALL },
    { "@creator:h", "@a:h", "join", "public", "leave", "" },
    { "@a:h", "@a:h", "join", "invite", "leave", "" },
    { "@a:h", "@a:h", "join", "invite", "invite", ALL },
    { "@a:h", "@a:h", "join", "invite", "join", ALL },
    { "@a:h", "@a:h", "join", "knock", "knock", "" },
    { "@a:h", "@a:h", "join", "knock", "invite", "7 8 9 10 11 12" },
    { "@a:h", "@a:h", "join", "restricted", "leave", "" },
    { "@a:h", "@a:h", "join", "restricted", "invite", "8 9 10 11 12" },
    { "@a:h", "@a:h", "join", "restricted", "join", "8 9 10 11 12" },
    { "@a:h", "@a:h", "join", "knock_restricted", "invite", "10 11 12" },
    { "@a:h", "@a:h", "join", "knock_restricted", "leave", "" },
    { "@a:h", "@a:h", "join", "private", "invite", "" },
    { "@a:h", "@a:h", "join", "nonsense", "join", "" },
    /* invite */
    { "@creator:h", "@a:h", "invite", "invite", "leave", ALL },
    { "@creator:h", "@a:h", "invite", "invite", "knock", ALL },
    { "@creator:h", "@a:h", "invite", "invite", "invite", ALL },
    { "@creator:h", "@a:h", "invite", "invite", "join", "" },
    { "@creator:h", "@a:h", "invite", "invite", "ban", "" },
    { "@stranger:h", "@a:h", "invite", "invite", "leave", "" },
    { "@user:h", "@a:h", "invite", "invite", "leave", ALL },      /* the invite level is 0 */
    /* leave: oneself */
    { "@a:h", "@a:h", "leave", "invite", "join", ALL },
    { "@a:h", "@a:h", "leave", "invite", "invite", ALL },
    { "@a:h", "@a:h", "leave", "invite", "knock", "7 8 9 10 11 12" },
    { "@a:h", "@a:h", "leave", "invite", "leave", "" },
    { "@a:h", "@a:h", "leave", "invite", "ban", "" },
    /* leave: kick, unban */
    { "@creator:h", "@a:h", "leave", "invite", "join", ALL },
    { "@creator:h", "@a:h", "leave", "invite", "ban", ALL },
    { "@mod:h", "@a:h", "leave", "invite", "join", ALL },
    { "@user:h", "@a:h", "leave", "invite", "join", "" },
    { "@stranger:h", "@a:h", "leave", "invite", "join", "" },
    { "@mod:h", "@mod2:h", "leave", "invite", "join", "" },
    { "@mod:h", "@creator:h", "leave", "invite", "join", "" },
    /* ban */
    { "@creator:h", "@a:h", "ban", "invite", "join", ALL },
    { "@mod:h", "@a:h", "ban", "invite", "leave", ALL },
    { "@user:h", "@a:h", "ban", "invite", "join", "" },
    { "@stranger:h", "@a:h", "ban", "invite", "join", "" },
    { "@mod:h", "@mod2:h", "ban", "invite", "join", "" },
    /* knock */
    { "@a:h", "@a:h", "knock", "knock", "leave", "7 8 9 10 11 12" },
    { "@a:h", "@a:h", "knock", "knock_restricted", "leave", "10 11 12" },
    { "@a:h", "@a:h", "knock", "restricted", "leave", "" },
    { "@a:h", "@a:h", "knock", "public", "leave", "" },
    { "@a:h", "@a:h", "knock", "invite", "leave", "" },
    { "@creator:h", "@a:h", "knock", "knock", "leave", "" },
    { "@a:h", "@a:h", "knock", "knock", "invite", "" },
    { "@a:h", "@a:h", "knock", "knock", "join", "" },
    { "@a:h", "@a:h", "knock", "knock", "ban", "" },
    { "@a:h", "@a:h", "knock", "knock", "knock", "7 8 9 10 11 12" },
    /* unknown */
    { "@a:h", "@a:h", "dance", "public", "join", "" },
};

START_TEST(membership_changes_follow_the_table)
{
    int i, v;
    for (v = 1; v <= 12; v++) {
        const char *name = apr_itoa(pool, v);
        for (i = 0; i < UNIT_COUNT(member_cases); i++) {
            const member_case_t *c = &member_cases[i];
            room_t *room = room_new(name, NULL);
            room_add(room, "@creator:h", "m.room.power_levels", "",
                     v == 12 ? "{\"users\":{\"@mod:h\":50,\"@mod2:h\":50}}"
                             : "{\"users\":{\"@creator:h\":100,\"@mod:h\":50,\"@mod2:h\":50}}");
            room_add(room, "@creator:h", "m.room.join_rules", "",
                     apr_psprintf(pool, "{\"join_rule\":\"%s\"}", c->join_rule));
            room_member(room, "@mod:h", "@mod:h", "join");
            room_member(room, "@mod2:h", "@mod2:h", "join");
            room_member(room, "@user:h", "@user:h", "join");
            room_member(room, "@creator:h", "@a:h", c->before);
            check(room,
                  room_event(room, c->sender, "m.room.member", c->target,
                             apr_psprintf(pool, "{\"membership\":\"%s\"}", c->membership)),
                  listed(c->allowed_in, name),
                  apr_psprintf(pool, "%s makes %s %s, rule %s, before %s", c->sender, c->target, c->membership, c->join_rule,
                               c->before));
        }
    }
}
END_TEST

/* Rule "leave": an unban asks for the ban level and the kick level. */
START_TEST(lifting_a_ban_needs_the_ban_level_too)
{
    int v;
    for (v = 1; v <= 12; v++) {
        room_t *room = room_new(apr_itoa(pool, v), NULL);
        room_add(room, "@creator:h", "m.room.power_levels", "",
                 apr_psprintf(pool, "{\"ban\":60,\"kick\":50,\"users\":{%s\"@mod:h\":50,\"@high:h\":60}}",
                              v == 12 ? "" : "\"@creator:h\":100,"));
        room_member(room, "@mod:h", "@mod:h", "join");
        room_member(room, "@high:h", "@high:h", "join");
        room_member(room, "@high:h", "@a:h", "ban");
        check(room, room_event(room, "@mod:h", "m.room.member", "@a:h", "{\"membership\":\"leave\"}"), 0, "kick level alone");
        check(room, room_event(room, "@high:h", "m.room.member", "@a:h", "{\"membership\":\"leave\"}"), 1, "ban level");
    }
}
END_TEST

START_TEST(membership_events_need_state_key_and_membership)
{
    room_t *room = room_new("11", NULL);
    check(room, room_event(room, "@creator:h", "m.room.member", NULL, "{\"membership\":\"join\"}"), 0, "no state_key");
    check(room, room_event(room, "@creator:h", "m.room.member", "@creator:h", "{}"), 0, "no membership");
    check(room, room_event(room, "@creator:h", "m.room.member", "@creator:h", "{\"membership\":1}"), 0, "membership 1");
}
END_TEST

START_TEST(the_first_join_is_the_creators_alone)
{
    int v;
    for (v = 1; v <= 12; v++) {
        room_t *room = room_new(apr_itoa(pool, v), NULL);
        const char *prev[1];
        mx_event_t *ev;
        room->n = 1;                    /* nothing but the create event */
        prev[0] = room->state[0]->event_id;
        ev = room_event(room, "@creator:h", "m.room.member", "@creator:h", "{\"membership\":\"join\"}");
        check(room, ev, 0, "not straight after the create event");
        ev->prev_events = prev;
        ev->nprev = 1;
        check(room, ev, 1, "creator");
        ev = room_event(room, "@a:h", "m.room.member", "@a:h", "{\"membership\":\"join\"}");
        ev->prev_events = prev;
        ev->nprev = 1;
        check(room, ev, 0, "another user");
    }
}
END_TEST

START_TEST(restricted_joins_need_a_member_who_may_invite)
{
    static const struct {
        const char *authoriser;
        int allowed;
    } cases[] = {
        { "@creator:h", 1 }, { "@mod:h", 1 }, { "@user:h", 0 }, { "@gone:h", 0 }, { "nobody", 0 },
    };
    static const char *const names[] = { "8", "9", "10", "11", "12" };
    int i, v;
    for (v = 0; v < UNIT_COUNT(names); v++) {
        room_t *room = room_new(names[v], NULL);
        room_add(room, "@creator:h", "m.room.power_levels", "",
                 v == 4 ? "{\"invite\":50,\"users\":{\"@mod:h\":50,\"@gone:h\":50}}"
                        : "{\"invite\":50,\"users\":{\"@creator:h\":100,\"@mod:h\":50,\"@gone:h\":50}}");
        room_add(room, "@creator:h", "m.room.join_rules", "", "{\"join_rule\":\"restricted\"}");
        room_member(room, "@mod:h", "@mod:h", "join");
        room_member(room, "@user:h", "@user:h", "join");
        room_member(room, "@gone:h", "@gone:h", "leave");
        for (i = 0; i < UNIT_COUNT(cases); i++)
            check(room,
                  room_event(room, "@a:h", "m.room.member", "@a:h",
                             apr_psprintf(pool, "{\"membership\":\"join\",\"join_authorised_via_users_server\":\"%s\"}",
                                          cases[i].authoriser)),
                  cases[i].allowed, cases[i].authoriser);
    }
}
END_TEST

/* Rooms v8, rule 4.2: no server can have signed for what is no user id, whatever the membership. */
START_TEST(join_authorised_via_users_server_must_name_a_user_from_version_8_on)
{
    static const struct {
        const char *membership, *value;
        int allowed;
    } cases[] = {
        { "join", "\"@creator:h\"", 1 }, { "join", "\"nobody\"", 0 }, { "join", "5", 0 }, { "join", "null", 0 },
        { "leave", "\"@creator:h\"", 1 }, { "leave", "\"@creator\"", 0 }, { "leave", "[]", 0 },
    };
    int v, i;
    for (v = 1; v <= 12; v++) {
        room_t *room = room_new(apr_itoa(pool, v), NULL);
        room_add(room, "@creator:h", "m.room.join_rules", "", "{\"join_rule\":\"public\"}");
        room_member(room, "@a:h", "@a:h", "join");
        for (i = 0; i < UNIT_COUNT(cases); i++)
            check(room, room_event(room, "@a:h", "m.room.member", "@a:h",
                                   apr_psprintf(pool, "{\"membership\":\"%s\",\"join_authorised_via_users_server\":%s}",
                                                cases[i].membership, cases[i].value)),
                  v < 8 || cases[i].allowed, cases[i].value);
    }
}
END_TEST

/* Rule "invite with third_party_invite". */
START_TEST(third_party_invites_need_token_sender_and_signature)
{
    mx_signing_key_t key, wrong;
    const char *why, *public_key, *good, *bad;
    static const char text[] = "{\"mxid\":\"@a:h\",\"token\":\"tok\"}";
    mx_json_t *signed_part = unit_json(text), *forged = unit_json(text);
    mx_buf_t *buf = mx_buf_create(pool);
    unsigned i;
    mx_signing_key_parse(&key, &why, mx_signing_key_generate(pool), pool);
    mx_signing_key_parse(&wrong, &why, mx_signing_key_generate(pool), pool);
    public_key = mx_base64_encode(MX_BASE64_STD, key.key.public, 32, pool);
    mx_sign_json(signed_part, "id.server", &key, pool);
    mx_sign_json(forged, "id.server", &wrong, pool);
    mx_json_write_canonical(buf, signed_part);
    good = apr_psprintf(pool, "{\"membership\":\"invite\",\"third_party_invite\":{\"signed\":%.*s}}", (int)buf->len, buf->p);
    mx_buf_clear(buf);
    mx_json_write_canonical(buf, forged);
    bad = apr_psprintf(pool, "{\"membership\":\"invite\",\"third_party_invite\":{\"signed\":%.*s}}", (int)buf->len, buf->p);
    for (i = 0; i < 3; i++) {
        room_t *room = room_new(modern[i], NULL);
        check(room, room_event(room, "@creator:h", "m.room.member", "@a:h", good), 0, "no such token");
        room_add(room, "@creator:h", "m.room.third_party_invite", "tok",
                 apr_psprintf(pool, "{\"public_keys\":[{\"public_key\":\"AAAA\"},{\"public_key\":\"%s\"}]}", public_key));
        check(room, room_event(room, "@creator:h", "m.room.member", "@a:h", good), 1, "public_keys");
        check(room, room_event(room, "@creator:h", "m.room.member", "@a:h", bad), 0, "forged");
        check(room, room_event(room, "@creator:h", "m.room.member", "@b:h", good), 0, "another user");
        check(room, room_event(room, "@user:h", "m.room.member", "@a:h", good), 0, "another sender");
        check(room, room_event(room, "@creator:h", "m.room.member", "@a:h",
                               "{\"membership\":\"invite\",\"third_party_invite\":{}}"), 0, "no signed");
        room_add(room, "@creator:h", "m.room.third_party_invite", "tok",
                 apr_psprintf(pool, "{\"public_key\":\"%s\"}", public_key));
        check(room, room_event(room, "@creator:h", "m.room.member", "@a:h", good), 1, "public_key");
        room_member(room, "@creator:h", "@a:h", "ban");
        check(room, room_event(room, "@creator:h", "m.room.member", "@a:h", good), 0, "banned");
    }
}
END_TEST

START_TEST(sending_needs_membership_and_level)
{
    static const struct {
        const char *sender, *type, *state_key;
        int allowed;
    } cases[] = {
        { "@user:h", "m.room.message", NULL, 1 },
        { "@stranger:h", "m.room.message", NULL, 0 },
        { "@user:h", "m.room.topic", "", 0 },
        { "@mod:h", "m.room.topic", "", 1 },
        { "@user:h", "free.state", "", 1 },
        { "@user:h", "dear.message", NULL, 0 },
        { "@mod:h", "dear.message", NULL, 1 },
        { "@mod:h", "x", "@mod:h", 1 },
        { "@mod:h", "x", "@user:h", 0 },
        { "@creator:h", "x", "@user:h", 0 },
        { "@user:h", "m.room.third_party_invite", "t", 0 },
        { "@mod:h", "m.room.third_party_invite", "t", 1 },
        { "@mod:h", "m.room.server_acl", "", 0 },
        { "@creator:h", "m.room.server_acl", "", 1 },
    };
    unsigned i;
    int k;
    for (i = 0; i < 3; i++) {
        room_t *room = room_new(modern[i], NULL);
        room_add(room, "@creator:h", "m.room.power_levels", "",
                 apr_pstrcat(pool, "{\"invite\":30,\"events\":{\"free.state\":0,\"dear.message\":50,",
                             "\"m.room.server_acl\":100},\"users\":{",
                             i == 2 ? "" : "\"@creator:h\":100,", "\"@mod:h\":50}}", NULL));
        room_member(room, "@mod:h", "@mod:h", "join");
        room_member(room, "@user:h", "@user:h", "join");
        for (k = 0; k < UNIT_COUNT(cases); k++)
            check(room, room_event(room, cases[k].sender, cases[k].type, cases[k].state_key, "{}"), cases[k].allowed,
                  apr_psprintf(pool, "%s sends %s", cases[k].sender, cases[k].type));
    }
}
END_TEST

START_TEST(without_power_levels_the_creator_rules)
{
    int v;
    for (v = 1; v <= 12; v++) {
        room_t *room = room_new(apr_itoa(pool, v), NULL);
        room_member(room, "@user:h", "@user:h", "join");
        check(room, room_event(room, "@creator:h", "m.room.topic", "", "{}"), 1, "creator");
        check(room, room_event(room, "@user:h", "m.room.topic", "", "{}"), 0, "user");
        check(room, room_event(room, "@user:h", "m.room.message", NULL, "{}"), 1, "message");
        check(room, room_event(room, "@creator:h", "m.room.member", "@user:h", "{\"membership\":\"ban\"}"), 1, "ban");
    }
}
END_TEST

/* Rule on m.room.power_levels. The room before: see power_room(). @mod:h (50) sends, @creator:h 100, @user:h 0. */
static const struct {
    const char *what, *sender, *content, *allowed_in;
} power_cases[] = {
    { "no change", "@mod:h", "{BASE}", ALL },
    { "ban up to own level", "@mod:h", "{BASE,\"ban\":40}", ALL },
    { "kick to above own level", "@mod:h", "{BASE,\"kick\":51}", "" },
    { "removal of a level above", "@mod:h", "{USERS,\"events\":{\"high\":80,\"low\":10},\"notifications\":{\"room\":50}}", "" },
    { "event added at own level", "@mod:h",
      "{USERS,\"redact\":80,\"events\":{\"high\":80,\"low\":10,\"new\":50},\"notifications\":{\"room\":50}}", ALL },
    { "event added above", "@mod:h",
      "{USERS,\"redact\":80,\"events\":{\"high\":80,\"low\":10,\"new\":51},\"notifications\":{\"room\":50}}", "" },
    { "event above lowered", "@mod:h",
      "{USERS,\"redact\":80,\"events\":{\"high\":10,\"low\":10},\"notifications\":{\"room\":50}}", "" },
    { "event above removed", "@mod:h", "{USERS,\"redact\":80,\"events\":{\"low\":10},\"notifications\":{\"room\":50}}", "" },
    { "event below removed", "@mod:h", "{USERS,\"redact\":80,\"events\":{\"high\":80},\"notifications\":{\"room\":50}}", ALL },
    { "notification above own level", "@mod:h",
      "{USERS,\"redact\":80,\"events\":{\"high\":80,\"low\":10},\"notifications\":{\"room\":60}}", "1 2 3 4 5" },
    { "notification to own level", "@mod:h",
      "{USERS,\"redact\":80,\"events\":{\"high\":80,\"low\":10},\"notifications\":{\"room\":20}}", ALL },
    { "user raised to own level", "@mod:h", "{REST,\"users\":{CREATOR\"@mod:h\":50,\"@mod2:h\":50,\"@user:h\":50}}", ALL },
    { "user raised above", "@mod:h", "{REST,\"users\":{CREATOR\"@mod:h\":50,\"@mod2:h\":50,\"@user:h\":51}}", "" },
    { "equal demoted", "@mod:h", "{REST,\"users\":{CREATOR\"@mod:h\":50,\"@mod2:h\":0}}", "" },
    { "equal removed", "@mod:h", "{REST,\"users\":{CREATOR\"@mod:h\":50}}", "" },
    { "oneself demoted", "@mod:h", "{REST,\"users\":{CREATOR\"@mod:h\":10,\"@mod2:h\":50}}", ALL },
    { "oneself removed", "@mod:h", "{REST,\"users\":{CREATOR\"@mod2:h\":50}}", ALL },
    { "oneself raised", "@mod:h", "{REST,\"users\":{CREATOR\"@mod:h\":51,\"@mod2:h\":50}}", "" },
    { "creator demotes equal", "@creator:h", "{REST,\"users\":{CREATOR\"@mod:h\":50,\"@mod2:h\":0}}", ALL },
    { "by a user", "@user:h", "{BASE}", "" },
    { "user key no id", "@creator:h", "{REST,\"users\":{CREATOR\"@mod:h\":50,\"@mod2:h\":50,\"bob\":1}}", "" },
    { "user key with U+0000", "@creator:h", "{REST,\"users\":{CREATOR\"@mod:h\":50,\"@mod2:h\":50,\"@user:h\\u0000x\":1}}", "" },
    { "event above added whose key goes on after U+0000", "@mod:h",
      "{USERS,\"redact\":80,\"events\":{\"high\":80,\"low\":10,\"low\\u0000x\":51},\"notifications\":{\"room\":50}}", "" },
    { "users no object", "@creator:h", "{REST,\"users\":[]}", "" },
    { "user level string", "@creator:h", "{REST,\"users\":{CREATOR\"@mod:h\":50,\"@mod2:h\":50,\"@user:h\":\"10\"}}",
      "1 2 3 4 5 6 7 8 9" },
    { "user level no number", "@creator:h", "{REST,\"users\":{CREATOR\"@mod:h\":50,\"@mod2:h\":50,\"@user:h\":\"ten\"}}", "" },
    { "user level null", "@creator:h", "{REST,\"users\":{CREATOR\"@mod:h\":50,\"@mod2:h\":50,\"@user:h\":null}}", "" },
    { "ban a string", "@creator:h", "{BASE,\"ban\":\"50\"}", "1 2 3 4 5 6 7 8 9" },
    { "ban an object", "@creator:h", "{BASE,\"ban\":{}}", "1 2 3 4 5 6 7 8 9" },
    { "events no object", "@creator:h", "{USERS,\"events\":[],\"redact\":80}", "1 2 3 4 5 6 7 8 9" },
    { "events of strings", "@creator:h", "{USERS,\"events\":{\"x\":\"1\"},\"redact\":80}", "1 2 3 4 5 6 7 8 9" },
    { "notifications of booleans", "@creator:h", "{USERS,\"notifications\":{\"room\":true},\"redact\":80}", "1 2 3 4 5 6 7 8 9" },
};

static const char *replace(const char *text, const char *word, const char *by)
{
    const char *at = strstr(text, word);
    return at ? apr_pstrcat(pool, apr_pstrmemdup(pool, text, (apr_size_t)(at - text)), by, at + strlen(word), NULL) : text;
}

#define POWER_REST "\"redact\":80,\"events\":{\"high\":80,\"low\":10},\"notifications\":{\"room\":50}"

/** Writes out BASE (all), USERS, REST and CREATOR (which version 12 must not name). */
static const char *power_content(const char *text, int v)
{
    text = replace(text, "BASE", "USERS,REST");
    text = replace(text, "USERS", "\"users\":{CREATOR\"@mod:h\":50,\"@mod2:h\":50}");
    text = replace(text, "REST", POWER_REST);
    return replace(text, "CREATOR", v == 12 ? "" : "\"@creator:h\":100,");
}

START_TEST(power_level_changes_follow_the_table)
{
    int i, v;
    for (v = 1; v <= 12; v++) {
        room_t *room = room_new(apr_itoa(pool, v), NULL);
        room_add(room, "@creator:h", "m.room.power_levels", "", power_content("{BASE}", v));
        room_member(room, "@mod:h", "@mod:h", "join");
        room_member(room, "@mod2:h", "@mod2:h", "join");
        room_member(room, "@user:h", "@user:h", "join");
        for (i = 0; i < UNIT_COUNT(power_cases); i++)
            check(room,
                  room_event(room, power_cases[i].sender, "m.room.power_levels", "", power_content(power_cases[i].content, v)),
                  listed(power_cases[i].allowed_in, room->version->name), power_cases[i].what);
    }
}
END_TEST

/* Rooms v12, rule 10.4 and the notes on creators. */
START_TEST(version_12_creators_stand_above_all_numbers)
{
    room_t *room = room_new("12", "{\"additional_creators\":[\"@second:h\"]");
    room_add(room, "@creator:h", "m.room.join_rules", "", "{\"join_rule\":\"public\"}");
    room_add(room, "@creator:h", "m.room.power_levels", "", "{\"users\":{\"@mod:h\":9007199254740991}}");
    room_member(room, "@second:h", "@second:h", "join");
    room_member(room, "@mod:h", "@mod:h", "join");
    check(room, room_event(room, "@second:h", "m.room.member", "@mod:h", "{\"membership\":\"ban\"}"), 1, "creator bans mod");
    check(room, room_event(room, "@mod:h", "m.room.member", "@second:h", "{\"membership\":\"ban\"}"), 0, "mod bans creator");
    check(room, room_event(room, "@creator:h", "m.room.member", "@second:h", "{\"membership\":\"leave\"}"), 0,
          "creator kicks creator");
    check(room, room_event(room, "@creator:h", "m.room.power_levels", "", "{\"users\":{\"@creator:h\":100}}"), 0, "names sender");
    check(room, room_event(room, "@creator:h", "m.room.power_levels", "", "{\"users\":{\"@second:h\":100}}"), 0, "names second");
    check(room, room_event(room, "@second:h", "m.room.power_levels", "", "{\"users\":{\"@mod:h\":0}}"), 1, "demotes mod");
}
END_TEST

/* Rooms v1-v5, rule 4. */
START_TEST(aliases_are_special_up_to_version_5)
{
    int v;
    for (v = 1; v <= 12; v++) {
        room_t *room = room_new(apr_itoa(pool, v), NULL);
        check(room, room_event(room, "@stranger:o", "m.room.aliases", "o", "{}"), v <= 5, "stranger, own server");
        check(room, room_event(room, "@stranger:o", "m.room.aliases", "h", "{}"), 0, "stranger, another server");
        check(room, room_event(room, "@creator:h", "m.room.aliases", NULL, "{}"), v > 5, "no state_key");
    }
}
END_TEST

/* Rooms v1, v2, rule 11; Rooms v3: handling redactions. */
START_TEST(redactions_are_checked_by_the_rules_only_in_versions_1_and_2)
{
    int v;
    for (v = 1; v <= 12; v++) {
        room_t *room = room_new(apr_itoa(pool, v), NULL);
        mx_event_t *ev;
        room_member(room, "@user:h", "@user:h", "join");
        ev = room_event(room, "@user:h", "m.room.redaction", NULL, "{}");
        ev->redacts = "$x:other";
        check(room, ev, v > 2, "another server's event");
        ev->redacts = "$x:h";
        check(room, ev, 1, "the same server's event");
        ev = room_event(room, "@creator:h", "m.room.redaction", NULL, "{}");
        ev->redacts = "$x:other";
        check(room, ev, 1, "by the creator");
    }
}
END_TEST

/* Rooms v1: power levels as strings and floats. */
START_TEST(old_rooms_read_levels_from_strings)
{
    static const struct {
        const char *level;
        apr_int64_t value;
    } cases[] = {
        { "\"100\"", 100 }, { "\" 00100 \"", 100 }, { "\"+100\"", 100 }, { "\" -100 \"", -100 }, { "\"1.5\"", 7 },
        { "\"\"", 7 }, { "\"+\"", 7 }, { "\"1 0\"", 7 }, { "50.57", 50 }, { "-50.57", -50 }, { "true", 7 },
        { "\"99999999999999999999\"", 7 },
    };
    int i;
    for (i = 0; i < UNIT_COUNT(cases); i++) {
        room_t *room = room_new("5", NULL);
        const mx_event_t *pl = room_add(room, "@creator:h", "m.room.power_levels", "",
                                        apr_psprintf(pool, "{\"users_default\":7,\"users\":{\"@a:h\":%s}}", cases[i].level));
        ck_assert_int_eq(mx_power_user(mx_power_create(room->state[0], pl, pool), "@a:h"), cases[i].value);
        room->version = mx_room_version_find("10");
    }
}
END_TEST

START_TEST(levels_have_the_specs_defaults)
{
    room_t *room = room_new("11", NULL);
    mx_power_t *none = mx_power_create(room->state[0], NULL, pool);
    mx_power_t *some = mx_power_create(room->state[0], room_event(room, "@creator:h", "m.room.power_levels", "", "{}"), pool);
    mx_power_t *both[] = { none, some };
    int i;
    for (i = 0; i < 2; i++) {
        ck_assert_int_eq(mx_power_event(both[i], "x", 1), 50);
        ck_assert_int_eq(mx_power_event(both[i], "x", 0), 0);
        ck_assert_int_eq(mx_power_action(both[i], MX_POWER_BAN), 50);
        ck_assert_int_eq(mx_power_action(both[i], MX_POWER_KICK), 50);
        ck_assert_int_eq(mx_power_action(both[i], MX_POWER_REDACT), 50);
        ck_assert_int_eq(mx_power_action(both[i], MX_POWER_INVITE), 0);
        ck_assert_int_eq(mx_power_notification(both[i], "room"), 50);
        ck_assert_int_eq(mx_power_user(both[i], "@a:h"), 0);
    }
    ck_assert_int_eq(mx_power_user(none, "@creator:h"), 100);
    ck_assert_int_eq(mx_power_user(some, "@creator:h"), 0);
}
END_TEST

/* SS-API: auth events selection. */
START_TEST(auth_events_are_selected_by_type_and_version)
{
    static const struct {
        const char *version, *type, *state_key, *content, *keys;
    } cases[] = {
        { "11", "m.room.create", "", "{}", "" },
        { "11", "m.room.message", NULL, "{}", "create| power_levels| member|@s:h " },
        { "12", "m.room.message", NULL, "{}", "power_levels| member|@s:h " },
        { "11", "m.room.member", "@s:h", "{\"membership\":\"join\"}", "create| power_levels| member|@s:h join_rules| " },
        { "12", "m.room.member", "@t:h", "{\"membership\":\"invite\"}", "power_levels| member|@s:h member|@t:h join_rules| " },
        { "12", "m.room.member", "@t:h", "{\"membership\":\"ban\"}", "power_levels| member|@s:h member|@t:h " },
        { "12", "m.room.member", "@s:h", "{\"membership\":\"knock\"}", "power_levels| member|@s:h join_rules| " },
        { "12", "m.room.member", "@t:h", "{\"membership\":\"invite\",\"third_party_invite\":{\"signed\":{\"token\":\"k\"}}}",
          "power_levels| member|@s:h member|@t:h join_rules| third_party_invite|k " },
        { "12", "m.room.member", "@s:h", "{\"membership\":\"join\",\"join_authorised_via_users_server\":\"@j:h\"}",
          "power_levels| member|@s:h join_rules| member|@j:h " },
        { "7", "m.room.member", "@s:h", "{\"membership\":\"join\",\"join_authorised_via_users_server\":\"@j:h\"}",
          "create| power_levels| member|@s:h join_rules| " },
    };
    int i, k;
    for (i = 0; i < UNIT_COUNT(cases); i++) {
        mx_state_key_t keys[MX_AUTH_KEYS_MAX];
        const char *got = "";
        int n = mx_auth_keys(keys, mx_room_version_find(cases[i].version), cases[i].type, "@s:h", cases[i].state_key,
                             unit_json(cases[i].content), pool);
        for (k = 0; k < n; k++)
            got = apr_pstrcat(pool, got, keys[k].type + strlen("m.room."), "|", keys[k].state_key, " ", NULL);
        ck_assert_str_eq(got, cases[i].keys);
    }
}
END_TEST

START_TEST(lists_of_auth_events_are_checked)
{
    unsigned i;
    for (i = 0; i < 3; i++) {
        room_t *room = room_new(modern[i], NULL), *other = room_new(modern[i], "{\"creator\":\"@creator:h\",\"y\":1");
        const mx_event_t *create = room->state[0], *member = room->state[1];
        const mx_event_t *pl = room_add(room, "@creator:h", "m.room.power_levels", "", "{}");
        const mx_event_t *pl2 = room_add(room, "@creator:h", "m.room.power_levels", "", "{\"ban\":1}");
        const mx_event_t *topic = room_add(room, "@creator:h", "m.room.topic", "", "{}");
        mx_event_t *stranger = room_add(other, "@creator:h", "m.room.power_levels", "", "{}");
        const mx_event_t *ev = room_event(room, "@creator:h", "m.room.message", NULL, "{}");
        const mx_event_t *good[] = { create, pl, member };
        const mx_event_t *doubled[] = { create, pl, pl2, member }, *odd[] = { create, pl, member, topic };
        const mx_event_t *foreign[] = { create, stranger, member }, *rejected[] = { create, NULL, member };
        int skip = i == 2;              /* version 12 does not list the create event */
        stranger->room_id = "!other:h";
        ck_assert_ptr_null(mx_auth_check_list(ev, good + skip, 3 - skip, pool));
        ck_assert_ptr_nonnull(mx_auth_check_list(ev, good + !skip, 3 - !skip, pool));
        ck_assert_ptr_nonnull(mx_auth_check_list(ev, doubled + skip, 4 - skip, pool));
        ck_assert_ptr_nonnull(mx_auth_check_list(ev, odd + skip, 4 - skip, pool));
        ck_assert_ptr_nonnull(mx_auth_check_list(ev, foreign + skip, 3 - skip, pool));
        ck_assert_ptr_nonnull(mx_auth_check_list(ev, rejected + skip, 3 - skip, pool));
        ck_assert_ptr_null(mx_auth_check_list(create, NULL, 0, pool));
    }
}
END_TEST

UNIT_MAIN("core_auth", create_events_are_checked_by_their_version, create_events_have_no_parents_and_the_right_room_id,
          events_of_another_or_no_room_are_refused, unfederated_rooms_take_only_their_own_server,
          membership_changes_follow_the_table, lifting_a_ban_needs_the_ban_level_too, membership_events_need_state_key_and_membership,
          the_first_join_is_the_creators_alone, restricted_joins_need_a_member_who_may_invite,
          join_authorised_via_users_server_must_name_a_user_from_version_8_on,
          third_party_invites_need_token_sender_and_signature, sending_needs_membership_and_level,
          without_power_levels_the_creator_rules, power_level_changes_follow_the_table,
          version_12_creators_stand_above_all_numbers, aliases_are_special_up_to_version_5,
          redactions_are_checked_by_the_rules_only_in_versions_1_and_2, old_rooms_read_levels_from_strings,
          levels_have_the_specs_defaults, auth_events_are_selected_by_type_and_version, lists_of_auth_events_are_checked)
