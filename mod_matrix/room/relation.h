/* SPDX-License-Identifier: Apache-2.0 */
/* Children of an event, and threads of a room, as a reader may see them. CS-API: relationships API; threading. */
#ifndef MX_ROOM_RELATION_H
#define MX_ROOM_RELATION_H

#include "room/page.h"

/** What is asked of an event's children. */
typedef struct mx_room_relation_ask_t {
    const char *room_id, *event_id;
    const char *rel_type, *type;     /* NULL: all */
    int recurse;                     /* children of children too, to a depth of MX_STORE_RELATION_DEPTH */
    mx_dir_e dir;
    apr_int64_t from, to;            /* as in mx_room_page_ask_t */
    int limit;
} mx_room_relation_ask_t;
/** A page of them; those of ignored users are left out. M_NOT_FOUND if the event is not there or not to be seen. */
const mx_error_t *mx_room_relation_page(mx_room_page_t *out, mx_server_t *server, const mx_who_t *who, const mx_room_relation_ask_t *ask,
                                        apr_pool_t *pool);

/** What the server should refuse of what its users send. CS-API: validation of m.thread relationships; avoiding duplicate annotations. */
const mx_error_t *mx_room_relation_check(mx_server_t *server, const mx_who_t *who, const char *room_id, const mx_room_draft_t *draft,
                                         apr_pool_t *pool);

/** Which threads. */
typedef struct mx_room_thread_ask_t {
    const char *room_id;
    int participated;                /* only those in which the reader is */
    apr_int64_t from;                /* ord of a token, MX_ROOM_PAGE_LAST: from the newest */
    int limit;
} mx_room_thread_ask_t;
typedef struct mx_room_thread_page_t {
    mx_event_row_t *roots;           /* visible to the reader, those with the newest event first; of ignored users redacted */
    int n;
    apr_int64_t end;                 /* ord of the next page's token */
    int more;
} mx_room_thread_page_t;
/** M_FORBIDDEN for whoever may read nothing. Some of the roots may have no thread that the reader sees: their view says so. */
const mx_error_t *mx_room_thread_page(mx_room_thread_page_t *out, mx_server_t *server, const mx_who_t *who, const mx_room_thread_ask_t *ask,
                                      apr_pool_t *pool);

#endif
