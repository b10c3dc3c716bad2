/* SPDX-License-Identifier: Apache-2.0 */
/* Unread counts: rows of the database, asked of the user's rules and summed up. */
#include "sync/tally.h"

#include "store/unread.h"
#include "sync/judge.h"

/** A count in the making. */
typedef struct counting_t {
    mx_server_t *server;
    const mx_who_t *who;
    const mx_user_push_settings_t *settings;
    const mx_push_set_t *rules;
    mx_sync_unread_room_t *rooms;
    int n;
    apr_int64_t *nids, *upto;        /* of the rooms, as the queries take them */
    int *all;
    apr_pool_t *pool;
} counting_t;

static mx_sync_unread_room_t *room_of(const counting_t *c, apr_int64_t room_nid)
{
    int low = 0, high = c->n - 1;

    while (low <= high) {
        int mid = (low + high) / 2;

        if (c->rooms[mid].room_nid == room_nid) return &c->rooms[mid];
        if (c->rooms[mid].room_nid < room_nid) low = mid + 1;
        else high = mid - 1;
    }
    return NULL;
}

/* The thread's line, or where it would be. */
static int find_line(const mx_sync_unread_room_t *room, const char *thread)
{
    int i;

    for (i = 0; i < room->n; i++)
        if (thread ? mx_str_eq(room->lines[i].thread, thread) : !room->lines[i].thread) break;
    return i;
}

void mx_sync_unread_add(mx_sync_unread_room_t *room, const char *thread, mx_push_verdict_t verdict, apr_int64_t count, apr_pool_t *pool)
{
    int i = find_line(room, thread);

    if (!verdict.notify) return;
    if (i == room->n) {
        if (!(room->n & (room->n - 1))) {      /* full at each power of two */
            mx_sync_unread_t *more = apr_palloc(pool, sizeof(*more) * (apr_size_t)(room->n ? room->n * 2 : 1));

            if (room->n) memcpy(more, room->lines, sizeof(*more) * (apr_size_t)room->n);
            room->lines = more;
        }
        room->lines[room->n++] = (mx_sync_unread_t){ .thread = thread };
    }
    room->lines[i].notified += count;
    if (verdict.highlight) room->lines[i].highlighted += count;
}

void mx_sync_unread_read(mx_sync_unread_room_t *room, const char *thread)
{
    int i = find_line(room, thread);

    if (i < room->n) room->lines[i] = room->lines[--room->n];
}

/* ---- by groups ---- */

static mx_store_unread_ask_t make_ask(const counting_t *c)
{
    return (mx_store_unread_ask_t){ .user_nid = c->who->user_nid, .rooms = c->nids, .upto = c->upto, .all = c->all, .n = c->n,
                                    .ignored = c->settings->ignored, .nignored = c->settings->nignored };
}

static const mx_error_t *count_groups(counting_t *c)
{
    mx_store_unread_ask_t ask = make_ask(c);
    mx_store_unread_row_t *rows = NULL;
    int i, n = 0;
    apr_status_t rv = mx_store_unread_count(&rows, &n, c->server->store, &ask, c->pool);

    for (i = 0; rv == APR_SUCCESS && i < n; i++) {
        mx_sync_unread_room_t *room = room_of(c, rows[i].room_nid);
        const char *type = NULL;

        if (room) room->members = rows[i].members;
        if (!rows[i].count) continue;
        rv = mx_server_type_name(&type, c->server, rows[i].type_nid, c->pool);
        if (rv != APR_SUCCESS || !room) continue;
        mx_sync_unread_add(room, rows[i].thread,
                           mx_push_eval_kind(c->rules, type, rows[i].marks & MX_PUSH_MARK_STATE ? "" : NULL, rows[i].marks, room->room_id,
                                             rows[i].members, c->pool), rows[i].count, c->pool);
    }
    return rv == APR_SUCCESS ? NULL : mx_server_store_error(rv, "count unread events", c->pool);
}

/* ---- one by one ---- */

static void count_event(const counting_t *c, mx_sync_unread_room_t *room, const mx_sync_judge_t *judge, const mx_store_unread_event_t *row)
{
    apr_pool_t *scratch;

    apr_pool_create(&scratch, c->pool);
    mx_sync_unread_add(room, row->thread, mx_sync_judge_event(NULL, judge, row->event.pdu, scratch), 1, c->pool);
    apr_pool_destroy(scratch);
}

/** The rows of one room; what is older than a full scan is left to the groups. */
static const mx_error_t *count_room(counting_t *c, int at, const mx_store_unread_event_t *rows, int n)
{
    mx_sync_judge_t *judge = NULL;
    const mx_error_t *err = n ? mx_sync_judge_create(&judge, c->server, c->who, c->rules, c->rooms[at].room_id, c->pool) : NULL;
    int i;

    for (i = 0; !err && i < n; i++) count_event(c, &c->rooms[at], judge, &rows[i]);
    c->rooms[at].scanned = n;
    c->upto[at] = n < MX_SYNC_UNREAD_SCAN ? 0 : rows[n - 1].event.nid - 1;
    return err;
}

static const mx_error_t *count_events(counting_t *c)
{
    mx_store_unread_ask_t ask = make_ask(c);
    mx_store_unread_event_t *rows = NULL;
    const mx_error_t *err = NULL;
    int i, k, at = 0, n = 0, more = 0;
    apr_status_t rv = mx_store_unread_events(&rows, &n, c->server->store, &ask, MX_SYNC_UNREAD_SCAN, c->pool);

    if (rv != APR_SUCCESS) return mx_server_store_error(rv, "read unread events", c->pool);
    for (i = 0; !err && i < c->n; i++) {
        for (k = at; k < n && rows[k].event.room_nid == c->nids[i];) k++;
        err = count_room(c, i, rows + at, k - at);
        more |= c->upto[i] != 0;
        at = k;
    }
    return err || !more ? err : count_groups(c);
}

/** Does the user want to hear of everything in the room, whatever its type? */
static int wants_all(const counting_t *c, const mx_sync_unread_room_t *room)
{
    return mx_push_eval_kind(c->rules, "m.any", NULL, 0, room->room_id, 0, c->pool).notify;
}

const mx_error_t *mx_sync_unread_count(mx_sync_unread_room_t *rooms, int n, mx_server_t *server, const mx_who_t *who,
                                       mx_user_push_settings_t *settings, apr_int64_t upto, apr_pool_t *pool)
{
    counting_t c = { .server = server, .who = who, .settings = settings, .rooms = rooms, .n = n, .pool = pool };
    const mx_error_t *err;
    int i;

    if (!n) return NULL;
    c.rules = mx_user_push_settings_rules(settings, pool);
    c.nids = apr_palloc(pool, sizeof(*c.nids) * (apr_size_t)n);
    c.upto = apr_palloc(pool, sizeof(*c.upto) * (apr_size_t)n);
    c.all = apr_palloc(pool, sizeof(*c.all) * (apr_size_t)n);
    for (i = 0; i < n; i++) {
        c.nids[i] = rooms[i].room_nid;
        c.upto[i] = upto;
        c.all[i] = rooms[i].all = wants_all(&c, &rooms[i]);
        rooms[i].n = 0;
    }
    err = settings->plain ? count_groups(&c) : count_events(&c);
    for (i = 0; !err && i < n; i++) mx_sync_tally_keep(server->sync, who, settings, &rooms[i], upto);
    return err;
}

/* ---- writing ---- */

static void write_counts(mx_json_writer_t *w, const char *name, apr_int64_t notified, apr_int64_t highlighted)
{
    mx_jw_key_object(w, name);
    mx_jw_key_int(w, "highlight_count", highlighted);
    mx_jw_key_int(w, "notification_count", notified);
    mx_jw_end_object(w);
}

void mx_sync_unread_write(mx_json_writer_t *w, const mx_sync_unread_room_t *room, int threads)
{
    apr_int64_t notified = 0, highlighted = 0;
    int i, nthreads = 0;

    for (i = 0; i < room->n; i++) {
        nthreads += room->lines[i].thread != NULL;
        if (threads && room->lines[i].thread) continue;
        notified += room->lines[i].notified;
        highlighted += room->lines[i].highlighted;
    }
    write_counts(w, "unread_notifications", notified, highlighted);
    if (!threads || !nthreads) return;
    mx_jw_key_object(w, "unread_thread_notifications");
    for (i = 0; i < room->n; i++)
        if (room->lines[i].thread) write_counts(w, room->lines[i].thread, room->lines[i].notified, room->lines[i].highlighted);
    mx_jw_end_object(w);
}
