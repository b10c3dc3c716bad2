/* SPDX-License-Identifier: Apache-2.0 */
/* Aggregations of child events, bundled with their parents. CS-API: event replacements, threading, reference relations. */
#include "room/bundle.h"

#include "room/facts.h"
#include "store/event_id.h"
#include "store/relation.h"
#include "user/push_settings.h"

/** What is bundled with one row. */
typedef struct bundle_t {
    const mx_store_bundle_row_t *edit, *latest;   /* NULL: none */
    int edit_at, latest_at;          /* in `children` */
    apr_int64_t count;               /* of the thread */
    int mine;
    const mx_store_bundle_row_t **references; int nreferences;
} bundle_t;

struct mx_room_bundles_t {
    mx_server_t *server;
    const mx_who_t *who;
    const mx_event_row_t *rows;
    const unsigned char *which;
    int n;
    bundle_t *of;                    /* n of them */
    int *asked;                      /* the rows that were asked for */
    mx_store_bundle_row_t *found; int nfound;
    unsigned char *visible;          /* of `found` */
    mx_room_view_t *children;        /* edits and latest events */
    apr_pool_t *pool;
};

/* ---- reading ---- */

static int what_of(const mx_event_row_t *row, int nested)
{
    int what = MX_STORE_BUNDLE_REFERENCES;

    /* CS-API: a redacted event has no edits any more; what else related to it stays */
    what |= row->flags & MX_EVENT_FLAG_REDACTED ? MX_STORE_BUNDLE_REDACTED : MX_STORE_BUNDLE_EDITS;
    return nested ? what : what | MX_STORE_BUNDLE_THREAD;
}

/** CS-API: state events do not receive bundled aggregations. */
static void make_ask(mx_store_bundle_ask_t *ask, mx_room_bundles_t *b, int nested)
{
    apr_size_t max = (apr_size_t)b->n + 1;
    apr_int64_t *nids = apr_palloc(b->pool, sizeof(*nids) * max), *rooms = apr_palloc(b->pool, sizeof(*rooms) * max),
                *senders = apr_palloc(b->pool, sizeof(*senders) * max);
    mx_slice_t *ids = apr_palloc(b->pool, sizeof(*ids) * max);
    int *types = apr_palloc(b->pool, sizeof(*types) * max), *what = apr_palloc(b->pool, sizeof(*what) * max), i, n = 0;

    b->asked = apr_palloc(b->pool, sizeof(*b->asked) * max);
    for (i = 0; i < b->n; i++) {
        const mx_event_row_t *row = &b->rows[i];
        if (row->flags & MX_EVENT_FLAG_STATE || (b->which && !b->which[i]))
            continue;
        nids[n] = row->nid;
        rooms[n] = row->room_nid;
        senders[n] = row->sender_nid;
        ids[n] = row->id;
        types[n] = row->type_nid;
        what[n] = what_of(row, nested);
        b->asked[n++] = i;
    }
    *ask = (mx_store_bundle_ask_t){ .nids = nids, .rooms = rooms, .senders = senders, .ids = ids, .types = types, .what = what, .n = n,
                                    .user_nid = b->who ? b->who->user_nid : 0 };
}

/** Most events have no children, most users ignore nobody: whom the reader ignores is asked where it makes a difference. */
static const mx_error_t *read_children(mx_room_bundles_t *b, mx_store_bundle_ask_t *ask)
{
    apr_int64_t *ignored = NULL;
    const mx_error_t *err = NULL;
    apr_status_t rv = ask->n ? mx_store_relation_bundles(&b->found, &b->nfound, b->server->store, ask, b->pool) : APR_SUCCESS;

    if (rv == APR_SUCCESS && b->nfound && b->who)
        err = mx_user_push_settings_ignored(&ignored, &ask->nignored, b->server, b->who, b->pool);
    if (!err && ask->nignored) {
        ask->ignored = ignored;
        rv = mx_store_relation_bundles(&b->found, &b->nfound, b->server->store, ask, b->pool);
    }
    return rv == APR_SUCCESS ? err : mx_server_store_error(rv, "reading what relates to events", b->pool);
}

/* ---- what of it may be seen ---- */

/** As much of an event as visibility goes by. Of a group, its newest: then none of it came after the reader had left. */
static mx_event_row_t shadow_of(const mx_room_bundles_t *b, int i)
{
    const mx_event_row_t *parent = &b->rows[b->asked[b->found[i].at]];

    return (mx_event_row_t){ .nid = b->found[i].nid, .room_nid = parent->room_nid, .ord = b->found[i].ord,
                             .snap_nid = b->found[i].snap_nid };
}

/** Rooms whose members see all: known from the snapshots, without the room. Their children are set visible. */
static const mx_error_t *find_open(mx_room_bundles_t *b)
{
    apr_int64_t *snaps = apr_palloc(b->pool, sizeof(*snaps) * (apr_size_t)(b->nfound + 1));
    mx_histvis_e *histvis = apr_palloc(b->pool, sizeof(*histvis) * (apr_size_t)(b->nfound + 1));
    const mx_error_t *err;
    int i;

    if (!b->which)
        return NULL;
    for (i = 0; i < b->nfound; i++)
        snaps[i] = b->found[i].snap_nid;
    err = mx_room_facts_histvis(histvis, b->server, snaps, b->nfound, b->pool);
    for (i = 0; !err && i < b->nfound; i++)
        b->visible[i] = b->which[b->asked[b->found[i].at]] == MX_ROOM_BUNDLE_MEMBER
                        && (histvis[i] == MX_HISTVIS_SHARED || histvis[i] == MX_HISTVIS_WORLD_READABLE);
    return err;
}

/** Asks for all children of one room that are not known to be visible, from found[first] on; `done` marks those asked for. */
static const mx_error_t *see_room(mx_room_bundles_t *b, unsigned char *done, int first)
{
    mx_event_row_t *shadows = apr_palloc(b->pool, sizeof(*shadows) * (apr_size_t)(b->nfound + 1));
    unsigned char *visible = apr_pcalloc(b->pool, (apr_size_t)b->nfound + 1);
    int *at = apr_palloc(b->pool, sizeof(*at) * (apr_size_t)(b->nfound + 1)), i, n = 0;
    apr_int64_t room_nid = shadow_of(b, first).room_nid;
    const mx_error_t *err;

    for (i = first; i < b->nfound; i++) {
        mx_event_row_t shadow = shadow_of(b, i);
        if (done[i] || b->visible[i] || shadow.room_nid != room_nid)
            continue;
        done[i] = 1;
        shadows[n] = shadow;
        at[n++] = i;
    }
    err = mx_room_visibility(visible, b->server, room_nid, b->who ? b->who->user_nid : 0, b->who ? b->who->user_id : NULL, shadows, n,
                             b->pool);
    for (i = 0; !err && i < n; i++)
        b->visible[at[i]] = visible[i];
    return err;
}

static const mx_error_t *see(mx_room_bundles_t *b)
{
    unsigned char *done = apr_pcalloc(b->pool, (apr_size_t)b->nfound + 1);
    const mx_error_t *err;
    int i;

    b->visible = apr_pcalloc(b->pool, (apr_size_t)b->nfound + 1);
    err = find_open(b);
    for (i = 0; !err && i < b->nfound; i++) {
        if (!b->visible[i] && !done[i])
            err = see_room(b, done, i);
    }
    return err;
}

/* ---- summing up ---- */

/** CS-API: the most recent edit: by origin_server_ts, then by the text of its id. */
static int is_newer_edit(const mx_store_bundle_row_t *edit, const mx_store_bundle_row_t *than, apr_pool_t *pool)
{
    if (!than || edit->ts != than->ts)
        return !than || edit->ts > than->ts;
    return strcmp(mx_store_event_id_unpack(edit->id, pool), mx_store_event_id_unpack(than->id, pool)) > 0;
}

static void add_child(bundle_t *bundle, const mx_store_bundle_row_t *child, apr_pool_t *pool)
{
    switch (child->kind) {
    case MX_STORE_BUNDLE_EDITS:
        if (is_newer_edit(child, bundle->edit, pool))
            bundle->edit = child;
        break;
    case MX_STORE_BUNDLE_THREAD:
        bundle->count += child->count;
        bundle->mine |= child->mine;
        if (!bundle->latest || child->ord > bundle->latest->ord)
            bundle->latest = child;
        break;
    case MX_STORE_BUNDLE_REFERENCES:
        if (!bundle->references)
            bundle->references = apr_palloc(pool, sizeof(*bundle->references) * MX_STORE_BUNDLE_REFERENCES_MAX);
        bundle->references[bundle->nreferences++] = child;
        break;
    case MX_STORE_BUNDLE_REDACTED:
        break;
    }
}

static void sum_up(mx_room_bundles_t *b)
{
    int i;

    b->of = apr_pcalloc(b->pool, sizeof(*b->of) * (apr_size_t)(b->n + 1));
    for (i = 0; i < b->nfound; i++) {
        int at = b->asked[b->found[i].at];
        if (!b->visible[i])
            continue;
        add_child(&b->of[at], &b->found[i], b->pool);
        if (b->who && b->rows[at].sender_nid == b->who->user_nid)
            b->of[at].mine = 1;
    }
}

/* ---- the events that are bundled whole ---- */

/** Where the event is among the rows read, which come in the order asked for; -1 if it is gone. */
static int next_row(int *pat, const mx_event_row_t *rows, int n, const mx_store_bundle_row_t *child)
{
    return child && *pat < n && rows[*pat].nid == child->nid ? (*pat)++ : -1;
}

static const mx_error_t *read_events(mx_event_row_t **prows, int *pn, mx_room_bundles_t *b)
{
    apr_int64_t *nids = apr_palloc(b->pool, sizeof(*nids) * (apr_size_t)(2 * b->n + 1));
    int i, n = 0;
    apr_status_t rv = APR_SUCCESS;

    for (i = 0; i < b->n; i++) {
        if (b->of[i].edit)
            nids[n++] = b->of[i].edit->nid;
        if (b->of[i].latest)
            nids[n++] = b->of[i].latest->nid;
    }
    if (n)
        rv = mx_store_event_by_nids(prows, pn, b->server->store, nids, n, b->pool);
    return rv == APR_SUCCESS ? NULL : mx_server_store_error(rv, "reading edits and threads", b->pool);
}

/** The newest event of a thread carries its own bundle. */
static const mx_error_t *load_children(mx_room_bundles_t *b, apr_time_t now)
{
    mx_event_row_t *rows = NULL;
    unsigned char *which;
    int i, at = 0, n = 0;
    const mx_error_t *err = read_events(&rows, &n, b);

    if (err || !n)
        return err;
    which = apr_pcalloc(b->pool, (apr_size_t)n + 1);
    for (i = 0; i < b->n; i++) {
        b->of[i].edit_at = next_row(&at, rows, n, b->of[i].edit);
        b->of[i].latest_at = next_row(&at, rows, n, b->of[i].latest);
        if (b->of[i].latest_at >= 0)
            which[b->of[i].latest_at] = b->which ? b->which[i] : MX_ROOM_BUNDLE;
    }
    err = mx_room_view_create(&b->children, b->server, b->who, rows, n, now, b->pool);
    return err ? err : mx_room_view_bundle(b->children, which, 1);
}

const mx_error_t *mx_room_bundles_load(mx_room_bundles_t **pbundles, mx_server_t *server, const mx_who_t *who, const mx_event_row_t *rows,
                                       int n, const unsigned char *which, int nested, apr_time_t now, apr_pool_t *pool)
{
    mx_room_bundles_t *b = apr_pcalloc(pool, sizeof(*b));
    mx_store_bundle_ask_t ask;
    const mx_error_t *err;

    b->server = server;
    b->who = who;
    b->rows = rows;
    b->which = which;
    b->n = n;
    b->pool = pool;
    *pbundles = NULL;
    make_ask(&ask, b, nested);
    err = read_children(b, &ask);
    if (err || !b->nfound)
        return err;
    err = see(b);
    if (err)
        return err;
    sum_up(b);
    err = load_children(b, now);
    if (!err)
        *pbundles = b;
    return err;
}

/* ---- writing ---- */

int mx_room_bundles_has_thread(const mx_room_bundles_t *bundles, int i)
{
    return bundles && bundles->of[i].latest != NULL;
}

static void write_references(mx_json_writer_t *w, const bundle_t *bundle, apr_pool_t *pool)
{
    int i;

    mx_jw_key_object(w, "m.reference");
    mx_jw_key_array(w, "chunk");
    for (i = 0; i < bundle->nreferences; i++) {
        mx_jw_object(w);
        mx_jw_key_str(w, "event_id", mx_store_event_id_unpack(bundle->references[i]->id, pool));
        mx_jw_end_object(w);
    }
    mx_jw_end_array(w);
    mx_jw_end_object(w);
}

static const mx_error_t *write_thread(mx_json_writer_t *w, mx_room_bundles_t *b, const bundle_t *bundle, mx_event_format_e format)
{
    const mx_error_t *err;

    mx_jw_key_object(w, "m.thread");
    mx_jw_key_int(w, "count", bundle->count);
    mx_jw_key_bool(w, "current_user_participated", bundle->mine);
    mx_jw_key(w, "latest_event");
    err = mx_room_view_write(w, b->children, bundle->latest_at, format);
    mx_jw_end_object(w);
    return err;
}

const mx_error_t *mx_room_bundles_write(mx_slice_t *pout, mx_room_bundles_t *bundles, int i, mx_event_format_e format, apr_pool_t *pool)
{
    const bundle_t *bundle = bundles ? &bundles->of[i] : NULL;
    int edited = bundle && bundle->edit && bundle->edit_at >= 0, threaded = bundle && bundle->latest && bundle->latest_at >= 0;
    mx_json_writer_t *w;
    const mx_error_t *err = NULL;

    *pout = MX_SLICE_NONE;
    if (!edited && !threaded && (!bundle || !bundle->nreferences))
        return NULL;
    w = mx_jw_create(pool);
    mx_jw_object(w);
    if (bundle->nreferences)
        write_references(w, bundle, pool);
    if (edited) {
        mx_jw_key(w, "m.replace");
        err = mx_room_view_write(w, bundles->children, bundle->edit_at, format);
    }
    if (!err && threaded)
        err = write_thread(w, bundles, bundle, format);
    mx_jw_end_object(w);
    if (!err)
        *pout = mx_buf_slice(w->buf);
    return err;
}
