/* SPDX-License-Identifier: Apache-2.0 */
/* An event with what happened around it. CS-API: GET /rooms/{roomId}/context/{eventId}. */
#include "room/context.h"

#include "store/state.h"

#include <apr_hash.h>

static const mx_error_t *read_side(mx_room_page_t *out, const mx_room_reader_t *reader, mx_dir_e dir, apr_int64_t from,
                                   int limit, const mx_event_filter_t *filter, apr_pool_t *pool)
{
    mx_room_page_ask_t ask = { .reader = reader, .dir = dir, .from = from, .limit = limit, .filter = filter,
                               .to = dir == MX_DIR_FORWARD ? MX_ROOM_PAGE_LAST : MX_ROOM_PAGE_FIRST };
    return mx_room_page_read(out, reader->server, &ask, pool);
}

/** The senders of all events given, as a set of nids. */
static apr_hash_t *senders_of(const mx_room_context_t *context, apr_pool_t *pool)
{
    apr_hash_t *senders = apr_hash_make(pool);
    int i;

    apr_hash_set(senders, &context->event->sender_nid, sizeof(apr_int64_t), "");
    for (i = 0; i < context->before.n; i++)
        apr_hash_set(senders, &context->before.rows[i].sender_nid, sizeof(apr_int64_t), "");
    for (i = 0; i < context->after.n; i++)
        apr_hash_set(senders, &context->after.rows[i].sender_nid, sizeof(apr_int64_t), "");
    return senders;
}

/** 1 if a state event is wanted: with lazy loading no members but those of the senders. */
static const mx_error_t *wants(int *pyes, const mx_room_reader_t *reader, const mx_event_filter_t *filter,
                               const mx_event_row_t *row, apr_hash_t *senders, apr_pool_t *pool)
{
    const char *type = NULL;
    const mx_error_t *err = mx_room_page_allows(pyes, reader->server, filter, reader->room->room_id, row, pool);
    apr_status_t rv;

    if (err || !*pyes || !filter || !filter->lazy_load_members)
        return err;
    rv = mx_server_type_name(&type, reader->server, row->type_nid, pool);
    if (rv != APR_SUCCESS)
        return mx_server_store_error(rv, "looking up a type", pool);
    /* a joined member sent his member event himself; others sent nothing that stands here */
    *pyes = !mx_str_eq(type, "m.room.member") || apr_hash_get(senders, &row->sender_nid, sizeof(row->sender_nid));
    return NULL;
}

static const mx_error_t *read_state(mx_room_context_t *context, const mx_room_reader_t *reader,
                                    const mx_event_filter_t *filter, apr_pool_t *pool)
{
    const mx_event_row_t *last = context->after.n ? &context->after.rows[context->after.n - 1] : context->event;
    mx_state_item_t *items = NULL;
    apr_int64_t *nids;
    apr_hash_t *senders = senders_of(context, pool);
    const mx_error_t *err = NULL;
    int i, yes = 0, n = 0, nrows = 0;
    apr_status_t rv = mx_store_state_load(&items, &n, reader->server->store,
                                          last->snap_after ? last->snap_after : last->snap_nid, pool);

    nids = apr_palloc(pool, (n + 1) * sizeof(*nids));
    for (i = 0; rv == APR_SUCCESS && i < n; i++)
        nids[i] = items[i].nid;
    if (rv == APR_SUCCESS && n)
        rv = mx_store_event_by_nids(&context->state, &nrows, reader->server->store, nids, n, pool);
    if (rv != APR_SUCCESS)
        return mx_server_store_error(rv, "reading the state at an event", pool);
    for (i = 0; !err && i < nrows; i++) {
        err = wants(&yes, reader, filter, &context->state[i], senders, pool);
        if (!err && yes)
            context->state[context->nstate++] = context->state[i];
    }
    return err;
}

const mx_error_t *mx_room_context_read(mx_room_context_t *out, const mx_room_reader_t *reader, const char *event_id,
                                       int limit, const mx_event_filter_t *filter, apr_pool_t *pool)
{
    mx_room_context_t context = { 0 };
    const mx_error_t *err = mx_room_reader_event(&context.event, reader, event_id, pool);

    if (!err)
        err = mx_room_reader_check_ignored(reader, context.event, pool);
    if (!err)
        err = read_side(&context.before, reader, MX_DIR_BACKWARD, context.event->ord - 1, limit / 2, filter, pool);
    if (!err)
        err = read_side(&context.after, reader, MX_DIR_FORWARD, context.event->ord, limit - limit / 2, filter, pool);
    if (!err)
        err = read_state(&context, reader, filter, pool);
    if (err)
        return err;
    context.start = context.before.n ? context.before.rows[context.before.n - 1].ord - 1 : context.event->ord - 1;
    context.end = context.after.n ? context.after.rows[context.after.n - 1].ord : context.event->ord;
    *out = context;
    return NULL;
}
