/* SPDX-License-Identifier: Apache-2.0 */
/* The resolution of forks, first form: reads the states whole. Rooms v2: state resolution. */
#include "room/resolve.h"

#include "core/state_res.h"
#include "store/resolve.h"
#include "store/event_id.h"

#include <apr_hash.h>
#include <apr_tables.h>
#include <stdlib.h>

typedef struct run_t {
    mx_server_t *server;
    const mx_room_version_t *version;
    const mx_room_resolve_input_t *inputs;
    int n;
    mx_state_list_t *states;
    const mx_event_t *extra;
    apr_hash_t *by_nid, *by_id;        /* event_t */
    apr_pool_t *pool;
} run_t;

typedef struct event_t {
    apr_int64_t nid, skey_nid;
    const mx_event_t *event;           /* NULL: rejected */
} event_t;

static void keep_row(run_t *r, const mx_event_row_t *row)
{
    event_t *made = apr_pcalloc(r->pool, sizeof(*made));
    const char *id = mx_store_event_id_unpack(row->id, r->pool);
    mx_event_t *event;
    made->nid = row->nid;
    made->skey_nid = row->skey_nid;
    if (!(row->flags & MX_EVENT_FLAG_REJECTED) && mx_event_parse(&event, r->version, row->pdu, id, r->pool) == NULL)
        made->event = event;
    apr_hash_set(r->by_nid, &made->nid, sizeof(made->nid), made);
    apr_hash_set(r->by_id, id, APR_HASH_KEY_STRING, made);
}

static const mx_event_t *get_event(void *baton, const char *event_id)
{
    run_t *r = baton;
    event_t *found = apr_hash_get(r->by_id, event_id, APR_HASH_KEY_STRING);
    mx_event_row_t *row;
    if (found)
        return found->event;
    if (mx_store_event_by_id(&row, r->server->store, event_id, r->pool) != APR_SUCCESS)
        return NULL;
    keep_row(r, row);
    return ((event_t *)apr_hash_get(r->by_id, event_id, APR_HASH_KEY_STRING))->event;
}

static apr_status_t load_events(run_t *r)
{
    apr_array_header_t *nids = apr_array_make(r->pool, 64, sizeof(apr_int64_t));
    apr_hash_t *seen = apr_hash_make(r->pool);
    mx_event_row_t *rows;
    int i, k, n;
    apr_status_t rv;
    for (i = 0; i < r->n; i++) {
        for (k = 0; k < r->states[i].n; k++) {
            apr_int64_t *nid = &r->states[i].items[k].nid;
            if (apr_hash_get(seen, nid, sizeof(*nid)))
                continue;
            apr_hash_set(seen, nid, sizeof(*nid), nid);
            APR_ARRAY_PUSH(nids, apr_int64_t) = *nid;
        }
    }
    rv = mx_store_event_by_nids(&rows, &n, r->server->store, (apr_int64_t *)nids->elts, nids->nelts, r->pool);
    for (i = 0; rv == APR_SUCCESS && i < n; i++)
        keep_row(r, &rows[i]);
    return rv;
}

static mx_state_set_t set_of(run_t *r, int i)
{
    const mx_room_resolve_input_t *input = &r->inputs[i];
    mx_state_entry_t *entries = apr_palloc(r->pool, sizeof(*entries) * (apr_size_t)(r->states[i].n + 1));
    int k, n = 0;
    for (k = 0; k < r->states[i].n; k++) {
        event_t *found = apr_hash_get(r->by_nid, &r->states[i].items[k].nid, sizeof(apr_int64_t));
        if (found && found->event && !(input->extra && found->skey_nid == input->extra_skey_nid))
            entries[n++] = (mx_state_entry_t){ found->event->type, found->event->state_key, found->event->event_id };
    }
    if (input->extra)
        entries[n++] = (mx_state_entry_t){ input->extra->type, input->extra->state_key, input->extra->event_id };
    return (mx_state_set_t){ entries, n };
}

static int by_skey(const void *a, const void *b)
{
    const mx_state_item_t *x = a, *y = b;
    return x->skey_nid < y->skey_nid ? -1 : x->skey_nid > y->skey_nid;
}

/** What makes state 0 into the resolved one. */
static void write_changes(mx_room_resolved_t *out, run_t *r, const mx_state_set_t *resolved)
{
    mx_state_item_t *now = apr_palloc(r->pool, sizeof(*now) * (apr_size_t)(resolved->nentries + 1));
    const mx_state_list_t *base = &r->states[0];
    int i = 0, k = 0;
    for (i = 0; i < resolved->nentries; i++) {
        event_t *found = apr_hash_get(r->by_id, resolved->entries[i].event_id, APR_HASH_KEY_STRING);
        now[i] = (mx_state_item_t){ found->skey_nid, found->nid };
    }
    qsort(now, (size_t)resolved->nentries, sizeof(*now), by_skey);
    out->base = r->inputs[0].snap;
    out->n = 0;
    out->changes = apr_palloc(r->pool, sizeof(*now) * (apr_size_t)(resolved->nentries + base->n + 1));
    for (i = 0; i < base->n || k < resolved->nentries;) {
        if (k >= resolved->nentries || (i < base->n && base->items[i].skey_nid < now[k].skey_nid))
            out->changes[out->n++] = (mx_state_item_t){ base->items[i++].skey_nid, 0 };
        else if (i >= base->n || now[k].skey_nid < base->items[i].skey_nid)
            out->changes[out->n++] = now[k++];
        else {
            if (base->items[i].nid != now[k].nid)
                out->changes[out->n++] = now[k];
            i++;
            k++;
        }
    }
}

static void keep_extra(run_t *r)
{
    int i;
    for (i = 0; i < r->n; i++) {
        event_t *made;
        if (!r->inputs[i].extra || r->extra)
            continue;
        r->extra = r->inputs[i].extra;
        made = apr_pcalloc(r->pool, sizeof(*made));
        made->nid = MX_ROOM_RESOLVE_EXTRA;
        made->skey_nid = r->inputs[i].extra_skey_nid;
        made->event = r->extra;
        apr_hash_set(r->by_id, r->extra->event_id, APR_HASH_KEY_STRING, made);
    }
}

const mx_error_t *mx_room_resolve(mx_room_resolved_t *out, mx_server_t *server, apr_int64_t room_nid,
                                  const mx_room_version_t *version, const mx_room_resolve_input_t *inputs, int n,
                                  apr_pool_t *pool)
{
    run_t r = { .server = server, .version = version, .inputs = inputs, .n = n, .pool = pool };
    apr_int64_t *snaps = apr_palloc(pool, sizeof(*snaps) * (apr_size_t)(n + 1));
    mx_state_set_t *sets = apr_palloc(pool, sizeof(*sets) * (apr_size_t)(n + 1)), resolved;
    const mx_error_t *err;
    apr_status_t rv;
    int i;
    for (i = 0; i < n; i++)
        snaps[i] = inputs[i].snap;
    r.states = apr_palloc(pool, sizeof(*r.states) * (apr_size_t)(n + 1));
    r.by_nid = apr_hash_make(pool);
    r.by_id = apr_hash_make(pool);
    rv = mx_store_state_load_many(r.states, server->store, snaps, n, pool);
    if (rv == APR_SUCCESS)
        rv = load_events(&r);
    if (rv != APR_SUCCESS)
        return mx_server_store_error(rv, "reading the states to resolve", pool);
    keep_extra(&r);
    for (i = 0; i < n; i++)
        sets[i] = set_of(&r, i);
    err = mx_state_resolve(&resolved, version, sets, n, get_event, &r, pool);
    if (!err)
        write_changes(out, &r, &resolved);
    return err;
}

void mx_room_resolve_remember(mx_server_t *server, apr_int64_t room_nid, const apr_int64_t *snaps, int n,
                              apr_int64_t result, apr_pool_t *pool)
{
    mx_store_resolve_remember(server->store, room_nid, snaps, n, result, pool);
}
