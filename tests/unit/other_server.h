/* SPDX-License-Identifier: Apache-2.0 */
/* Another server for tests: it has events of a room that we do not have, and may lie about them. */
#ifndef MX_TESTS_OTHER_SERVER_H
#define MX_TESTS_OTHER_SERVER_H

#include "homeserver.h"

#include "room/accept_pdu.h"
#include "room/room_private.h"
#include "room/source.h"
#include "store/event_id.h"

#include <apr_hash.h>

#define FAR_SEED "ed25519 a_far ICEiIyQlJicoKSorLC0uLzAxMjM0NTY3ODk6Ozw9Pj8"
#define FAR_WRONG_SEED "ed25519 a_far AAAiIyQlJicoKSorLC0uLzAxMjM0NTY3ODk6Ozw9Pj8"
#define FAR_STATES_KEPT 200           /* events whose state is smaller than this remember it */

static mx_server_t *server;
static mx_signing_key_t far_key, far_wrong_key;
static const char *room_id;

/** Knows the keys of "far" and "h". */
static inline int far_keys(unsigned char key[MX_ED25519_PUBLIC_BYTES], void *baton, const char *name, const char *key_id, apr_int64_t at_ms,
                           int check)
{
    const mx_signing_key_t *found = strcmp(name, "far") == 0 ? &far_key : strcmp(name, "h") == 0 ? &server->key : NULL;
    (void)baton;
    (void)at_ms;
    (void)check;
    if (!found || strcmp(found->key_id, key_id) != 0)
        return 0;
    memcpy(key, found->key.public, MX_ED25519_PUBLIC_BYTES);
    return 1;
}

/** An event that the other server has, and the state before it. */
typedef struct far_event_t {
    const mx_event_t *event;
    const mx_event_t **before; int nbefore;
} far_event_t;

/** A line of events: what the next one follows, and the state then. */
typedef struct far_line_t {
    const mx_room_version_t *version;
    const char *room_id;
    const char *prev[MX_EVENT_MAX_PREV]; int nprev;
    const mx_event_t **state; int n, cap;
    apr_int64_t depth, clock;
} far_line_t;

static apr_hash_t *far_events;        /* event id: far_event_t */

/** How it lies, and what it was asked. */
typedef enum {
    LIE_NONE, LIE_FAIL, LIE_GARBAGE, LIE_NOTHING, LIE_OTHER_ROOM, LIE_BAD_SIGNATURE, LIE_UNASKED, LIE_ENDLESS, LIE_TOO_MANY, LIE_CIRCLE,
    LIE_NO_CREATE, LIE_TWICE, LIE_NO_STATE_EVENT, LIE_UNKNOWN, LIE_OTHER_CREATE
} far_lie_e;

static struct {
    far_lie_e missing, events, auth, state;
    int asked_missing, asked_events, asked_auth, asked_state, ids_asked;
    const char *only;                /* get_missing_events tells no more than this event: the one before it is lost */
    far_line_t *other;               /* a line of another room, or what else the lie needs */
} far;

static inline const mx_event_t *far_state(const far_line_t *line, const char *type, const char *state_key)
{
    int i;
    for (i = 0; i < line->n; i++) {
        if (mx_event_is(line->state[i], type, state_key))
            return line->state[i];
    }
    return NULL;
}

static inline void far_set(far_line_t *line, const mx_event_t *event)
{
    int i;
    for (i = 0; i < line->n && !mx_event_is(line->state[i], event->type, event->state_key); i++)
        ;
    if (i == line->cap) {
        const mx_event_t **more = apr_palloc(pool, sizeof(*more) * (size_t)(2 * line->cap + 16));
        if (line->n)
            memcpy(more, line->state, sizeof(*more) * (size_t)line->n);
        line->cap = 2 * line->cap + 16;
        line->state = more;
    }
    line->state[i] = event;
    line->n += i == line->n;
}

static inline far_line_t *far_line(const mx_room_version_t *version)
{
    far_line_t *line = apr_pcalloc(pool, sizeof(*line));
    line->version = version;
    line->clock = 1000000;
    return line;
}

/** A line that goes on from another; the other stays as it is. */
static inline far_line_t *far_fork(const far_line_t *from)
{
    far_line_t *line = apr_pmemdup(pool, from, sizeof(*line));
    line->state = apr_pmemdup(pool, from->state, sizeof(*line->state) * (size_t)(from->cap + 1));
    return line;
}

/** The event after the line, signed by its sender's server with `key` (NULL: the right one); the line is as before. */
static inline mx_event_t *far_make(far_line_t *line, const char *sender, const char *type, const char *state_key, const char *content,
                                   const mx_signing_key_t *key)
{
    const char *auth[MX_AUTH_KEYS_MAX], *origin = strchr(sender, ':') + 1;
    mx_state_key_t keys[MX_AUTH_KEYS_MAX];
    mx_event_draft_t d = { .version = line->version, .room_id = line->room_id, .sender = sender, .type = type, .state_key = state_key,
                           .content = mx_slice_str(unit_canonical(content)), .depth = line->depth + 1, .origin_server_ts = ++line->clock,
                           .prev_events = line->prev, .nprev = line->nprev, .auth_events = auth, .origin = origin };
    mx_event_t *event = NULL;
    int i, n = mx_auth_keys(keys, line->version, type, sender, state_key, unit_json(content), pool);
    if (!key)
        key = strcmp(origin, "far") == 0 ? &far_key : &server->key;
    for (i = 0; i < n; i++) {
        const mx_event_t *found = far_state(line, keys[i].type, keys[i].state_key);
        if (found)
            auth[d.nauth++] = found->event_id;
    }
    ck_assert_ptr_null(mx_event_build(&event, &d, pool));
    ck_assert_ptr_null(mx_event_sign(event, origin, key->key_id, &key->key));
    if (!line->room_id)
        line->room_id = event->room_id;
    return event;
}

/** The other server has it from now on, after the line's state. */
static inline void far_know(far_line_t *line, const mx_event_t *event)
{
    far_event_t *made = apr_pcalloc(pool, sizeof(*made));
    made->event = event;
    if (line->n < FAR_STATES_KEPT) {
        made->before = apr_pmemdup(pool, line->state, sizeof(*line->state) * (size_t)(line->n + 1));
        made->nbefore = line->n;
    }
    apr_hash_set(far_events, event->event_id, APR_HASH_KEY_STRING, made);
}

/** The next event of the line. */
static inline const mx_event_t *far_add(far_line_t *line, const char *sender, const char *type, const char *state_key, const char *content)
{
    mx_event_t *event = far_make(line, sender, type, state_key, content, NULL);
    far_know(line, event);
    if (state_key)
        far_set(line, event);
    line->prev[0] = event->event_id;
    line->nprev = 1;
    line->depth++;
    return event;
}

static inline const mx_event_t *far_say(far_line_t *line, const char *text)
{
    return far_add(line, "@u:far", "m.room.message", NULL, apr_psprintf(pool, "{\"body\":\"%s\"}", text));
}

static inline const mx_event_t *far_member(far_line_t *line, const char *user, const char *membership)
{
    return far_add(line, user, "m.room.member", user, apr_psprintf(pool, "{\"membership\":\"%s\"}", membership));
}

static inline mx_room_t *room_now(void)
{
    mx_room_t *room;
    ck_assert_ptr_null(mx_room_get(&room, server, room_id, 1, pool));
    return room;
}

/** What the other server knows of our room now. */
static inline far_line_t *far_line_of_room(void)
{
    mx_room_t *room = room_now();
    far_line_t *line = far_line(room->version);
    mx_event_row_t *rows;
    int i, n;
    line->room_id = apr_pstrdup(pool, room_id);
    line->depth = room->priv->depth;
    for (i = 0; i < room->priv->nheads; i++)
        line->prev[line->nprev++] = mx_store_event_id_unpack(room->priv->head_ids[i], pool);
    ck_assert_ptr_null(mx_room_state_all(&rows, &n, server, room, pool));
    for (i = 0; i < n; i++) {
        mx_event_t *event;
        ck_assert_ptr_null(mx_event_parse(&event, room->version, mx_slice(mx_slice_dup(rows[i].pdu, pool), rows[i].pdu.len),
                                          mx_store_event_id_unpack(rows[i].id, pool), pool));
        far_know(line, event);
        far_set(line, event);
    }
    return line;
}

/** Our server, with no room; the other one with no event. Making the tables anew takes long, so that is done once a test. */
static inline void far_reset(void)
{
    static int made;
    const char *why;
    if (!made++)
        homeserver_reset();
    else
        database_sql("set client_min_messages = warning; truncate event, state_event, room, snapshot, cur_state, member, room_server, txn,"
                     " room_state_log, stres_memo, redaction_wait, gap cascade");
    memset(&far, 0, sizeof(far));
    server = homeserver_child(NULL, pool);
    far_events = apr_hash_make(pool);
    ck_assert_int_eq(mx_signing_key_parse(&far_key, &why, FAR_SEED, pool), APR_SUCCESS);
    ck_assert_int_eq(mx_signing_key_parse(&far_wrong_key, &why, FAR_WRONG_SEED, pool), APR_SUCCESS);
}

/** Our server with a room that @u:far has joined. */
static inline far_line_t *far_fresh(const char *version)
{
    far_line_t *line;
    mx_event_t *join;
    mx_room_pdu_t done;
    far_reset();
    room_id = homeserver_room(server, version, "public");
    line = far_line_of_room();
    join = far_make(line, "@u:far", "m.room.member", "@u:far", "{\"membership\":\"join\"}", NULL);
    ck_assert_ptr_null(mx_room_accept_pdu(&done, server, room_id, join->pdu, far_keys, NULL, pool));
    ck_assert_int_eq(done.outcome, MX_PDU_STORED);
    return far_line_of_room();
}

/** The mirrors say what the current snapshot says. */
static inline void check_mirrors(void)
{
    mx_room_t *room = room_now();
    mx_state_item_t *items;
    int n;
    const char *of_room = apr_psprintf(pool, "room_nid = %" APR_INT64_T_FMT, room->nid);
    apr_hash_t *mirror = apr_hash_make(pool);
    mx_event_row_t *rows;
    int i, nrows;
    ck_assert_int_eq(mx_store_state_load(&items, &n, server->store, room->snap_nid, pool), APR_SUCCESS);
    ck_assert_ptr_null(mx_room_state_all(&rows, &nrows, server, room, pool));
    ck_assert_int_eq(nrows, n);
    for (i = 0; i < nrows; i++)
        apr_hash_set(mirror, &rows[i].skey_nid, sizeof(rows[i].skey_nid), &rows[i]);
    for (i = 0; i < n; i++) {
        const mx_event_row_t *row = apr_hash_get(mirror, &items[i].skey_nid, sizeof(items[i].skey_nid));
        ck_assert_ptr_nonnull(row);
        ck_assert_int_eq(row->nid, items[i].nid);
    }
    ck_assert_int_eq(room->priv->snap_size, n);
    ck_assert_int_eq(database_number(apr_psprintf(pool, "select count(*) from member where membership = 2 and %s", of_room)), room->joined);
    /* what the memory of auth DAGs rests on */
    ck_assert_int_eq(database_number("select count(*) from state_event s, unnest(s.auth_nids) a where a >= s.nid"), 0);
    ck_assert_int_eq(database_number("select count(*) from event where flags & 4 <> 0 and (ord <> 0 or snap_nid is not null)"), 0);
}

/* ---- the other server as a source ---- */

static inline const mx_error_t *far_fails(void)
{
    return mx_error_make(pool, MX_E_NOT_FOUND, "The other server does not answer.");
}

static inline void far_push(mx_room_pdus_t *out, mx_slice_t text)
{
    ((mx_slice_t *)(apr_uintptr_t)out->texts)[out->n++] = text;
}

/** A chain of events that nobody asked for, new with every question. */
static inline void far_endless(mx_room_pdus_t *out, int n)
{
    int i;
    for (i = 0; i < n; i++)
        far_push(out, far_say(far.other, "more")->pdu);
}

/** 1: the lie was told. */
static inline int far_lies(mx_room_pdus_t *out, far_lie_e lie, const mx_event_t *true_event)
{
    mx_event_t *bad;
    switch (lie) {
    case LIE_GARBAGE:
        far_push(out, MX_SLICE_LIT("{\"type\":1}"));
        far_push(out, MX_SLICE_LIT("no JSON at all"));
        return 1;
    case LIE_NOTHING:
        return 1;
    case LIE_OTHER_ROOM:
    case LIE_UNASKED:
        far_endless(out, 3);
        return 1;
    case LIE_ENDLESS:
        far_endless(out, 200);
        return 1;
    case LIE_BAD_SIGNATURE:
        if (!true_event)
            return 1;
        ck_assert_ptr_null(mx_event_parse(&bad, true_event->version, mx_slice(mx_slice_dup(true_event->pdu, pool), true_event->pdu.len),
                                          NULL, pool));
        ck_assert_ptr_null(mx_event_sign(bad, "far", far_wrong_key.key_id, &far_wrong_key.key));
        far_push(out, bad->pdu);
        return 1;
    default:
        return 0;
    }
}

static inline const mx_error_t *far_missing(mx_room_pdus_t *out, void *baton, const mx_room_missing_t *ask, apr_time_t deadline,
                                            apr_pool_t *p)
{
    const char *queue[400];
    int i, from = 0, n = 0;
    (void)baton;
    ck_assert_int_gt(deadline, 0);
    ck_assert_str_eq(ask->room_id, room_id);
    far.asked_missing++;
    if (far.missing == LIE_FAIL)
        return far_fails();
    out->texts = apr_palloc(p, sizeof(*out->texts) * 400);
    out->n = 0;
    for (i = 0; i < ask->nlatest; i++)
        queue[n++] = ask->latest[i];
    while (from < n && out->n < ask->limit) {
        far_event_t *at = apr_hash_get(far_events, queue[from++], APR_HASH_KEY_STRING);
        for (i = 0; at && i < at->event->nprev && n < 400 && out->n < ask->limit; i++) {
            const char *id = at->event->prev_events[i];
            far_event_t *prev = apr_hash_get(far_events, id, APR_HASH_KEY_STRING);
            int k;
            for (k = 0; k < ask->nearliest && strcmp(ask->earliest[k], id) != 0; k++)
                ;
            if (!prev || k < ask->nearliest || prev->event->depth < ask->min_depth || mx_str_eq(far.only, at->event->event_id))
                continue;
            if (!far_lies(out, far.missing, prev->event))
                far_push(out, prev->event->pdu);
            queue[n++] = id;
        }
    }
    return NULL;
}

static inline const mx_error_t *far_get_events(mx_room_pdus_t *out, void *baton, const char *room, const char *const *ids, int n,
                                               apr_time_t deadline, apr_pool_t *p)
{
    int i;
    (void)baton;
    (void)room;
    (void)deadline;
    far.asked_events++;
    far.ids_asked += n;
    if (far.events == LIE_FAIL)
        return far_fails();
    out->texts = apr_palloc(p, sizeof(*out->texts) * (size_t)(n * 3 + 400));
    out->n = 0;
    if (far.events != LIE_BAD_SIGNATURE && far_lies(out, far.events, NULL))
        return NULL;
    for (i = 0; i < n; i++) {
        far_event_t *at = apr_hash_get(far_events, ids[i], APR_HASH_KEY_STRING);
        if (at && !far_lies(out, far.events, at->event))
            far_push(out, at->event->pdu);
    }
    return NULL;
}

static inline void far_chain(mx_room_pdus_t *out, apr_hash_t *seen, const mx_event_t *event)
{
    int i;
    for (i = 0; i < event->nauth; i++) {
        far_event_t *at = apr_hash_get(far_events, event->auth_events[i], APR_HASH_KEY_STRING);
        if (!at || apr_hash_get(seen, event->auth_events[i], APR_HASH_KEY_STRING))
            continue;
        apr_hash_set(seen, event->auth_events[i], APR_HASH_KEY_STRING, at);
        far_push(out, at->event->pdu);
        far_chain(out, seen, at->event);
    }
}

static inline const mx_error_t *far_auth(mx_room_pdus_t *out, void *baton, const char *room, const char *event_id, apr_time_t deadline,
                                         apr_pool_t *p)
{
    far_event_t *at = apr_hash_get(far_events, event_id, APR_HASH_KEY_STRING);
    (void)baton;
    (void)room;
    (void)deadline;
    far.asked_auth++;
    if (far.auth == LIE_FAIL || !at)
        return far_fails();
    out->texts = apr_palloc(p, sizeof(*out->texts) * (size_t)(apr_hash_count(far_events) + 400));
    out->n = 0;
    if (!far_lies(out, far.auth, at->event))
        far_chain(out, apr_hash_make(p), at->event);
    return NULL;
}

static inline void far_lie_state(const char **state, int *pn, const far_event_t *at)
{
    int i, n = 0;
    for (i = 0; i < at->nbefore; i++) {
        if (far.state != LIE_NO_CREATE || strcmp(at->before[i]->type, "m.room.create") != 0)
            state[n++] = at->before[i]->event_id;
        if (far.state == LIE_UNKNOWN)
            state[n - 1] = apr_psprintf(pool, "$%043d", i);
        if (far.state == LIE_OTHER_CREATE && strcmp(at->before[i]->type, "m.room.create") == 0)
            state[n - 1] = far_state(far.other, "m.room.create", "")->event_id;
    }
    if (far.state == LIE_TWICE || far.state == LIE_NO_STATE_EVENT)
        state[n++] = far.only;
    if (far.state == LIE_OTHER_ROOM) {
        for (n = 0, i = 0; i < far.other->n; i++)
            state[n++] = far.other->state[i]->event_id;
    }
    if (far.state == LIE_NOTHING)
        n = 0;
    *pn = n;
}

static inline const mx_error_t *far_state_ids(mx_room_state_ids_t *out, void *baton, const char *room, const char *event_id,
                                              apr_time_t deadline, apr_pool_t *p)
{
    far_event_t *at = apr_hash_get(far_events, event_id, APR_HASH_KEY_STRING);
    const char **state, **auth;
    mx_room_pdus_t chain = { NULL, 0 };
    apr_hash_t *seen = apr_hash_make(p);
    apr_hash_index_t *hi;
    int i;
    (void)baton;
    (void)room;
    (void)deadline;
    far.asked_state++;
    if (far.state == LIE_FAIL || !at)
        return far_fails();
    chain.texts = apr_palloc(p, sizeof(*chain.texts) * (size_t)(apr_hash_count(far_events) + 1));
    state = apr_palloc(p, sizeof(*state) * (size_t)(at->nbefore + FAR_STATES_KEPT));
    far_lie_state(state, &out->nstate, at);
    if (far.state == LIE_TOO_MANY)
        out->nstate = 1000000000;
    for (i = 0; i < at->nbefore; i++)
        far_chain(&chain, seen, at->before[i]);
    auth = apr_palloc(p, sizeof(*auth) * (size_t)(apr_hash_count(seen) + 1));
    out->nauth = 0;
    for (hi = apr_hash_first(p, seen); hi; hi = apr_hash_next(hi)) {
        const void *id;
        apr_hash_this(hi, &id, NULL, NULL);
        auth[out->nauth++] = id;
    }
    out->state = state;
    out->auth = auth;
    return NULL;
}

static const mx_room_source_t far_source = { NULL, far_keys, far_missing, far_get_events, far_auth, far_state_ids };

#endif
