/* SPDX-License-Identifier: Apache-2.0 */
/* State resolution on event ids: numbers the events in the order of their auth events, and resolves by number. */
#include "core/state_res.h"

#include <apr_hash.h>
#include <apr_tables.h>

typedef struct known_t {
    const mx_event_t *event;          /* NULL: unknown or rejected */
    apr_int64_t nid;                  /* 0: not numbered yet */
    int entered;                      /* on the way down */
} known_t;

typedef struct entry_key_t {
    apr_int64_t skey;
    const char *first;                /* id of set 0; NULL: it has none */
    int count;                        /* sets that agree with set 0 */
    int disputed;
} entry_key_t;

typedef struct ids_t {
    const mx_room_version_t *version;
    const mx_state_set_t *sets;
    int nsets;
    mx_state_res_event_fn *get_event;
    void *get_baton;
    apr_hash_t *known;                /* event id: known_t */
    apr_hash_t *keys;                 /* type NUL state_key: entry_key_t */
    apr_array_header_t *by_skey;      /* entry_key_t *, from skey 1 on */
    apr_array_header_t *names;        /* mx_state_key_t of the same */
    apr_array_header_t *by_nid;       /* known_t *, from nid 1 on */
    apr_array_header_t *order;        /* known_t *, auth events first */
    apr_array_header_t *items, *changes;
    apr_pool_t *pool;
} ids_t;

static known_t *known_of(ids_t *x, const char *event_id)
{
    known_t *known = apr_hash_get(x->known, event_id, APR_HASH_KEY_STRING);
    if (known)
        return known;
    known = apr_pcalloc(x->pool, sizeof(*known));
    known->event = x->get_event(x->get_baton, event_id);
    apr_hash_set(x->known, event_id, APR_HASH_KEY_STRING, known);
    return known;
}

static entry_key_t *key_of(ids_t *x, const char *type, const char *state_key)
{
    apr_size_t ntype = strlen(type) + 1, nkey = strlen(state_key);
    char *name = apr_palloc(x->pool, ntype + nkey);
    entry_key_t *key;
    memcpy(name, type, ntype);
    memcpy(name + ntype, state_key, nkey);
    key = apr_hash_get(x->keys, name, (apr_ssize_t)(ntype + nkey));
    if (key)
        return key;
    key = apr_pcalloc(x->pool, sizeof(*key));
    APR_ARRAY_PUSH(x->by_skey, entry_key_t *) = key;
    APR_ARRAY_PUSH(x->names, mx_state_key_t) = (mx_state_key_t){ type, state_key };
    key->skey = x->by_skey->nelts;
    apr_hash_set(x->keys, name, (apr_ssize_t)(ntype + nkey), key);
    return key;
}

static apr_int64_t number(ids_t *x, known_t *known)
{
    if (!known->nid) {
        APR_ARRAY_PUSH(x->by_nid, known_t *) = known;
        known->nid = x->by_nid->nelts;
    }
    return known->nid;
}

typedef struct frame_t {
    known_t *known;
    int next;                         /* auth event to follow */
} frame_t;

/** Numbers the event after all of its auth chain. An event that is in its own chain (versions 1 and 2 allow the lie) is cut off. */
static void number_chain(ids_t *x, known_t *root, apr_array_header_t *stack)
{
    if (root->entered || !root->event)
        return;
    root->entered = 1;
    APR_ARRAY_PUSH(stack, frame_t) = (frame_t){ root, 0 };
    while (stack->nelts) {
        frame_t *top = &APR_ARRAY_IDX(stack, stack->nelts - 1, frame_t);
        known_t *next;
        if (top->next == top->known->event->nauth) {
            number(x, top->known);
            APR_ARRAY_PUSH(x->order, known_t *) = top->known;
            apr_array_pop(stack);
            continue;
        }
        next = known_of(x, top->known->event->auth_events[top->next++]);
        if (next->entered || !next->event)
            continue;
        next->entered = 1;
        APR_ARRAY_PUSH(stack, frame_t) = (frame_t){ next, 0 };
    }
}

/** Reads all sets: which keys are disputed. */
static void read_sets(ids_t *x)
{
    int i, k;
    for (i = 0; i < x->nsets; i++) {
        for (k = 0; k < x->sets[i].nentries; k++) {
            const mx_state_entry_t *entry = &x->sets[i].entries[k];
            entry_key_t *key = key_of(x, entry->type, entry->state_key);
            if (i == 0)
                key->first = entry->event_id;
            key->count += key->first && strcmp(key->first, entry->event_id) == 0;
        }
    }
    for (i = 0; i < x->by_skey->nelts; i++) {
        entry_key_t *key = APR_ARRAY_IDX(x->by_skey, i, entry_key_t *);
        key->disputed = key->count != x->nsets;
    }
}

/** With a given difference only what is disputed, the difference and the power levels get their chains. */
static void number_all(ids_t *x, const char **difference, int ndifference)
{
    apr_array_header_t *stack = apr_array_make(x->pool, 64, sizeof(frame_t));
    int i, k;
    for (i = 0; i < x->nsets; i++) {
        for (k = 0; k < x->sets[i].nentries; k++) {
            const mx_state_entry_t *entry = &x->sets[i].entries[k];
            if (!difference || key_of(x, entry->type, entry->state_key)->disputed || strcmp(entry->type, "m.room.power_levels") == 0
                || strcmp(entry->type, "m.room.create") == 0)
                number_chain(x, known_of(x, entry->event_id), stack);
        }
    }
    for (i = 0; i < ndifference; i++)
        number_chain(x, known_of(x, difference[i]), stack);
}

static mx_auth_dag_t *make_dag(ids_t *x)
{
    apr_uint32_t edges = 0;
    apr_array_header_t *auth = apr_array_make(x->pool, 16, sizeof(apr_int64_t));
    mx_auth_dag_t *dag;
    int i, k;
    for (i = 0; i < x->order->nelts; i++)
        edges += (apr_uint32_t)APR_ARRAY_IDX(x->order, i, known_t *)->event->nauth;
    dag = mx_auth_dag_create((apr_uint32_t)x->order->nelts, edges, x->pool);
    for (i = 0; i < x->order->nelts; i++) {
        const known_t *known = APR_ARRAY_IDX(x->order, i, known_t *);
        const mx_event_t *ev = known->event;
        auth->nelts = 0;
        for (k = 0; k < ev->nauth; k++) {
            const known_t *other = known_of(x, ev->auth_events[k]);
            if (other->nid && other->nid < known->nid)
                APR_ARRAY_PUSH(auth, apr_int64_t) = other->nid;
        }
        mx_auth_dag_append(dag, known->nid, ev->state_key ? key_of(x, ev->type, ev->state_key)->skey : 0,
                           (apr_int64_t *)auth->elts, auth->nelts);
    }
    return dag;
}

static const mx_error_t *source_events(void *baton, const mx_event_t **out, const apr_int64_t *nids, int n)
{
    ids_t *x = baton;
    int i;
    for (i = 0; i < n; i++)
        out[i] = APR_ARRAY_IDX(x->by_nid, nids[i] - 1, known_t *)->event;
    return NULL;
}

static const mx_error_t *source_skeys(void *baton, apr_int64_t *out, const mx_state_key_t *keys, int n)
{
    ids_t *x = baton;
    int i;
    for (i = 0; i < n; i++)
        out[i] = key_of(x, keys[i].type, keys[i].state_key)->skey;
    return NULL;
}

static const mx_error_t *source_entries(void *baton, apr_int64_t *out, const apr_int64_t *skeys, int n)
{
    ids_t *x = baton;
    int i;
    for (i = 0; i < n; i++) {
        const entry_key_t *key = APR_ARRAY_IDX(x->by_skey, skeys[i] - 1, entry_key_t *);
        out[i] = !key->disputed && key->first ? number(x, known_of(x, key->first)) : 0;
    }
    return NULL;
}

static void add_changes(ids_t *x, int i)
{
    char *seen = apr_pcalloc(x->pool, (apr_size_t)x->by_skey->nelts + 1);
    int k;
    for (k = 0; k < x->sets[i].nentries; k++) {
        const mx_state_entry_t *entry = &x->sets[i].entries[k];
        entry_key_t *key = key_of(x, entry->type, entry->state_key);
        seen[key->skey - 1] = 1;
        if (!key->first || strcmp(key->first, entry->event_id) != 0)
            APR_ARRAY_PUSH(x->changes, mx_state_res_change_t) =
                (mx_state_res_change_t){ (apr_uint32_t)i, key->skey, number(x, known_of(x, entry->event_id)) };
    }
    for (k = 0; k < x->by_skey->nelts; k++) {
        if (APR_ARRAY_IDX(x->by_skey, k, entry_key_t *)->first && !seen[k])
            APR_ARRAY_PUSH(x->changes, mx_state_res_change_t) = (mx_state_res_change_t){ (apr_uint32_t)i, k + 1, 0 };
    }
}

/** The result: what nobody disputes as it is in set 0, and what became of the rest. */
static void write_result(mx_state_set_t *out, ids_t *x, const mx_state_res_item_t *items, int n)
{
    apr_array_header_t *entries = apr_array_make(x->pool, x->by_skey->nelts + n + 1, sizeof(mx_state_entry_t));
    int i;
    for (i = 0; i < x->by_skey->nelts; i++) {
        const entry_key_t *key = APR_ARRAY_IDX(x->by_skey, i, entry_key_t *);
        const mx_state_key_t *name = &APR_ARRAY_IDX(x->names, i, mx_state_key_t);
        if (!key->disputed && key->first)
            APR_ARRAY_PUSH(entries, mx_state_entry_t) = (mx_state_entry_t){ name->type, name->state_key, key->first };
    }
    for (i = 0; i < n; i++) {
        const mx_event_t *ev = items[i].nid ? APR_ARRAY_IDX(x->by_nid, items[i].nid - 1, known_t *)->event : NULL;
        if (ev)
            APR_ARRAY_PUSH(entries, mx_state_entry_t) = (mx_state_entry_t){ ev->type, ev->state_key, ev->event_id };
    }
    out->entries = (const mx_state_entry_t *)entries->elts;
    out->nentries = entries->nelts;
}

static void fill_input(mx_state_res_input_t *in, ids_t *x)
{
    int i;
    for (i = 0; i < x->by_skey->nelts; i++) {
        const entry_key_t *key = APR_ARRAY_IDX(x->by_skey, i, entry_key_t *);
        if (key->disputed)
            APR_ARRAY_PUSH(x->items, mx_state_res_item_t) =
                (mx_state_res_item_t){ key->skey, key->first ? number(x, known_of(x, key->first)) : 0 };
    }
    for (i = 1; i < x->nsets; i++)
        add_changes(x, i);
    in->version = x->version;
    in->nsets = (apr_uint32_t)x->nsets;
    in->base = (mx_state_res_item_t *)x->items->elts;
    in->nbase = x->items->nelts;
    in->changes = (mx_state_res_change_t *)x->changes->elts;
    in->nchanges = x->changes->nelts;
}

static const mx_error_t *resolve(mx_state_set_t *out, ids_t *x, const char **difference, int ndifference)
{
    mx_state_res_source_t source = { source_events, source_skeys, source_entries, x };
    mx_state_res_input_t in = { .ndifference = ndifference };
    apr_int64_t *nids = apr_palloc(x->pool, sizeof(*nids) * (apr_size_t)(ndifference + 1));
    mx_state_res_item_t *items = NULL;
    const mx_error_t *err = NULL;
    int i, n = 0;
    x->known = apr_hash_make(x->pool);
    x->keys = apr_hash_make(x->pool);
    x->by_skey = apr_array_make(x->pool, 64, sizeof(entry_key_t *));
    x->names = apr_array_make(x->pool, 64, sizeof(mx_state_key_t));
    x->by_nid = apr_array_make(x->pool, 64, sizeof(known_t *));
    x->order = apr_array_make(x->pool, 64, sizeof(known_t *));
    x->items = apr_array_make(x->pool, 64, sizeof(mx_state_res_item_t));
    x->changes = apr_array_make(x->pool, 64, sizeof(mx_state_res_change_t));
    read_sets(x);
    number_all(x, difference, ndifference);
    in.dag = make_dag(x);
    fill_input(&in, x);
    for (i = 0; i < ndifference; i++)
        nids[i] = number(x, known_of(x, difference[i]));
    in.difference = difference ? nids : NULL;
    if (in.nbase)
        err = mx_state_res_run(&items, &n, &in, &source, x->pool);
    if (!err)
        write_result(out, x, items, n);
    return err;
}

const mx_error_t *mx_state_resolve(mx_state_set_t *out, const mx_room_version_t *version, const mx_state_set_t *sets, int nsets,
                                   mx_state_res_event_fn *get_event, void *baton, apr_pool_t *pool)
{
    ids_t x = { .version = version, .sets = sets, .nsets = nsets, .get_event = get_event, .get_baton = baton, .pool = pool };
    return resolve(out, &x, NULL, 0);
}

const mx_error_t *mx_state_resolve_with(mx_state_set_t *out, const mx_room_version_t *version, const mx_state_set_t *sets, int nsets,
                                        const char **auth_difference, int ndifference, mx_state_res_event_fn *get_event,
                                        void *baton, apr_pool_t *pool)
{
    static const char *none[] = { NULL };
    ids_t x = { .version = version, .sets = sets, .nsets = nsets, .get_event = get_event, .get_baton = baton, .pool = pool };
    return resolve(out, &x, auth_difference ? auth_difference : none, ndifference);
}
