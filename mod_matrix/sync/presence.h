/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Presence in a child: which devices were seen and active here, kept in memory. A request writes only when it changes something (a device
 * comes, or says something else); what goes on as it was is written by the notifier, all devices by one statement, every third part of
 * MatrixPresenceOffline. Changes of users are news of the stream (store/presence.h) and reach other children and hosts as all news do.
 * CS-API: presence.
 */
#ifndef MX_SYNC_PRESENCE_H
#define MX_SYNC_PRESENCE_H

#include "store/presence.h"
#include "sync/full.h"

#define MX_PRESENCE_DEVICES_MAX 50000    /* that a child remembers; past it a device is not seen until others are gone */
#define MX_PRESENCE_ROOMS_MAX 1000       /* rooms of one user that hear of him: those that moved last */
#define MX_PRESENCE_WAKE_MAX 20000       /* users looked at for one change; others hear of it when they are told something else */
#define MX_PRESENCE_READ_ROOMS_MAX 100   /* rooms of a reader whose members an answer of the database looks at: those that moved last */
#define MX_PRESENCE_TOLD_MAX 500         /* users in one answer of the database */

/** Which rooms carry presence. */
mx_presence_reach_t mx_sync_presence_reach(const mx_server_t *server);
/** Writes what is due: devices seen since, users whose time has come. *pnext: when it wants to be called again. */
apr_status_t mx_sync_presence_tick(apr_time_t *pnext, mx_sync_state_t *state, mx_conn_t *conn, apr_pool_t *pool);
/** 1 if somebody was active and others should soon know. Any thread. */
int mx_sync_presence_is_urgent(const mx_sync_state_t *state);

/** The event without the braces that end it, as a ring keeps it; presence_end() closes it. */
void mx_sync_presence_begin(mx_json_writer_t *w, const mx_presence_row_t *row);
/** Appends last_active_ago, if there is any, and closes content and event. */
void mx_sync_presence_end(mx_buf_t *out, apr_int64_t active_ms, apr_int64_t now_ms);
/** `presence` of an answer from the database, if there is any; *ptold then. */
const mx_error_t *mx_sync_presence_write_full(mx_json_writer_t *w, int *ptold, const mx_sync_full_t *full);

#endif
