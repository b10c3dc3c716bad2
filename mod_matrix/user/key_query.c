/* SPDX-License-Identifier: Apache-2.0 */
/* Asking for keys of others: few statements for all users at once, and stored JSON spliced into the answer. */
#include "user/key_query.h"

#include "core/ident.h"
#include "store/cross_signing.h"
#include "store/key_claim.h"
#include "store/key_query.h"
#include "user/names.h"

#include <apr_hash.h>

#define CLAIM_TRIES 5 /* of a statement that the database broke off to resolve a deadlock */

/* What is asked for, as columns. */
typedef struct asked_t {
    const char **users, **devices, **algorithms;
    int n;
    apr_hash_t *failures;        /* servers that cannot be asked */
} asked_t;

/* ---- reading the request ---- */

static const mx_error_t *too_many(mx_server_t *server, apr_pool_t *pool)
{
    return mx_error_make(pool, MX_E_TOO_LARGE, "One request may name at most %d devices.", (int)server->settings->max_devices);
}

static const mx_error_t *asked_init(asked_t *asked, mx_server_t *server, const mx_json_t *map, const char *what, apr_pool_t *pool)
{
    apr_size_t max = (apr_size_t)server->settings->max_devices + 1;

    if (!map) return mx_error_make(pool, MX_E_MISSING_PARAM, "%s is missing.", what);
    if (!mx_json_is(map, MX_JSON_OBJECT)) return mx_error_make(pool, MX_E_BAD_JSON, "%s must be an object.", what);
    *asked = (asked_t){ apr_palloc(pool, sizeof(char *) * max), apr_palloc(pool, sizeof(char *) * max),
                        apr_palloc(pool, sizeof(char *) * max), 0, apr_hash_make(pool) };
    return NULL;
}

static const mx_error_t *add(asked_t *asked, mx_server_t *server, const char *user, const char *device, const char *algorithm,
                             apr_pool_t *pool)
{
    if (asked->n == server->settings->max_devices) return too_many(server, pool);
    asked->users[asked->n] = user;
    asked->devices[asked->n] = device;
    asked->algorithms[asked->n++] = algorithm;
    return NULL;
}

/* 1: one of ours. Another server's are a failure of that server: it cannot be asked from here. */
static int is_ours(const mx_error_t **perr, asked_t *asked, mx_server_t *server, const char *user_id, apr_pool_t *pool)
{
    const char *name;

    if (!mx_ident_is_user_id(user_id)) {
        *perr = mx_error_make(pool, MX_E_INVALID_PARAM, "A name in the request is not a user id.");
        return 0;
    }
    if (mx_ident_is_local(user_id, server->name)) return 1;
    name = mx_ident_server(user_id);
    apr_hash_set(asked->failures, name, APR_HASH_KEY_STRING, name);
    return 0;
}

static const mx_error_t *add_list(asked_t *asked, mx_server_t *server, const char *user, const mx_json_t *list, apr_pool_t *pool)
{
    const mx_error_t *err = NULL;

    if (!mx_json_is(list, MX_JSON_ARRAY)) return mx_error_make(pool, MX_E_BAD_JSON,
                                                               "device_keys must hold a list of device ids for each user.");
    if (!mx_json_len(list)) return add(asked, server, user, NULL, NULL, pool);
    for (apr_size_t i = 0; !err && i < mx_json_len(list); i++) {
        const char *device = mx_json_str(mx_json_at(list, i));

        err = device ? add(asked, server, user, device, NULL, pool)
                     : mx_error_make(pool, MX_E_BAD_JSON, "A device id must be a string.");
    }
    return err;
}

static const mx_error_t *add_map(asked_t *asked, mx_server_t *server, const char *user, const mx_json_t *map, apr_pool_t *pool)
{
    const mx_error_t *err = NULL;
    void *it = NULL;
    const char *device;
    mx_json_t *algorithm;

    if (!mx_json_is(map, MX_JSON_OBJECT)) return mx_error_make(pool, MX_E_BAD_JSON, "one_time_keys must hold an object for each user.");
    while (!err && mx_user_names_next(&err, map, &it, &device, &algorithm, pool))
        err = mx_json_str(algorithm) ? add(asked, server, user, device, mx_json_str(algorithm), pool)
                                     : mx_error_make(pool, MX_E_BAD_JSON, "An algorithm must be a string.");
    return err;
}

typedef const mx_error_t *add_user_fn(asked_t *asked, mx_server_t *server, const char *user, const mx_json_t *value, apr_pool_t *pool);

static const mx_error_t *read_asked(asked_t *asked, mx_server_t *server, const mx_json_t *map, const char *what, add_user_fn *add_user,
                                    apr_pool_t *pool)
{
    const mx_error_t *err = asked_init(asked, server, map, what, pool);
    void *it = NULL;
    const char *user;
    mx_json_t *value;

    while (!err && mx_user_names_next(&err, map, &it, &user, &value, pool))
        if (is_ours(&err, asked, server, user, pool)) err = add_user(asked, server, user, value, pool);
    return err;
}

/* CS-API: failures: servers that could not be reached, each with what there is to say of it. */
static void write_failures(mx_json_writer_t *w, asked_t *asked, apr_pool_t *pool)
{
    mx_jw_key_object(w, "failures");
    for (apr_hash_index_t *i = apr_hash_first(pool, asked->failures); i; i = apr_hash_next(i)) {
        mx_jw_key_object(w, apr_hash_this_key(i));
        mx_jw_key_str(w, "errcode", "M_UNAVAILABLE");
        mx_jw_key_str(w, "error", "This server cannot be reached from here.");
        mx_jw_end_object(w);
    }
    mx_jw_end_object(w);
}

/* ---- query ---- */

/* Everything an answer is made of. Signatures are in the order of the keys' owners and ids. */
typedef struct found_t {
    mx_queried_key_t *devices, *cross;
    mx_queried_signature_t *signatures;
    int ndevices, ncross, nsignatures;
    apr_hash_t *by_key;          /* "user key" -> the first of its signatures */
} found_t;

static const char *signature_place(const char *user_id, const char *key_id, apr_pool_t *pool)
{
    return apr_pstrcat(pool, user_id, " ", key_id, NULL);
}

static apr_status_t find(found_t *found, mx_server_t *server, const mx_who_t *who, const asked_t *asked, apr_pool_t *pool)
{
    mx_conn_t *conn = NULL;
    apr_status_t rv = mx_store_borrow(&conn, server->store, pool);

    if (!rv) rv = mx_store_key_query_devices(&found->devices, &found->ndevices, conn, asked->users, asked->devices, asked->n, pool);
    if (!rv) rv = mx_store_key_query_cross(&found->cross, &found->ncross, conn, asked->users, asked->n, who->user_nid, pool);
    if (!rv) rv = mx_store_key_query_signatures(&found->signatures, &found->nsignatures, conn, asked->users, asked->n, who->user_nid, pool);
    mx_store_return(conn);
    if (rv) return rv;
    found->by_key = apr_hash_make(pool);
    for (int i = found->nsignatures - 1; i >= 0; i--)
        apr_hash_set(found->by_key, signature_place(found->signatures[i].user_id, found->signatures[i].key_id, pool), APR_HASH_KEY_STRING,
                     &found->signatures[i]);
    return APR_SUCCESS;
}

static void write_signatures(mx_json_writer_t *w, const found_t *found, const mx_queried_key_t *key, apr_pool_t *pool)
{
    const mx_queried_signature_t *s = apr_hash_get(found->by_key, signature_place(key->user_id, key->key_id, pool), APR_HASH_KEY_STRING);
    const mx_queried_signature_t *end = found->signatures + found->nsignatures;
    const char *signer = NULL;

    mx_jw_object(w);
    for (; s && s < end && mx_str_eq(s->user_id, key->user_id) && mx_str_eq(s->key_id, key->key_id); s++) {
        if (!mx_str_eq(signer, s->signer)) {
            if (signer) mx_jw_end_object(w);
            mx_jw_key_object(w, signer = s->signer);
        }
        mx_jw_key_str(w, s->signer_key, s->signature);
    }
    if (signer) mx_jw_end_object(w);
    mx_jw_end_object(w);
}

/* The stored object, which has members and no `signatures`, with those and what we have to say of the device. */
static void write_key(mx_json_writer_t *w, const found_t *found, const mx_queried_key_t *key, apr_pool_t *pool)
{
    mx_json_writer_t *whole = mx_jw_create(pool), *part = mx_jw_create(pool);

    mx_buf_append(whole->buf, key->body.p, key->body.len - 1);
    mx_buf_append_str(whole->buf, ",\"signatures\":");
    write_signatures(part, found, key, pool);
    mx_buf_append(whole->buf, part->buf->p, part->buf->len);
    if (key->display_name) {
        mx_buf_append_str(whole->buf, ",\"unsigned\":{\"device_display_name\":");
        mx_jw_escape(whole->buf, key->display_name, strlen(key->display_name));
        mx_buf_append_char(whole->buf, '}');
    }
    mx_buf_append_char(whole->buf, '}');
    mx_jw_raw(w, whole->buf->p, whole->buf->len);
}

/* Every user who was asked for has an entry, though it may be empty. */
static void write_devices(mx_json_writer_t *w, const found_t *found, const asked_t *asked, apr_pool_t *pool)
{
    apr_hash_t *first = apr_hash_make(pool), *done = apr_hash_make(pool);

    for (int i = found->ndevices - 1; i >= 0; i--) apr_hash_set(first, found->devices[i].user_id, APR_HASH_KEY_STRING, &found->devices[i]);
    mx_jw_key_object(w, "device_keys");
    for (int i = 0; i < asked->n; i++) {
        const mx_queried_key_t *key = apr_hash_get(first, asked->users[i], APR_HASH_KEY_STRING);

        if (apr_hash_get(done, asked->users[i], APR_HASH_KEY_STRING)) continue;
        apr_hash_set(done, asked->users[i], APR_HASH_KEY_STRING, "");
        mx_jw_key_object(w, asked->users[i]);
        for (; key && key < found->devices + found->ndevices && mx_str_eq(key->user_id, asked->users[i]); key++) {
            mx_jw_key(w, key->key_id);
            write_key(w, found, key, pool);
        }
        mx_jw_end_object(w);
    }
    mx_jw_end_object(w);
}

static void write_cross(mx_json_writer_t *w, const found_t *found, mx_cross_usage_e usage, const char *name, apr_pool_t *pool)
{
    mx_jw_key_object(w, name);
    for (int i = 0; i < found->ncross; i++) {
        if (found->cross[i].usage != (int)usage) continue;
        mx_jw_key(w, found->cross[i].user_id);
        write_key(w, found, &found->cross[i], pool);
    }
    mx_jw_end_object(w);
}

const mx_error_t *mx_user_key_query(mx_json_writer_t *w, mx_server_t *server, const mx_who_t *who, const mx_json_t *asked_json,
                                    apr_pool_t *pool)
{
    asked_t asked;
    found_t found = { 0 };
    const mx_error_t *err = read_asked(&asked, server, asked_json, "device_keys", add_list, pool);
    apr_status_t rv;

    if (err) return err;
    rv = find(&found, server, who, &asked, pool);
    if (rv) return mx_server_store_error(rv, "reading keys of devices", pool);
    mx_jw_object(w);
    write_failures(w, &asked, pool);
    write_devices(w, &found, &asked, pool);
    write_cross(w, &found, MX_CROSS_MASTER, "master_keys", pool);
    write_cross(w, &found, MX_CROSS_SELF_SIGNING, "self_signing_keys", pool);
    write_cross(w, &found, MX_CROSS_USER_SIGNING, "user_signing_keys", pool);
    mx_jw_end_object(w);
    return NULL;
}

/* ---- claim ---- */

/* Keys come in the order in which they were asked for, so each user's are together. */
static void write_claimed(mx_json_writer_t *w, const asked_t *asked, const mx_claimed_key_t *keys, int n, apr_pool_t *pool)
{
    const char *user = NULL;

    mx_jw_key_object(w, "one_time_keys");
    for (int i = 0; i < n; i++) {
        int at = keys[i].asked;

        if (user != asked->users[at]) {
            if (user) mx_jw_end_object(w);
            mx_jw_key_object(w, user = asked->users[at]);
        }
        mx_jw_key_object(w, asked->devices[at]);
        mx_jw_key_raw(w, apr_pstrcat(pool, asked->algorithms[at], ":", keys[i].key_id, NULL), keys[i].body);
        mx_jw_end_object(w);
    }
    if (user) mx_jw_end_object(w);
    mx_jw_end_object(w);
}

const mx_error_t *mx_user_key_claim(mx_json_writer_t *w, mx_server_t *server, const mx_json_t *asked_json, apr_pool_t *pool)
{
    asked_t asked;
    mx_claimed_key_t *keys = NULL;
    int n = 0;
    apr_status_t rv = MX_STORE_RETRY;
    const mx_error_t *err = read_asked(&asked, server, asked_json, "one_time_keys", add_map, pool);

    if (err) return err;
    for (int i = 0; i < CLAIM_TRIES && rv == MX_STORE_RETRY; i++)
        rv = mx_store_key_claim(&keys, &n, server->store, asked.users, asked.devices, asked.algorithms, asked.n, pool);
    if (rv) return mx_server_store_error(rv, "giving out one-time keys", pool);
    if (n) mx_server_stream_moved(server);
    mx_jw_object(w);
    write_failures(w, &asked, pool);
    write_claimed(w, &asked, keys, n, pool);
    mx_jw_end_object(w);
    return NULL;
}
