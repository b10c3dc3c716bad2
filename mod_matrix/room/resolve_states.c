/* SPDX-License-Identifier: Apache-2.0 */
/* What differs between states, from their snapshots' differences; and a result as a difference to one of them. */
#include "room/resolve_private.h"

#include "base/nid_map.h"
#include "store/resolve.h"

#include <stdlib.h>

#define DIFFS_A_TIME 256              /* snapshots compared at once: bounds what is held of their deltas */

static int item_cmp(const void *a, const void *b)
{
    return mx_nid_cmp(&((const mx_state_item_t *)a)->skey_nid, &((const mx_state_item_t *)b)->skey_nid);
}

/** Entry of a sorted list; NULL. */
static const mx_state_item_t *list_find(const mx_state_list_t *list, apr_int64_t skey_nid)
{
    mx_state_item_t key = { skey_nid, 0 };
    return list->n ? bsearch(&key, list->items, (size_t)list->n, sizeof(key), item_cmp) : NULL;
}

/** Index of a disputed entry; -1. */
static int skey_index(const mx_room_resolve_states_t *s, apr_int64_t skey_nid)
{
    const apr_int64_t *found = s->nskeys ? bsearch(&skey_nid, s->skeys, (size_t)s->nskeys, sizeof(skey_nid), mx_nid_cmp) : NULL;
    return found ? (int)(found - s->skeys) : -1;
}

/* ---- reading ---- */

/** The biggest state first: mostly it is the one that the result is nearest to. */
static const mx_error_t *choose_base(mx_room_resolve_states_t *s, mx_server_t *server, apr_int64_t room_nid,
        const mx_room_resolve_input_t *inputs,
                                     int n, apr_pool_t *pool)
{
    mx_room_resolve_input_t *sorted = apr_pmemdup(pool, inputs, sizeof(*sorted) * (apr_size_t)n), swap;
    int *sizes = apr_palloc(pool, sizeof(*sizes) * (apr_size_t)n), i, best = 0;
    apr_status_t rv;
    s->snaps = apr_palloc(pool, sizeof(*s->snaps) * (apr_size_t)n);
    for (i = 0; i < n; i++)
        s->snaps[i] = inputs[i].snap;
    rv = mx_store_resolve_sizes(sizes, server->store, room_nid, s->snaps, n, pool);
    for (i = 0; i < n && rv == APR_SUCCESS; i++) {
        if (sizes[i] < 0 && inputs[i].snap)
            rv = MX_STORE_NONE;
        if (sizes[i] > sizes[best])
            best = i;
    }
    if (rv != APR_SUCCESS)
        return mx_server_store_error(rv, "reading the snapshots to resolve", pool);
    swap = sorted[0];
    sorted[0] = sorted[best];
    sorted[best] = swap;
    for (i = 0; i < n; i++)
        s->snaps[i] = sorted[i].snap;
    s->inputs = sorted;
    s->n = n;
    return NULL;
}

static const mx_error_t *read_diffs(mx_room_resolve_states_t *s, mx_server_t *server, apr_pool_t *pool)
{
    apr_status_t rv = APR_SUCCESS;
    apr_pool_t *chunk;
    int at, i;
    s->diffs = apr_pcalloc(pool, sizeof(*s->diffs) * (apr_size_t)s->n);
    apr_pool_create(&chunk, pool);
    apr_pool_tag(chunk, "mx_resolve_diffs");
    for (at = 1; at < s->n && rv == APR_SUCCESS; at += DIFFS_A_TIME) {
        int k = s->n - at < DIFFS_A_TIME ? s->n - at : DIFFS_A_TIME;
        apr_pool_clear(chunk);
        rv = mx_store_resolve_diffs(s->diffs + at, server->store, s->snaps[0], s->snaps + at, k, chunk);
        for (i = at; rv == APR_SUCCESS && i < at + k; i++)
            s->diffs[i].items = apr_pmemdup(pool, s->diffs[i].items, sizeof(mx_state_item_t) * (apr_size_t)s->diffs[i].n);
    }
    apr_pool_destroy(chunk);
    return rv == APR_SUCCESS ? NULL : mx_server_store_error(rv, "comparing the states to resolve", pool);
}

static void find_extra(mx_room_resolve_states_t *s)
{
    int i, with = 0;
    for (i = 0; i < s->n; i++) {
        if (!s->inputs[i].extra)
            continue;
        with++;
        s->extra = s->inputs[i].extra;
        s->extra_skey = s->inputs[i].extra_skey_nid;
        s->extra_auth = s->inputs[i].extra_auth;
        s->nextra_auth = s->inputs[i].nextra_auth;
    }
    s->extra_everywhere = with == s->n;
}

/** Every key that any difference names, and the extra event's unless all have it. */
static void find_skeys(mx_room_resolve_states_t *s, apr_pool_t *pool)
{
    apr_size_t total = 1;
    int i, k, used = 0;
    for (i = 1; i < s->n; i++)
        total += (apr_size_t)s->diffs[i].n;
    s->skeys = apr_palloc(pool, sizeof(*s->skeys) * total);
    for (i = 1; i < s->n; i++) {
        for (k = 0; k < s->diffs[i].n; k++)
            s->skeys[s->nskeys++] = s->diffs[i].items[k].skey_nid;
    }
    if (s->extra && !s->extra_everywhere)
        s->skeys[s->nskeys++] = s->extra_skey;
    qsort(s->skeys, (size_t)s->nskeys, sizeof(*s->skeys), mx_nid_cmp);
    for (i = 0; i < s->nskeys; i++) {
        if (used && s->skeys[used - 1] == s->skeys[i])
            continue;
        if (s->extra_everywhere && s->skeys[i] == s->extra_skey)
            continue;
        s->skeys[used++] = s->skeys[i];
    }
    s->nskeys = used;
}

static void add_change(mx_room_resolve_states_t *s, int set, apr_int64_t skey_nid, apr_int64_t nid)
{
    int at = skey_index(s, skey_nid);
    if (at >= 0 && s->base[at].nid != nid)
        s->changes[s->nchanges++] = (mx_state_res_change_t){ (apr_uint32_t)set, skey_nid, nid };
}

/** What each other state has where the base, extra event and all, has something else. */
static void find_changes(mx_room_resolve_states_t *s, apr_pool_t *pool)
{
    apr_size_t total = (apr_size_t)s->n + 1;
    int i, k;
    for (i = 1; i < s->n; i++)
        total += (apr_size_t)s->diffs[i].n;
    s->changes = apr_palloc(pool, sizeof(*s->changes) * total);
    for (i = 1; i < s->n; i++) {
        const mx_state_item_t *own = s->extra ? list_find(&s->diffs[i], s->extra_skey) : NULL;
        for (k = 0; k < s->diffs[i].n; k++) {
            if (!s->extra || s->diffs[i].items[k].skey_nid != s->extra_skey)
                add_change(s, i, s->diffs[i].items[k].skey_nid, s->diffs[i].items[k].nid);
        }
        if (!s->extra || s->extra_everywhere)
            continue;
        k = skey_index(s, s->extra_skey);
        add_change(s, i, s->extra_skey, s->inputs[i].extra ? MX_STATE_RES_EXTRA : own ? own->nid : s->base_nids[k]);
    }
}

const mx_error_t *mx_room_resolve_states_read(mx_room_resolve_states_t *out, mx_server_t *server, apr_int64_t room_nid,
                                              const mx_room_resolve_input_t *inputs, int n, apr_pool_t *pool)
{
    mx_room_resolve_states_t s = { .nskeys = 0 };
    const mx_error_t *err = choose_base(&s, server, room_nid, inputs, n, pool);
    apr_status_t rv;
    int i;
    if (!err)
        err = read_diffs(&s, server, pool);
    if (err)
        return err;
    find_extra(&s);
    find_skeys(&s, pool);
    s.base_nids = apr_palloc(pool, sizeof(*s.base_nids) * (apr_size_t)(s.nskeys + 1));
    rv = mx_store_resolve_entries(s.base_nids, server->store, s.snaps[0], s.skeys, s.nskeys, pool);
    if (rv != APR_SUCCESS)
        return mx_server_store_error(rv, "reading what the states dispute", pool);
    s.base = apr_palloc(pool, sizeof(*s.base) * (apr_size_t)(s.nskeys + 1));
    for (i = 0; i < s.nskeys; i++) {
        int extra = s.inputs[0].extra && s.skeys[i] == s.extra_skey;
        s.base[i] = (mx_state_res_item_t){ s.skeys[i], extra ? MX_STATE_RES_EXTRA : s.base_nids[i] };
    }
    find_changes(&s, pool);
    *out = s;
    return NULL;
}

/* ---- writing ---- */

/** What snapshot i has for a disputed entry. */
static apr_int64_t snapshot_nid(const mx_room_resolve_states_t *s, int i, int at)
{
    const mx_state_item_t *own = list_find(&s->diffs[i], s->skeys[at]);
    return own ? own->nid : s->base_nids[at];
}

/** The snapshot with the fewest entries that the result has otherwise. A look at each difference is enough: elsewhere it is the base. */
static int nearest(const mx_room_resolve_states_t *s, const apr_int64_t *result)
{
    int i, k, at, base = 0, best = 0, best_count;
    for (at = 0; at < s->nskeys; at++)
        base += result[at] != s->base_nids[at];
    best_count = base;
    for (i = 1; i < s->n; i++) {
        int count = base;
        for (k = 0; k < s->diffs[i].n; k++) {
            at = skey_index(s, s->diffs[i].items[k].skey_nid);
            if (at >= 0)
                count += (result[at] != s->diffs[i].items[k].nid) - (result[at] != s->base_nids[at]);
        }
        if (count < best_count) {
            best_count = count;
            best = i;
        }
    }
    return best;
}

void mx_room_resolve_states_write(mx_room_resolved_t *out, const mx_room_resolve_states_t *s, const mx_state_res_item_t *items, int n,
                                  apr_pool_t *pool)
{
    apr_int64_t *result = apr_pcalloc(pool, sizeof(*result) * (apr_size_t)(s->nskeys + 1));
    mx_state_item_t *changes = apr_palloc(pool, sizeof(*changes) * (apr_size_t)(s->nskeys + n + 2));
    int i, best, nchanges = 0;
    for (i = 0; i < n; i++) {
        int at = skey_index(s, items[i].skey);
        if (at >= 0)
            result[at] = items[i].nid;
        else
            changes[nchanges++] = (mx_state_item_t){ items[i].skey, items[i].nid };
    }
    best = nearest(s, result);
    for (i = 0; i < s->nskeys; i++) {
        if (result[i] != snapshot_nid(s, best, i))
            changes[nchanges++] = (mx_state_item_t){ s->skeys[i], result[i] };
    }
    if (s->extra_everywhere)
        changes[nchanges++] = (mx_state_item_t){ s->extra_skey, MX_STATE_RES_EXTRA };
    qsort(changes, (size_t)nchanges, sizeof(*changes), item_cmp);
    *out = (mx_room_resolved_t){ .base = s->snaps[best], .changes = changes, .n = nchanges };
}
