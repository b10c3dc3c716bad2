/* SPDX-License-Identifier: Apache-2.0 */
/* Checks outliers by themselves and by their auth events, and stores them. SS-API: checks performed on receipt of a PDU. */
#include "room/outlier_private.h"

#include "room/accept_pdu_private.h"
#include "room/resolve_private.h"
#include "store/event_id.h"

#define IDS_A_QUERY 1000
#define STORE_TRIES 5                 /* two who intern the same names may wait for each other */

typedef struct storing_t {
    mx_room_outliers_t *out;
    mx_server_t *server;
    const mx_room_outlier_room_t *room;
    mx_room_outlier_order_t order;
    mx_slice_t create_id;            /* packed, where the room's id names the create event; else none */
    apr_pool_t *pool;                /* of the call */
    /* of a chunk */
    apr_pool_t *chunk;
    apr_hash_t *events;              /* packed id: found_t, of all auth events asked for so far */
    mx_store_outlier_t *rows; int nrows;
} storing_t;

/** An auth event of the chunk; event NULL: rejected. */
typedef struct found_t {
    mx_event_t *event;
} found_t;

static void drop(storing_t *s, mx_room_outlier_node_t *node, const mx_error_t *why)
{
    node->fate = MX_OUTLIER_DROPPED;
    s->out->dropped++;
    if (!s->out->why)
        s->out->why = mx_error_make_status(s->pool, why->code, why->status, "%s", why->message);
}

/* ---- what is there ---- */

static void know(storing_t *s, const mx_store_outlier_row_t *row)
{
    mx_room_outlier_node_t *node = apr_hash_get(s->order.by_id, row->id.p, (apr_ssize_t)row->id.len);
    if (!node)
        return;
    if (row->room_nid != s->room->nid) {
        drop(s, node, mx_error_make(s->pool, MX_E_INVALID_PARAM, "An event of that id is in another room."));
        return;
    }
    node->known = 1;
    node->fate = row->flags & MX_EVENT_FLAG_REJECTED ? MX_OUTLIER_REJECTED : MX_OUTLIER_GOOD;
    s->out->known++;
}

static const mx_error_t *find_known(storing_t *s)
{
    apr_pool_t *pool;
    apr_status_t rv = APR_SUCCESS;
    int from, i, k, n, nrows;
    mx_slice_t *ids = apr_palloc(s->pool, sizeof(*ids) * IDS_A_QUERY);
    apr_pool_create(&pool, s->pool);
    apr_pool_tag(pool, "mx_outlier_known");
    for (from = 0; rv == APR_SUCCESS && from < s->order.n; from += n) {
        mx_store_outlier_row_t *rows;
        n = s->order.n - from < IDS_A_QUERY ? s->order.n - from : IDS_A_QUERY;
        for (i = 0; i < n; i++)
            ids[i] = s->order.nodes[from + i].id;
        apr_pool_clear(pool);
        rv = mx_store_outlier_find(&rows, &nrows, s->server->store, ids, n, pool);
        for (k = 0; rv == APR_SUCCESS && k < nrows; k++)
            know(s, &rows[k]);
    }
    apr_pool_destroy(pool);
    return rv == APR_SUCCESS ? NULL : mx_server_store_error(rv, "looking events up", s->pool);
}

/* ---- auth events ---- */

static found_t *remember(storing_t *s, mx_slice_t id, mx_event_t *event)
{
    found_t *found = apr_palloc(s->chunk, sizeof(*found));
    found->event = event;
    apr_hash_set(s->events, id.p, (apr_ssize_t)id.len, found);
    return found;
}

static int is_ours(const mx_room_outlier_node_t *node)
{
    return node && !node->known;
}

static void want(const char **ids, int *pn, apr_hash_t *wanted, storing_t *s, mx_slice_t id)
{
    if (is_ours(apr_hash_get(s->order.by_id, id.p, (apr_ssize_t)id.len)) || apr_hash_get(wanted, id.p, (apr_ssize_t)id.len))
        return;
    apr_hash_set(wanted, id.p, (apr_ssize_t)id.len, id.p);
    ids[(*pn)++] = mx_store_event_id_unpack(id, s->chunk);
}

/** Reads by one query what the chunk's events are authorised by and the database has. */
static const mx_error_t *read_stored(storing_t *s, mx_room_outlier_node_t *const *nodes, int n)
{
    const char **ids = apr_palloc(s->chunk, sizeof(*ids) * (apr_size_t)(n * MX_EVENT_MAX_AUTH + 1));
    apr_hash_t *wanted = apr_hash_make(s->chunk);
    const mx_error_t *err = NULL;
    mx_event_row_t *rows;
    int i, k, nids = 0, nrows = 0;
    apr_status_t rv = APR_SUCCESS;
    for (i = 0; i < n; i++) {
        for (k = 0; k < nodes[i]->nauth && k < MX_EVENT_MAX_AUTH; k++)
            want(ids, &nids, wanted, s, nodes[i]->auth[k]);
    }
    if (s->create_id.len)
        want(ids, &nids, wanted, s, s->create_id);
    if (nids)
        rv = mx_store_event_by_ids(&rows, &nrows, s->server->store, ids, nids, s->chunk);
    if (rv != APR_SUCCESS)
        return mx_server_store_error(rv, "reading auth events", s->chunk);
    for (i = 0; !err && i < nrows; i++) {
        mx_event_t *event = NULL;
        if (rows[i].room_nid != s->room->nid)
            continue;
        if (!(rows[i].flags & MX_EVENT_FLAG_REJECTED))
            err = mx_event_parse(&event, s->room->version, rows[i].pdu, mx_store_event_id_unpack(rows[i].id, s->chunk), s->chunk);
        remember(s, rows[i].id, event);
    }
    return err;
}

/** NULL: it is not to be had. One of an earlier chunk is read again, without its signatures. */
static const found_t *auth_event(storing_t *s, mx_slice_t id)
{
    mx_room_outlier_node_t *node = apr_hash_get(s->order.by_id, id.p, (apr_ssize_t)id.len);
    found_t *found = apr_hash_get(s->events, id.p, (apr_ssize_t)id.len);
    mx_event_t *event = NULL;
    if (found || !is_ours(node))
        return found;
    if (node->fate == MX_OUTLIER_REJECTED)
        return remember(s, node->id, NULL);
    if (node->fate != MX_OUTLIER_GOOD
        || mx_room_accept_pdu_alone(&event, s->room->version, s->room->room_id, node->text, NULL, NULL, s->chunk) != NULL)
        return NULL;
    return remember(s, node->id, event);
}

/* ---- one event ---- */

typedef struct asked_t {
    storing_t *s;
    const mx_event_t *auth[MX_EVENT_MAX_AUTH];
    int n;
} asked_t;

static const mx_event_t *auth_get(void *baton, const char *type, const char *state_key)
{
    asked_t *a = baton;
    const found_t *create;
    int i;
    for (i = 0; i < a->n; i++) {
        if (a->auth[i] && mx_event_is(a->auth[i], type, state_key))
            return a->auth[i];
    }
    if (!a->s->create_id.len || !mx_event_type_is(type, MX_TYPE_CREATE))
        return NULL;
    create = auth_event(a->s, a->s->create_id);
    return create ? create->event : NULL;
}

static void add_row(storing_t *s, const mx_room_outlier_node_t *node, const mx_event_t *event)
{
    mx_store_outlier_t *row = &s->rows[s->nrows++];
    *row = (mx_store_outlier_t){ .id = node->id, .pdu = event->pdu, .ts = event->origin_server_ts, .depth = event->depth,
                                 .sender = event->sender, .type = event->type, .state_key = event->state_key, .auth = node->auth,
                                 .nauth = node->nauth };
    row->flags = MX_EVENT_FLAG_OUTLIER | (event->state_key ? MX_EVENT_FLAG_STATE : 0);
    if (node->fate == MX_OUTLIER_REJECTED)
        row->flags |= MX_EVENT_FLAG_REJECTED;
}

static const mx_error_t *lacks(storing_t *s)
{
    return mx_error_make(s->chunk, MX_E_NOT_FOUND, "An auth event of the event is not to be had.");
}

static void check(storing_t *s, mx_room_outlier_node_t *node)
{
    asked_t asked = { .s = s };
    mx_auth_state_t state = { auth_get, &asked, NULL };
    mx_event_t *event = NULL;
    const mx_error_t *why = mx_room_accept_pdu_alone(&event, s->room->version, s->room->room_id, node->text, s->room->key, s->room->baton,
                                                     s->chunk);
    for (; !why && asked.n < node->nauth; asked.n++) {
        const found_t *found = auth_event(s, node->auth[asked.n]);
        if (!found)
            why = lacks(s);
        else
            asked.auth[asked.n] = found->event;
    }
    if (!why && s->create_id.len && !mx_slice_eq(s->create_id, node->id) && !auth_event(s, s->create_id))
        why = lacks(s);
    if (why) {
        drop(s, node, why);
        return;
    }
    why = mx_auth_check_list(event, asked.auth, asked.n, s->chunk);
    if (!why)
        why = mx_auth_check(event, &state, s->chunk);
    node->fate = why ? MX_OUTLIER_REJECTED : MX_OUTLIER_GOOD;
    s->out->rejected += why != NULL;
    remember(s, node->id, why ? NULL : event);
    add_row(s, node, event);
}

/* ---- chunks ---- */

static const mx_error_t *store_rows(storing_t *s)
{
    apr_status_t rv = APR_SUCCESS;
    int i, added = 0;
    if (!s->nrows)
        return NULL;
    for (i = 0; i < STORE_TRIES && (i == 0 || rv == MX_STORE_RETRY); i++)
        rv = mx_store_outlier_add(&added, s->server->store, s->room->nid, s->server->name, s->rows, s->nrows, s->chunk);
    if (rv != APR_SUCCESS)
        return mx_server_store_error(rv, "storing outliers", s->pool);
    s->out->stored += added;
    return NULL;
}

static const mx_error_t *store_chunk(storing_t *s, mx_room_outlier_node_t *const *nodes, int n)
{
    const mx_error_t *err;
    int i;
    apr_pool_clear(s->chunk);
    s->events = apr_hash_make(s->chunk);
    s->rows = apr_palloc(s->chunk, sizeof(*s->rows) * (apr_size_t)n);
    s->nrows = 0;
    err = read_stored(s, nodes, n);
    if (err)                         /* it lives in the pool of the chunk */
        return mx_error_internal(s->pool, err->rv, "reading auth events");
    for (i = 0; i < n; i++)
        check(s, nodes[i]);
    return store_rows(s);
}

static const mx_error_t *store_all(storing_t *s)
{
    mx_room_outlier_node_t *nodes[MX_STORE_OUTLIERS_A_CALL];
    const mx_error_t *err = NULL;
    int i, n = 0;
    for (i = 0; !err && i < s->order.n; i++) {
        if (s->order.order[i]->fate == MX_OUTLIER_NEW)
            nodes[n++] = s->order.order[i];
        if (n == MX_STORE_OUTLIERS_A_CALL || (n && i == s->order.n - 1)) {
            err = store_chunk(s, nodes, n);
            n = 0;
        }
    }
    return err;
}

const mx_error_t *mx_room_outlier_store(mx_room_outliers_t *out, mx_server_t *server, const mx_room_outlier_room_t *room,
                                        const mx_slice_t *texts, int n, apr_pool_t *pool)
{
    storing_t s = { .out = out, .server = server, .room = room };
    const mx_error_t *err;
    memset(out, 0, sizeof(*out));
    if (n > MX_ROOM_OUTLIERS_MAX)
        return mx_error_make(pool, MX_E_TOO_LARGE, "More than %d events at once.", MX_ROOM_OUTLIERS_MAX);
    s.pool = pool;
    if (room->version->room_id_is_create_hash)
        s.create_id = mx_store_event_id_pack(apr_pstrcat(pool, "$", room->room_id + 1, NULL), pool);
    mx_room_outlier_sort(&s.order, room->version, s.create_id, texts, n, pool);
    out->dropped = s.order.dropped;
    out->why = s.order.why;
    out->ids = s.order.ids;
    err = find_known(&s);
    if (err)
        return err;
    apr_pool_create(&s.chunk, pool);
    apr_pool_tag(s.chunk, "mx_outlier_chunk");
    err = store_all(&s);
    apr_pool_destroy(s.chunk);
    return err;
}

const mx_error_t *mx_room_outlier_known(mx_store_outlier_row_t **prows, mx_server_t *server, apr_int64_t room_nid, const mx_slice_t *ids,
                                        int n, apr_pool_t *pool)
{
    mx_store_outlier_row_t *out = apr_pcalloc(pool, sizeof(*out) * (apr_size_t)(n + 1)), *rows;
    apr_hash_t *found = apr_hash_make(pool);
    apr_status_t rv = APR_SUCCESS;
    int from, i, nrows;
    for (from = 0; rv == APR_SUCCESS && from < n; from += IDS_A_QUERY) {
        rv = mx_store_outlier_find(&rows, &nrows, server->store, ids + from, n - from < IDS_A_QUERY ? n - from : IDS_A_QUERY, pool);
        for (i = 0; rv == APR_SUCCESS && i < nrows; i++)
            apr_hash_set(found, rows[i].id.p, (apr_ssize_t)rows[i].id.len, &rows[i]);
    }
    for (i = 0; rv == APR_SUCCESS && i < n; i++) {
        const mx_store_outlier_row_t *row = apr_hash_get(found, ids[i].p, (apr_ssize_t)ids[i].len);
        if (row && row->room_nid == room_nid)
            out[i] = *row;
    }
    if (rv != APR_SUCCESS)
        return mx_server_store_error(rv, "looking events up", pool);
    *prows = out;
    return NULL;
}

void mx_room_outlier_rejected(mx_server_t *server, apr_int64_t room_nid)
{
    mx_cache_remove(server->room->resolver->dags, &room_nid, sizeof(room_nid));
    mx_cache_remove(server->room->resolver->events, &room_nid, sizeof(room_nid));
}
