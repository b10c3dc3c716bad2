/* SPDX-License-Identifier: Apache-2.0 */
/* Makes a room of what another server answered to send_join. SS-API: joining rooms. */
#include "room/remote_join.h"

#include "core/ident.h"
#include "room/accept_pdu_private.h"
#include "room/outlier_private.h"
#include "room/send_turn.h"
#include "room/told.h"
#include "store/event_id.h"

#include <stdlib.h>

#define ATTEMPTS_MAX 10               /* at the last transaction: somebody else may write to a room that we have left */
#define NIDS_A_QUERY 1000

typedef struct joining_t {
    mx_server_t *server;
    const mx_room_remote_t *answer;
    mx_room_remote_joined_t *out;
    const mx_room_version_t *version;
    mx_room_outlier_room_t as;
    mx_event_t *event;               /* the join */
    mx_event_row_t *row;             /* its row, an outlier */
    mx_room_told_t told;
    mx_slice_t *state_ids;           /* packed; empty: unreadable */
    mx_room_row_t *room;             /* as it was read last */
    apr_int64_t before, after;       /* snapshots */
    apr_pool_t *pool;
} joining_t;

/* ---- what came ---- */

static const mx_error_t *check_join(joining_t *j)
{
    const mx_room_remote_t *a = j->answer;
    const mx_error_t *err = mx_room_accept_pdu_alone(&j->event, j->version, a->room_id, a->join, a->key, a->baton, j->pool);
    if (err)
        return err;
    if (strcmp(j->event->type, "m.room.member") != 0 || !mx_str_eq(j->event->membership, "join")
        || !mx_str_eq(j->event->state_key, j->event->sender) || !mx_ident_is_local(j->event->sender, j->server->name))
        return mx_error_make(j->pool, MX_E_INVALID_PARAM, "The event is no join of a user of this server.");
    return NULL;
}

static const mx_error_t *other_version(joining_t *j)
{
    return mx_error_make(j->pool, MX_E_INCOMPATIBLE_ROOM_VERSION, "The room is not of version %s.", j->answer->version);
}

/** The create event of the state must say the version that everything is read by. */
static const mx_error_t *check_version(joining_t *j)
{
    const mx_error_t *err = NULL;
    apr_pool_t *scratch;
    int i, found = 0;
    apr_pool_create(&scratch, j->pool);
    apr_pool_tag(scratch, "mx_remote_join");
    for (i = 0; !err && !found && i < j->answer->nstate; i++) {
        mx_event_t *event;
        const char *says;
        apr_pool_clear(scratch);
        if (mx_event_parse_foreign(&event, j->version, j->answer->state[i], scratch) != NULL || !mx_event_is(event, "m.room.create", ""))
            continue;
        found = 1;
        says = mx_json_get_str(mx_event_content(event), "room_version");
        if (strcmp(says ? says : "1", j->version->name) != 0)
            err = other_version(j);
    }
    apr_pool_destroy(scratch);
    if (!err && !found)
        err = mx_error_make(j->pool, MX_E_INVALID_ROOM_STATE, "The state that came has no create event.");
    return err;
}

/* ---- the room's row ---- */

static const mx_error_t *read_room(joining_t *j)
{
    apr_status_t rv = mx_store_room_row(&j->room, j->server->store, j->as.nid, j->pool);
    if (rv != APR_SUCCESS)
        return mx_server_store_error(rv, "reading a room", j->pool);
    if (j->room->version != j->version->number)
        return other_version(j);
    return j->room->local_joined ? mx_error_make(j->pool, MX_E_BAD_STATE, "This server is in the room already.") : NULL;
}

static const mx_error_t *expect_room(joining_t *j)
{
    apr_status_t rv = mx_store_outlier_room(&j->as.nid, j->server->store, j->answer->room_id, j->version->number, j->pool);
    if (rv != APR_SUCCESS)
        return mx_server_store_error(rv, "making a room", j->pool);
    return read_room(j);
}

/* ---- state and auth chain ---- */

static void count(joining_t *j, const mx_room_outliers_t *done)
{
    j->out->stored += done->stored;
    j->out->dropped += done->dropped;
    if (done->why)
        j->out->why = done->why;
}

static const mx_error_t *store_events(joining_t *j)
{
    const mx_room_remote_t *a = j->answer;
    mx_slice_t *texts = apr_palloc(j->pool, sizeof(*texts) * (apr_size_t)(a->nstate + a->nauth + 1));
    mx_room_outliers_t done;
    const mx_error_t *err;
    if (a->nstate)
        memcpy(texts, a->state, sizeof(*texts) * (apr_size_t)a->nstate);
    if (a->nauth)
        memcpy(texts + a->nstate, a->auth, sizeof(*texts) * (apr_size_t)a->nauth);
    err = mx_room_outlier_store(&done, j->server, &j->as, texts, a->nstate + a->nauth, j->pool);
    if (err)
        return err;
    count(j, &done);
    j->state_ids = done.ids;
    return NULL;
}

static const mx_error_t *store_join(joining_t *j)
{
    mx_room_outliers_t done;
    apr_status_t rv;
    const mx_error_t *err = mx_room_outlier_store(&done, j->server, &j->as, &j->answer->join, 1, j->pool);
    if (err)
        return err;
    count(j, &done);
    rv = mx_store_event_by_id(&j->row, j->server->store, j->event->event_id, j->pool);
    if (rv == MX_STORE_NONE || (rv == APR_SUCCESS && j->row->room_nid != j->as.nid))
        return mx_error_make(j->pool, MX_E_INVALID_ROOM_STATE, "What authorises the join did not come with it.");
    return rv == APR_SUCCESS ? NULL : mx_server_store_error(rv, "reading a join", j->pool);
}

static const mx_error_t *authorise(joining_t *j)
{
    mx_auth_state_t state = { mx_room_told_get, &j->told, NULL };
    const mx_error_t *why;
    if (j->row->flags & MX_EVENT_FLAG_REJECTED)
        return mx_error_make(j->pool, MX_E_FORBIDDEN, "The room's rules do not allow the join.");
    why = mx_auth_check(j->event, &state, j->pool);
    return j->told.err ? j->told.err : why;
}

/** The state told must be of the room that we have left. */
static const mx_error_t *check_create(joining_t *j)
{
    mx_room_entry_t create;
    apr_int64_t snap, redacted;
    apr_status_t rv = mx_store_room_entry(&create, &snap, &redacted, j->server->store, j->as.nid, "m.room.create", "", j->pool);
    if (rv != APR_SUCCESS)
        return mx_server_store_error(rv, "reading a create event", j->pool);
    if (create.event.nid && create.event.nid != j->told.create_nid)
        return mx_error_make(j->pool, MX_E_INVALID_ROOM_STATE, "The state that came has another create event than the room.");
    return NULL;
}

static const mx_error_t *read_state(joining_t *j)
{
    const mx_error_t *why = NULL;
    const mx_error_t *err = mx_room_told_read(&j->told, &why, j->server, &j->as, j->state_ids, j->answer->nstate, j->pool);
    if (!err)
        err = why ? why : check_create(j);
    return err ? err : authorise(j);
}

/* ---- the room ---- */

/** Whose membership the entries are about, a piece of them; `since` is the join. */
static const mx_error_t *add_members(mx_persist_batch_t *batch, joining_t *j, const apr_int64_t *nids, int n, int gone)
{
    mx_store_outlier_member_t *rows;
    const mx_error_t *err = NULL;
    apr_pool_t *scratch;
    int i, nrows;
    apr_status_t rv;
    apr_pool_create(&scratch, j->pool);
    apr_pool_tag(scratch, "mx_remote_join_members");
    rv = mx_store_outlier_members(&rows, &nrows, j->server->store, nids, n, scratch);
    if (rv != APR_SUCCESS)
        err = mx_server_store_error(rv, "reading members", j->pool);
    for (i = 0; !err && i < nrows; i++) {
        mx_persist_member_t *member = &batch->members[batch->nmembers];
        mx_event_t *event;
        if (mx_event_parse(&event, j->version, rows[i].pdu, "$", scratch) != NULL)
            continue;                 /* not possible with what we stored */
        member->user_nid = rows[i].user_nid;
        member->membership = gone ? MX_MEMBERSHIP_LEAVE : (int)mx_membership_parse(event->membership);
        member->event = rows[i].nid;
        member->since = -1;
        batch->nmembers++;
    }
    apr_pool_destroy(scratch);
    return err;
}

static const mx_error_t *add_all_members(mx_persist_batch_t *batch, joining_t *j, const apr_int64_t *nids, int n, int gone)
{
    const mx_error_t *err = NULL;
    int from;
    for (from = 0; !err && from < n; from += NIDS_A_QUERY)
        err = add_members(batch, j, nids + from, n - from < NIDS_A_QUERY ? n - from : NIDS_A_QUERY, gone);
    return err;
}

static int by_skey(const void *a, const void *b)
{
    const mx_state_item_t *x = a, *y = b;
    return x->skey_nid < y->skey_nid ? -1 : x->skey_nid > y->skey_nid;
}

/** Mirrors: what the room's state becomes other than it was; a member of whom nothing is said any more has left. */
static const mx_error_t *set_mirrors(mx_persist_batch_t *batch, joining_t *j)
{
    apr_int64_t *nids, *gone;
    mx_state_item_t *old = NULL;
    const mx_error_t *err;
    int i, n = 0, ngone = 0, nold = 0;
    apr_status_t rv = mx_store_state_diff(&batch->current, &batch->ncurrent, j->server->store, j->room->snap_nid, j->after, j->pool);
    if (rv == APR_SUCCESS && j->room->snap_nid)
        rv = mx_store_state_load(&old, &nold, j->server->store, j->room->snap_nid, j->pool);
    if (rv != APR_SUCCESS)
        return mx_server_store_error(rv, "comparing states", j->pool);
    nids = apr_palloc(j->pool, sizeof(*nids) * (apr_size_t)(batch->ncurrent + 1));
    gone = apr_palloc(j->pool, sizeof(*gone) * (apr_size_t)(batch->ncurrent + 1));
    for (i = 0; i < batch->ncurrent; i++) {
        const mx_state_item_t *was;
        if (batch->current[i].nid)
            nids[n++] = batch->current[i].nid;
        else if ((was = bsearch(&batch->current[i], old, (size_t)nold, sizeof(*old), by_skey)) != NULL)
            gone[ngone++] = was->nid;
    }
    batch->members = apr_pcalloc(j->pool, sizeof(*batch->members) * (apr_size_t)(batch->ncurrent + 1));
    err = add_all_members(batch, j, nids, n, 0);
    return err ? err : add_all_members(batch, j, gone, ngone, 1);
}

static const mx_error_t *set_row(mx_persist_event_t *row, joining_t *j)
{
    const mx_event_t *ev = j->event;
    apr_status_t rv = mx_server_type_nid(&row->type_nid, j->server, ev->type, j->pool);
    if (rv != APR_SUCCESS)
        return mx_server_store_error(rv, "interning what an event names", j->pool);
    row->id = j->row->id;
    row->pdu = ev->pdu;
    row->ts = ev->origin_server_ts;
    row->depth = ev->depth;
    row->sender_nid = j->row->sender_nid;
    row->flags = MX_EVENT_FLAG_STATE | MX_EVENT_FLAG_LOCAL | MX_EVENT_FLAG_OUTLIER;
    row->before = j->before;
    row->after = j->after;
    row->skey_nid = j->row->skey_nid;
    row->replaces = mx_room_told_find(&j->told, row->skey_nid)->nid;
    row->after_gap = 1;
    return NULL;
}

/** One attempt at the last transaction. */
static const mx_error_t *store_room(int *pagain, joining_t *j)
{
    mx_persist_event_t row = { .depth = 0 };
    mx_ref_t self = -1;
    mx_persist_batch_t batch = { .room_nid = j->as.nid, .ver = j->room->ver, .events = &row, .nevents = 1, .heads = &self,
                                 .head_ids = &row.id, .nheads = 1, .depth = j->event->depth, .snap = j->after, .log_events = &self,
                                 .log_snaps = &j->after, .nlog = 1 };
    mx_persist_result_t *result;
    apr_status_t rv;
    const mx_error_t *err = set_row(&row, j);
    if (!err)
        err = set_mirrors(&batch, j);
    if (err)
        return err;
    rv = mx_store_persist_batch(&result, j->server->store, &batch, j->pool);
    *pagain = rv == MX_STORE_RETRY || (rv == APR_SUCCESS && result->status == MX_PERSIST_CONFLICT);
    if (!*pagain && (rv != APR_SUCCESS || result->status != MX_PERSIST_STORED))
        return mx_server_store_error(rv != APR_SUCCESS ? rv : MX_STORE_NONE, "storing a room that was joined", j->pool);
    return *pagain ? read_room(j) : NULL;
}

static const mx_error_t *make_room(joining_t *j)
{
    const mx_room_told_entry_t own = { j->row->skey_nid, j->row->nid, j->row->id };
    const mx_error_t *err = mx_room_told_store(&j->before, &j->after, &j->told, j->room->snap_nid, &own);
    int i, again = 1;
    for (i = 0; !err && again && i < ATTEMPTS_MAX; i++)
        err = store_room(&again, j);
    if (!err && again)
        err = mx_room_turn_busy(j->pool);
    if (err)
        return err;
    mx_cache_remove(j->server->room->views, &j->as.nid, sizeof(j->as.nid));
    mx_server_stream_moved(j->server);
    return NULL;
}

const mx_error_t *mx_room_remote_join(mx_room_remote_joined_t *out, mx_server_t *server, const mx_room_remote_t *answer, apr_pool_t *pool)
{
    joining_t j = { .server = server, .answer = answer, .out = out, .version = mx_room_version_find(answer->version), .pool = pool };
    const mx_error_t *err;
    memset(out, 0, sizeof(*out));
    if (!j.version)
        return mx_error_make(pool, MX_E_INCOMPATIBLE_ROOM_VERSION, "This server does not know room version %s.", answer->version);
    if (!mx_ident_is_room_id(answer->room_id) || answer->nstate > MX_REMOTE_JOIN_EVENTS_MAX - answer->nauth)
        return mx_error_make(pool, MX_E_INVALID_PARAM, "That is no room, or one that is too large.");
    j.as = (mx_room_outlier_room_t){ 0, answer->room_id, j.version, answer->key, answer->baton };
    err = check_join(&j);
    if (!err)
        err = check_version(&j);
    if (!err)
        err = expect_room(&j);
    if (!err)
        err = store_events(&j);
    if (!err)
        err = store_join(&j);
    if (!err)
        err = read_state(&j);
    if (!err && !(j.row->flags & MX_EVENT_FLAG_OUTLIER))
        err = mx_error_make(pool, MX_E_BAD_STATE, "The join is in the room already.");
    if (!err)
        err = make_room(&j);
    out->event_id = err ? NULL : j.event->event_id;
    return err;
}
