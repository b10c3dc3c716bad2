/* SPDX-License-Identifier: Apache-2.0 */
/*
 * required_state of the rooms that are told, and what names a room: name, avatar, heroes, counts. A new room is told what its state
 * is, others what of it is another than when they were told. MSC4186: RequiredStateRequest, lazy loaded memberships.
 */
#include "sync/sliding_private.h"
#include <stdlib.h>

/* Types of which a row may be made for a key that no room has yet: without it, each answer would ask the database for it. */
static const char *const plain_types[] = { "m.room.create", "m.room.encryption", "m.room.join_rules", "m.room.name", "m.room.avatar",
                                           "m.room.topic", "m.room.canonical_alias", "m.room.power_levels", "m.room.tombstone",
                                           "m.room.history_visibility", "m.room.guest_access", "m.room.pinned_events",
                                           "m.room.server_acl", "m.room.third_party_invite", "m.room.retention" };

#define SMALL_ROOM 200               /* members of a room whose state is loaded whole */

typedef struct state_t {
    mx_sliding_t *s;
    int member_type;
    apr_int64_t name_skey, avatar_skey;
    apr_hash_t *rows;                /* nid -> mx_sliding_row_event_t */
    apr_int64_t *since;              /* snapshot that each part was told; 0: it is told whole */
    mx_state_list_t *wholes, *diffs; /* of each part; n 0: none */
    apr_array_header_t *skeys;       /* asked of the snapshots at the end, of apr_int64_t */
    apr_hash_t *asked;
    apr_hash_t *hits;                /* hit_key_t -> nid */
} state_t;

typedef struct hit_key_t {
    apr_int64_t snap_nid, skey_nid;
} hit_key_t;

static const mx_error_t *failed(apr_status_t rv, const char *what, const mx_sliding_t *s)
{
    return rv == APR_SUCCESS ? NULL : mx_server_store_error(rv, what, s->pool);
}

static int is_delta(const state_t *st, int i)
{
    const mx_sliding_wanted_t *wanted = st->s->telling[i];

    return mx_sync_part_has_state(wanted->part) && !wanted->initial;
}

static int is_whole(const state_t *st, int i)
{
    const mx_sliding_wanted_t *wanted = st->s->telling[i];

    return mx_sync_part_has_state(wanted->part) && (wanted->initial || wanted->state_grew) && mx_sliding_config_is_wild(&wanted->config);
}

/* ---- rows ---- */

static const mx_sliding_row_event_t *event_of(const state_t *st, apr_int64_t nid)
{
    return nid ? apr_hash_get(st->rows, &nid, sizeof(nid)) : NULL;
}

static const mx_event_row_t *row_of(const state_t *st, apr_int64_t nid)
{
    const mx_sliding_row_event_t *event = event_of(st, nid);

    return event ? &event->row : NULL;
}

static void push_nid(apr_array_header_t *nids, const mx_sliding_wanted_t *wanted, apr_int64_t nid)
{
    if (nid) APR_ARRAY_PUSH(nids, mx_sliding_nid_t) = (mx_sliding_nid_t){ nid, wanted->entry->member.state_redacted };
}

static void push_nids(apr_array_header_t *nids, const mx_sliding_wanted_t *wanted, const mx_state_list_t *list)
{
    int i;

    for (i = 0; i < list->n; i++) push_nid(nids, wanted, list->items[i].nid);
}

/* ---- whole states and differences ---- */

static apr_status_t read_snaps(state_t *st)
{
    mx_sliding_t *s = st->s;
    apr_size_t max = (apr_size_t)s->full.nparts + 1;
    apr_int64_t *rooms = apr_palloc(s->pool, sizeof(*rooms) * max), *at = apr_palloc(s->pool, sizeof(*at) * max);
    apr_int64_t *snaps = apr_palloc(s->pool, sizeof(*snaps) * max);
    apr_status_t rv = APR_SUCCESS;
    int i, n = 0;

    for (i = 0; i < s->full.nparts; i++) {
        if (!is_delta(st, i)) continue;
        rooms[n] = s->full.parts[i].member->room_nid;
        at[n++] = s->telling[i]->since;
    }
    if (n) rv = mx_store_state_at_each(snaps, s->server->store, rooms, at, n, s->pool);
    for (i = 0, n = 0; rv == APR_SUCCESS && i < s->full.nparts; i++)
        if (is_delta(st, i)) st->since[i] = snaps[n++];
    return rv;
}

static apr_status_t read_lists(state_t *st)
{
    mx_sliding_t *s = st->s;
    apr_size_t max = (apr_size_t)s->full.nparts + 1;
    apr_int64_t *from = apr_palloc(s->pool, sizeof(*from) * max), *to = apr_palloc(s->pool, sizeof(*to) * max);
    apr_int64_t *whole = apr_palloc(s->pool, sizeof(*whole) * max);
    mx_state_list_t *diffs = apr_pcalloc(s->pool, sizeof(*diffs) * max), *wholes = apr_pcalloc(s->pool, sizeof(*wholes) * max);
    apr_status_t rv = APR_SUCCESS;
    int i, ndiff = 0, nwhole = 0;

    for (i = 0; i < s->full.nparts; i++) {
        apr_int64_t end = s->full.parts[i].snap_end;

        if (is_whole(st, i)) whole[nwhole++] = end;
        if (!is_delta(st, i) || st->since[i] == end) continue;
        from[ndiff] = st->since[i];
        to[ndiff++] = end;
    }
    if (nwhole) rv = mx_store_state_load_many(wholes, s->server->store, whole, nwhole, s->pool);
    if (rv == APR_SUCCESS && ndiff) rv = mx_store_state_diff_many(diffs, s->server->store, from, to, ndiff, s->pool);
    for (i = 0, ndiff = nwhole = 0; rv == APR_SUCCESS && i < s->full.nparts; i++) {
        if (is_whole(st, i)) st->wholes[i] = wholes[nwhole++];
        if (is_delta(st, i) && st->since[i] != s->full.parts[i].snap_end) st->diffs[i] = diffs[ndiff++];
    }
    return rv;
}

/* Of whole states whose members come lazily, members are not read. */
static const mx_error_t *read_list_rows(state_t *st)
{
    mx_sliding_t *s = st->s;
    apr_array_header_t *all = apr_array_make(s->pool, 64, sizeof(mx_sliding_nid_t));
    apr_array_header_t *lazy = apr_array_make(s->pool, 64, sizeof(mx_sliding_nid_t));
    const mx_error_t *err;
    int i;

    for (i = 0; i < s->full.nparts; i++) {
        push_nids(s->telling[i]->config.lazy ? lazy : all, s->telling[i], &st->wholes[i]);
        push_nids(all, s->telling[i], &st->diffs[i]);
    }
    err = mx_sliding_rows_read(st->rows, &s->full, all, 0);
    return err ? err : mx_sliding_rows_read(st->rows, &s->full, lazy, 1);
}

/* What the differences say of names, avatars and members. */
static void see_moves(state_t *st)
{
    int i, k;

    for (i = 0; i < st->s->full.nparts; i++) {
        mx_sliding_wanted_t *wanted = st->s->telling[i];

        for (k = 0; k < st->diffs[i].n; k++) {
            const mx_state_item_t *item = &st->diffs[i].items[k];
            const mx_event_row_t *row = row_of(st, item->nid);

            if (item->skey_nid == st->name_skey) {
                wanted->name_moved = 1;
                wanted->name = row;
                wanted->name_gone = !row;
            } else if (item->skey_nid == st->avatar_skey) {
                wanted->avatar_moved = 1;
                wanted->avatar = row;
                wanted->avatar_gone = !row;
            } else if (!row || row->type_nid == st->member_type) wanted->members_moved = 1;
        }
    }
}

/* ---- single entries ---- */

static void ask_skey(state_t *st, apr_int64_t skey_nid)
{
    if (!skey_nid || apr_hash_get(st->asked, &skey_nid, sizeof(skey_nid))) return;
    apr_hash_set(st->asked, apr_pmemdup(st->s->pool, &skey_nid, sizeof(skey_nid)), sizeof(skey_nid), "");
    APR_ARRAY_PUSH(st->skeys, apr_int64_t) = skey_nid;
}

static int is_plain_type(const char *type)
{
    apr_size_t i;

    for (i = 0; i < sizeof(plain_types) / sizeof(plain_types[0]); i++)
        if (!strcmp(plain_types[i], type)) return 1;
    return 0;
}

static apr_status_t find_skey(apr_int64_t *pskey, state_t *st, const char *type, const char *state_key)
{
    apr_status_t rv;

    *pskey = 0;
    if (!*state_key && is_plain_type(type)) return mx_server_skey_nid(pskey, st->s->server, type, state_key, st->s->pool);
    rv = mx_server_skey_nid_find(pskey, st->s->server, type, state_key, st->s->pool);
    if (rv == MX_STORE_NONE) *pskey = 0;
    return rv == MX_STORE_NONE ? APR_SUCCESS : rv;
}

static apr_status_t ask_config(state_t *st, const mx_sliding_config_t *config)
{
    apr_status_t rv = APR_SUCCESS;
    apr_int64_t skey = 0;
    int i;

    for (i = 0; rv == APR_SUCCESS && i < config->nkeys; i++) {
        if (!strcmp(config->keys[i].type, "*") || !strcmp(config->keys[i].state_key, "*")) continue;
        rv = find_skey(&skey, st, config->keys[i].type, config->keys[i].state_key);
        if (rv == APR_SUCCESS) ask_skey(st, skey);
    }
    return rv;
}

/* The keys of the users' member events, 0 for one who has none. */
static apr_status_t member_skeys(apr_int64_t *out, state_t *st, const apr_int64_t *users, int n)
{
    const char **ids = NULL;
    apr_status_t rv = n ? mx_server_user_ids(&ids, st->s->server, users, n, st->s->pool) : APR_SUCCESS;
    int i;

    for (i = 0; rv == APR_SUCCESS && i < n; i++) {
        out[i] = 0;
        if (ids[i]) rv = find_skey(&out[i], st, "m.room.member", ids[i]);
    }
    return rv;
}

static int has_nid(const apr_int64_t *nids, int n, apr_int64_t nid)
{
    return n && bsearch(&nid, nids, (apr_size_t)n, sizeof(*nids), mx_nid_cmp);
}

/* Members that the timeline names, by the keys of their member events; those of this answer, then those of before. */
static apr_status_t ask_lazy(state_t *st, mx_sliding_wanted_t *wanted)
{
    const mx_sync_part_t *part = wanted->part;
    apr_int64_t *users = apr_palloc(st->s->pool, sizeof(*users) * (apr_size_t)(part->n + 1));
    apr_int64_t *skeys = apr_palloc(st->s->pool, sizeof(*skeys) * (apr_size_t)(part->n + 1));
    const mx_sliding_told_t *before = wanted->initial ? NULL : wanted->before;
    apr_status_t rv;
    int i;

    wanted->members = apr_array_make(st->s->pool, part->n + (before ? before->nmembers : 0) + 4, sizeof(apr_int64_t));
    for (i = 0; i < part->n; i++) users[i] = part->rows[i].sender_nid;
    rv = member_skeys(skeys, st, users, part->n);
    for (i = 0; rv == APR_SUCCESS && i < 2 * part->n; i++) {
        const mx_event_row_t *row = &part->rows[i % part->n];
        apr_int64_t skey = i < part->n ? skeys[i] : row->type_nid == st->member_type ? row->skey_nid : 0;

        if (!skey || (before && has_nid(before->members, before->nmembers, skey))) continue;
        APR_ARRAY_PUSH(wanted->members, apr_int64_t) = skey;
        ask_skey(st, skey);
    }
    return rv;
}

/* ---- summaries ---- */

static int needs_summary(const mx_sliding_wanted_t *wanted)
{
    return wanted->part->section == MX_SECTION_JOIN && (wanted->initial || wanted->members_moved || wanted->name_moved);
}

static const mx_error_t *read_summaries(state_t *st)
{
    mx_sliding_t *s = st->s;
    mx_sliding_wanted_t **wanted = apr_palloc(s->pool, sizeof(*wanted) * (apr_size_t)(s->full.nparts + 1));
    const mx_error_t *err;
    apr_status_t rv = APR_SUCCESS;
    int i, k, n = 0;

    for (i = 0; i < s->full.nparts; i++)
        if (needs_summary(s->telling[i])) wanted[n++] = s->telling[i];
    err = mx_sliding_summaries_read(s, wanted, n);
    for (i = 0; !err && rv == APR_SUCCESS && i < n; i++)
        for (k = 0; rv == APR_SUCCESS && k < wanted[i]->summary->nheroes; k++) {
            apr_int64_t skey = 0;

            rv = find_skey(&skey, st, "m.room.member", wanted[i]->summary->heroes[k].user_id);
            ask_skey(st, skey);
        }
    return err ? err : failed(rv, "look up heroes", s);
}

/* ---- asking the snapshots ---- */

static apr_status_t ask_all(state_t *st)
{
    mx_sliding_t *s = st->s;
    apr_status_t rv = APR_SUCCESS;
    int i;

    for (i = 0; rv == APR_SUCCESS && i < s->full.nparts; i++) {
        mx_sliding_wanted_t *wanted = s->telling[i];

        if (!mx_sync_part_has_state(wanted->part)) continue;
        if (wanted->initial) {
            ask_skey(st, st->name_skey);
            ask_skey(st, st->avatar_skey);
        }
        if (wanted->initial || wanted->state_grew) rv = ask_config(st, &wanted->config);
        if (rv == APR_SUCCESS && wanted->config.lazy) rv = ask_lazy(st, wanted);
    }
    return rv;
}

static void note_hit(state_t *st, apr_int64_t snap_nid, apr_int64_t skey_nid, apr_int64_t nid)
{
    hit_key_t *key = apr_pcalloc(st->s->pool, sizeof(*key));

    *key = (hit_key_t){ snap_nid, skey_nid };
    apr_hash_set(st->hits, key, sizeof(*key), apr_pmemdup(st->s->pool, &nid, sizeof(nid)));
}

/* Is the room new to the client and small? Its state is then loaded whole, for a child remembers whole states. */
static int is_small(const mx_sliding_wanted_t *wanted)
{
    return wanted->initial && wanted->summary && wanted->summary->joined + wanted->summary->invited <= SMALL_ROOM;
}

static apr_status_t read_small(state_t *st, const apr_int64_t *snaps, int n)
{
    mx_state_list_t *lists = apr_pcalloc(st->s->pool, sizeof(*lists) * (apr_size_t)(n + 1));
    apr_status_t rv = n ? mx_store_state_load_many(lists, st->s->server->store, snaps, n, st->s->pool) : APR_SUCCESS;
    int i, k;

    for (i = 0; rv == APR_SUCCESS && i < n; i++)
        for (k = 0; k < lists[i].n; k++) {
            const mx_state_item_t *item = &lists[i].items[k];

            if (apr_hash_get(st->asked, &item->skey_nid, sizeof(item->skey_nid))) note_hit(st, snaps[i], item->skey_nid, item->nid);
        }
    return rv;
}

static apr_status_t read_large(state_t *st, const apr_int64_t *snaps, int n)
{
    mx_state_hit_t *hits = NULL;
    int i, nhits = 0;
    apr_status_t rv = APR_SUCCESS;

    if (n)
        rv = mx_store_state_entries(&hits, &nhits, st->s->server->store, snaps, n, (const apr_int64_t *)st->skeys->elts, st->skeys->nelts,
                                    st->s->pool);
    for (i = 0; rv == APR_SUCCESS && i < nhits; i++) note_hit(st, hits[i].snap_nid, hits[i].skey_nid, hits[i].nid);
    return rv;
}

static apr_int64_t hit_of(const state_t *st, const mx_sync_part_t *part, apr_int64_t skey_nid)
{
    hit_key_t key = { part->snap_end, skey_nid };
    const apr_int64_t *nid = apr_hash_get(st->hits, &key, sizeof(key));

    return nid ? *nid : 0;
}

/* The events of what was found. */
static const mx_error_t *read_hit_rows(state_t *st)
{
    mx_sliding_t *s = st->s;
    apr_array_header_t *nids = apr_array_make(s->pool, 64, sizeof(mx_sliding_nid_t));
    int i, k;

    for (i = 0; i < s->full.nparts; i++)
        for (k = 0; s->full.parts[i].snap_end && k < st->skeys->nelts; k++)
            push_nid(nids, s->telling[i], hit_of(st, &s->full.parts[i], APR_ARRAY_IDX(st->skeys, k, apr_int64_t)));
    return mx_sliding_rows_read(st->rows, &s->full, nids, 0);
}

static const mx_error_t *read_entries(state_t *st)
{
    mx_sliding_t *s = st->s;
    apr_size_t max = (apr_size_t)s->full.nparts + 1;
    apr_int64_t *small = apr_palloc(s->pool, sizeof(*small) * max), *large = apr_palloc(s->pool, sizeof(*large) * max);
    apr_hash_t *seen = apr_hash_make(s->pool);
    apr_status_t rv;
    int i, nsmall = 0, nlarge = 0;

    for (i = 0; st->skeys->nelts && i < s->full.nparts; i++) {
        apr_int64_t *snap = &s->full.parts[i].snap_end;

        if (!*snap || apr_hash_get(seen, snap, sizeof(*snap))) continue;
        apr_hash_set(seen, snap, sizeof(*snap), "");
        if (is_small(s->telling[i])) small[nsmall++] = *snap;
        else large[nlarge++] = *snap;
    }
    rv = read_small(st, small, nsmall);
    if (rv == APR_SUCCESS) rv = read_large(st, large, nlarge);
    return rv == APR_SUCCESS ? read_hit_rows(st) : mx_server_store_error(rv, "read required state", s->pool);
}

static const mx_event_row_t *entry_of(const state_t *st, const mx_sync_part_t *part, apr_int64_t skey_nid)
{
    return row_of(st, hit_of(st, part, skey_nid));
}

/* ---- choosing what is told ---- */

static int is_wanted(const mx_sliding_config_t *config, const mx_sliding_row_event_t *event)
{
    return event && mx_sliding_config_wants(config, event->type, event->state_key);
}

static void tell(mx_sliding_wanted_t *wanted, apr_hash_t *seen, const mx_event_row_t *row)
{
    if (!row || apr_hash_get(seen, &row->nid, sizeof(row->nid))) return;
    apr_hash_set(seen, &row->nid, sizeof(row->nid), "");
    APR_ARRAY_PUSH(wanted->state, const mx_event_row_t *) = row;
}

static void tell_list(state_t *st, mx_sliding_wanted_t *wanted, apr_hash_t *seen, const mx_state_list_t *list)
{
    int i;

    for (i = 0; i < list->n; i++) {
        const mx_sliding_row_event_t *event = event_of(st, list->items[i].nid);

        if (is_wanted(&wanted->config, event)) tell(wanted, seen, &event->row);
    }
}

static void tell_config(state_t *st, mx_sliding_wanted_t *wanted, apr_hash_t *seen)
{
    int i;

    for (i = 0; i < st->skeys->nelts; i++) {
        const mx_sliding_row_event_t *event = event_of(st, hit_of(st, wanted->part, APR_ARRAY_IDX(st->skeys, i, apr_int64_t)));

        if (is_wanted(&wanted->config, event)) tell(wanted, seen, &event->row);
    }
}

/*
 * Members told lazily: those of the timeline, and where nothing is left out all that changed. What the client was told of others
 * that changed is of the past: it is told anew when it needs them.
 */
static void tell_lazy(state_t *st, mx_sliding_wanted_t *wanted, const mx_state_list_t *diff, apr_hash_t *seen)
{
    const mx_sync_part_t *part = wanted->part;
    const mx_sliding_told_t *before = wanted->initial ? NULL : wanted->before;
    apr_hash_t *gone = apr_hash_make(st->s->pool);
    int i, mine = wanted->members->nelts;

    for (i = 0; i < diff->n; i++) {
        const mx_event_row_t *row = row_of(st, diff->items[i].nid);

        if (row && row->type_nid != st->member_type) continue;
        if (part->limited || !row) apr_hash_set(gone, &diff->items[i].skey_nid, sizeof(apr_int64_t), "");
        else {
            tell(wanted, seen, row);
            APR_ARRAY_PUSH(wanted->members, apr_int64_t) = diff->items[i].skey_nid;
        }
    }
    for (i = 0; i < mine; i++) tell(wanted, seen, entry_of(st, part, APR_ARRAY_IDX(wanted->members, i, apr_int64_t)));
    for (i = 0; before && i < before->nmembers; i++)
        if (!apr_hash_get(gone, &before->members[i], sizeof(apr_int64_t)))
            APR_ARRAY_PUSH(wanted->members, apr_int64_t) = before->members[i];
}

static void settle_members(apr_array_header_t *members)
{
    apr_int64_t *nids = (apr_int64_t *)members->elts;
    int i, kept = 0;

    if (members->nelts > 1) qsort(nids, (apr_size_t)members->nelts, sizeof(*nids), mx_nid_cmp);
    for (i = 0; i < members->nelts; i++)
        if (!kept || nids[kept - 1] != nids[i]) nids[kept++] = nids[i];
    members->nelts = kept;
}

static void tell_part(state_t *st, int i)
{
    mx_sliding_wanted_t *wanted = st->s->telling[i];
    apr_hash_t *seen = apr_hash_make(st->s->pool);

    wanted->state = apr_array_make(st->s->pool, 8, sizeof(const mx_event_row_t *));
    if (!mx_sync_part_has_state(wanted->part)) return;
    if (wanted->initial) {
        wanted->name = entry_of(st, wanted->part, st->name_skey);
        wanted->avatar = entry_of(st, wanted->part, st->avatar_skey);
    }
    tell_list(st, wanted, seen, &st->wholes[i]);
    tell_list(st, wanted, seen, &st->diffs[i]);
    if (wanted->initial || wanted->state_grew) tell_config(st, wanted, seen);
    if (!wanted->config.lazy) return;
    tell_lazy(st, wanted, &st->diffs[i], seen);
    settle_members(wanted->members);
}

static void find_heroes(state_t *st)
{
    mx_sliding_t *s = st->s;
    int i, k;

    s->heroes = apr_hash_make(s->pool);
    for (i = 0; i < s->full.nparts; i++) {
        const mx_sliding_wanted_t *wanted = s->telling[i];

        for (k = 0; wanted->summary && k < wanted->summary->nheroes; k++) {
            const mx_store_hero_t *hero = &wanted->summary->heroes[k];
            apr_int64_t skey = 0;

            if (find_skey(&skey, st, "m.room.member", hero->user_id) != APR_SUCCESS || !skey) continue;
            apr_hash_set(s->heroes, hero, sizeof(apr_int64_t) * 2, entry_of(st, wanted->part, skey));
        }
    }
}

const mx_error_t *mx_sliding_state_load(mx_sliding_t *s)
{
    apr_size_t max = (apr_size_t)s->full.nparts + 1;
    state_t st = { .s = s, .rows = apr_hash_make(s->pool), .asked = apr_hash_make(s->pool), .hits = apr_hash_make(s->pool),
                   .skeys = apr_array_make(s->pool, 32, sizeof(apr_int64_t)) };
    const mx_error_t *err;
    apr_status_t rv = mx_server_type_nid(&st.member_type, s->server, "m.room.member", s->pool);
    int i;

    st.since = apr_pcalloc(s->pool, sizeof(*st.since) * max);
    st.wholes = apr_pcalloc(s->pool, sizeof(*st.wholes) * max);
    st.diffs = apr_pcalloc(s->pool, sizeof(*st.diffs) * max);
    if (rv == APR_SUCCESS) rv = find_skey(&st.name_skey, &st, "m.room.name", "");
    if (rv == APR_SUCCESS) rv = find_skey(&st.avatar_skey, &st, "m.room.avatar", "");
    if (rv == APR_SUCCESS) rv = read_snaps(&st);
    if (rv == APR_SUCCESS) rv = read_lists(&st);
    if (rv != APR_SUCCESS) return mx_server_store_error(rv, "read the rooms' states", s->pool);
    err = read_list_rows(&st);
    if (err) return err;
    see_moves(&st);
    err = read_summaries(&st);
    if (err) return err;
    rv = ask_all(&st);
    if (rv != APR_SUCCESS) return mx_server_store_error(rv, "look up required state", s->pool);
    err = read_entries(&st);
    for (i = 0; !err && i < s->full.nparts; i++) tell_part(&st, i);
    if (!err) find_heroes(&st);
    return err;
}
