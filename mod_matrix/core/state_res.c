/* SPDX-License-Identifier: Apache-2.0 */
/* State resolution: reads the sets, runs the version's algorithm, writes the result. Rooms v2, v12: state resolution. */
#include "core/state_res_private.h"

mx_res_node_t *mx_res_node(mx_res_t *r, const char *event_id)
{
    mx_res_node_t *node = apr_hash_get(r->nodes, event_id, APR_HASH_KEY_STRING);
    const mx_event_t *event;
    if (node)
        return node;
    event = r->get_event(r->baton, event_id);
    if (!event)
        return NULL;
    node = apr_pcalloc(r->pool, sizeof(*node));
    node->event = event;
    node->last_set = -1;
    apr_hash_set(r->nodes, event->event_id, APR_HASH_KEY_STRING, node);
    return node;
}

char *mx_res_key(apr_size_t *plen, const char *type, const char *state_key, apr_pool_t *pool)
{
    apr_size_t ntype = strlen(type) + 1, nkey = strlen(state_key);
    char *key = apr_palloc(pool, ntype + nkey);
    memcpy(key, type, ntype);
    memcpy(key + ntype, state_key, nkey);
    *plen = ntype + nkey;
    return key;
}

int mx_res_slot_is_unconflicted(const mx_res_t *r, const mx_res_slot_t *slot)
{
    return slot->nsets == r->nsets;
}

static void slot_add(mx_res_t *r, mx_res_slot_t *slot, const char *event_id)
{
    int i;
    if (strcmp(slot->event_id, event_id) == 0) {
        slot->nsets++;
        return;
    }
    if (!slot->others)
        slot->others = apr_array_make(r->pool, 2, sizeof(const char *));
    for (i = 0; i < slot->others->nelts; i++) {
        if (strcmp(APR_ARRAY_IDX(slot->others, i, const char *), event_id) == 0)
            return;
    }
    APR_ARRAY_PUSH(slot->others, const char *) = event_id;
}

static void read_entry(mx_res_t *r, const mx_state_entry_t *entry)
{
    apr_size_t len;
    char *key = mx_res_key(&len, entry->type, entry->state_key, r->pool);
    mx_res_slot_t *slot = apr_hash_get(r->slots, key, (apr_ssize_t)len);
    if (slot) {
        slot_add(r, slot, entry->event_id);
        return;
    }
    slot = apr_pcalloc(r->pool, sizeof(*slot));
    slot->type = entry->type;
    slot->state_key = entry->state_key;
    slot->event_id = entry->event_id;
    slot->nsets = 1;
    apr_hash_set(r->slots, key, (apr_ssize_t)len, slot);
    APR_ARRAY_PUSH(r->order, mx_res_slot_t *) = slot;
}

static int read_sets(mx_res_t *r)
{
    int i, k, conflicts = 0;
    for (i = 0; i < r->nsets; i++) {
        for (k = 0; k < r->sets[i].nentries; k++)
            read_entry(r, &r->sets[i].entries[k]);
    }
    for (i = 0; i < r->order->nelts; i++)
        conflicts += !mx_res_slot_is_unconflicted(r, APR_ARRAY_IDX(r->order, i, mx_res_slot_t *));
    return conflicts;
}

void mx_res_state_set(mx_res_t *r, const mx_event_t *event)
{
    apr_size_t len;
    char *key = mx_res_key(&len, event->type, event->state_key, r->pool);
    apr_hash_set(r->state, key, (apr_ssize_t)len, event);
}

/** The undisputed event of the key, loaded when it is first asked for: rooms are large, disputes small. */
static const mx_event_t *undisputed(mx_res_t *r, const char *key, apr_size_t len)
{
    mx_res_slot_t *slot = apr_hash_get(r->slots, key, (apr_ssize_t)len);
    mx_res_node_t *node = slot && mx_res_slot_is_unconflicted(r, slot) ? mx_res_node(r, slot->event_id) : NULL;
    return node ? node->event : NULL;
}

const mx_event_t *mx_res_state_get(mx_res_t *r, const char *type, const char *state_key)
{
    apr_size_t len;
    char *key = mx_res_key(&len, type, state_key, r->scratch);
    const mx_event_t *event = apr_hash_get(r->state, key, (apr_ssize_t)len);
    return event || !r->undisputed_counts ? event : undisputed(r, key, len);
}

/** From version 12 on the room's id names it; before, the states do. */
static const mx_event_t *find_create(mx_res_t *r)
{
    apr_size_t len;
    char *key = mx_res_key(&len, "m.room.create", "", r->pool);
    mx_res_slot_t *slot = apr_hash_get(r->slots, key, (apr_ssize_t)len);
    mx_res_node_t *node = slot ? mx_res_node(r, slot->event_id) : NULL;
    return node ? node->event : NULL;
}

static void resolve_v2(mx_res_t *r)
{
    mx_res_full_conflicted_set(r);
    mx_res_auth_checks(r, mx_res_sort_power(r));
    mx_res_auth_checks(r, mx_res_sort_mainline(r));
}

/** The result in the order in which the keys were met: unconflicted entries as they are, the others from r->state. */
static void write_result(mx_state_set_t *out, mx_res_t *r)
{
    apr_array_header_t *entries = apr_array_make(r->pool, r->order->nelts + 1, sizeof(mx_state_entry_t));
    apr_hash_index_t *hi;
    int i;
    for (i = 0; i < r->order->nelts; i++) {
        mx_res_slot_t *slot = APR_ARRAY_IDX(r->order, i, mx_res_slot_t *);
        if (mx_res_slot_is_unconflicted(r, slot)) {
            apr_size_t len;
            char *key = mx_res_key(&len, slot->type, slot->state_key, r->pool);
            apr_hash_set(r->state, key, (apr_ssize_t)len, NULL);
            APR_ARRAY_PUSH(entries, mx_state_entry_t) = (mx_state_entry_t){ slot->type, slot->state_key, slot->event_id };
        }
    }
    for (hi = apr_hash_first(r->pool, r->state); hi; hi = apr_hash_next(hi)) {
        const mx_event_t *event = apr_hash_this_val(hi);
        APR_ARRAY_PUSH(entries, mx_state_entry_t) = (mx_state_entry_t){ event->type, event->state_key, event->event_id };
    }
    out->entries = (const mx_state_entry_t *)entries->elts;
    out->nentries = entries->nelts;
}

static void resolve(mx_state_set_t *out, mx_res_t *r)
{
    r->nodes = apr_hash_make(r->pool);
    r->slots = apr_hash_make(r->pool);
    r->state = apr_hash_make(r->pool);
    r->order = apr_array_make(r->pool, 64, sizeof(mx_res_slot_t *));
    r->undisputed_counts = r->version->state_res != MX_STATE_RES_2_1;
    if (read_sets(r)) {
        apr_pool_create(&r->scratch, r->pool);
        apr_pool_tag(r->scratch, "mx_state_res");
        r->create = find_create(r);
        if (r->version->state_res == MX_STATE_RES_1)
            mx_res_resolve_v1(r);
        else
            resolve_v2(r);
        apr_pool_destroy(r->scratch);
    }
    write_result(out, r);
}

const mx_error_t *mx_state_resolve(mx_state_set_t *out, const mx_room_version_t *version, const mx_state_set_t *sets, int nsets,
                                   mx_state_res_event_fn *get_event, void *baton, apr_pool_t *pool)
{
    mx_res_t r = { .version = version, .sets = sets, .nsets = nsets, .get_event = get_event, .baton = baton, .pool = pool };
    resolve(out, &r);
    return NULL;
}

const mx_error_t *mx_state_resolve_with(mx_state_set_t *out, const mx_room_version_t *version, const mx_state_set_t *sets, int nsets,
                                        const char **auth_difference, int ndifference, mx_state_res_event_fn *get_event,
                                        void *baton, apr_pool_t *pool)
{
    static const char *none[] = { NULL };
    mx_res_t r = { .version = version, .sets = sets, .nsets = nsets, .get_event = get_event, .baton = baton, .pool = pool,
                   .difference = auth_difference ? auth_difference : none, .ndifference = ndifference };
    resolve(out, &r);
    return NULL;
}
