/* SPDX-License-Identifier: Apache-2.0 */
/*
 * An answer from the ring alone: shared bytes and a small patch for each reader. Wherever more than the entries is needed
 * (a gap, a resolved fork, the reader's own membership, changed members, lazily loaded ones, unusual filters) it declines, and the
 * answer comes from the database (sync/full.c). Both say the same.
 */
#include "core/sticky.h"
#include "sync/devices.h"
#include "sync/presence.h"
#include "sync/tally.h"
#include "user/push_rules.h"
#include <apr_hash.h>
#include <stdlib.h>

#define BATCHES_MAX 512              /* a range of more batches is left to the database */

/* The news of one room. */
typedef struct live_room_t {
    struct live_room_t *next;
    apr_int64_t nid;
    const char *room_id;
    apr_array_header_t *events, *receipts, *data;   /* of const mx_sync_entry_t * */
    const mx_sync_entry_t *typing;
    const mx_sync_unread_room_t *unread;
    mx_sync_tally_pick_t pick;
} live_room_t;

/* An answer in the making. */
typedef struct live_t {
    mx_server_t *server;
    mx_sync_state_t *state;
    const mx_sync_ask_t *ask;
    const mx_sync_user_t *user;      /* only under the lock */
    apr_int64_t upto, now_ms;
    int limit;
    apr_hash_t *by_nid;
    live_room_t *rooms, **last;
    apr_array_header_t *global;      /* account data */
    apr_array_header_t *lists;       /* changed device lists */
    apr_array_header_t *presence;
    int has_messages, stock_moved;   /* for the device: messages to be read, news of its keys */
    mx_slice_t stock;                /* sync/devices.h */
    mx_to_device_row_t *messages;
    int nmessages;
    mx_user_push_settings_t *settings;   /* NULL: not known yet */
    mx_cache_ref_t *settings_ref;
    mx_sync_batch_t **pinned;
    int npinned;
    apr_pool_t *pool;
} live_t;

/* ---- what a filter lets through ---- */

int mx_sync_entry_passes(const mx_sync_entry_t *entry, const mx_filter_t *filter)
{
    if (entry->room_nid && !mx_filter_allows_room(filter, entry->room_id)) return 0;
    switch (entry->kind) {
    case MX_ENTRY_EVENT:
        /* what the timeline refuses may still change the state that is told, or is told because it is sticky */
        return entry->is_state || entry->jumps || entry->sticky_ms
               || (!entry->silent
                   && mx_event_filter_allows(&filter->timeline, entry->type, entry->user_id, entry->room_id, entry->has_url));
    case MX_ENTRY_ACCOUNT_DATA:
        return mx_event_filter_allows(entry->room_nid ? &filter->room_account_data : &filter->account_data, entry->type, NULL,
                                      entry->room_id, 0);
    case MX_ENTRY_RECEIPT:
        return mx_event_filter_allows(&filter->ephemeral, "m.receipt", NULL, entry->room_id, 0);
    case MX_ENTRY_TYPING:
        return mx_event_filter_allows(&filter->ephemeral, "m.typing", NULL, entry->room_id, 0);
    case MX_ENTRY_PRESENCE:
        return filter->presence.limit != 0 && mx_event_filter_allows(&filter->presence, "m.presence", entry->user_id, NULL, 0);
    case MX_ENTRY_TO_DEVICE:
    case MX_ENTRY_KEY_STOCK:
    case MX_ENTRY_DEVICE_LIST:
        break;
    }
    return 1;
}

int mx_sync_entry_lists(const mx_sync_entry_t *entry, const mx_sync_user_t *reader)
{
    if (entry->viewer_nid) return entry->viewer_nid == reader->nid;
    if (entry->user_nid == reader->nid) return 1;
    for (int i = 0; i < entry->nrooms; i++)
        if (mx_nid_map_get(&reader->rooms, entry->rooms[i])) return 1;
    return 0;
}

/* What the ring can never answer. */
static int ask_is_plain(const mx_sync_ask_t *ask)
{
    const mx_filter_t *f = ask->filter;

    return ask->since >= 0 && !ask->full_state && !ask->use_state_after && f->event_format == MX_EVENT_FORMAT_CLIENT && !f->event_fields
           && !(f->state.lazy_load_members && f->state.include_redundant_members);
}

/* ---- choosing, under the lock ---- */

static live_room_t *room_of(live_t *live, const mx_sync_entry_t *entry)
{
    live_room_t *room = apr_hash_get(live->by_nid, &entry->room_nid, sizeof(entry->room_nid));

    if (room) return room;
    room = apr_pcalloc(live->pool, sizeof(*room));
    room->nid = entry->room_nid;
    room->room_id = entry->room_id;
    apr_hash_set(live->by_nid, &room->nid, sizeof(room->nid), room);
    *live->last = room;
    live->last = &room->next;
    return room;
}

static void push(live_t *live, apr_array_header_t **plist, const mx_sync_entry_t *entry)
{
    if (!*plist) *plist = apr_array_make(live->pool, 4, sizeof(entry));
    APR_ARRAY_PUSH(*plist, const mx_sync_entry_t *) = entry;
}

/* 0: the database has to answer. */
static int take_event(live_t *live, const mx_sync_entry_t *entry)
{
    const mx_filter_t *filter = live->ask->filter;
    live_room_t *room;

    if (entry->moves_summary || entry->jumps || apr_atomic_read32((apr_uint32_t *)(apr_uintptr_t)&entry->stale)) return 0;
    if (!mx_event_filter_allows(&filter->timeline, entry->type, entry->user_id, entry->room_id, entry->has_url))
        return !entry->is_state && !entry->sticky_ms;
    if (filter->state.lazy_load_members
        && !mx_sync_lazy_known(live->state, live->ask->who->device_nid, entry->room_nid, entry->user_nid, live->ask->acked))
        return 0;
    room = room_of(live, entry);
    push(live, &room->events, entry);
    return room->events->nelts <= live->limit;
}

static void take_for_device(live_t *live, const mx_sync_entry_t *entry)
{
    if (entry->kind == MX_ENTRY_DEVICE_LIST) {
        if (mx_sync_entry_lists(entry, live->user)) push(live, &live->lists, entry);
    } else if (entry->device_nid == live->ask->who->device_nid) {
        if (entry->kind == MX_ENTRY_TO_DEVICE) live->has_messages = 1;
        else live->stock_moved = 1;
    }
}

/* It may put the room into another section of the answer; of a room that the reader is not in, any word on that is told there. */
static int moves_reader(const live_t *live, const mx_sync_entry_t *entry)
{
    apr_int64_t reader = live->ask->who->user_nid;

    if (entry->target_nid == reader && (entry->moves_summary || !mx_nid_map_get(&live->user->rooms, entry->room_nid))) return 1;
    return mx_sync_entry_moved(entry, reader);
}

static int take(live_t *live, const mx_sync_entry_t *entry)
{
    int own = entry->user_nid == live->ask->who->user_nid;
    live_room_t *room;

    if (entry->device_nid || entry->kind == MX_ENTRY_DEVICE_LIST) {
        take_for_device(live, entry);
        return 1;
    }
    if (entry->kind == MX_ENTRY_PRESENCE) {
        if (mx_sync_entry_lists(entry, live->user) && mx_sync_entry_passes(entry, live->ask->filter)) push(live, &live->presence, entry);
        return 1;
    }
    if (moves_reader(live, entry)) return 0;
    if (entry->kind == MX_ENTRY_ACCOUNT_DATA ? !own : !mx_nid_map_get(&live->user->rooms, entry->room_nid)) return 1;
    if (!mx_sync_entry_passes(entry, live->ask->filter)) return 1;
    if (entry->kind == MX_ENTRY_EVENT) return take_event(live, entry);
    if (entry->kind == MX_ENTRY_RECEIPT && mx_str_eq(entry->type, "m.read.private") && !own) return 1;
    if (entry->kind == MX_ENTRY_ACCOUNT_DATA && !entry->room_nid) {
        push(live, &live->global, entry);
        return 1;
    }
    if (!mx_nid_map_get(&live->user->rooms, entry->room_nid)) return 1;   /* data of a room that is left */
    room = room_of(live, entry);
    if (entry->kind == MX_ENTRY_TYPING) room->typing = entry;
    else push(live, entry->kind == MX_ENTRY_RECEIPT ? &room->receipts : &room->data, entry);
    return 1;
}

static int take_batch(live_t *live, mx_sync_batch_t *batch)
{
    int i;

    if (live->npinned == BATCHES_MAX) return 0;
    mx_sync_batch_pin(batch);
    live->pinned[live->npinned++] = batch;
    for (i = 0; i < batch->n; i++)
        if (batch->entries[i].position > live->ask->since && !take(live, &batch->entries[i])) return 0;
    return 1;
}

/* What memory has of settings and counts, as of the ring's head. */
static void pick_unread(live_t *live)
{
    const mx_who_t *who = live->ask->who;
    live_room_t *room;

    if (live->rooms || live->presence)
        live->settings = mx_sync_push_settings_known_locked(&live->settings_ref, live->state, who, live->pool);
    for (room = live->rooms; live->settings && room; room = room->next)
        mx_sync_tally_pick_locked(&room->pick, live->state, who->user_nid, room->nid, live->pool);
}

/* 1 if all of the range was taken. */
static int choose_locked(live_t *live, apr_int64_t upto_least)
{
    mx_sync_state_t *state = live->state;
    const mx_sync_ring_t *ring = &state->ring;
    mx_sync_batch_t *batch;

    live->user = mx_sync_interest_user(&state->interest, live->ask->who->user_nid);
    if (!state->ready || !live->user || !live->user->loaded || ring->head < live->user->unsure_until) return 0;
    if (ring->head < upto_least || live->ask->since < ring->floor) return 0;
    live->upto = ring->head > live->ask->since ? ring->head : live->ask->since;
    for (batch = mx_sync_ring_after(ring, live->ask->since); batch; batch = batch->newer)
        if (!take_batch(live, batch)) return 0;
    live->stock = mx_sync_devices_stock_locked(state, live->ask->who->device_nid, live->pool);
    if (!live->stock.p) return 0;
    pick_unread(live);
    return 1;
}

/* ---- writing, without the lock ---- */

static void write_unsigned(mx_buf_t *b, const live_t *live, const mx_sync_entry_t *entry)
{
    static const char age[] = ",\"unsigned\":{\"age\":", membership[] = ",\"membership\":\"join\"", txn[] = ",\"transaction_id\":",
                      ttl[] = ",\"" MX_STICKY_TTL "\":", delay[] = ",\"" MX_EVENT_DELAY_ID "\":";
    apr_int64_t age_ms = live->now_ms > entry->ts ? live->now_ms - entry->ts : 0;
    const mx_who_t *who = live->ask->who;

    mx_buf_append(b, age, sizeof(age) - 1);
    b->len += (apr_size_t)apr_snprintf(mx_buf_reserve(b, 24), 24, "%" APR_INT64_T_FMT, age_ms);
    mx_buf_append(b, membership, sizeof(membership) - 1);
    if (entry->sticky_ms > age_ms) {
        mx_buf_append(b, ttl, sizeof(ttl) - 1);
        b->len += (apr_size_t)apr_snprintf(mx_buf_reserve(b, 24), 24, "%" APR_INT64_T_FMT, entry->sticky_ms - age_ms);
    }
    if (entry->more_unsigned.len) {
        mx_buf_append_char(b, ',');
        mx_buf_append(b, entry->more_unsigned.p, entry->more_unsigned.len);
    }
    if (entry->txn_id && entry->user_nid == who->user_nid && (!entry->txn_device_nid || entry->txn_device_nid == who->device_nid)) {
        if (entry->txn_device_nid)
            mx_buf_append(b, txn, sizeof(txn) - 1);
        else
            mx_buf_append(b, delay, sizeof(delay) - 1);
        mx_jw_escape(b, entry->txn_id, strlen(entry->txn_id));
    }
    mx_buf_append_char(b, '}');
}

static void write_timeline(mx_json_writer_t *w, const live_t *live, const live_room_t *room)
{
    apr_int64_t before = live->ask->since;
    int i;

    mx_jw_key_object(w, "timeline");
    mx_jw_key_array(w, "events");
    for (i = 0; room->events && i < room->events->nelts; i++) {
        const mx_sync_entry_t *entry = APR_ARRAY_IDX(room->events, i, const mx_sync_entry_t *);

        if (i == 0) before = entry->position - 1;
        mx_jw_raw(w, entry->body.p, entry->body.len);
        write_unsigned(w->buf, live, entry);
        mx_buf_append_char(w->buf, '}');
    }
    mx_jw_end_array(w);
    mx_jw_key_bool(w, "limited", 0);
    mx_jw_key_str(w, "prev_batch", mx_sync_token_format(before, live->pool));
    mx_jw_end_object(w);
}

/* Only the latest of each reader, type and thread: entries are in stream order. */
static void write_receipts(mx_json_writer_t *w, const live_t *live, const live_room_t *room)
{
    apr_hash_t *seen = apr_hash_make(live->pool);
    mx_sync_receipt_out_t *out = apr_palloc(live->pool, sizeof(*out) * (apr_size_t)room->receipts->nelts);
    int i, n = 0;

    for (i = room->receipts->nelts - 1; i >= 0; i--) {
        const mx_sync_entry_t *entry = APR_ARRAY_IDX(room->receipts, i, const mx_sync_entry_t *);
        const char *key = apr_pstrcat(live->pool, entry->user_id, " ", entry->type, " ", entry->thread_id, NULL);

        if (apr_hash_get(seen, key, APR_HASH_KEY_STRING)) continue;
        apr_hash_set(seen, key, APR_HASH_KEY_STRING, "");
        out[n++] = (mx_sync_receipt_out_t){ entry->thread_id, entry->event_id, entry->type, entry->user_id, entry->body };
    }
    mx_sync_write_receipts(w, out, n);
}

/* Account data, the latest of each type. */
static void write_data(mx_json_writer_t *w, const live_t *live, const apr_array_header_t *list)
{
    int i, j;

    for (i = 0; list && i < list->nelts; i++) {
        const mx_sync_entry_t *entry = APR_ARRAY_IDX(list, i, const mx_sync_entry_t *);
        mx_slice_t content = entry->body;

        for (j = i + 1; j < list->nelts; j++)
            if (mx_str_eq(entry->type, APR_ARRAY_IDX(list, j, const mx_sync_entry_t *)->type)) break;
        if (j < list->nelts) continue;
        if (!entry->room_nid && mx_str_eq(entry->type, "m.push_rules"))
            content = mx_user_push_rules_for_sync(live->ask->who->user_id, content, live->pool);
        mx_sync_write_account_data(w, entry->type, content);
    }
}

static void write_room(mx_json_writer_t *w, const live_t *live, const live_room_t *room)
{
    mx_jw_key_object(w, room->room_id);
    write_timeline(w, live, room);
    mx_jw_key_object(w, "state");
    mx_jw_key_array(w, "events");
    mx_jw_end_array(w);
    mx_jw_end_object(w);
    mx_jw_key_object(w, "ephemeral");
    mx_jw_key_array(w, "events");
    if (room->receipts) write_receipts(w, live, room);
    if (room->typing) mx_jw_raw_slice(w, room->typing->body);
    mx_jw_end_array(w);
    mx_jw_end_object(w);
    mx_sync_unread_write(w, room->unread, live->ask->filter->timeline.unread_thread_notifications);
    mx_jw_key_object(w, "account_data");
    mx_jw_key_array(w, "events");
    write_data(w, live, room->data);
    mx_jw_end_array(w);
    mx_jw_end_object(w);
    mx_jw_end_object(w);
}

/* Each user once, however often he changed something. */
static void write_lists(mx_json_writer_t *w, const live_t *live)
{
    apr_hash_t *seen = apr_hash_make(live->pool);

    mx_jw_key_object(w, "device_lists");
    mx_jw_key_array(w, "changed");
    for (int i = 0; live->lists && i < live->lists->nelts; i++) {
        const char *user_id = APR_ARRAY_IDX(live->lists, i, const mx_sync_entry_t *)->user_id;

        if (apr_hash_get(seen, user_id, APR_HASH_KEY_STRING)) continue;
        apr_hash_set(seen, user_id, APR_HASH_KEY_STRING, "");
        mx_jw_str(w, user_id);
    }
    mx_jw_end_array(w);
    mx_jw_key_array(w, "left");
    mx_jw_end_array(w);
    mx_jw_end_object(w);
}

/* The latest of each user, at most as many as the filter says. */
static void write_presence(mx_json_writer_t *w, const live_t *live)
{
    apr_hash_t *seen;
    int limit;

    if (!live->presence) return;
    seen = apr_hash_make(live->pool);
    limit = live->ask->filter->presence.limit;
    mx_jw_key_object(w, "presence");
    mx_jw_key_array(w, "events");
    for (int i = live->presence->nelts - 1; i >= 0; i--) {
        const mx_sync_entry_t *entry = APR_ARRAY_IDX(live->presence, i, const mx_sync_entry_t *);

        if (apr_hash_get(seen, &entry->user_nid, sizeof(entry->user_nid)) || (limit >= 0 && (int)apr_hash_count(seen) >= limit)) continue;
        apr_hash_set(seen, &entry->user_nid, sizeof(entry->user_nid), "");
        mx_jw_raw(w, entry->body.p, entry->body.len);
        mx_sync_presence_end(w->buf, entry->ts, live->now_ms);
    }
    mx_jw_end_array(w);
    mx_jw_end_object(w);
}

static void write_answer(mx_sync_answer_t *out, const live_t *live)
{
    mx_json_writer_t *w = mx_jw_create(live->pool);
    const live_room_t *room;

    mx_jw_object(w);
    mx_jw_key_str(w, "next_batch", mx_sync_token_format(live->upto, live->pool));
    mx_jw_key_object(w, "account_data");
    mx_jw_key_array(w, "events");
    write_data(w, live, live->global);
    mx_jw_end_array(w);
    mx_jw_end_object(w);
    write_presence(w, live);
    mx_jw_key_object(w, "rooms");
    mx_jw_key_object(w, "join");
    for (room = live->rooms; room; room = room->next) write_room(w, live, room);
    mx_jw_end_object(w);
    mx_jw_key_object(w, "invite");
    mx_jw_end_object(w);
    mx_jw_key_object(w, "knock");
    mx_jw_end_object(w);
    mx_jw_key_object(w, "leave");
    mx_jw_end_object(w);
    mx_jw_end_object(w);
    mx_sync_write_to_device(w, live->messages, live->nmessages);
    write_lists(w, live);
    mx_sync_write_stock(w, live->stock);
    mx_jw_end_object(w);
    *out = (mx_sync_answer_t){ w->buf, NULL, live->upto, !live->rooms && !live->global && !live->nmessages && !live->lists
                                                           && !live->presence && !live->stock_moved };
}

/* The ring says that there are some. *pdone 0: too many for one answer. */
static const mx_error_t *read_messages(int *pdone, live_t *live)
{
    mx_conn_t *conn = NULL;
    apr_status_t rv = mx_store_borrow(&conn, live->server->store, live->pool);

    if (rv == APR_SUCCESS)
        rv = mx_store_to_device_read(&live->messages, &live->nmessages, conn, live->ask->who->device_nid, live->ask->since, live->upto,
                                     MX_SYNC_TO_DEVICE_MAX + 1, live->pool);
    mx_store_return(conn);
    *pdone = rv == APR_SUCCESS && live->nmessages <= MX_SYNC_TO_DEVICE_MAX;
    return rv == APR_SUCCESS ? NULL : mx_server_store_error(rv, "read to-device messages", live->pool);
}

/* ---- unread counts ---- */

static void drop_ignored_presence(live_t *live)
{
    const mx_sync_entry_t **entries = live->presence ? (const mx_sync_entry_t **)live->presence->elts : NULL;
    int i, kept = 0;

    for (i = 0; entries && i < live->presence->nelts; i++)
        if (!mx_user_push_settings_ignores(live->settings, entries[i]->user_nid)) entries[kept++] = entries[i];
    if (!entries) return;
    live->presence->nelts = kept;
    if (!kept) live->presence = NULL;
}

/* CS-API: ignoring users: their events are left out, state aside. A room of which nothing is left is not told. */
static void drop_ignored(live_t *live)
{
    live_room_t **at = &live->rooms, *room;
    int i, kept;

    if (!live->settings->nignored) return;
    drop_ignored_presence(live);
    while ((room = *at) != NULL) {
        const mx_sync_entry_t **events = room->events ? (const mx_sync_entry_t **)room->events->elts : NULL;

        for (i = kept = 0; events && i < room->events->nelts; i++)
            if (events[i]->is_state || !mx_user_push_settings_ignores(live->settings, events[i]->user_nid)) events[kept++] = events[i];
        if (events) room->events->nelts = kept;
        if (!kept && !room->receipts && !room->data && !room->typing) *at = room->next;
        else at = &room->next;
    }
}

static int by_room(const void *a, const void *b)
{
    const mx_sync_unread_room_t *x = a, *y = b;

    return x->room_nid < y->room_nid ? -1 : x->room_nid > y->room_nid;
}

/* Counts of the rooms that are told: what memory does not know, the database counts. */
static const mx_error_t *add_unread(live_t *live)
{
    const mx_who_t *who = live->ask->who;
    mx_sync_unread_room_t *rooms, told;
    live_room_t *room;
    int i, n = 0;
    const mx_error_t *err = NULL;

    if (!live->settings) err = mx_sync_push_settings_read(&live->settings, live->server, who, live->upto, live->pool);
    if (err) return err;
    drop_ignored(live);
    rooms = apr_pcalloc(live->pool, sizeof(*rooms) * (apr_hash_count(live->by_nid) + 1));
    for (room = live->rooms; room; room = room->next) {
        told = (mx_sync_unread_room_t){ .room_nid = room->nid, .room_id = room->room_id };
        if (mx_sync_tally_count(&told, &room->pick, live->state, who, live->settings, live->upto, live->pool))
            room->unread = apr_pmemdup(live->pool, &told, sizeof(told));
        else rooms[n++] = told;
    }
    qsort(rooms, (apr_size_t)n, sizeof(*rooms), by_room);
    for (i = 0; i < n; i++) ((live_room_t *)apr_hash_get(live->by_nid, &rooms[i].room_nid, sizeof(rooms[i].room_nid)))->unread = &rooms[i];
    return mx_sync_unread_count(rooms, n, live->server, who, live->settings, live->upto, live->pool);
}

/* Rooms that are not told have borrowed as well. */
static void give_back(live_t *live)
{
    apr_hash_index_t *hi;

    for (hi = apr_hash_first(live->pool, live->by_nid); hi; hi = apr_hash_next(hi))
        mx_sync_tally_put(&((live_room_t *)apr_hash_this_val(hi))->pick);
    mx_cache_put(live->settings_ref);
    while (live->npinned) mx_sync_batch_unpin(live->pinned[--live->npinned]);
}

const mx_error_t *mx_sync_live_answer(mx_sync_answer_t *out, int *pdone, mx_server_t *server, const mx_sync_ask_t *ask,
                                      apr_int64_t upto_least, apr_pool_t *pool)
{
    live_t live = { .server = server, .state = server->sync, .ask = ask, .now_ms = apr_time_as_msec(apr_time_now()),
                    .limit = mx_sync_timeline_limit(server, ask->filter), .pool = pool };

    const mx_error_t *err = NULL;

    *pdone = 0;
    if (!ask_is_plain(ask)) return NULL;
    live.by_nid = apr_hash_make(pool);
    live.last = &live.rooms;
    live.pinned = apr_palloc(pool, sizeof(*live.pinned) * BATCHES_MAX);
    apr_thread_mutex_lock(live.state->lock);
    *pdone = choose_locked(&live, upto_least);
    apr_thread_mutex_unlock(live.state->lock);
    if (*pdone && live.has_messages) err = read_messages(pdone, &live);
    if (!err && *pdone && (live.rooms || live.presence)) err = add_unread(&live);
    if (!err && *pdone) write_answer(out, &live);
    give_back(&live);
    return err;
}

mx_buf_t *mx_sync_write_nothing(apr_int64_t position, mx_slice_t stock, apr_pool_t *pool)
{
    live_t live = { .upto = position, .stock = stock, .pool = pool };
    mx_sync_answer_t out;

    write_answer(&out, &live);
    return out.body;
}

const mx_error_t *mx_sync_answer_nothing(mx_buf_t **pbody, mx_server_t *server, const mx_who_t *who, apr_int64_t position, apr_pool_t *pool)
{
    mx_sync_ask_t ask = { .who = who, .since = position, .acked = MX_SYNC_INITIAL };
    mx_sync_state_t *state = server->sync;
    mx_slice_t stock;
    const mx_error_t *err = NULL;
    int moved;

    apr_thread_mutex_lock(state->lock);
    stock = mx_sync_devices_stock_locked(state, who->device_nid, pool);
    apr_thread_mutex_unlock(state->lock);
    if (!stock.p) err = mx_sync_devices_stock(&stock, &moved, server, &ask, pool);
    if (!err) *pbody = mx_sync_write_nothing(position, stock, pool);
    return err;
}
