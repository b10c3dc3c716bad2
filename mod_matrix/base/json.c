/* SPDX-License-Identifier: Apache-2.0 */
/*
 * JSON trees. The one file that knows jansson, and that for its trees alone: json_scan.c checks the text, the builder
 * below turns it into a tree (jansson's own reader takes several times as long and refuses U+0000 in keys).
 */
#include "base/json.h"

#include "base/json_scan_private.h"
#include "base/json_writer.h"

#include <jansson.h>
#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#define CANONICAL_INT_MAX INT64_C(9007199254740991)   /* 2^53-1 */

void mx_json_init(void)
{
    json_object_seed(0);
}

static apr_status_t json_cleanup(void *data)
{
    json_decref(data);
    return APR_SUCCESS;
}

/** Hands the one reference to the pool. */
static json_t *json_own(apr_pool_t *pool, json_t *j)
{
    if (!j)
        abort();          /* out of memory: pools end the process too */
    apr_pool_cleanup_register(pool, j, json_cleanup, apr_pool_cleanup_null);
    return j;
}

static const char *fault_text(mx_json_fault_e fault)
{
    switch (fault) {
    case MX_JSON_UTF8:
        return "a string is not valid UTF-8";
    case MX_JSON_DUPLICATE:
        return "a key stands twice in one object";
    case MX_JSON_DEEP:
        return "it is nested too deep";
    default:
        return "it does not follow the JSON grammar";
    }
}

static void say_fault(const char **perr, mx_json_fault_e fault, apr_size_t place, apr_pool_t *pool)
{
    if (perr)
        *perr = apr_psprintf(pool, "The text is not acceptable JSON: %s (at byte %" APR_SIZE_T_FMT ").", fault_text(fault), place);
}

/** Turns text that json_scan.c has passed into a tree. */
typedef struct builder_t {
    const char *p, *end;
    mx_buf_t *scratch;            /* decoded strings, used as a stack: a key waits below its value's */
    int too_large;                /* a real beyond a double */
} builder_t;

static json_t *must(json_t *j)
{
    if (!j)
        abort();          /* out of memory */
    return j;
}

static void build_space(builder_t *b)
{
    b->p = mx_json_skip_space(b->p, b->end);
}

/** Past a string; its decoded text lies in the document or, if it had escapes, on top of the scratch stack. */
static mx_slice_t build_text(builder_t *b, int *pdecoded)
{
    const char *start = b->p + 1;
    mx_slice_t inner;
    b->p = mx_json_scan_skip(b->p, b->end);
    inner = mx_slice(start, (apr_size_t)(b->p - start) - 1);
    *pdecoded = inner.len && memchr(inner.p, '\\', inner.len) != NULL;
    if (*pdecoded)
        inner.len = mx_json_scan_decode(mx_buf_reserve(b->scratch, inner.len), inner);
    return inner;
}

static json_t *build_string(builder_t *b)
{
    int decoded;
    mx_slice_t text = build_text(b, &decoded);
    return must(json_stringn_nocheck(decoded ? b->scratch->p + b->scratch->len : text.p, text.len));
}

static json_t *build_real(builder_t *b, mx_slice_t text)
{
    char *copy = malloc(text.len + 1);
    double d;
    if (!copy)
        abort();
    memcpy(copy, text.p, text.len);
    copy[text.len] = '\0';
    d = strtod(copy, NULL);
    free(copy);
    if (isinf(d)) {
        b->too_large = 1;
        d = 0;
    }
    return must(json_real(d));
}

static int is_real(mx_slice_t number)
{
    apr_size_t i;
    for (i = 1; i < number.len; i++) {
        if (number.p[i] < '0' || number.p[i] > '9')
            return 1;
    }
    return 0;
}

static json_t *build_number(builder_t *b)
{
    mx_slice_t text = mx_slice(b->p, (apr_size_t)(mx_json_scan_skip(b->p, b->end) - b->p));
    b->p += text.len;
    return is_real(text) ? build_real(b, text) : must(json_integer(mx_json_scan_int(text, 0)));
}

static json_t *build_literal(builder_t *b)
{
    char c = *b->p;
    b->p += c == 'f' ? 5 : 4;
    return must(c == 't' ? json_true() : c == 'f' ? json_false() : json_null());
}

static json_t *build_value(builder_t *b);

static json_t *build_array(builder_t *b)
{
    json_t *array = must(json_array());
    b->p++;
    build_space(b);
    while (*b->p != ']') {
        json_array_append_new(array, build_value(b));
        build_space(b);
        if (*b->p == ',') {
            b->p++;
            build_space(b);
        }
    }
    b->p++;
    return array;
}

static void build_member(builder_t *b, json_t *object)
{
    int decoded;
    mx_slice_t key = build_text(b, &decoded);
    apr_size_t at = b->scratch->len;
    json_t *value;
    if (decoded)
        b->scratch->len += key.len;
    build_space(b);
    b->p++;               /* the colon */
    build_space(b);
    value = build_value(b);
    b->scratch->len = at;
    if (json_object_setn_new_nocheck(object, decoded ? b->scratch->p + at : key.p, key.len, value) != 0)
        abort();
}

static json_t *build_object(builder_t *b)
{
    json_t *object = must(json_object());
    b->p++;
    build_space(b);
    while (*b->p != '}') {
        build_member(b, object);
        build_space(b);
        if (*b->p == ',') {
            b->p++;
            build_space(b);
        }
    }
    b->p++;
    return object;
}

static json_t *build_value(builder_t *b)
{
    switch (*b->p) {
    case '{':
        return build_object(b);
    case '[':
        return build_array(b);
    case '"':
        return build_string(b);
    case 't':
    case 'f':
    case 'n':
        return build_literal(b);
    default:
        return build_number(b);
    }
}

mx_json_fault_e mx_json_parse(mx_json_t **pjson, const char **perr, const char *p, apr_size_t len,
                              const mx_json_limits_t *limits, apr_pool_t *pool)
{
    apr_size_t place = 0;
    builder_t b = { p, p + len, NULL, 0 };
    mx_buf_t scratch = { NULL, 0, 0, NULL };
    json_t *j;
    mx_json_fault_e fault = mx_json_scan_check(&place, NULL, p, len, limits);
    if (fault == MX_JSON_OK) {
        b.scratch = &scratch;
        build_space(&b);
        j = build_value(&b);
        free(scratch.p);
        if (!b.too_large) {
            *pjson = json_own(pool, j);
            return MX_JSON_OK;
        }
        json_decref(j);
        fault = MX_JSON_SYNTAX;
    }
    say_fault(perr, fault, place, pool);
    return fault;
}

mx_json_type_e mx_json_type(const mx_json_t *j)
{
    if (!j)
        return MX_JSON_NONE;
    switch (json_typeof(j)) {
    case JSON_OBJECT:
        return MX_JSON_OBJECT;
    case JSON_ARRAY:
        return MX_JSON_ARRAY;
    case JSON_STRING:
        return MX_JSON_STRING;
    case JSON_INTEGER:
        return MX_JSON_INT;
    case JSON_REAL:
        return MX_JSON_REAL;
    case JSON_TRUE:
    case JSON_FALSE:
        return MX_JSON_BOOL;
    default:
        return MX_JSON_NULL;
    }
}

mx_json_t *mx_json_get(const mx_json_t *j, const char *key)
{
    return json_object_get(j, key);
}

const char *mx_json_str(const mx_json_t *j)
{
    const char *s = json_string_value(j);
    return s && strlen(s) == json_string_length(j) ? s : NULL;
}

mx_slice_t mx_json_slice(const mx_json_t *j)
{
    return json_is_string(j) ? mx_slice(json_string_value(j), json_string_length(j)) : MX_SLICE_NONE;
}

const char *mx_json_get_str(const mx_json_t *j, const char *key)
{
    return mx_json_str(json_object_get(j, key));
}

apr_int64_t mx_json_int(const mx_json_t *j, apr_int64_t fallback)
{
    return json_is_integer(j) ? json_integer_value(j) : fallback;
}

apr_int64_t mx_json_get_int(const mx_json_t *j, const char *key, apr_int64_t fallback)
{
    return mx_json_int(json_object_get(j, key), fallback);
}

int mx_json_bool(const mx_json_t *j, int fallback)
{
    return json_is_boolean(j) ? json_is_true(j) : fallback;
}

int mx_json_get_bool(const mx_json_t *j, const char *key, int fallback)
{
    return mx_json_bool(json_object_get(j, key), fallback);
}

double mx_json_real(const mx_json_t *j, double fallback)
{
    return json_is_number(j) ? json_number_value(j) : fallback;
}

apr_size_t mx_json_len(const mx_json_t *j)
{
    return json_is_array(j) ? json_array_size(j) : json_object_size(j);
}

mx_json_t *mx_json_at(const mx_json_t *j, apr_size_t i)
{
    return json_array_get(j, i);
}

int mx_json_has_str(const mx_json_t *j, const char *text)
{
    apr_size_t i;
    for (i = 0; i < json_array_size(j); i++) {
        if (mx_str_eq(mx_json_str(json_array_get(j, i)), text))
            return 1;
    }
    return 0;
}

int mx_json_next(const mx_json_t *obj, void **it, const char **pkey, mx_json_t **pval)
{
    json_t *o = (json_t *)(uintptr_t)obj;     /* jansson's iterators take no const; nothing is changed */
    void *iter = *it ? json_object_iter_next(o, *it) : json_object_iter(o);
    if (!iter)
        return 0;
    *it = iter;
    *pkey = json_object_iter_key(iter);
    *pval = json_object_iter_value(iter);
    return 1;
}

int mx_json_next_slice(const mx_json_t *obj, void **it, mx_slice_t *pkey, mx_json_t **pval)
{
    const char *key;
    if (!mx_json_next(obj, it, &key, pval))
        return 0;
    *pkey = (mx_slice_t){ key, json_object_iter_key_len(*it) };
    return 1;
}

mx_json_t *mx_json_get_slice(const mx_json_t *j, mx_slice_t key)
{
    return json_object_getn(j, key.p, key.len);
}

mx_json_t *mx_json_new_object(apr_pool_t *pool)
{
    return json_own(pool, json_object());
}

mx_json_t *mx_json_new_array(apr_pool_t *pool)
{
    return json_own(pool, json_array());
}

mx_json_t *mx_json_new_str(apr_pool_t *pool, const char *s)
{
    return json_own(pool, json_string(s));
}

/* jansson's own copy and comparison end keys at U+0000. */
static json_t *copy_value(const json_t *j)
{
    json_t *o = (json_t *)(uintptr_t)j, *copy;
    apr_size_t i;
    void *it;
    if (json_is_array(j)) {
        copy = must(json_array());
        for (i = 0; i < json_array_size(j); i++)
            json_array_append_new(copy, copy_value(json_array_get(j, i)));
        return copy;
    }
    if (!json_is_object(j))
        return must(json_copy(o));
    copy = must(json_object());
    for (it = json_object_iter(o); it; it = json_object_iter_next(o, it))
        json_object_setn_new_nocheck(copy, json_object_iter_key(it), json_object_iter_key_len(it),
                                     copy_value(json_object_iter_value(it)));
    return copy;
}

mx_json_t *mx_json_copy(apr_pool_t *pool, const mx_json_t *j)
{
    return json_own(pool, copy_value(j));
}

mx_json_t *mx_json_copy_object(apr_pool_t *pool, const mx_json_t *obj)
{
    json_t *copy = must(json_object());     /* json_copy() cuts keys at U+0000 */
    mx_slice_t key;
    mx_json_t *val;
    void *it = NULL;
    while (mx_json_next_slice(obj, &it, &key, &val))
        json_object_setn_nocheck(copy, key.p, key.len, val);
    return json_own(pool, copy);
}

void mx_json_set(mx_json_t *obj, const char *key, mx_json_t *val)
{
    if (val)
        json_object_set(obj, key, val);
}

void mx_json_set_str(mx_json_t *obj, const char *key, const char *s)
{
    if (s)
        json_object_set_new(obj, key, json_string(s));
}

void mx_json_set_int(mx_json_t *obj, const char *key, apr_int64_t i)
{
    json_object_set_new(obj, key, json_integer(i));
}

void mx_json_set_bool(mx_json_t *obj, const char *key, int b)
{
    json_object_set_new(obj, key, json_boolean(b));
}

void mx_json_del(mx_json_t *obj, const char *key)
{
    json_object_del(obj, key);
}

void mx_json_add(mx_json_t *arr, mx_json_t *val)
{
    if (val)
        json_array_append(arr, val);
}

void mx_json_add_str(mx_json_t *arr, const char *s)
{
    json_array_append_new(arr, json_string(s));
}

static int objects_equal(const json_t *a, const json_t *b)
{
    json_t *o = (json_t *)(uintptr_t)a;
    void *it;
    if (json_object_size(a) != json_object_size(b))
        return 0;
    for (it = json_object_iter(o); it; it = json_object_iter_next(o, it)) {
        const json_t *other = json_object_getn(b, json_object_iter_key(it), json_object_iter_key_len(it));
        if (!other || !mx_json_equal(json_object_iter_value(it), other))
            return 0;
    }
    return 1;
}

int mx_json_equal(const mx_json_t *a, const mx_json_t *b)
{
    apr_size_t i;
    if (!a || !b)
        return a == b;
    if (json_is_object(a) && json_is_object(b))
        return objects_equal(a, b);
    if (!json_is_array(a) || !json_is_array(b))
        return json_equal(a, b);
    if (json_array_size(a) != json_array_size(b))
        return 0;
    for (i = 0; i < json_array_size(a); i++) {
        if (!mx_json_equal(json_array_get(a, i), json_array_get(b, i)))
            return 0;
    }
    return 1;
}

int mx_json_has_uncanonical_number(const mx_json_t *j)
{
    const char *key;
    json_t *child;
    void *it = NULL;
    apr_size_t i;
    if (json_is_real(j))
        return 1;
    if (json_is_integer(j))
        return json_integer_value(j) > CANONICAL_INT_MAX || json_integer_value(j) < -CANONICAL_INT_MAX;
    for (i = 0; i < json_array_size(j); i++) {
        if (mx_json_has_uncanonical_number(json_array_get(j, i)))
            return 1;
    }
    while (mx_json_next(j, &it, &key, &child)) {
        if (mx_json_has_uncanonical_number(child))
            return 1;
    }
    return 0;
}

static void write_int(mx_buf_t *out, apr_int64_t i)
{
    mx_json_writer_t w;
    mx_jw_init(&w, out);
    mx_jw_int(&w, i);
}

/**
 * Whole reals in the canonical range are written as integers, as the appendices' example has it; others (legal in
 * events of room versions 1 to 5) with the fewest digits that read back as the same double.
 */
static void write_real(mx_buf_t *out, double d)
{
    char text[40];
    int digits;
    if (d == floor(d) && fabs(d) <= (double)CANONICAL_INT_MAX) {
        write_int(out, (apr_int64_t)d);
        return;
    }
    for (digits = 15; digits <= 17; digits++) {
        snprintf(text, sizeof(text), "%.*g", digits, d);
        if (strtod(text, NULL) == d)
            break;
    }
    mx_buf_append_str(out, text);
}

#define REAL_DIGITS_MAX 17            /* enough for every double */
#define REAL_POINT_MIN (-4)            /* exponents between these are written without one */
#define REAL_POINT_MAX 16

/** The way of repr() in Python: fewest digits, always a point or an exponent. */
static void write_real_python(mx_buf_t *out, double d)
{
    char text[40], digits[REAL_DIGITS_MAX + 1], *p;
    int n, exponent, i;
    for (n = 1; n <= REAL_DIGITS_MAX; n++) {
        snprintf(text, sizeof(text), "%.*e", n - 1, d);
        if (strtod(text, NULL) == d)
            break;
    }
    p = strchr(text, 'e');
    exponent = (int)strtol(p + 1, NULL, 10);
    for (n = 0, p = text; *p != 'e'; p++) {
        if (*p >= '0' && *p <= '9')
            digits[n++] = *p;
    }
    if (*text == '-')
        mx_buf_append_char(out, '-');
    if (exponent < REAL_POINT_MIN || exponent >= REAL_POINT_MAX) {
        mx_buf_append_char(out, digits[0]);
        if (n > 1)
            mx_buf_append_char(out, '.');
        mx_buf_append(out, digits + 1, (apr_size_t)n - 1);
        snprintf(text, sizeof(text), "e%c%02d", exponent < 0 ? '-' : '+', abs(exponent));
        mx_buf_append_str(out, text);
        return;
    }
    for (i = exponent < 0 ? exponent : 0; i < n || i <= exponent + 1; i++) {
        if (i == exponent + 1)
            mx_buf_append_char(out, '.');
        mx_buf_append_char(out, i >= 0 && i < n ? digits[i] : '0');
    }
}

/** Numbers, booleans, null, strings. */
static void write_scalar(mx_buf_t *out, const json_t *j)
{
    switch (json_typeof(j)) {
    case JSON_STRING:
        mx_jw_escape(out, json_string_value(j), json_string_length(j));
        break;
    case JSON_INTEGER:
        write_int(out, json_integer_value(j));
        break;
    case JSON_REAL:
        write_real(out, json_real_value(j));
        break;
    default:
        mx_buf_append_str(out, json_is_true(j) ? "true" : json_is_false(j) ? "false" : "null");
    }
}

typedef void write_fn(mx_buf_t *out, const json_t *j);

static void write_array(mx_buf_t *out, const json_t *j, write_fn *write)
{
    apr_size_t i;
    mx_buf_append_char(out, '[');
    for (i = 0; i < json_array_size(j); i++) {
        if (i)
            mx_buf_append_char(out, ',');
        write(out, json_array_get(j, i));
    }
    mx_buf_append_char(out, ']');
}

typedef struct member_t {
    mx_slice_t key;
    const json_t *value;
} member_t;

/** In UTF-8 the order of bytes is that of code points. */
static int member_cmp(const void *a, const void *b)
{
    mx_slice_t x = ((const member_t *)a)->key, y = ((const member_t *)b)->key;
    int order = memcmp(x.p, y.p, x.len < y.len ? x.len : y.len);
    return order ? order : x.len < y.len ? -1 : x.len > y.len;
}

#define MEMBERS_INLINE 16

static void write_object(mx_buf_t *out, const json_t *j, write_fn *write, int sorted)
{
    apr_size_t n = json_object_size(j), i = 0;
    member_t few[MEMBERS_INLINE], *members = n <= MEMBERS_INLINE ? few : malloc(n * sizeof(*members));
    json_t *o = (json_t *)(uintptr_t)j;
    void *it;
    if (!members)
        abort();
    for (it = json_object_iter(o); it; it = json_object_iter_next(o, it))
        members[i++] = (member_t){ mx_slice(json_object_iter_key(it), json_object_iter_key_len(it)), json_object_iter_value(it) };
    if (sorted && n > 1)
        qsort(members, n, sizeof(*members), member_cmp);
    mx_buf_append_char(out, '{');
    for (i = 0; i < n; i++) {
        if (i)
            mx_buf_append_char(out, ',');
        mx_jw_escape(out, members[i].key.p, members[i].key.len);
        mx_buf_append_char(out, ':');
        write(out, members[i].value);
    }
    mx_buf_append_char(out, '}');
    if (members != few)
        free(members);
}

void mx_json_write(mx_buf_t *out, const mx_json_t *j)
{
    if (json_is_object(j))
        write_object(out, j, mx_json_write, 0);
    else if (json_is_array(j))
        write_array(out, j, mx_json_write);
    else
        write_scalar(out, j);
}

void mx_json_write_canonical(mx_buf_t *out, const mx_json_t *j)
{
    if (json_is_object(j))
        write_object(out, j, mx_json_write_canonical, 1);
    else if (json_is_array(j))
        write_array(out, j, mx_json_write_canonical);
    else
        write_scalar(out, j);
}

void mx_json_write_canonical_old(mx_buf_t *out, const mx_json_t *j)
{
    if (json_is_object(j))
        write_object(out, j, mx_json_write_canonical_old, 1);
    else if (json_is_array(j))
        write_array(out, j, mx_json_write_canonical_old);
    else if (json_is_real(j))
        write_real_python(out, json_real_value(j));
    else
        write_scalar(out, j);
}
