/* SPDX-License-Identifier: Apache-2.0 */
/* States that differ, resolved. Rooms v1, v2, v12: state resolution. Remembered resolutions are not looked at. */
#include "tools/doctor.h"

#include "core/state_res.h"
#include "store/auth_dag.h"
#include "store/resolve.h"

#include <stdlib.h>

#define DAG_ROWS_A_QUERY 5000
#define EDGES_GUESS 5

/* ---- the auth DAG, read once ---- */

static apr_status_t dag_read(mx_doctor_room_t *room)
{
    mx_auth_dag_t *dag = mx_auth_dag_create(DAG_ROWS_A_QUERY, DAG_ROWS_A_QUERY * EDGES_GUESS, room->pool);
    apr_pool_t *part;
    int i, n = DAG_ROWS_A_QUERY;
    apr_status_t rv = APR_SUCCESS;
    apr_pool_create(&part, room->pool);
    while (rv == APR_SUCCESS && n == DAG_ROWS_A_QUERY) {
        mx_store_auth_row_t *rows;
        apr_pool_clear(part);
        rv = mx_store_auth_dag_read(&rows, &n, room->d->store, room->row->nid, dag->n ? dag->nids[dag->n - 1] : 0, DAG_ROWS_A_QUERY, part);
        for (i = 0; rv == APR_SUCCESS && i < n; i++) {
            if (dag->cap == dag->n || dag->edge_cap - dag->nedges < (apr_uint32_t)rows[i].nauth)
                dag = mx_auth_dag_copy(dag, dag->n + DAG_ROWS_A_QUERY, dag->nedges + DAG_ROWS_A_QUERY * EDGES_GUESS, room->pool);
            mx_auth_dag_append(dag, rows[i].nid, rows[i].skey_nid, rows[i].auth_nids, rows[i].nauth);
        }
    }
    apr_pool_destroy(part);
    room->dag = dag;
    return rv;
}

/* ---- where the algorithm asks ---- */

typedef struct fork_t {
    mx_doctor_room_t *room;
    const mx_doctor_state_t *base;
    int doubt;
} fork_t;

static const mx_error_t *failed(mx_doctor_room_t *room, apr_status_t rv)
{
    room->rv = rv;
    return mx_error_make(room->chunk, MX_E_UNKNOWN, "The database could not be read.");
}

static const mx_error_t *ask_events(void *baton, const mx_event_t **out, const apr_int64_t *nids, int n)
{
    fork_t *f = baton;
    apr_status_t rv = mx_doctor_auth_load_nids(f->room, nids, n);
    int i;
    if (rv != APR_SUCCESS)
        return failed(f->room, rv);
    for (i = 0; i < n; i++) {
        const mx_doctor_known_t *known = mx_doctor_auth_get(f->room, nids[i]);
        out[i] = known && !(known->flags & MX_EVENT_FLAG_REJECTED) ? known->event : NULL;
        f->doubt |= known && (known->flags & MX_EVENT_FLAG_REDACTED);
    }
    return NULL;
}

static const mx_error_t *ask_skeys(void *baton, apr_int64_t *out, const mx_state_key_t *keys, int n)
{
    fork_t *f = baton;
    apr_status_t rv = mx_store_resolve_skeys(out, f->room->d->store, keys, n, f->room->chunk);
    return rv == APR_SUCCESS ? NULL : failed(f->room, rv);
}

static const mx_error_t *ask_entries(void *baton, apr_int64_t *out, const apr_int64_t *skeys, int n)
{
    fork_t *f = baton;
    apr_status_t rv = mx_doctor_state_entries(out, f->room, f->base, skeys, n);
    return rv == APR_SUCCESS ? NULL : failed(f->room, rv);
}

/* ---- the disputed entries ---- */

static int key_cmp(const void *a, const void *b)
{
    apr_int64_t x = ((const mx_state_res_item_t *)a)->skey, y = ((const mx_state_res_item_t *)b)->skey;
    return x < y ? -1 : x > y;
}

static apr_status_t read_disputes(mx_state_res_input_t *in, mx_doctor_room_t *room, const mx_doctor_state_t *states, int n)
{
    apr_array_header_t *changes = apr_array_make(room->chunk, 16, sizeof(mx_state_res_change_t));
    apr_array_header_t *base = apr_array_make(room->chunk, 16, sizeof(mx_state_res_item_t));
    mx_state_res_item_t *items;
    int i, k, used = 0;
    for (i = 1; i < n; i++) {
        mx_doctor_diff_t *diffs;
        int ndiffs;
        apr_status_t rv = mx_doctor_state_diff(&diffs, &ndiffs, room, &states[0], &states[i]);
        if (rv != APR_SUCCESS)
            return rv;
        for (k = 0; k < ndiffs; k++) {
            APR_ARRAY_PUSH(changes, mx_state_res_change_t) = (mx_state_res_change_t){ (apr_uint32_t)i, diffs[k].skey_nid, diffs[k].to };
            APR_ARRAY_PUSH(base, mx_state_res_item_t) = (mx_state_res_item_t){ diffs[k].skey_nid, diffs[k].from };
        }
    }
    items = (mx_state_res_item_t *)base->elts;
    qsort(items, (size_t)base->nelts, sizeof(*items), key_cmp);
    for (i = 0; i < base->nelts; i++) {
        if (!used || items[used - 1].skey != items[i].skey)
            items[used++] = items[i];
    }
    in->base = items;
    in->nbase = used;
    in->changes = (mx_state_res_change_t *)changes->elts;
    in->nchanges = changes->nelts;
    return APR_SUCCESS;
}

/** The first state with the outcome written over it; a disputed entry that the outcome does not name is gone. */
static mx_doctor_state_t outcome(mx_doctor_room_t *room, const mx_doctor_state_t *base, const mx_state_res_input_t *in,
                                 mx_state_res_item_t *items, int n)
{
    mx_state_item_t *changes = apr_palloc(room->chunk, sizeof(*changes) * (apr_size_t)(in->nbase + n + 1));
    int i, k, nchanges = 0;
    qsort(items, (size_t)n, sizeof(*items), key_cmp);
    for (i = k = 0; i < in->nbase || k < n;) {
        const mx_state_res_item_t *was = i < in->nbase ? &in->base[i] : NULL, *is = k < n ? &items[k] : NULL;
        int order = !was ? 1 : !is ? -1 : key_cmp(was, is);
        if (order < 0)
            changes[nchanges++] = (mx_state_item_t){ was->skey, 0 };
        else if (order > 0 || was->nid != is->nid)
            changes[nchanges++] = (mx_state_item_t){ is->skey, is->nid };
        i += order <= 0;
        k += order >= 0;
    }
    return mx_doctor_state_with(base, changes, nchanges, room->chunk);
}

apr_status_t mx_doctor_fork_resolve(mx_doctor_state_t *out, int *pdoubt, mx_doctor_room_t *room, const mx_doctor_state_t *states, int n)
{
    fork_t fork = { room, states, 0 };
    mx_state_res_source_t source = { ask_events, ask_skeys, ask_entries, &fork };
    mx_state_res_input_t in = { .version = room->version, .nsets = (apr_uint32_t)n };
    mx_state_res_item_t *items;
    int nitems;
    apr_status_t rv = read_disputes(&in, room, states, n);
    *out = states[0];
    if (rv == APR_SUCCESS && in.nbase && !room->dag)
        rv = dag_read(room);
    if (rv != APR_SUCCESS || !in.nbase)
        return rv;
    in.dag = room->dag;
    if (mx_state_res_run(&items, &nitems, &in, &source, room->chunk) != NULL)
        return room->rv != APR_SUCCESS ? room->rv : APR_EGENERAL;
    *out = outcome(room, &states[0], &in, items, nitems);
    *pdoubt |= fork.doubt;
    return APR_SUCCESS;
}
