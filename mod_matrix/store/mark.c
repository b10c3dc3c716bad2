/* SPDX-License-Identifier: Apache-2.0 */
/* Relations and marks of new events. */
#include "store/mark.h"

void mx_store_mark_columns(mx_store_mark_columns_t *out, const mx_store_mark_t *marks, int n, apr_pool_t *pool)
{
    apr_size_t rows = (apr_size_t)n + 1, mentions = 1;
    int i, k;

    memset(out, 0, sizeof(*out));
    for (i = 0; i < n; i++) mentions += (apr_size_t)marks[i].nmentions;
    out->at = apr_palloc(pool, sizeof(int) * rows);
    out->edit = apr_palloc(pool, sizeof(int) * rows);
    out->marks = apr_palloc(pool, sizeof(int) * rows);
    out->mention_end = apr_palloc(pool, sizeof(int) * rows);
    out->parent = apr_palloc(pool, sizeof(mx_slice_t) * rows);
    out->rel = apr_palloc(pool, sizeof(char *) * rows);
    out->key = apr_palloc(pool, sizeof(char *) * rows);
    out->thread = apr_palloc(pool, sizeof(char *) * rows);
    out->mention = apr_palloc(pool, sizeof(char *) * mentions);
    out->n = n;
    for (i = 0; i < n; i++) {
        out->at[i] = marks[i].at;
        out->parent[i] = marks[i].parent;
        out->rel[i] = marks[i].rel_type;
        out->key[i] = marks[i].key;
        out->edit[i] = marks[i].is_edit;
        out->thread[i] = marks[i].thread;
        out->marks[i] = marks[i].marks;
        for (k = 0; k < marks[i].nmentions; k++) out->mention[out->nmentions++] = marks[i].mentions[k];
        out->mention_end[i] = out->nmentions;
    }
}

apr_status_t mx_store_mark_put(mx_conn_t *conn, apr_int64_t room_nid, const apr_int64_t *nids, int nnids, const mx_store_mark_t *marks,
                               int n, apr_pool_t *pool)
{
    MX_STMT(mark_put, "lL" MX_STORE_MARK_TYPES,
            "select persist_marks($1::int8, $2::int8[], $3::int4[], $4::bytea[], $5::text[], $6::text[], $7::int4[], $8::text[],"
            " $9::int4[], $10::text[], $11::int4[])");
    mx_store_mark_columns_t c;

    mx_store_mark_columns(&c, marks, n, pool);
    return mx_store_query(NULL, conn, pool, &mark_put, room_nid, nids, nnids, MX_STORE_MARK_ARGS(&c));
}
