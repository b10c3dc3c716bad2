/* SPDX-License-Identifier: Apache-2.0 */
/* Rows of delayed_event. MSC4140. */
#include "store/delayed.h"

#define EVENT_COLUMNS "d.delay_id, d.room_id, d.type, d.state_key, d.content, d.sticky_ms, d.delay_ms, d.scheduled_ts, d.finalised_ts," \
                      " d.event_id, d.error, d.tries"
#define TAKE(for_ms) "update delayed_event d set attempting = true, attempt_ts = delayed_now() + " for_ms "::int8, tries = d.tries + 1"
#define TAKEN " returning " EVENT_COLUMNS ", d.user_nid, x.mxid, a.kind, a.admin, a.deactivated"
#define DUE "greatest(scheduled_ts + delay_ms, attempt_ts)"
#define IS_FREE "not (attempting and attempt_ts > delayed_now())"

MX_STMT(delayed_schedule, "llssssssbnlii",
        "select id, wait_ms from delayed_schedule($1::int8, $2::int8, $3::text, $4::text, $5::text, $6::text, $7::text, $8::text, $9::bytea,"
        " $10::int8, $11::int8, $12::int4, $13::int4)");
MX_STMT(delayed_change, "slo", "select delayed_change($1::text, $2::int8, $3::bool)");
MX_STMT(delayed_get, "sl", "select " EVENT_COLUMNS " from delayed_event d where d.delay_id = $1::text and d.user_nid = $2::int8");
MX_STMT(delayed_list, "l",
        "select " EVENT_COLUMNS " from delayed_event d where d.user_nid = $1::int8 and d.finalised_ts is null"
        " order by d.scheduled_ts + d.delay_ms, d.nid");
MX_STMT(delayed_take, "l",
        "with one as materialized (select nid from delayed_event where finalised_ts is null and " DUE " <= (select delayed_now())"
        "   order by " DUE ", nid limit 1 for no key update skip locked) "
        TAKE("$1") " from one, account a, mxid x where d.nid = one.nid and a.user_nid = d.user_nid and x.user_nid = d.user_nid" TAKEN);
MX_STMT(delayed_take_one, "sll",
        "with one as materialized (select nid from delayed_event where delay_id = $1::text and user_nid = $2::int8 and finalised_ts is null"
        "   and " IS_FREE " for no key update) "
        TAKE("$3") " from one, account a, mxid x where d.nid = one.nid and a.user_nid = d.user_nid and x.user_nid = d.user_nid" TAKEN);
MX_STMT(delayed_finish, "sbb",
        "update delayed_event set attempting = false, finalised_ts = delayed_now(), event_id = $2::bytea, error = $3::bytea"
        " where delay_id = $1::text and finalised_ts is null");
MX_STMT(delayed_give_back, "sl",
        "with back as (update delayed_event"
        "   set attempting = false, attempt_ts = case when $2::int8 > 0 then delayed_now() + $2::int8 else 0 end,"
        "     tries = case when $2::int8 > 0 then tries else 0 end where delay_id = $1::text and finalised_ts is null"
        "   returning greatest(scheduled_ts + delay_ms, attempt_ts) as due_ts)"
        " select delayed_due(due_ts) from back");
MX_STMT(delayed_next, "",
        "select greatest(" DUE " - delayed_now(), 0) from delayed_event where finalised_ts is null order by " DUE ", nid limit 1");
MX_STMT(delayed_forget, "l", "delete from delayed_event where user_nid = $1::int8");

static int read_event(mx_delayed_t *out, const mx_rows_t *rows, int row, apr_pool_t *pool)
{
    int c = 0;

    memset(out, 0, sizeof(*out));
    out->delay_id = mx_row_text(rows, row, c++);
    out->room_id = mx_row_text(rows, row, c++);
    out->type = mx_row_text(rows, row, c++);
    out->state_key = mx_row_text(rows, row, c++);
    out->content = mx_row_bytes(rows, row, c++);
    if (!mx_row_is_null(rows, row, c)) {
        apr_int64_t sticky_ms = mx_row_int(rows, row, c);
        out->sticky_ms = apr_pmemdup(pool, &sticky_ms, sizeof(sticky_ms));
    }
    c++;
    out->delay_ms = mx_row_int(rows, row, c++);
    out->scheduled_ts = mx_row_int(rows, row, c++);
    out->finalised_ts = mx_row_int(rows, row, c++);
    out->event_id = mx_row_bytes(rows, row, c++);
    out->error = mx_row_bytes(rows, row, c++);
    out->tries = (int)mx_row_int(rows, row, c++);
    return c;
}

static apr_status_t read_taken(mx_delayed_t *out, const mx_rows_t *rows, apr_pool_t *pool)
{
    int c;

    if (!mx_rows_count(rows)) return MX_STORE_NONE;
    c = read_event(out, rows, 0, pool);
    out->user_nid = mx_row_int(rows, 0, c++);
    out->user_id = mx_row_text(rows, 0, c++);
    out->guest = mx_row_int(rows, 0, c++) == 1;
    out->admin = mx_row_bool(rows, 0, c++);
    out->deactivated = mx_row_bool(rows, 0, c);
    return APR_SUCCESS;
}

apr_status_t mx_store_delayed_schedule(const char **pdelay_id, apr_int64_t *pwait_ms, mx_store_t *store, const mx_delayed_t *event,
                                       const mx_delayed_ask_t *ask, apr_pool_t *pool)
{
    mx_rows_t *rows = NULL;
    apr_status_t rv = mx_store_run(&rows, store, pool, &delayed_schedule, ask->user_nid, ask->device_nid, ask->txn_id, ask->scope,
                                   event->delay_id, event->room_id, event->type, event->state_key, event->content, event->sticky_ms,
                                   event->delay_ms, ask->max, MX_STORE_DELAYED_KEPT);

    if (rv) return rv;
    *pdelay_id = mx_row_is_null(rows, 0, 0) ? NULL : mx_row_text(rows, 0, 0);
    *pwait_ms = mx_row_int(rows, 0, 1);
    return APR_SUCCESS;
}

apr_status_t mx_store_delayed_change(mx_delayed_outcome_e *poutcome, mx_store_t *store, apr_int64_t user_nid, const char *delay_id,
                                     mx_delayed_change_e change, apr_pool_t *pool)
{
    mx_rows_t *rows = NULL;
    apr_status_t rv = mx_store_run(&rows, store, pool, &delayed_change, delay_id, user_nid, change == MX_DELAYED_RESTART);

    if (!rv) *poutcome = (mx_delayed_outcome_e)mx_row_int(rows, 0, 0);
    return rv;
}

apr_status_t mx_store_delayed_get(mx_delayed_t *out, mx_store_t *store, apr_int64_t user_nid, const char *delay_id, apr_pool_t *pool)
{
    mx_rows_t *rows = NULL;
    apr_status_t rv = mx_store_run(&rows, store, pool, &delayed_get, delay_id, user_nid);

    if (!rv && !mx_rows_count(rows)) rv = MX_STORE_NONE;
    if (!rv) read_event(out, rows, 0, pool);
    return rv;
}

apr_status_t mx_store_delayed_list(mx_delayed_t **pevents, int *pn, mx_store_t *store, apr_int64_t user_nid, apr_pool_t *pool)
{
    mx_rows_t *rows = NULL;
    apr_status_t rv = mx_store_run(&rows, store, pool, &delayed_list, user_nid);
    int i;

    if (rv) return rv;
    *pn = mx_rows_count(rows);
    *pevents = apr_palloc(pool, sizeof(**pevents) * (apr_size_t)(*pn + 1));
    for (i = 0; i < *pn; i++)
        read_event(&(*pevents)[i], rows, i, pool);
    return APR_SUCCESS;
}

apr_status_t mx_store_delayed_take(mx_delayed_t *out, mx_store_t *store, apr_pool_t *pool)
{
    mx_rows_t *rows = NULL;
    apr_status_t rv = mx_store_run(&rows, store, pool, &delayed_take, (apr_int64_t)MX_STORE_DELAYED_TAKEN_MS);

    return rv ? rv : read_taken(out, rows, pool);
}

apr_status_t mx_store_delayed_take_one(mx_delayed_t *out, mx_store_t *store, apr_int64_t user_nid, const char *delay_id, apr_pool_t *pool)
{
    mx_rows_t *rows = NULL;
    apr_status_t rv = mx_store_run(&rows, store, pool, &delayed_take_one, delay_id, user_nid, (apr_int64_t)MX_STORE_DELAYED_TAKEN_MS);

    return rv ? rv : read_taken(out, rows, pool);
}

apr_status_t mx_store_delayed_finish(mx_store_t *store, const char *delay_id, mx_slice_t event_id, mx_slice_t error, apr_pool_t *pool)
{
    return mx_store_run(NULL, store, pool, &delayed_finish, delay_id, event_id, error);
}

apr_status_t mx_store_delayed_give_back(mx_store_t *store, const char *delay_id, apr_int64_t wait_ms, apr_pool_t *pool)
{
    return mx_store_run(NULL, store, pool, &delayed_give_back, delay_id, wait_ms);
}

apr_status_t mx_store_delayed_next(apr_int64_t *pms, mx_store_t *store, apr_pool_t *pool)
{
    mx_rows_t *rows = NULL;
    apr_status_t rv = mx_store_run(&rows, store, pool, &delayed_next);

    if (!rv && !mx_rows_count(rows)) rv = MX_STORE_NONE;
    if (!rv) *pms = mx_row_int(rows, 0, 0);
    return rv;
}

apr_status_t mx_store_delayed_forget(mx_conn_t *conn, apr_int64_t user_nid, apr_pool_t *pool)
{
    return mx_store_query(NULL, conn, pool, &delayed_forget, user_nid);
}
