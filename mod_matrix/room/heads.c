/* SPDX-License-Identifier: Apache-2.0 */
/* Brings the heads of a room together by events that say nothing. They go in as those of other servers do: their place is a fork. */
#include "room/heads.h"

#include "room/accept_pdu_private.h"
#include "room/accept_private.h"
#include "server/runner.h"
#include "store/event_id.h"

#define DUMMY_TYPE "org.matrix.dummy_event"
#define SENDERS_MAX 10               /* local members that are tried */
#define MERGES_MAX 100               /* of one call: the next one goes on */
#define TASK_ROOMS 50                /* that the task asks for at once */
#define TASK_SLICE_MS 20000          /* then other tasks have their turn */
#define TASK_INTERVAL_MS 900000      /* forks come with outages: a quarter of an hour, or where cleaning is more frequent, as that */

int mx_room_heads_is_dummy(const mx_event_t *event)
{
    return !event->state_key && strcmp(event->type, DUMMY_TYPE) == 0;
}

const mx_error_t *mx_room_heads_wanting(const char ***pids, int *pn, mx_server_t *server, const char *after, int max, apr_pool_t *pool)
{
    apr_status_t rv = mx_store_room_many_heads(pids, pn, server->store, MX_ROOM_HEADS_MANY, after, max, pool);
    return rv == APR_SUCCESS ? NULL : mx_server_store_error(rv, "looking for rooms with many heads", pool);
}

typedef struct merging_t {
    mx_server_t *server;
    mx_room_t *room;
    apr_pool_t *pool;
    mx_room_receiving_t r;           /* the named heads, and the state after them */
    const char *prev[MX_EVENT_MAX_PREV]; int nprev;
} merging_t;

/** The newest heads stand first; those that stand last have waited longest. */
static const mx_error_t *name_heads(merging_t *m)
{
    const struct mx_room_private_t *priv = m->room->priv;
    int i, from = priv->nheads > MX_EVENT_MAX_PREV ? priv->nheads - MX_EVENT_MAX_PREV : 0;
    apr_status_t rv;
    m->nprev = 0;
    for (i = from; i < priv->nheads; i++)
        m->prev[m->nprev++] = mx_store_event_id_unpack(priv->head_ids[i], m->pool);
    m->r = (mx_room_receiving_t){ .server = m->server, .room = m->room, .pool = m->pool };
    rv = mx_store_event_by_ids(&m->r.prevs, &m->r.nprevs, m->server->store, m->prev, m->nprev, m->pool);
    return rv == APR_SUCCESS ? mx_room_accept_before(&m->r) : mx_server_store_error(rv, "reading the heads of a room", m->pool);
}

static apr_int64_t depth_after(const merging_t *m)
{
    apr_int64_t depth = 0;
    int i;
    for (i = 0; i < m->r.nprevs; i++)
        depth = m->r.prevs[i].depth > depth ? m->r.prevs[i].depth : depth;
    return depth < MX_ROOM_DEPTH_MAX ? depth + 1 : MX_ROOM_DEPTH_MAX;
}

/** *pevent NULL: there is no state to stand on. */
static const mx_error_t *build(mx_event_t **pevent, merging_t *m, const char *sender)
{
    const mx_room_version_t *version = m->room->version;
    mx_state_key_t keys[MX_AUTH_KEYS_MAX];
    const mx_event_t *auth[MX_AUTH_KEYS_MAX];
    const char *auth_ids[MX_AUTH_KEYS_MAX];
    mx_event_draft_t draft = { .version = version, .room_id = m->room->room_id, .sender = sender, .type = DUMMY_TYPE,
                               .content = mx_slice_str("{}"), .depth = depth_after(m),
                               .origin_server_ts = apr_time_as_msec(apr_time_now()), .prev_events = m->prev, .nprev = m->nprev,
                               .auth_events = auth_ids, .origin = m->server->name };
    int i, nkeys = mx_auth_keys(keys, version, DUMMY_TYPE, sender, NULL, NULL, m->pool);
    const mx_error_t *err = NULL;
    for (i = 0; !err && i < nkeys; i++) {
        mx_room_current_t found;
        err = mx_room_accept_find(&found, &m->r, m->r.before, keys[i].type, keys[i].state_key);
        if (!err && found.event) {
            auth[draft.nauth] = found.event;
            auth_ids[draft.nauth++] = found.event->event_id;
        }
    }
    if (!err)
        err = mx_room_accept_hashes(&draft, mx_room_accept_open(m->server, m->room, 1, m->pool), auth, m->pool);
    if (!err)
        err = mx_event_build(pevent, &draft, m->pool);
    return err ? err : mx_event_sign(*pevent, m->server->name, m->server->key.key_id, &m->server->key.key);
}

/** 1 by the state after the heads it names, and by the room's: else the event would be rejected, or soft-failed. */
static const mx_error_t *may_send(int *pmay, merging_t *m, const char *sender)
{
    apr_int64_t snaps[2] = { m->r.before, m->room->snap_nid };
    const mx_error_t *err = NULL;
    int i;
    *pmay = 1;
    for (i = 0; !err && *pmay && i < 2; i++) {
        mx_room_current_t create, levels, member;
        err = mx_room_accept_find(&create, &m->r, snaps[i], "m.room.create", "");
        if (!err)
            err = mx_room_accept_find(&levels, &m->r, snaps[i], "m.room.power_levels", "");
        if (!err)
            err = mx_room_accept_find(&member, &m->r, snaps[i], "m.room.member", sender);
        if (!err) {
            mx_power_t *power = create.event ? mx_power_create(create.event, levels.event, m->pool) : NULL;
            *pmay = power && member.membership == MX_MEMBERSHIP_JOIN
                 && mx_power_user(power, sender) >= mx_power_event(power, DUMMY_TYPE, 0);
        }
    }
    return err;
}

/** *pmerged: an event follows the heads now. 0: nobody may send it, or (*pagain) what it was to stand on was gone. */
static const mx_error_t *merge_once(int *pmerged, int *pagain, merging_t *m)
{
    const char **senders;
    int i, n, may = 0;
    mx_room_pdu_t out;
    mx_event_t *event;
    const mx_error_t *err = name_heads(m);
    apr_status_t rv = APR_SUCCESS;
    if (!err)
        rv = mx_store_member_local_joined(&senders, &n, m->server->store, m->room->nid, SENDERS_MAX, m->pool);
    if (rv != APR_SUCCESS)
        err = mx_server_store_error(rv, "reading the local members of a room", m->pool);
    *pmerged = *pagain = 0;
    if (err && err->rv == MX_STORE_RETRY) {
        *pagain = 1;
        return NULL;
    }
    for (i = 0; !err && !may && i < n; i++)
        err = may_send(&may, m, senders[i]);
    if (err || !may)
        return err;
    err = build(&event, m, senders[i - 1]);
    if (!err)     /* it stays what it is while other children's writers win: they may follow some of the heads too */
        err = mx_room_accept_one_rounds(&out, &m->room, m->server, event, m->pool);
    *pmerged = !err && out.outcome == MX_PDU_STORED;
    return err;
}

static const mx_error_t *merge_in_place(int *pleft, mx_server_t *server, const char *room_id, int most, apr_pool_t *pool)
{
    merging_t m = { .server = server, .pool = pool };
    int i, merged = 1, again = 0;
    const mx_error_t *err = mx_room_get(&m.room, server, room_id, 1, pool);
    for (i = 0; !err && (merged || again) && m.room->priv->nheads > most && i < MERGES_MAX; i++) {
        err = merge_once(&merged, &again, &m);
        if (!err && (merged || again))
            err = mx_room_get(&m.room, server, room_id, 1, pool);
    }
    if (!err)
        *pleft = m.room->priv->nheads;
    return err;
}

const mx_error_t *mx_room_heads_merge(int *pleft, mx_server_t *server, const char *room_id, int most, apr_pool_t *pool)
{
    mx_room_place_t *place;
    const mx_error_t *err = mx_room_send_enter(&place, server, room_id, pool);
    if (err)
        return err;
    err = merge_in_place(pleft, server, room_id, most > 1 ? most : 1, pool);
    mx_room_send_leave(place);
    return err;
}

const mx_error_t *mx_room_heads_bound(mx_server_t *server, const char *room_id, int most, apr_pool_t *pool)
{
    mx_room_t *room;
    int left;
    const mx_error_t *err = mx_room_cache_get_any(&room, server, room_id, pool);
    if (err || room->priv->nheads <= most)
        return err;
    return mx_room_heads_merge(&left, server, room_id, most, pool);
}

/* ---- the task ---- */

/** One page of rooms, each with memory of its own; *pafter moves on, past rooms that could not be helped too. The first error is told. */
static const mx_error_t *merge_page(int *pn, const char **pafter, mx_runner_job_t *job, apr_pool_t *pool)
{
    const char **ids;
    const mx_error_t *err = mx_room_heads_wanting(&ids, pn, job->server, *pafter, TASK_ROOMS, pool), *own;
    apr_pool_t *step;
    int i, left;
    if (err)
        return err;
    apr_pool_create(&step, pool);
    for (i = 0; i < *pn && mx_runner_go_on(job); i++) {
        own = mx_room_heads_merge(&left, job->server, ids[i], MX_ROOM_HEADS_MANY, step);
        if (own && !err)
            err = mx_error_internal(pool, own->rv, apr_psprintf(pool, "bringing the heads of %s together: %s", ids[i],
                                                                own->detail ? own->detail : own->message));
        *pafter = ids[i];
        apr_pool_clear(step);
    }
    return err;
}

static const mx_error_t *merge_rooms(mx_runner_job_t *job, apr_pool_t *pool)
{
    const mx_error_t *first = NULL, *err;
    const char *after = "";
    int n = TASK_ROOMS;
    while (n == TASK_ROOMS && mx_runner_go_on(job)) {
        err = merge_page(&n, &after, job, pool);
        first = first ? first : err;
    }
    return first;
}

apr_status_t mx_room_heads_init(mx_server_t *server)
{
    mx_runner_task_t *task = apr_pcalloc(server->pool, sizeof(*task));
    task->name = "room.heads";
    task->run = merge_rooms;
    task->interval_ms = server->settings->cleanup_interval_ms;
    if (task->interval_ms > TASK_INTERVAL_MS)
        task->interval_ms = TASK_INTERVAL_MS;
    task->slice_ms = TASK_SLICE_MS;
    return mx_runner_add(server, task);
}
