/* SPDX-License-Identifier: Apache-2.0 */
/* Asking for events, within bounds: what comes is stored as outliers. */
#include "room/receive_private.h"

#include "store/event_id.h"

/* ---- bounds ---- */

void mx_room_fetch_trouble(mx_room_fetching_t *f, const mx_error_t *why)
{
    f->out->trouble = why;
}

int mx_room_fetch_may_ask(mx_room_fetching_t *f)
{
    if (apr_time_now() >= f->deadline)
        mx_room_fetch_trouble(f, mx_error_make(f->pool, MX_E_UNKNOWN, "Time is up."));
    else if (f->asks >= MX_RECEIVE_ASKS_MAX || f->events >= MX_RECEIVE_EVENTS_MAX || f->bytes >= MX_RECEIVE_BYTES_MAX)
        mx_room_fetch_trouble(f, mx_error_make(f->pool, MX_E_TOO_LARGE, "Too much is missing."));
    else {
        f->asks++;
        return 1;
    }
    return 0;
}

void mx_room_fetch_count(mx_room_fetching_t *f, mx_room_pdus_t *pdus, int limit)
{
    int i;
    if (pdus->n > limit)
        pdus->n = limit;
    for (i = 0; i < pdus->n && f->events < MX_RECEIVE_EVENTS_MAX && f->bytes < MX_RECEIVE_BYTES_MAX; i++) {
        f->events++;
        f->bytes += pdus->texts[i].len;
    }
    pdus->n = i;
}

/* ---- events by id, and what they are authorised by ---- */

typedef struct closure_t {
    mx_room_fetching_t *f;
    apr_array_header_t *texts;       /* mx_slice_t: what came */
    apr_array_header_t *next;        /* mx_slice_t: auth events of that, packed */
} closure_t;

/** Leaves those that are neither there nor asked for yet, and notes them as asked for. */
static const mx_error_t *unknown(mx_slice_t **pids, int *pn, mx_room_fetching_t *f, const mx_slice_t *ids, int n)
{
    mx_slice_t *out = apr_palloc(f->pool, sizeof(*out) * (apr_size_t)(n + 1));
    mx_store_outlier_row_t *rows;
    const mx_error_t *err = mx_room_outlier_known(&rows, f->server, f->as.nid, ids, n, f->pool);
    int i, kept = 0;
    if (err)
        return err;
    for (i = 0; i < n; i++) {
        if (rows[i].nid || apr_hash_get(f->asked, ids[i].p, (apr_ssize_t)ids[i].len))
            continue;
        apr_hash_set(f->asked, ids[i].p, (apr_ssize_t)ids[i].len, ids[i].p);
        out[kept++] = ids[i];
    }
    *pids = out;
    *pn = kept;
    return NULL;
}

/** What was not asked for is passed over. */
static void take_text(closure_t *c, mx_slice_t text, apr_hash_t *wanted, apr_pool_t *scratch)
{
    mx_event_t *event;
    mx_slice_t id;
    int i;
    const mx_error_t *err = mx_event_parse_foreign(&event, c->f->room->version, text, scratch);
    if (err) {
        mx_room_fetch_trouble(c->f, mx_error_make(c->f->pool, MX_E_BAD_JSON, "An event that was asked for: %s", err->message));
        return;
    }
    id = mx_store_event_id_pack(event->event_id, scratch);
    if (!apr_hash_get(wanted, id.p, (apr_ssize_t)id.len))
        return;
    apr_hash_set(wanted, id.p, (apr_ssize_t)id.len, NULL);
    APR_ARRAY_PUSH(c->texts, mx_slice_t) = text;
    for (i = 0; i < event->nauth; i++)
        APR_ARRAY_PUSH(c->next, mx_slice_t) = mx_store_event_id_pack(apr_pstrdup(c->f->pool, event->auth_events[i]), c->f->pool);
}

/** One question. */
static void ask_events(closure_t *c, const mx_slice_t *ids, int n)
{
    mx_room_fetching_t *f = c->f;
    const char **names = apr_palloc(f->pool, sizeof(*names) * (apr_size_t)(n + 1));
    apr_hash_t *wanted;
    apr_pool_t *scratch;
    mx_room_pdus_t came = { NULL, 0 };
    const mx_error_t *err;
    int i;
    for (i = 0; i < n; i++)
        names[i] = mx_store_event_id_unpack(ids[i], f->pool);
    err = f->source->events(&came, f->source->baton, f->room->room_id, names, n, f->deadline, f->pool);
    if (err) {
        mx_room_fetch_trouble(f, err);
        return;
    }
    mx_room_fetch_count(f, &came, n);
    apr_pool_create(&scratch, f->pool);
    apr_pool_tag(scratch, "mx_receive_events");
    wanted = apr_hash_make(scratch);
    for (i = 0; i < n; i++)
        apr_hash_set(wanted, ids[i].p, (apr_ssize_t)ids[i].len, ids[i].p);
    for (i = 0; i < came.n; i++)
        take_text(c, came.texts[i], wanted, scratch);
    apr_pool_destroy(scratch);
}

static const mx_error_t *store_texts(mx_room_fetching_t *f, const mx_slice_t *texts, int n)
{
    mx_room_outliers_t done;
    const mx_error_t *err = mx_room_outlier_store(&done, f->server, &f->as, texts, n, f->pool);
    if (err)
        return err;
    f->out->outliers += done.stored;
    if (done.why)
        mx_room_fetch_trouble(f, done.why);
    return NULL;
}

const mx_error_t *mx_room_fetch_outliers(mx_room_fetching_t *f, const mx_slice_t *ids, int n)
{
    closure_t c = { f, apr_array_make(f->pool, n < 1000 ? n + 1 : 1000, sizeof(mx_slice_t)), NULL };
    mx_slice_t *wanted = NULL;
    int depth, from, nwanted = 0;
    const mx_error_t *err = unknown(&wanted, &nwanted, f, ids, n);
    for (depth = 0; !err && nwanted && depth < MX_RECEIVE_DEPTH_MAX; depth++) {
        c.next = apr_array_make(f->pool, 16, sizeof(mx_slice_t));
        for (from = 0; from < nwanted && mx_room_fetch_may_ask(f); from += MX_RECEIVE_EVENTS_A_CALL)
            ask_events(&c, wanted + from, nwanted - from < MX_RECEIVE_EVENTS_A_CALL ? nwanted - from : MX_RECEIVE_EVENTS_A_CALL);
        err = unknown(&wanted, &nwanted, f, (mx_slice_t *)(void *)c.next->elts, c.next->nelts);
    }
    return err || !c.texts->nelts ? err : store_texts(f, (mx_slice_t *)(void *)c.texts->elts, c.texts->nelts);
}

const mx_error_t *mx_room_fetch_auth(mx_room_fetching_t *f, const char *event_id, const mx_slice_t *ids, int n)
{
    mx_room_pdus_t came = { NULL, 0 };
    const mx_error_t *err;
    if (mx_room_fetch_may_ask(f)) {
        err = f->source->event_auth(&came, f->source->baton, f->room->room_id, event_id, f->deadline, f->pool);
        if (err) {
            mx_room_fetch_trouble(f, err);
            came.n = 0;
        }
        mx_room_fetch_count(f, &came, MX_RECEIVE_EVENTS_MAX);
        err = came.n ? store_texts(f, came.texts, came.n) : NULL;
        if (err)
            return err;
    }
    return mx_room_fetch_outliers(f, ids, n);
}
