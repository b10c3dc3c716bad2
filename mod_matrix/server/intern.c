/* SPDX-License-Identifier: Apache-2.0 */
/* Interned strings, from memory where they were seen before: neither strings nor numbers ever change. */
#include "server/server_private.h"

#include "core/ident.h"
#include "store/intern.h"

#include <stdint.h>

#define ENTRY_BYTES 160      /* an entry of the cache beside its key and text, with what the allocator adds */

void mx_server_intern_create(mx_server_state_t *state, const mx_settings_t *settings, apr_pool_t *pool)
{
    state->user_nids = mx_cache_create("user_nids", mx_settings_cache_bytes(settings, MX_CACHE_USER_NIDS), NULL, pool);
    state->user_ids = mx_cache_create("user_ids", mx_settings_cache_bytes(settings, MX_CACHE_USER_IDS), mx_cache_value_destroy, pool);
    state->type_nids = mx_cache_create("type_nids", mx_settings_cache_bytes(settings, MX_CACHE_TYPE_NIDS), NULL, pool);
    state->type_names = mx_cache_create("type_names", mx_settings_cache_bytes(settings, MX_CACHE_TYPE_NAMES), mx_cache_value_destroy, pool);
    state->skey_nids = mx_cache_create("skey_nids", mx_settings_cache_bytes(settings, MX_CACHE_KEY_NIDS), NULL, pool);
}

/** A number that the cache holds in place of a pointer; 0: not there. */
static apr_int64_t number_get(mx_cache_t *cache, mx_slice_t key)
{
    mx_cache_ref_t *ref;
    void *value = mx_cache_get(&ref, cache, key.p, key.len);
    if (value)
        mx_cache_put(ref);
    return (apr_int64_t)(intptr_t)value;
}

static void number_set(mx_cache_t *cache, mx_slice_t key, apr_int64_t number)
{
    mx_cache_set(NULL, cache, key.p, key.len, (void *)(intptr_t)number, ENTRY_BYTES + key.len, 0);
}

/** The text of a number, copied to `pool`; NULL: not there. */
static const char *text_get(mx_cache_t *cache, apr_int64_t number, apr_pool_t *pool)
{
    mx_cache_ref_t *ref;
    char *copy = NULL;
    const char *text = mx_cache_get(&ref, cache, &number, sizeof(number));
    if (text) {
        copy = apr_pstrdup(pool, text);
        mx_cache_put(ref);
    }
    return copy;
}

static void text_set(mx_cache_t *cache, apr_int64_t number, const char *text)
{
    apr_size_t bytes = strlen(text) + 1;
    char *copy = mx_cache_value_create(bytes);
    memcpy(copy, text, bytes);
    mx_cache_set(NULL, cache, &number, sizeof(number), copy, ENTRY_BYTES + bytes, 0);
}

/** Remembers what the database said; passes its status on. */
static apr_status_t number_learn(apr_int64_t *pnid, mx_cache_t *cache, mx_slice_t key, apr_int64_t nid, apr_status_t rv)
{
    if (rv != APR_SUCCESS)
        return rv;
    number_set(cache, key, nid);
    *pnid = nid;
    return APR_SUCCESS;
}

apr_status_t mx_server_user_nid(apr_int64_t *pnid, mx_server_t *server, const char *user_id, apr_pool_t *pool)
{
    mx_slice_t key = mx_slice_str(user_id);
    mx_intern_user_t user = { user_id, mx_ident_server(user_id), mx_ident_is_local(user_id, server->name) };
    apr_int64_t nid = number_get(server->state->user_nids, key);
    apr_status_t rv;
    if (nid) {
        *pnid = nid;
        return APR_SUCCESS;
    }
    if (!user.server)
        return APR_EINVAL;
    rv = mx_store_intern_user(&nid, server->store, &user, pool);
    return number_learn(pnid, server->state->user_nids, key, nid, rv);
}

apr_status_t mx_server_user_nid_find(apr_int64_t *pnid, mx_server_t *server, const char *user_id, apr_pool_t *pool)
{
    mx_slice_t key = mx_slice_str(user_id);
    apr_int64_t nid = number_get(server->state->user_nids, key);
    apr_status_t rv;
    if (nid) {
        *pnid = nid;
        return APR_SUCCESS;
    }
    rv = mx_store_intern_user_find(&nid, server->store, user_id, pool);
    return number_learn(pnid, server->state->user_nids, key, nid, rv);
}

/** Asks for those that the cache did not have: ids_out[places[i]] is that of missing[i]. */
static apr_status_t user_ids_load(const char **ids_out, mx_server_t *server, const apr_int64_t *missing, const int *places, int n,
                                  apr_pool_t *pool)
{
    const char **found = apr_palloc(pool, (apr_size_t)n * sizeof(*found));
    int i;
    apr_status_t rv = mx_store_intern_user_ids(found, server->store, missing, n, pool);
    for (i = 0; rv == APR_SUCCESS && i < n; i++) {
        ids_out[places[i]] = found[i];
        if (found[i])
            text_set(server->state->user_ids, missing[i], found[i]);
    }
    return rv;
}

apr_status_t mx_server_user_ids(const char ***pids, mx_server_t *server, const apr_int64_t *nids, int n, apr_pool_t *pool)
{
    const char **ids = apr_pcalloc(pool, (apr_size_t)(n + 1) * sizeof(*ids));
    apr_int64_t *missing = NULL;
    int *places = NULL, nmissing = 0, i;
    apr_status_t rv = APR_SUCCESS;
    for (i = 0; i < n; i++) {
        ids[i] = text_get(server->state->user_ids, nids[i], pool);
        if (ids[i])
            continue;
        if (!missing) {
            missing = apr_palloc(pool, (apr_size_t)(n - i) * sizeof(*missing));
            places = apr_palloc(pool, (apr_size_t)(n - i) * sizeof(*places));
        }
        missing[nmissing] = nids[i];
        places[nmissing++] = i;
    }
    if (nmissing)
        rv = user_ids_load(ids, server, missing, places, nmissing, pool);
    if (rv == APR_SUCCESS)
        *pids = ids;
    return rv;
}

apr_status_t mx_server_user_id(const char **pid, mx_server_t *server, apr_int64_t user_nid, apr_pool_t *pool)
{
    const char **ids;
    apr_status_t rv = mx_server_user_ids(&ids, server, &user_nid, 1, pool);
    if (rv != APR_SUCCESS)
        return rv;
    if (!ids[0])
        return MX_STORE_NONE;
    *pid = ids[0];
    return APR_SUCCESS;
}

apr_status_t mx_server_type_nid(int *pnid, mx_server_t *server, const char *type, apr_pool_t *pool)
{
    mx_slice_t key = mx_slice_str(type);
    int nid = (int)number_get(server->state->type_nids, key);
    apr_status_t rv = APR_SUCCESS;
    if (!nid) {
        rv = mx_store_intern_type(&nid, server->store, type, pool);
        if (rv == APR_SUCCESS)
            number_set(server->state->type_nids, key, nid);
    }
    if (rv == APR_SUCCESS)
        *pnid = nid;
    return rv;
}

apr_status_t mx_server_type_name(const char **ptype, mx_server_t *server, int type_nid, apr_pool_t *pool)
{
    const char *type = text_get(server->state->type_names, type_nid, pool);
    apr_status_t rv = APR_SUCCESS;
    if (!type) {
        rv = mx_store_intern_type_name(&type, server->store, type_nid, pool);
        if (rv == APR_SUCCESS)
            text_set(server->state->type_names, type_nid, type);
    }
    if (rv == APR_SUCCESS)
        *ptype = type;
    return rv;
}

static mx_slice_t skey_key(const char *type, const char *state_key, apr_pool_t *pool)
{
    apr_size_t type_len = strlen(type), key_len = strlen(state_key);
    char *p = apr_palloc(pool, type_len + 1 + key_len);
    memcpy(p, type, type_len + 1);
    memcpy(p + type_len + 1, state_key, key_len);
    return mx_slice(p, type_len + 1 + key_len);
}

apr_status_t mx_server_skey_nid(apr_int64_t *pnid, mx_server_t *server, const char *type, const char *state_key, apr_pool_t *pool)
{
    mx_slice_t key = skey_key(type, state_key, pool);
    apr_int64_t nid = number_get(server->state->skey_nids, key);
    apr_status_t rv;
    int type_nid;
    if (nid) {
        *pnid = nid;
        return APR_SUCCESS;
    }
    rv = mx_server_type_nid(&type_nid, server, type, pool);
    if (rv == APR_SUCCESS)
        rv = mx_store_intern_skey(&nid, server->store, type_nid, state_key, pool);
    return number_learn(pnid, server->state->skey_nids, key, nid, rv);
}

apr_status_t mx_server_skey_nid_find(apr_int64_t *pnid, mx_server_t *server, const char *type, const char *state_key, apr_pool_t *pool)
{
    mx_slice_t key = skey_key(type, state_key, pool);
    apr_int64_t nid = number_get(server->state->skey_nids, key);
    apr_status_t rv;
    if (nid) {
        *pnid = nid;
        return APR_SUCCESS;
    }
    rv = mx_store_intern_skey_find(&nid, server->store, type, state_key, pool);
    return number_learn(pnid, server->state->skey_nids, key, nid, rv);
}
