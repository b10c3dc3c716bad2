/* SPDX-License-Identifier: Apache-2.0 */
/* What the child keeps for state resolution. Every value is immutable and counted (base/cache.h): readers take no lock. */
#ifndef MX_ROOM_RESOLVE_PRIVATE_H
#define MX_ROOM_RESOLVE_PRIVATE_H

#include "core/state_res.h"
#include "room/resolve.h"
#include "room/room_private.h"

struct mx_room_resolver_t {
    mx_cache_t *dags;                /* room nid: its auth DAG (room/auth_dag.c) */
    mx_cache_t *events;              /* room nid: parsed state events (room/auth_event.c) */
    mx_cache_t *results;             /* hash of the snapshots: what they resolve to (room/resolve.c) */
    apr_size_t events_max;           /* bytes of events kept of one room */
};

/* ---- what differs between the states (room/resolve_states.c) ---- */

typedef struct mx_room_resolve_states_t {
    const mx_room_resolve_input_t *inputs;   /* distinct; the first is the base */
    int n;
    apr_int64_t *snaps;              /* theirs */
    mx_state_list_t *diffs;          /* of each: from the base's snapshot to its own */
    apr_int64_t *skeys; int nskeys;  /* disputed entries, ascending */
    apr_int64_t *base_nids;          /* what the base's snapshot has there, without the extra event; 0: nothing */
    mx_state_res_item_t *base;       /* the same with the extra event, if the base has it on top */
    mx_state_res_change_t *changes; int nchanges;
    const mx_event_t *extra;
    apr_int64_t extra_skey;
    const apr_int64_t *extra_auth; int nextra_auth;
    int extra_everywhere;            /* all have the extra event: nobody disputes it */
} mx_room_resolve_states_t;

/** Chooses the base and compares; queries for sizes, differences and the base's entries. */
const mx_error_t *mx_room_resolve_states_read(mx_room_resolve_states_t *out, mx_server_t *server, apr_int64_t room_nid,
                                              const mx_room_resolve_input_t *inputs, int n, apr_pool_t *pool);
/** The result as what changes the nearest of the snapshots. */
void mx_room_resolve_states_write(mx_room_resolved_t *out, const mx_room_resolve_states_t *states, const mx_state_res_item_t *items,
                                  int n, apr_pool_t *pool);

void mx_room_auth_dag_destroy(void *value);
void mx_room_auth_event_destroy(void *value);

/** Parsed events, content too, by nid: out[i] NULL if unknown or rejected. Borrowed until `pool` is cleared; few queries. */
const mx_error_t *mx_room_auth_event_load(const mx_event_t **out, mx_server_t *server, apr_int64_t room_nid,
                                          const mx_room_version_t *version, const apr_int64_t *nids, int n, apr_pool_t *pool);

#endif
