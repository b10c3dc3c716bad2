/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The auth DAGs of rooms, kept in memory, and auth chains as federation asks for them. SS-API: auth chain; Rooms v2: auth
 * difference. Answers are nids, ascending: an auth event comes before what it authorises. Rows: mx_store_event_by_nids().
 */
#ifndef MX_ROOM_AUTH_DAG_H
#define MX_ROOM_AUTH_DAG_H

#include "core/auth_dag.h"
#include "room/room.h"

/**
 * The room's DAG with every state event that was committed when the call began, but for rejected ones. One query, more for a
 * room that is not in the cache. What it gives never changes and is borrowed until `pool` is cleared: a DAG that grew is a new
 * one that takes the place of the old (copy on extend), so readers need no lock. Any thread; hold no connection.
 */
const mx_error_t *mx_room_auth_dag_get(const mx_auth_dag_t **pdag, mx_server_t *server, apr_int64_t room_nid, apr_pool_t *pool);

/** State events of the room: those of `events` by their auth events alone, those of `auth` with themselves. Unknown ones add nothing. */
typedef struct mx_room_auth_set_t {
    const apr_int64_t *events; int nevents;
    const apr_int64_t *auth; int nauth;   /* auth events of what is no state event or not stored */
} mx_room_auth_set_t;

/** The full auth chain of a set, without its `events` unless they are in the chain of another. */
const mx_error_t *mx_room_auth_dag_chain(apr_int64_t **pnids, int *pn, mx_server_t *server, apr_int64_t room_nid,
                                         const mx_room_auth_set_t *set, apr_pool_t *pool);
/** What is in the auth chains of some but not all of the sets. */
const mx_error_t *mx_room_auth_dag_difference(apr_int64_t **pnids, int *pn, mx_server_t *server, apr_int64_t room_nid,
                                              const mx_room_auth_set_t *sets, int nsets, apr_pool_t *pool);

#endif
