/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Paging through a room. A place between two events is a token: "t<ord>" lies after the event with that ord (and before
 * the next); tokens of /sync ("s<position>") mean the same. CS-API: pagination.
 */
#ifndef MX_ROOM_PAGE_H
#define MX_ROOM_PAGE_H

#include "core/filter.h"
#include "room/reader.h"
#include "store/relation.h"

/** Events looked at for one page; a page cut short by it still has an `end`. */
#define MX_ROOM_PAGE_SCAN_MAX 3000

/** The token after the event with that ord, in `pool`. */
const char *mx_room_page_token(apr_int64_t ord, apr_pool_t *pool);
/** M_INVALID_PARAM for what is no token of ours, or lies in the future. */
const mx_error_t *mx_room_page_token_parse(apr_int64_t *pord, mx_server_t *server, const char *token, apr_pool_t *pool);

/** What to read. Forward: after `from`, up to `to`; backward: from `from` down, as far as after `to`. */
typedef struct mx_room_page_ask_t {
    const mx_room_reader_t *reader;
    mx_dir_e dir;
    apr_int64_t from, to;            /* ords; MX_ROOM_PAGE_FIRST and MX_ROOM_PAGE_LAST for the ends of the room */
    int limit;
    const mx_event_filter_t *filter; /* NULL: all */
    const mx_store_relation_ask_t *relation; /* children of an event alone (then there is no filter); NULL: all */
} mx_room_page_ask_t;
#define MX_ROOM_PAGE_FIRST (-APR_INT64_MAX)
#define MX_ROOM_PAGE_LAST APR_INT64_MAX

typedef struct mx_room_page_t {
    mx_event_row_t *rows;            /* visible to the reader, in the direction asked */
    int n;
    apr_int64_t start, end;          /* ords of tokens */
    int more;                        /* something may lie beyond `end` */
} mx_room_page_t;

const mx_error_t *mx_room_page_read(mx_room_page_t *out, mx_server_t *server, const mx_room_page_ask_t *ask,
                                    apr_pool_t *pool);

/** The member events, in a snapshot, of all who sent one of the rows: what lazy loading adds to a page. */
const mx_error_t *mx_room_page_members(mx_event_row_t **prows, int *pn, mx_server_t *server, apr_int64_t snap_nid,
                                       const mx_event_row_t *rows, int n, apr_pool_t *pool);
/** 1 if the filter lets the event pass. */
const mx_error_t *mx_room_page_allows(int *pyes, mx_server_t *server, const mx_event_filter_t *filter,
                                      const char *room_id, const mx_event_row_t *row, apr_pool_t *pool);

#endif
