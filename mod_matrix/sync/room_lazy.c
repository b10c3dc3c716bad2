/* SPDX-License-Identifier: Apache-2.0 */
/* Which members a lazily loading client is told of: the senders of the timeline, the heroes, itself. CS-API: lazy-loading room members. */
#include "sync/full.h"

/* A member somebody needs. */
typedef struct wanted_t {
    mx_sync_part_t *part;
    apr_int64_t user_nid, skey_nid;
} wanted_t;

typedef struct lazy_t {
    mx_sync_full_t *full;
    apr_array_header_t *wanted;      /* of wanted_t */
    apr_array_header_t *users;       /* distinct, of apr_int64_t */
    apr_hash_t *known_users;         /* nid -> its place in `users`, as a pointer to it */
} lazy_t;

static void want(lazy_t *lazy, mx_sync_part_t *part, apr_int64_t user_nid)
{
    wanted_t *wanted = (wanted_t *)lazy->wanted->elts;
    mx_sync_full_t *full = lazy->full;
    int i;

    for (i = lazy->wanted->nelts - 1; i >= 0 && wanted[i].part == part; i--)
        if (wanted[i].user_nid == user_nid) return;
    /* redundant ones are left out, but not where the client begins anew */
    if (!part->full && !full->filter->state.include_redundant_members
        && mx_sync_lazy_known(full->server->sync, full->ask->who->device_nid, part->member->room_nid, user_nid, full->ask->acked))
        return;
    APR_ARRAY_PUSH(lazy->wanted, wanted_t) = (wanted_t){ part, user_nid, 0 };
    if (!apr_hash_get(lazy->known_users, &user_nid, sizeof(user_nid))) {
        apr_hash_set(lazy->known_users, apr_pmemdup(full->pool, &user_nid, sizeof(user_nid)), sizeof(user_nid), "");
        APR_ARRAY_PUSH(lazy->users, apr_int64_t) = user_nid;
    }
}

static void want_of_part(lazy_t *lazy, mx_sync_part_t *part)
{
    int i;

    if (!mx_sync_part_has_state(part)) return;
    for (i = 0; i < part->n; i++) want(lazy, part, part->rows[i].sender_nid);
    if (part->full) want(lazy, part, lazy->full->ask->who->user_nid);
    /* CS-API: RoomSummary: the heroes' member events are told with them */
    for (i = 0; part->summary && i < part->summary->nheroes; i++) want(lazy, part, part->summary->heroes[i].user_nid);
}

static const mx_error_t *find_skeys(lazy_t *lazy)
{
    mx_sync_full_t *full = lazy->full;
    apr_hash_t *by_user = apr_hash_make(full->pool);
    mx_sync_skey_row_t *rows = NULL;
    apr_status_t rv;
    int i, n = 0;

    MX_SYNC_WITH_CONN(rv, full,
                      mx_store_sync_member_skeys(&rows, &n, conn, (const apr_int64_t *)lazy->users->elts, lazy->users->nelts, full->pool));
    if (rv != APR_SUCCESS) return mx_server_store_error(rv, "look up members", full->pool);
    for (i = 0; i < n; i++) apr_hash_set(by_user, &rows[i].user_nid, sizeof(rows[i].user_nid), &rows[i]);
    for (i = 0; i < lazy->wanted->nelts; i++) {
        wanted_t *wanted = &APR_ARRAY_IDX(lazy->wanted, i, wanted_t);
        const mx_sync_skey_row_t *row = apr_hash_get(by_user, &wanted->user_nid, sizeof(wanted->user_nid));

        wanted->skey_nid = row ? row->skey_nid : 0;
    }
    return NULL;
}

typedef struct hit_key_t {
    apr_int64_t snap_nid, skey_nid;
} hit_key_t;

/* Their member events in the states that are told. */
static const mx_error_t *read_hits(apr_hash_t *hits, lazy_t *lazy)
{
    mx_sync_full_t *full = lazy->full;
    apr_size_t max = (apr_size_t)lazy->wanted->nelts + 1;
    apr_int64_t *snaps = apr_palloc(full->pool, sizeof(*snaps) * max), *skeys = apr_palloc(full->pool, sizeof(*skeys) * max);
    mx_state_hit_t *found = NULL;
    mx_sync_part_t *last = NULL;
    apr_hash_t *asked = apr_hash_make(full->pool);
    apr_status_t rv;
    int i, nsnaps = 0, nskeys = 0, n = 0;

    for (i = 0; i < lazy->wanted->nelts; i++) {
        wanted_t *wanted = &APR_ARRAY_IDX(lazy->wanted, i, wanted_t);

        if (wanted->part != last) snaps[nsnaps++] = wanted->part->snap_base;
        last = wanted->part;
        if (!wanted->skey_nid || apr_hash_get(asked, &wanted->skey_nid, sizeof(wanted->skey_nid))) continue;
        apr_hash_set(asked, &wanted->skey_nid, sizeof(wanted->skey_nid), "");
        skeys[nskeys++] = wanted->skey_nid;
    }
    rv = mx_store_state_entries(&found, &n, full->server->store, snaps, nsnaps, skeys, nskeys, full->pool);
    if (rv != APR_SUCCESS) return mx_server_store_error(rv, "read members of a state", full->pool);
    for (i = 0; i < n; i++) {
        hit_key_t *key = apr_palloc(full->pool, sizeof(*key));

        *key = (hit_key_t){ found[i].snap_nid, found[i].skey_nid };
        apr_hash_set(hits, key, sizeof(*key), &found[i].nid);
    }
    return NULL;
}

const mx_error_t *mx_sync_room_lazy_add(apr_array_header_t *members, mx_sync_full_t *full)
{
    lazy_t lazy = { full, apr_array_make(full->pool, 16, sizeof(wanted_t)), apr_array_make(full->pool, 16, sizeof(apr_int64_t)),
                    apr_hash_make(full->pool) };
    apr_hash_t *hits = apr_hash_make(full->pool);
    const mx_error_t *err;
    int i;

    for (i = 0; i < full->nparts; i++) want_of_part(&lazy, &full->parts[i]);
    if (!lazy.wanted->nelts) return NULL;
    err = find_skeys(&lazy);
    if (!err) err = read_hits(hits, &lazy);
    for (i = 0; !err && i < lazy.wanted->nelts; i++) {
        const wanted_t *wanted = &APR_ARRAY_IDX(lazy.wanted, i, wanted_t);
        hit_key_t key = { wanted->part->snap_base, wanted->skey_nid };
        const apr_int64_t *nid = apr_hash_get(hits, &key, sizeof(key));

        if (nid) {
            APR_ARRAY_PUSH(members, apr_int64_t) = *nid;
            APR_ARRAY_PUSH(wanted->part->state, apr_int64_t) = *nid;
        }
        mx_sync_lazy_told(full->server->sync, full->ask->who->device_nid, wanted->part->member->room_nid, wanted->user_nid, full->upto);
    }
    return err;
}
