/* SPDX-License-Identifier: Apache-2.0 */
/* A homeserver without httpd, for tests of floor 3: on the database of the test program, with several connections. */
#ifndef MX_TESTS_HOMESERVER_H
#define MX_TESTS_HOMESERVER_H

#include "database.h"

#include "room/room.h"
#include "store/schema.h"

#include <apr_thread_cond.h>
#include <apr_thread_proc.h>

#define HOMESERVER_CONNECTIONS 6

/** Lends one of several private sources; waits for a free one. */
typedef struct lender_t {
    mx_store_source_t source;
    apr_thread_mutex_t *lock;
    apr_thread_cond_t *freed;
    mx_store_source_t *sources[HOMESERVER_CONNECTIONS];
    void *leases[HOMESERVER_CONNECTIONS];
    int used[HOMESERVER_CONNECTIONS];
    long lent;                      /* how often */
} lender_t;

static inline apr_status_t lender_get(void *baton, void **phandle, void **please)
{
    lender_t *l = baton;
    int i;
    apr_thread_mutex_lock(l->lock);
    for (;;) {
        for (i = 0; i < HOMESERVER_CONNECTIONS && l->used[i]; i++) {
        }
        if (i < HOMESERVER_CONNECTIONS)
            break;
        apr_thread_cond_wait(l->freed, l->lock);
    }
    l->used[i] = 1;
    l->lent++;
    apr_thread_mutex_unlock(l->lock);
    *please = &l->used[i];
    return l->sources[i]->get(l->sources[i]->baton, phandle, &l->leases[i]);
}

static inline void lender_put(void *baton, void *lease)
{
    lender_t *l = baton;
    int i = (int)((int *)lease - l->used);
    l->sources[i]->put(l->sources[i]->baton, l->leases[i]);
    apr_thread_mutex_lock(l->lock);
    l->used[i] = 0;
    apr_thread_cond_signal(l->freed);
    apr_thread_mutex_unlock(l->lock);
}

/** How many connections it has lent so far. */
static inline long lender_lent(lender_t *l)
{
    long n;
    apr_thread_mutex_lock(l->lock);
    n = l->lent;
    apr_thread_mutex_unlock(l->lock);
    return n;
}

static inline lender_t *lender_create(apr_pool_t *p)
{
    lender_t *l = apr_pcalloc(p, sizeof(*l));
    int i;
    apr_thread_mutex_create(&l->lock, APR_THREAD_MUTEX_DEFAULT, p);
    apr_thread_cond_create(&l->freed, p);
    for (i = 0; i < HOMESERVER_CONNECTIONS; i++)
        ck_assert_int_eq(mx_store_source_private(&l->sources[i], database_dsn, p), APR_SUCCESS);
    l->source = (mx_store_source_t){ lender_get, lender_put, l };
    return l;
}

/** Tables made anew. */
static inline void homeserver_reset(void)
{
    const char *why = NULL;
    database_sql("set client_min_messages = warning; drop schema public cascade; create schema public");
    ck_assert_msg(mx_schema_apply(&why, database_dsn, MX_SQL_DIR, pool) == APR_SUCCESS, "%s", why);
}

/** Another child of the same homeserver "h". */
static inline mx_server_t *homeserver_child(lender_t **plender, apr_pool_t *p)
{
    mx_server_t *server = apr_pcalloc(p, sizeof(*server));
    mx_settings_t *settings = apr_pcalloc(p, sizeof(*settings));
    lender_t *lender = lender_create(p);
    const char *why = NULL;
    mx_settings_default(settings);
    server->name = "h";
    server->settings = settings;
    server->pool = p;
    ck_assert_int_eq(
        mx_signing_key_parse(&server->key, &why, "ed25519 a_test AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8", p),
        APR_SUCCESS);
    ck_assert_int_eq(mx_store_create(&server->store, &lender->source, database_dsn, NULL, p), APR_SUCCESS);
    ck_assert_int_eq(mx_server_init(server), APR_SUCCESS);
    ck_assert_int_eq(mx_room_init(server), APR_SUCCESS);
    if (plender)
        *plender = lender;
    return server;
}

/** A room of @creator:h that `rule` ("public", "invite") says who may join; its id in `pool`. */
static inline const char *homeserver_room(mx_server_t *server, const char *version, const char *rule)
{
    mx_room_draft_t drafts[4] = {{.sender = "@creator:h",
                                  .type = "m.room.create",
                                  .state_key = "",
                                  .content = unit_json("{\"creator\":\"@creator:h\"}")},
                                 {.sender = "@creator:h",
                                  .type = "m.room.member",
                                  .state_key = "@creator:h",
                                  .content = unit_json("{\"membership\":\"join\"}")},
                                 {.sender = "@creator:h",
                                  .type = "m.room.power_levels",
                                  .state_key = "",
                                  .content = unit_json("{\"users\":{}}")},
                                 {.sender = "@creator:h",
                                  .type = "m.room.join_rules",
                                  .state_key = "",
                                  .content = unit_json(apr_psprintf(pool, "{\"join_rule\":\"%s\"}", rule))}};
    const char *room_id = NULL;
    const mx_error_t *err;
    mx_json_set_str((mx_json_t *)drafts[0].content, "room_version", version);
    if (!mx_room_version_find(version)->privileged_creators)
        drafts[2].content = unit_json("{\"users\":{\"@creator:h\":100}}");
    err = mx_room_begin(&room_id, server, mx_room_version_find(version), drafts, 4, 0, NULL, pool);
    ck_assert_msg(err == NULL, "%s / %s", err ? err->message : "", err && err->detail ? err->detail : "");
    return room_id;
}

/** Sends; the error (NULL: none), the id in *pevent_id. */
static inline const mx_error_t *homeserver_try(const char **pevent_id, mx_server_t *server, const char *room_id,
                                               const char *sender, const char *type, const char *state_key,
                                               const char *content)
{
    mx_room_draft_t draft = { .sender = sender, .type = type, .state_key = state_key, .content = unit_json(content) };
    return mx_room_send(pevent_id, server, room_id, &draft, 1, pool);
}

static inline const char *homeserver_send(mx_server_t *server, const char *room_id, const char *sender,
                                          const char *type, const char *state_key, const char *content)
{
    const char *event_id = NULL;
    const mx_error_t *err = homeserver_try(&event_id, server, room_id, sender, type, state_key, content);
    ck_assert_msg(err == NULL, "%s / %s", err ? err->message : "", err && err->detail ? err->detail : "");
    return event_id;
}

#endif
