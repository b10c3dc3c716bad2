/* SPDX-License-Identifier: Apache-2.0 */
/* What state resolution works on: events (nodes), state keys (slots), and what is known of each. */
#ifndef MX_CORE_STATE_RES_PRIVATE_H
#define MX_CORE_STATE_RES_PRIVATE_H

#include "base/nid_map.h"
#include "core/state_res.h"

#include <apr_tables.h>

/** One (type, state_key). */
typedef struct mx_res_slot_t {
    const char *type, *state_key;     /* NULL: disputed, but no event of it is known */
    apr_int64_t skey;                 /* 0: no such state anywhere */
    struct mx_res_slot_t *next;       /* of the same hash */
    unsigned disputed : 1;
    unsigned asked_skey : 1, asked_entry : 1, wants_entry : 1;
    unsigned has_entry : 1;           /* all sets share one, whether its event is known or not */
    apr_int64_t entry_nid;            /* undisputed; 0: none */
    struct mx_res_node_t *entry;      /* loaded; NULL: none, or not needed */
    struct mx_res_node_t *now;        /* resolved so far */
} mx_res_slot_t;

typedef struct mx_res_edge_t {
    struct mx_res_node_t *to;
    struct mx_res_edge_t *next;
} mx_res_edge_t;

typedef struct mx_res_node_t {
    apr_int64_t nid;
    apr_uint32_t at;                  /* in the DAG; dag->n: the extra event; MX_AUTH_DAG_NONE: not there */
    const mx_event_t *event;
    mx_res_slot_t *slot;              /* what state it is */
    unsigned full : 1;                /* in the full conflicted set (version 1: disputed) */
    unsigned power : 1;               /* picked in step 1 */
    int waits_for;                    /* topological sort: auth events not yet placed */
    mx_res_edge_t *followers;         /* events of the sort that name this one */
    apr_int64_t sender_power;
    apr_int64_t mainline;             /* position; APR_INT64_MAX: none */
    mx_res_slot_t *keys[MX_AUTH_KEYS_MAX];   /* what the rules ask for … */
    struct mx_res_node_t *own[MX_AUTH_KEYS_MAX];   /* … and the event's own auth events of that state */
    int nkeys;
} mx_res_node_t;

typedef struct mx_res_t {
    const mx_state_res_input_t *in;
    const mx_state_res_source_t *source;
    const mx_auth_dag_t *dag;
    mx_nid_map_t nodes;               /* nid: mx_res_node_t */
    mx_nid_map_t by_skey;             /* skey: mx_res_slot_t */
    mx_res_slot_t **table;            /* by type and state_key */
    apr_uint32_t table_size;          /* a power of two */
    apr_array_header_t *slots;        /* mx_res_slot_t *, those with type and state_key */
    apr_array_header_t *full;         /* mx_res_node_t *: the full conflicted set (version 1: disputed events) */
    apr_uint32_t *unstored;           /* places of the extra event's auth events */
    apr_uint32_t nunstored;
    int undisputed_counts;            /* the checks start from the unconflicted state map (not in 2.1) */
    mx_res_slot_t *create_slot, *levels_slot;
    mx_res_node_t *create;            /* of the room, if it could be found */
    const mx_power_t *power;          /* made of the two that follow */
    const mx_event_t *power_create, *power_levels;
    const mx_error_t *err;            /* of a callback; ends the run */
    apr_pool_t *pool, *scratch;       /* scratch is cleared now and then between auth checks */
    int checks;
} mx_res_t;

/* ---- state_res_nodes.c ---- */

/** The node of an event that was loaded; NULL if it was not, or is unknown or rejected. */
mx_res_node_t *mx_res_node(mx_res_t *r, apr_int64_t nid);
/** Loads what is not there yet, in one round. */
void mx_res_load(mx_res_t *r, const apr_int64_t *nids, int n);
/** The slot of a key, made if need be. Its skey may not be known yet. */
mx_res_slot_t *mx_res_slot(mx_res_t *r, const char *type, const char *state_key);
void mx_res_slot_disputed(mx_res_t *r, apr_int64_t skey);
/** Asks for one slot that was not foreseen. */
void mx_res_slot_ask(mx_res_t *r, mx_res_slot_t *slot);
/** Finds what the rules will ask of the events of r->full: keys, undisputed entries, own auth events. Three rounds. */
void mx_res_prepare(mx_res_t *r);
/** The event's auth event of that state, loaded if need be; NULL. */
mx_res_node_t *mx_res_own(mx_res_t *r, const mx_res_node_t *node, const mx_res_slot_t *slot);
/** Place of the event's auth event of that state; MX_AUTH_DAG_NONE. */
apr_uint32_t mx_res_own_at(mx_res_t *r, apr_uint32_t at, apr_int64_t skey);
/** What is resolved so far, or undisputed where that counts; NULL if there is none. */
mx_res_node_t *mx_res_state(mx_res_t *r, mx_res_slot_t *slot);

/* ---- state_res_order.c ---- */

/** Step 1: power events and their conflicted auth chains in reverse topological power ordering. */
apr_array_header_t *mx_res_sort_power(mx_res_t *r);
/** Step 3: the rest of the full conflicted set in mainline ordering. */
apr_array_header_t *mx_res_sort_mainline(mx_res_t *r);

/* ---- state_res_check.c ---- */

/** The create event that the event names, else the room's; NULL. */
const mx_event_t *mx_res_own_create(mx_res_t *r, const mx_res_node_t *node);
/** 1 if the event is allowed by the state, completed by its own auth events if `with_own`. */
int mx_res_allowed(mx_res_t *r, const mx_res_node_t *node, int with_own);
/** Steps 2 and 4: puts each event that is allowed into the state. */
void mx_res_auth_checks(mx_res_t *r, const apr_array_header_t *nodes);

/** Version 1's algorithm over r->full. */
void mx_res_resolve_v1(mx_res_t *r);

#endif
