/* SPDX-License-Identifier: Apache-2.0 */
/* Parameters of a statement in PostgreSQL's binary form. */
#include "store/pg_private.h"

#include <endian.h>

/* types of pg_type.dat: built in, the same in every PostgreSQL */
#define OID_BOOL 16
#define OID_BYTEA 17
#define OID_INT8 20
#define OID_INT2 21
#define OID_INT4 23
#define OID_TEXT 25
#define OID_FLOAT8 701
#define OID_BYTEA_ARRAY 1001
#define OID_INT4_ARRAY 1007
#define OID_TEXT_ARRAY 1009
#define OID_INT8_ARRAY 1016

#define ONES_8 1, 1, 1, 1, 1, 1, 1, 1
const int mx_store_pg_binary[MX_PG_PARAMS_MAX] = { ONES_8, ONES_8, ONES_8, ONES_8, ONES_8, ONES_8, ONES_8, ONES_8 };

static Oid oid_of(char letter)
{
    switch (letter) {
    case 'o': return OID_BOOL;
    case 'b': return OID_BYTEA;
    case 'l':
    case 'n': return OID_INT8;
    case 'h': return OID_INT2;
    case 'i': return OID_INT4;
    case 's': return OID_TEXT;
    case 'f': return OID_FLOAT8;
    case 'B': return OID_BYTEA_ARRAY;
    case 'I': return OID_INT4_ARRAY;
    case 'S': return OID_TEXT_ARRAY;
    case 'L': return OID_INT8_ARRAY;
    default: return 0;
    }
}

int mx_store_pg_param_types(Oid out[MX_PG_PARAMS_MAX], const mx_stmt_t *stmt)
{
    int n;
    for (n = 0; stmt->types[n] && n < MX_PG_PARAMS_MAX; n++)
        out[n] = oid_of(stmt->types[n]);
    return n;
}

static unsigned char *put32(unsigned char *out, uint32_t value)
{
    value = htobe32(value);
    memcpy(out, &value, 4);
    return out + 4;
}

static unsigned char *put64(unsigned char *out, uint64_t value)
{
    value = htobe64(value);
    memcpy(out, &value, 8);
    return out + 8;
}

#define ARRAY_HEAD_BYTES 20      /* dimensions, has nulls, element type, length, lower bound */
#define ARRAY_EMPTY_BYTES 12     /* no dimension: the last two are left out */
#define ELEMENT_HEAD_BYTES 4
#define ELEMENT_NULL UINT32_MAX

static unsigned char *put_array_head(unsigned char *out, Oid element, int has_null, int n)
{
    out = put32(out, n > 0);
    out = put32(out, (uint32_t)has_null);
    out = put32(out, element);
    if (n > 0) {
        out = put32(out, (uint32_t)n);
        out = put32(out, 1);
    }
    return out;
}

/** Integers: `width` is 4 or 8. */
static apr_size_t bind_int_array(const char **pvalue, const void *items, int n, int width, apr_pool_t *pool)
{
    apr_size_t len = n > 0 ? ARRAY_HEAD_BYTES + (apr_size_t)n * (ELEMENT_HEAD_BYTES + (apr_size_t)width) : ARRAY_EMPTY_BYTES;
    unsigned char *out;
    int i;
    if (len > MX_PG_PARAM_MAX_BYTES)
        return len;
    out = apr_palloc(pool, len);
    *pvalue = (const char *)out;
    out = put_array_head(out, width == 8 ? OID_INT8 : OID_INT4, 0, n);
    for (i = 0; i < n; i++) {
        out = put32(out, (uint32_t)width);
        if (width == 8)
            out = put64(out, (uint64_t)((const apr_int64_t *)items)[i]);
        else
            out = put32(out, (uint32_t)((const int *)items)[i]);
    }
    return len;
}

/** Text and bytes alike. */
static apr_size_t bind_slice_array(const char **pvalue, Oid element, const mx_slice_t *items, int n, apr_pool_t *pool)
{
    apr_size_t len = n > 0 ? ARRAY_HEAD_BYTES : ARRAY_EMPTY_BYTES;
    unsigned char *out;
    int i, has_null = 0;
    for (i = 0; i < n; i++) {
        len += ELEMENT_HEAD_BYTES + (items[i].p ? items[i].len : 0);
        has_null |= !items[i].p;
    }
    if (len > MX_PG_PARAM_MAX_BYTES)
        return len;
    out = apr_palloc(pool, len);
    *pvalue = (const char *)out;
    out = put_array_head(out, element, has_null, n);
    for (i = 0; i < n; i++) {
        if (!items[i].p) {
            out = put32(out, ELEMENT_NULL);
            continue;
        }
        out = put32(out, (uint32_t)items[i].len);
        memcpy(out, items[i].p, items[i].len);
        out += items[i].len;
    }
    return len;
}

static apr_size_t bind_text_array(const char **pvalue, const char *const *items, int n, apr_pool_t *pool)
{
    mx_slice_t *slices = apr_palloc(pool, (apr_size_t)(n > 0 ? n : 1) * sizeof(*slices));
    int i;
    for (i = 0; i < n; i++)
        slices[i] = mx_slice_str(items[i]);
    return bind_slice_array(pvalue, OID_TEXT, slices, n, pool);
}

/** Numbers, written to `out`; returns the bytes they take. 0: null. */
static apr_size_t bind_scalar(unsigned char *out, char letter, va_list *args)
{
    const apr_int64_t *maybe;
    uint64_t bits;
    double real;
    uint16_t half;
    switch (letter) {
    case 'l':
        put64(out, (uint64_t)va_arg(*args, apr_int64_t));
        return 8;
    case 'n':
        maybe = va_arg(*args, const apr_int64_t *);
        if (maybe)
            put64(out, (uint64_t)*maybe);
        return maybe ? 8 : 0;
    case 'f':
        real = va_arg(*args, double);
        memcpy(&bits, &real, 8);
        put64(out, bits);
        return 8;
    case 'i':
        put32(out, (uint32_t)va_arg(*args, int));
        return 4;
    case 'h':
        half = htobe16((uint16_t)va_arg(*args, int));
        memcpy(out, &half, 2);
        return 2;
    default:   /* o */
        out[0] = va_arg(*args, int) != 0;
        return 1;
    }
}

/** An array parameter: pointer and number. Returns its bytes. */
static apr_size_t bind_array(const char **pvalue, char letter, va_list *args, apr_pool_t *pool)
{
    const void *items = va_arg(*args, const void *);
    int n = va_arg(*args, int);
    switch (letter) {
    case 'L': return bind_int_array(pvalue, items, n, 8, pool);
    case 'I': return bind_int_array(pvalue, items, n, 4, pool);
    case 'S': return bind_text_array(pvalue, items, n, pool);
    default: return bind_slice_array(pvalue, OID_BYTEA, items, n, pool);
    }
}

/** One parameter; returns its bytes. */
static apr_size_t bind_one(const char **pvalue, unsigned char *scalar, char letter, va_list *args, apr_pool_t *pool)
{
    apr_size_t len;
    mx_slice_t bytes;
    switch (letter) {
    case 's':
        *pvalue = va_arg(*args, const char *);
        return *pvalue ? strlen(*pvalue) : 0;
    case 'b':
        bytes = va_arg(*args, mx_slice_t);
        *pvalue = bytes.p;
        return bytes.p ? bytes.len : 0;
    case 'L':
    case 'I':
    case 'S':
    case 'B':
        return bind_array(pvalue, letter, args, pool);
    default:
        len = bind_scalar(scalar, letter, args);
        *pvalue = len ? (const char *)scalar : NULL;
        return len;
    }
}

apr_status_t mx_store_pg_bind(mx_pg_params_t *out, const mx_log_ctx_t *log, const mx_stmt_t *stmt, va_list args, apr_pool_t *pool)
{
    va_list rest;       /* an array type on some machines: only a copy has an address to pass on */
    apr_status_t rv = APR_SUCCESS;
    int i;
    va_copy(rest, args);
    for (i = 0; rv == APR_SUCCESS && stmt->types[i]; i++) {
        apr_size_t len;
        if (i >= MX_PG_PARAMS_MAX || !oid_of(stmt->types[i])) {
            mx_log(log, MX_LOG_ERROR, MX_STORE_ERROR, "MX0204: statement %s: wrong parameter type or too many", stmt->name);
            rv = MX_STORE_ERROR;
            break;
        }
        len = bind_one(&out->values[i], out->scalars[i], stmt->types[i], &rest, pool);
        if (len > MX_PG_PARAM_MAX_BYTES) {
            mx_log(log, MX_LOG_ERROR, MX_STORE_ERROR, "MX0205: statement %s: parameter %d is too large", stmt->name, i + 1);
            rv = MX_STORE_ERROR;
        }
        out->lengths[i] = (int)len;
    }
    va_end(rest);
    out->n = i;
    return rv;
}
