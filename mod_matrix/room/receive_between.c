/* SPDX-License-Identifier: Apache-2.0 */
/* Events between what we have and one that came. SS-API: POST /get_missing_events/{roomId}. */
#include "room/receive_private.h"

#include "store/event_id.h"

#define PULLED_MAX (MX_RECEIVE_ROUNDS_MAX * MX_RECEIVE_MISSING_LIMIT)

typedef struct between_t {
    mx_room_fetching_t *f;
    const mx_event_t *event;         /* the one that came */
    apr_int64_t min_depth;           /* what is less deep was before we came */
    apr_hash_t *lacking;             /* ids that are followed here and are not there: event id */
    mx_room_pulled_t pulled[PULLED_MAX];
    int n;
} between_t;

static int is_pulled(const between_t *b, const char *event_id)
{
    int i;
    for (i = 0; i < b->n && strcmp(b->pulled[i].event->event_id, event_id) != 0; i++)
        ;
    return i < b->n || strcmp(event_id, b->event->event_id) == 0;
}

/** Notes which of the event's previous events are not there. */
static const mx_error_t *follow(between_t *b, const mx_event_t *event)
{
    mx_slice_t ids[MX_EVENT_MAX_PREV];
    mx_store_outlier_row_t *rows;
    const mx_error_t *err;
    int i;
    for (i = 0; i < event->nprev; i++)
        ids[i] = mx_store_event_id_pack(event->prev_events[i], b->f->pool);
    err = mx_room_outlier_known(&rows, b->f->server, b->f->as.nid, ids, event->nprev, b->f->pool);
    for (i = 0; !err && i < event->nprev; i++) {
        if ((!rows[i].nid || (rows[i].flags & MX_EVENT_FLAG_OUTLIER)) && !is_pulled(b, event->prev_events[i]))
            apr_hash_set(b->lacking, event->prev_events[i], APR_HASH_KEY_STRING, event->prev_events[i]);
    }
    return err;
}

/** Takes what is lacking out of an answer, and then what that lacks, until nothing more fits. What nobody follows stays out. */
static const mx_error_t *take(between_t *b, const mx_room_pulled_t *came, int n)
{
    const mx_error_t *err = NULL;
    int i, more = 1;
    while (!err && more) {
        more = 0;
        for (i = 0; !err && i < n && b->n < PULLED_MAX; i++) {
            if (!came[i].event || !apr_hash_get(b->lacking, came[i].event->event_id, APR_HASH_KEY_STRING))
                continue;
            apr_hash_set(b->lacking, came[i].event->event_id, APR_HASH_KEY_STRING, NULL);
            b->pulled[b->n++] = came[i];
            more = 1;
            err = follow(b, came[i].event);
        }
    }
    return err;
}

static const mx_error_t *read_answer(between_t *b, const mx_room_pdus_t *answer)
{
    mx_room_pulled_t came[MX_RECEIVE_MISSING_LIMIT];
    int i;
    for (i = 0; i < answer->n; i++) {
        mx_event_t *event = NULL;
        const mx_error_t *err = mx_event_parse_foreign(&event, b->f->room->version, answer->texts[i], b->f->pool);
        if (!err && strcmp(event->room_id, b->f->room->room_id) != 0)
            err = mx_error_make(b->f->pool, MX_E_INVALID_PARAM, "A missing event is of another room.");
        if (err)
            mx_room_fetch_trouble(b->f, err);
        came[i] = (mx_room_pulled_t){ answer->texts[i], err || event->depth < b->min_depth ? NULL : event };
    }
    return take(b, came, answer->n);
}

/** Those that something is lacking behind: it is asked for from there. */
static int latest(const char **ids, between_t *b)
{
    int i, k, n = 0;
    for (i = -1; i < b->n; i++) {
        const mx_event_t *event = i < 0 ? b->event : b->pulled[i].event;
        for (k = 0; k < event->nprev && !apr_hash_get(b->lacking, event->prev_events[k], APR_HASH_KEY_STRING); k++)
            ;
        if (k < event->nprev)
            ids[n++] = event->event_id;
    }
    return n;
}

static const mx_error_t *ask(between_t *b)
{
    mx_room_fetching_t *f = b->f;
    const struct mx_room_private_t *priv = f->room->priv;
    const char *ids[PULLED_MAX + 1], **heads = apr_palloc(f->pool, sizeof(*heads) * (apr_size_t)(priv->nheads + 1));
    mx_room_missing_t what = { f->room->room_id, heads, priv->nheads, ids, latest(ids, b), MX_RECEIVE_MISSING_LIMIT, b->min_depth };
    mx_room_pdus_t came = { NULL, 0 };
    const mx_error_t *err;
    int i;
    for (i = 0; i < priv->nheads; i++)
        heads[i] = mx_store_event_id_unpack(priv->head_ids[i], f->pool);
    err = f->source->missing_events(&came, f->source->baton, &what, f->deadline, f->pool);
    if (err) {
        mx_room_fetch_trouble(f, err);
        return NULL;
    }
    mx_room_fetch_count(f, &came, MX_RECEIVE_MISSING_LIMIT);
    return read_answer(b, &came);
}

/** 1: none of those that still wait is followed by it. */
static int is_next(const between_t *b, const int *done, int at)
{
    const mx_event_t *event = b->pulled[at].event;
    int i, k;
    for (k = 0; k < event->nprev; k++) {
        for (i = 0; i < b->n; i++) {
            if (!done[i] && strcmp(b->pulled[i].event->event_id, event->prev_events[k]) == 0)
                return 0;
        }
    }
    return 1;
}

/** Oldest first, by what follows what; those that go in circles are left out. */
static void put_in_order(mx_room_pulled_t *out, int *pn, const between_t *b)
{
    int done[PULLED_MAX] = { 0 }, i, more = 1;
    *pn = 0;
    while (more) {
        more = 0;
        for (i = 0; i < b->n; i++) {
            if (done[i] || !is_next(b, done, i))
                continue;
            out[(*pn)++] = b->pulled[i];
            done[i] = more = 1;
        }
    }
}

const mx_error_t *mx_room_fetch_between(mx_room_pulled_t **ppulled, int *pn, mx_room_fetching_t *f, const mx_event_t *event)
{
    between_t *b = apr_pcalloc(f->pool, sizeof(*b));
    const mx_error_t *err;
    int round, before = -1;
    apr_status_t rv = mx_store_outlier_min_depth(&b->min_depth, f->server->store, f->room->nid, f->pool);
    if (rv != APR_SUCCESS)
        return mx_server_store_error(rv, "reading how far a room goes back", f->pool);
    b->f = f;
    b->event = event;
    b->lacking = apr_hash_make(f->pool);
    err = follow(b, event);
    for (round = 0; !err && round < MX_RECEIVE_ROUNDS_MAX && apr_hash_count(b->lacking) && b->n > before; round++) {
        before = b->n;
        if (event->depth < b->min_depth || !mx_room_fetch_may_ask(f))
            break;
        err = ask(b);
    }
    if (err)
        return err;
    *ppulled = apr_palloc(f->pool, sizeof(**ppulled) * (apr_size_t)(b->n + 1));
    put_in_order(*ppulled, pn, b);
    return NULL;
}
