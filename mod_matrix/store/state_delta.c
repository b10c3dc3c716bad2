/* SPDX-License-Identifier: Apache-2.0 */
/* Decodes packed deltas and makes states and differences of them. */
#include "store/state_delta.h"

#include <stdlib.h>

/** An entry and how old it is: its place in the deltas, newest first. */
typedef struct aged_t {
    mx_state_item_t item;
    apr_size_t age;
} aged_t;

static apr_int64_t number_read(const char *at)
{
    const unsigned char *p = (const unsigned char *)at;
    return (apr_int64_t)p[0] << 32 | (apr_int64_t)p[1] << 24 | (apr_int64_t)p[2] << 16 | (apr_int64_t)p[3] << 8 | p[4];
}

static mx_state_item_t entry_read(const char *at)
{
    return (mx_state_item_t){ number_read(at), number_read(at + MX_STATE_NUMBER_BYTES) };
}

int mx_store_state_delta_numbers(apr_int64_t **pout, mx_slice_t packed, apr_pool_t *pool)
{
    apr_size_t i, n = packed.len / MX_STATE_NUMBER_BYTES;
    if (packed.len % MX_STATE_NUMBER_BYTES || n > MX_STATE_ENTRIES_MAX)
        return -1;
    *pout = apr_palloc(pool, sizeof(**pout) * (n + 1));
    for (i = 0; i < n; i++)
        (*pout)[i] = number_read(packed.p + i * MX_STATE_NUMBER_BYTES);
    return (int)n;
}

apr_int64_t mx_store_state_delta_find(mx_slice_t delta, apr_int64_t skey_nid)
{
    apr_size_t at;
    for (at = 0; at + MX_STATE_ENTRY_BYTES <= delta.len; at += MX_STATE_ENTRY_BYTES) {
        if (number_read(delta.p + at) == skey_nid)
            return number_read(delta.p + at + MX_STATE_NUMBER_BYTES);
    }
    return -1;
}

/** Keys ascend: none comes twice. */
static int delta_is_sorted(mx_slice_t delta)
{
    apr_size_t at;
    for (at = MX_STATE_ENTRY_BYTES; at < delta.len; at += MX_STATE_ENTRY_BYTES) {
        if (memcmp(delta.p + at - MX_STATE_ENTRY_BYTES, delta.p + at, MX_STATE_NUMBER_BYTES) >= 0)
            return 0;
    }
    return 1;
}

static int aged_compare(const void *a, const void *b)
{
    const aged_t *x = a, *y = b;
    if (x->item.skey_nid != y->item.skey_nid)
        return x->item.skey_nid < y->item.skey_nid ? -1 : 1;
    return x->age < y->age ? -1 : 1;
}

/** The entries of some deltas, each key's newest, sorted. */
static void sort_entries(mx_state_list_t *out, const mx_slice_t *deltas, int n, apr_size_t total, apr_pool_t *pool)
{
    aged_t *aged = apr_palloc(pool, sizeof(*aged) * (total + 1));
    apr_size_t i, at, used = 0;
    int d, sorted = 1;
    for (d = 0; d < n; d++) {
        for (at = 0; at < deltas[d].len; at += MX_STATE_ENTRY_BYTES, used++) {
            aged[used] = (aged_t){ entry_read(deltas[d].p + at), used };
            sorted = sorted && (!used || aged[used - 1].item.skey_nid < aged[used].item.skey_nid);
        }
    }
    if (!sorted)
        qsort(aged, used, sizeof(*aged), aged_compare);
    out->items = apr_palloc(pool, sizeof(*out->items) * (used + 1));
    out->n = 0;
    for (i = 0; i < used; i++) {
        if (!i || aged[i].item.skey_nid != aged[i - 1].item.skey_nid)
            out->items[out->n++] = aged[i].item;
    }
}

/** Puts a newer list over a sorted delta. */
static void overlay(mx_state_list_t *out, const mx_state_list_t *newer, mx_slice_t older, apr_pool_t *pool)
{
    const char *p = older.p, *end = older.p + older.len;
    mx_state_item_t *items = apr_palloc(pool, sizeof(*items) * ((apr_size_t)newer->n + older.len / MX_STATE_ENTRY_BYTES + 1));
    int k = 0, used = 0;
    while (p < end || k < newer->n) {
        mx_state_item_t old = { 0, 0 };
        if (p < end)
            old = entry_read(p);
        if (k == newer->n || (p < end && old.skey_nid < newer->items[k].skey_nid)) {
            items[used++] = old;
            p += MX_STATE_ENTRY_BYTES;
            continue;
        }
        if (p < end && old.skey_nid == newer->items[k].skey_nid)
            p += MX_STATE_ENTRY_BYTES;
        items[used++] = newer->items[k++];
    }
    out->items = items;
    out->n = used;
}

apr_status_t mx_store_state_delta_merge(mx_state_list_t *out, const mx_slice_t *deltas, int n, apr_pool_t *pool)
{
    mx_state_list_t newer;
    apr_size_t total = 0;
    int d, base_sorted;
    for (d = 0; d < n; d++) {
        if (deltas[d].len % MX_STATE_ENTRY_BYTES)
            return APR_EINVAL;
        total += deltas[d].len / MX_STATE_ENTRY_BYTES;
    }
    if (total > MX_STATE_ENTRIES_MAX)
        return APR_EINVAL;
    base_sorted = n && delta_is_sorted(deltas[n - 1]);
    if (base_sorted)
        total -= deltas[n - 1].len / MX_STATE_ENTRY_BYTES;
    sort_entries(&newer, deltas, base_sorted ? n - 1 : n, total, pool);
    if (base_sorted)
        overlay(out, &newer, deltas[n - 1], pool);
    else
        *out = newer;
    return APR_SUCCESS;
}

void mx_store_state_delta_settle(mx_state_list_t *list)
{
    int i, used = 0;
    for (i = 0; i < list->n; i++) {
        if (list->items[i].nid)
            list->items[used++] = list->items[i];
    }
    list->n = used;
}

/** The nid that a sorted list has for a key, looked for from *pat on; `absent` where it says nothing. */
static apr_int64_t list_nid(const mx_state_list_t *list, int *pat, apr_int64_t skey_nid, apr_int64_t absent)
{
    while (*pat < list->n && list->items[*pat].skey_nid < skey_nid)
        ++*pat;
    return *pat < list->n && list->items[*pat].skey_nid == skey_nid ? list->items[*pat].nid : absent;
}

void mx_store_state_delta_diff(mx_state_list_t *out, const mx_state_list_t *from, const mx_state_list_t *to, const mx_state_list_t *base,
                               apr_pool_t *pool)
{
    int f = 0, t = 0, b = 0;
    out->items = apr_palloc(pool, sizeof(*out->items) * ((apr_size_t)from->n + (apr_size_t)to->n + 1));
    out->n = 0;
    while (f < from->n || t < to->n) {
        apr_int64_t skey_nid, was, is, both;
        if (t == to->n || (f < from->n && from->items[f].skey_nid < to->items[t].skey_nid))
            skey_nid = from->items[f].skey_nid;
        else
            skey_nid = to->items[t].skey_nid;
        both = list_nid(base, &b, skey_nid, 0);
        was = list_nid(from, &f, skey_nid, both);
        is = list_nid(to, &t, skey_nid, both);
        f += f < from->n && from->items[f].skey_nid == skey_nid;
        t += t < to->n && to->items[t].skey_nid == skey_nid;
        if (was != is)
            out->items[out->n++] = (mx_state_item_t){ skey_nid, is };
    }
}
