/* SPDX-License-Identifier: Apache-2.0 */
/* Which state authorises an event, and whether a list of auth events is that. SS-API: auth events selection. */
#include "core/auth_rules.h"

typedef struct keys_t {
    mx_state_key_t *keys;
    int n;
} keys_t;

static void add_key(keys_t *k, mx_event_type_e type_id, const char *state_key)
{
    const char *type = mx_event_types[type_id];
    int i;
    for (i = 0; i < k->n; i++) {
        if (k->keys[i].type == type && mx_str_eq(k->keys[i].state_key, state_key))
            return;
    }
    k->keys[k->n++] = (mx_state_key_t){ type, state_key };
}

static void add_member_keys(keys_t *k, const mx_room_version_t *version, const char *state_key, const mx_json_t *content,
                            apr_pool_t *pool)
{
    const char *membership = mx_json_get_str(content, "membership"), *token, *authoriser;
    int joins = mx_str_eq(membership, "join"), invites = mx_str_eq(membership, "invite");
    if (state_key)
        add_key(k, MX_TYPE_MEMBER, state_key);
    if (joins || invites || mx_str_eq(membership, "knock"))
        add_key(k, MX_TYPE_JOIN_RULES, "");
    token = mx_json_get_str(mx_json_get(mx_json_get(content, "third_party_invite"), "signed"), "token");
    if (invites && token)
        add_key(k, MX_TYPE_THIRD_PARTY_INVITE, apr_pstrdup(pool, token));
    authoriser = mx_json_get_str(content, "join_authorised_via_users_server");
    if (joins && authoriser && version->restricted_join)
        add_key(k, MX_TYPE_MEMBER, apr_pstrdup(pool, authoriser));
}

int mx_auth_keys(mx_state_key_t keys[MX_AUTH_KEYS_MAX], const mx_room_version_t *version, const char *type,
                 const char *sender, const char *state_key, const mx_json_t *content, apr_pool_t *pool)
{
    keys_t k = { keys, 0 };
    mx_event_type_e type_id = mx_event_type_of(type);
    if (!type_id)
        type_id = mx_event_type_find(mx_slice_str(type));
    if (type_id == MX_TYPE_CREATE)
        return 0;
    if (!version->room_id_is_create_hash)
        add_key(&k, MX_TYPE_CREATE, "");
    add_key(&k, MX_TYPE_POWER_LEVELS, "");
    add_key(&k, MX_TYPE_MEMBER, sender);
    if (type_id == MX_TYPE_MEMBER)
        add_member_keys(&k, version, state_key, content, pool);
    return k.n;
}

/** One listed event against the selection and the entries before it. */
static const mx_error_t *check_entry(const mx_event_t *event, const mx_event_t **auth_events, int i, const mx_state_key_t *keys,
                                     int nkeys, apr_pool_t *pool)
{
    const mx_event_t *ev = auth_events[i];
    int k;
    if (!ev)
        return mx_error_make(pool, MX_E_FORBIDDEN, "An auth event of the event was rejected or is not known.");
    for (k = 0; k < i; k++) {
        if (mx_event_is(auth_events[k], ev->type, ev->state_key))
            return mx_error_make(pool, MX_E_FORBIDDEN, "Two auth events of the event are of the same type and state_key.");
    }
    for (k = 0; k < nkeys; k++) {
        if (mx_event_is(ev, keys[k].type, keys[k].state_key))
            break;
    }
    if (k == nkeys)
        return mx_error_make(pool, MX_E_FORBIDDEN, "An auth event of the event does not belong there.");
    if (strcmp(ev->room_id, event->room_id) != 0)
        return mx_error_make(pool, MX_E_FORBIDDEN, "An auth event of the event is of another room.");
    return NULL;
}

const mx_error_t *mx_auth_check_list(const mx_event_t *event, const mx_event_t **auth_events, int n, apr_pool_t *pool)
{
    mx_state_key_t keys[MX_AUTH_KEYS_MAX];
    int nkeys, i, has_create = 0;
    if (event->type_id == MX_TYPE_CREATE)
        return n ? mx_error_make(pool, MX_E_FORBIDDEN, "A create event has no auth events.") : NULL;
    nkeys = mx_auth_keys(keys, event->version, event->type, event->sender, event->state_key, mx_event_content(event), pool);
    for (i = 0; i < n; i++) {
        const mx_error_t *err = check_entry(event, auth_events, i, keys, nkeys, pool);
        if (err)
            return err;
        if (mx_event_is(auth_events[i], mx_event_types[MX_TYPE_CREATE], ""))
            has_create = 1;
    }
    if (!event->version->room_id_is_create_hash && !has_create)
        return mx_error_make(pool, MX_E_FORBIDDEN, "The create event is missing among the auth events.");
    return NULL;
}
