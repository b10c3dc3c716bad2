/* SPDX-License-Identifier: Apache-2.0 */
/* matrix-doctor on rooms that were damaged on purpose: each kind of damage is found, named, and healed where it can be. */
#include "homeserver.h"

#include "store/event_id.h"
#include "store/intern.h"
#include "store/persist.h"
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
    { "update event set ord = ord - 1 where nid = :message", MX_DOCTOR_COLUMNS, "place in the timeline", 0 },
    { "update state_event set skey_nid = (select min(skey_nid) from state_event where room_nid = :room) where nid = :topic", MX_DOCTOR_COLUMNS,
      "state's type says m.room.create, the body says m.room.topic", 0 },
    { "update state_event set auth_nids = auth_nids[2:] where nid = :topic", MX_DOCTOR_COLUMNS, "auth_nids lacks its auth event", 0 },
    { "update state_event set auth_nids = auth_nids || 1::int8 where nid = :topic", MX_DOCTOR_COLUMNS, "auth_nids names 1 events", 0 },
    { "delete from state_event where nid = :topic", MX_DOCTOR_COLUMNS, "its state key says nothing, the body says .", 0 },
    { "update event set flags = flags | 1 where nid = :message", MX_DOCTOR_FLAGS, "marked as rejected, and the rules allow it", 0 },
    { "update event set flags = flags | 4 where nid = :message", MX_DOCTOR_FLAGS, "outlier and has a state before it", 0 },
    { "update event set flags = flags | 32 where nid = :message", MX_DOCTOR_FLAGS, "it is marked as a state event", 0 },
    { "update event set snap_nid = null where nid = :message", MX_DOCTOR_FLAGS, "has no state before it", 0 },
    { "update event set flags = flags | 8 where nid = :message", MX_DOCTOR_REDACTION, "its body is not the redacted form", 0 },
    { "update event set flags = flags & ~8 where nid = :redacted", MX_DOCTOR_REDACTION, "it is not marked as redacted", 0 },
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

/* ---- events that a server without other servers does not make ---- */

/** How an event is to be stored. */
typedef struct stored_t {
    const char *sender, *type, *state_key, *content;
    const char *prev[3];
    apr_int64_t before, ts;
    int flags;
    apr_int64_t heads[3], snap;      /* the room afterwards; head 0: this event; snap 0: the state after this event */
    apr_int64_t nid, after;          /* out */
    const char *id;
} stored_t;

static apr_int64_t room_number(const char *column)
{
    return database_number(apr_psprintf(pool, "select %s from room where room_id = '%s'", column, room_id));
}

static const char *id_of_nid(apr_int64_t nid)
{
    mx_event_row_t *row;
    int n;
    ck_assert_int_eq(mx_store_event_by_nids(&row, &n, server->store, &nid, 1, pool), APR_SUCCESS);
    ck_assert_int_eq(n, 1);
    return mx_store_event_id_unpack(row->id, pool);
}

/** The event's auth events and what it replaces, from the stored state before it. */
static void choose_auth(mx_event_draft_t *d, mx_persist_event_t *row, const stored_t *e)
{
    mx_state_key_t keys[MX_AUTH_KEYS_MAX];
    int i, nhits, n = mx_auth_keys(keys, d->version, e->type, e->sender, e->state_key, unit_json(e->content), pool);
    mx_state_hit_t *hits;
    for (i = 0; i < n && e->before; i++) {
        apr_int64_t skey;
        if (mx_store_intern_skey_find(&skey, server->store, keys[i].type, keys[i].state_key, pool) != APR_SUCCESS)
            continue;
        ck_assert_int_eq(mx_store_state_entries(&hits, &nhits, server->store, &e->before, 1, &skey, 1, pool), APR_SUCCESS);
        if (!nhits)
            continue;
        row->auth[row->nauth++] = hits[0].nid;
        d->auth_events[d->nauth++] = id_of_nid(hits[0].nid);
    }
    if (e->state_key && e->before) {
        ck_assert_int_eq(mx_store_state_entries(&hits, &nhits, server->store, &e->before, 1, &row->skey_nid, 1, pool), APR_SUCCESS);
        row->replaces = nhits ? hits[0].nid : 0;
    }
}

static mx_persist_snap_t snapshot_after(const stored_t *e, const mx_persist_event_t *row)
{
    unsigned char key[MX_STATE_HASH_KEY_BYTES];
    mx_persist_snap_t snap = { .pred = e->before, .skey_nid = row->skey_nid, .event = -1 };
    mx_doctor_snap_t before;
    ck_assert_int_eq(mx_store_doctor_snaps(&before, server->store, &e->before, 1, pool), APR_SUCCESS);
    ck_assert_int_eq(mx_store_state_hash_key(key, server->store, pool), APR_SUCCESS);
    snap.size = before.size + !row->replaces;
    snap.hash = before.hash;
    mx_store_state_hash_change(&snap.hash, key, row->skey_nid,
                               row->replaces ? mx_store_event_id_pack(id_of_nid(row->replaces), pool) : MX_SLICE_NONE, row->id, pool);
    return snap;
}

/** Stores an event just as told. */
static void store_event(stored_t *e)
{
    const char *auth_ids[MX_AUTH_KEYS_MAX];
    mx_event_draft_t d = { .version = mx_room_version_find("11"), .room_id = room_id, .sender = e->sender, .type = e->type,
                           .state_key = e->state_key, .content = mx_slice_str(unit_canonical(e->content)), .depth = 40,
                           .origin_server_ts = e->ts, .prev_events = e->prev, .auth_events = auth_ids, .origin = "h" };
    mx_persist_event_t row = { .flags = MX_EVENT_FLAG_LOCAL | e->flags, .before = e->before, .ts = e->ts, .depth = 40 };
    mx_persist_batch_t batch = { .events = &row, .nevents = 1, .depth = e->flags ? room_number("depth") : 40,
                                 .room_nid = room_number("room_nid"), .ver = room_number("ver") };
    mx_persist_snap_t snap;
    mx_ref_t heads[3], log_event = -1, log_snap;
    mx_slice_t head_ids[3];
    mx_state_item_t current;
    mx_persist_result_t *result;
    mx_event_t *event;
    while (d.nprev < 3 && e->prev[d.nprev])
        d.nprev++;
    ck_assert_int_eq(mx_server_user_nid(&row.sender_nid, server, e->sender, pool), APR_SUCCESS);
    ck_assert_int_eq(mx_server_type_nid(&row.type_nid, server, e->type, pool), APR_SUCCESS);
    if (e->state_key) {
        ck_assert_int_eq(mx_server_skey_nid(&row.skey_nid, server, e->type, e->state_key, pool), APR_SUCCESS);
        row.flags |= MX_EVENT_FLAG_STATE;
    }
    choose_auth(&d, &row, e);
    ck_assert_ptr_null(mx_event_build(&event, &d, pool));
    ck_assert_ptr_null(mx_event_sign(event, server->name, server->key.key_id, &server->key.key));
    e->id = event->event_id;
    row.id = mx_store_event_id_pack(event->event_id, pool);
    row.pdu = event->pdu;
    if (e->state_key && e->before && !(e->flags & MX_EVENT_FLAG_REJECTED)) {
        snap = snapshot_after(e, &row);
        batch.snaps = &snap;
        batch.nsnaps = 1;
        row.after = -1;
    }
    batch.snap = e->snap ? e->snap : row.after;
    for (; batch.nheads < 3 && (batch.nheads == 0 || e->heads[batch.nheads]); batch.nheads++) {
        heads[batch.nheads] = e->heads[batch.nheads] ? e->heads[batch.nheads] : -1;
        head_ids[batch.nheads] = heads[batch.nheads] < 0 ? row.id : mx_store_event_id_pack(id_of_nid(heads[batch.nheads]), pool);
    }
    batch.heads = heads;
    batch.head_ids = head_ids;
    log_snap = batch.snap;
    batch.log_events = &log_event;
    batch.log_snaps = &log_snap;
    batch.nlog = 1;
    current = (mx_state_item_t){ row.skey_nid, -1 };
    batch.current = &current;
    batch.ncurrent = row.after && batch.snap == row.after;
    ck_assert_int_eq(mx_store_persist_batch(&result, server->store, &batch, pool), APR_SUCCESS);
    ck_assert_int_eq(result->status, MX_PERSIST_STORED);
    e->nid = result->nids[0];
    e->after = batch.nsnaps ? result->snaps[0] : 0;
}

static const char *head_id(void)
{
    return id_of_nid(room_number("heads[1]"));
}

/** Two topics side by side, and a message that follows both: the later topic holds. */
static void fork_room(stored_t *a, stored_t *b, stored_t *both)
{
    apr_int64_t before = room_number("snap_nid");
    const char *head = head_id();
    *a = (stored_t){ .sender = "@creator:h", .type = "m.room.topic", .state_key = "", .content = "{\"topic\":\"left\"}", .prev = { head },
                     .before = before, .ts = 1000 };
    store_event(a);
    *b = (stored_t){ .sender = "@creator:h", .type = "m.room.topic", .state_key = "", .content = "{\"topic\":\"right\"}", .prev = { head },
                     .before = before, .ts = 2000, .heads = { 0, a->nid } };
    store_event(b);
    ck_assert_int_eq(examine()->findings->nelts, 0);
    *both = (stored_t){ .sender = "@a:h", .type = "m.room.message", .content = "{\"body\":\"both\"}", .prev = { a->id, b->id },
                        .before = b->after, .snap = b->after, .ts = 3000 };
    store_event(both);
}

START_TEST(forks_are_resolved_and_compared)
{
    stored_t a, b, both;
    mx_doctor_report_t *report;
    start("11");
    fork_room(&a, &b, &both);
    report = examine();
    ck_assert_msg(!report->findings->nelts, "%s", words_of(report));
    ck_assert_int_eq(report->forks, 1);
    database_sql(apr_psprintf(pool, "update event set snap_nid = %" APR_INT64_T_FMT " where nid = %" APR_INT64_T_FMT, a.after, both.nid));
    report = examine();
    ck_assert_int_eq(report->found[MX_DOCTOR_STATE_BEFORE], 1);
    ck_assert_msg(strstr(words_of(report), apr_psprintf(pool, "m.room.topic is %s instead of %s", a.id, b.id)) != NULL, "%s",
                  words_of(report));
}
END_TEST

/** What stored each event says to have been before it, whatever other events say, is not repeated for those that follow. */
START_TEST(a_wrong_state_is_told_once)
{
    mx_doctor_report_t *report;
    int i;
    start("11");
    database_sql(filled_in("update event set snap_nid = (select snap_after from state_event where nid = :topic) where nid = :message"));
    report = examine();
    ck_assert_int_eq(report->found[MX_DOCTOR_STATE_BEFORE], 1);
    furnish("11");
    database_sql(filled_in("update event set snap_nid = (select min(snap_nid) from snapshot where room_nid = :room)"
                           " where room_nid = :room and nid < :message and nid >= :message - 19 and snap_nid is not null"));
    report = examine();
    for (i = 0; i < report->findings->nelts; i++)
        ck_assert_int_eq(APR_ARRAY_IDX(report->findings, i, mx_doctor_finding_t).check, MX_DOCTOR_STATE_BEFORE);
    ck_assert_int_eq(report->found[MX_DOCTOR_STATE_BEFORE], 1);
    ck_assert_int_eq(report->follow, 18);
}
END_TEST

START_TEST(events_of_other_servers_are_judged_by_their_flags)
{
    stored_t e = { .sender = "@stranger:h", .type = "m.room.message", .content = "{\"body\":\"let me in\"}", .ts = 1 };
    apr_int64_t head;
    mx_doctor_report_t *report;
    start("11");
    database_sql("alter table event alter ord drop not null");
    head = room_number("heads[1]");
    e.prev[0] = head_id();
    e.before = e.snap = room_number("snap_nid");
    e.flags = MX_EVENT_FLAG_REJECTED;
    e.heads[0] = head;
    store_event(&e);
    report = examine();
    ck_assert_msg(!report->findings->nelts, "%s", words_of(report));
    ck_assert_int_eq(report->rejected, 1);
    database_sql(apr_psprintf(pool, "update event set flags = flags & ~1 where nid = %" APR_INT64_T_FMT, e.nid));
    report = examine();
    ck_assert_int_eq(report->found[MX_DOCTOR_AUTH_EVENTS], 1);
    ck_assert_int_eq(report->found[MX_DOCTOR_HEADS], 1);
    database_sql(apr_psprintf(pool, "update event set flags = flags | 1 where nid = %" APR_INT64_T_FMT, e.nid));
    /* soft-failed: allowed by the state before it, and no head */
    e = (stored_t){ .sender = "@a:h", .type = "m.room.message", .content = "{\"body\":\"late\"}", .ts = 2, .prev = { message_id },
                    .flags = MX_EVENT_FLAG_SOFT_FAILED, .heads = { head }, .snap = e.snap };
    e.before = database_number(filled_in("select snap_nid from event where nid = :message"));
    store_event(&e);
    /* an outlier: without a state, without a place */
    e = (stored_t){ .sender = "@a:h", .type = "m.room.message", .content = "{\"body\":\"far\"}", .ts = 3, .prev = { "$nobody:knows" },
                    .flags = MX_EVENT_FLAG_OUTLIER, .heads = { head }, .snap = e.snap };
    store_event(&e);
    report = examine();
    ck_assert_int_eq(report->found[MX_DOCTOR_FLAGS], 1);
    ck_assert(strstr(words_of(report), "an outlier and has a place in the timeline") != NULL);
    ck_assert_int_eq(report->soft_failed + report->outliers, 2);
}
END_TEST

START_TEST(a_state_at_a_gap_is_taken_as_stored)
{
    stored_t e = { .sender = "@a:h", .type = "m.room.message", .content = "{\"body\":\"after a gap\"}", .ts = 1 };
    mx_doctor_report_t *report;
    start("11");
    e.before = e.snap = room_number("snap_nid");
    e.prev[0] = head_id();
    e.prev[1] = "$nobody:knows";
    store_event(&e);
    report = examine();
    ck_assert_msg(!report->findings->nelts, "%s", words_of(report));
    ck_assert_int_eq(report->unchecked[MX_DOCTOR_GAP], 1);
}
END_TEST

START_TEST(events_marked_as_ours_are_of_our_users)
{
    mx_doctor_report_t *report;
    start("11");
    doctor.server_name = "elsewhere";
    report = examine();
    ck_assert_int_eq(report->found[MX_DOCTOR_FLAGS], report->events);
    ck_assert(strstr(words_of(report), "marked as sent by this server, and its sender is of another") != NULL);
}
END_TEST

START_TEST(one_event_is_judged_by_the_state_that_is_stored_before_it)
{
    mx_doctor_report_t *report;
    mx_event_row_t *row;
    const char *by_b;
    start("11");
    by_b = id_of_nid(database_number(filled_in("select max(nid) from event where room_nid = :room and sender_nid = :b and nid < :topic"
                                               " and flags & 32 = 0")));
    ck_assert_int_eq(mx_doctor_room_examine_event(&report, &doctor, by_b, pool), APR_SUCCESS);
    ck_assert_msg(!report->findings->nelts, "%s", words_of(report));
    ck_assert_int_eq(mx_doctor_room_examine_event(&report, &doctor, topic_id, pool), APR_SUCCESS);
    ck_assert_msg(!report->findings->nelts, "%s", words_of(report));
    ck_assert_int_eq(mx_store_event_by_id(&row, server->store, by_b, pool), APR_SUCCESS);
    database_sql(apr_psprintf(pool, "update event set snap_nid = (select snap_nid from room where room_nid = %" APR_INT64_T_FMT
                              ") where nid = %" APR_INT64_T_FMT, row->room_nid, row->nid));
    ck_assert_int_eq(mx_doctor_room_examine_event(&report, &doctor, by_b, pool), APR_SUCCESS);
    ck_assert_int_eq(report->found[MX_DOCTOR_AUTH_STATE], 1);
    ck_assert_int_eq(mx_doctor_room_examine_event(&report, &doctor, "$nobody:knows", pool), MX_STORE_NONE);
}
END_TEST

START_TEST(bytes_changed_in_the_content_break_its_hash_and_its_signature)
{
    MX_STMT(test_damage_pdu, "bb", "update event set pdu = $2::bytea where event_id = $1::bytea");
    mx_doctor_report_t *report;
    mx_event_row_t *row;
    char *text, *at;
    start("11");
    ck_assert_int_eq(mx_store_event_by_id(&row, server->store, topic_id, pool), APR_SUCCESS);
    text = mx_slice_dup(row->pdu, pool);
    at = strstr(text, "\"two\"");
    ck_assert_ptr_nonnull(at);
    at[1] = 'T';
    ck_assert_int_eq(mx_store_run(NULL, server->store, pool, &test_damage_pdu, row->id, mx_slice_str(text)), APR_SUCCESS);
    report = examine();
    ck_assert_int_eq(report->found[MX_DOCTOR_CONTENT_HASH], 1);
    ck_assert_int_eq(report->found[MX_DOCTOR_SIGNATURE], 0);     /* it covers the redacted form: the content's hash, not the topic */
    at = strstr(text, "\"depth\":");
    at[8] = at[8] == '9' ? '8' : at[8] + 1;
    ck_assert_int_eq(mx_store_run(NULL, server->store, pool, &test_damage_pdu, row->id, mx_slice_str(text)), APR_SUCCESS);
    report = examine();
    ck_assert_int_eq(report->found[MX_DOCTOR_EVENT_ID], 1);
    ck_assert_int_eq(report->found[MX_DOCTOR_SIGNATURE], 1);
    text = apr_pstrcat(pool, text, " ", NULL);
    ck_assert_int_eq(mx_store_run(NULL, server->store, pool, &test_damage_pdu, row->id, mx_slice_str(text)), APR_SUCCESS);
    ck_assert(strstr(words_of(examine()), "no canonical JSON") != NULL);
    doctor.keys->nelts = 0;
    report = examine();
    ck_assert_int_eq(report->found[MX_DOCTOR_SIGNATURE], 0);
    ck_assert_int_gt(report->unchecked[MX_DOCTOR_NO_KEY], 20);
}
END_TEST

DATABASE_MAIN("doctor", a_room_that_was_made_by_a_server_is_healthy, each_kind_of_damage_is_found_and_named,
              what_can_be_rebuilt_is_healthy_after_a_repair, forks_are_resolved_and_compared, a_wrong_state_is_told_once,
              events_of_other_servers_are_judged_by_their_flags, a_state_at_a_gap_is_taken_as_stored,
              events_marked_as_ours_are_of_our_users,
              one_event_is_judged_by_the_state_that_is_stored_before_it, bytes_changed_in_the_content_break_its_hash_and_its_signature)
