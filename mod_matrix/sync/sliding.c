/* SPDX-License-Identifier: Apache-2.0 */
/* One answer of sliding sync: which of the rooms asked for have news on this connection, and what the client knows afterwards. MSC4186. */
#include "sync/sliding_private.h"

/* ---- what is news ---- */

static int is_inside(int membership)
{
    return membership == MX_MEMBERSHIP_JOIN || membership == MX_MEMBERSHIP_INVITE || membership == MX_MEMBERSHIP_KNOCK;
}

/* A pattern that asks for what none of the old ones did. */
static int state_grew(const mx_sliding_config_t *before, const mx_sliding_config_t *now)
{
    int i;

    if (mx_sliding_config_same_state(before, now)) return 0;
    if (before->lazy && !now->lazy) return 1;    /* patterns for every type mean members again */
    for (i = 0; i < now->nkeys; i++)
        if (!mx_sliding_config_wants(before, now->keys[i].type, now->keys[i].state_key)) return 1;
    return 0;
}

/* Since when, and why, something is to be told of the room. MSC4186: changing room configs. */
static void classify(mx_sliding_t *s, mx_sliding_wanted_t *wanted)
{
    const mx_sync_member_row_t *member = &wanted->entry->member;
    const mx_sliding_told_t *before = mx_sliding_conn_find(&s->conn, member->room_nid);
    apr_int64_t upto = before ? before->upto[MX_SLIDING_ROOM] : MX_SLIDING_NEVER;

    if (wanted->config.timeline_limit > s->server->settings->timeline_max)
        wanted->config.timeline_limit = s->server->settings->timeline_max;
    wanted->before = before;
    wanted->since = upto == MX_SLIDING_LIVE ? s->ask->since : upto;
    wanted->initial = upto == MX_SLIDING_NEVER || (before->membership != member->membership && is_inside(member->membership));
    if (wanted->initial) {
        wanted->since = MX_SYNC_INITIAL;
        wanted->tell = 1;
        return;
    }
    if (member->membership == MX_MEMBERSHIP_INVITE || member->membership == MX_MEMBERSHIP_KNOCK) {
        wanted->tell = member->stream > wanted->since;
        return;
    }
    wanted->expanded = wanted->config.timeline_limit > before->timeline_limit;
    wanted->state_grew = state_grew(&APR_ARRAY_IDX(s->conn.configs, before->config, mx_sliding_config_t), &wanted->config);
    wanted->read = member->membership == MX_MEMBERSHIP_JOIN && wanted->entry->read_at > wanted->since;
    wanted->skips = !wanted->config.timeline_limit && member->membership == MX_MEMBERSHIP_JOIN && member->last_stream > wanted->since;
    wanted->tell = wanted->expanded || wanted->read || wanted->state_grew || before->membership != member->membership
                   || (member->membership == MX_MEMBERSHIP_JOIN ? member->last_stream : member->stream) > wanted->since;
}

/* ---- what the client knows afterwards ---- */

static void note_told(mx_sliding_t *s, mx_sliding_conn_t *next, mx_sliding_told_t *told, const mx_sliding_wanted_t *wanted)
{
    const mx_sync_part_t *part = wanted->part;
    const mx_sliding_told_t *before = wanted->initial ? NULL : wanted->before;
    int limit = wanted->config.timeline_limit;

    told->membership = wanted->entry->member.membership;
    /* a timeline that went on where the last one ended leaves the client with all that it had */
    if (before && !wanted->expanded && !part->limited && before->timeline_limit > limit && !wanted->skips) limit = before->timeline_limit;
    if ((wanted->initial || wanted->expanded) && !part->limited && limit) limit = MX_SLIDING_TIMELINE_LIMIT_MAX;
    told->timeline_limit = limit;
    told->config = mx_sliding_conn_config(next, &wanted->config);
    told->members = wanted->members ? (apr_int64_t *)wanted->members->elts : NULL;
    told->nmembers = wanted->members ? wanted->members->nelts : 0;
    s->changed = s->changed || !before || told->membership != before->membership || told->timeline_limit != before->timeline_limit
                 || !mx_sliding_config_same_state(&wanted->config, &APR_ARRAY_IDX(s->conn.configs, before->config, mx_sliding_config_t))
                 || told->nmembers != before->nmembers
                 || (told->nmembers && memcmp(told->members, before->members, sizeof(*told->members) * (apr_size_t)told->nmembers) != 0);
}

static void set_upto(mx_sliding_t *s, mx_sliding_told_t *told, mx_sliding_what_e what, apr_int64_t upto)
{
    if (told->upto[what] != upto) s->changed = 1;
    told->upto[what] = upto;
}

static void note_extension(mx_sliding_t *s, mx_sliding_told_t *told, mx_sliding_what_e what, const mx_sliding_scope_t *scope,
                           const mx_sliding_wanted_t *wanted)
{
    if (wanted && mx_sliding_ext_means(scope, s, wanted)) set_upto(s, told, what, MX_SLIDING_LIVE);
    else if (told->upto[what] == MX_SLIDING_LIVE) set_upto(s, told, what, s->ask->since);
}

/* Does something wait that was not told? */
static int has_moved(const mx_sliding_t *s, apr_hash_t *entries, const mx_sliding_told_t *told)
{
    const mx_sliding_entry_t *entry = apr_hash_get(entries, &told->room_nid, sizeof(told->room_nid));

    if (!entry) return 0;
    return entry->member.stream > s->ask->since || entry->member.last_stream > s->ask->since || entry->read_at > s->ask->since;
}

/* One room; 0: the client has no use for what it was told any more. */
static int note_room(mx_sliding_t *s, mx_sliding_conn_t *next, mx_sliding_told_t *told, const mx_sliding_wanted_t *wanted,
                     apr_hash_t *entries)
{
    if (wanted && wanted->told && !is_inside(wanted->entry->member.membership) && !wanted->entry->expelled) {
        s->changed = 1;
        return 0;
    }
    if (wanted && wanted->told) note_told(s, next, told, wanted);
    else told->config = mx_sliding_conn_config(next, &APR_ARRAY_IDX(s->conn.configs, told->config, mx_sliding_config_t));
    if (wanted) set_upto(s, told, MX_SLIDING_ROOM, MX_SLIDING_LIVE);
    else if (told->upto[MX_SLIDING_ROOM] == MX_SLIDING_LIVE && has_moved(s, entries, told))
        set_upto(s, told, MX_SLIDING_ROOM, s->ask->since);
    note_extension(s, told, MX_SLIDING_RECEIPTS, &s->ask->request->receipts, wanted);
    note_extension(s, told, MX_SLIDING_DATA, &s->ask->request->account_data, wanted);
    return 1;
}

static apr_hash_t *entries_by_nid(const mx_sliding_t *s)
{
    apr_hash_t *out = apr_hash_make(s->pool);
    int i;

    for (i = 0; s->conn.nrooms && i < s->rooms.n; i++)
        apr_hash_set(out, &s->rooms.entries[i].member.room_nid, sizeof(apr_int64_t), &s->rooms.entries[i]);
    return out;
}

/* Both lists are in the order of room_nid. */
static void make_next(mx_sliding_conn_t *next, mx_sliding_t *s)
{
    apr_hash_t *entries = entries_by_nid(s);
    int i = 0, k = 0;

    next->rooms = apr_palloc(s->pool, sizeof(*next->rooms) * (apr_size_t)(s->conn.nrooms + s->nwanted + 1));
    next->nrooms = 0;
    next->configs = apr_array_make(s->pool, 4, sizeof(mx_sliding_config_t));
    while (i < s->conn.nrooms || k < s->nwanted) {
        const mx_sliding_told_t *before = i < s->conn.nrooms ? &s->conn.rooms[i] : NULL;
        const mx_sliding_wanted_t *wanted = k < s->nwanted ? &s->wanted[k] : NULL;
        mx_sliding_told_t *told = &next->rooms[next->nrooms];

        if (before && wanted && before->room_nid != wanted->entry->member.room_nid) {
            if (before->room_nid < wanted->entry->member.room_nid) wanted = NULL;
            else before = NULL;
        }
        i += before != NULL;
        k += wanted != NULL;
        if (!before && !wanted->told) continue;
        if (before) *told = *before;
        else *told = (mx_sliding_told_t){ .room_nid = wanted->entry->member.room_nid,
                                          .upto = { MX_SLIDING_NEVER, MX_SLIDING_NEVER, MX_SLIDING_NEVER } };
        next->nrooms += note_room(s, next, told, wanted, entries);
    }
}

/* ---- the answer ---- */

static void write_lists(mx_json_writer_t *w, const mx_sliding_t *s)
{
    int i;

    mx_jw_key_object(w, "lists");
    for (i = 0; i < s->ask->request->nlists; i++) {
        mx_jw_key_object(w, s->ask->request->lists[i].name);
        mx_jw_key_int(w, "count", s->counts[i]);
        mx_jw_end_object(w);
    }
    mx_jw_end_object(w);
}

/* Its position comes last: what is told by then is known, and stored. */
static const mx_error_t *write_all(mx_sync_answer_t *out, mx_sliding_t *s)
{
    mx_json_writer_t *w = mx_jw_create(s->pool);
    mx_sliding_conn_t next = { 0 };
    const mx_error_t *err;

    mx_jw_object(w);
    write_lists(w, s);
    err = mx_sliding_write_rooms(w, s);
    if (!err) err = mx_sliding_ext_write(w, s);
    if (err) return err;
    next.version = s->conn.version;
    make_next(&next, s);
    if (s->told || s->ask->last || !s->ask->version) {
        if (s->changed || !s->ask->version) err = mx_sliding_conn_store(&next, s->server, s->ask, s->now, s->pool);
        if (err) return err;
        mx_jw_key_str(w, "pos", apr_psprintf(s->pool, "%" APR_INT64_T_FMT "/%" APR_INT64_T_FMT, next.version, s->upto));
    }
    mx_jw_end_object(w);
    *out = (mx_sync_answer_t){ w->buf, NULL, s->upto, !s->told && s->ask->version };
    return NULL;
}

const mx_error_t *mx_sync_sliding_answer(mx_sync_answer_t *out, mx_server_t *server, const mx_sliding_ask_t *ask, apr_pool_t *pool)
{
    mx_sync_ask_t plain = { .who = ask->who, .since = MX_SYNC_INITIAL, .acked = MX_SYNC_INITIAL, .filter = mx_filter_default() };
    mx_sliding_t s = { .server = server, .ask = ask, .pool = pool, .now = apr_time_now() };
    const mx_error_t *err = mx_sliding_conn_load(&s.conn, server, ask, pool);
    int i;

    s.full = (mx_sync_full_t){ .server = server, .ask = &plain, .filter = plain.filter, .now = s.now, .pool = pool };
    if (!err) err = mx_sliding_list_read(&s);
    if (!err) err = mx_sliding_list_choose(&s);
    if (!err) err = mx_sliding_list_reads(&s);
    if (err) return err;
    s.full.upto = s.upto;
    for (i = 0; i < s.nwanted; i++) classify(&s, &s.wanted[i]);
    err = mx_sliding_rooms_load(&s);
    return err ? err : write_all(out, &s);
}
