/* SPDX-License-Identifier: Apache-2.0 */
/* Memberships and history visibilities of snapshots, cached. */
#include "room/facts.h"

#include "room/room_private.h"

#include <apr_hash.h>
#include <stdint.h>

/** Key of a cached answer: what state a snapshot has at a (type, state_key). The value is the answer + 1 as a pointer.
 */
typedef struct fact_key_t {
    apr_int64_t snap_nid, skey_nid;
} fact_key_t;

#define FACT_BYTES 128   /* an entry with the cache's own record, roughly */

typedef int read_value_fn(const mx_event_row_t *row, apr_pool_t *pool);

/** One question: the answers to (snaps × one skey), and how to read an answer from the event. */
typedef struct question_t {
    mx_server_t *server;
    apr_int64_t skey_nid;
    int absent;                      /* the answer where a snapshot has no such event */
    read_value_fn *read;
    apr_pool_t *pool;
} question_t;

static void keep_nothing(void *value)
{
}

mx_cache_t *mx_room_facts_create(mx_server_t *server)
{
    return mx_cache_create("room facts", mx_settings_cache_bytes(server->settings, MX_CACHE_ROOM_FACTS), keep_nothing, server->pool);
}

/** -1 if it is not known yet. */
static int look_up(const question_t *q, apr_int64_t snap_nid)
{
    fact_key_t key = { snap_nid, q->skey_nid };
    mx_cache_ref_t *ref = NULL;
    void *value = mx_cache_get(&ref, q->server->room->facts, &key, sizeof(key));
    int answer = value ? (int)(intptr_t)value - 1 : -1;

    if (ref)
        mx_cache_put(ref);
    return answer;
}

static void remember(const question_t *q, apr_int64_t snap_nid, int answer)
{
    fact_key_t key = { snap_nid, q->skey_nid };
    mx_cache_set(NULL, q->server->room->facts, &key, sizeof(key), (void *)(intptr_t)(answer + 1), FACT_BYTES, 0);
}

/** Reads the events that the hits name, each once; the answers go by nid into `answers`. */
static const mx_error_t *read_events(apr_hash_t *answers, const question_t *q, const mx_state_hit_t *hits, int nhits)
{
    apr_int64_t *nids = apr_palloc(q->pool, (nhits + 1) * sizeof(*nids));
    mx_event_row_t *rows = NULL;
    int i, n = 0, nrows = 0;
    apr_status_t rv;

    for (i = 0; i < nhits; i++) {
        if (apr_hash_get(answers, &hits[i].nid, sizeof(hits[i].nid)))
            continue;
        apr_hash_set(answers, &hits[i].nid, sizeof(hits[i].nid), &q->absent);
        nids[n++] = hits[i].nid;
    }
    if (!n)
        return NULL;
    rv = mx_store_event_by_nids(&rows, &nrows, q->server->store, nids, n, q->pool);
    if (rv != APR_SUCCESS)
        return mx_server_store_error(rv, "reading memberships or visibilities", q->pool);
    for (i = 0; i < nrows; i++) {
        int *answer = apr_palloc(q->pool, sizeof(*answer));
        *answer = q->read(&rows[i], q->pool);
        apr_hash_set(answers, apr_pmemdup(q->pool, &rows[i].nid, sizeof(rows[i].nid)), sizeof(rows[i].nid), answer);
    }
    return NULL;
}

/** Answers for snapshots that are not cached, each given once; remembers them. */
static const mx_error_t *ask_store(apr_hash_t *by_snap, const question_t *q, const apr_int64_t *snaps, int n)
{
    mx_state_hit_t *hits = NULL;
    apr_hash_t *by_event = apr_hash_make(q->pool);
    int i, nhits = 0;
    const mx_error_t *err;
    apr_status_t rv = mx_store_state_entries(&hits, &nhits, q->server->store, snaps, n, &q->skey_nid, 1, q->pool);

    if (rv != APR_SUCCESS)
        return mx_server_store_error(rv, "reading snapshots", q->pool);
    err = read_events(by_event, q, hits, nhits);
    if (err)
        return err;
    for (i = 0; i < nhits; i++) {
        int *answer = apr_hash_get(by_event, &hits[i].nid, sizeof(hits[i].nid));
        apr_hash_set(by_snap, &hits[i].snap_nid, sizeof(hits[i].snap_nid), answer);
    }
    for (i = 0; i < n; i++) {
        int *answer = apr_hash_get(by_snap, &snaps[i], sizeof(snaps[i]));
        remember(q, snaps[i], answer ? *answer : q->absent);
    }
    return NULL;
}

/** Fills out[i] for snaps[i]. */
static const mx_error_t *answer_all(int *out, const question_t *q, const apr_int64_t *snaps, int n)
{
    apr_hash_t *by_snap = apr_hash_make(q->pool);
    apr_int64_t *missing = apr_palloc(q->pool, (n + 1) * sizeof(*missing));
    const mx_error_t *err;
    int i, nmissing = 0;

    for (i = 0; i < n; i++) {
        out[i] = snaps[i] ? (i && snaps[i] == snaps[i - 1] ? out[i - 1] : look_up(q, snaps[i])) : q->absent;
        if (out[i] >= 0 || apr_hash_get(by_snap, &snaps[i], sizeof(snaps[i])))
            continue;
        missing[nmissing] = snaps[i];
        apr_hash_set(by_snap, &missing[nmissing], sizeof(*missing), &q->absent);
        nmissing++;
    }
    if (!nmissing)
        return NULL;
    err = ask_store(by_snap, q, missing, nmissing);
    for (i = 0; !err && i < n; i++) {
        if (out[i] < 0)
            out[i] = *(const int *)apr_hash_get(by_snap, &snaps[i], sizeof(snaps[i]));
    }
    return err;
}

/** A string member of the event's content, or NULL. */
static const char *content_str(const mx_event_row_t *row, const char *key, apr_pool_t *pool)
{
    mx_json_scan_t scan;
    mx_slice_t content;

    mx_json_scan_trusted(&scan, row->pdu, pool);
    content = mx_json_scan_get(&scan, "content");
    if (!content.p)
        return NULL;
    mx_json_scan_trusted(&scan, content, pool);
    return mx_json_scan_str(mx_json_scan_get(&scan, key), pool);
}

mx_membership_e mx_room_facts_row_membership(const mx_event_row_t *row, apr_pool_t *pool)
{
    return mx_membership_parse(content_str(row, "membership", pool));
}

mx_histvis_e mx_room_facts_row_histvis(const mx_event_row_t *row, apr_pool_t *pool)
{
    return mx_histvis_parse(content_str(row, "history_visibility", pool));
}

static int read_membership(const mx_event_row_t *row, apr_pool_t *pool)
{
    return (int)mx_room_facts_row_membership(row, pool);
}

static int read_histvis(const mx_event_row_t *row, apr_pool_t *pool)
{
    return (int)mx_room_facts_row_histvis(row, pool);
}

/** The question about (type, state_key); answers at once with `absent` where no room ever had such state. */
static const mx_error_t *answer(int *out, question_t *q, const char *type, const char *state_key,
                                const apr_int64_t *snaps, int n)
{
    int i;
    apr_status_t rv = mx_server_skey_nid_find(&q->skey_nid, q->server, type, state_key, q->pool);

    if (rv != APR_SUCCESS && rv != MX_STORE_NONE)
        return mx_server_store_error(rv, "looking up a state key", q->pool);
    if (rv == APR_SUCCESS)
        return answer_all(out, q, snaps, n);
    for (i = 0; i < n; i++)
        out[i] = q->absent;
    return NULL;
}

const mx_error_t *mx_room_facts_histvis(mx_histvis_e *out, mx_server_t *server, const apr_int64_t *snaps, int n,
                                        apr_pool_t *pool)
{
    question_t q = { server, 0, MX_HISTVIS_SHARED, read_histvis, pool };
    int i, *answers = apr_palloc(pool, (n + 1) * sizeof(*answers));
    const mx_error_t *err = answer(answers, &q, "m.room.history_visibility", "", snaps, n);

    for (i = 0; !err && i < n; i++)
        out[i] = (mx_histvis_e)answers[i];
    return err;
}

const mx_error_t *mx_room_facts_membership(mx_membership_e *out, mx_server_t *server, const apr_int64_t *snaps, int n,
                                           const char *user_id, apr_pool_t *pool)
{
    question_t q = { server, 0, MX_MEMBERSHIP_NONE, read_membership, pool };
    int i, *answers = apr_palloc(pool, (n + 1) * sizeof(*answers));
    const mx_error_t *err = answer(answers, &q, "m.room.member", user_id, snaps, n);

    for (i = 0; !err && i < n; i++)
        out[i] = (mx_membership_e)answers[i];
    return err;
}
