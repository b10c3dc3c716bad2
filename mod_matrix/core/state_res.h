/* SPDX-License-Identifier: Apache-2.0 */
/*
 * State resolution. Rooms v1, v2, v12 (2.1): state resolution. Pure; what it needs is asked for by callbacks, in rounds:
 * many at once. Events are numbers (nids) in the room's auth DAG; only what is disputed and what the rules ask for is ever loaded.
 */
#ifndef MX_CORE_STATE_RES_H
#define MX_CORE_STATE_RES_H

#include "core/auth_dag.h"
#include "core/auth_rules.h"

#define MX_STATE_RES_EXTRA (-1)       /* the nid of an event that is not stored yet */

/** An entry of a state: (type, state_key) and event as numbers. */
typedef struct mx_state_res_item_t {
    apr_int64_t skey;
    apr_int64_t nid;                  /* 0: there is none */
} mx_state_res_item_t;

/** How set `set` (from 1 on) differs from set 0 in one entry; nid 0: it has none. */
typedef struct mx_state_res_change_t {
    apr_uint32_t set;
    apr_int64_t skey, nid;
} mx_state_res_change_t;

/** Where to ask. An error ends the resolution and is its result. */
typedef struct mx_state_res_source_t {
    /** out[i] for nids[i]: NULL if unknown or rejected. Events live at least as long as the resolution. */
    const mx_error_t *(*events)(void *baton, const mx_event_t **out, const apr_int64_t *nids, int n);
    /** skeys; 0 where no event of the server is such state. */
    const mx_error_t *(*skeys)(void *baton, apr_int64_t *out, const mx_state_key_t *keys, int n);
    /** nids of the entries that all sets share; 0 where they have none. Never asked for a disputed one. */
    const mx_error_t *(*entries)(void *baton, apr_int64_t *out, const apr_int64_t *skeys, int n);
    void *baton;
} mx_state_res_source_t;

typedef struct mx_state_res_input_t {
    const mx_room_version_t *version;
    const mx_auth_dag_t *dag;         /* holds the auth chains of all sets */
    apr_uint32_t nsets;
    const mx_state_res_item_t *base;  /* the entries of set 0 that any set disputes, each key once; nid 0: it has none */
    int nbase;
    const mx_state_res_change_t *changes;   /* in any order; each differs from set 0 */
    int nchanges;
    const mx_event_t *extra;          /* NULL: none */
    const apr_int64_t *extra_auth;    /* nids */
    int nextra_auth;
    apr_int64_t extra_skey;
    const apr_int64_t *difference;    /* the auth difference, if it is known; NULL: worked out */
    int ndifference;
} mx_state_res_input_t;

/**
 * What becomes of the disputed entries, in any order, and of entries that no set has and the auth difference brings; in `pool`.
 * Memory: some words for each event of the DAG and for each change, and what is loaded.
 */
const mx_error_t *mx_state_res_run(mx_state_res_item_t **pitems, int *pn, const mx_state_res_input_t *input,
                                   const mx_state_res_source_t *source, apr_pool_t *pool);

/* ---- the same on event ids, for whoever has all events in memory ---- */

typedef struct mx_state_entry_t {
    const char *type, *state_key, *event_id;
} mx_state_entry_t;

typedef struct mx_state_set_t {
    const mx_state_entry_t *entries;
    int nentries;
} mx_state_set_t;

/** Gives an event by id (auth events of what is resolved included); NULL if unknown or rejected. */
typedef const mx_event_t *mx_state_res_event_fn(void *baton, const char *event_id);

/**
 * Resolves the sets of a room of `version`; the result holds entries in `pool`. Events are asked for as they are needed;
 * working the auth difference out takes the auth chains of all sets, undisputed state included.
 */
const mx_error_t *mx_state_resolve(mx_state_set_t *out, const mx_room_version_t *version, const mx_state_set_t *sets, int nsets,
                                   mx_state_res_event_fn *get_event, void *baton, apr_pool_t *pool);

/**
 * The same for a caller that knows the auth difference of the sets already: its ids are taken as given, and only disputed
 * events, power levels, their auth chains and what the rules ask for are loaded.
 */
const mx_error_t *mx_state_resolve_with(mx_state_set_t *out, const mx_room_version_t *version, const mx_state_set_t *sets, int nsets,
                                        const char **auth_difference, int ndifference, mx_state_res_event_fn *get_event,
                                        void *baton, apr_pool_t *pool);

#endif
