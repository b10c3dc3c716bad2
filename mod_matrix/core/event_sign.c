/* SPDX-License-Identifier: Apache-2.0 */
/* Which servers must have signed a PDU, and whether they did. SS-API: validating hashes and signatures on received events. */
#include "core/event_sign.h"

#include "base/base64.h"
#include "core/event_private.h"
#include "core/ident.h"

static const char algorithm[] = "ed25519:";

static int add_server(const char **servers, int n, const char *id)
{
    const char *server = mx_ident_server(id);
    int i;
    if (!server)
        return n;
    for (i = 0; i < n; i++) {
        if (strcmp(servers[i], server) == 0)
            return n;
    }
    servers[n] = server;
    return n + 1;
}

/** "The server which actually sends the event may be a different server": one that the sender's server never saw. */
static int is_third_party_invite(const mx_json_t *content)
{
    return mx_str_eq(mx_json_get_str(content, "membership"), "invite") && mx_json_get(content, "third_party_invite");
}

int mx_event_signers(const char *servers[MX_EVENT_SIGNERS_MAX], const mx_event_t *event)
{
    const mx_json_t *content = event->type_id == MX_TYPE_MEMBER ? mx_event_content(event) : NULL;
    int n = 0;
    if (!is_third_party_invite(content))
        n = add_server(servers, n, event->sender);
    if (event->version->event_id == MX_EVENT_ID_SERVER)
        n = add_server(servers, n, event->event_id);
    if (event->version->restricted_join)
        n = add_server(servers, n, mx_json_get_str(content, "join_authorised_via_users_server"));
    return n;
}

/** The raw object signatures.<server>; 0 if there is none. */
static int signatures_of(mx_json_scan_t *keys, const mx_event_t *event, const char *server, apr_pool_t *pool)
{
    mx_json_scan_t entities;
    mx_slice_t raw = mx_json_scan_get(&event->scan, "signatures");
    if (!raw.len || *raw.p != '{')
        return 0;
    mx_json_scan_trusted(&entities, raw, pool);
    raw = mx_json_scan_get(&entities, server);
    if (!raw.len || *raw.p != '{')
        return 0;
    mx_json_scan_trusted(keys, raw, pool);
    return 1;
}

int mx_event_signature_keys(const char ***pkey_ids, const mx_event_t *event, const char *server, apr_pool_t *pool)
{
    mx_json_scan_t keys;
    int i, n = 0;
    if (!signatures_of(&keys, event, server, pool))
        return 0;
    *pkey_ids = apr_palloc(pool, sizeof(**pkey_ids) * (apr_size_t)(keys.nmembers + 1));
    for (i = 0; i < keys.nmembers; i++) {
        mx_slice_t key = keys.members[i].key;
        /* No key's name needs an escape. */
        if (key.len >= sizeof(algorithm) && memcmp(key.p, algorithm, sizeof(algorithm) - 1) == 0 && !memchr(key.p, '\\', key.len))
            (*pkey_ids)[n++] = mx_slice_dup(key, pool);
    }
    return n;
}

int mx_event_verify(const mx_event_t *event, const char *server, const char *key_id,
                    const unsigned char public_key[MX_ED25519_PUBLIC_BYTES])
{
    mx_json_scan_t keys;
    mx_slice_t text;
    const char *encoded;
    unsigned char *sig;
    apr_size_t len;
    if (!signatures_of(&keys, event, server, event->pool))
        return 0;
    encoded = mx_json_scan_str(mx_json_scan_get(&keys, key_id), event->pool);
    if (!encoded || mx_base64_decode(&sig, &len, MX_BASE64_STD, mx_slice_str(encoded), event->pool) != APR_SUCCESS
        || len != MX_ED25519_SIGNATURE_BYTES)
        return 0;
    text = mx_redact_scan(event->version, &event->scan, 1, event->pool);
    return mx_ed25519_verify(sig, public_key, text.p, text.len);
}
