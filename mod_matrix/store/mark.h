/* SPDX-License-Identifier: Apache-2.0 */
/* What a stored event relates to and whom it concerns: rows of event_relation and event_push, written with the event. */
#ifndef MX_STORE_MARK_H
#define MX_STORE_MARK_H

#include "store/store.h"

/** Of one event of a batch. Events without any have none. */
typedef struct mx_store_mark_t {
    int at;                          /* which event of the batch, from 1 */
    mx_slice_t parent;               /* packed id of what it relates to; p NULL: nothing */
    const char *rel_type;
    const char *key;                 /* of an annotation, or NULL */
    int is_edit;                     /* a replacement that can replace something */
    const char *thread;              /* root of the thread that it names itself, or NULL: its parent's is found */
    int marks;                       /* mx_push_mark_e */
    const char **mentions;           /* user ids */
    int nmentions;
} mx_store_mark_t;

/** The marks column by column, as persist_marks() of sql/0014_push.sql takes them. */
typedef struct mx_store_mark_columns_t {
    int *at, *edit, *marks, *mention_end;
    mx_slice_t *parent;
    const char **rel, **key, **thread, **mention;
    int n, nmentions;
} mx_store_mark_columns_t;

void mx_store_mark_columns(mx_store_mark_columns_t *out, const mx_store_mark_t *marks, int n, apr_pool_t *pool);
/** The columns as arguments of a statement, and their letters. */
#define MX_STORE_MARK_TYPES "IBSSISISI"
#define MX_STORE_MARK_ARGS(c)                                                                                                        \
    (c)->at, (c)->n, (c)->parent, (c)->n, (c)->rel, (c)->n, (c)->key, (c)->n, (c)->edit, (c)->n, (c)->thread, (c)->n, (c)->marks, (c)->n, \
        (c)->mention, (c)->nmentions, (c)->mention_end, (c)->n

/** On the transaction that stored the events with these nids. */
apr_status_t mx_store_mark_put(mx_conn_t *conn, apr_int64_t room_nid, const apr_int64_t *nids, int nnids, const mx_store_mark_t *marks,
                               int n, apr_pool_t *pool);

#endif
