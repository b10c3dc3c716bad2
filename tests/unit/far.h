/* SPDX-License-Identifier: Apache-2.0 */
/* Another server, "far", whose events a room of ours gets. */
#ifndef MX_TESTS_FAR_H
#define MX_TESTS_FAR_H

#include "homeserver.h"

#include "room/accept_pdu.h"
#include "room/room_private.h"
#include "store/event_id.h"

#define FAR_SEED "ed25519 a_far ICEiIyQlJicoKSorLC0uLzAxMjM0NTY3ODk6Ozw9Pj8"

static mx_server_t *server;
static mx_signing_key_t far_key;
static const char *room_id;
static mx_room_pdu_t last;

/** Knows the key of "far" and that of "h", until the year 2100. */
static inline int keys(unsigned char key[MX_ED25519_PUBLIC_BYTES], void *baton, const char *name, const char *key_id,
                       apr_int64_t at_ms, int check)
{
    const mx_signing_key_t *found = strcmp(name, "far") == 0 ? &far_key : strcmp(name, "h") == 0 ? &server->key : NULL;
    if (!found || strcmp(found->key_id, key_id) != 0 || (check && at_ms > APR_INT64_C(4102444800000)))
        return 0;
    memcpy(key, found->key.public, MX_ED25519_PUBLIC_BYTES);
    return 1;
}

static inline void fresh(const char *version)
{
    const char *why;
    homeserver_reset();
    server = homeserver_child(NULL, pool);
    ck_assert_int_eq(mx_signing_key_parse(&far_key, &why, FAR_SEED, pool), APR_SUCCESS);
    room_id = homeserver_room(server, version, "public");
}

static inline mx_room_t *room_now(void)
{
    mx_room_t *room;
    ck_assert_ptr_null(mx_room_get(&room, server, room_id, 1, pool));
    return room;
}

static inline const char *head(int i)
{
    return mx_store_event_id_unpack(room_now()->priv->head_ids[i], pool);
}

/** How a PDU is to be made; what is not set is as a well-behaved server would have it. */
typedef struct wish_t {
    const char *sender, *type, *state_key, *content, *redacts;
    const char *prev[MX_EVENT_MAX_PREV];     /* none: the heads */
    const char *auth[MX_EVENT_MAX_AUTH];     /* none: those of the room's state now */
    const char *signer;                      /* "far" */
    apr_int64_t ts, sticky_ms;               /* 0: now; not sticky */
} wish_t;

static inline int choose_auth(const char **ids, const wish_t *w, mx_room_t *room)
{
    mx_state_key_t wanted[MX_AUTH_KEYS_MAX];
    int i, n = 0, nkeys = mx_auth_keys(wanted, room->version, w->type, w->sender, w->state_key, unit_json(w->content), pool);
    for (i = 0; w->auth[i]; i++)
        ids[n++] = w->auth[i];
    for (i = 0; !w->auth[0] && i < nkeys; i++) {
        const mx_event_t *found = NULL;
        ck_assert_ptr_null(mx_room_state_get(&found, server, room, wanted[i].type, wanted[i].state_key, pool));
        if (found)
            ids[n++] = found->event_id;
    }
    return n;
}

static inline mx_event_t *make(const wish_t *w)
{
    mx_room_t *room = room_now();
    const char *auth[MX_EVENT_MAX_AUTH + 1], *prev[MX_EVENT_MAX_PREV + 1];
    mx_event_draft_t d = { .version = room->version, .room_id = room_id, .sender = w->sender, .type = w->type, .state_key = w->state_key,
                           .redacts = w->redacts, .content = mx_slice_str(unit_canonical(w->content)), .depth = room->priv->depth + 1,
                           .origin_server_ts = w->ts ? w->ts : apr_time_as_msec(apr_time_now()), .prev_events = prev, .auth_events = auth,
                           .sticky_ms = w->sticky_ms ? &w->sticky_ms : NULL, .origin = "far" };
    mx_event_t *event = NULL;
    for (d.nprev = 0; w->prev[d.nprev]; d.nprev++)
        prev[d.nprev] = w->prev[d.nprev];
    for (; !w->prev[0] && d.nprev < room->priv->nheads; d.nprev++)
        prev[d.nprev] = mx_store_event_id_unpack(room->priv->head_ids[d.nprev], pool);
    d.nauth = choose_auth(auth, w, room);
    ck_assert_ptr_null(mx_event_build(&event, &d, pool));
    ck_assert_ptr_null(mx_event_sign(event, w->signer ? w->signer : "far", far_key.key_id, &far_key.key));
    return event;
}

static const char *names[] = { "stored", "known", "soft-failed", "rejected", "waits", "refused" };

static inline const char *receive_text(mx_slice_t text)
{
    const mx_error_t *err = mx_room_accept_pdu(&last, server, room_id, text, keys, NULL, pool);
    ck_assert_msg(err == NULL, "%s / %s", err ? err->message : "", err && err->detail ? err->detail : "");
    return names[last.outcome];
}

static inline const char *receive_event(const mx_event_t *event)
{
    return receive_text(event->pdu);
}

#define receive(...) receive_event(make(&(wish_t){ __VA_ARGS__ }))
#define expect(outcome, got) do { const char *got_ = (got); ck_assert_msg(strcmp(outcome, got_) == 0, "%s, not %s: %s", got_, outcome, \
                                  last.why ? last.why->message : ""); } while (0)

static inline const char *far_joins(const char *user)
{
    expect("stored", receive(.sender = user, .type = "m.room.member", .state_key = user, .content = "{\"membership\":\"join\"}"));
    return last.event_id;
}

static inline mx_membership_e membership(const char *user)
{
    mx_membership_e m;
    ck_assert_ptr_null(mx_room_membership(&m, server, room_now(), user, pool));
    return m;
}

static inline long flags_of(const char *event_id)
{
    mx_event_row_t *row;
    ck_assert_int_eq(mx_store_event_by_id(&row, server->store, event_id, pool), APR_SUCCESS);
    return row->flags;
}

/** The mirrors say what the current snapshot says. */
static inline void check_mirrors(void)
{
    mx_room_t *room = room_now();
    mx_state_item_t *items;
    int i, n;
    ck_assert_int_eq(mx_store_state_load(&items, &n, server->store, room->snap_nid, pool), APR_SUCCESS);
    ck_assert_int_eq(database_number("select count(*) from cur_state"), n);
    for (i = 0; i < n; i++)
        ck_assert_int_eq(database_number(apr_psprintf(pool, "select count(*) from cur_state where skey_nid = %" APR_INT64_T_FMT
                                                      " and nid = %" APR_INT64_T_FMT, items[i].skey_nid, items[i].nid)), 1);
    ck_assert_int_eq(room->priv->snap_size, n);
    ck_assert_int_eq(database_number("select count(*) from member where membership = 2"), room->joined);
}

#endif
