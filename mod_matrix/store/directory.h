/* SPDX-License-Identifier: Apache-2.0 */
/* The published room directory: which rooms are listed, in the order of their size. */
#ifndef MX_STORE_DIRECTORY_H
#define MX_STORE_DIRECTORY_H

#include "store/event.h"

/** A place in the list: rooms come by falling `joined`, then rising `room_nid`. */
typedef struct mx_directory_pos_t {
    apr_int64_t joined, room_nid;
} mx_directory_pos_t;

typedef struct mx_directory_row_t {
    mx_directory_pos_t pos;
    const char *room_id;
} mx_directory_row_t;

/** Published rooms that somebody is in, beyond `from` (NULL: from the start) in that direction, at most `limit`. */
apr_status_t mx_store_directory_list(mx_directory_row_t **prows, int *pn, mx_store_t *store,
                                     const mx_directory_pos_t *from, mx_dir_e dir, int limit, apr_pool_t *pool);
/** How many there are. */
apr_status_t mx_store_directory_count(apr_int64_t *pcount, mx_store_t *store, apr_pool_t *pool);
/** The current state events of these rooms with empty state key and one of these types, in one query. */
apr_status_t mx_store_directory_state(mx_event_row_t **prows, int *pn, mx_store_t *store, const apr_int64_t *room_nids,
                                      int nrooms, const char *const *types, int ntypes, apr_pool_t *pool);
apr_status_t mx_store_directory_is_published(int *ppublished, mx_store_t *store, apr_int64_t room_nid,
                                             apr_pool_t *pool);
apr_status_t mx_store_directory_publish(mx_store_t *store, apr_int64_t room_nid, int published, apr_pool_t *pool);

/** If the one room is listed, the other is instead. */
apr_status_t mx_store_directory_move(mx_store_t *store, apr_int64_t from_nid, apr_int64_t to_nid, apr_pool_t *pool);

#endif
