/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Fills a homeserver's database with rooms, members and messages by the one way in, room/send.c, without HTTP.
 * usage: fill DSN KEY_FILE SERVER_NAME PREFIX OWNER ROOMS MEMBERS MESSAGES
 * Each room has its OWNER (an existing user, or - for one of its own), MEMBERS members whose names begin with PREFIX, and MESSAGES
 * messages; the messages of all rooms lie mixed in the stream. Prints the rooms' ids.
 */
#include "base/crypto.h"
#include "room/room.h"

#include <apr_general.h>
#include <apr_strings.h>
#include <stdio.h>
#include <stdlib.h>

#define BATCH 100                    /* messages a call */
#define KEY_MAX_BYTES 4096

static apr_pool_t *pool;             /* of the process */
static apr_pool_t *turn;             /* of one call */

static void give_up(const char *what, const mx_error_t *err)
{
    fprintf(stderr, "fill: %s: %s\n", what, err ? err->message : "failed");
    exit(1);
}

static const mx_json_t *json(const char *text)
{
    mx_json_t *parsed = NULL;
    if (mx_json_parse(&parsed, NULL, text, strlen(text), NULL, turn))
        give_up(text, NULL);
    return parsed;
}

static mx_server_t *open_server(const char *dsn, const char *key_file, const char *name)
{
    mx_server_t *server = apr_pcalloc(pool, sizeof(*server));
    mx_settings_t *settings = apr_pcalloc(pool, sizeof(*settings));
    char text[KEY_MAX_BYTES] = "";
    const char *why = "unknown error.";
    mx_store_source_t *source;
    FILE *f = fopen(key_file, "r");
    if (!f || !fread(text, 1, sizeof(text) - 1, f))
        give_up(key_file, NULL);
    fclose(f);
    mx_settings_default(settings);
    server->name = name;
    server->settings = settings;
    server->pool = pool;
    if (mx_signing_key_parse(&server->key, &why, text, pool) || mx_store_source_private(&source, dsn, pool) ||
        mx_store_create(&server->store, source, dsn, NULL, pool) || mx_server_init(server) || mx_room_init(server))
        give_up(why, NULL);
    return server;
}

static const char *make_room(mx_server_t *server, const char *owner, const char *prefix, int number, int members)
{
    static const char *const types[] = { "m.room.create", "m.room.member", "m.room.power_levels", "m.room.join_rules" };
    const char *contents[] = { "{\"room_version\":\"12\"}", "{\"membership\":\"join\"}", "{\"users\":{}}", "{\"join_rule\":\"public\"}" };
    mx_room_draft_t drafts[MX_ROOM_DRAFTS_MAX] = { { NULL } };
    const char *room_id = NULL;
    const mx_error_t *err;
    int i, n = 4;
    for (i = 0; i < n; i++)
        drafts[i] = (mx_room_draft_t){ .sender = owner, .type = types[i], .state_key = i == 1 ? owner : "", .content = json(contents[i]) };
    for (i = 0; i < members && n < MX_ROOM_DRAFTS_MAX; i++, n++) {
        const char *user = apr_psprintf(turn, "@%s%d.%d:%s", prefix, number, i, server->name);
        drafts[n] = (mx_room_draft_t){ .sender = user, .type = types[1], .state_key = user, .content = json(contents[1]) };
    }
    if ((err = mx_room_begin(&room_id, server, mx_room_version_find("12"), drafts, n, 0, NULL, turn)) != NULL)
        give_up("a room", err);
    return apr_pstrdup(pool, room_id);
}

static void say(mx_server_t *server, const char *room_id, const char *sender, int from, int n)
{
    mx_room_draft_t drafts[BATCH] = { { NULL } };
    const char *ids[BATCH];
    const mx_error_t *err;
    int i;
    for (i = 0; i < n; i++)
        drafts[i] = (mx_room_draft_t){ .sender = sender, .type = "m.room.message", .content = json(apr_psprintf(turn,
                "{\"body\":\"%0240d\",\"msgtype\":\"m.text\"}", from + i)) };
    if ((err = mx_room_send(ids, server, room_id, drafts, n, turn)) != NULL)
        give_up("messages", err);
}

int main(int argc, char **argv)
{
    mx_server_t *server;
    const char **rooms, **owners;
    int nrooms, members, messages, i, sent;
    if (argc != 9)
        return 2;
    apr_initialize();
    mx_json_init();
    apr_pool_create(&pool, NULL);
    apr_pool_create(&turn, pool);
    if (mx_crypto_init())
        return 1;
    server = open_server(argv[1], argv[2], argv[3]);
    nrooms = atoi(argv[6]);
    members = atoi(argv[7]);
    messages = atoi(argv[8]);
    rooms = apr_palloc(pool, sizeof(*rooms) * (apr_size_t)nrooms);
    owners = apr_palloc(pool, sizeof(*owners) * (apr_size_t)nrooms);
    for (i = 0; i < nrooms; i++) {
        owners[i] = strcmp(argv[5], "-") ? argv[5] : apr_psprintf(pool, "@%s%d:%s", argv[4], i, server->name);
        rooms[i] = make_room(server, owners[i], argv[4], i, members);
        puts(rooms[i]);
        apr_pool_clear(turn);
    }
    for (sent = 0; sent < messages; sent += BATCH) {
        for (i = 0; i < nrooms; i++) {
            say(server, rooms[i], owners[i], sent, messages - sent < BATCH ? messages - sent : BATCH);
            apr_pool_clear(turn);
        }
    }
    return 0;
}
