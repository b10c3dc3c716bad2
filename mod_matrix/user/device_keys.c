/* SPDX-License-Identifier: Apache-2.0 */
/* Reading and storing what a device publishes of itself. CS-API: end-to-end encryption. */
#include "user/device_keys.h"

#include "user/names.h"

#define DIGEST_BYTES 16
#define TRIES 3 /* of a transaction that the database broke off to resolve a deadlock */

int mx_user_device_keys_split(const char **palgorithm, const char **pid, const char *name, apr_pool_t *pool)
{
    const char *colon = strchr(name, ':');

    if (!colon || colon == name || !colon[1]) return 0;
    if (colon - name > MX_KEY_NAME_MAX_BYTES || strlen(colon + 1) > MX_KEY_NAME_MAX_BYTES) return 0;
    *palgorithm = apr_pstrmemdup(pool, name, (apr_size_t)(colon - name));
    *pid = colon + 1;
    return 1;
}

static const mx_error_t *bad_name(const char *where, apr_pool_t *pool)
{
    return mx_error_make(pool, MX_E_INVALID_PARAM, "A key in %s is not named <algorithm>:<key id>, each of 1 to %d bytes.", where,
                         MX_KEY_NAME_MAX_BYTES);
}

/* ---- identity keys ---- */

static const mx_error_t *check_owner(const mx_json_t *keys, const char *user_id, const char *device_id, apr_pool_t *pool)
{
    if (!mx_str_eq(mx_json_get_str(keys, "user_id"), user_id))
        return mx_error_make(pool, MX_E_INVALID_PARAM, "device_keys.user_id is not the user whose device this is.");
    if (!mx_str_eq(mx_json_get_str(keys, "device_id"), device_id))
        return mx_error_make(pool, MX_E_INVALID_PARAM, "device_keys.device_id is not the device whose keys these are.");
    return NULL;
}

static const mx_error_t *check_algorithms(const mx_json_t *list, apr_pool_t *pool)
{
    if (!mx_json_is(list, MX_JSON_ARRAY)) return mx_error_make(pool, MX_E_BAD_JSON, "device_keys.algorithms must be a list.");
    for (apr_size_t i = 0; i < mx_json_len(list); i++)
        if (!mx_json_str(mx_json_at(list, i))) return mx_error_make(pool, MX_E_BAD_JSON, "device_keys.algorithms must hold strings.");
    return NULL;
}

/* CS-API: DeviceKeys: the names are <algorithm>:<device_id>. */
static const mx_error_t *check_keys(const mx_json_t *keys, const char *device_id, apr_pool_t *pool)
{
    const mx_error_t *err = NULL;
    void *it = NULL;
    const char *name, *algorithm, *id;
    mx_json_t *value;

    if (!mx_json_is(keys, MX_JSON_OBJECT)) return mx_error_make(pool, MX_E_BAD_JSON, "device_keys.keys must be an object.");
    while (mx_user_names_next(&err, keys, &it, &name, &value, pool)) {
        if (!mx_json_str(value)) return mx_error_make(pool, MX_E_BAD_JSON, "device_keys.keys must hold strings.");
        if (!mx_user_device_keys_split(&algorithm, &id, name, pool)) return bad_name("device_keys.keys", pool);
        if (!mx_str_eq(id, device_id)) return mx_error_make(pool, MX_E_INVALID_PARAM, "device_keys.keys holds a key of another device.");
    }
    return err;
}

const mx_error_t *mx_user_device_keys_signatures(mx_key_signatures_t *list, const mx_json_t *signatures, const char *signer,
                                                 apr_pool_t *pool)
{
    const mx_json_t *made = mx_json_get(signatures, signer);
    apr_size_t max = mx_json_len(made) + 1;
    const mx_error_t *err = NULL;
    void *it = NULL;
    const char *name, *algorithm, *id;
    mx_json_t *value;

    list->signer_keys = apr_palloc(pool, sizeof(char *) * max);
    list->signatures = apr_palloc(pool, sizeof(char *) * max);
    list->n = 0;
    if (signatures && !mx_json_is(signatures, MX_JSON_OBJECT)) return mx_error_make(pool, MX_E_BAD_JSON, "signatures must be an object.");
    if (!made) return NULL;
    if (!mx_json_is(made, MX_JSON_OBJECT)) return mx_error_make(pool, MX_E_BAD_JSON, "signatures must hold an object for each user.");
    while (mx_user_names_next(&err, made, &it, &name, &value, pool)) {
        if (!mx_json_str(value)) return mx_error_make(pool, MX_E_BAD_JSON, "A signature must be a string.");
        if (!mx_user_device_keys_split(&algorithm, &id, name, pool)) return bad_name("signatures", pool);
        list->signer_keys[list->n] = name;
        list->signatures[list->n++] = mx_json_str(value);
    }
    return err;
}

static const mx_error_t *read_device_keys(mx_key_upload_t *out, const mx_json_t *keys, const char *user_id, const char *device_id,
                                          apr_pool_t *pool)
{
    const mx_error_t *err;

    if (!mx_json_is(keys, MX_JSON_OBJECT)) return mx_error_make(pool, MX_E_BAD_JSON, "device_keys must be an object.");
    if (!mx_json_is(mx_json_get(keys, "signatures"), MX_JSON_OBJECT))
        return mx_error_make(pool, MX_E_BAD_JSON, "device_keys.signatures must be an object.");
    if (mx_json_has_uncanonical_number(keys))
        return mx_error_make(pool, MX_E_BAD_JSON, "device_keys holds a number that canonical JSON does not know.");
    err = check_owner(keys, user_id, device_id, pool);
    if (!err) err = check_algorithms(mx_json_get(keys, "algorithms"), pool);
    if (!err) err = check_keys(mx_json_get(keys, "keys"), device_id, pool);
    if (!err) err = mx_user_device_keys_signatures(&out->signatures, mx_json_get(keys, "signatures"), user_id, pool);
    if (err) return err;
    out->signatures.key_id = device_id;
    out->keys = mx_json_get(keys, "keys");
    out->body = mx_sign_text(keys, pool);
    return NULL;
}

/* ---- one-time and fallback keys ---- */

static void list_init(mx_key_list_t *list, apr_size_t max, apr_pool_t *pool)
{
    list->algorithms = apr_palloc(pool, sizeof(char *) * (max + 1));
    list->key_ids = apr_palloc(pool, sizeof(char *) * (max + 1));
    list->bodies = apr_palloc(pool, sizeof(mx_slice_t) * (max + 1));
    list->digests = apr_palloc(pool, sizeof(mx_slice_t) * (max + 1));
    list->n = 0;
}

static const mx_error_t *add_key(mx_key_list_t *list, const char *name, const mx_json_t *value, const char *where, apr_pool_t *pool)
{
    unsigned char *digest = apr_palloc(pool, MX_SHA256_BYTES);
    mx_buf_t *text = mx_buf_create(pool);

    if (!mx_user_device_keys_split(&list->algorithms[list->n], &list->key_ids[list->n], name, pool)) return bad_name(where, pool);
    if (!mx_json_str(value) && !mx_json_get_str(value, "key"))
        return mx_error_make(pool, MX_E_BAD_JSON, "A key in %s must be a string, or an object with the string `key`.", where);
    if (mx_json_has_uncanonical_number(value))
        return mx_error_make(pool, MX_E_BAD_JSON, "A key in %s holds a number that canonical JSON does not know.", where);
    mx_json_write_canonical(text, value);
    mx_sha256(digest, text->p, text->len);
    list->bodies[list->n] = mx_buf_slice(text);
    list->digests[list->n++] = mx_slice((const char *)digest, DIGEST_BYTES);
    return NULL;
}

static const mx_error_t *read_keys(mx_key_list_t *list, const mx_json_t *keys, const char *where, apr_pool_t *pool)
{
    const mx_error_t *err = NULL;
    void *it = NULL;
    const char *name;
    mx_json_t *value;

    if (!keys) return NULL;
    if (!mx_json_is(keys, MX_JSON_OBJECT)) return mx_error_make(pool, MX_E_BAD_JSON, "%s must be an object.", where);
    if (mx_json_len(keys) > MX_KEY_UPLOAD_MAX)
        return mx_error_make(pool, MX_E_TOO_LARGE, "%s may hold at most %d keys.", where, MX_KEY_UPLOAD_MAX);
    list_init(list, mx_json_len(keys), pool);
    while (!err && mx_user_names_next(&err, keys, &it, &name, &value, pool)) err = add_key(list, name, value, where, pool);
    return err;
}

/* CS-API: POST /keys/upload: at most one fallback key for each algorithm. */
static const mx_error_t *check_fallback(const mx_key_list_t *list, apr_pool_t *pool)
{
    for (int i = 0; i < list->n; i++)
        for (int j = 0; j < i; j++)
            if (mx_str_eq(list->algorithms[i], list->algorithms[j]))
                return mx_error_make(pool, MX_E_INVALID_PARAM, "fallback_keys holds two keys of one algorithm.");
    return NULL;
}

#define FALLBACK_MAX 32

const mx_error_t *mx_user_device_keys_read(mx_key_upload_t *out, const mx_json_t *request, const char *user_id, const char *device_id,
                                           apr_pool_t *pool)
{
    const mx_json_t *device_keys = mx_json_get(request, "device_keys");
    const mx_json_t *fallback = mx_json_get(request, "fallback_keys");
    const mx_error_t *err;

    memset(out, 0, sizeof(*out));
    err = device_keys ? read_device_keys(out, device_keys, user_id, device_id, pool) : NULL;
    if (!err) err = read_keys(&out->one_time, mx_json_get(request, "one_time_keys"), "one_time_keys", pool);
    if (!err && mx_json_len(fallback) > FALLBACK_MAX)
        err = mx_error_make(pool, MX_E_TOO_LARGE, "fallback_keys may hold at most %d keys.", FALLBACK_MAX);
    if (!err) err = read_keys(&out->fallback, fallback, "fallback_keys", pool);
    return err ? err : check_fallback(&out->fallback, pool);
}

/* ---- storing ---- */

/* One-time keys are signed by the identity keys: where those are others, a device was set up anew under its old id. */
static int is_other_device(mx_slice_t old, const mx_json_t *keys, apr_pool_t *pool)
{
    mx_json_limits_t limits = { MX_JSON_DEPTH_DEFAULT };
    mx_json_t *was = NULL;

    if (!old.p) return 0;
    mx_json_parse(&was, NULL, old.p, old.len, &limits, pool);
    return !mx_json_equal(mx_json_get(was, "keys"), keys);
}

static apr_status_t store_identity(mx_conn_t *conn, apr_int64_t user_nid, apr_int64_t device_nid, mx_key_upload_t *upload,
                                   mx_slice_t old, apr_pool_t *pool)
{
    int added = 0, same = old.p && mx_slice_eq(old, upload->body);
    apr_status_t rv = APR_SUCCESS;

    if (!upload->body.p) return APR_SUCCESS;
    upload->signatures.device_nid = device_nid;
    if (!same) rv = mx_store_device_keys_set(conn, device_nid, upload->body, is_other_device(old, upload->keys, pool), pool);
    if (!rv) rv = mx_store_device_keys_sign(&added, conn, user_nid, user_nid, &upload->signatures, pool);
    if (!rv && (!same || added)) rv = mx_store_device_keys_changed(conn, user_nid, 0, pool);
    return rv;
}

static const mx_error_t *store_stock(mx_server_t *server, mx_conn_t *conn, apr_int64_t device_nid, const mx_key_upload_t *upload,
                                     apr_pool_t *pool)
{
    const char *other = NULL;
    int added = 0, set = 0;
    apr_status_t rv = mx_store_one_time_keys_add(&added, &other, conn, device_nid, &upload->one_time, pool);

    if (!rv && other)
        return mx_error_make(pool, MX_E_INVALID_PARAM, "The one-time key %s was uploaded before and was another one.", other);
    if (!rv) rv = mx_store_fallback_keys_set(&set, conn, device_nid, &upload->fallback, pool);
    if (!rv && (added || set)) rv = mx_store_key_stock_moved(conn, device_nid, pool);
    return rv ? mx_server_store_error(rv, "storing one-time keys", pool) : NULL;
}

const mx_error_t *mx_user_device_keys_store(mx_server_t *server, mx_conn_t *conn, apr_int64_t user_nid, apr_int64_t device_nid,
                                            mx_key_upload_t *upload, apr_pool_t *pool)
{
    mx_slice_t old = MX_SLICE_NONE;
    apr_status_t rv = mx_store_device_keys_lock(&old, conn, device_nid, pool);

    if (rv == MX_STORE_NONE) return mx_error_make(pool, MX_E_UNKNOWN_TOKEN, "The device was deleted.");
    if (!rv) rv = store_identity(conn, user_nid, device_nid, upload, old, pool);
    if (rv) return mx_server_store_error(rv, "storing a device's keys", pool);
    return store_stock(server, conn, device_nid, upload, pool);
}

static const mx_error_t *check_stock(const mx_key_stock_t *stock, const mx_server_t *server, apr_pool_t *pool)
{
    apr_int64_t all = 0;

    for (int i = 0; i < stock->n; i++) all += stock->counts[i];
    if (all <= server->settings->max_one_time_keys) return NULL;
    return mx_error_make(pool, MX_E_TOO_LARGE, "A device may have at most %d one-time keys here.",
                         (int)server->settings->max_one_time_keys);
}

static const mx_error_t *upload_once(mx_key_stock_t *pstock, mx_server_t *server, mx_conn_t *conn, const mx_who_t *who,
                                     mx_key_upload_t *upload, apr_pool_t *pool)
{
    const mx_error_t *err;
    apr_status_t rv = mx_store_begin(conn);

    if (rv) return mx_server_store_error(rv, "storing keys", pool);
    err = mx_user_device_keys_store(server, conn, who->user_nid, who->device_nid, upload, pool);
    if (err) return err;
    rv = mx_store_key_stock(pstock, conn, who->device_nid, pool);
    if (!rv && (err = check_stock(pstock, server, pool))) return err;
    if (!rv) rv = mx_store_commit(conn);
    return rv ? mx_server_store_error(rv, "storing keys", pool) : NULL;
}

/* An upload of nothing asks for the counts. */
static const mx_error_t *count_only(mx_key_stock_t *pstock, mx_server_t *server, mx_conn_t *conn, const mx_who_t *who, apr_pool_t *pool)
{
    apr_status_t rv = mx_store_key_stock(pstock, conn, who->device_nid, pool);

    return rv ? mx_server_store_error(rv, "counting one-time keys", pool) : NULL;
}

const mx_error_t *mx_user_device_keys_upload(mx_key_stock_t *pstock, mx_server_t *server, const mx_who_t *who, const mx_json_t *request,
                                             apr_pool_t *pool)
{
    mx_key_upload_t upload;
    const mx_error_t *err = mx_user_device_keys_read(&upload, request, who->user_id, who->device_id, pool);
    int empty, done = 0;

    if (err) return err;
    empty = !upload.body.p && !upload.one_time.n && !upload.fallback.n;
    for (int i = 0; i < TRIES && !done; i++) {
        mx_conn_t *conn = NULL;
        apr_status_t rv = mx_store_borrow(&conn, server->store, pool);

        if (rv) return mx_server_store_error(rv, "storing keys", pool);
        err = empty ? count_only(pstock, server, conn, who, pool) : upload_once(pstock, server, conn, who, &upload, pool);
        mx_store_return(conn);
        done = !err || err->rv != MX_STORE_RETRY;
    }
    if (!err && !empty) mx_server_stream_moved(server);
    return err;
}
