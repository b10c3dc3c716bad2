/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The events of a room in the order in which they were stored: the state before each is worked out of its previous events, and
 * compared with the snapshot that it names; then the state after it. What is found right is the ground of what follows, so in the end
 * every snapshot has been proved from the create event on. SS-API: PDUs, prev_events; Rooms v2: state resolution.
 *
 * Events are read in parts. Of those before only two things are kept in memory: which nobody follows yet, and true states that
 * are stored wrong.
 */
#include "tools/doctor.h"

#include "store/event_id.h"

#include <stdlib.h>

#define EVENTS_A_PART 500
#define WRONG_MAX 10000              /* true states kept of events that are stored with wrong ones */

typedef struct part_t {
    mx_doctor_row_t *rows;
    mx_event_t **events;             /* NULL: cannot be read */
    const char **ids;
    int n;
    apr_hash_t *nodes;               /* event id: mx_doctor_node_t */
    mx_nid_map_t snaps;              /* mx_doctor_snap_t */
} part_t;

typedef struct replay_t {
    mx_doctor_room_t *room;
    mx_doctor_heads_t heads;
    mx_nid_map_t wrong;              /* nid of an event: mx_doctor_state_t after it, which is not what is stored */
    mx_nid_map_t told;               /* snapshots of which it is told that they are not there */
    part_t part;
} replay_t;

#define ADD(check, ...) mx_doctor_report_add(r->room->report, MX_DOCTOR_##check, __VA_ARGS__)

/* ---- reading a part ---- */

static void add_node(part_t *p, const mx_event_row_t *row, const char *id, apr_pool_t *pool)
{
    mx_doctor_node_t *node = apr_palloc(pool, sizeof(*node));
    *node = (mx_doctor_node_t){ row->nid, row->flags, row->skey_nid != 0, row->snap_nid, row->snap_after };
    apr_hash_set(p->nodes, id, APR_HASH_KEY_STRING, node);
}

/** Numbers of the state that the rules will ask for. */
static apr_status_t read_skeys(replay_t *r)
{
    apr_array_header_t *all = apr_array_make(r->room->chunk, 4 * EVENTS_A_PART, sizeof(mx_state_key_t));
    mx_state_key_t keys[MX_AUTH_KEYS_MAX];
    int i, k, n;
    for (i = 0; i < r->part.n; i++) {
        const mx_event_t *event = r->part.events[i];
        n = event ? mx_auth_keys(keys, event->version, event->type, event->sender, event->state_key, mx_event_content(event),
                                 r->room->chunk) : 0;
        for (k = 0; k < n; k++)
            APR_ARRAY_PUSH(all, mx_state_key_t) = keys[k];
    }
    return mx_doctor_auth_load_skeys(r->room, (mx_state_key_t *)all->elts, all->nelts);
}

/** Previous events that are not of the part, and auth events. */
static apr_status_t read_relatives(replay_t *r)
{
    mx_doctor_room_t *room = r->room;
    part_t *p = &r->part;
    apr_array_header_t *prev = apr_array_make(room->chunk, 64, sizeof(mx_slice_t));
    apr_array_header_t *auth = apr_array_make(room->chunk, 256, sizeof(char *));
    mx_event_row_t *rows = NULL;
    int i, k, n = 0;
    apr_status_t rv;
    for (i = 0; i < p->n; i++) {
        const mx_event_t *event = p->events[i];
        for (k = 0; event && k < event->nprev; k++) {
            if (!apr_hash_get(p->nodes, event->prev_events[k], APR_HASH_KEY_STRING))
                APR_ARRAY_PUSH(prev, mx_slice_t) = mx_store_event_id_pack(event->prev_events[k], room->chunk);
        }
        for (k = 0; event && k < event->nauth; k++)
            APR_ARRAY_PUSH(auth, const char *) = event->auth_events[k];
    }
    rv = mx_doctor_auth_load_ids(room, (const char *const *)auth->elts, auth->nelts);
    if (rv == APR_SUCCESS && prev->nelts)
        rv = mx_store_doctor_by_ids(&rows, &n, room->d->store, (mx_slice_t *)prev->elts, prev->nelts, room->chunk);
    for (i = 0; rv == APR_SUCCESS && i < n; i++) {
        if (rows[i].room_nid == room->row->nid)
            add_node(p, &rows[i], mx_store_event_id_unpack(rows[i].id, room->chunk), room->chunk);
    }
    return rv;
}

/** What the part's snapshots say of themselves. */
static apr_status_t read_snaps(replay_t *r)
{
    part_t *p = &r->part;
    apr_pool_t *pool = r->room->chunk;
    apr_int64_t *snaps = apr_palloc(pool, sizeof(*snaps) * (apr_size_t)(2 * p->n + 1));
    mx_doctor_snap_t *out = apr_palloc(pool, sizeof(*out) * (apr_size_t)(2 * p->n + 1));
    int i, n = 0, used = 0;
    apr_status_t rv;
    for (i = 0; i < p->n; i++) {
        snaps[n++] = p->rows[i].event.snap_nid;
        snaps[n++] = p->rows[i].event.snap_after;
    }
    qsort(snaps, (size_t)n, sizeof(*snaps), mx_nid_cmp);
    for (i = 0; i < n; i++) {
        if (snaps[i] && (!used || snaps[used - 1] != snaps[i]))
            snaps[used++] = snaps[i];
    }
    rv = mx_store_doctor_snaps(out, r->room->d->store, snaps, used, pool);
    mx_nid_map_free(&p->snaps);
    for (i = 0; rv == APR_SUCCESS && i < used; i++)
        mx_nid_map_set(&p->snaps, snaps[i], &out[i]);
    return rv;
}

/** Differences that the checks will most likely ask for, in few queries. */
static apr_status_t read_diffs(replay_t *r)
{
    part_t *p = &r->part;
    apr_pool_t *pool = r->room->chunk;
    apr_int64_t *from = apr_palloc(pool, sizeof(*from) * (apr_size_t)(2 * p->n + 1));
    apr_int64_t *to = apr_palloc(pool, sizeof(*to) * (apr_size_t)(2 * p->n + 1));
    apr_int64_t last = r->room->map_state.snap;
    int i, n = 0;
    apr_status_t rv;
    for (i = 0; i < p->n; i++) {
        const mx_event_row_t *row = &p->rows[i].event;
        if (row->snap_nid && row->snap_nid != last) {
            from[n] = last;
            to[n++] = row->snap_nid;
        }
        if (row->snap_after && row->snap_after != row->snap_nid) {
            from[n] = row->snap_nid;
            to[n++] = row->snap_after;
        }
        last = row->snap_after ? row->snap_after : row->snap_nid ? row->snap_nid : last;
    }
    rv = n ? mx_doctor_state_prefetch(r->room, from, to, n) : APR_SUCCESS;
    return mx_doctor_state_is_damage(r->room, rv) ? APR_SUCCESS : rv;       /* then each is read by itself */
}

static apr_status_t read_part(replay_t *r, const apr_int64_t *nids, int n)
{
    mx_doctor_room_t *room = r->room;
    part_t *p = &r->part;
    apr_status_t rv;
    int i;
    mx_doctor_state_next_part(room);
    mx_doctor_auth_trim(room);
    p->nodes = apr_hash_make(room->chunk);
    rv = mx_store_doctor_events(&p->rows, &p->n, room->d->store, nids, n, room->chunk);
    if (rv != APR_SUCCESS)
        return rv;
    p->events = apr_palloc(room->chunk, sizeof(*p->events) * (apr_size_t)(p->n + 1));
    p->ids = apr_palloc(room->chunk, sizeof(*p->ids) * (apr_size_t)(p->n + 1));
    for (i = 0; i < p->n; i++) {
        p->ids[i] = mx_store_event_id_unpack(p->rows[i].event.id, room->chunk);
        p->events[i] = mx_doctor_event_read(room, &p->rows[i], p->ids[i]);
        add_node(p, &p->rows[i].event, p->ids[i], room->chunk);
    }
    rv = read_relatives(r);
    if (rv == APR_SUCCESS)
        rv = read_skeys(r);
    if (rv == APR_SUCCESS)
        rv = read_snaps(r);
    return rv == APR_SUCCESS ? read_diffs(r) : rv;
}

/* ---- the state before ---- */

static int snapshot_is_there(replay_t *r, apr_int64_t snap)
{
    const mx_doctor_snap_t *s = mx_nid_map_get(&r->part.snaps, snap);
    return !snap || (s && s->room_nid == r->room->row->nid && !s->ancestors_missing);
}

/** Says what is wrong with a snapshot itself, once, however many events name it. */
static void check_snapshot(replay_t *r, apr_int64_t snap, const char *event_id, const char *which)
{
    mx_doctor_snap_t *s = snap ? mx_nid_map_get(&r->part.snaps, snap) : NULL;
    if (snapshot_is_there(r, snap) || mx_nid_map_get(&r->told, snap))
        return;
    mx_nid_map_set(&r->told, snap, r);
    if (!s || !s->room_nid)
        ADD(SNAPSHOT, event_id, "the snapshot of the state %s it, number %" APR_INT64_T_FMT ", does not exist.", which, snap);
    else if (s->room_nid != r->room->row->nid)
        ADD(SNAPSHOT, event_id, "the snapshot of the state %s it, number %" APR_INT64_T_FMT ", is of another room.", which, snap);
    else
        ADD(SNAPSHOT, event_id, "the snapshot of the state %s it, number %" APR_INT64_T_FMT ", builds on %d that do not exist.", which,
            snap, s->ancestors_missing);
}

/** The true state after an event; 0: it is not known (an outlier, or stored after the one that follows it). */
static int state_after(mx_doctor_state_t *out, replay_t *r, const mx_doctor_node_t *prev, apr_int64_t nid, int *pinherited)
{
    const mx_doctor_state_t *wrong;
    if (!prev || prev->nid >= nid || (prev->flags & MX_EVENT_FLAG_OUTLIER))
        return 0;
    wrong = mx_nid_map_get(&r->wrong, prev->nid);
    if (wrong) {
        *out = *wrong;
        *pinherited = 1;
        return 1;
    }
    *out = (mx_doctor_state_t){ prev->is_state && !(prev->flags & MX_EVENT_FLAG_REJECTED) ? prev->after : prev->before, NULL, 0 };
    return out->snap != 0;
}

/** What an event's state should be, and how much that is worth. */
typedef struct before_t {
    mx_doctor_state_t state;
    int known;                       /* 0: a previous event is missing */
    int inherited;                   /* a previous event is stored with a wrong state */
    int doubt;                       /* hangs on an event that was redacted */
} before_t;

static apr_status_t state_before(before_t *out, replay_t *r, int i)
{
    const mx_event_t *event = r->part.events[i];
    mx_doctor_state_t *states = apr_palloc(r->room->chunk, sizeof(*states) * (apr_size_t)(event->nprev + 1));
    int k, j, n = 0;
    memset(out, 0, sizeof(*out));
    out->known = 1;
    for (k = 0; k < event->nprev; k++) {
        const mx_doctor_node_t *prev = apr_hash_get(r->part.nodes, event->prev_events[k], APR_HASH_KEY_STRING);
        if (!state_after(&states[n], r, prev, r->part.rows[i].event.nid, &out->inherited)) {
            out->known = 0;
            return APR_SUCCESS;
        }
        for (j = 0; j < n && !mx_doctor_state_same(&states[j], &states[n]); j++) {
        }
        n += j == n;
    }
    if (n > 1)
        return mx_doctor_fork_resolve(&out->state, &out->doubt, r->room, states, n);
    if (n)
        out->state = states[0];
    return APR_SUCCESS;
}

/** Compares a stored snapshot with the true state: *state becomes the snapshot if it is that. */
static apr_status_t compare(int *pequal, replay_t *r, mx_doctor_state_t *state, apr_int64_t snap)
{
    apr_status_t rv;
    *pequal = 0;
    if (!snapshot_is_there(r, snap))
        return APR_SUCCESS;
    rv = mx_doctor_state_is(pequal, r->room, state, snap);
    if (mx_doctor_state_is_damage(r->room, rv)) {
        *pequal = 0;
        return APR_SUCCESS;
    }
    if (rv == APR_SUCCESS && *pequal)
        *state = (mx_doctor_state_t){ snap, NULL, 0 };
    return rv;
}

static const char *differences(replay_t *r, const mx_doctor_state_t *state, apr_int64_t snap)
{
    mx_doctor_state_t is = { snap, NULL, 0 };
    mx_doctor_diff_t *diffs;
    int n;
    if (!snapshot_is_there(r, snap))
        return "its snapshot cannot be read";
    if (mx_doctor_state_diff(&diffs, &n, r->room, state, &is) != APR_SUCCESS)
        return "its snapshot is damaged";
    return mx_doctor_state_words(r->room, diffs, n);
}

/** Keeps the true state after an event that is stored with another; too many are let go, and what is stored is believed. */
static void keep_true(replay_t *r, apr_int64_t nid, const mx_doctor_state_t *state)
{
    mx_doctor_state_t *kept;
    if (r->wrong.count >= WRONG_MAX) {
        r->room->report->unchecked[MX_DOCTOR_MANY_FAULTS]++;
        return;
    }
    kept = apr_pmemdup(r->room->pool, state, sizeof(*state));
    if (state->nfixes)
        kept->fixes = apr_pmemdup(r->room->pool, state->fixes, sizeof(*state->fixes) * (apr_size_t)state->nfixes);
    mx_nid_map_set(&r->wrong, nid, kept);
}

/** *pstate: the true state before; 0 in *pknown if nothing is known of it. */
static apr_status_t check_before(mx_doctor_state_t *pstate, int *pknown, int *pright, replay_t *r, int i)
{
    const mx_event_row_t *row = &r->part.rows[i].event;
    before_t before = { .known = 0 };
    apr_status_t rv = r->part.events[i] ? state_before(&before, r, i) : APR_SUCCESS;
    *pright = 1;
    if (rv != APR_SUCCESS)
        return rv;
    if (!before.known) {
        *pstate = (mx_doctor_state_t){ row->snap_nid, NULL, 0 };
        *pknown = row->snap_nid && snapshot_is_there(r, row->snap_nid);
        r->room->report->unchecked[MX_DOCTOR_GAP] += r->part.events[i] != NULL;
        return APR_SUCCESS;
    }
    *pknown = 1;
    *pstate = before.state;
    rv = compare(pright, r, pstate, row->snap_nid);
    if (rv != APR_SUCCESS || *pright)
        return rv;
    if (before.doubt) {
        r->room->report->unchecked[MX_DOCTOR_REDACTED_AUTH]++;
        *pstate = (mx_doctor_state_t){ row->snap_nid, NULL, 0 };
        *pright = 1;
    } else if (before.inherited)
        r->room->report->follow++;
    else
        ADD(STATE_BEFORE, r->part.ids[i], "the state before it is not what its previous events give: %s.",
            differences(r, pstate, row->snap_nid));
    return APR_SUCCESS;
}

/* ---- the state after ---- */

static int size_of(replay_t *r, apr_int64_t snap)
{
    const mx_doctor_snap_t *s = snap ? mx_nid_map_get(&r->part.snaps, snap) : NULL;
    return s ? s->size : 0;
}

/** The number of entries that a snapshot says to have, against that of the one before. */
static void check_size(replay_t *r, int i, apr_int64_t replaced)
{
    const mx_event_row_t *row = &r->part.rows[i].event;
    int must = size_of(r, row->snap_nid) + !replaced;
    if (size_of(r, row->snap_after) != must)
        ADD(SNAPSHOT, r->part.ids[i], "the snapshot of the state after it says to have %d entries instead of %d.",
            size_of(r, row->snap_after), must);
}

static void check_replaces(replay_t *r, int i, apr_int64_t replaced)
{
    const mx_event_row_t *row = &r->part.rows[i].event;
    mx_doctor_diff_t diff = { row->skey_nid, replaced, row->replaces };
    if (row->replaces != replaced)
        ADD(REPLACES, r->part.ids[i], "what it is said to replace is not what the state before it has: %s.",
            mx_doctor_state_words(r->room, &diff, 1));
}

/** A state event: the map is made the state after it. */
static apr_status_t check_after(replay_t *r, int i, mx_doctor_state_t *state, int right)
{
    const mx_event_row_t *row = &r->part.rows[i].event;
    apr_int64_t replaced = mx_doctor_state_entry(r->room, row->skey_nid);
    mx_state_item_t change = { row->skey_nid, row->nid };
    mx_doctor_state_t after = mx_doctor_state_with(state, &change, 1, r->room->chunk);
    int equal;
    apr_status_t rv;
    check_snapshot(r, row->snap_after, r->part.ids[i], "after");
    check_replaces(r, i, replaced);
    rv = compare(&equal, r, &after, row->snap_after);
    if (rv != APR_SUCCESS)
        return rv;
    if (equal && right)
        check_size(r, i, replaced);
    else if (!equal && !right)
        r->room->report->follow++;
    else if (!equal)
        ADD(STATE_AFTER, r->part.ids[i], "the state after it is not the state before it with this event in its place: %s.",
            differences(r, &after, row->snap_after));
    if (!equal)
        keep_true(r, row->nid, &after);
    mx_doctor_state_put(r->room, row->skey_nid, row->nid, &after);
    return r->room->rv;
}

/* ---- one event after the other ---- */

static void count(replay_t *r, const mx_event_row_t *row, const mx_event_t *event)
{
    mx_doctor_report_t *report = r->room->report;
    report->events++;
    report->state_events += (row->flags & MX_EVENT_FLAG_STATE) != 0;
    report->rejected += (row->flags & MX_EVENT_FLAG_REJECTED) != 0;
    report->soft_failed += (row->flags & MX_EVENT_FLAG_SOFT_FAILED) != 0;
    report->outliers += (row->flags & MX_EVENT_FLAG_OUTLIER) != 0;
    report->forks += event && event->nprev > 1 && !(row->flags & MX_EVENT_FLAG_OUTLIER);
}

static apr_status_t check_states(replay_t *r, int i)
{
    const mx_doctor_row_t *row = &r->part.rows[i];
    mx_doctor_state_t state;
    int known, right;
    apr_status_t rv;
    check_snapshot(r, row->event.snap_nid, r->part.ids[i], "before");
    rv = check_before(&state, &known, &right, r, i);
    if (rv == APR_SUCCESS && known)
        rv = mx_doctor_state_move(r->room, &state);
    if (rv != APR_SUCCESS)
        return rv;
    if (r->part.events[i])
        mx_doctor_auth_check(r->room, row, r->part.events[i], known ? mx_doctor_state_entry : NULL, r->room);
    if (!known || r->room->rv != APR_SUCCESS)
        return r->room->rv;
    if (row->event.skey_nid && !(row->event.flags & MX_EVENT_FLAG_REJECTED))
        return check_after(r, i, &state, right);
    if (row->event.snap_after)
        ADD(FLAGS, r->part.ids[i], "it is rejected and has a state after it.");
    if (!right)
        keep_true(r, row->event.nid, &state);
    return APR_SUCCESS;
}

static apr_status_t check_event(replay_t *r, int i)
{
    const mx_doctor_row_t *row = &r->part.rows[i];
    mx_event_t *event = r->part.events[i];
    count(r, &row->event, event);
    if (event)
        mx_doctor_event_check(r->room, row, event, r->part.ids[i]);
    if (r->room->rv != APR_SUCCESS)
        return r->room->rv;
    if (row->event.flags & MX_EVENT_FLAG_OUTLIER) {
        if (event)
            mx_doctor_auth_check(r->room, row, event, NULL, NULL);
        return r->room->rv;
    }
    mx_doctor_heads_follow(&r->heads, r->part.nodes, row, event, r->part.ids[i]);
    return check_states(r, i);
}

/* ---- the end ---- */

static apr_status_t end_state(mx_doctor_end_t *out, replay_t *r)
{
    mx_doctor_state_t *states = apr_palloc(r->room->pool, sizeof(*states) * (apr_size_t)(out->nheads + 1));
    mx_event_row_t *rows;
    int i, j, k, n = 0, inherited = 0;
    apr_status_t rv = mx_store_event_by_nids(&rows, &k, r->room->d->store, out->heads, out->nheads, r->room->pool);
    for (i = 0; rv == APR_SUCCESS && i < k; i++) {
        mx_doctor_node_t node = { rows[i].nid, rows[i].flags, rows[i].skey_nid != 0, rows[i].snap_nid, rows[i].snap_after };
        if (!state_after(&states[n], r, &node, APR_INT64_MAX, &inherited))
            continue;
        for (j = 0; j < n && !mx_doctor_state_same(&states[j], &states[n]); j++) {
        }
        n += j == n;
    }
    out->state = n ? states[0] : (mx_doctor_state_t){ 0, NULL, 0 };
    return rv == APR_SUCCESS && n > 1 ? mx_doctor_fork_resolve(&out->state, &out->doubt, r->room, states, n) : rv;
}

static apr_status_t finish(mx_doctor_end_t *out, replay_t *r)
{
    memset(out, 0, sizeof(*out));
    mx_doctor_heads_end(out, &r->heads);
    out->unread = r->room->report->found[MX_DOCTOR_BODY] > 0;
    return end_state(out, r);
}

static apr_status_t free_maps(void *data)
{
    replay_t *r = data;
    mx_nid_map_free(&r->wrong);
    mx_nid_map_free(&r->told);
    mx_nid_map_free(&r->part.snaps);
    return APR_SUCCESS;
}

apr_status_t mx_doctor_replay_run(mx_doctor_end_t *out, mx_doctor_room_t *room)
{
    replay_t *r = apr_pcalloc(room->pool, sizeof(*r));
    apr_int64_t *nids;
    int i, at, n;
    apr_status_t rv = mx_store_doctor_event_nids(&nids, &n, room->d->store, room->row->nid, room->pool);
    r->room = room;
    mx_doctor_heads_init(&r->heads, room);
    apr_pool_cleanup_register(room->pool, r, free_maps, apr_pool_cleanup_null);
    for (at = 0; rv == APR_SUCCESS && at < n; at += EVENTS_A_PART) {
        rv = read_part(r, nids + at, n - at < EVENTS_A_PART ? n - at : EVENTS_A_PART);
        for (i = 0; rv == APR_SUCCESS && i < r->part.n; i++)
            rv = check_event(r, i);
    }
    return rv == APR_SUCCESS ? finish(out, r) : rv;
}
