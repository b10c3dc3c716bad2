/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Many events of other servers as one transaction, as far as they hang together without a state resolution: each is judged on top
 * of those before it, and the state before it is the room's. So messages of one state, however they fork, chains with state in them, and
 * what the rules reject. Everything else is for accept_fork.c, one at a time.
 */
#include "room/accept_pdus_private.h"

#include "core/ident.h"
#include "store/event_id.h"
#include "store/ground.h"

/** An event that others stand on: stored, or of this batch. */
typedef struct node_t {
    mx_ref_t ref;
    int known, awaited, flags;
    mx_ref_t after;                  /* snapshot: the state after it */
    const mx_event_row_t *row;       /* NULL: of the batch */
    const mx_event_t *event;         /* of a stored one once it was asked for */
} node_t;

typedef struct building_t {
    mx_room_accept_t *b;
    mx_server_t *server;
    mx_room_t *room;
    apr_pool_t *pool;
    apr_hash_t *nodes;               /* packed id: node_t */
    int uniform;                     /* the states after all heads are one: the room's */
    int messages;                    /* the batch is a chain of messages with equal flags, after all heads */
    mx_ref_t *heads; mx_slice_t *head_ids; int nheads;
    apr_int64_t depth;
    /* the event that is judged */
    mx_room_incoming_t *in;
    const mx_event_t *auth[MX_EVENT_MAX_AUTH];   /* NULL: rejected */
    mx_ref_t auth_refs[MX_EVENT_MAX_AUTH];
    const mx_error_t *err;           /* of a state lookup: callbacks cannot return one */
} building_t;

/* ---- what they stand on ---- */

static node_t *node_of(const building_t *u, const char *event_id)
{
    mx_slice_t id = mx_store_event_id_pack(event_id, u->pool);
    return apr_hash_get(u->nodes, id.p, (apr_ssize_t)id.len);
}

static void ask(apr_hash_t *asked, mx_slice_t *ids, int *pn, mx_slice_t id)
{
    if (apr_hash_get(asked, id.p, (apr_ssize_t)id.len))
        return;
    ids[*pn] = id;
    apr_hash_set(asked, ids[*pn].p, (apr_ssize_t)id.len, ids);
    (*pn)++;
}

static void add_node(building_t *u, const mx_ground_row_t *row)
{
    node_t *node = apr_pcalloc(u->pool, sizeof(*node));
    node->known = row->known;
    node->awaited = row->awaited;
    node->row = &row->event;
    node->ref = row->event.nid;
    node->flags = row->event.flags;
    node->after = row->known ? mx_room_accept_after_of(&row->event) : 0;
    apr_hash_set(u->nodes, row->event.id.p, (apr_ssize_t)row->event.id.len, node);
}

/** One query for all: which are known, what they stand on, and the heads, where there are several. */
static const mx_error_t *read_ground(building_t *u, mx_room_incoming_t **line, int n)
{
    const struct mx_room_private_t *priv = u->room->priv;
    int i, k, nrows, nids = 0, max = priv->nheads + n * (1 + MX_EVENT_MAX_PREV + MX_EVENT_MAX_AUTH);
    mx_slice_t *ids = apr_palloc(u->pool, sizeof(*ids) * (apr_size_t)(max + 1));
    apr_hash_t *asked = apr_hash_make(u->pool);
    mx_ground_row_t *rows;
    apr_status_t rv;
    for (i = 0; i < n; i++) {
        const mx_event_t *ev = line[i]->event;
        if (line[i]->settled)
            continue;
        ask(asked, ids, &nids, line[i]->id);
        for (k = 0; k < ev->nprev; k++)
            ask(asked, ids, &nids, mx_store_event_id_pack(ev->prev_events[k], u->pool));
        for (k = 0; k < ev->nauth; k++)
            ask(asked, ids, &nids, mx_store_event_id_pack(ev->auth_events[k], u->pool));
    }
    for (i = 0; priv->nheads > 1 && i < priv->nheads; i++)
        ask(asked, ids, &nids, priv->head_ids[i]);
    rv = nids ? mx_store_ground_read(&rows, &nrows, u->server->store, ids, nids, u->pool) : MX_STORE_NONE;
    if (rv != APR_SUCCESS)
        return rv == MX_STORE_NONE ? NULL : mx_server_store_error(rv, "reading what events stand on", u->pool);
    for (i = 0; i < nrows; i++)
        add_node(u, &rows[i]);
    return NULL;
}

static building_t *open_building(mx_server_t *server, mx_room_t *room, int n, apr_pool_t *pool)
{
    const struct mx_room_private_t *priv = room->priv;
    building_t *u = apr_pcalloc(pool, sizeof(*u));
    u->b = mx_room_accept_open(server, room, n, pool);
    u->server = server;
    u->room = room;
    u->pool = pool;
    u->nodes = apr_hash_make(pool);
    u->messages = 1;
    u->depth = priv->depth;
    u->nheads = priv->nheads;
    u->heads = apr_palloc(pool, sizeof(*u->heads) * (apr_size_t)(priv->nheads + n + 1));
    u->head_ids = apr_palloc(pool, sizeof(*u->head_ids) * (apr_size_t)(priv->nheads + n + 1));
    if (priv->nheads) {
        memcpy(u->heads, priv->heads, sizeof(*u->heads) * (apr_size_t)priv->nheads);
        memcpy(u->head_ids, priv->head_ids, sizeof(*u->head_ids) * (apr_size_t)priv->nheads);
    }
    return u;
}

static void look_at_heads(building_t *u)
{
    int i;
    u->uniform = 1;
    for (i = 0; u->nheads > 1 && i < u->nheads; i++) {
        const node_t *node = apr_hash_get(u->nodes, u->head_ids[i].p, (apr_ssize_t)u->head_ids[i].len);
        if (!node || !node->known || node->after != u->b->snap)
            u->uniform = 0;
    }
}

/* ---- one event ---- */

static int is_there(const building_t *u, const node_t *node, int as_prev)
{
    return node && node->known && (!node->row || node->row->room_nid == u->room->nid)
        && !(as_prev && (node->flags & MX_EVENT_FLAG_OUTLIER));
}

/** Settles what is known, and what waits; 1 if there is no more to do. */
static int settle(building_t *u)
{
    const mx_event_t *ev = u->in->event;
    mx_room_pdu_t *out = u->in->out;
    const node_t *own = node_of(u, ev->event_id);
    int i;
    out->why = NULL;
    out->missing = NULL;
    out->nmissing = 0;
    out->outcome = MX_PDU_KNOWN;
    u->in->settled = own && own->known && !(own->flags & MX_EVENT_FLAG_OUTLIER);
    for (i = 0; !u->in->settled && i < ev->nprev + ev->nauth; i++) {
        const char *id = i < ev->nprev ? ev->prev_events[i] : ev->auth_events[i - ev->nprev];
        if (is_there(u, node_of(u, id), i < ev->nprev))
            continue;
        if (!out->missing)
            out->missing = apr_palloc(u->pool, sizeof(*out->missing) * (apr_size_t)(ev->nprev + ev->nauth));
        out->missing[out->nmissing++] = id;
        out->outcome = MX_PDU_WAITS;
    }
    u->in->settled |= out->nmissing > 0;
    return u->in->settled;
}

static int follows(const mx_event_t *event, mx_slice_t id, apr_pool_t *pool)
{
    int i;
    for (i = 0; i < event->nprev; i++) {
        if (mx_slice_eq(mx_store_event_id_pack(event->prev_events[i], pool), id))
            return 1;
    }
    return 0;
}

/** 1 if it needs no more than a chain does: it follows accepted events after which the state is the room's. */
static int is_simple(const building_t *u)
{
    const mx_event_t *ev = u->in->event;
    const node_t *own = node_of(u, ev->event_id);
    int i;
    if (own || ev->redacts || !u->uniform || !ev->nprev || !u->nheads)      /* known as an outlier, or awaited by a redaction */
        return 0;
    for (i = 0; i < ev->nprev; i++) {
        const node_t *prev = node_of(u, ev->prev_events[i]);
        if (prev->flags & (MX_EVENT_FLAG_REJECTED | MX_EVENT_FLAG_SOFT_FAILED) || prev->after != u->b->snap)
            return 0;
    }
    for (i = 0; ev->state_key && i < u->nheads; i++) {
        if (!follows(ev, u->head_ids[i], u->pool))
            return 0;
    }
    return 1;
}

static const mx_error_t *read_auth(building_t *u)
{
    const mx_event_t *ev = u->in->event;
    const mx_error_t *err = NULL;
    int i;
    for (i = 0; !err && i < ev->nauth; i++) {
        node_t *node = node_of(u, ev->auth_events[i]);
        mx_event_t *event = NULL;
        u->auth[i] = NULL;
        u->auth_refs[i] = node->ref;
        if (node->flags & MX_EVENT_FLAG_REJECTED)
            continue;
        if (!node->event)
            err = mx_event_parse(&event, u->room->version, node->row->pdu, ev->auth_events[i], u->pool);
        if (!node->event)
            node->event = event;
        u->auth[i] = node->event;
    }
    return err;
}

static const mx_event_t *state_get(void *baton, const char *type, const char *state_key)
{
    building_t *u = baton;
    mx_room_current_t found;
    const mx_error_t *err = mx_room_accept_state_find(&found, u->b, type, state_key);
    if (!err)
        return found.event;
    u->err = err;
    return NULL;
}

/** By the listed events; from version 12 on the create event is not listed, the room's id names it. */
static const mx_event_t *own_get(void *baton, const char *type, const char *state_key)
{
    building_t *u = baton;
    int i;
    for (i = 0; i < u->in->event->nauth; i++) {
        if (u->auth[i] && mx_event_is(u->auth[i], type, state_key))
            return u->auth[i];
    }
    return u->room->version->room_id_is_create_hash && mx_event_type_is(type, MX_TYPE_CREATE) ? state_get(baton, type, state_key) : NULL;
}

/** The state before it is the room's, so what the rules allow is not soft-failed. */
static const mx_error_t *authorise(building_t *u)
{
    const mx_event_t *ev = u->in->event;
    mx_auth_state_t own = { own_get, u, NULL }, state = { state_get, u, u->b->power };
    mx_room_pdu_t *out = u->in->out;
    u->err = NULL;
    out->why = mx_auth_check_list(ev, u->auth, ev->nauth, u->pool);
    if (!out->why)
        out->why = mx_auth_check(ev, &own, u->pool);
    if (!out->why)
        out->why = mx_auth_check(ev, &state, u->pool);
    out->outcome = out->why ? MX_PDU_REJECTED : MX_PDU_STORED;
    return u->err;
}

/* ---- its place ---- */

static const mx_error_t *fill_row(mx_room_accept_adding_t *a, building_t *u)
{
    const mx_event_t *ev = u->in->event;
    mx_persist_event_t *row = &a->row;
    apr_status_t rv = APR_SUCCESS;
    row->id = u->in->id;
    row->pdu = ev->pdu;
    row->ts = ev->origin_server_ts;
    row->depth = ev->depth;
    row->sender_nid = u->in->sender_nid;
    row->type_nid = u->in->type_nid;
    row->before = u->b->snap;
    row->flags = mx_room_accept_flags(ev, u->server) | (u->in->out->outcome == MX_PDU_REJECTED ? MX_EVENT_FLAG_REJECTED : 0);
    row->sticky_until = mx_room_accept_sticky_until(ev, row->flags);
    memcpy(row->auth, u->auth_refs, sizeof(row->auth[0]) * (apr_size_t)ev->nauth);
    row->nauth = ev->nauth;
    if (!ev->state_key)
        return NULL;
    rv = mx_server_skey_nid(&row->skey_nid, u->server, ev->type, ev->state_key, u->pool);
    if (rv != APR_SUCCESS)
        return mx_server_store_error(rv, "interning a state key", u->pool);
    return NULL;
}

/** An accepted event, the last of the batch, becomes a head; those that it follows are none any more. */
static void set_heads(building_t *u)
{
    const mx_event_t *ev = u->in->event;
    int i, n = 1;
    mx_ref_t *heads = apr_palloc(u->pool, sizeof(*heads) * (apr_size_t)(u->nheads + 1));
    mx_slice_t *ids = apr_palloc(u->pool, sizeof(*ids) * (apr_size_t)(u->nheads + 1));
    heads[0] = -u->b->rows.nevents;
    ids[0] = u->in->id;
    for (i = 0; i < u->nheads; i++) {
        if (follows(ev, u->head_ids[i], u->pool))
            continue;
        heads[n] = u->heads[i];
        ids[n++] = u->head_ids[i];
    }
    u->heads = heads;
    u->head_ids = ids;
    u->nheads = n;
    u->depth = n == 1 || ev->depth > u->depth ? ev->depth : u->depth;
}

static void remember(building_t *u, const mx_persist_event_t *row)
{
    node_t *node = apr_pcalloc(u->pool, sizeof(*node));
    node->ref = -u->b->rows.nevents;
    node->known = 1;
    node->flags = row->flags;
    node->after = u->b->snap;
    node->event = u->in->event;
    apr_hash_set(u->nodes, u->in->id.p, (apr_ssize_t)u->in->id.len, node);
}

static const mx_error_t *add(building_t *u)
{
    mx_room_accept_adding_t a = { .b = u->b, .item = &u->in->item, .event = u->in->event };
    int accepted = u->in->out->outcome == MX_PDU_STORED, is_state = u->in->event->state_key != NULL;
    const mx_error_t *err = fill_row(&a, u);
    if (!err && is_state)
        err = mx_room_accept_state_find(&a.replaced, u->b, u->in->event->type, u->in->event->state_key);
    if (!err)
        a.row.replaces = a.replaced.nid;
    mx_event_content(u->in->event);      /* parsed before other threads may read it */
    if (!err && accepted && is_state)
        err = mx_room_accept_put_state(&a);
    if (err)
        return err;
    mx_room_accept_append(&a);
    if (accepted)
        set_heads(u);
    remember(u, &a.row);
    if (is_state || a.row.flags != u->b->rows.events[0].flags)
        u->messages = 0;
    u->in->taken = 1;
    return NULL;
}

/** A chain of messages leaves its heads to the statement that is made for it, where that will be the one (room/accept_store.c). */
static void finish(building_t *u)
{
    mx_persist_batch_t *rows = &u->b->rows;
    int other = rows->turn || u->room->priv->nheads > MX_EVENT_MAX_PREV;
    if (!rows->nevents || (!other && u->messages && u->nheads == 1 && u->heads[0] == -rows->nevents))
        return;
    rows->heads = u->heads;
    rows->head_ids = u->head_ids;
    rows->nheads = u->nheads;
    rows->depth = u->depth;
}

const mx_error_t *mx_room_accept_batch(mx_room_accept_t **pbatch, mx_room_incoming_t **pstop, mx_server_t *server, mx_room_t *room,
                                       mx_room_incoming_t **line, int n, mx_conn_t *turn, apr_pool_t *pool)
{
    building_t *u = open_building(server, room, n, pool);
    const mx_error_t *err = read_ground(u, line, n);
    int i;
    *pstop = NULL;
    if (!err)
        look_at_heads(u);
    for (i = 0; !err && i < n && !*pstop; i++) {
        u->in = line[i];
        u->in->taken = 0;
        if (u->in->settled || settle(u))
            continue;
        if (!is_simple(u)) {
            *pstop = u->in;
            continue;
        }
        err = read_auth(u);
        if (!err)
            err = authorise(u);
        if (!err)
            err = add(u);
    }
    mx_room_accept_in_turn(u->b, turn);
    finish(u);
    *pbatch = u->b;
    return err;
}
