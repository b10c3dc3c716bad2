/* SPDX-License-Identifier: Apache-2.0 */
/* The graph that state resolution works on: events by id, and what is known of each. */
#ifndef MX_CORE_STATE_RES_PRIVATE_H
#define MX_CORE_STATE_RES_PRIVATE_H

#include "core/state_res.h"

#include <apr_hash.h>
#include <apr_tables.h>

typedef struct mx_res_node_t {
    const mx_event_t *event;
    int last_set, nsets;              /* which set's auth chain reached it last, and how many did */
    unsigned common : 1;              /* in the auth chain of the unconflicted state: in every chain */
    unsigned conflicted : 1;          /* in the conflicted state set */
    unsigned full : 1;                /* in the full conflicted set */
    unsigned power : 1;               /* picked in step 1 */
    unsigned walked : 1, leads : 1;   /* subgraph: looked at; a path leads on to a conflicted event */
    int waits_for;                    /* topological sort: auth events not yet placed */
    struct mx_res_edge_t *followers;  /* events of the sort that name this one */
    apr_int64_t sender_power;
    apr_int64_t mainline;             /* position; APR_INT64_MAX: none */
} mx_res_node_t;

typedef struct mx_res_edge_t {
    mx_res_node_t *to;
    struct mx_res_edge_t *next;
} mx_res_edge_t;

/** One key of the states that are resolved. */
typedef struct mx_res_slot_t {
    const char *type, *state_key;
    const char *event_id;             /* of the first set that has the key */
    int nsets;                        /* sets with that very id */
    apr_array_header_t *others;       /* const char *: different ids; NULL: none */
} mx_res_slot_t;

typedef struct mx_res_t {
    const mx_room_version_t *version;
    const mx_state_set_t *sets;
    int nsets;
    mx_state_res_event_fn *get_event;
    void *baton;
    apr_hash_t *nodes;                /* event id -> mx_res_node_t */
    apr_hash_t *slots;                /* "type\0state_key" -> mx_res_slot_t */
    apr_array_header_t *order;        /* mx_res_slot_t *, as met */
    apr_array_header_t *full;         /* mx_res_node_t *: the full conflicted set */
    apr_hash_t *state;                /* "type\0state_key" -> mx_event_t *: what is resolved so far */
    const char **difference;          /* given auth difference; NULL: work it out */
    int ndifference;
    int undisputed_counts;            /* the checks start from the unconflicted state map (not in 2.1) */
    const mx_event_t *create;         /* of the room, if it could be found */
    apr_pool_t *pool, *scratch;       /* scratch is cleared between auth checks */
} mx_res_t;

/** The node of an event; NULL if the event is unknown or rejected. */
mx_res_node_t *mx_res_node(mx_res_t *r, const char *event_id);
/** "type\0state_key"; its length in *plen. */
char *mx_res_key(apr_size_t *plen, const char *type, const char *state_key, apr_pool_t *pool);
/** 1 if every set has the slot's first id. */
int mx_res_slot_is_unconflicted(const mx_res_t *r, const mx_res_slot_t *slot);

/** Fills r->full: conflicted state set, auth difference and, for 2.1, the conflicted state subgraph. */
void mx_res_full_conflicted_set(mx_res_t *r);
/** Step 1: power events and their conflicted auth chains in reverse topological power ordering. */
apr_array_header_t *mx_res_sort_power(mx_res_t *r);
/** Step 3: the rest of the full conflicted set in mainline ordering. */
apr_array_header_t *mx_res_sort_mainline(mx_res_t *r);
/** Steps 2 and 4: puts each event that is allowed into r->state. */
void mx_res_auth_checks(mx_res_t *r, const apr_array_header_t *events);

/** Version 1's algorithm over slots that are read; fills r->state. */
void mx_res_resolve_v1(mx_res_t *r);
/** 1 if the event is allowed by r->state, completed by its own auth events if `with_own`. */
int mx_res_allowed(mx_res_t *r, const mx_event_t *event, int with_own);
void mx_res_state_set(mx_res_t *r, const mx_event_t *event);
/** What is resolved so far, or undisputed where that counts; NULL if there is none. */
const mx_event_t *mx_res_state_get(mx_res_t *r, const char *type, const char *state_key);

#endif
