/* SPDX-License-Identifier: Apache-2.0 */
/* Unread events, counted and one by one. */
#include "store/unread.h"

MX_STMT(unread_rules, "l",
        "select type = 'm.push_rules', content, stream from account_data"
        " where user_nid = $1::int8 and room_nid = 0 and type in ('m.push_rules', 'm.ignored_user_list')");
MX_STMT(unread_users, "S", "select user_nid from mxid where mxid = any($1::text[])");
#define MESSAGE "m.room.message"
#define ENCRYPTED "m.room.encrypted"
#define CALL "m.call.invite"
/* types that a predefined rule notifies of without a mark */
#define TYPES "array(select type_nid from ev_type where type in ('" MESSAGE "', '" ENCRYPTED "', '" CALL "'))"
MX_STMT(unread_count, "lLLIL",
        "select q.room_nid, r.joined, u.thread, u.type_nid, u.marks, count(u.type_nid)"
        " from (select " TYPES " as types offset 0) k cross join unnest($2::int8[], $3::int8[], $4::int4[]) q(room_nid, upto, everything)"
        " join room r on r.room_nid = q.room_nid"
        " left join lateral unread_events($1::int8, q.room_nid, q.upto, k.types, q.everything <> 0, $5::int8[]) u on true"
        " group by 1, 2, 3, 4, 5");
MX_STMT(unread_events, "lLLLi",
        "select " MX_EVENT_COLUMNS ", u.thread from unnest($2::int8[], $3::int8[]) q(room_nid, upto)"
        " cross join lateral (select * from unread_events($1::int8, q.room_nid, q.upto, '{}', true, $4::int8[]) order by nid desc"
        "   limit $5::int4) u join event e on e.nid = u.nid left join state_event s on s.nid = e.nid order by e.room_nid, e.nid desc");

int mx_store_unread_counts_type(const char *type)
{
    return mx_str_eq(type, MESSAGE) || mx_str_eq(type, ENCRYPTED) || mx_str_eq(type, CALL);
}

apr_status_t mx_store_unread_rules(mx_store_unread_rules_t *out, mx_store_t *store, apr_int64_t user_nid, apr_pool_t *pool)
{
    mx_rows_t *rows = NULL;
    apr_status_t rv = mx_store_run(&rows, store, pool, &unread_rules, user_nid);
    int i;

    if (rv != APR_SUCCESS) return rv;
    *out = (mx_store_unread_rules_t){ MX_SLICE_NONE, MX_SLICE_NONE, 0, 0 };
    for (i = 0; i < mx_rows_count(rows); i++) {
        int is_rules = mx_row_bool(rows, i, 0);

        *(is_rules ? &out->push_rules : &out->ignored) = mx_row_bytes(rows, i, 1);
        *(is_rules ? &out->rules_stream : &out->ignored_stream) = mx_row_int(rows, i, 2);
    }
    return APR_SUCCESS;
}

apr_status_t mx_store_unread_users(apr_int64_t **pnids, int *pn, mx_store_t *store, const char *const *user_ids, int n,
                                   apr_pool_t *pool)
{
    mx_rows_t *rows = NULL;
    apr_status_t rv = mx_store_run(&rows, store, pool, &unread_users, user_ids, n);
    int i;

    if (rv != APR_SUCCESS) return rv;
    *pn = mx_rows_count(rows);
    *pnids = apr_palloc(pool, sizeof(**pnids) * (apr_size_t)(*pn + 1));
    for (i = 0; i < *pn; i++) (*pnids)[i] = mx_row_int(rows, i, 0);
    return APR_SUCCESS;
}

apr_status_t mx_store_unread_count(mx_store_unread_row_t **pout, int *pn, mx_store_t *store, const mx_store_unread_ask_t *ask,
                                   apr_pool_t *pool)
{
    mx_rows_t *rows = NULL;
    apr_status_t rv = mx_store_run(&rows, store, pool, &unread_count, ask->user_nid, ask->rooms, ask->n, ask->upto, ask->n,
                                   ask->all, ask->n, ask->ignored, ask->nignored);
    mx_store_unread_row_t *out;
    int i;

    if (rv != APR_SUCCESS) return rv;
    *pn = mx_rows_count(rows);
    out = apr_palloc(pool, sizeof(*out) * (apr_size_t)(*pn + 1));
    for (i = 0; i < *pn; i++)
        out[i] = (mx_store_unread_row_t){ .room_nid = mx_row_int(rows, i, 0), .members = mx_row_int(rows, i, 1),
                                          .thread = mx_row_text(rows, i, 2), .type_nid = (int)mx_row_int(rows, i, 3),
                                          .marks = (int)mx_row_int(rows, i, 4), .count = mx_row_int(rows, i, 5) };
    *pout = out;
    return APR_SUCCESS;
}

apr_status_t mx_store_unread_events(mx_store_unread_event_t **pout, int *pn, mx_store_t *store, const mx_store_unread_ask_t *ask, int limit,
                                    apr_pool_t *pool)
{
    mx_rows_t *rows = NULL;
    apr_status_t rv = mx_store_run(&rows, store, pool, &unread_events, ask->user_nid, ask->rooms, ask->n, ask->upto, ask->n,
                                   ask->ignored, ask->nignored, limit);
    mx_store_unread_event_t *out;
    int i;

    if (rv != APR_SUCCESS) return rv;
    *pn = mx_rows_count(rows);
    out = apr_palloc(pool, sizeof(*out) * (apr_size_t)(*pn + 1));
    for (i = 0; i < *pn; i++) {
        mx_store_event_read(&out[i].event, rows, i, 0);
        out[i].thread = mx_row_text(rows, i, MX_EVENT_NCOLUMNS);
    }
    *pout = out;
    return APR_SUCCESS;
}
