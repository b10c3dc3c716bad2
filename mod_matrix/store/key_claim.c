/* SPDX-License-Identifier: Apache-2.0 */
/* Giving out one-time keys. The body leaves its row in the transaction that answers: no second claim can find it. */
#include "store/key_claim.h"

MX_STMT(key_claim, "SSS",
        "with asked as materialized (select q.i, d.device_nid, q.algorithm"
        "   from unnest($1::text[], $2::text[], $3::text[]) with ordinality as q(mxid, device_id, algorithm, i)"
        "   join mxid u on u.mxid = q.mxid join device d on d.user_nid = u.user_nid and d.device_id = q.device_id),"
        " picked as materialized (select a.i, a.device_nid, a.algorithm, k.key_id, k.body from asked a cross join lateral"
        "   (select o.key_id, o.body from one_time_key o where o.device_nid = a.device_nid and o.algorithm = a.algorithm"
        "    and o.body is not null order by o.seq limit 1 for update skip locked) k),"
        " taken as (update one_time_key o set body = null from picked p where o.device_nid = p.device_nid and o.algorithm = p.algorithm"
        "   and o.key_id = p.key_id and o.body is not null returning p.i, o.device_nid, p.key_id, p.body),"
        " spare as materialized (select a.i, f.device_nid, f.algorithm, f.key_id, f.body from asked a join fallback_key f"
        "   on f.device_nid = a.device_nid and f.algorithm = a.algorithm where not exists (select from picked p where p.i = a.i)),"
        " marked as (update fallback_key f set used = true from spare s where f.device_nid = s.device_nid and f.algorithm = s.algorithm"
        "   and not f.used returning f.device_nid),"
        " moved as materialized (select device_nid from taken union select device_nid from marked),"
        " place as materialized (select stream_next() as stream where exists (select from moved)),"
        " told as (insert into key_stock (device_nid, stream) select m.device_nid, p.stream from moved m cross join place p"
        "   order by m.device_nid on conflict (device_nid) do update set stream = greatest(key_stock.stream, excluded.stream))"
        " select i, key_id, body from taken union all select i, key_id, body from spare order by 1");

apr_status_t mx_store_key_claim(mx_claimed_key_t **pout, int *pn, mx_store_t *store, const char *const *users, const char *const *devices,
                                const char *const *algorithms, int n, apr_pool_t *pool)
{
    mx_rows_t *rows = NULL;
    mx_claimed_key_t *out;
    apr_status_t rv = mx_store_run(&rows, store, pool, &key_claim, users, n, devices, n, algorithms, n);

    if (rv) return rv;
    out = apr_palloc(pool, sizeof(*out) * (apr_size_t)(mx_rows_count(rows) + 1));
    for (int i = 0; i < mx_rows_count(rows); i++)
        out[i] = (mx_claimed_key_t){ (int)mx_row_int(rows, i, 0) - 1, mx_row_text(rows, i, 1), mx_row_bytes(rows, i, 2) };
    *pout = out;
    *pn = mx_rows_count(rows);
    return APR_SUCCESS;
}
