/* SPDX-License-Identifier: Apache-2.0 */
/*
 * JSON trees: request bodies, configuration, small documents. base/json.c alone knows jansson.
 *
 * Lifetime: a document that mx_json_parse() or a mx_json_new_*() call made belongs to the pool it was given and is
 * released with it. Children handed out by the getters are borrowed: they live as long as their document. Setting a
 * value into a container shares it (counted), so a child may come from another pool.
 * Threads: a document is used by one thread at a time; frozen ones (never changed again) may be read by many.
 *
 * Hot paths (PDUs in and out) use base/json_scan.h and base/json_writer.h instead.
 */
#ifndef MX_BASE_JSON_H
#define MX_BASE_JSON_H

#include "base/buf.h"

typedef struct json_t mx_json_t; /* opaque outside base/json.c */

typedef enum { MX_JSON_NONE, MX_JSON_OBJECT, MX_JSON_ARRAY, MX_JSON_STRING, MX_JSON_INT, MX_JSON_REAL, MX_JSON_BOOL,
               MX_JSON_NULL } mx_json_type_e;

/** Why a parse failed. */
typedef enum { MX_JSON_OK, MX_JSON_SYNTAX, MX_JSON_UTF8, MX_JSON_DUPLICATE, MX_JSON_DEEP } mx_json_fault_e;

/** Bounds of one parse. */
typedef struct mx_json_limits_t {
    int depth;   /* nesting of arrays and objects, e.g. 100 */
} mx_json_limits_t;
#define MX_JSON_DEPTH_DEFAULT 100

/** Seeds the hash of objects; once per process, before the first document. */
void mx_json_init(void);

/**
 * Parses `len` bytes: RFC 8259, UTF-8 only, lone surrogates refused, duplicate keys refused, "\u0000" allowed.
 * Any JSON value may stand at the top. Integers beyond int64 fail as MX_JSON_SYNTAX; 1.0 and 1e3 are MX_JSON_REAL.
 * On a fault *pjson is untouched and *perr (may be NULL) gets a finished sentence with the place, in `pool`.
 */
mx_json_fault_e mx_json_parse(mx_json_t **pjson, const char **perr, const char *p, apr_size_t len,
                              const mx_json_limits_t *limits, apr_pool_t *pool);

mx_json_type_e mx_json_type(const mx_json_t *j); /* MX_JSON_NONE for NULL */
static inline int mx_json_is(const mx_json_t *j, mx_json_type_e t) { return mx_json_type(j) == t; }

/* Getters: NULL (or the fallback) where the key is missing or of another type; `j` may be NULL. */
mx_json_t *mx_json_get(const mx_json_t *j, const char *key);
/** NULL also for a string that holds U+0000. */
const char *mx_json_str(const mx_json_t *j);
mx_slice_t mx_json_slice(const mx_json_t *j);
const char *mx_json_get_str(const mx_json_t *j, const char *key);
apr_int64_t mx_json_int(const mx_json_t *j, apr_int64_t fallback);
apr_int64_t mx_json_get_int(const mx_json_t *j, const char *key, apr_int64_t fallback);
int mx_json_bool(const mx_json_t *j, int fallback);
int mx_json_get_bool(const mx_json_t *j, const char *key, int fallback);
double mx_json_real(const mx_json_t *j, double fallback);
apr_size_t mx_json_len(const mx_json_t *j);                /* members of an object, elements of an array, else 0 */
mx_json_t *mx_json_at(const mx_json_t *j, apr_size_t i);
/** 1 if the array holds that string; anything else holds none. */
int mx_json_has_str(const mx_json_t *j, const char *text);

/** Walks an object: `void *it = NULL; while (mx_json_next(obj, &it, &key, &val)) ...`; key order is insertion order. */
int mx_json_next(const mx_json_t *obj, void **it, const char **pkey, mx_json_t **pval);
/** The same with whole keys: the other form shows a key up to its first U+0000. Whoever decides by keys of others takes this one. */
int mx_json_next_slice(const mx_json_t *obj, void **it, mx_slice_t *pkey, mx_json_t **pval);
/** The member of that very key, U+0000 in it or not; NULL. */
mx_json_t *mx_json_get_slice(const mx_json_t *j, mx_slice_t key);

/* Makers: the result belongs to `pool`. */
mx_json_t *mx_json_new_object(apr_pool_t *pool);
mx_json_t *mx_json_new_array(apr_pool_t *pool);
mx_json_t *mx_json_new_str(apr_pool_t *pool, const char *s);    /* must be UTF-8 */
/** A deep copy that belongs to `pool` and shares nothing. */
mx_json_t *mx_json_copy(apr_pool_t *pool, const mx_json_t *j);
/** Another object with the same members. */
mx_json_t *mx_json_copy_object(apr_pool_t *pool, const mx_json_t *obj);

void mx_json_set(mx_json_t *obj, const char *key, mx_json_t *val);          /* replaces; a NULL val is ignored */
void mx_json_set_str(mx_json_t *obj, const char *key, const char *s);       /* a NULL s is ignored */
void mx_json_set_int(mx_json_t *obj, const char *key, apr_int64_t i);
void mx_json_set_bool(mx_json_t *obj, const char *key, int b);
void mx_json_del(mx_json_t *obj, const char *key);
void mx_json_add(mx_json_t *arr, mx_json_t *val);
void mx_json_add_str(mx_json_t *arr, const char *s);

int mx_json_equal(const mx_json_t *a, const mx_json_t *b);
/** 1 if any number in the tree is no integer, or an integer outside [-(2^53)+1, 2^53-1] (canonical JSON refuses those). */
int mx_json_has_uncanonical_number(const mx_json_t *j);

/** Compact JSON, keys in insertion order, appended to `out`. */
void mx_json_write(mx_buf_t *out, const mx_json_t *j);
/** Canonical JSON (appendices: canonical JSON): sorted keys, shortest escapes. Numbers must be canonical. */
void mx_json_write_canonical(mx_buf_t *out, const mx_json_t *j);
/**
 * The same for events of room versions 1 to 5, whose reals stay reals: 1e3 is 1000.0, as json.dumps() has it in the example code
 * of the appendices. Hashes and ids of such events depend on it.
 */
void mx_json_write_canonical_old(mx_buf_t *out, const mx_json_t *j);

#endif
