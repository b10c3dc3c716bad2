/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Long polls that wait: without a thread where the MPM can suspend a connection, else with one, bounded in number.
 */
#ifndef MX_GLUE_PARK_H
#define MX_GLUE_PARK_H

#include "glue/child.h"

typedef struct mx_lot_t mx_lot_t;    /* all that wait in this child; park_private.h */

/**
 * Takes the request over from its handler; `turn` is given back. What the handler hook returns: SUSPENDED, or OK when the
 * answer was sent.
 */
int mx_park(request_rec *r, mx_home_t *home, mx_wait_t *wait, mx_turn_t *turn);

/** Starts the poller thread; child start. */
apr_status_t mx_park_start(mx_lot_t **plot, mx_poke_t *others, apr_pool_t *pool);
/** Joins it; no worker thread runs any more. */
void mx_park_poller_stop(mx_lot_t *lot);
/** The child_stopping hook: every wait ends. */
void mx_park_stopping(apr_pool_t *pchild, int graceful);
/** The suspend_connection hook: the MPM lets go of a connection. */
void mx_park_suspended(conn_rec *c, request_rec *r);

#endif
