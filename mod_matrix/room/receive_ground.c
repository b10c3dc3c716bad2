/* SPDX-License-Identifier: Apache-2.0 */
/* The event before a gap: its state is another server's word. SS-API: GET /state_ids/{roomId}. */
#include "room/receive_private.h"

#include "room/told.h"
#include "store/event_id.h"

static mx_slice_t *pack(const char *const *ids, int n, apr_pool_t *pool)
{
    mx_slice_t *out = apr_palloc(pool, sizeof(*out) * (apr_size_t)(n + 1));
    int i;
    for (i = 0; i < n; i++)
        out[i] = mx_store_event_id_pack(ids[i], pool);
    return out;
}

/** The ids as packed, those of the state; what is unknown of them, of their auth chain, and the event itself, is fetched. */
static const mx_error_t *ask(mx_slice_t **pids, int *pn, mx_room_fetching_t *f, const char *event_id)
{
    mx_room_state_ids_t ids = { NULL, 0, NULL, 0 };
    mx_slice_t own = mx_store_event_id_pack(event_id, f->pool);
    const mx_error_t *err;
    *pn = 0;
    if (!mx_room_fetch_may_ask(f))
        return NULL;
    err = f->source->state_ids(&ids, f->source->baton, f->room->room_id, event_id, f->deadline, f->pool);
    if (!err && !ids.nstate)
        err = mx_error_make(f->pool, MX_E_INVALID_ROOM_STATE, "A state that was told is empty.");
    if (!err && (ids.nstate > MX_RECEIVE_STATE_MAX || ids.nauth > MX_RECEIVE_STATE_MAX))
        err = mx_error_make(f->pool, MX_E_TOO_LARGE, "A state of %d events with an auth chain of %d is too large.", ids.nstate, ids.nauth);
    if (err) {
        mx_room_fetch_trouble(f, err);
        return NULL;
    }
    *pids = pack(ids.state, ids.nstate, f->pool);
    *pn = ids.nstate;
    err = mx_room_fetch_outliers(f, pack(ids.auth, ids.nauth, f->pool), ids.nauth);
    if (!err)
        err = mx_room_fetch_outliers(f, *pids, ids.nstate);
    return err ? err : mx_room_fetch_outliers(f, &own, 1);
}

/** The state must be of the room that we know. */
static const mx_error_t *check_create(const mx_error_t **pwhy, mx_room_fetching_t *f, const mx_room_told_t *told)
{
    mx_room_current_t create = { 0, NULL, MX_MEMBERSHIP_NONE };
    const mx_error_t *err = mx_room_state_find(&create, f->server, f->room, "m.room.create", "", f->pool);
    if (!err && !*pwhy && create.nid && create.nid != told->create_nid)
        *pwhy = mx_error_make(f->pool, MX_E_INVALID_ROOM_STATE, "A state that was told has another create event.");
    return err;
}

/** Auth by the state before it, the told one. */
static const mx_error_t *flags_of(int *pflags, mx_room_fetching_t *f, mx_room_told_t *told, const mx_event_row_t *row)
{
    mx_auth_state_t state = { mx_room_told_get, told, NULL };
    mx_event_t *event;
    const mx_error_t *err = mx_event_parse(&event, f->room->version, row->pdu, mx_store_event_id_unpack(row->id, f->pool), f->pool), *why;
    if (err)
        return err;
    *pflags = MX_EVENT_FLAG_SOFT_FAILED | MX_EVENT_FLAG_AFTER_GAP | (row->flags & MX_EVENT_FLAG_REJECTED);
    why = mx_auth_check(event, &state, f->pool);
    if (why)
        *pflags |= MX_EVENT_FLAG_REJECTED;
    return told->err;
}

static const mx_error_t *keep(mx_room_fetching_t *f, mx_room_told_t *told, const mx_event_row_t *row)
{
    mx_store_ground_t ground = { .room_nid = f->room->nid, .nid = row->nid };
    mx_room_told_entry_t own = { row->skey_nid, row->nid, row->id };
    int changes;
    apr_status_t rv;
    const mx_error_t *err = flags_of(&ground.flags, f, told, row);
    if (err)
        return err;
    changes = row->skey_nid && !(ground.flags & MX_EVENT_FLAG_REJECTED);
    err = mx_room_told_store(&ground.before, &ground.after, told, f->room->snap_nid, changes ? &own : NULL);
    if (err)
        return err;
    if (!changes)
        ground.after = 0;
    ground.replaces = row->skey_nid ? mx_room_told_find(told, row->skey_nid)->nid : 0;
    rv = mx_store_outlier_ground(f->server->store, &ground, f->pool);
    if (rv == APR_SUCCESS) {
        f->out->gaps++;
        if (ground.flags & MX_EVENT_FLAG_REJECTED)
            mx_room_outlier_rejected(f->server, f->room->nid);
    }
    return rv == APR_SUCCESS || rv == MX_STORE_NONE ? NULL : mx_server_store_error(rv, "storing the state before a gap", f->pool);
}

const mx_error_t *mx_room_fetch_ground(int *pdone, mx_room_fetching_t *f, const char *event_id)
{
    mx_event_row_t *row;
    const mx_error_t *err, *why = NULL;
    mx_room_told_t told;
    mx_slice_t *ids;
    int n;
    apr_status_t rv;
    *pdone = 0;
    err = ask(&ids, &n, f, event_id);
    if (err || !n)
        return err;
    rv = mx_store_event_by_id(&row, f->server->store, event_id, f->pool);
    if (rv != APR_SUCCESS && rv != MX_STORE_NONE)
        return mx_server_store_error(rv, "reading the event before a gap", f->pool);
    if (rv == MX_STORE_NONE || row->room_nid != f->room->nid)
        return NULL;
    if (!(row->flags & MX_EVENT_FLAG_OUTLIER)) {     /* it came another way meanwhile */
        *pdone = 1;
        return NULL;
    }
    err = mx_room_told_read(&told, &why, f->server, &f->as, ids, n, f->pool);
    if (!err)
        err = check_create(&why, f, &told);
    if (why)
        mx_room_fetch_trouble(f, why);
    if (err || why)
        return err;
    err = keep(f, &told, row);
    *pdone = !err;
    return err;
}
