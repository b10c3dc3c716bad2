/* SPDX-License-Identifier: Apache-2.0 */
/* The soft-fail check, made anew for events that are sticky. SS-API: soft failure; MSC4354. */
#include "room/sticky.h"

#include "room/room_private.h"
#include "server/runner.h"
#include "store/event_id.h"
#include "store/sticky.h"

#define TASK_INTERVAL_MS 3600000
#define TASK_SLICE_MS 20000
#define AGAIN_MS 2000                /* so often while there are some */
#define AT_ONCE 500                  /* of those that were sticky longest: more wait for the next time */

typedef struct asked_t {
    mx_server_t *server;
    mx_room_t *room;
    const mx_error_t *err;           /* of a state lookup: callbacks cannot return one */
    apr_pool_t *pool;
} asked_t;

static const mx_event_t *state_get(void *baton, const char *type, const char *state_key)
{
    asked_t *asked = baton;
    mx_room_current_t found;
    const mx_error_t *err = mx_room_state_find(&found, asked->server, asked->room, type, state_key, asked->pool);

    if (!err) return found.event;
    asked->err = err;
    return NULL;
}

/** *pallowed: by the room's current state. */
static const mx_error_t *ask(int *pallowed, asked_t *asked, const mx_event_row_t *row)
{
    mx_auth_state_t state = { state_get, asked, NULL };
    mx_event_t *event;
    const mx_error_t *err = mx_room_get_by_nid(&asked->room, asked->server, row->room_nid, asked->pool);

    if (!err) err = mx_room_get(&asked->room, asked->server, asked->room->room_id, 1, asked->pool);
    if (!err)
        err = mx_event_parse(&event, asked->room->version, row->pdu, mx_store_event_id_unpack(row->id, asked->pool), asked->pool);
    if (err) return err;
    *pallowed = !mx_auth_check(event, &state, asked->pool);
    return asked->err;
}

/** *pleft is set if the event stays as it is. */
static const mx_error_t *ask_for(int *pleft, int *pmoved, mx_server_t *server, const mx_event_row_t *row, apr_pool_t *pool)
{
    asked_t asked = { .server = server, .pool = pool };
    int allowed = 0, restored = 0;
    apr_status_t rv;
    const mx_error_t *err = ask(&allowed, &asked, row);

    if (err) return err;
    if (allowed) {
        rv = mx_store_sticky_restore(&restored, server->store, row->nid, asked.room->nid, asked.room->ver, pool);
        if (rv != APR_SUCCESS) return mx_server_store_error(rv, "showing a sticky event", pool);
    }
    *(restored ? pmoved : pleft) = 1;
    return NULL;
}

const mx_error_t *mx_room_sticky_ask_again(int *pleft, mx_server_t *server, apr_pool_t *pool)
{
    mx_event_row_t *rows = NULL;
    const mx_error_t *err = NULL;
    apr_pool_t *step;
    int i, n = 0, moved = 0;
    apr_status_t rv = mx_store_sticky_failed(&rows, &n, server->store, apr_time_as_msec(apr_time_now()), AT_ONCE, pool);

    if (rv != APR_SUCCESS) return mx_server_store_error(rv, "reading sticky events that failed", pool);
    apr_pool_create(&step, pool);
    for (i = 0; !err && i < n; i++) {
        apr_pool_clear(step);
        err = ask_for(pleft, &moved, server, &rows[i], step);
    }
    if (moved) mx_server_stream_moved(server);
    return err;
}

static const mx_error_t *run(mx_runner_job_t *job, apr_pool_t *pool)
{
    int left = 0;
    const mx_error_t *err = mx_room_sticky_ask_again(&left, job->server, pool);

    if (left) job->next_ms = AGAIN_MS;
    return err;
}

static const mx_runner_task_t task = { .name = "room.sticky", .run = run, .interval_ms = TASK_INTERVAL_MS, .slice_ms = TASK_SLICE_MS };

apr_status_t mx_room_sticky_init(mx_server_t *server)
{
    return mx_runner_add(server, &task);
}

void mx_room_sticky_failed(mx_server_t *server)
{
    if (server->runner) mx_runner_wake(server, &task);
}
