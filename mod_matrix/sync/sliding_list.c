/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The rooms of a user, the latest activity first, as a child remembers them: moved on by the ring while somebody waits, and otherwise read
 * again once something happened. MSC4186: lists, activity ordering.
 */
#include "store/sliding.h"
#include "store/stream.h"
#include "sync/sliding_private.h"
#include <stdlib.h>

#define ADVANCE_MAX 256              /* events by which what is remembered is moved on: past it the rooms are read again */
#define OVERHEAD_BYTES 160           /* of an entry of the cache */

/* ---- memory ---- */

/* A value of the cache: one block with what it points to. */
typedef struct kept_t {
    mx_sliding_rooms_t rooms;
    mx_sliding_entry_t entries[];    /* then the texts */
} kept_t;

mx_cache_t *mx_sliding_list_cache_create(apr_size_t max_bytes, apr_pool_t *pool)
{
    return mx_cache_create("sliding sync rooms", max_bytes, mx_cache_value_destroy, pool);
}

static const char *copy_text(char **pat, const char *text)
{
    apr_size_t len;
    char *copy = *pat;

    if (!text) return NULL;
    len = strlen(text) + 1;
    memcpy(copy, text, len);
    *pat += len;
    return copy;
}

void mx_sliding_list_keep(const mx_sliding_t *s)
{
    const mx_sliding_rooms_t *rooms = &s->rooms;
    apr_size_t bytes = sizeof(kept_t) + sizeof(mx_sliding_entry_t) * (apr_size_t)rooms->n;
    apr_int64_t user_nid = s->ask->who->user_nid;
    kept_t *kept;
    char *at;
    int i;

    for (i = 0; i < rooms->n; i++)
        bytes += strlen(rooms->entries[i].member.room_id) + 1 + (rooms->entries[i].room_type ? strlen(rooms->entries[i].room_type) + 1 : 0);
    kept = mx_cache_value_create(bytes);
    at = (char *)&kept->entries[rooms->n];
    memcpy(kept->entries, rooms->entries, sizeof(*rooms->entries) * (apr_size_t)rooms->n);
    for (i = 0; i < rooms->n; i++) {
        kept->entries[i].member.room_id = copy_text(&at, rooms->entries[i].member.room_id);
        kept->entries[i].room_type = copy_text(&at, rooms->entries[i].room_type);
    }
    kept->rooms = *rooms;
    kept->rooms.entries = kept->entries;
    mx_cache_set(NULL, s->server->sync->sliding_rooms, &user_nid, sizeof(user_nid), kept, bytes + OVERHEAD_BYTES, 0);
}

static apr_status_t give_back(void *data)
{
    mx_cache_put(data);
    return APR_SUCCESS;
}

/* What is remembered, with entries of the answer's own. 0: nothing. */
static int recall(mx_sliding_t *s)
{
    mx_cache_ref_t *ref = NULL;
    const kept_t *kept = mx_cache_get(&ref, s->server->sync->sliding_rooms, &s->ask->who->user_nid, sizeof(s->ask->who->user_nid));

    if (!kept) return 0;
    apr_pool_cleanup_register(s->pool, ref, give_back, apr_pool_cleanup_null);
    s->rooms = kept->rooms;
    s->rooms.entries = apr_pmemdup(s->pool, kept->rooms.entries, sizeof(*kept->rooms.entries) * (apr_size_t)kept->rooms.n);
    return 1;
}

/* ---- order ---- */

static int by_activity(const void *a, const void *b)
{
    const mx_sliding_entry_t *x = a, *y = b;

    if (x->activity != y->activity) return x->activity < y->activity ? 1 : -1;
    return x->member.room_nid < y->member.room_nid ? -1 : x->member.room_nid > y->member.room_nid;
}

static void sort(mx_sliding_rooms_t *rooms)
{
    if (rooms->n > 1) qsort(rooms->entries, (apr_size_t)rooms->n, sizeof(*rooms->entries), by_activity);
}

/* ---- moving on by the ring ---- */

/* 0: what the entry does to the rooms it does not say. */
static int take(mx_sliding_rooms_t *rooms, const mx_sync_entry_t *entry, apr_int64_t user_nid)
{
    int i;

    if (entry->kind == MX_ENTRY_ACCOUNT_DATA && entry->user_nid == user_nid && !entry->room_nid) rooms->direct_known = 0;
    if (entry->kind != MX_ENTRY_EVENT && !(entry->kind == MX_ENTRY_RECEIPT && entry->user_nid == user_nid)) return 1;
    if (entry->kind == MX_ENTRY_EVENT && (entry->target_nid == user_nid || mx_sync_entry_moved(entry, user_nid))) return 0;
    for (i = 0; i < rooms->n; i++) {
        mx_sliding_entry_t *room = &rooms->entries[i];

        if (room->member.room_nid != entry->room_nid) continue;
        room->counted = 0;
        if (entry->kind == MX_ENTRY_RECEIPT) room->read_at = entry->position;
        if (entry->kind != MX_ENTRY_EVENT) break;
        if (room->member.last_stream < entry->position) room->member.last_stream = entry->position;
        if (room->member.membership == MX_MEMBERSHIP_JOIN) room->activity = room->member.last_stream;
        if (entry->is_state || entry->jumps) room->known = 0;
        if (entry->is_state || entry->jumps) room->member.snap_nid = 0;
        if (entry->redacts || entry->jumps) room->member.state_redacted = MX_SLIDING_NEVER;
        break;
    }
    return 1;
}

/* 1: the rooms are as of the ring's head, which is `least` at least. */
static int advance_locked(mx_sliding_t *s, apr_int64_t least)
{
    mx_sync_state_t *state = s->server->sync;
    const mx_sync_ring_t *ring = &state->ring;
    apr_int64_t user_nid = s->ask->who->user_nid;
    const mx_sync_user_t *user = mx_sync_interest_user(&state->interest, user_nid);
    mx_sync_batch_t *batch;
    int i, left = ADVANCE_MAX;

    if (!state->ready || !user || !user->loaded || ring->head < user->unsure_until) return 0;
    if (ring->head < least || s->rooms.upto < ring->floor || ring->head < s->ask->since) return 0;
    for (batch = mx_sync_ring_after(ring, s->rooms.upto); batch; batch = batch->newer)
        for (i = 0; i < batch->n; i++) {
            if (batch->entries[i].position <= s->rooms.upto) continue;
            if (!left-- || !take(&s->rooms, &batch->entries[i], user_nid)) return 0;
        }
    if (ring->head > s->rooms.upto) s->rooms.upto = ring->head;
    return 1;
}

static int advance(mx_sliding_t *s, apr_int64_t least)
{
    apr_int64_t before = s->rooms.upto;
    int done;

    apr_thread_mutex_lock(s->server->sync->lock);
    done = advance_locked(s, least);
    apr_thread_mutex_unlock(s->server->sync->lock);
    if (!done || s->rooms.upto == before) return done;
    sort(&s->rooms);
    mx_sliding_list_keep(s);
    return 1;
}

/* ---- reading ---- */

/* Who was thrown out of a room may not have seen it. */
static apr_status_t find_expelled(mx_sliding_t *s)
{
    apr_int64_t *nids = apr_palloc(s->pool, sizeof(*nids) * (apr_size_t)(s->rooms.n + 1));
    apr_hash_t *by_others = apr_hash_make(s->pool);
    mx_event_row_t *rows = NULL;
    apr_status_t rv;
    int i, n = 0, nrows = 0;

    for (i = 0; i < s->rooms.n; i++) {
        int membership = s->rooms.entries[i].member.membership;

        if (membership == MX_MEMBERSHIP_LEAVE || membership == MX_MEMBERSHIP_BAN) nids[n++] = s->rooms.entries[i].member.nid;
    }
    if (!n) return APR_SUCCESS;
    rv = mx_store_event_by_nids(&rows, &nrows, s->server->store, nids, n, s->pool);
    for (i = 0; rv == APR_SUCCESS && i < nrows; i++)
        if (rows[i].sender_nid != s->ask->who->user_nid) apr_hash_set(by_others, &rows[i].nid, sizeof(rows[i].nid), "");
    for (i = 0; rv == APR_SUCCESS && i < s->rooms.n; i++) {
        apr_int64_t *nid = &s->rooms.entries[i].member.nid;

        s->rooms.entries[i].expelled = apr_hash_get(by_others, nid, sizeof(*nid)) != NULL;
    }
    return rv;
}

/* What was known of rooms in which nothing happened since is known still. */
static void carry_over(mx_sliding_rooms_t *now, const mx_sliding_rooms_t *before, apr_pool_t *pool)
{
    apr_hash_t *by_nid = apr_hash_make(pool);
    int i;

    for (i = 0; i < before->n; i++)
        apr_hash_set(by_nid, &before->entries[i].member.room_nid, sizeof(apr_int64_t), &before->entries[i]);
    for (i = 0; i < now->n; i++) {
        mx_sliding_entry_t *entry = &now->entries[i];
        const mx_sliding_entry_t *old = apr_hash_get(by_nid, &entry->member.room_nid, sizeof(apr_int64_t));

        if (!old || !old->known || old->member.last_stream != entry->member.last_stream) continue;
        entry->known = 1;
        entry->encrypted = old->encrypted;
        entry->room_type = old->room_type;
    }
}

static apr_status_t read_rooms(mx_sliding_t *s)
{
    mx_sliding_rooms_t before = s->rooms;
    mx_sync_member_row_t *members = NULL;
    apr_status_t rv;
    int i, n = 0;

    MX_SYNC_WITH_CONN(rv, &s->full, mx_store_sync_members(&members, &n, conn, s->ask->who->user_nid, MX_SYNC_INITIAL, s->pool));
    if (rv != APR_SUCCESS) return rv;
    s->rooms = (mx_sliding_rooms_t){ .upto = s->upto, .entries = apr_pcalloc(s->pool, sizeof(mx_sliding_entry_t) * (apr_size_t)(n + 1)),
                                     .rules_stream = before.rules_stream, .ignored_stream = before.ignored_stream };
    for (i = 0; i < n; i++) {
        mx_sliding_entry_t *entry = &s->rooms.entries[s->rooms.n];

        if (members[i].forgotten) continue;
        entry->member = members[i];
        entry->activity = members[i].membership == MX_MEMBERSHIP_JOIN ? members[i].last_stream : members[i].stream;
        s->rooms.n++;
    }
    rv = find_expelled(s);
    if (rv != APR_SUCCESS) return rv;
    carry_over(&s->rooms, &before, s->pool);
    sort(&s->rooms);
    mx_sliding_list_keep(s);
    return APR_SUCCESS;
}

/* Up to where the answer goes, and whether what is remembered says what is so by then. */
static apr_status_t find_position(int *pquiet, mx_sliding_t *s, int recalled)
{
    const mx_who_t *who = s->ask->who;
    mx_conn_t *conn = NULL;
    apr_status_t rv = mx_store_borrow(&conn, s->server->store, s->pool);

    *pquiet = 0;
    /* what is remembered was true at a watermark */
    if (rv == APR_SUCCESS)
        rv = mx_store_stream_watermark_after(&s->upto, recalled && s->rooms.upto > s->ask->since ? s->rooms.upto : s->ask->since, conn,
                                             s->pool);
    if (rv == APR_SUCCESS && recalled && s->rooms.upto >= s->upto) *pquiet = s->rooms.upto == s->upto;
    else if (rv == APR_SUCCESS && recalled)
        rv = mx_store_sync_quiet(pquiet, conn, who->user_nid, who->device_nid, s->rooms.upto, s->upto, s->pool);
    mx_store_return(conn);
    return rv;
}

const mx_error_t *mx_sliding_list_read(mx_sliding_t *s)
{
    int recalled = recall(s), quiet = 0;
    apr_status_t rv;

    if (recalled && s->ask->patient && advance(s, 0)) {
        s->upto = s->rooms.upto;
        return NULL;
    }
    rv = find_position(&quiet, s, recalled);
    if (rv == APR_SUCCESS && !quiet && recalled && advance(s, s->upto)) {
        s->upto = s->rooms.upto;
        return NULL;
    }
    if (rv == APR_SUCCESS && !quiet) rv = read_rooms(s);
    else if (rv == APR_SUCCESS && s->rooms.upto < s->upto) s->rooms.upto = s->upto;
    return rv == APR_SUCCESS ? NULL : mx_server_store_error(rv, "read a user's rooms", s->pool);
}

/* ---- what the user has read ---- */

const mx_error_t *mx_sliding_list_reads(mx_sliding_t *s)
{
    apr_size_t max = (apr_size_t)s->rooms.n + 1;
    apr_int64_t *nids = apr_palloc(s->pool, sizeof(*nids) * max), *reads = apr_palloc(s->pool, sizeof(*reads) * max);
    mx_sliding_entry_t **asked = apr_palloc(s->pool, sizeof(*asked) * max);
    apr_status_t rv;
    int i, n = 0;

    for (i = 0; s->conn.nrooms && i < s->rooms.n; i++) {
        mx_sliding_entry_t *entry = &s->rooms.entries[i];

        if (entry->read_known || entry->member.membership != MX_MEMBERSHIP_JOIN) continue;
        if (!mx_sliding_conn_find(&s->conn, entry->member.room_nid)) continue;
        asked[n] = entry;
        nids[n++] = entry->member.room_nid;
    }
    if (!n) return NULL;
    rv = mx_store_sliding_reads(reads, s->server->store, nids, n, s->ask->who->user_nid, s->pool);
    if (rv != APR_SUCCESS) return mx_server_store_error(rv, "read when rooms were read", s->pool);
    for (i = 0; i < n; i++) {
        asked[i]->read_known = 1;
        asked[i]->read_at = reads[i];
    }
    mx_sliding_list_keep(s);
    return NULL;
}
