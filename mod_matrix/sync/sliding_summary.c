/* SPDX-License-Identifier: Apache-2.0 */
/* Counts and heroes of rooms as sliding sync tells them, remembered by a child until the room's next event. */
#include "sync/sliding_private.h"

#define OVERHEAD_BYTES 160           /* of an entry of the cache */

typedef struct summary_key_t {
    apr_int64_t user_nid, room_nid, last_stream;
} summary_key_t;

/* A value of the cache: one block; the heroes' ids follow them, each ended by NUL. */
typedef struct kept_t {
    mx_room_summary_t summary;
    apr_size_t bytes;                /* of the block */
    mx_store_hero_t heroes[];
} kept_t;

mx_cache_t *mx_sliding_summary_cache_create(apr_size_t max_bytes, apr_pool_t *pool)
{
    return mx_cache_create("sliding sync summaries", max_bytes, mx_cache_value_destroy, pool);
}

static summary_key_t key_of(const mx_sliding_t *s, const mx_sliding_wanted_t *wanted)
{
    return (summary_key_t){ s->ask->who->user_nid, wanted->entry->member.room_nid, wanted->entry->member.last_stream };
}

static void keep(const mx_sliding_t *s, const mx_sliding_wanted_t *wanted, const mx_room_summary_t *summary)
{
    summary_key_t key = key_of(s, wanted);
    apr_size_t len, bytes = sizeof(kept_t) + sizeof(mx_store_hero_t) * (apr_size_t)summary->nheroes;
    kept_t *kept;
    char *at;
    int i;

    for (i = 0; i < summary->nheroes; i++) bytes += strlen(summary->heroes[i].user_id) + 1;
    kept = mx_cache_value_create(bytes);
    kept->summary = *summary;
    kept->bytes = bytes;
    at = (char *)&kept->heroes[summary->nheroes];
    for (i = 0; i < summary->nheroes; i++) {
        kept->heroes[i] = summary->heroes[i];
        len = strlen(summary->heroes[i].user_id) + 1;
        memcpy(at, summary->heroes[i].user_id, len);
        at += len;
    }
    mx_cache_set(NULL, s->server->sync->sliding_summaries, &key, sizeof(key), kept, bytes + OVERHEAD_BYTES, 0);
}

static int recall(mx_room_summary_t *out, const mx_sliding_t *s, const mx_sliding_wanted_t *wanted)
{
    summary_key_t key = key_of(s, wanted);
    mx_cache_ref_t *ref = NULL;
    const kept_t *kept = mx_cache_get(&ref, s->server->sync->sliding_summaries, &key, sizeof(key));
    kept_t *copy;
    char *at;
    int i;

    if (!kept) return 0;
    copy = apr_pmemdup(s->pool, kept, kept->bytes);
    mx_cache_put(ref);
    at = (char *)&copy->heroes[copy->summary.nheroes];
    for (i = 0; i < copy->summary.nheroes; i++, at += strlen(at) + 1) copy->heroes[i].user_id = at;
    copy->summary.heroes = copy->heroes;
    *out = copy->summary;
    return 1;
}

const mx_error_t *mx_sliding_summaries_read(mx_sliding_t *s, mx_sliding_wanted_t **wanted, int n)
{
    mx_room_summary_t *summaries = apr_pcalloc(s->pool, sizeof(*summaries) * (apr_size_t)(n + 1)), *missing;
    int *places = apr_palloc(s->pool, sizeof(*places) * (apr_size_t)(n + 1)), i, nmissing = 0;
    const mx_error_t *err;

    missing = apr_pcalloc(s->pool, sizeof(*missing) * (apr_size_t)(n + 1));
    for (i = 0; i < n; i++) {
        wanted[i]->summary = &summaries[i];
        if (recall(&summaries[i], s, wanted[i])) continue;
        places[nmissing] = i;
        missing[nmissing++].room_nid = wanted[i]->entry->member.room_nid;
    }
    err = mx_room_summaries(missing, nmissing, s->server, s->ask->who->user_nid, s->pool);
    for (i = 0; !err && i < nmissing; i++) {
        summaries[places[i]] = missing[i];
        keep(s, wanted[places[i]], &missing[i]);
    }
    return err;
}
