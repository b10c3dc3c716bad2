/* SPDX-License-Identifier: Apache-2.0 */
/* Events and keys of one resolution: loaded in rounds, found by number or by name. */
#include "core/state_res_private.h"

#define TABLE_FIRST 256

/* ---- slots ---- */

static apr_uint32_t hash_of(const char *type, const char *state_key)
{
    apr_uint32_t hash = 2166136261u;
    const char *p;
    for (p = type; *p; p++)
        hash = (hash ^ (unsigned char)*p) * 16777619u;
    hash *= 16777619u;
    for (p = state_key; *p; p++)
        hash = (hash ^ (unsigned char)*p) * 16777619u;
    return hash ^ hash >> 15;
}

static void table_put(mx_res_t *r, mx_res_slot_t *slot)
{
    mx_res_slot_t **head = &r->table[hash_of(slot->type, slot->state_key) & (r->table_size - 1)];
    slot->next = *head;
    *head = slot;
}

static void table_grow(mx_res_t *r)
{
    int i;
    r->table_size = r->table_size ? r->table_size * 4 : TABLE_FIRST;
    r->table = apr_pcalloc(r->pool, sizeof(mx_res_slot_t *) * r->table_size);
    for (i = 0; i < r->slots->nelts; i++)
        table_put(r, APR_ARRAY_IDX(r->slots, i, mx_res_slot_t *));
}

static void slot_name(mx_res_t *r, mx_res_slot_t *slot, const char *type, const char *state_key)
{
    slot->type = type;
    slot->state_key = state_key;
    if ((apr_uint32_t)r->slots->nelts >= r->table_size)
        table_grow(r);
    APR_ARRAY_PUSH(r->slots, mx_res_slot_t *) = slot;
    table_put(r, slot);
}

static mx_res_slot_t *slot_find(mx_res_t *r, const char *type, const char *state_key)
{
    mx_res_slot_t *slot = r->table_size ? r->table[hash_of(type, state_key) & (r->table_size - 1)] : NULL;
    while (slot && !(mx_event_type_eq(slot->type, type) && mx_str_eq(slot->state_key, state_key)))
        slot = slot->next;
    return slot;
}

mx_res_slot_t *mx_res_slot(mx_res_t *r, const char *type, const char *state_key)
{
    mx_res_slot_t *slot = slot_find(r, type, state_key);
    if (slot)
        return slot;
    slot = apr_pcalloc(r->pool, sizeof(*slot));
    slot_name(r, slot, type, state_key);
    return slot;
}

void mx_res_slot_disputed(mx_res_t *r, apr_int64_t skey)
{
    mx_res_slot_t *slot = mx_nid_map_get(&r->by_skey, skey);
    if (!slot) {
        slot = apr_pcalloc(r->pool, sizeof(*slot));
        slot->skey = skey;
        slot->asked_skey = 1;
        mx_nid_map_set(&r->by_skey, skey, slot);
    }
    slot->disputed = 1;
}

/** Of an event whose skey is known from the DAG. */
static mx_res_slot_t *slot_of_event(mx_res_t *r, const mx_event_t *event, apr_int64_t skey)
{
    mx_res_slot_t *slot = mx_nid_map_get(&r->by_skey, skey);
    if (!slot) {
        slot = mx_res_slot(r, event->type, event->state_key);
        slot->skey = skey;
        slot->asked_skey = 1;
        mx_nid_map_set(&r->by_skey, skey, slot);
    }
    if (!slot->type)
        slot_name(r, slot, event->type, event->state_key);
    return slot;
}

/* ---- nodes ---- */

mx_res_node_t *mx_res_node(mx_res_t *r, apr_int64_t nid)
{
    mx_res_node_t *node = mx_nid_map_get(&r->nodes, nid);
    return node && node->event ? node : NULL;
}

static mx_res_node_t *node_add(mx_res_t *r, apr_int64_t nid, const mx_event_t *event)
{
    mx_res_node_t *node = apr_pcalloc(r->pool, sizeof(*node));
    node->nid = nid;
    node->at = nid == MX_STATE_RES_EXTRA ? r->dag->n : mx_auth_dag_find(r->dag, nid);
    node->event = event && event->state_key ? event : NULL;
    mx_nid_map_set(&r->nodes, nid, node);
    if (!node->event)
        return node;
    if (nid == MX_STATE_RES_EXTRA)
        node->slot = slot_of_event(r, event, r->in->extra_skey);
    else if (node->at != MX_AUTH_DAG_NONE)
        node->slot = slot_of_event(r, event, r->dag->skeys[node->at]);
    return node;
}

void mx_res_load(mx_res_t *r, const apr_int64_t *nids, int n)
{
    apr_int64_t *wanted = apr_palloc(r->pool, sizeof(*wanted) * (apr_size_t)(n + 1));
    const mx_event_t **events;
    int i, k = 0;
    for (i = 0; i < n; i++) {
        if (nids[i] == MX_STATE_RES_EXTRA && !mx_nid_map_get(&r->nodes, nids[i]))
            node_add(r, nids[i], r->in->extra);
        if (!mx_nid_map_get(&r->nodes, nids[i])) {
            node_add(r, nids[i], NULL);
            wanted[k++] = nids[i];
        }
    }
    if (!k || r->err)
        return;
    events = apr_pcalloc(r->pool, sizeof(*events) * (apr_size_t)k);
    r->err = r->source->events(r->source->baton, events, wanted, k);
    for (i = 0; i < k && !r->err; i++)
        node_add(r, wanted[i], events[i]);
}

mx_res_node_t *mx_res_state(mx_res_t *r, mx_res_slot_t *slot)
{
    if (slot->now || !r->undisputed_counts)
        return slot->now;
    return slot->entry;
}

apr_uint32_t mx_res_own_at(mx_res_t *r, apr_uint32_t at, apr_int64_t skey)
{
    apr_uint32_t i;
    if (at == MX_AUTH_DAG_NONE || !skey)
        return MX_AUTH_DAG_NONE;
    if (at != r->dag->n)
        return mx_auth_dag_auth_of(r->dag, at, skey);
    for (i = 0; i < r->nunstored; i++) {
        if (r->dag->skeys[r->unstored[i]] == skey)
            return r->unstored[i];
    }
    return MX_AUTH_DAG_NONE;
}

mx_res_node_t *mx_res_own(mx_res_t *r, const mx_res_node_t *node, const mx_res_slot_t *slot)
{
    apr_uint32_t at = mx_res_own_at(r, node->at, slot->skey);
    if (at == MX_AUTH_DAG_NONE)
        return NULL;
    mx_res_load(r, &r->dag->nids[at], 1);
    return mx_res_node(r, r->dag->nids[at]);
}

/* ---- what the rules will ask for ---- */

static void find_keys(mx_res_t *r, mx_res_node_t *node)
{
    const mx_event_t *ev = node->event;
    mx_state_key_t keys[MX_AUTH_KEYS_MAX];
    const mx_json_t *content = ev->type_id == MX_TYPE_MEMBER ? mx_event_content(ev) : NULL;
    int i, n = mx_auth_keys(keys, ev->version, ev->type, ev->sender, ev->state_key, content, r->pool);
    for (i = 0; i < n; i++) {
        mx_res_slot_t *slot = mx_res_slot(r, keys[i].type, keys[i].state_key);
        slot->wants_entry |= (unsigned)r->undisputed_counts;
        node->keys[node->nkeys++] = slot;
    }
    node->slot->wants_entry = 1;      /* an entry that no set disputes stays whatever the replay says */
}

/** One round: the numbers of all slots that have none yet. */
static void ask_skeys(mx_res_t *r)
{
    apr_size_t max = (apr_size_t)r->slots->nelts + 1;
    mx_state_key_t *keys = apr_palloc(r->pool, sizeof(*keys) * max);
    mx_res_slot_t **asked = apr_palloc(r->pool, sizeof(mx_res_slot_t *) * max);
    apr_int64_t *skeys = apr_pcalloc(r->pool, sizeof(*skeys) * max);
    int i, n = 0;
    for (i = 0; i < r->slots->nelts; i++) {
        mx_res_slot_t *slot = APR_ARRAY_IDX(r->slots, i, mx_res_slot_t *);
        if (slot->asked_skey)
            continue;
        slot->asked_skey = 1;
        asked[n] = slot;
        keys[n++] = (mx_state_key_t){ slot->type, slot->state_key };
    }
    if (n && !r->err)
        r->err = r->source->skeys(r->source->baton, skeys, keys, n);
    for (i = 0; i < n && !r->err; i++) {
        mx_res_slot_t *known = skeys[i] ? mx_nid_map_get(&r->by_skey, skeys[i]) : NULL;
        asked[i]->skey = skeys[i];
        if (!skeys[i])
            continue;
        if (known)                    /* disputed, but none of its events could be loaded */
            asked[i]->disputed = known->disputed;
        mx_nid_map_set(&r->by_skey, skeys[i], asked[i]);
    }
}

/** One round: the undisputed entries of all slots that want theirs. */
static void ask_entries(mx_res_t *r)
{
    apr_size_t max = (apr_size_t)r->slots->nelts + 1;
    mx_res_slot_t **asked = apr_palloc(r->pool, sizeof(mx_res_slot_t *) * max);
    apr_int64_t *skeys = apr_palloc(r->pool, sizeof(*skeys) * max), *nids = apr_pcalloc(r->pool, sizeof(*nids) * max);
    int i, n = 0;
    for (i = 0; i < r->slots->nelts; i++) {
        mx_res_slot_t *slot = APR_ARRAY_IDX(r->slots, i, mx_res_slot_t *);
        if (slot->asked_entry || !slot->wants_entry || slot->disputed || !slot->skey)
            continue;
        slot->asked_entry = 1;
        asked[n] = slot;
        skeys[n++] = slot->skey;
    }
    if (n && !r->err)
        r->err = r->source->entries(r->source->baton, nids, skeys, n);
    for (i = 0; i < n && !r->err; i++) {
        asked[i]->entry_nid = nids[i];
        asked[i]->has_entry = nids[i] != 0;
    }
}

/** 1 if the rules may fall back on the event's own auth event of that state. The levels also order the events. */
static int needs_own(mx_res_t *r, const mx_res_slot_t *slot)
{
    return slot == r->levels_slot || slot == r->create_slot || !r->undisputed_counts || !slot->entry_nid;
}

static void want_own(mx_res_t *r, const mx_res_node_t *node, apr_array_header_t *nids)
{
    int i;
    for (i = 0; i < node->nkeys; i++) {
        apr_uint32_t at = needs_own(r, node->keys[i]) ? mx_res_own_at(r, node->at, node->keys[i]->skey) : MX_AUTH_DAG_NONE;
        if (at != MX_AUTH_DAG_NONE)
            APR_ARRAY_PUSH(nids, apr_int64_t) = r->dag->nids[at];
    }
}

/** Loads undisputed entries and own auth events. Returns 1 if an entry turned out to be unknown: then others are needed. */
static int load_answers(mx_res_t *r)
{
    apr_array_header_t *nids = apr_array_make(r->pool, 64, sizeof(apr_int64_t));
    int i, again = 0;
    for (i = 0; i < r->slots->nelts; i++) {
        const mx_res_slot_t *slot = APR_ARRAY_IDX(r->slots, i, mx_res_slot_t *);
        if (slot->entry_nid && (r->undisputed_counts || slot == r->create_slot))
            APR_ARRAY_PUSH(nids, apr_int64_t) = slot->entry_nid;
    }
    for (i = 0; i < r->full->nelts; i++)
        want_own(r, APR_ARRAY_IDX(r->full, i, mx_res_node_t *), nids);
    mx_res_load(r, (apr_int64_t *)nids->elts, nids->nelts);
    for (i = 0; i < r->slots->nelts; i++) {
        mx_res_slot_t *slot = APR_ARRAY_IDX(r->slots, i, mx_res_slot_t *);
        if (slot->entry_nid)
            slot->entry = mx_res_node(r, slot->entry_nid);
        if (slot->entry_nid && !slot->entry && r->undisputed_counts && slot != r->create_slot) {
            slot->entry_nid = 0;
            again = 1;
        }
    }
    return again && !r->err;
}

static void set_own(mx_res_t *r, mx_res_node_t *node)
{
    int i;
    for (i = 0; i < node->nkeys; i++) {
        apr_uint32_t at = needs_own(r, node->keys[i]) ? mx_res_own_at(r, node->at, node->keys[i]->skey) : MX_AUTH_DAG_NONE;
        node->own[i] = at == MX_AUTH_DAG_NONE ? NULL : mx_res_node(r, r->dag->nids[at]);
    }
}

/** Of the states, disputed or not; else the oldest of the DAG: every event of versions 1 to 11 names it. */
static mx_res_node_t *find_create(mx_res_t *r)
{
    apr_uint32_t i;
    int k;
    if (r->create_slot->entry)
        return r->create_slot->entry;
    for (k = 0; k < r->full->nelts; k++) {
        mx_res_node_t *node = APR_ARRAY_IDX(r->full, k, mx_res_node_t *);
        if (node->slot == r->create_slot)
            return node;
    }
    for (i = 0; r->create_slot->skey && i < r->dag->n; i++) {
        if (r->dag->skeys[i] != r->create_slot->skey)
            continue;
        mx_res_load(r, &r->dag->nids[i], 1);
        return mx_res_node(r, r->dag->nids[i]);
    }
    return NULL;
}

void mx_res_prepare(mx_res_t *r)
{
    int i;
    r->create_slot = mx_res_slot(r, mx_event_types[MX_TYPE_CREATE], "");
    r->levels_slot = mx_res_slot(r, mx_event_types[MX_TYPE_POWER_LEVELS], "");
    r->create_slot->wants_entry = 1;
    r->levels_slot->wants_entry |= (unsigned)r->undisputed_counts;
    for (i = 0; i < r->full->nelts; i++)
        find_keys(r, APR_ARRAY_IDX(r->full, i, mx_res_node_t *));
    ask_skeys(r);
    ask_entries(r);
    while (!r->err && load_answers(r))
        ;
    for (i = 0; i < r->full->nelts && !r->err; i++)
        set_own(r, APR_ARRAY_IDX(r->full, i, mx_res_node_t *));
    if (!r->err)
        r->create = find_create(r);
}

void mx_res_slot_ask(mx_res_t *r, mx_res_slot_t *slot)
{
    if (slot->wants_entry)
        return;
    slot->wants_entry = 1;
    ask_skeys(r);
    ask_entries(r);
    if (slot->entry_nid && r->undisputed_counts) {
        mx_res_load(r, &slot->entry_nid, 1);
        slot->entry = mx_res_node(r, slot->entry_nid);
    }
}
