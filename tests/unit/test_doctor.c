/* SPDX-License-Identifier: Apache-2.0 */
/* matrix-doctor on rooms that were damaged on purpose: each kind of damage is found, named, and healed where it can be. */
#include "homeserver.h"

#include "tools/doctor.h"

static mx_server_t *server;
static mx_doctor_t doctor;
static const char *room_id, *message_id, *topic_id, *redacted_id;
static const char *damaged = "nothing";

/** A room with messages, state, joins, an invite, a ban and redactions. */
static void furnish(const char *version)
{
    mx_room_draft_t redaction = { .sender = "@creator:h", .type = "m.room.redaction", .content = unit_json("{}") };
    int i;
    room_id = homeserver_room(server, version, "public");
    homeserver_send(server, room_id, "@a:h", "m.room.member", "@a:h", "{\"membership\":\"join\"}");
    homeserver_send(server, room_id, "@b:h", "m.room.member", "@b:h", "{\"membership\":\"join\"}");
    homeserver_send(server, room_id, "@creator:h", "m.room.member", "@c:h", "{\"membership\":\"invite\"}");
    homeserver_send(server, room_id, "@creator:h", "m.room.topic", "", "{\"topic\":\"one\"}");
    for (i = 0; i < 20; i++)
        message_id = homeserver_send(server, room_id, i % 2 ? "@a:h" : "@b:h", "m.room.message", NULL, "{\"body\":\"x\"}");
    homeserver_send(server, room_id, "@creator:h", "m.room.member", "@b:h", "{\"membership\":\"ban\"}");
    topic_id = homeserver_send(server, room_id, "@creator:h", "m.room.topic", "", "{\"topic\":\"two\"}");
    redacted_id = homeserver_send(server, room_id, "@a:h", "m.room.message", NULL, "{\"body\":\"regret\"}");
    redaction.redacts = redacted_id;
    ck_assert_ptr_null(mx_room_send(&redacted_id, server, room_id, &redaction, 1, pool));
    redacted_id = redaction.redacts;
    homeserver_send(server, room_id, "@a:h", "m.room.message", NULL, "{\"body\":\"last\"}");
}

static void start(const char *version)
{
    mx_doctor_key_t *key;
    homeserver_reset();
    server = homeserver_child(NULL, pool);
    memset(&doctor, 0, sizeof(doctor));
    doctor.pool = pool;
    doctor.store = database_store(pool);
    doctor.server_name = "h";
    doctor.keys = apr_array_make(pool, 1, sizeof(mx_doctor_key_t));
    key = apr_array_push(doctor.keys);
    key->server = "h";
    key->key_id = server->key.key_id;
    memcpy(key->public_key, server->key.key.public, sizeof(key->public_key));
    furnish(version);
}

static mx_doctor_report_t *examine(void)
{
    mx_doctor_report_t *report = NULL;
    apr_int64_t nid;
    apr_status_t rv;
    ck_assert_int_eq(mx_store_doctor_room_find(&nid, doctor.store, room_id, pool), APR_SUCCESS);
    rv = mx_doctor_room_examine(&report, &doctor, nid, pool);
    ck_assert_msg(rv == APR_SUCCESS, "%d after %s", rv, damaged);
    return report;
}

static const char *words_of(const mx_doctor_report_t *report)
{
    const char *words = "";
    int i;
    for (i = 0; i < report->findings->nelts; i++) {
        const mx_doctor_finding_t *f = &APR_ARRAY_IDX(report->findings, i, mx_doctor_finding_t);
        words = apr_pstrcat(pool, words, f->event_id ? f->event_id : "", " ", f->words, "\n", NULL);
    }
    return words;
}

START_TEST(a_room_that_was_made_by_a_server_is_healthy)
{
    static const char *const versions[] = { "1", "3", "6", "10", "11", "12" };
    int i;
    for (i = 0; i < UNIT_COUNT(versions); i++) {
        mx_doctor_report_t *report;
        start(versions[i]);
        report = examine();
        ck_assert_msg(!report->findings->nelts, "version %s: %s", versions[i], words_of(report));
        ck_assert_int_eq(report->events, 33);
        ck_assert_int_eq(report->unchecked[MX_DOCTOR_REDACTED_HASH], 1);
        ck_assert_int_eq(report->unchecked[MX_DOCTOR_NO_KEY], 0);
        ck_assert_int_eq(report->unchecked[MX_DOCTOR_GAP], 0);
    }
}
END_TEST

/** SQL with the names of the test's room, events and people in place of :room, :message, :topic, :redacted, :b. */
static const char *filled_in(const char *sql)
{
    static const char *const names[] = { ":room", ":message", ":topic", ":redacted", ":b" };
    mx_buf_t *out = mx_buf_create(pool);
    mx_event_row_t *row;
    apr_int64_t values[5];
    const char *const ids[] = { message_id, topic_id, redacted_id };
    int i;
    ck_assert_int_eq(mx_store_doctor_room_find(&values[0], server->store, room_id, pool), APR_SUCCESS);
    for (i = 0; i < 3; i++) {
        ck_assert_int_eq(mx_store_event_by_id(&row, server->store, ids[i], pool), APR_SUCCESS);
        values[i + 1] = row->nid;
    }
    ck_assert_int_eq(mx_server_user_nid(&values[4], server, "@b:h", pool), APR_SUCCESS);
    while (*sql) {
        for (i = 0; i < UNIT_COUNT(names) && strncmp(sql, names[i], strlen(names[i])) != 0; i++) {
        }
        if (i == UNIT_COUNT(names)) {
            mx_buf_append_char(out, *sql++);
            continue;
        }
        mx_buf_append_str(out, apr_psprintf(pool, "%" APR_INT64_T_FMT, values[i]));
        sql += strlen(names[i]);
    }
    return mx_slice_dup(mx_buf_slice(out), pool);
}

static void damage(const char *sql)
{
    damaged = sql;
    database_sql(filled_in(sql));
}

#define HEALS 1
static const struct {
    const char *sql;
    mx_doctor_check_e check;
    const char *words;
    int heals;                       /* all that is wrong goes by a repair */
} damages[] = {
    { "update event set pdu = '\\x28b52ffd00' where nid = :message", MX_DOCTOR_BODY, "cannot be unpacked", 0 },
    { "update event set pdu = '{}' where nid = :message", MX_DOCTOR_BODY, "no event of this room version", 0 },
    { "update event set event_id = set_byte(event_id, 0, 255 - get_byte(event_id, 0)) where nid = :message", MX_DOCTOR_EVENT_ID,
      "the body belongs to the id $", 0 },
    { "update event set type_nid = (select type_nid from event where nid = :topic) where nid = :message", MX_DOCTOR_COLUMNS,
      "its type says m.room.topic, the body says m.room.message", 0 },
    { "update event set sender_nid = (select sender_nid from event where nid = :topic) where nid = :message", MX_DOCTOR_COLUMNS,
      "its sender says @creator:h, the body says @a:h", 0 },
    { "update event set depth = depth + 1 where nid = :message", MX_DOCTOR_COLUMNS, "column of its depth", 0 },
    { "update event set ts = 5 where nid = :message", MX_DOCTOR_COLUMNS, "origin_server_ts says 5", 0 },
    { "update event set ord = ord + 1 where nid = :message", MX_DOCTOR_COLUMNS, "place in the timeline", 0 },
    { "update state_event set skey_nid = (select min(skey_nid) from state_event where room_nid = :room) where nid = :topic", MX_DOCTOR_COLUMNS,
      "state's type says m.room.create, the body says m.room.topic", 0 },
    { "update state_event set auth_nids = auth_nids[2:] where nid = :topic", MX_DOCTOR_COLUMNS, "auth_nids lacks its auth event", 0 },
    { "update state_event set auth_nids = auth_nids || 1::int8 where nid = :topic", MX_DOCTOR_COLUMNS, "auth_nids names 1 events", 0 },
    { "delete from state_event where nid = :topic", MX_DOCTOR_COLUMNS, "its state key says nothing, the body says .", 0 },
    { "update event set flags = flags | 1 where nid = :message", MX_DOCTOR_FLAGS, "marked as rejected, and the rules allow it", 0 },
    { "update event set flags = flags | 4 where nid = :message", MX_DOCTOR_FLAGS, "outlier and has a state before it", 0 },
    { "update event set flags = flags | 32 where nid = :message", MX_DOCTOR_FLAGS, "it is marked as a state event", 0 },
    { "update event set flags = flags & ~16 where nid = :message", MX_DOCTOR_FLAGS, "it is not marked as sent by this server", 0 },
    { "update event set snap_nid = null where nid = :message", MX_DOCTOR_FLAGS, "has no state before it", 0 },
    { "update event set flags = flags | 8 where nid = :message", MX_DOCTOR_REDACTION, "its body is not the redacted form", 0 },
    { "update event set flags = flags & ~8 where nid = :redacted", MX_DOCTOR_REDACTION, "it is not marked as redacted", 0 },
    { "update event set flags = flags & ~8 where nid = :redacted", MX_DOCTOR_CONTENT_HASH, "not what its hash was made of", 0 },
    { "update event set redacted_by = :message where nid = :redacted", MX_DOCTOR_REDACTION, "which does not redact it", 0 },
    { "update event set redacted_by = 123456789 where nid = :redacted", MX_DOCTOR_REDACTION, "does not exist", 0 },
    { "update event set flags = flags | 1 where room_nid = :room and nid = (select nid from member where room_nid = :room and user_nid = :b)",
      MX_DOCTOR_FLAGS, "it is rejected and has a state after it", 0 },
    { "update event set flags = flags | 1 where nid = (select nid from cur_state join skey using (skey_nid) where room_nid = :room"
      " and state_key = '@a:h')", MX_DOCTOR_AUTH_EVENTS, "An auth event of the event was rejected", 0 },
    { "delete from snapshot where snap_nid = (select snap_after from state_event where nid = :topic)", MX_DOCTOR_SNAPSHOT, "does not exist", 0 },
    { "update snapshot set size = size + 1 where snap_nid = (select snap_after from state_event where nid = :topic)", MX_DOCTOR_SNAPSHOT,
      "entries instead of 8", 0 },
    { "update snapshot set hash = decode(md5('x'), 'hex') where snap_nid = (select snap_nid from room where room_nid = :room)",
      MX_DOCTOR_SNAPSHOT, "hash of the room's current snapshot", 0 },
    { "update snapshot set room_nid = -1 where snap_nid = (select snap_nid from event where nid = :message)", MX_DOCTOR_SNAPSHOT,
      "is of another room", 0 },
    { "update event set snap_nid = (select snap_after from state_event where nid = :topic) where nid = :message", MX_DOCTOR_STATE_BEFORE,
      "m.room.member of @b:h is $", 0 },
    { "update state_event set snap_after = (select min(snap_nid) from snapshot where room_nid = :room) where nid = :topic",
      MX_DOCTOR_STATE_AFTER, "m.room.member of @creator:h is nothing instead of $", 0 },
    { "update snapshot set delta = substr(delta, 1, octet_length(delta) - 10) where snap_nid = (select snap_after from state_event"
      " where nid = :topic)", MX_DOCTOR_STATE_AFTER, "instead of $", 0 },
    { "update snapshot set delta = substr(delta, 1, 7) where snap_nid = (select snap_after from state_event where nid = :topic)",
      MX_DOCTOR_STATE_AFTER, "damaged", 0 },
    { "update state_event set replaces = null where nid = :topic", MX_DOCTOR_REPLACES, "m.room.topic is nothing instead of $", 0 },
    { "update state_event set replaces = :message where nid = :topic", MX_DOCTOR_REPLACES, "m.room.topic is $", 0 },
    { "update room set heads = array[:message], head_ids = array[(select event_id from event where nid = :message)] where room_nid = :room",
      MX_DOCTOR_HEADS, "the events that nobody follows are 1 ($", 0 },
    { "update room set heads = '{}', head_ids = '{}' where room_nid = :room", MX_DOCTOR_HEADS, "room.heads are 0 events (none)", 0 },
    { "update room set head_ids = array[(select event_id from event where nid = :message)] where room_nid = :room", MX_DOCTOR_HEADS,
      "head_ids has another id", 0 },
    { "update room set depth = 1 where room_nid = :room", MX_DOCTOR_HEADS, "room.depth is 1", 0 },
    { "update room set last_stream = 1 where room_nid = :room", MX_DOCTOR_HEADS, "room.last_stream is 1", 0 },
    { "update room set snap_nid = (select snap_nid from event where nid = :message) where room_nid = :room", MX_DOCTOR_CURRENT_SNAPSHOT,
      "m.room.topic is $", 0 },
    { "update room set snap_nid = 123456789 where room_nid = :room", MX_DOCTOR_CURRENT_SNAPSHOT, "does not exist in this room", 0 },
    { "delete from room_state_log where room_nid = :room and stream = :topic", MX_DOCTOR_STATE_LOG, "the last row of room_state_log", 0 },
    { "update room_state_log set snap_nid = 123456789 where room_nid = :room and stream = (select min(stream) from room_state_log"
      " where room_nid = :room)", MX_DOCTOR_STATE_LOG, "1 rows of room_state_log name snapshots", 0 },
    { "delete from cur_state where room_nid = :room and nid = :topic", MX_DOCTOR_CUR_STATE, "lacks an entry of the current state: m.room.topic",
      HEALS },
    { "insert into cur_state (room_nid, skey_nid, nid) values (:room, 123456789, :topic)", MX_DOCTOR_CUR_STATE, "has an entry that", HEALS },
    { "update cur_state set nid = :message where room_nid = :room and nid = :topic", MX_DOCTOR_CUR_STATE, "has another event", HEALS },
    { "update member set membership = 2 where room_nid = :room and user_nid = :b", MX_DOCTOR_MEMBER,
      "member says join of @b:h, the current state says ban", HEALS },
    { "delete from member where room_nid = :room and user_nid = :b", MX_DOCTOR_MEMBER, "no row of @b:h, who should be there with", HEALS },
    { "insert into member (room_nid, user_nid, membership, nid, stream, local) values (:room, 123456789, 2, 1, 1, true)", MX_DOCTOR_MEMBER,
      "of whom the current state says nothing", HEALS },
    { "update member set nid = :message where room_nid = :room and user_nid = :b", MX_DOCTOR_MEMBER, "another event for @b:h", HEALS },
    { "update member set local = false where room_nid = :room and user_nid = :b", MX_DOCTOR_MEMBER, "is not of this server", HEALS },
    { "update member set stream = 1 where room_nid = :room and user_nid = :b", MX_DOCTOR_MEMBER, "known before its event was", HEALS },
    { "update room set joined = 7 where room_nid = :room", MX_DOCTOR_COUNTER, "room.joined is 7, the current state has 2", HEALS },
    { "update room set invited = 0 where room_nid = :room", MX_DOCTOR_COUNTER, "room.invited is 0", HEALS },
    { "update room set local_joined = 3 where room_nid = :room", MX_DOCTOR_COUNTER, "room.local_joined is 3", HEALS },
    { "update room_server set joined = 3 where room_nid = :room", MX_DOCTOR_ROOM_SERVER, "counts 3 members", HEALS },
    { "delete from room_server where room_nid = :room", MX_DOCTOR_ROOM_SERVER, "counts 0 members", HEALS },
};

START_TEST(each_kind_of_damage_is_found_and_named)
{
    const char *missed = "";
    int i;
    start("11");
    for (i = 0; i < UNIT_COUNT(damages); i++) {
        mx_doctor_report_t *report;
        furnish("11");
        damage(damages[i].sql);
        report = examine();
        if (!report->found[damages[i].check] || !strstr(words_of(report), damages[i].words))
            missed = apr_psprintf(pool, "%s%s: found only\n%s", missed, damages[i].sql, words_of(report));
    }
    ck_assert_msg(!*missed, "%s", missed);
}
END_TEST

START_TEST(what_can_be_rebuilt_is_healthy_after_a_repair)
{
    int i;
    start("11");
    for (i = 0; i < UNIT_COUNT(damages); i++) {
        mx_doctor_report_t *report;
        if (!damages[i].heals)
            continue;
        furnish("11");
        damage(damages[i].sql);
        doctor.repair = 1;
        report = examine();
        ck_assert_int_eq(report->repaired, 1);
        ck_assert_int_eq(mx_doctor_report_left(report), 0);
        doctor.repair = 0;
        report = examine();
        ck_assert_msg(!report->findings->nelts, "%s:\n%s", damages[i].sql, words_of(report));
    }
}
END_TEST

DATABASE_MAIN("doctor", a_room_that_was_made_by_a_server_is_healthy, each_kind_of_damage_is_found_and_named,
              what_can_be_rebuilt_is_healthy_after_a_repair)
