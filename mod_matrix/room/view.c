/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Events as clients get them: the stored bytes and an `unsigned` made for the reader. CS-API: ClientEvent,
 * UnsignedData. Whatever belongs to many events is read for all of them at once.
 */
#include "room/view.h"

#include "room/bundle.h"
#include "room/facts.h"
#include "store/event_id.h"
#include "store/txn_list.h"

#include <apr_hash.h>

struct mx_room_view_t {
    mx_server_t *server;
    const mx_who_t *who;
    const mx_event_row_t *rows;
    int n;
    apr_time_t now;
    apr_int64_t now_ms;
    apr_hash_t *related;             /* nid → mx_event_row_t: replaced state events and redactions */
    apr_hash_t *hidden;              /* nids of replaced events that the reader may not see */
    apr_hash_t *txn_ids;             /* nid → mx_txn_row_t */
    mx_membership_e *memberships;    /* of the reader, before each row; NULL: no reader */
    apr_int64_t member_skey;         /* of the reader's own member events */
    mx_room_bundles_t *bundles;      /* NULL: nothing is bundled */
    apr_int64_t room_nid;            /* the last room looked up … */
    const char *room_id;             /* … and its id */
    apr_pool_t *pool;
};

/* ---- loading ---- */

static void add_nid(apr_int64_t *nids, int *pn, apr_int64_t nid)
{
    if (nid)
        nids[(*pn)++] = nid;
}

/** Replaced state events and redactions of all rows, in one query. */
static const mx_error_t *load_related(mx_room_view_t *view)
{
    apr_int64_t *nids = apr_palloc(view->pool, (2 * view->n + 1) * sizeof(*nids));
    mx_event_row_t *rows = NULL;
    int i, n = 0, nrows = 0;
    apr_status_t rv;

    for (i = 0; i < view->n; i++) {
        add_nid(nids, &n, view->rows[i].replaces);
        add_nid(nids, &n, view->rows[i].redacted_by);
    }
    if (!n)
        return NULL;
    rv = mx_store_event_by_nids(&rows, &nrows, view->server->store, nids, n, view->pool);
    if (rv != APR_SUCCESS)
        return mx_server_store_error(rv, "reading replaced events and redactions", view->pool);
    for (i = 0; i < nrows; i++)
        apr_hash_set(view->related, &rows[i].nid, sizeof(rows[i].nid), &rows[i]);
    return NULL;
}

/** Marks those of the events that rows[first..] replaced, all of one room, that the reader may not see. */
static const mx_error_t *hide_of_room(mx_room_view_t *view, apr_int64_t room_nid, int first)
{
    mx_event_row_t *replaced = apr_palloc(view->pool, (view->n + 1) * sizeof(*replaced));
    unsigned char *visible = apr_pcalloc(view->pool, view->n + 1);
    const mx_who_t *who = view->who;
    mx_room_t *room;
    /* the replaced ones are older than what the reader's membership has to be taken from */
    const mx_error_t *err = mx_room_get_with(&room, view->server, room_nid, view->rows, view->n, view->pool);
    int i, n = 0;

    for (i = first; i < view->n; i++) {
        mx_event_row_t *row = apr_hash_get(view->related, &view->rows[i].replaces, sizeof(row->nid));
        if (view->rows[i].room_nid == room_nid && row)
            replaced[n++] = *row;
    }
    if (!err)
        err = mx_room_visibility(visible, view->server, room_nid, who ? who->user_nid : 0, who ? who->user_id : NULL, replaced, n,
                                 view->pool);
    for (i = 0; !err && i < n; i++) {
        if (!visible[i])
            apr_hash_set(view->hidden, &replaced[i].nid, sizeof(replaced[i].nid), "");
    }
    return err;
}

/** prev_content is for those who may see the event it comes from. */
static const mx_error_t *load_hidden(mx_room_view_t *view)
{
    apr_hash_t *rooms = apr_hash_make(view->pool);
    const mx_error_t *err = NULL;
    int i;

    for (i = 0; !err && i < view->n; i++) {
        const mx_event_row_t *row = &view->rows[i];
        if (!row->replaces || apr_hash_get(rooms, &row->room_nid, sizeof(row->room_nid)))
            continue;
        apr_hash_set(rooms, &row->room_nid, sizeof(row->room_nid), "");
        err = hide_of_room(view, row->room_nid, i);
    }
    return err;
}

/** Transaction ids of what the reader's own device sent, and delay ids of what was sent for the reader. */
static const mx_error_t *load_txn_ids(mx_room_view_t *view)
{
    apr_int64_t *nids = apr_palloc(view->pool, (view->n + 1) * sizeof(*nids));
    mx_txn_row_t *txns = NULL;
    int i, n = 0, ntxns = 0;
    apr_status_t rv;

    for (i = 0; view->who && i < view->n; i++) {
        if (view->rows[i].flags & MX_EVENT_FLAG_LOCAL && view->rows[i].sender_nid == view->who->user_nid)
            nids[n++] = view->rows[i].nid;
    }
    if (!n)
        return NULL;
    rv = mx_store_txn_list(&txns, &ntxns, view->server->store, view->who->device_nid, nids, n, view->pool);
    if (rv != APR_SUCCESS)
        return mx_server_store_error(rv, "reading transaction ids", view->pool);
    for (i = 0; i < ntxns; i++)
        apr_hash_set(view->txn_ids, &txns[i].nid, sizeof(txns[i].nid), &txns[i]);
    return NULL;
}

/** The reader's membership before each row. */
static const mx_error_t *load_memberships(mx_room_view_t *view)
{
    apr_int64_t *snaps;
    int i;
    apr_status_t rv;

    if (!view->who)
        return NULL;
    rv = mx_server_skey_nid_find(&view->member_skey, view->server, "m.room.member", view->who->user_id, view->pool);
    if (rv != APR_SUCCESS && rv != MX_STORE_NONE)
        return mx_server_store_error(rv, "looking up a state key", view->pool);
    snaps = apr_palloc(view->pool, (view->n + 1) * sizeof(*snaps));
    for (i = 0; i < view->n; i++)
        snaps[i] = view->rows[i].snap_nid;
    view->memberships = apr_palloc(view->pool, (view->n + 1) * sizeof(*view->memberships));
    return mx_room_facts_membership(view->memberships, view->server, snaps, view->n, view->who->user_id, view->pool);
}

const mx_error_t *mx_room_view_create(mx_room_view_t **pview, mx_server_t *server, const mx_who_t *who,
                                      const mx_event_row_t *rows, int n, apr_time_t now, apr_pool_t *pool)
{
    mx_room_view_t *view = apr_pcalloc(pool, sizeof(*view));
    const mx_error_t *err;

    view->server = server;
    view->who = who;
    view->rows = rows;
    view->n = n;
    view->now = now;
    view->now_ms = apr_time_as_msec(now);
    view->related = apr_hash_make(pool);
    view->hidden = apr_hash_make(pool);
    view->txn_ids = apr_hash_make(pool);
    view->pool = pool;
    err = load_related(view);
    if (!err)
        err = load_hidden(view);
    if (!err)
        err = load_txn_ids(view);
    if (!err)
        err = load_memberships(view);
    if (!err)
        *pview = view;
    return err;
}

const mx_error_t *mx_room_view_bundle(mx_room_view_t *view, const unsigned char *which, int nested)
{
    return mx_room_bundles_load(&view->bundles, view->server, view->who, view->rows, view->n, which, nested, view->now, view->pool);
}

int mx_room_view_has_thread(const mx_room_view_t *view, int i)
{
    return mx_room_bundles_has_thread(view->bundles, i);
}

/* ---- writing ---- */

static const mx_error_t *find_room_id(mx_room_view_t *view, apr_int64_t room_nid)
{
    mx_room_t *room;
    const mx_error_t *err;

    if (room_nid == view->room_nid)
        return NULL;
    err = mx_room_get_by_nid(&room, view->server, room_nid, view->pool);
    if (err)
        return err;
    view->room_nid = room_nid;
    view->room_id = room->room_id;
    return NULL;
}

void mx_room_view_set_room(mx_room_view_t *view, apr_int64_t room_nid, const char *room_id)
{
    view->room_nid = room_nid;
    view->room_id = room_id;
}

static apr_int64_t age_ms(const mx_room_view_t *view, const mx_event_row_t *row)
{
    return view->now_ms > row->ts ? view->now_ms - row->ts : 0;
}

static mx_slice_t content_of(const mx_event_row_t *row, apr_pool_t *pool)
{
    mx_json_scan_t scan;
    mx_json_scan_trusted(&scan, row->pdu, pool);
    return mx_json_scan_get(&scan, "content");
}

/** The redaction as a whole client event without room_id. */
static mx_slice_t redaction_of(mx_room_view_t *view, const mx_event_row_t *redaction)
{
    mx_json_writer_t *w = mx_jw_create(view->pool);
    mx_event_unsigned_t uns = { .age_ms = age_ms(view, redaction) };

    mx_event_write_raw(w, redaction->pdu, mx_store_event_id_unpack(redaction->id, view->pool), view->room_id,
                       MX_FORMAT_SYNC, &uns);
    return mx_buf_slice(w->buf);
}

/** The reader's membership at the event, its own change included. CS-API: unsigned.membership. */
static const char *membership_at(const mx_room_view_t *view, int i)
{
    const mx_event_row_t *row = &view->rows[i];

    if (!view->memberships)
        return NULL;
    if (row->skey_nid && row->skey_nid == view->member_skey)
        return mx_membership_name(mx_room_facts_row_membership(row, view->pool));
    return mx_membership_name(view->memberships[i]);
}

static void fill_unsigned(mx_event_unsigned_t *uns, mx_room_view_t *view, int i)
{
    const mx_event_row_t *row = &view->rows[i], *other;
    const mx_txn_row_t *txn = apr_hash_get(view->txn_ids, &row->nid, sizeof(row->nid));

    uns->age_ms = age_ms(view, row);
    if (txn)
        *(txn->delayed ? &uns->delay_id : &uns->transaction_id) = txn->txn_id;
    uns->membership = membership_at(view, i);
    other = row->replaces ? apr_hash_get(view->related, &row->replaces, sizeof(row->replaces)) : NULL;
    if (other) {
        uns->replaces_state = mx_store_event_id_unpack(other->id, view->pool);
        if (!apr_hash_get(view->hidden, &other->nid, sizeof(other->nid)))
            uns->prev_content = content_of(other, view->pool);
    }
    other = row->redacted_by ? apr_hash_get(view->related, &row->redacted_by, sizeof(row->redacted_by)) : NULL;
    if (other)
        uns->redacted_because = redaction_of(view, other);
}

const mx_error_t *mx_room_view_write(mx_json_writer_t *w, mx_room_view_t *view, int i, mx_event_format_e format)
{
    const mx_event_row_t *row = &view->rows[i];
    mx_event_unsigned_t uns = { 0 };
    const mx_error_t *err = find_room_id(view, row->room_nid);

    if (!err)
        err = mx_room_bundles_write(&uns.relations, view->bundles, i, format, view->pool);
    if (err)
        return err;
    fill_unsigned(&uns, view, i);
    mx_event_write_raw(w, row->pdu, mx_store_event_id_unpack(row->id, view->pool), view->room_id, format, &uns);
    return NULL;
}

const mx_error_t *mx_room_view_write_all(mx_json_writer_t *w, mx_server_t *server, const mx_who_t *who,
                                         const mx_event_row_t *rows, int n, mx_event_format_e format, apr_time_t now,
                                         apr_pool_t *pool)
{
    mx_room_view_t *view = NULL;
    const mx_error_t *err = mx_room_view_create(&view, server, who, rows, n, now, pool);
    int i;

    if (!err)
        err = mx_room_view_bundle(view, NULL, 0);
    for (i = 0; !err && i < n; i++)
        err = mx_room_view_write(w, view, i, format);
    return err;
}

const mx_error_t *mx_room_view_write_plain(mx_json_writer_t *w, mx_server_t *server, const mx_event_row_t *rows, int n,
                                           mx_event_format_e format, apr_time_t now, apr_pool_t *pool)
{
    mx_room_view_t view = { .server = server, .rows = rows, .n = n, .now_ms = apr_time_as_msec(now), .pool = pool };
    const mx_error_t *err = NULL;
    int i;

    for (i = 0; !err && i < n; i++) {
        mx_event_unsigned_t uns = { .age_ms = age_ms(&view, &rows[i]) };
        err = find_room_id(&view, rows[i].room_nid);
        if (!err)
            mx_event_write_raw(w, rows[i].pdu, mx_store_event_id_unpack(rows[i].id, pool), view.room_id, format, &uns);
    }
    return err;
}
