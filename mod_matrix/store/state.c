/* SPDX-License-Identifier: Apache-2.0 */
/* Reads snapshots. How they are made: snapshot_add() in sql/0005_persist.sql. */
#include "store/state_private.h"

#include "base/crypto.h"

#include <apr_hash.h>
#include <endian.h>

#define DELTA_SKEYS "s.delta[:cardinality(s.delta) / 2]"
#define DELTA_NIDS "s.delta[cardinality(s.delta) / 2 + 1:]"

int mx_store_state_overlay(mx_state_item_t *out, const mx_state_item_t *state, int n, const apr_int64_t *delta,
                           int nchanges)
{
    int i = 0, k = 0, used = 0;
    while (i < n || k < nchanges) {
        if (k >= nchanges || (i < n && state[i].skey_nid < delta[k])) {
            out[used++] = state[i++];
            continue;
        }
        if (i < n && state[i].skey_nid == delta[k])
            i++;
        if (delta[nchanges + k])
            out[used++] = (mx_state_item_t){ delta[k], delta[nchanges + k] };
        k++;
    }
    return used;
}

apr_status_t mx_store_state_load(mx_state_item_t **pitems, int *pn, mx_store_t *store, apr_int64_t snap_nid,
                                 apr_pool_t *pool)
{
    MX_STMT(state_load, "l",
            "select s.delta from snapshot t join snapshot s on s.snap_nid = any(t.anc || t.snap_nid)"
            " where t.snap_nid = $1::int8 order by s.idx");
    mx_state_item_t *items = apr_palloc(pool, sizeof(*items)), *next;
    apr_int64_t *delta;
    mx_rows_t *rows;
    int i, n = 0, len;
    apr_status_t rv = snap_nid ? mx_store_run(&rows, store, pool, &state_load, snap_nid) : APR_SUCCESS;
    if (rv != APR_SUCCESS)
        return rv;
    for (i = 0; snap_nid && i < mx_rows_count(rows); i++) {
        len = mx_row_int_array(&delta, rows, i, 0, pool) / 2;
        next = apr_palloc(pool, sizeof(*next) * (apr_size_t)(n + len + 1));
        n = mx_store_state_overlay(next, items, n, delta, len);
        items = next;
    }
    if (snap_nid && i == 0)
        return MX_STORE_NONE;
    *pitems = items;
    *pn = n;
    return APR_SUCCESS;
}

/** What the deltas say of a key. */
typedef struct said_key_t {
    apr_int64_t snap_nid, skey_nid;
} said_key_t;

enum { ENTRIES_CHAIN, ENTRIES_SAID };   /* kinds of rows of entries_read */

/** Newest word of a chain on a key; -1 if it says nothing. */
static apr_int64_t last_word(apr_hash_t *said, const apr_int64_t *chain, int n, apr_int64_t skey_nid)
{
    while (n-- > 0) {
        said_key_t key = { chain[n], skey_nid };
        const apr_int64_t *nid = apr_hash_get(said, &key, sizeof(key));
        if (nid)
            return *nid;
    }
    return -1;
}

static void remember_said(apr_hash_t *said, const mx_rows_t *rows, int row, apr_pool_t *pool)
{
    said_key_t *key = apr_palloc(pool, sizeof(*key));
    apr_int64_t *nid = apr_palloc(pool, sizeof(*nid));
    key->snap_nid = mx_row_int(rows, row, 1);
    key->skey_nid = mx_row_int(rows, row, 2);
    *nid = mx_row_int(rows, row, 3);
    apr_hash_set(said, key, sizeof(*key), nid);
}

apr_status_t mx_store_state_entries(mx_state_hit_t **phits, int *pn, mx_store_t *store, const apr_int64_t *snaps,
                                    int nsnaps, const apr_int64_t *skeys, int nskeys, apr_pool_t *pool)
{
    MX_STMT(
        state_entries, "LL",
        "select 0, t.snap_nid, 0::int8, 0::int8, t.anc || t.snap_nid from snapshot t where t.snap_nid = any($1::int8[])"
        " union all"
        " select 1, s.snap_nid, k.skey, v.nid, null from"
        " (select distinct u.snap from snapshot t, unnest(t.anc || t.snap_nid) u(snap) where t.snap_nid = "
        "any($1::int8[])) c"
        " join snapshot s on s.snap_nid = c.snap, unnest($2::int8[]) k(skey),"
        " lateral (select delta_entry(s.delta, k.skey) as nid offset 0) v where v.nid is not null");
    apr_hash_t *said = apr_hash_make(pool);
    mx_state_hit_t *hits;
    mx_rows_t *rows;
    int i, k, n = 0, len;
    apr_status_t rv = mx_store_run(&rows, store, pool, &state_entries, snaps, nsnaps, skeys, nskeys);
    if (rv != APR_SUCCESS)
        return rv;
    for (i = 0; i < mx_rows_count(rows); i++) {
        if (mx_row_int(rows, i, 0) == ENTRIES_SAID)
            remember_said(said, rows, i, pool);
    }
    hits = apr_palloc(pool, sizeof(*hits) * ((apr_size_t)nsnaps * (apr_size_t)nskeys + 1));
    for (i = 0; i < mx_rows_count(rows); i++) {
        apr_int64_t *chain, nid;
        if (mx_row_int(rows, i, 0) != ENTRIES_CHAIN)
            continue;
        len = mx_row_int_array(&chain, rows, i, 4, pool);
        for (k = 0; k < nskeys; k++) {
            nid = last_word(said, chain, len, skeys[k]);
            if (nid > 0)
                hits[n++] = (mx_state_hit_t){ mx_row_int(rows, i, 1), skeys[k], nid };
        }
    }
    *phits = hits;
    *pn = n;
    return APR_SUCCESS;
}

apr_status_t mx_store_state_diff(mx_state_item_t **pitems, int *pn, mx_store_t *store, apr_int64_t from, apr_int64_t to,
                                 apr_pool_t *pool)
{
    /* What both chains begin with is common to both states; only a key that the rest of either speaks of can differ. */
    MX_STMT(
        state_diff, "ll",
        "with link as (select 1 as side, u.snap from snapshot t, unnest(t.anc || t.snap_nid) u(snap) where t.snap_nid "
        "= $1::int8"
        " union all select 2, u.snap from snapshot t, unnest(t.anc || t.snap_nid) u(snap) where t.snap_nid = $2::int8),"
        " part as (select snap, case count(*) when 1 then min(side) else 0 end as side from link group by snap),"
        " own as (select distinct on (p.side, u.skey) p.side, u.skey, u.nid from part p join snapshot s on s.snap_nid "
        "= p.snap,"
        " unnest(" DELTA_SKEYS ", " DELTA_NIDS ") u(skey, nid) where p.side <> 0 order by p.side, u.skey, s.idx desc),"
        " base as (select distinct on (u.skey) u.skey, u.nid from part p join snapshot s on s.snap_nid = p.snap,"
        " unnest(" DELTA_SKEYS ", " DELTA_NIDS ") u(skey, nid)"
        " where p.side = 0 and u.skey in (select skey from own) order by u.skey, s.idx desc),"
        " both_sides as (select k.skey, coalesce(f.nid, b.nid, 0) as nid_from, coalesce(t.nid, b.nid, 0) as nid_to"
        " from (select distinct skey from own) k left join base b on b.skey = k.skey"
        " left join own f on f.side = 1 and f.skey = k.skey left join own t on t.side = 2 and t.skey = k.skey)"
        " select skey, nid_to from both_sides where nid_from <> nid_to order by skey");
    mx_state_item_t *items;
    mx_rows_t *rows;
    int i, n;
    apr_status_t rv = mx_store_run(&rows, store, pool, &state_diff, from, to);
    if (rv != APR_SUCCESS)
        return rv;
    n = mx_rows_count(rows);
    items = apr_palloc(pool, sizeof(*items) * (apr_size_t)(n + 1));
    for (i = 0; i < n; i++)
        items[i] = (mx_state_item_t){ mx_row_int(rows, i, 0), mx_row_int(rows, i, 1) };
    *pitems = items;
    *pn = n;
    return APR_SUCCESS;
}

apr_status_t mx_store_state_at(apr_int64_t *snaps_out, mx_store_t *store, const apr_int64_t *room_nids, int n,
                               apr_int64_t stream, apr_pool_t *pool)
{
    MX_STMT(state_at, "Ll",
            "select (select l.snap_nid from room_state_log l where l.room_nid = w.room_nid and l.stream <= $2::int8"
            " order by l.stream desc limit 1) from unnest($1::int8[]) with ordinality w(room_nid, o) order by w.o");
    mx_rows_t *rows;
    int i;
    apr_status_t rv = mx_store_run(&rows, store, pool, &state_at, room_nids, n, stream);
    if (rv != APR_SUCCESS)
        return rv;
    for (i = 0; i < n; i++)
        snaps_out[i] = mx_row_int(rows, i, 0);
    return APR_SUCCESS;
}

apr_status_t mx_store_state_hash_key(unsigned char key[MX_STATE_HASH_KEY_BYTES], mx_store_t *store, apr_pool_t *pool)
{
    MX_STMT(state_hash_key, "", "select value from secret where name = 'snapshot_hash'");
    mx_rows_t *rows;
    mx_slice_t value;
    apr_status_t rv = mx_store_run(&rows, store, pool, &state_hash_key);
    if (rv != APR_SUCCESS)
        return rv;
    value = mx_rows_count(rows) ? mx_row_bytes(rows, 0, 0) : MX_SLICE_NONE;
    if (value.len != MX_STATE_HASH_KEY_BYTES)
        return MX_STORE_NONE;
    memcpy(key, value.p, value.len);
    return APR_SUCCESS;
}

/** The hash of one entry, as two numbers. */
static void entry_hash(apr_uint64_t out[2], const unsigned char key[MX_STATE_HASH_KEY_BYTES], apr_int64_t skey_nid,
                       mx_slice_t event_id, apr_pool_t *pool)
{
    unsigned char mac[32];
    apr_uint64_t skey = htobe64((apr_uint64_t)skey_nid);
    char *text = apr_palloc(pool, sizeof(skey) + event_id.len);
    memcpy(text, &skey, sizeof(skey));
    memcpy(text + sizeof(skey), event_id.p, event_id.len);
    mx_hmac_sha256(mac, mx_slice((const char *)key, MX_STATE_HASH_KEY_BYTES),
                   mx_slice(text, sizeof(skey) + event_id.len));
    memcpy(out, mac, 2 * sizeof(*out));
}

void mx_store_state_hash_change(mx_state_hash_t *hash, const unsigned char key[MX_STATE_HASH_KEY_BYTES],
                                apr_int64_t skey_nid, mx_slice_t old_id, mx_slice_t new_id, apr_pool_t *pool)
{
    apr_uint64_t sum[2], part[2];
    memcpy(sum, hash->bytes, sizeof(sum));
    if (old_id.p) {
        entry_hash(part, key, skey_nid, old_id, pool);
        sum[0] -= part[0];
        sum[1] -= part[1];
    }
    if (new_id.p) {
        entry_hash(part, key, skey_nid, new_id, pool);
        sum[0] += part[0];
        sum[1] += part[1];
    }
    memcpy(hash->bytes, sum, sizeof(sum));
}
