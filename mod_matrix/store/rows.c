/* SPDX-License-Identifier: Apache-2.0 */
/* Reading binary results. */
#include "store/pg_private.h"

#include <endian.h>

static apr_status_t rows_cleanup(void *data)
{
    mx_rows_t *rows = data;
    PQclear(rows->res);
    rows->res = NULL;
    return APR_SUCCESS;
}

mx_rows_t *mx_store_pg_rows(PGresult *res, mx_store_t *store, apr_pool_t *pool)
{
    mx_rows_t *rows = apr_palloc(pool, sizeof(*rows));
    rows->res = res;
    rows->store = store;
    rows->pool = pool;
    apr_pool_cleanup_register(pool, rows, rows_cleanup, apr_pool_cleanup_null);
    return rows;
}

int mx_rows_count(const mx_rows_t *rows)
{
    return rows ? PQntuples(rows->res) : 0;
}

int mx_rows_affected(const mx_rows_t *rows)
{
    apr_int64_t n = 0;
    if (rows)
        mx_str_to_int64(&n, PQcmdTuples(rows->res), 0, INT32_MAX);
    return (int)n;
}

int mx_row_is_null(const mx_rows_t *rows, int row, int col)
{
    return PQgetisnull(rows->res, row, col);
}

static uint32_t get32(const char *p)
{
    uint32_t value;
    memcpy(&value, p, 4);
    return be32toh(value);
}

static uint64_t get64(const char *p)
{
    uint64_t value;
    memcpy(&value, p, 8);
    return be64toh(value);
}

/** A binary integer by its length; 1 byte is a bool. */
static apr_int64_t get_int(const char *p, apr_size_t len)
{
    uint16_t half;
    switch (len) {
    case 8: return (apr_int64_t)get64(p);
    case 4: return (int32_t)get32(p);
    case 2:
        memcpy(&half, p, 2);
        return (int16_t)be16toh(half);
    case 1: return *p;
    default: return 0;
    }
}

apr_int64_t mx_row_int(const mx_rows_t *rows, int row, int col)
{
    return get_int(PQgetvalue(rows->res, row, col), (apr_size_t)PQgetlength(rows->res, row, col));
}

int mx_row_bool(const mx_rows_t *rows, int row, int col)
{
    return mx_row_int(rows, row, col) != 0;
}

double mx_row_real(const mx_rows_t *rows, int row, int col)
{
    double real = 0;
    if (PQgetlength(rows->res, row, col) == 8) {
        uint64_t bits = get64(PQgetvalue(rows->res, row, col));
        memcpy(&real, &bits, 8);
    }
    return real;
}

const char *mx_row_text(const mx_rows_t *rows, int row, int col)
{
    return PQgetisnull(rows->res, row, col) ? NULL : PQgetvalue(rows->res, row, col);
}

mx_slice_t mx_row_bytes(const mx_rows_t *rows, int row, int col)
{
    if (PQgetisnull(rows->res, row, col))
        return MX_SLICE_NONE;
    return mx_slice(PQgetvalue(rows->res, row, col), (apr_size_t)PQgetlength(rows->res, row, col));
}

mx_slice_t mx_row_body(const mx_rows_t *rows, int row, int col)
{
    mx_slice_t stored = mx_row_bytes(rows, row, col), pdu = mx_slice("", 0);
    apr_status_t rv = mx_store_body_unpack(&pdu, rows->store->body, stored, rows->pool);
    if (rv != APR_SUCCESS)
        mx_log(rows->store->log, MX_LOG_ERROR, rv, "MX0208: the stored body of an event is damaged");
    return pdu;
}

#define ARRAY_HEAD_BYTES 20      /* dimensions, has nulls, element type, length, lower bound */
#define ELEMENT_HEAD_BYTES 4

/** Elements of a one-dimensional array, pointing into the result; p NULL: null. Returns their number. */
static int array_items(mx_slice_t **pitems, const mx_rows_t *rows, int row, int col, apr_pool_t *pool)
{
    mx_slice_t text = mx_row_bytes(rows, row, col), *items;
    const char *p = text.p, *end = text.p + text.len;
    int i, n;
    *pitems = NULL;
    if (text.len < ARRAY_HEAD_BYTES || get32(p) != 1)
        return 0;
    n = (int)get32(p + 12);
    p += ARRAY_HEAD_BYTES;
    if (n <= 0 || (apr_size_t)n > text.len / ELEMENT_HEAD_BYTES)
        return 0;
    items = apr_palloc(pool, (apr_size_t)n * sizeof(*items));
    for (i = 0; i < n && end - p >= ELEMENT_HEAD_BYTES; i++) {
        int32_t len = (int32_t)get32(p);
        p += ELEMENT_HEAD_BYTES;
        if (len > end - p)
            break;
        items[i] = len < 0 ? MX_SLICE_NONE : mx_slice(p, (apr_size_t)len);
        p += items[i].len;
    }
    *pitems = items;
    return i;
}

int mx_row_int_array(apr_int64_t **pout, const mx_rows_t *rows, int row, int col, apr_pool_t *pool)
{
    mx_slice_t *items;
    int i, n = array_items(&items, rows, row, col, pool);
    apr_int64_t *out = (apr_int64_t *)items;    /* in place: an element is smaller than its slice */
    for (i = 0; i < n; i++) {
        mx_slice_t item = items[i];
        out[i] = get_int(item.p, item.len);
    }
    *pout = out;
    return n;
}

int mx_row_text_array(const char ***pout, const mx_rows_t *rows, int row, int col, apr_pool_t *pool)
{
    mx_slice_t *items;
    int i, n = array_items(&items, rows, row, col, pool);
    const char **out = apr_palloc(pool, (apr_size_t)(n + 1) * sizeof(*out));
    for (i = 0; i < n; i++)
        out[i] = items[i].p ? mx_slice_dup(items[i], pool) : NULL;
    out[n] = NULL;
    *pout = out;
    return n;
}

int mx_row_bytes_array(mx_slice_t **pout, const mx_rows_t *rows, int row, int col, apr_pool_t *pool)
{
    return array_items(pout, rows, row, col, pool);
}
