/* SPDX-License-Identifier: Apache-2.0 */
/* Clients of ours that sync a room which another server writes to. */
#ifndef MX_TESTS_SYNC_FAR_H
#define MX_TESTS_SYNC_FAR_H

#include "syncing.h"

#include "room/accept_pdu.h"
#include "room/facts.h"
#include "room/page.h"
#include "room/room_private.h"
#include "store/event_id.h"

#define FAR_SEED "ed25519 a_far ICEiIyQlJicoKSorLC0uLzAxMjM0NTY3ODk6Ozw9Pj8"

static mx_signing_key_t far_key;
static const char *room_id;
static mx_room_pdu_t last;
static mx_who_t *creator;

static inline int keys(unsigned char key[MX_ED25519_PUBLIC_BYTES], void *baton, const char *name, const char *key_id, apr_int64_t at_ms,
                       int check)
{
    const mx_signing_key_t *of = strcmp(name, "h") == 0 ? &server->key : &far_key;
    memcpy(key, of->key.public, MX_ED25519_PUBLIC_BYTES);
    return strcmp(of->key_id, key_id) == 0;
}

static inline mx_room_t *room_now(void)
{
    mx_room_t *room;
    ck_assert_ptr_null(mx_room_get(&room, server, room_id, 1, pool));
    return room;
}

static inline const char *head(void)
{
    return mx_store_event_id_unpack(room_now()->priv->head_ids[0], pool);
}

static inline const mx_event_row_t *row_of(const char *event_id)
{
    mx_event_row_t *row = NULL;
    ck_assert_int_eq(mx_store_event_by_id(&row, server->store, event_id, pool), APR_SUCCESS);
    return row;
}

/** The auth events that the state after `prev` gives. */
static inline int auth_after(const char **ids, const mx_event_row_t *prev, const char *sender, const char *type, const char *state_key,
                      const char *content)
{
    apr_int64_t snap = prev->skey_nid ? prev->snap_after : prev->snap_nid, skeys[MX_AUTH_KEYS_MAX], nids[MX_AUTH_KEYS_MAX];
    mx_state_key_t wanted[MX_AUTH_KEYS_MAX];
    mx_state_hit_t *hits = NULL;
    mx_event_row_t *rows = NULL;
    int n = mx_auth_keys(wanted, room_now()->version, type, sender, state_key, unit_json(content), pool);
    int i, nhits = 0, nrows = 0, nskeys = 0;
    for (i = 0; i < n; i++)
        nskeys += mx_server_skey_nid_find(&skeys[nskeys], server, wanted[i].type, wanted[i].state_key, pool) == APR_SUCCESS;
    ck_assert_int_eq(mx_store_state_entries(&hits, &nhits, server->store, &snap, 1, skeys, nskeys, pool), APR_SUCCESS);
    for (i = 0; i < nhits; i++)
        nids[i] = hits[i].nid;
    ck_assert_int_eq(mx_store_event_by_nids(&rows, &nrows, server->store, nids, nhits, pool), APR_SUCCESS);
    for (i = 0; i < nrows; i++)
        ids[i] = mx_store_event_id_unpack(rows[i].id, pool);
    return nrows;
}

#define NOW_MS apr_time_as_msec(apr_time_now())

/** An event that its sender's server made after `prev`, knowing nothing else. */
static inline mx_event_t *make_after(const char *prev, const char *sender, const char *type, const char *state_key, const char *content)
{
    static apr_int64_t clock_ms;
    const mx_event_row_t *row = row_of(prev);
    const char *auth[MX_AUTH_KEYS_MAX], *origin = strchr(sender, ':') + 1;
    const mx_signing_key_t *key = strcmp(origin, "h") == 0 ? &server->key : &far_key;
    mx_event_draft_t d = { .version = room_now()->version, .room_id = room_id, .sender = sender, .type = type, .state_key = state_key,
                           .content = mx_slice_str(unit_canonical(content)), .depth = row->depth + 1,
                           .prev_events = &prev, .nprev = 1, .auth_events = auth, .origin = origin };
    mx_event_t *event = NULL;
    clock_ms = d.origin_server_ts = NOW_MS > clock_ms ? NOW_MS : clock_ms + 1;
    d.nauth = auth_after(auth, row, sender, type, state_key, content);
    ck_assert_ptr_null(mx_event_build(&event, &d, pool));
    ck_assert_ptr_null(mx_event_sign(event, origin, key->key_id, &key->key));
    return event;
}

/** It comes and is accepted; its id. */
static inline const char *take_in(const mx_event_t *event)
{
    const mx_error_t *err = mx_room_accept_pdu(&last, server, room_id, event->pdu, keys, NULL, pool);
    ck_assert_msg(!err, "%s / %s", err ? err->message : "", err && err->detail ? err->detail : "");
    ck_assert_msg(last.outcome == MX_PDU_STORED, "outcome %d: %s", last.outcome, last.why ? last.why->message : "");
    return event->event_id;
}

static inline const char *comes(const char *prev, const char *sender, const char *type, const char *state_key, const char *content)
{
    return take_in(make_after(prev, sender, type, state_key, content));
}

/** A room of ours with @u:far, who may do what 50 lets do, and @b:h. */
static inline void fresh_room(void)
{
    const char *why;
    fresh();
    ck_assert_int_eq(mx_signing_key_parse(&far_key, &why, FAR_SEED, pool), APR_SUCCESS);
    creator = who_is("@creator:h");
    room_id = homeserver_room(server, "11", "public");
    homeserver_send(server, room_id, "@creator:h", "m.room.power_levels", "", "{\"users\":{\"@creator:h\":100,\"@u:far\":50}}");
    comes(head(), "@u:far", "m.room.member", "@u:far", "{\"membership\":\"join\"}");
    join(room_id, "@b:h");
}

static inline mx_sync_ask_t ask_of(const mx_who_t *who, apr_int64_t since)
{
    return (mx_sync_ask_t){ .who = who, .since = since, .acked = since, .filter = mx_filter_default() };
}

static inline apr_int64_t position(void)
{
    apr_int64_t now = 0;
    ck_assert(!mx_sync_position(&now, server, pool));
    return now;
}

static inline int limited(const mx_sync_answer_t *answer)
{
    return mx_json_get_bool(mx_json_get(joined(answer, room_id), "timeline"), "limited", -1);
}

static inline const char *prev_batch(const mx_sync_answer_t *answer)
{
    return mx_json_get_str(mx_json_get(joined(answer, room_id), "timeline"), "prev_batch");
}

/** The events' ids, each followed by a space. */
static inline const char *ids_of(mx_json_t *events)
{
    const char *out = "";
    apr_size_t i;
    for (i = 0; i < mx_json_len(events); i++)
        out = apr_pstrcat(pool, out, mx_json_get_str(mx_json_at(events, i), "event_id"), " ", NULL);
    return out;
}

#define IDS(...) apr_pstrcat(pool, __VA_ARGS__, NULL)

static inline const char *told(const mx_sync_answer_t *answer)
{
    return ids_of(timeline(answer, room_id));
}

static inline mx_json_t *state_of(const mx_sync_answer_t *answer, const char *list)
{
    return mx_json_get(mx_json_get(joined(answer, room_id), list), "events");
}

/** What /messages gives from a token on, backwards. */
static inline const char *messages_back_by(const char *token, int limit, const mx_event_filter_t *filter)
{
    mx_room_reader_t *reader;
    mx_room_page_t page;
    mx_room_page_ask_t ask = { .dir = MX_DIR_BACKWARD, .to = MX_ROOM_PAGE_FIRST, .limit = limit, .filter = filter };
    const char *out = "";
    int i;
    ck_assert_ptr_null(mx_room_reader_open(&reader, server, creator, room_id, pool));
    ck_assert_ptr_null(mx_room_page_token_parse(&ask.from, server, token, pool));
    ask.reader = reader;
    ck_assert_ptr_null(mx_room_page_read(&page, server, &ask, pool));
    for (i = 0; i < page.n; i++)
        out = apr_pstrcat(pool, out, mx_store_event_id_unpack(page.rows[i].id, pool), " ", NULL);
    return out;
}

static inline const char *messages_back(const char *token, int limit)
{
    return messages_back_by(token, limit, NULL);
}

static inline const char *foreign(const char *text)
{
    return comes(head(), "@u:far", "m.room.message", NULL, apr_psprintf(pool, "{\"body\":\"%s\"}", text));
}

/** From now on events come with a gap before them, stored in one transaction as its writer would do it; or not any more. */
static inline void gap_trigger(int on)
{
    static int is_on;
    if (on)
        database_sql("create or replace function test_gap() returns trigger language plpgsql as $f$ begin"
                     " insert into gap (room_nid, ord) values (new.room_nid, new.ord); return null; end $f$;"
                     " create trigger test_gap after insert on event for each row when (new.flags & 7 = 0) execute function test_gap()");
    else if (is_on)
        database_sql("drop trigger test_gap on event");
    is_on = on;
}

#endif
