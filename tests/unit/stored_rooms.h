/* SPDX-License-Identifier: Apache-2.0 */
/* Made-up rooms with forks in the database of a test: events, auth edges and snapshots, without room/accept.c. */
#ifndef MX_TESTS_STORED_ROOMS_H
#define MX_TESTS_STORED_ROOMS_H

#include "homeserver.h"

#include "store/event_id.h"
#include "store/resolve.h"

#include <apr_hash.h>
#include <apr_tables.h>

/** A room with all its events. */
typedef struct stored_room_t {
    mx_server_t *server;
    const mx_room_version_t *version;
    const char *room_id;
    apr_int64_t nid;
    unsigned char hash_key[MX_STATE_HASH_KEY_BYTES];
    apr_hash_t *events;              /* id: stored_event_t */
    apr_array_header_t *unsaved;     /* stored_event_t * */
    apr_hash_t *skeys;               /* type NUL state_key: apr_int64_t */
} stored_room_t;

typedef struct stored_event_t {
    const mx_event_t *event;
    apr_int64_t nid, skey_nid;
    int rejected;
} stored_event_t;

/** One line of events: its state is that of `from` with what is in `own`. */
typedef struct branch_t {
    stored_room_t *room;
    const struct branch_t *from;
    apr_hash_t *own;                 /* type NUL state_key: stored_event_t */
    apr_array_header_t *changed;     /* keys changed since the last snapshot: const char * of event ids */
    apr_int64_t snap, clock, depth;
    int size;
    mx_state_hash_t hash;
} branch_t;

static inline char *stored_key(apr_size_t *plen, const char *type, const char *state_key)
{
    apr_size_t ntype = strlen(type) + 1, nkey = strlen(state_key);
    char *key = apr_palloc(pool, ntype + nkey);
    memcpy(key, type, ntype);
    memcpy(key + ntype, state_key, nkey);
    *plen = ntype + nkey;
    return key;
}

static inline stored_event_t *branch_get(const branch_t *b, const char *type, const char *state_key)
{
    apr_size_t len;
    char *key = stored_key(&len, type, state_key);
    stored_event_t *found = NULL;
    for (; b && !found; b = b->from)
        found = apr_hash_get(b->own, key, (apr_ssize_t)len);
    return found;
}

static inline const mx_event_t *branch_state(void *baton, const char *type, const char *state_key)
{
    stored_event_t *found = branch_get(baton, type, state_key);
    return found ? found->event : NULL;
}

/** An event after the branch, authorised by its state; not in it, not stored. */
static inline mx_event_t *branch_event(branch_t *b, const char *sender, const char *type, const char *state_key, const char *content)
{
    mx_event_t *ev = NULL;
    mx_state_key_t keys[MX_AUTH_KEYS_MAX];
    const char *auth[MX_AUTH_KEYS_MAX];
    mx_event_draft_t d = { .version = b->room->version, .room_id = b->room->room_id, .sender = sender, .type = type, .state_key = state_key,
                           .content = mx_slice_str(unit_canonical(content)), .depth = ++b->depth, .origin_server_ts = ++b->clock,
                           .auth_events = auth, .origin = "h" };
    int i, n = mx_auth_keys(keys, d.version, type, sender, state_key, unit_json(content), pool);
    for (i = 0; i < n; i++) {
        const mx_event_t *found = branch_state(b, keys[i].type, keys[i].state_key);
        if (found)
            auth[d.nauth++] = found->event_id;
    }
    ck_assert_ptr_null(mx_event_build(&ev, &d, pool));
    return ev;
}

/** Stores the event with the next branch_save(); not in any state yet. */
static inline stored_event_t *stored_add(stored_room_t *room, const mx_event_t *ev)
{
    stored_event_t *made = apr_pcalloc(pool, sizeof(*made));
    made->event = ev;
    apr_hash_set(room->events, ev->event_id, APR_HASH_KEY_STRING, made);
    APR_ARRAY_PUSH(room->unsaved, stored_event_t *) = made;
    return made;
}

static inline void branch_set(branch_t *b, stored_event_t *event)
{
    apr_size_t len;
    char *key = stored_key(&len, event->event->type, event->event->state_key);
    stored_event_t *old = branch_get(b, event->event->type, event->event->state_key);
    if (!old)
        b->size++;
    apr_hash_set(b->own, key, (apr_ssize_t)len, event);
    APR_ARRAY_PUSH(b->changed, stored_event_t *) = event;
    APR_ARRAY_PUSH(b->changed, stored_event_t *) = old;
}

static inline stored_event_t *branch_add(branch_t *b, const char *sender, const char *type, const char *state_key, const char *content)
{
    stored_event_t *made = stored_add(b->room, branch_event(b, sender, type, state_key, content));
    branch_set(b, made);
    return made;
}

static inline stored_event_t *branch_member(branch_t *b, const char *sender, const char *user, const char *membership)
{
    return branch_add(b, sender, "m.room.member", user, apr_psprintf(pool, "{\"membership\":\"%s\"}", membership));
}

static inline void stored_number_skeys(stored_room_t *room)
{
    MX_STMT(test_types, "S", "insert into ev_type (type) select distinct u from unnest($1::text[]) u on conflict do nothing");
    MX_STMT(test_skeys, "SS",
            "insert into skey (type_nid, state_key) select distinct t.type_nid, u.k from unnest($1::text[], $2::text[]) u(type, k)"
            " join ev_type t on t.type = u.type on conflict do nothing");
    int i, n = room->unsaved->nelts;
    mx_state_key_t *keys = apr_palloc(pool, sizeof(*keys) * (apr_size_t)n);
    const char **types = apr_palloc(pool, sizeof(*types) * (apr_size_t)n), **state_keys = apr_palloc(pool,
            sizeof(*state_keys) * (apr_size_t)n);
    apr_int64_t *nids = apr_palloc(pool, sizeof(*nids) * (apr_size_t)n);
    for (i = 0; i < n; i++) {
        const mx_event_t *ev = APR_ARRAY_IDX(room->unsaved, i, stored_event_t *)->event;
        keys[i] = (mx_state_key_t){ types[i] = ev->type, state_keys[i] = ev->state_key };
    }
    ck_assert_int_eq(mx_store_run(NULL, room->server->store, pool, &test_types, types, n), APR_SUCCESS);
    ck_assert_int_eq(mx_store_run(NULL, room->server->store, pool, &test_skeys, types, n, state_keys, n), APR_SUCCESS);
    ck_assert_int_eq(mx_store_resolve_skeys(nids, room->server->store, keys, n, pool), APR_SUCCESS);
    for (i = 0; i < n; i++)
        APR_ARRAY_IDX(room->unsaved, i, stored_event_t *)->skey_nid = nids[i];
}

static inline void stored_insert_edges(stored_room_t *room, const apr_int64_t *nids, const apr_int64_t *skeys, int n)
{
    MX_STMT(test_edges, "lLLLII",
            "insert into state_event (nid, room_nid, skey_nid, auth_nids, snap_after)"
            " select u.nid, $1::int8, u.skey, ($4::int8[])[coalesce(($5::int4[])[u.i - 1], 0) + 1:($5::int4[])[u.i]],"
            " case when ($6::int4[])[u.i] & 1 = 0 then 1 end"
            " from unnest($2::int8[], $3::int8[]) with ordinality u(nid, skey, i)");
    apr_array_header_t *auth = apr_array_make(pool, n * 4, sizeof(apr_int64_t));
    int *ends = apr_palloc(pool, sizeof(*ends) * (apr_size_t)n), *flags = apr_palloc(pool, sizeof(*flags) * (apr_size_t)n), i, k;
    for (i = 0; i < n; i++) {
        const stored_event_t *made = APR_ARRAY_IDX(room->unsaved, i, stored_event_t *);
        for (k = 0; k < made->event->nauth; k++) {
            const stored_event_t *other = apr_hash_get(room->events, made->event->auth_events[k], APR_HASH_KEY_STRING);
            if (other && other->nid)
                APR_ARRAY_PUSH(auth, apr_int64_t) = other->nid;
        }
        ends[i] = auth->nelts;
        flags[i] = made->rejected;
    }
    ck_assert_int_eq(mx_store_run(NULL, room->server->store, pool, &test_edges, room->nid, nids, n, skeys, n, (apr_int64_t *)auth->elts,
                                  auth->nelts, ends, n, flags, n), APR_SUCCESS);
}

/** Gives all new events their nids, in the order in which they were made, and stores them. */
static inline void stored_save(stored_room_t *room)
{
    MX_STMT(test_nids, "i", "select unnest(stream_next_n($1::int4))");
    MX_STMT(test_events, "lLLLIBB",
            "insert into event (nid, room_nid, ord, ts, sender_nid, depth, type_nid, flags, event_id, pdu)"
            " select u.nid, $1::int8, u.nid, u.ts, 1, u.depth, 1, u.flags, u.id, u.pdu"
            " from unnest($2::int8[], $3::int8[], $4::int8[], $5::int4[], $6::bytea[], $7::bytea[]) u(nid, ts, depth, flags, id, pdu)");
    int i, n = room->unsaved->nelts;
    apr_int64_t *nids = apr_palloc(pool, sizeof(*nids) * (apr_size_t)(n + 1)), *ts = apr_palloc(pool, sizeof(*ts) * (apr_size_t)(n + 1)),
                *depths = apr_palloc(pool, sizeof(*depths) * (apr_size_t)(n + 1)), *skeys = apr_palloc(pool,
                        sizeof(*skeys) * (apr_size_t)(n + 1));
    int *flags = apr_palloc(pool, sizeof(*flags) * (apr_size_t)(n + 1));
    mx_slice_t *ids = apr_palloc(pool, sizeof(*ids) * (apr_size_t)(n + 1)), *pdus = apr_palloc(pool, sizeof(*pdus) * (apr_size_t)(n + 1));
    mx_rows_t *rows;
    if (!n)
        return;
    stored_number_skeys(room);
    ck_assert_int_eq(mx_store_run(&rows, room->server->store, pool, &test_nids, n), APR_SUCCESS);
    for (i = 0; i < n; i++) {
        stored_event_t *made = APR_ARRAY_IDX(room->unsaved, i, stored_event_t *);
        nids[i] = made->nid = mx_row_int(rows, i, 0);
        skeys[i] = made->skey_nid;
        ts[i] = made->event->origin_server_ts;
        depths[i] = made->event->depth;
        flags[i] = MX_EVENT_FLAG_STATE | (made->rejected ? MX_EVENT_FLAG_REJECTED : 0);
        ids[i] = mx_store_event_id_pack(made->event->event_id, pool);
        pdus[i] = made->event->pdu;
    }
    ck_assert_int_eq(mx_store_run(NULL, room->server->store, pool, &test_events, room->nid, nids, n, ts, n, depths, n,
            flags, n, ids, n, pdus, n),
                     APR_SUCCESS);
    stored_insert_edges(room, nids, skeys, n);
    room->unsaved->nelts = 0;
}

/** Stores what is new and makes a snapshot of the branch's state; its nid. */
static inline apr_int64_t branch_save(branch_t *b)
{
    MX_STMT(test_branch_snapshot, "llLLib", "select snapshot_add($1::int8, $2::int8, $3::int8[], $4::int8[], $5::int4, $6::bytea)");
    int i, n = 0;
    apr_int64_t *skeys = apr_palloc(pool, sizeof(*skeys) * (apr_size_t)(b->changed->nelts + 1));
    apr_int64_t *nids = apr_palloc(pool, sizeof(*nids) * (apr_size_t)(b->changed->nelts + 1));
    mx_rows_t *rows;
    stored_save(b->room);
    if (!b->changed->nelts)
        return b->snap;
    for (i = 0; i < b->changed->nelts; i += 2) {
        const stored_event_t *now = APR_ARRAY_IDX(b->changed, i, stored_event_t *), *old = APR_ARRAY_IDX(b->changed,
                i + 1, stored_event_t *);
        mx_store_state_hash_change(&b->hash, b->room->hash_key, now->skey_nid,
                                   old ? mx_store_event_id_pack(old->event->event_id, pool) : MX_SLICE_NONE,
                                   mx_store_event_id_pack(now->event->event_id, pool), pool);
        if (branch_get(b, now->event->type, now->event->state_key) != now)
            continue;
        skeys[n] = now->skey_nid;
        nids[n++] = now->nid;
    }
    ck_assert_int_eq(mx_store_run(&rows, b->room->server->store, pool, &test_branch_snapshot, b->room->nid, b->snap,
            skeys, n, nids, n, b->size,
                                  mx_slice((const char *)b->hash.bytes, sizeof(b->hash.bytes))), APR_SUCCESS);
    b->snap = mx_row_int(rows, 0, 0);
    b->changed->nelts = 0;
    return b->snap;
}

/** The other side of a fork: same state so far, a clock of its own. Save `from` before. */
static inline branch_t *branch_fork(const branch_t *from, apr_int64_t later)
{
    branch_t *b = apr_pmemdup(pool, from, sizeof(*b));
    b->from = from;
    b->own = apr_hash_make(pool);
    b->changed = apr_array_make(pool, 8, sizeof(stored_event_t *));
    b->clock += later;
    return b;
}

/** A public room of @creator:h with @mod:h (50) and @user:h; saved. */
static inline branch_t *stored_room(mx_server_t *server, const char *version)
{
    MX_STMT(test_room, "si", "insert into room (room_id, version) values ($1::text, $2::int4) returning room_nid");
    stored_room_t *room = apr_pcalloc(pool, sizeof(*room));
    branch_t *b = apr_pcalloc(pool, sizeof(*b));
    mx_rows_t *rows;
    static int rooms;
    room->server = server;
    room->version = mx_room_version_find(version);
    room->events = apr_hash_make(pool);
    room->unsaved = apr_array_make(pool, 64, sizeof(stored_event_t *));
    b->room = room;
    b->own = apr_hash_make(pool);
    b->changed = apr_array_make(pool, 64, sizeof(stored_event_t *));
    ck_assert_int_eq(mx_store_state_hash_key(room->hash_key, server->store, pool), APR_SUCCESS);
    if (!room->version->room_id_is_create_hash)
        room->room_id = apr_psprintf(pool, "!r%d:h", ++rooms);
    room->room_id = branch_add(b, "@creator:h", "m.room.create", "", apr_psprintf(pool,
            "{\"creator\":\"@creator:h\",\"n\":%d}", ++rooms))->event->room_id;
    ck_assert_int_eq(mx_store_run(&rows, server->store, pool, &test_room, room->room_id, room->version->number), APR_SUCCESS);
    room->nid = mx_row_int(rows, 0, 0);
    branch_member(b, "@creator:h", "@creator:h", "join");
    branch_add(b, "@creator:h", "m.room.power_levels", "",
               room->version->privileged_creators ? "{\"users\":{\"@mod:h\":50}}" : "{\"users\":{\"@creator:h\":100,\"@mod:h\":50}}");
    branch_add(b, "@creator:h", "m.room.join_rules", "", "{\"join_rule\":\"public\"}");
    branch_member(b, "@mod:h", "@mod:h", "join");
    branch_member(b, "@user:h", "@user:h", "join");
    branch_save(b);
    return b;
}

#endif
