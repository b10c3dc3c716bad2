/* SPDX-License-Identifier: Apache-2.0 */
/* Uploading cross-signing keys. CS-API: POST /keys/device_signing/upload. */
#include "user/cross_signing.h"

#include "base/base64.h"
#include "base/crypto.h"
#include "user/names.h"

#define TRIES 5 /* two uploads at once, or a deadlock that the database resolved */
#define ED25519 "ed25519:"

static const struct {
    const char *field, *usage;
} usages[MX_CROSS_USAGES] = {
    { "master_key", "master" }, { "self_signing_key", "self_signing" }, { "user_signing_key", "user_signing" }
};

/* What a request brings, by usage. */
typedef struct upload_t {
    const mx_json_t *keys[MX_CROSS_USAGES];      /* NULL: not given */
    const char *public_keys[MX_CROSS_USAGES];
    mx_slice_t bodies[MX_CROSS_USAGES];
    mx_key_signatures_t signatures[MX_CROSS_USAGES];
} upload_t;

int mx_user_cross_signing_verify(const mx_json_t *obj, const char *user_id, const char *signer_key, const char *public_key,
                                 apr_pool_t *pool)
{
    unsigned char *raw;
    apr_size_t len;

    if (!public_key || mx_base64_decode(&raw, &len, MX_BASE64_STD, mx_slice_str(public_key), pool)) return 0;
    return len == MX_ED25519_PUBLIC_BYTES && mx_sign_verify_json(obj, user_id, signer_key, raw, pool);
}

const char *mx_user_cross_signing_device_key(mx_slice_t body, const char *device_id, apr_pool_t *pool)
{
    mx_json_limits_t limits = { MX_JSON_DEPTH_DEFAULT };
    mx_json_t *keys = NULL;

    mx_json_parse(&keys, NULL, body.p, body.len, &limits, pool);
    return mx_json_get_str(mx_json_get(keys, "keys"), apr_pstrcat(pool, ED25519, device_id, NULL));
}

/* ---- reading ---- */

/* CS-API: CrossSigningKey: exactly one key, named by itself. */
static const mx_error_t *read_public_key(const char **pkey, const mx_json_t *keys, const char *field, apr_pool_t *pool)
{
    const mx_error_t *err = NULL;
    void *it = NULL;
    const char *name;
    mx_json_t *value;
    unsigned char *raw;
    apr_size_t len;

    if (mx_json_len(keys) != 1 || !mx_user_names_next(&err, keys, &it, &name, &value, pool))
        return err ? err : mx_error_make(pool, MX_E_INVALID_PARAM, "%s.keys must hold exactly one key.", field);
    if (strncmp(name, ED25519, strlen(ED25519)) != 0 || !mx_str_eq(name + strlen(ED25519), mx_json_str(value)))
        return mx_error_make(pool, MX_E_INVALID_PARAM, "The key in %s.keys must be named %s and itself.", field, ED25519);
    if (mx_base64_decode(&raw, &len, MX_BASE64_STD, mx_slice_str(mx_json_str(value)), pool) || len != MX_ED25519_PUBLIC_BYTES)
        return mx_error_make(pool, MX_E_INVALID_PARAM, "The key in %s.keys is not 32 bytes of unpadded base64.", field);
    *pkey = mx_json_str(value);
    return NULL;
}

static const mx_error_t *read_key(upload_t *up, int usage, const mx_json_t *key, const char *user_id, apr_pool_t *pool)
{
    const char *field = usages[usage].field;
    const mx_json_t *signatures = mx_json_get(key, "signatures");
    const mx_error_t *err;

    if (!mx_json_is(key, MX_JSON_OBJECT)) return mx_error_make(pool, MX_E_BAD_JSON, "%s must be an object.", field);
    if (mx_json_has_uncanonical_number(key))
        return mx_error_make(pool, MX_E_BAD_JSON, "%s holds a number that canonical JSON does not know.", field);
    if (!mx_str_eq(mx_json_get_str(key, "user_id"), user_id))
        return mx_error_make(pool, MX_E_INVALID_PARAM, "%s.user_id is not the user whose key this is.", field);
    if (!mx_json_has_str(mx_json_get(key, "usage"), usages[usage].usage))
        return mx_error_make(pool, MX_E_INVALID_PARAM, "%s.usage does not hold %s.", field, usages[usage].usage);
    err = read_public_key(&up->public_keys[usage], mx_json_get(key, "keys"), field, pool);
    if (!err) err = mx_user_device_keys_signatures(&up->signatures[usage], signatures, user_id, pool);
    if (err) return err;
    up->keys[usage] = key;
    up->bodies[usage] = mx_sign_text(key, pool);
    up->signatures[usage].key_id = up->public_keys[usage];
    return NULL;
}

static const mx_error_t *read_upload(upload_t *up, const mx_json_t *body, const char *user_id, apr_pool_t *pool)
{
    const mx_error_t *err = NULL;
    int n = 0;

    memset(up, 0, sizeof(*up));
    for (int i = 0; !err && i < MX_CROSS_USAGES; i++) {
        const mx_json_t *key = mx_json_get(body, usages[i].field);

        if (!key) continue;
        err = read_key(up, i, key, user_id, pool);
        n++;
    }
    return err || n ? err : mx_error_make(pool, MX_E_MISSING_PARAM, "None of the three keys is there.");
}

/* ---- checking it against what is there ---- */

static const char *master_of(const upload_t *up, const mx_cross_keys_t *have)
{
    return up->public_keys[MX_CROSS_MASTER] ? up->public_keys[MX_CROSS_MASTER] : have->public_keys[MX_CROSS_MASTER];
}

/* Keeps of a key's signatures the one by the master key, which must be there and good. */
static const mx_error_t *check_master_signature(upload_t *up, int usage, const char *user_id, const char *master, apr_pool_t *pool)
{
    mx_key_signatures_t *list = &up->signatures[usage];
    const char *signer_key = apr_pstrcat(pool, ED25519, master, NULL);

    if (!mx_user_cross_signing_verify(up->keys[usage], user_id, signer_key, master, pool))
        return mx_error_make(pool, MX_E_INVALID_SIGNATURE, "%s has no good signature by the master key.", usages[usage].field);
    list->signer_keys[0] = signer_key;
    list->signatures[0] = mx_json_get_str(mx_json_get(mx_json_get(up->keys[usage], "signatures"), user_id), signer_key);
    list->n = 1;
    return NULL;
}

/* The master key may be signed by the user's devices. Signatures by what we do not know are not kept. */
static const mx_error_t *check_device_signatures(upload_t *up, const mx_who_t *who, const mx_signable_key_t *devices, int n,
                                                 apr_pool_t *pool)
{
    mx_key_signatures_t *list = &up->signatures[MX_CROSS_MASTER];
    int kept = 0;

    for (int i = 0; i < list->n; i++)
        for (int j = 0; j < n; j++) {
            const char *name = list->signer_keys[i];

            if (!devices[j].device_nid || !mx_str_eq(name, apr_pstrcat(pool, ED25519, devices[j].key_id, NULL))) continue;
            if (!mx_user_cross_signing_verify(up->keys[MX_CROSS_MASTER], who->user_id, name,
                                              mx_user_cross_signing_device_key(devices[j].body, devices[j].key_id, pool), pool))
                return mx_error_make(pool, MX_E_INVALID_SIGNATURE, "The signature of master_key by a device is not good.");
            list->signatures[kept] = list->signatures[i];
            list->signer_keys[kept++] = name;
        }
    list->n = kept;
    return NULL;
}

static apr_status_t signing_devices(mx_signable_key_t **pout, int *pn, mx_conn_t *conn, const upload_t *up, const mx_who_t *who,
                                    apr_pool_t *pool)
{
    const mx_key_signatures_t *list = &up->signatures[MX_CROSS_MASTER];
    const char **users = apr_palloc(pool, sizeof(char *) * (apr_size_t)(list->n + 1));
    const char **ids = apr_palloc(pool, sizeof(char *) * (apr_size_t)(list->n + 1));

    *pn = 0;
    for (int i = 0; i < list->n; i++) {
        users[i] = who->user_id;
        ids[i] = strchr(list->signer_keys[i], ':') + 1;
    }
    return list->n ? mx_store_signable_keys(pout, pn, conn, users, ids, list->n, pool) : APR_SUCCESS;
}

static const mx_error_t *check_upload(upload_t *up, mx_conn_t *conn, const mx_who_t *who, const mx_cross_keys_t *have, apr_pool_t *pool)
{
    const char *names[MX_CROSS_USAGES], *device = NULL, *master = master_of(up, have);
    mx_signable_key_t *devices = NULL;
    const mx_error_t *err;
    int i, n = 0, ndevices = 0;
    apr_status_t rv;

    if (!master) return mx_error_make(pool, MX_E_MISSING_PARAM, "There is no master key.");
    for (i = 0; i < MX_CROSS_USAGES; i++)
        if (up->public_keys[i]) names[n++] = up->public_keys[i];
    rv = mx_store_cross_key_is_device(&device, conn, who->user_nid, names, n, pool);
    if (!rv) rv = signing_devices(&devices, &ndevices, conn, up, who, pool);
    if (rv) return mx_server_store_error(rv, "checking cross-signing keys", pool);
    if (device) return mx_error_make(pool, MX_E_FORBIDDEN, "One of the keys is the id of a device.");
    err = check_device_signatures(up, who, devices, ndevices, pool);
    for (i = MX_CROSS_SELF_SIGNING; !err && i < MX_CROSS_USAGES; i++)
        if (up->keys[i]) err = check_master_signature(up, i, who->user_id, master, pool);
    return err;
}

static int is_same(const upload_t *up, const mx_cross_keys_t *have, int usage)
{
    return have->public_keys[usage] && mx_slice_eq(up->bodies[usage], have->bodies[usage]);
}

/* CS-API: no authentication for the first keys, nor for the ones that are there already. */
static int needs_auth(const upload_t *up, const mx_cross_keys_t *have)
{
    if (!have->public_keys[MX_CROSS_MASTER]) return 0;
    if (!up->keys[MX_CROSS_MASTER]) return 1;
    for (int i = 0; i < MX_CROSS_USAGES; i++)
        if (up->keys[i] && !is_same(up, have, i)) return 1;
    return 0;
}

/* ---- storing ---- */

static int is_unchanged(const mx_cross_keys_t *a, const mx_cross_keys_t *b)
{
    for (int i = 0; i < MX_CROSS_USAGES; i++)
        if (!mx_slice_eq(a->bodies[i], b->bodies[i])) return 0;
    return 1;
}

/* A new master key makes the keys worthless that the old one signed. */
static apr_status_t store_keys(mx_conn_t *conn, upload_t *up, const mx_who_t *who, const mx_cross_keys_t *have, apr_pool_t *pool)
{
    int moved = 0, added = 0, i;
    int new_master = up->keys[MX_CROSS_MASTER] && !mx_str_eq(up->public_keys[MX_CROSS_MASTER], have->public_keys[MX_CROSS_MASTER]);
    apr_status_t rv = APR_SUCCESS;

    for (i = 0; !rv && i < MX_CROSS_USAGES; i++) {
        int gone = !up->keys[i] && new_master && have->public_keys[i];

        if (gone || (up->keys[i] && !is_same(up, have, i))) {
            rv = mx_store_cross_key_set(conn, who->user_nid, (mx_cross_usage_e)i, up->public_keys[i], up->bodies[i], pool);
            moved = 1;
        }
        if (!rv && up->keys[i]) rv = mx_store_device_keys_sign(&added, conn, who->user_nid, who->user_nid, &up->signatures[i], pool);
        moved |= added;
    }
    return rv || !moved ? rv : mx_store_device_keys_changed(conn, who->user_nid, 0, pool);
}

/* MX_STORE_RETRY: the keys are others than those that the request was judged by. */
static apr_status_t store_upload(mx_server_t *server, upload_t *up, mx_uia_t *uia, const mx_who_t *who, const mx_cross_keys_t *judged,
                                 apr_pool_t *pool)
{
    mx_cross_keys_t have;
    mx_conn_t *conn = NULL;
    apr_status_t rv = mx_store_borrow(&conn, server->store, pool);

    if (!rv) rv = mx_store_begin(conn);
    if (!rv) rv = mx_store_cross_keys_lock(&have, conn, who->user_nid, pool);
    if (!rv && !is_unchanged(&have, judged)) rv = MX_STORE_RETRY;
    if (!rv && uia) rv = mx_user_uia_finish(uia, conn, pool);
    if (!rv) rv = store_keys(conn, up, who, &have, pool);
    if (!rv) rv = mx_store_commit(conn);
    mx_store_return(conn);
    return rv;
}

static const mx_uia_flow_t upload_flows[] = { { { MX_UIA_PASSWORD } } };

static const mx_error_t *judge(int *pauth, mx_cross_keys_t *have, mx_server_t *server, upload_t *up, const mx_who_t *who, apr_pool_t *pool)
{
    mx_conn_t *conn = NULL;
    const mx_error_t *err = NULL;
    apr_status_t rv = mx_store_borrow(&conn, server->store, pool);

    if (!rv) rv = mx_store_cross_keys(have, conn, who->user_nid, pool);
    if (!rv) err = check_upload(up, conn, who, have, pool);
    mx_store_return(conn);
    if (rv) return mx_server_store_error(rv, "reading cross-signing keys", pool);
    *pauth = needs_auth(up, have);
    return err;
}

const mx_error_t *mx_user_cross_signing_upload(mx_server_t *server, mx_uia_t *uia, const mx_who_t *who, apr_pool_t *pool)
{
    apr_status_t rv = MX_STORE_RETRY;

    for (int i = 0; i < TRIES && rv == MX_STORE_RETRY; i++) {
        mx_cross_keys_t have;
        upload_t up;
        int auth = 0;
        const mx_error_t *err = read_upload(&up, mx_user_uia_body(uia), who->user_id, pool);

        if (!err) err = judge(&auth, &have, server, &up, who, pool);
        if (!err && auth) err = mx_user_uia_check(uia, upload_flows, 1);
        if (err) return err;
        rv = store_upload(server, &up, auth ? uia : NULL, who, &have, pool);
    }
    if (rv == MX_STORE_NONE) return mx_user_uia_used_up(pool);
    if (rv) return mx_server_store_error(rv, "storing cross-signing keys", pool);
    mx_server_stream_moved(server);
    return NULL;
}
