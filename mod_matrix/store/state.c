/* SPDX-License-Identifier: Apache-2.0 */
/* Reads snapshots. How they are made: snapshot_add() in sql/0007_snapshots.sql. */
#include "store/state_private.h"

#include "base/crypto.h"

#include <apr_hash.h>
#include <endian.h>

apr_status_t mx_store_state_load(mx_state_item_t **pitems, int *pn, mx_store_t *store, apr_int64_t snap_nid,
                                 apr_pool_t *pool)
{
    mx_state_list_t list;
    apr_status_t rv = mx_store_state_load_many(&list, store, &snap_nid, 1, pool);
    if (rv != APR_SUCCESS)
        return rv;
    if (snap_nid && !list.items)
        return MX_STORE_NONE;
    *pitems = list.items ? list.items : apr_palloc(pool, sizeof(**pitems));
    *pn = list.n;
    return APR_SUCCESS;
}

/** What was read of one snapshot's delta: all of it, or single entries. */
typedef struct part_t {
    mx_slice_t delta;
    struct part_t *next;
} part_t;

enum { ENTRIES_CHAIN, ENTRIES_PART };   /* kinds of rows of state_entries */

/** Newest word of a chain on a key; 0 if it has none, or the entry was removed. */
static apr_int64_t last_word(apr_hash_t *parts, const apr_int64_t *chain, int n, apr_int64_t skey_nid)
{
    while (n-- > 0) {
        const part_t *part = apr_hash_get(parts, &chain[n], sizeof(chain[n]));
        for (; part; part = part->next) {
            apr_int64_t nid = mx_store_state_delta_find(part->delta, skey_nid);
            if (nid >= 0)
                return nid;
        }
    }
    return 0;
}

static void remember_part(apr_hash_t *parts, const mx_rows_t *rows, int row, apr_pool_t *pool)
{
    apr_int64_t *snap_nid = apr_palloc(pool, sizeof(*snap_nid));
    part_t *part = apr_palloc(pool, sizeof(*part));
    *snap_nid = mx_row_int(rows, row, 1);
    part->delta = mx_row_bytes(rows, row, 2);
    part->next = apr_hash_get(parts, snap_nid, sizeof(*snap_nid));
    apr_hash_set(parts, snap_nid, sizeof(*snap_nid), part);
}

/** Adds the entries of those snapshots that the rows tell of. */
static apr_status_t read_entries(mx_state_hit_t *hits, int *pn, const mx_rows_t *rows, const apr_int64_t *skeys, int nskeys,
                                 apr_pool_t *pool)
{
    apr_hash_t *parts = apr_hash_make(pool);
    int i, k, len;
    for (i = 0; i < mx_rows_count(rows); i++) {
        if (mx_row_int(rows, i, 0) == ENTRIES_PART)
            remember_part(parts, rows, i, pool);
    }
    for (i = 0; i < mx_rows_count(rows); i++) {
        apr_int64_t *chain, nid;
        if (mx_row_int(rows, i, 0) != ENTRIES_CHAIN)
            continue;
        len = mx_store_state_delta_numbers(&chain, mx_row_bytes(rows, i, 2), pool);
        if (len < 0)
            return MX_STORE_ERROR;
        for (k = 0; k < nskeys; k++) {
            nid = last_word(parts, chain, len, skeys[k]);
            if (nid > 0)
                hits[(*pn)++] = (mx_state_hit_t){ mx_row_int(rows, i, 1), skeys[k], nid };
        }
    }
    return APR_SUCCESS;
}

/** Entries of a snapshot whose state is remembered; 0: it is not. */
static int find_remembered(mx_state_hit_t *hits, int *pn, mx_store_t *store, apr_int64_t snap_nid, const apr_int64_t *skeys, int nskeys)
{
    mx_cache_ref_t *ref;
    const mx_state_list_t *list = mx_store_state_cache_get(&ref, store, snap_nid);
    int k;
    for (k = 0; list && k < nskeys; k++) {
        apr_int64_t nid = mx_store_state_cache_find(list, skeys[k]);
        if (nid)
            hits[(*pn)++] = (mx_state_hit_t){ snap_nid, skeys[k], nid };
    }
    if (list)
        mx_cache_put(ref);
    return list != NULL;
}

apr_status_t mx_store_state_entries(mx_state_hit_t **phits, int *pn, mx_store_t *store, const apr_int64_t *snaps,
                                    int nsnaps, const apr_int64_t *skeys, int nskeys, apr_pool_t *pool)
{
    /* Long deltas are not brought here for a few entries. */
    MX_STMT(state_entries, "LL",
            "with part as materialized (select distinct u.snap from snapshot t, unnest(snapshot_chain(t.anc, t.snap_nid)) u(snap)"
            " where t.snap_nid = any($1::int8[])),"
            " found as materialized (select snap, octet_length(s.delta) > 2000 as long from part join snapshot s on s.snap_nid = snap)"
            " select 0, t.snap_nid, t.anc || number_pack(t.snap_nid) from snapshot t where t.snap_nid = any($1::int8[])"
            " union all select 1, snap, s.delta from found join snapshot s on s.snap_nid = snap where not long"
            " union all select 1, snap, v.entry from found join snapshot s on s.snap_nid = snap, unnest($2::int8[]) k(skey),"
            " lateral (select delta_entry(s.delta, number_pack(k.skey), s.anc = '') as entry offset 0) v"
            " where long and v.entry is not null");
    apr_int64_t *missing = apr_palloc(pool, sizeof(*missing) * (apr_size_t)(nsnaps + 1));
    mx_state_hit_t *hits = apr_palloc(pool, sizeof(*hits) * ((apr_size_t)nsnaps * (apr_size_t)nskeys + 1));
    mx_rows_t *rows = NULL;
    int i, n = 0, nmissing = 0;
    apr_status_t rv = APR_SUCCESS;
    for (i = 0; i < nsnaps; i++) {
        if (!find_remembered(hits, &n, store, snaps[i], skeys, nskeys))
            missing[nmissing++] = snaps[i];
    }
    if (nmissing)
        rv = mx_store_run(&rows, store, pool, &state_entries, missing, nmissing, skeys, nskeys);
    if (rv == APR_SUCCESS && nmissing)
        rv = read_entries(hits, &n, rows, skeys, nskeys, pool);
    if (rv != APR_SUCCESS)
        return rv;
    *phits = hits;
    *pn = n;
    return APR_SUCCESS;
}

apr_status_t mx_store_state_diff(mx_state_item_t **pitems, int *pn, mx_store_t *store, apr_int64_t from, apr_int64_t to,
                                 apr_pool_t *pool)
{
    mx_state_list_t list;
    apr_status_t rv = mx_store_state_diff_many(&list, store, &from, &to, 1, pool);
    if (rv != APR_SUCCESS)
        return rv;
    *pitems = list.items ? list.items : apr_palloc(pool, sizeof(**pitems));
    *pn = list.n;
    return APR_SUCCESS;
}

apr_status_t mx_store_state_at_each(apr_int64_t *snaps_out, mx_store_t *store, const apr_int64_t *room_nids, const apr_int64_t *streams,
                                    int n, apr_pool_t *pool)
{
    MX_STMT(state_at, "LL",
            "select (select l.snap_nid from room_state_log l where l.room_nid = w.room_nid and l.stream <= w.stream"
            " order by l.stream desc limit 1) from unnest($1::int8[], $2::int8[]) with ordinality w(room_nid, stream, o) order by w.o");
    mx_rows_t *rows;
    int i;
    apr_status_t rv = mx_store_run(&rows, store, pool, &state_at, room_nids, n, streams, n);
    if (rv != APR_SUCCESS)
        return rv;
    for (i = 0; i < n; i++)
        snaps_out[i] = mx_row_int(rows, i, 0);
    return APR_SUCCESS;
}

apr_status_t mx_store_state_at(apr_int64_t *snaps_out, mx_store_t *store, const apr_int64_t *room_nids, int n, apr_int64_t stream,
                               apr_pool_t *pool)
{
    apr_int64_t *streams = apr_palloc(pool, sizeof(*streams) * (apr_size_t)(n + 1));
    int i;
    for (i = 0; i < n; i++)
        streams[i] = stream;
    return mx_store_state_at_each(snaps_out, store, room_nids, streams, n, pool);
}

apr_status_t mx_store_state_measure(int *psize, mx_state_hash_t *phash, mx_store_t *store, apr_int64_t snap_nid, apr_pool_t *pool)
{
    MX_STMT(state_measure, "l", "select size, hash from snapshot where snap_nid = $1::int8");
    mx_rows_t *rows;
    mx_slice_t hash;
    apr_status_t rv = mx_store_run(&rows, store, pool, &state_measure, snap_nid);
    if (rv != APR_SUCCESS)
        return rv;
    hash = mx_rows_count(rows) ? mx_row_bytes(rows, 0, 1) : MX_SLICE_NONE;
    if (hash.len != sizeof(phash->bytes))
        return MX_STORE_NONE;
    *psize = (int)mx_row_int(rows, 0, 0);
    memcpy(phash->bytes, hash.p, hash.len);
    return APR_SUCCESS;
}

apr_status_t mx_store_state_add(apr_int64_t *psnap_nid, mx_store_t *store, apr_int64_t room_nid, apr_int64_t pred,
                                const mx_state_item_t *changes, int n, int size, const mx_state_hash_t *hash, apr_pool_t *pool)
{
    MX_STMT(state_add, "llLLib",
            "select snapshot_add_alone($1::int8, $2::int8, $3::int8[], $4::int8[], $5::int4, $6::bytea)");
    apr_int64_t *skeys = apr_palloc(pool, sizeof(*skeys) * (apr_size_t)(n + 1));
    apr_int64_t *nids = apr_palloc(pool, sizeof(*nids) * (apr_size_t)(n + 1));
    mx_rows_t *rows;
    apr_status_t rv;
    int i;
    for (i = 0; i < n; i++) {
        skeys[i] = changes[i].skey_nid;
        nids[i] = changes[i].nid;
    }
    rv = mx_store_run(&rows, store, pool, &state_add, room_nid, pred, skeys, n, nids, n, size,
                      mx_slice((const char *)hash->bytes, sizeof(hash->bytes)));
    if (rv == APR_SUCCESS && mx_row_is_null(rows, 0, 0))
        rv = MX_STORE_NONE;
    if (rv == APR_SUCCESS)
        *psnap_nid = mx_row_int(rows, 0, 0);
    return rv;
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
