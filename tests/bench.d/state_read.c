/* SPDX-License-Identifier: Apache-2.0 */
/* Reads whole states of a room at random snapshots, each twice: cold, then remembered. usage: state_read DSN ROOM_NID READS */
#include "base/crypto.h"
#include "store/state.h"

#include <apr_general.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#define CACHE_BYTES (4 * 1024 * 1024)        /* as with MatrixCacheSize as it is by default */
#define READS_MAX 1000

static int ascending(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return x < y ? -1 : x > y;
}

static double cpu_ms(void)
{
    struct timespec t;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (double)t.tv_sec * 1e3 + (double)t.tv_nsec / 1e6;
}

/** *pcpu (may be NULL): what of it this process was running, whatever else the machine did. */
static double load_ms(mx_store_t *store, apr_int64_t snap, int *pn, double *pcpu, apr_pool_t *pool)
{
    apr_time_t start = apr_time_now();
    double cpu = cpu_ms();
    mx_state_item_t *items;
    if (mx_store_state_load(&items, pn, store, snap, pool) != APR_SUCCESS)
        exit(1);
    if (pcpu)
        *pcpu = cpu_ms() - cpu;
    return (double)(apr_time_now() - start) / 1000;
}

int main(int argc, char **argv)
{
    MX_STMT(bench_snaps, "li", "select snap_nid from snapshot where room_nid = $1::int8 order by random() limit $2::int4");
    double cold[READS_MAX], warm[READS_MAX], cpu[READS_MAX], first = 0;
    mx_store_source_t *source;
    mx_store_t *store;
    mx_rows_t *rows;
    apr_pool_t *pool, *p;
    int i, n, count;
    apr_initialize();
    apr_pool_create(&pool, NULL);
    apr_pool_create(&p, pool);
    if (argc != 4 || mx_crypto_init() != APR_SUCCESS || mx_store_source_private(&source, argv[1], pool) != APR_SUCCESS ||
        mx_store_create(&store, source, argv[1], NULL, pool) != APR_SUCCESS)
        return 1;
    mx_store_state_cache_create(store, CACHE_BYTES, pool);
    if (mx_store_run(&rows, store, pool, &bench_snaps, (apr_int64_t)atoll(argv[2]), atoi(argv[3])) != APR_SUCCESS)
        return 1;
    count = mx_rows_count(rows) < READS_MAX ? mx_rows_count(rows) : READS_MAX;
    /* the first one finds a new backend: catalogs to read, a statement to prepare, functions to compile */
    if (count > 0)
        first = load_ms(store, mx_row_int(rows, --count, 0), &n, NULL, p);
    for (i = 0; i < count; i++) {
        cold[i] = load_ms(store, mx_row_int(rows, i, 0), &n, NULL, p);
        warm[i] = load_ms(store, mx_row_int(rows, i, 0), &n, &cpu[i], p);
        apr_pool_clear(p);
    }
    qsort(cold, (size_t)count, sizeof(*cold), ascending);
    qsort(warm, (size_t)count, sizeof(*warm), ascending);
    qsort(cpu, (size_t)count, sizeof(*cpu), ascending);
    printf("{\"reads\": %d, \"entries\": %d, \"cold_p50_ms\": %.2f, \"cold_max_ms\": %.2f,"
           " \"first_ms\": %.2f, \"warm_p50_ms\": %.2f, \"warm_p99_ms\": %.2f, \"warm_max_ms\": %.2f, \"warm_cpu_max_ms\": %.2f}\n",
           count, n, cold[count / 2], cold[count - 1], first, warm[count / 2], warm[count * 99 / 100], warm[count - 1], cpu[count - 1]);
    return 0;
}
