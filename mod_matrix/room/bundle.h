/* SPDX-License-Identifier: Apache-2.0 */
/* What is bundled with events: their edit, their thread, what refers to them. CS-API: aggregations of child events. */
#ifndef MX_ROOM_BUNDLE_H
#define MX_ROOM_BUNDLE_H

#include "room/room.h"

typedef struct mx_room_bundles_t mx_room_bundles_t;

/**
 * Loads the bundles of those rows where which[i] is not MX_ROOM_BUNDLE_NOT (`which` NULL: of all), as `who` may see them; state events
 * have none. `nested`: of events that are bundled themselves, which are in no need of a thread. Everything in `pool`, in a number of
 * queries that does not depend on the rows (one where nothing relates to them). *pbundles NULL: there are none.
 */
const mx_error_t *mx_room_bundles_load(mx_room_bundles_t **pbundles, mx_server_t *server, const mx_who_t *who, const mx_event_row_t *rows,
                                       int n, const unsigned char *which, int nested, apr_time_t now, apr_pool_t *pool);
/** The bundle of row i as `m.relations`, len 0: none. The events in it are written in `format`. `bundles` may be NULL. */
const mx_error_t *mx_room_bundles_write(mx_slice_t *pout, mx_room_bundles_t *bundles, int i, mx_event_format_e format, apr_pool_t *pool);
/** 1 if row i is the root of a thread that the reader may see something of. */
int mx_room_bundles_has_thread(const mx_room_bundles_t *bundles, int i);

#endif
