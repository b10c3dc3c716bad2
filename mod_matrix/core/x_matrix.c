/* SPDX-License-Identifier: Apache-2.0 */
/* Reads and writes the X-Matrix Authorization header. */
#include "core/x_matrix.h"

#include "core/ident.h"

#include <apr_lib.h>
#include <stddef.h>

#define SCHEME "X-Matrix"
#define SCHEME_LEN (sizeof(SCHEME) - 1)

/** A value under way. */
typedef struct reading_t {
    const char *p, *end;
    mx_slice_t names[MX_X_MATRIX_PARAMS_MAX];
    int nnames, nelements;
    mx_x_matrix_t out;
    apr_pool_t *pool;
} reading_t;

static const struct {
    const char *name;
    size_t offset;
} known[] = {
    { "destination", offsetof(mx_x_matrix_t, destination) },
    { "key", offsetof(mx_x_matrix_t, key) },
    { "origin", offsetof(mx_x_matrix_t, origin) },
    { "sig", offsetof(mx_x_matrix_t, sig) },
};
#define NKNOWN (sizeof(known) / sizeof(known[0]))

static const mx_error_t *bad(const reading_t *r, const char *what)
{
    return mx_error_make(r->pool, MX_E_UNAUTHORIZED, "The Authorization header is malformed: %s.", what);
}

/** RFC 9110, section 5.6.2. */
static int is_tchar(char c)
{
    return c > ' ' && c < 0x7f && (apr_isalnum(c) || strchr("!#$%&'*+-.^_`|~", c));
}

static void skip_space(reading_t *r)
{
    while (r->p < r->end && (*r->p == ' ' || *r->p == '\t'))
        r->p++;
}

static mx_slice_t read_run(reading_t *r, int colons)
{
    const char *start = r->p;
    while (r->p < r->end && (is_tchar(*r->p) || (colons && *r->p == ':')))
        r->p++;
    return mx_slice(start, (apr_size_t)(r->p - start));
}

/** RFC 9110, section 5.6.4: qdtext, and what may follow a backslash. */
static int is_quotable(char c)
{
    return c == '\t' || ((unsigned char)c >= ' ' && c != 0x7f);
}

/** Past the opening quote; NULL if there is no closing one or a byte that must not stand there. */
static const char *read_quoted(reading_t *r)
{
    char *out = apr_palloc(r->pool, (apr_size_t)(r->end - r->p) + 1), *q = out;
    while (r->p < r->end && *r->p != '"') {
        if (*r->p == '\\' && ++r->p == r->end)
            return NULL;
        if (!is_quotable(*r->p))
            return NULL;
        *q++ = *r->p++;
    }
    if (r->p == r->end)
        return NULL;
    r->p++;
    *q = '\0';
    return out;
}

static const char *read_value(reading_t *r)
{
    mx_slice_t token;
    if (r->p < r->end && *r->p == '"') {
        r->p++;
        return read_quoted(r);
    }
    token = read_run(r, 1);
    return token.len ? mx_slice_dup(token, r->pool) : NULL;
}

static int same_name(mx_slice_t a, mx_slice_t b)
{
    apr_size_t i;
    for (i = 0; a.len == b.len && i < a.len; i++) {
        if (apr_tolower(a.p[i]) != apr_tolower(b.p[i]))
            return 0;
    }
    return a.len == b.len;
}

static const mx_error_t *keep(reading_t *r, mx_slice_t name, const char *value)
{
    apr_size_t k;
    int i;
    for (i = 0; i < r->nnames; i++) {
        if (same_name(r->names[i], name))
            return bad(r, "a parameter stands there twice");
    }
    r->names[r->nnames++] = name;
    for (k = 0; k < NKNOWN; k++) {
        if (same_name(mx_slice_str(known[k].name), name))
            *(const char **)((char *)&r->out + known[k].offset) = value;
    }
    return NULL;
}

/** name=value, then a comma or the end. Between commas there may be nothing. */
static const mx_error_t *read_element(reading_t *r)
{
    const mx_error_t *err = NULL;
    const char *value;
    mx_slice_t name;
    if (r->nelements++ == MX_X_MATRIX_PARAMS_MAX)
        return bad(r, "it has too many parameters");
    skip_space(r);
    name = read_run(r, 0);
    if (name.len) {
        skip_space(r);
        if (r->p == r->end || *r->p++ != '=')
            return bad(r, "a parameter has no value");
        skip_space(r);
        value = read_value(r);
        if (!value)
            return bad(r, "a value is neither a token nor a quoted string");
        err = keep(r, name, value);
        skip_space(r);
    }
    if (!err && r->p < r->end && *r->p++ != ',')
        err = bad(r, "its parameters are not separated by commas");
    return err;
}

/** 1 if the text is printable ASCII without spaces, and not empty. */
static int is_plain(const char *s)
{
    const char *p;
    for (p = s; *p > ' ' && *p < 0x7f; p++)
        ;
    return p > s && !*p;
}

/** Appendices: signing JSON: "algorithm:version". */
static int is_key_id(const char *key)
{
    const char *colon = strchr(key, ':');
    return is_plain(key) && colon && colon > key && colon[1];
}

static const mx_error_t *check(const reading_t *r)
{
    const mx_x_matrix_t *out = &r->out;
    if (!out->origin || !out->key || !out->sig)
        return bad(r, "origin, key or sig is missing");
    if (!mx_ident_is_server_name(out->origin))
        return bad(r, "origin is no server name");
    if (out->destination && !mx_ident_is_server_name(out->destination))
        return bad(r, "destination is no server name");
    if (!is_key_id(out->key))
        return bad(r, "key is no id of a key");
    return is_plain(out->sig) ? NULL : bad(r, "sig is no signature");
}

int mx_x_matrix_is(mx_slice_t value)
{
    return value.len >= SCHEME_LEN && same_name(mx_slice(value.p, SCHEME_LEN), MX_SLICE_LIT(SCHEME)) &&
           (value.len == SCHEME_LEN || value.p[SCHEME_LEN] == ' ');
}

const mx_error_t *mx_x_matrix_parse(mx_x_matrix_t *out, mx_slice_t value, apr_pool_t *pool)
{
    reading_t r = { .pool = pool };
    const mx_error_t *err = NULL;
    if (value.len > MX_X_MATRIX_MAX_BYTES)
        return bad(&r, "it is too long");
    if (!mx_x_matrix_is(value))
        return bad(&r, "its scheme is not " SCHEME);
    r.p = value.p + SCHEME_LEN;
    r.end = value.p + value.len;
    while (!err && r.p < r.end)
        err = read_element(&r);
    if (!err)
        err = check(&r);
    if (!err)
        *out = r.out;
    return err;
}

const char *mx_x_matrix_write(const mx_x_matrix_t *params, apr_pool_t *pool)
{
    return apr_pstrcat(pool, SCHEME " origin=\"", params->origin, "\",destination=\"", params->destination, "\",key=\"",
                       params->key, "\",sig=\"", params->sig, "\"", NULL);
}
