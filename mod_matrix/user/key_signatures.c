/* SPDX-License-Identifier: Apache-2.0 */
/* Uploading signatures. CS-API: POST /keys/signatures/upload: own devices, the own master key, others' master keys. */
#include "user/cross_signing.h"
#include "user/names.h"

#include <apr_hash.h>
#include <apr_tables.h>

#define ED25519 "ed25519:"
#define TRIES 3 /* of a transaction that the database broke off to resolve a deadlock */

/* One signed key of a request. */
typedef struct target_t {
    const char *user_id, *key_id;
    const mx_json_t *object;
    const mx_signable_key_t *key;        /* as it is stored; NULL: there is none */
    mx_key_signatures_t good;            /* verified; n 0: it fails */
} target_t;

typedef struct signing_t {
    mx_server_t *server;
    const mx_who_t *who;
    target_t *targets;
    int n;
    mx_cross_keys_t own;
    apr_hash_t *keys;                    /* "user key" -> const mx_signable_key_t *: targets, and the signer's devices */
    mx_json_t *failures;
    apr_pool_t *pool;
} signing_t;

static const char *place(const char *user_id, const char *key_id, apr_pool_t *pool)
{
    return apr_pstrcat(pool, user_id, " ", key_id, NULL);
}

static void fail(signing_t *s, const target_t *target, mx_errcode_e code, const char *message)
{
    mx_json_t *user = mx_json_get(s->failures, target->user_id), *error = mx_json_new_object(s->pool);

    if (!user) {
        user = mx_json_new_object(s->pool);
        mx_json_set(s->failures, target->user_id, user);
    }
    mx_json_set_str(error, "errcode", mx_errcode_wire(code));
    mx_json_set_str(error, "error", message);
    mx_json_set(user, target->key_id, error);
}

/* ---- reading ---- */

static const mx_error_t *read_user(signing_t *s, const char *user_id, const mx_json_t *keys)
{
    const mx_error_t *err = NULL;
    void *it = NULL;
    const char *key_id;
    mx_json_t *object;

    if (!mx_json_is(keys, MX_JSON_OBJECT)) return mx_error_make(s->pool, MX_E_BAD_JSON, "The body must hold an object for each user.");
    while (mx_user_names_next(&err, keys, &it, &key_id, &object, s->pool)) {
        if (!mx_json_is(object, MX_JSON_OBJECT)) return mx_error_make(s->pool, MX_E_BAD_JSON, "A signed key must be an object.");
        if (s->n == s->server->settings->max_devices)
            return mx_error_make(s->pool, MX_E_TOO_LARGE, "One request may sign at most %d keys.", (int)s->server->settings->max_devices);
        s->targets[s->n++] = (target_t){ .user_id = user_id, .key_id = key_id, .object = object };
    }
    return err;
}

static const mx_error_t *read_targets(signing_t *s, const mx_json_t *body)
{
    const mx_error_t *err = NULL;
    void *it = NULL;
    const char *user_id;
    mx_json_t *keys;

    s->targets = apr_palloc(s->pool, sizeof(*s->targets) * ((apr_size_t)s->server->settings->max_devices + 1));
    while (!err && mx_user_names_next(&err, body, &it, &user_id, &keys, s->pool)) err = read_user(s, user_id, keys);
    return err;
}

/* Names of the keys to be read: those that are signed, and the devices that signed the own master key. */
static apr_status_t read_keys(signing_t *s, mx_conn_t *conn)
{
    apr_array_header_t *users = apr_array_make(s->pool, s->n * 2, sizeof(char *)), *ids = apr_array_make(s->pool, s->n * 2, sizeof(char *));
    mx_signable_key_t *rows = NULL;
    int n = 0;
    apr_status_t rv;

    for (int i = 0; i < s->n; i++) {
        const mx_json_t *made = mx_json_get(mx_json_get(s->targets[i].object, "signatures"), s->who->user_id);
        void *it = NULL;
        const char *name;
        mx_json_t *value;

        APR_ARRAY_PUSH(users, const char *) = s->targets[i].user_id;
        APR_ARRAY_PUSH(ids, const char *) = s->targets[i].key_id;
        while (mx_str_eq(s->targets[i].user_id, s->who->user_id) && mx_json_next(made, &it, &name, &value)) {
            if (strncmp(name, ED25519, strlen(ED25519)) != 0) continue;
            APR_ARRAY_PUSH(users, const char *) = s->who->user_id;
            APR_ARRAY_PUSH(ids, const char *) = name + strlen(ED25519);
        }
    }
    rv = mx_store_signable_keys(&rows, &n, conn, (const char *const *)users->elts, (const char *const *)ids->elts, users->nelts, s->pool);
    s->keys = apr_hash_make(s->pool);
    for (int i = 0; i < n; i++) apr_hash_set(s->keys, place(rows[i].user_id, rows[i].key_id, s->pool), APR_HASH_KEY_STRING, &rows[i]);
    return rv ? rv : mx_store_cross_keys(&s->own, conn, s->who->user_nid, s->pool);
}

/* ---- judging ---- */

/* The public key that this name stands for, if its owner may sign this key with it. NULL: not such a one. */
static const char *signer_of(const signing_t *s, const target_t *target, const char *name)
{
    const char *id = name + strlen(ED25519);
    const mx_signable_key_t *key = target->key;
    int usage = mx_str_eq(target->user_id, s->who->user_id) ? MX_CROSS_SELF_SIGNING : MX_CROSS_USER_SIGNING;

    if (strncmp(name, ED25519, strlen(ED25519)) != 0) return NULL;
    if (usage == MX_CROSS_SELF_SIGNING && !key->device_nid) {
        const mx_signable_key_t *device = apr_hash_get(s->keys, place(s->who->user_id, id, s->pool), APR_HASH_KEY_STRING);

        return key->usage == MX_CROSS_MASTER && device && device->device_nid ? mx_user_cross_signing_device_key(device->body, id,
                                                                                                                s->pool) : NULL;
    }
    if (usage == MX_CROSS_USER_SIGNING && (key->device_nid || key->usage != MX_CROSS_MASTER)) return NULL;
    return mx_str_eq(id, s->own.public_keys[usage]) ? s->own.public_keys[usage] : NULL;
}

/* Signatures by keys that may not sign this one are left out; those that may must be good. */
static void judge_signatures(signing_t *s, target_t *target)
{
    mx_key_signatures_t made = { 0 };
    const mx_error_t *err = mx_user_device_keys_signatures(&made, mx_json_get(target->object, "signatures"), s->who->user_id, s->pool);
    int kept = 0;

    if (err) {
        fail(s, target, err->code, err->message);
        return;
    }
    for (int i = 0; i < made.n; i++) {
        const char *public_key = signer_of(s, target, made.signer_keys[i]);

        if (!public_key) continue;
        if (!mx_user_cross_signing_verify(target->object, s->who->user_id, made.signer_keys[i], public_key, s->pool)) {
            fail(s, target, MX_E_INVALID_SIGNATURE, "The signature is not good.");
            return;
        }
        made.signer_keys[kept] = made.signer_keys[i];
        made.signatures[kept++] = made.signatures[i];
    }
    if (!kept) {
        fail(s, target, MX_E_INVALID_SIGNATURE, "There is no signature by a key of yours that may sign this one.");
        return;
    }
    made.n = kept;
    made.key_id = target->key_id;
    made.device_nid = target->key->device_nid;
    target->good = made;
}

static void judge(signing_t *s, target_t *target)
{
    target->good.n = 0;
    target->key = apr_hash_get(s->keys, place(target->user_id, target->key_id, s->pool), APR_HASH_KEY_STRING);
    if (!target->key) {
        fail(s, target, MX_E_NOT_FOUND, "There is no such key.");
        return;
    }
    if (mx_json_has_uncanonical_number(target->object) || !mx_slice_eq(mx_sign_text(target->object, s->pool), target->key->body)) {
        fail(s, target, MX_E_INVALID_SIGNATURE, "What was signed is not the key that is stored.");
        return;
    }
    judge_signatures(s, target);
}

/* ---- storing ---- */

/* Signatures of own keys are told to all, those of others' keys to their maker alone. */
static apr_status_t store_all(signing_t *s, mx_conn_t *conn)
{
    int own_moved = 0, added = 0;
    apr_status_t rv = mx_store_begin(conn);

    for (int i = 0; !rv && i < s->n; i++) {
        const target_t *target = &s->targets[i];

        if (!target->good.n) continue;
        rv = mx_store_device_keys_sign(&added, conn, target->key->user_nid, s->who->user_nid, &target->good, s->pool);
        if (rv || !added) continue;
        if (target->key->user_nid == s->who->user_nid) own_moved = 1;
        else rv = mx_store_device_keys_changed(conn, target->key->user_nid, s->who->user_nid, s->pool);
    }
    if (!rv && own_moved) rv = mx_store_device_keys_changed(conn, s->who->user_nid, 0, s->pool);
    return rv ? rv : mx_store_commit(conn);
}

static apr_status_t sign_once(signing_t *s)
{
    mx_conn_t *conn = NULL;
    apr_status_t rv = mx_store_borrow(&conn, s->server->store, s->pool);

    if (!rv) rv = read_keys(s, conn);
    if (!rv) {
        s->failures = mx_json_new_object(s->pool);
        for (int i = 0; i < s->n; i++) judge(s, &s->targets[i]);
        rv = store_all(s, conn);
    }
    mx_store_return(conn);
    return rv;
}

const mx_error_t *mx_user_cross_signing_sign(mx_json_t **pfailures, mx_server_t *server, const mx_who_t *who, const mx_json_t *signed_keys,
                                             apr_pool_t *pool)
{
    signing_t s = { .server = server, .who = who, .pool = pool };
    const mx_error_t *err = read_targets(&s, signed_keys);
    apr_status_t rv = MX_STORE_RETRY;

    if (err) return err;
    for (int i = 0; i < TRIES && rv == MX_STORE_RETRY; i++) rv = sign_once(&s);
    if (rv) return mx_server_store_error(rv, "storing signatures", pool);
    mx_server_stream_moved(server);
    *pfailures = s.failures;
    return NULL;
}
