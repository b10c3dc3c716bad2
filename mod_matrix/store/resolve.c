/* SPDX-License-Identifier: Apache-2.0 */
/* What state resolution reads and remembers. */
#include "store/resolve.h"

#include "base/crypto.h"

#include <endian.h>
#include <stdlib.h>

/** Raise it with every change of what resolution gives: what was remembered before no longer counts. */
#define MEMO_REVISION 2
#define MEMO_KEY_BYTES 16
#define FEW_ENTRIES 16                /* looked up singly */

/**
 * Snapshots never change and their numbers are never used again, so the numbers name the states. What the rules read of the events in
 * them changes with redactions of state events.
 */
static mx_slice_t memo_key(apr_int64_t state_redacted, const apr_int64_t *snaps, int n, apr_pool_t *pool)
{
    apr_size_t len = sizeof(apr_uint64_t) * (apr_size_t)(n + 2);
    apr_uint64_t *words = apr_palloc(pool, len);
    unsigned char *digest = apr_palloc(pool, MX_SHA256_BYTES);
    int i;
    words[0] = htobe64(MEMO_REVISION);
    words[1] = htobe64((apr_uint64_t)state_redacted);
    for (i = 0; i < n; i++)
        words[i + 2] = htobe64((apr_uint64_t)snaps[i]);
    mx_sha256(digest, words, len);
    return mx_slice((const char *)digest, MEMO_KEY_BYTES);
}

apr_status_t mx_store_resolve_recall(apr_int64_t *psnap, mx_store_t *store, apr_int64_t room_nid, apr_int64_t state_redacted,
                                     const apr_int64_t *snaps, int n, apr_pool_t *pool)
{
    MX_STMT(resolve_recall, "lb",
            "select m.result from stres_memo m join snapshot s on s.snap_nid = m.result and s.room_nid = m.room_nid"
            " where m.room_nid = $1::int8 and m.key = $2::bytea");
    mx_rows_t *rows;
    apr_status_t rv = mx_store_run(&rows, store, pool, &resolve_recall, room_nid, memo_key(state_redacted, snaps, n, pool));
    if (rv != APR_SUCCESS)
        return rv;
    if (!mx_rows_count(rows))
        return MX_STORE_NONE;
    *psnap = mx_row_int(rows, 0, 0);
    return APR_SUCCESS;
}

apr_status_t mx_store_resolve_remember(mx_store_t *store, apr_int64_t room_nid, apr_int64_t state_redacted, const apr_int64_t *snaps, int n,
                                       apr_int64_t result, apr_pool_t *pool)
{
    MX_STMT(resolve_remember, "lbl",
            "insert into stres_memo (room_nid, key, result) values ($1::int8, $2::bytea, $3::int8)"
            " on conflict (room_nid, key) do update set result = excluded.result, day = current_date"
            " where (stres_memo.result, stres_memo.day) <> (excluded.result, current_date)");
    return mx_store_run(NULL, store, pool, &resolve_remember, room_nid, memo_key(state_redacted, snaps, n, pool), result);
}

apr_status_t mx_store_resolve_is_whole(int *pwhole, mx_store_t *store, apr_int64_t room_nid, apr_int64_t snap_nid, apr_pool_t *pool)
{
    MX_STMT(resolve_is_whole, "ll",
            "select exists (select from snapshot s where s.snap_nid = $2::int8 and s.room_nid = $1::int8)"
            " and not snapshot_is_going($1::int8, $2::int8)");
    mx_rows_t *rows;
    apr_status_t rv = mx_store_run(&rows, store, pool, &resolve_is_whole, room_nid, snap_nid);
    if (rv == APR_SUCCESS)
        *pwhole = mx_row_bool(rows, 0, 0);
    return rv;
}

apr_status_t mx_store_resolve_sizes(int *out, mx_store_t *store, apr_int64_t room_nid, const apr_int64_t *snaps, int n,
                                    apr_pool_t *pool)
{
    MX_STMT(resolve_sizes, "lL",
            "select w.o - 1, s.size from unnest($2::int8[]) with ordinality w(snap, o)"
            " join snapshot s on s.snap_nid = w.snap and s.room_nid = $1::int8");
    mx_rows_t *rows;
    int i;
    apr_status_t rv = mx_store_run(&rows, store, pool, &resolve_sizes, room_nid, snaps, n);
    if (rv != APR_SUCCESS)
        return rv;
    for (i = 0; i < n; i++)
        out[i] = -1;
    for (i = 0; i < mx_rows_count(rows); i++)
        out[mx_row_int(rows, i, 0)] = (int)mx_row_int(rows, i, 1);
    return APR_SUCCESS;
}

/** A few are looked up one by one in each delta … */
static apr_status_t few_entries(apr_int64_t *out, mx_store_t *store, apr_int64_t snap_nid, const apr_int64_t *skeys, int n,
                                apr_pool_t *pool)
{
    mx_state_hit_t *hits;
    int i, k, nhits;
    apr_status_t rv = mx_store_state_entries(&hits, &nhits, store, &snap_nid, 1, skeys, n, pool);
    for (i = 0; rv == APR_SUCCESS && i < nhits; i++) {
        for (k = 0; k < n; k++) {
            if (skeys[k] == hits[i].skey_nid)
                out[k] = hits[i].nid;
        }
    }
    return rv;
}

static int item_cmp(const void *a, const void *b)
{
    const mx_state_item_t *x = a, *y = b;
    return x->skey_nid < y->skey_nid ? -1 : x->skey_nid > y->skey_nid;
}

/** … many in the whole state: sixteen bytes an entry, and remembered. */
static apr_status_t many_entries(apr_int64_t *out, mx_store_t *store, apr_int64_t snap_nid, const apr_int64_t *skeys, int n,
                                 apr_pool_t *pool)
{
    mx_state_list_t state;
    int i;
    apr_status_t rv = mx_store_state_load_many(&state, store, &snap_nid, 1, pool);
    for (i = 0; rv == APR_SUCCESS && state.n && i < n; i++) {
        mx_state_item_t key = { skeys[i], 0 };
        const mx_state_item_t *found = bsearch(&key, state.items, (size_t)state.n, sizeof(key), item_cmp);
        out[i] = found ? found->nid : 0;
    }
    return rv;
}

apr_status_t mx_store_resolve_entries(apr_int64_t *out, mx_store_t *store, apr_int64_t snap_nid, const apr_int64_t *skeys, int n,
                                      apr_pool_t *pool)
{
    memset(out, 0, sizeof(*out) * (apr_size_t)n);
    if (!n || !snap_nid)
        return APR_SUCCESS;
    return n <= FEW_ENTRIES ? few_entries(out, store, snap_nid, skeys, n, pool) : many_entries(out, store, snap_nid, skeys, n, pool);
}

apr_status_t mx_store_resolve_skeys(apr_int64_t *out, mx_store_t *store, const mx_state_key_t *keys, int n, apr_pool_t *pool)
{
    MX_STMT(resolve_skeys, "SS",
            "select w.o - 1, k.skey_nid from unnest($1::text[], $2::text[]) with ordinality w(type, state_key, o)"
            " join ev_type t on t.type = w.type join skey k on k.type_nid = t.type_nid and k.state_key = w.state_key");
    const char **types = apr_palloc(pool, sizeof(*types) * (apr_size_t)(n + 1));
    const char **state_keys = apr_palloc(pool, sizeof(*state_keys) * (apr_size_t)(n + 1));
    mx_rows_t *rows;
    apr_status_t rv;
    int i;
    for (i = 0; i < n; i++) {
        types[i] = keys[i].type;
        state_keys[i] = keys[i].state_key;
        out[i] = 0;
    }
    rv = n ? mx_store_run(&rows, store, pool, &resolve_skeys, types, n, state_keys, n) : APR_SUCCESS;
    for (i = 0; n && rv == APR_SUCCESS && i < mx_rows_count(rows); i++)
        out[mx_row_int(rows, i, 0)] = mx_row_int(rows, i, 1);
    return rv;
}

apr_status_t mx_store_resolve_events(mx_resolve_event_t **pout, int *pn, mx_store_t *store, const apr_int64_t *nids, int n,
                                     apr_pool_t *pool)
{
    MX_STMT(resolve_events, "L", "select nid, flags, event_id, pdu from event where nid = any($1::int8[])");
    mx_resolve_event_t *out;
    mx_rows_t *rows;
    int i;
    apr_status_t rv = mx_store_run(&rows, store, pool, &resolve_events, nids, n);
    if (rv != APR_SUCCESS)
        return rv;
    out = apr_palloc(pool, sizeof(*out) * (apr_size_t)(mx_rows_count(rows) + 1));
    for (i = 0; i < mx_rows_count(rows); i++)
        out[i] = (mx_resolve_event_t){ mx_row_int(rows, i, 0), (int)mx_row_int(rows, i, 1), mx_row_bytes(rows, i, 2),
                mx_row_body(rows, i, 3) };
    *pout = out;
    *pn = mx_rows_count(rows);
    return APR_SUCCESS;
}
