/* SPDX-License-Identifier: Apache-2.0 */
/* Authorization of an invite that redeems an m.room.third_party_invite. Rooms vN: the rule on `third_party_invite`. */
#include "base/base64.h"
#include "core/auth_private.h"
#include "core/sign.h"

/** 1 if any signature of `signed` is that of the key. */
static int signed_by(const mx_json_t *signed_part, const char *public_key, apr_pool_t *pool)
{
    const mx_json_t *signatures = mx_json_get(signed_part, "signatures");
    unsigned char *key;
    apr_size_t len;
    const char *entity, *key_id;
    mx_json_t *keys, *signature;
    void *it = NULL;
    if (!public_key || (mx_base64_decode(&key, &len, MX_BASE64_STD, mx_slice_str(public_key), pool) != APR_SUCCESS
                        && mx_base64_decode(&key, &len, MX_BASE64_URL, mx_slice_str(public_key), pool) != APR_SUCCESS)
        || len != MX_ED25519_PUBLIC_BYTES)
        return 0;
    while (mx_json_next(signatures, &it, &entity, &keys)) {
        void *it2 = NULL;
        while (mx_json_next(keys, &it2, &key_id, &signature)) {
            if (strncmp(key_id, "ed25519:", 8) == 0 && mx_sign_verify_json(signed_part, entity, key_id, key, pool))
                return 1;
        }
    }
    return 0;
}

/** A key of the invite's content: `public_key` or one of `public_keys`. */
static int signed_by_any(const mx_json_t *signed_part, const mx_json_t *invite, apr_pool_t *pool)
{
    const mx_json_t *list = mx_json_get(invite, "public_keys");
    apr_size_t i;
    if (signed_by(signed_part, mx_json_get_str(invite, "public_key"), pool))
        return 1;
    for (i = 0; mx_json_is(list, MX_JSON_ARRAY) && i < mx_json_len(list); i++) {
        if (signed_by(signed_part, mx_json_get_str(mx_json_at(list, i), "public_key"), pool))
            return 1;
    }
    return 0;
}

const mx_error_t *mx_auth_rule_third_party(const mx_auth_check_t *c, const mx_json_t *third_party)
{
    const mx_json_t *signed_part = mx_json_get(third_party, "signed");
    const char *mxid = mx_json_get_str(signed_part, "mxid"), *token = mx_json_get_str(signed_part, "token");
    const mx_event_t *invite;
    if (mx_auth_membership(c, c->event->state_key) == MX_MEMBERSHIP_BAN)
        return mx_auth_refuse(c, "The user is banned from the room.");
    if (!mxid || !token)
        return mx_auth_refuse(c, "The third-party invite has no signed mxid and token.");
    if (strcmp(mxid, c->event->state_key) != 0)
        return mx_auth_refuse(c, "The third-party invite is for another user.");
    invite = mx_auth_state_get(c, MX_TYPE_THIRD_PARTY_INVITE, token);
    if (!invite)
        return mx_auth_refuse(c, "The room has no third-party invite with that token.");
    if (strcmp(invite->sender, c->event->sender) != 0)
        return mx_auth_refuse(c, "The third-party invite was made by another user.");
    if (!signed_by_any(signed_part, mx_event_content(invite), c->pool))
        return mx_auth_refuse(c, "The third-party invite is not signed by one of its keys.");
    return NULL;
}
