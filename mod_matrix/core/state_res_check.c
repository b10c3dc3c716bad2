/* SPDX-License-Identifier: Apache-2.0 */
/* The iterative auth checks of state resolution. Rooms v2: state resolution, definitions. */
#include "core/state_res_private.h"

#define CHECKS_A_CLEAR 64             /* of the scratch pool */

const mx_event_t *mx_res_own_create(mx_res_t *r, const mx_res_node_t *node)
{
    const mx_res_node_t *create = node->event->version->room_id_is_create_hash ? NULL : mx_res_own(r, node, r->create_slot);
    if (create)
        return create->event;
    return r->create ? r->create->event : NULL;
}

typedef struct checked_t {
    mx_res_t *r;
    const mx_res_node_t *node;
    int with_own;
} checked_t;

/** A key that was not foreseen: asked for by itself. */
static mx_res_node_t *unforeseen(checked_t *c, const char *type, const char *state_key)
{
    mx_res_t *r = c->r;
    mx_res_slot_t *slot = mx_res_slot(r, apr_pstrdup(r->pool, type), apr_pstrdup(r->pool, state_key));
    mx_res_node_t *found;
    mx_res_slot_ask(r, slot);
    found = mx_res_state(r, slot);
    return found || !c->with_own ? found : mx_res_own(r, c->node, slot);
}

static const mx_event_t *checked_get(void *baton, const char *type, const char *state_key)
{
    checked_t *c = baton;
    const mx_res_node_t *node = c->node, *found = NULL;
    int i;
    for (i = 0; i < node->nkeys; i++) {
        mx_res_slot_t *slot = node->keys[i];
        if (!mx_event_type_eq(slot->type, type) || !mx_str_eq(slot->state_key, state_key))
            continue;
        found = mx_res_state(c->r, slot);
        if (!found && c->with_own)
            found = node->own[i];
        break;
    }
    if (i == node->nkeys)
        found = unforeseen(c, type, state_key);
    if (!found && c->with_own && !*state_key && mx_event_type_is(type, MX_TYPE_CREATE))
        return mx_res_own_create(c->r, node);
    return found ? found->event : NULL;
}

/** The levels of the state so far: read anew only when they change. */
static const mx_power_t *power_now(mx_res_t *r, checked_t *c)
{
    const mx_event_t *create = checked_get(c, mx_event_types[MX_TYPE_CREATE], "");
    const mx_event_t *levels = checked_get(c, mx_event_types[MX_TYPE_POWER_LEVELS], "");
    if (!create)
        return NULL;
    if (!r->power || r->power_create != create || r->power_levels != levels) {
        r->power = mx_power_create(create, levels, r->pool);
        r->power_create = create;
        r->power_levels = levels;
    }
    return r->power;
}

int mx_res_allowed(mx_res_t *r, const mx_res_node_t *node, int with_own)
{
    checked_t baton = { r, node, with_own };
    mx_auth_state_t state = { checked_get, &baton, NULL };
    int allowed;
    state.power = node->event->type_id == MX_TYPE_CREATE ? NULL : power_now(r, &baton);
    allowed = mx_auth_check(node->event, &state, r->scratch) == NULL;
    if (++r->checks % CHECKS_A_CLEAR == 0)
        apr_pool_clear(r->scratch);
    return allowed;
}

void mx_res_auth_checks(mx_res_t *r, const apr_array_header_t *nodes)
{
    int i;
    for (i = 0; i < nodes->nelts && !r->err; i++) {
        mx_res_node_t *node = APR_ARRAY_IDX(nodes, i, mx_res_node_t *);
        if (mx_res_allowed(r, node, 1))
            node->slot->now = node;
    }
}
