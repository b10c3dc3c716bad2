/* SPDX-License-Identifier: Apache-2.0 */
/* Filters by id and inline, read once: clients of one kind send the same text. CS-API: filtering. */
#include "base/crypto.h"
#include "store/filter.h"
#include "sync/sync_private.h"

#define FILTER_MEMORY_FACTOR 8       /* a compiled filter and its pool against its text */
#define FILTER_MEMORY_BASE 16384

/* A compiled filter in the cache. */
typedef struct compiled_t {
    apr_pool_t *pool;
    mx_filter_t *filter;
} compiled_t;

static void destroy_compiled(void *value)
{
    compiled_t *compiled = value;

    apr_pool_destroy(compiled->pool);
}

mx_cache_t *mx_sync_filter_cache_create(apr_size_t max_bytes, apr_pool_t *pool)
{
    return mx_cache_create("filters", max_bytes, destroy_compiled, pool);
}

mx_cache_t *mx_sync_filter_id_cache_create(apr_size_t max_bytes, apr_pool_t *pool)
{
    return mx_cache_create("filter ids", max_bytes, mx_cache_value_destroy, pool);
}

static apr_status_t put_ref(void *ref)
{
    mx_cache_put(ref);
    return APR_SUCCESS;
}

static const mx_filter_t *borrow(mx_sync_state_t *state, const unsigned char hash[MX_SHA256_BYTES], apr_pool_t *keep)
{
    mx_cache_ref_t *ref;
    compiled_t *compiled = mx_cache_get(&ref, state->filters, hash, MX_SHA256_BYTES);

    if (!compiled) return NULL;
    apr_pool_cleanup_register(keep, ref, put_ref, apr_pool_cleanup_null);
    return compiled->filter;
}

/* Parses and compiles into a pool that the cache then owns. */
static const mx_error_t *compile(const mx_filter_t **pfilter, mx_server_t *server, const unsigned char hash[MX_SHA256_BYTES],
                                 mx_slice_t text, apr_pool_t *keep, apr_pool_t *pool)
{
    mx_json_limits_t limits = { server->settings->max_json_depth };
    const char *why = NULL;
    compiled_t *compiled;
    mx_json_t *json = NULL;
    mx_cache_ref_t *ref;
    apr_pool_t *own;
    const mx_error_t *err;

    if (mx_json_parse(&json, &why, text.p, text.len, &limits, pool) != MX_JSON_OK)
        return mx_error_make(pool, MX_E_NOT_JSON, "The filter is no JSON: %s", why ? why : "it cannot be read.");
    if (!mx_json_is(json, MX_JSON_OBJECT)) return mx_error_make(pool, MX_E_BAD_JSON, "The filter is no JSON object.");
    if (apr_pool_create_unmanaged_ex(&own, NULL, NULL) != APR_SUCCESS) return mx_error_internal(pool, APR_ENOMEM, "a filter's pool");
    apr_pool_tag(own, "mx_sync_filter");
    compiled = apr_palloc(own, sizeof(*compiled));
    compiled->pool = own;
    err = mx_filter_parse(&compiled->filter, json, own);
    if (err) {
        err = mx_error_make(pool, err->code, "%s", err->message);
        apr_pool_destroy(own);
        return err;
    }
    mx_cache_set(&ref, server->sync->filters, hash, MX_SHA256_BYTES, compiled, text.len * FILTER_MEMORY_FACTOR + FILTER_MEMORY_BASE, 0);
    apr_pool_cleanup_register(keep, ref, put_ref, apr_pool_cleanup_null);
    *pfilter = compiled->filter;
    return NULL;
}

static const mx_error_t *resolve_text(const mx_filter_t **pfilter, mx_server_t *server, mx_slice_t text, apr_pool_t *keep, apr_pool_t *pool)
{
    unsigned char hash[MX_SHA256_BYTES];
    const mx_filter_t *known;

    mx_sha256(hash, text.p, text.len);
    known = borrow(server->sync, hash, keep);
    if (!known) return compile(pfilter, server, hash, text, keep, pool);
    *pfilter = known;
    return NULL;
}

/* A stored filter never changes, so what its id means is remembered. */
typedef struct id_key_t {
    apr_int64_t user_nid, filter_id;
} id_key_t;

static void remember_id(mx_sync_state_t *state, const id_key_t *key, const unsigned char hash[MX_SHA256_BYTES])
{
    unsigned char *value = mx_cache_value_create(MX_SHA256_BYTES);

    memcpy(value, hash, MX_SHA256_BYTES);
    mx_cache_set(NULL, state->filter_ids, key, sizeof(*key), value, MX_SHA256_BYTES + sizeof(*key), 0);
}

static const mx_filter_t *borrow_by_id(mx_sync_state_t *state, const id_key_t *key, apr_pool_t *keep)
{
    mx_cache_ref_t *ref;
    const mx_filter_t *filter = NULL;
    unsigned char *hash = mx_cache_get(&ref, state->filter_ids, key, sizeof(*key));

    if (!hash) return NULL;
    filter = borrow(state, hash, keep);
    mx_cache_put(ref);
    return filter;
}

static int read_id(apr_int64_t *pid, const char *text)
{
    return text && text[0] != '-' && (text[0] != '0' || !text[1]) && mx_str_to_int64(pid, text, 0, APR_INT64_MAX) == APR_SUCCESS;
}

static const mx_error_t *load(mx_slice_t *pbody, mx_server_t *server, const id_key_t *key, apr_pool_t *pool)
{
    apr_status_t rv = mx_store_filter_get(pbody, server->store, key->user_nid, key->filter_id, pool);

    if (rv == MX_STORE_NONE) return mx_error_make(pool, MX_E_NOT_FOUND, "You have no filter of that id.");
    return rv == APR_SUCCESS ? NULL : mx_server_store_error(rv, "read a filter", pool);
}

static const mx_error_t *resolve_id(const mx_filter_t **pfilter, mx_server_t *server, const id_key_t *key, apr_pool_t *keep,
                                    apr_pool_t *pool)
{
    unsigned char hash[MX_SHA256_BYTES];
    mx_slice_t body = MX_SLICE_NONE;
    const mx_error_t *err;

    const mx_filter_t *known = borrow_by_id(server->sync, key, keep);

    if (known) {
        *pfilter = known;
        return NULL;
    }
    err = load(&body, server, key, pool);
    if (err) return err;
    mx_sha256(hash, body.p, body.len);
    remember_id(server->sync, key, hash);
    return resolve_text(pfilter, server, body, keep, pool);
}

const mx_error_t *mx_sync_filter_resolve(const mx_filter_t **pfilter, mx_server_t *server, apr_int64_t user_nid, const char *text,
                                         apr_pool_t *keep, apr_pool_t *pool)
{
    const mx_filter_t *filter = mx_filter_default();
    id_key_t key = { user_nid, 0 };
    const mx_error_t *err = NULL;

    if (text && text[0] == '{') err = resolve_text(&filter, server, mx_slice_str(text), keep, pool);
    else if (text && read_id(&key.filter_id, text)) err = resolve_id(&filter, server, &key, keep, pool);
    else if (text) err = mx_error_make(pool, MX_E_INVALID_PARAM, "`filter` is neither JSON nor the id of a filter.");
    /* for a /sync an unknown id is a parameter that is wrong, not a resource that is missing */
    if (err && err->code == MX_E_NOT_FOUND) err = mx_error_make(pool, MX_E_INVALID_PARAM, "%s", err->message);
    if (!err) *pfilter = filter;
    return err;
}

const mx_error_t *mx_sync_filter_put(const char **pid, mx_server_t *server, apr_int64_t user_nid, const mx_json_t *json, apr_pool_t *pool)
{
    unsigned char hash[MX_SHA256_BYTES];
    mx_filter_t *filter = NULL;
    mx_buf_t *body = mx_buf_create(pool);
    apr_int64_t id;
    const mx_error_t *err = mx_filter_parse(&filter, json, pool);
    apr_status_t rv;

    if (err) return err;
    mx_json_write(body, json);
    mx_sha256(hash, body->p, body->len);
    rv = mx_store_filter_put(&id, server->store, user_nid, mx_slice((const char *)hash, sizeof(hash)), mx_buf_slice(body),
                             MX_SYNC_FILTERS_PER_USER, pool);
    if (rv == MX_STORE_NONE)
        return mx_error_make(pool, MX_E_LIMIT_EXCEEDED, "You have stored %d filters; no more can be kept.", MX_SYNC_FILTERS_PER_USER);
    if (rv != APR_SUCCESS) return mx_server_store_error(rv, "store a filter", pool);
    *pid = apr_psprintf(pool, "%" APR_INT64_T_FMT, id);
    return NULL;
}

const mx_error_t *mx_sync_filter_get(mx_slice_t *pbody, mx_server_t *server, apr_int64_t user_nid, const char *filter_id, apr_pool_t *pool)
{
    id_key_t key = { user_nid, 0 };

    if (!read_id(&key.filter_id, filter_id)) return mx_error_make(pool, MX_E_NOT_FOUND, "You have no filter of that id.");
    return load(pbody, server, &key, pool);
}
