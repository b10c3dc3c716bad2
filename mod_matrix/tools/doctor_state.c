/* SPDX-License-Identifier: Apache-2.0 */
/*
 * States as stored snapshots and what is to be put right about them. As long as what is stored is right the list of fixes is empty, and
 * two states are compared by the little in which their snapshots differ; nothing but the one map is as large as a state.
 */
#include "tools/doctor.h"

#include "store/event_id.h"
#include "store/resolve.h"

#include <stdlib.h>

#define PAIRS_A_QUERY 200            /* bounds what is held of deltas */
#define WORDS_MAX 3                  /* differences that are told one by one */

static int item_cmp(const void *a, const void *b)
{
    apr_int64_t x = ((const mx_state_item_t *)a)->skey_nid, y = ((const mx_state_item_t *)b)->skey_nid;
    return x < y ? -1 : x > y;
}

int mx_doctor_state_same(const mx_doctor_state_t *a, const mx_doctor_state_t *b)
{
    return a->snap == b->snap && a->nfixes == b->nfixes &&
           (!a->nfixes || memcmp(a->fixes, b->fixes, sizeof(*a->fixes) * (apr_size_t)a->nfixes) == 0);
}

mx_doctor_state_t mx_doctor_state_with(const mx_doctor_state_t *state, const mx_state_item_t *changes, int n, apr_pool_t *pool)
{
    mx_doctor_state_t made = { state->snap, NULL, 0 };
    int i = 0, k = 0;
    made.fixes = apr_palloc(pool, sizeof(*made.fixes) * (apr_size_t)(state->nfixes + n + 1));
    while (i < state->nfixes || k < n) {
        int order = i == state->nfixes ? 1 : k == n ? -1 : item_cmp(&state->fixes[i], &changes[k]);
        made.fixes[made.nfixes++] = order < 0 ? state->fixes[i] : changes[k];
        i += order <= 0;
        k += order >= 0;
    }
    return made;
}

/* ---- differences of snapshots ---- */

typedef struct pair_t {
    apr_int64_t from, to;
} pair_t;

void mx_doctor_state_next_part(mx_doctor_room_t *room)
{
    apr_pool_clear(room->chunk);
    room->diffs = apr_hash_make(room->chunk);
    room->owns = apr_hash_make(room->chunk);
}

static mx_state_list_t *pair_find(mx_doctor_room_t *room, apr_int64_t from, apr_int64_t to)
{
    pair_t pair = { from, to };
    return apr_hash_get(room->diffs, &pair, sizeof(pair));
}

static pair_t *pair_make(mx_doctor_room_t *room, apr_int64_t from, apr_int64_t to)
{
    pair_t *pair = apr_palloc(room->chunk, sizeof(*pair));
    *pair = (pair_t){ from, to };
    return pair;
}

static void pair_put(mx_doctor_room_t *room, apr_int64_t from, apr_int64_t to, mx_state_list_t list)
{
    apr_hash_set(room->diffs, pair_make(room, from, to), sizeof(pair_t), apr_pmemdup(room->chunk, &list, sizeof(list)));
}

apr_status_t mx_doctor_state_prefetch(mx_doctor_room_t *room, const apr_int64_t *from, const apr_int64_t *to, int n)
{
    int at, i, k;
    for (at = 0; at < n; at += PAIRS_A_QUERY) {
        mx_state_own_t *owns = apr_palloc(room->chunk, sizeof(*owns) * PAIRS_A_QUERY);
        apr_status_t rv;
        k = n - at < PAIRS_A_QUERY ? n - at : PAIRS_A_QUERY;
        rv = mx_store_state_own_many(owns, room->d->store, from + at, to + at, k, room->chunk);
        for (i = 0; rv == APR_SUCCESS && i < k; i++)
            apr_hash_set(room->owns, pair_make(room, from[at + i], to[at + i]), sizeof(pair_t), &owns[i]);
        if (rv != APR_SUCCESS)
            return rv;
    }
    return APR_SUCCESS;
}

/**
 * If the map is the state `from`, and what `to` says of its own is known: the difference without a query. 0 if it is not: a key that
 * only `from` has changed is in `to` what their shared ancestors say, which must be asked for.
 */
static int known_diff(mx_state_list_t *out, mx_doctor_room_t *room, apr_int64_t from, apr_int64_t to)
{
    pair_t pair = { from, to };
    const mx_state_own_t *own = apr_hash_get(room->owns, &pair, sizeof(pair));
    mx_state_item_t *items;
    int i = 0, k = 0, n = 0;
    if (!own || room->map_state.snap != from || room->map_state.nfixes)
        return 0;
    items = apr_palloc(room->chunk, sizeof(*items) * (apr_size_t)(own->from.n + own->to.n + 1));
    while (i < own->from.n || k < own->to.n) {
        int order = i == own->from.n ? 1 : k == own->to.n ? -1 : item_cmp(&own->from.items[i], &own->to.items[k]);
        mx_state_item_t is = order < 0 ? (mx_state_item_t){ own->from.items[i].skey_nid, 0 } : own->to.items[k];
        if (order < 0 && own->shared)
            return 0;
        if (mx_doctor_state_entry(room, is.skey_nid) != is.nid)
            items[n++] = is;
        i += order <= 0;
        k += order >= 0;
    }
    *out = (mx_state_list_t){ items, n };
    return 1;
}

static apr_status_t snapshot_diff(mx_state_list_t *out, mx_doctor_room_t *room, apr_int64_t from, apr_int64_t to)
{
    const mx_state_list_t *known;
    apr_status_t rv;
    *out = (mx_state_list_t){ NULL, 0 };
    if (from == to)
        return APR_SUCCESS;
    known = pair_find(room, from, to);
    if (known) {
        *out = *known;
        return APR_SUCCESS;
    }
    if (known_diff(out, room, from, to))
        return APR_SUCCESS;
    rv = mx_store_state_diff(&out->items, &out->n, room->d->store, from, to, room->chunk);
    if (rv == APR_SUCCESS)
        pair_put(room, from, to, *out);
    return rv;
}

static const mx_state_item_t *item_find(const mx_state_item_t *items, int n, apr_int64_t skey_nid)
{
    mx_state_item_t key = { skey_nid, 0 };
    return n ? bsearch(&key, items, (size_t)n, sizeof(key), item_cmp) : NULL;
}

/** Every key that the difference or either list of fixes names, sorted. */
static apr_int64_t *keys_of(int *pn, const mx_state_list_t *diff, const mx_doctor_state_t *from, const mx_doctor_state_t *to,
                            apr_pool_t *pool)
{
    const mx_state_item_t *lists[] = { diff->items, from->fixes, to->fixes };
    const int sizes[] = { diff->n, from->nfixes, to->nfixes };
    mx_state_item_t *all = apr_palloc(pool, sizeof(*all) * (apr_size_t)(sizes[0] + sizes[1] + sizes[2] + 1));
    apr_int64_t *keys = apr_palloc(pool, sizeof(*keys) * (apr_size_t)(sizes[0] + sizes[1] + sizes[2] + 1));
    int i, k, n = 0;
    for (k = 0; k < 3; k++) {
        for (i = 0; i < sizes[k]; i++)
            all[n++] = lists[k][i];
    }
    qsort(all, (size_t)n, sizeof(*all), item_cmp);
    for (i = *pn = 0; i < n; i++) {
        if (!*pn || keys[*pn - 1] != all[i].skey_nid)
            keys[(*pn)++] = all[i].skey_nid;
    }
    return keys;
}

apr_status_t mx_doctor_state_diff(mx_doctor_diff_t **pdiffs, int *pn, mx_doctor_room_t *room, const mx_doctor_state_t *from,
                                  const mx_doctor_state_t *to)
{
    mx_state_list_t diff;
    apr_int64_t *keys, *base;
    mx_doctor_diff_t *out;
    int i, nkeys, n = 0;
    apr_status_t rv = snapshot_diff(&diff, room, from->snap, to->snap);
    if (rv != APR_SUCCESS)
        return rv;
    keys = keys_of(&nkeys, &diff, from, to, room->chunk);
    base = apr_pcalloc(room->chunk, sizeof(*base) * (apr_size_t)(nkeys + 1));
    rv = nkeys ? mx_store_resolve_entries(base, room->d->store, from->snap, keys, nkeys, room->chunk) : APR_SUCCESS;
    if (rv != APR_SUCCESS)
        return rv;
    out = apr_palloc(room->chunk, sizeof(*out) * (apr_size_t)(nkeys + 1));
    for (i = 0; i < nkeys; i++) {
        const mx_state_item_t *f = item_find(from->fixes, from->nfixes, keys[i]), *t = item_find(to->fixes, to->nfixes, keys[i]);
        const mx_state_item_t *d = item_find(diff.items, diff.n, keys[i]);
        apr_int64_t was = f ? f->nid : base[i], is = t ? t->nid : d ? d->nid : base[i];
        if (was != is)
            out[n++] = (mx_doctor_diff_t){ keys[i], was, is };
    }
    *pdiffs = out;
    *pn = n;
    return APR_SUCCESS;
}

apr_status_t mx_doctor_state_is(int *pequal, mx_doctor_room_t *room, const mx_doctor_state_t *state, apr_int64_t snap)
{
    mx_doctor_state_t other = { snap, NULL, 0 };
    mx_doctor_diff_t *diffs;
    mx_state_list_t diff;
    int n = 0;
    apr_status_t rv = snapshot_diff(&diff, room, state->snap, snap);
    if (rv == APR_SUCCESS && diff.n == state->nfixes &&
        (!diff.n || memcmp(diff.items, state->fixes, sizeof(*diff.items) * (apr_size_t)diff.n) == 0)) {
        *pequal = 1;
        return APR_SUCCESS;
    }
    if (rv == APR_SUCCESS)
        rv = mx_doctor_state_diff(&diffs, &n, room, state, &other);
    *pequal = n == 0;
    return rv;
}

apr_status_t mx_doctor_state_entries(apr_int64_t *out, mx_doctor_room_t *room, const mx_doctor_state_t *state, const apr_int64_t *skeys,
                                     int n)
{
    int i;
    apr_status_t rv = mx_store_resolve_entries(out, room->d->store, state->snap, skeys, n, room->chunk);
    for (i = 0; rv == APR_SUCCESS && i < n; i++) {
        const mx_state_item_t *fix = item_find(state->fixes, state->nfixes, skeys[i]);
        if (fix)
            out[i] = fix->nid;
    }
    return rv;
}

int mx_doctor_state_is_damage(mx_doctor_room_t *room, apr_status_t rv)
{
    mx_room_row_t *row;
    return rv == MX_STORE_ERROR && mx_store_room_row(&row, room->d->store, room->row->nid, room->chunk) == APR_SUCCESS;
}

/* ---- the map: one whole state ---- */

static void map_set(mx_doctor_room_t *room, apr_int64_t skey_nid, apr_int64_t nid)
{
    if (nid)
        mx_nid_map_set(&room->map, skey_nid, (void *)(intptr_t)nid);
    else
        mx_nid_map_remove(&room->map, skey_nid);
}

static void map_keep(mx_doctor_room_t *room, const mx_doctor_state_t *state)
{
    room->map_state = *state;
    if (state->nfixes)
        room->map_state.fixes = apr_pmemdup(room->pool, state->fixes, sizeof(*state->fixes) * (apr_size_t)state->nfixes);
}

apr_status_t mx_doctor_state_move(mx_doctor_room_t *room, const mx_doctor_state_t *state)
{
    mx_doctor_diff_t *diffs;
    int i, n;
    apr_status_t rv;
    if (mx_doctor_state_same(&room->map_state, state))
        return APR_SUCCESS;
    rv = mx_doctor_state_diff(&diffs, &n, room, &room->map_state, state);
    if (rv != APR_SUCCESS)
        return rv;
    for (i = 0; i < n; i++)
        map_set(room, diffs[i].skey_nid, diffs[i].to);
    map_keep(room, state);
    return APR_SUCCESS;
}

apr_int64_t mx_doctor_state_entry(void *baton, apr_int64_t skey_nid)
{
    mx_doctor_room_t *room = baton;
    return (apr_int64_t)(intptr_t)mx_nid_map_get(&room->map, skey_nid);
}

void mx_doctor_state_put(mx_doctor_room_t *room, apr_int64_t skey_nid, apr_int64_t nid, const mx_doctor_state_t *now)
{
    map_set(room, skey_nid, nid);
    map_keep(room, now);
}

/* ---- in words ---- */

static const char *id_of(mx_doctor_room_t *room, apr_int64_t nid)
{
    mx_event_row_t *rows;
    int n = 0;
    if (!nid)
        return "nothing";
    if (mx_store_event_by_nids(&rows, &n, room->d->store, &nid, 1, room->chunk) != APR_SUCCESS || !n)
        return apr_psprintf(room->chunk, "an event that does not exist (number %" APR_INT64_T_FMT ")", nid);
    return mx_store_event_id_unpack(rows->id, room->chunk);
}

static const char *key_words(const mx_doctor_skey_t *skey, apr_pool_t *pool)
{
    if (!skey->type)
        return apr_psprintf(pool, "a state key that does not exist (number %" APR_INT64_T_FMT ")", skey->skey_nid);
    return *skey->state_key ? apr_pstrcat(pool, skey->type, " of ", skey->state_key, NULL) : skey->type;
}

const char *mx_doctor_state_words(mx_doctor_room_t *room, const mx_doctor_diff_t *should_is, int n)
{
    apr_int64_t keys[WORDS_MAX] = { 0 };
    mx_doctor_skey_t skeys[WORDS_MAX];
    const char *words = "";
    int i, shown = n < WORDS_MAX ? n : WORDS_MAX;
    for (i = 0; i < shown; i++)
        keys[i] = should_is[i].skey_nid;
    if (mx_store_doctor_skeys(skeys, room->d->store, keys, shown, room->chunk) != APR_SUCCESS)
        return "(its entries cannot be read)";
    for (i = 0; i < shown; i++)
        words = apr_psprintf(room->chunk, "%s%s%s is %s instead of %s", words, i ? ", " : "", key_words(&skeys[i], room->chunk),
                             id_of(room, should_is[i].to), id_of(room, should_is[i].from));
    return n > shown ? apr_psprintf(room->chunk, "%s, and %d more", words, n - shown) : words;
}
