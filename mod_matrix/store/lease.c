/* SPDX-License-Identifier: Apache-2.0 */
/* Leases of background work: table `lease` (sql/0009_cleanup.sql). */
#include "store/lease.h"

static apr_status_t changed(apr_status_t rv, const mx_rows_t *rows)
{
    return rv == APR_SUCCESS && !mx_rows_affected(rows) ? MX_STORE_NONE : rv;
}

apr_status_t mx_store_lease_add(mx_store_t *store, const char *const *names, int n, apr_pool_t *pool)
{
    MX_STMT(lease_add, "S", "insert into lease (name) select unnest($1::text[]) on conflict do nothing");
    return mx_store_run(NULL, store, pool, &lease_add, names, n);
}

apr_status_t mx_store_lease_take(mx_lease_t *out, mx_store_t *store, const char *const *names, int n, const char *holder, apr_int64_t ms,
                                 apr_pool_t *pool)
{
    MX_STMT(lease_take, "Ssl",
            "with one as materialized (select name, holder is not null as late from lease where name = any($1::text[])"
            " and case when holder is null then due else until end <= clock_timestamp()"
            " order by case when holder is null then due else until end limit 1 for update skip locked)"
            " update lease l set holder = $2::text, until = clock_timestamp() + $3::int8 * interval '1 ms', due = 'infinity'"
            " from one where l.name = one.name returning l.name, l.fails, one.late");
    mx_rows_t *rows;
    apr_status_t rv = mx_store_run(&rows, store, pool, &lease_take, names, n, holder, ms);
    if (rv != APR_SUCCESS)
        return rv;
    if (!mx_rows_count(rows))
        return MX_STORE_NONE;
    *out = (mx_lease_t){ mx_row_text(rows, 0, 0), (int)mx_row_int(rows, 0, 1), mx_row_bool(rows, 0, 2) };
    return APR_SUCCESS;
}

apr_status_t mx_store_lease_renew(mx_store_t *store, const char *name, const char *holder, apr_int64_t ms, apr_pool_t *pool)
{
    MX_STMT(lease_renew, "ssl",
            "update lease set until = clock_timestamp() + $3::int8 * interval '1 ms' where name = $1::text and holder = $2::text");
    mx_rows_t *rows = NULL;
    apr_status_t rv = mx_store_run(&rows, store, pool, &lease_renew, name, holder, ms);
    return changed(rv, rows);
}

apr_status_t mx_store_lease_release(mx_store_t *store, const char *name, const char *holder, apr_int64_t due_ms, int failed,
                                    apr_pool_t *pool)
{
    MX_STMT(lease_release, "sslo",
            "update lease set holder = null, until = '-infinity', fails = case when $4::bool then fails + 1 else 0 end,"
            " due = case when $4::bool then clock_timestamp() + $3::int8 * interval '1 ms'"
            " else least(due, clock_timestamp() + $3::int8 * interval '1 ms') end"
            " where name = $1::text and holder = $2::text");
    mx_rows_t *rows = NULL;
    apr_status_t rv = mx_store_run(&rows, store, pool, &lease_release, name, holder, due_ms, failed);
    return changed(rv, rows);
}

apr_status_t mx_store_lease_want(mx_store_t *store, const char *const *names, int n, apr_pool_t *pool)
{
    MX_STMT(lease_want, "S",
            "update lease set due = clock_timestamp() where name = any($1::text[]) and fails = 0 and due > clock_timestamp()");
    return mx_store_run(NULL, store, pool, &lease_want, names, n);
}

apr_status_t mx_store_lease_next(apr_int64_t *pms, mx_store_t *store, const char *const *names, int n, apr_pool_t *pool)
{
    MX_STMT(lease_next, "S",
            "select greatest(ceil(extract(epoch from min(case when holder is null then due else until end) - clock_timestamp()) * 1000), 0)::int8"
            " from lease where name = any($1::text[])");
    mx_rows_t *rows;
    apr_status_t rv = mx_store_run(&rows, store, pool, &lease_next, names, n);
    if (rv != APR_SUCCESS)
        return rv;
    if (mx_row_is_null(rows, 0, 0))
        return MX_STORE_NONE;
    *pms = mx_row_int(rows, 0, 0);
    return APR_SUCCESS;
}
