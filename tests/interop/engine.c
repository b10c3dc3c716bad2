/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The event engine on standard input and output, for tests that compare it with another implementation: one JSON object a
 * line, `op` names the question. differential.py holds the other side.
 *   event  {version, pdu}             what the engine makes of one PDU
 *   auth   {version, event, state}    whether the rules allow the event in that state (texts of PDUs)
 *   dag    {version, events, redact}  every event of a room in order: allowed or not, and the state at each merge
 */
#include "base/base64.h"
#include "core/event_sign.h"
#include "core/sign.h"
#include "core/state_res.h"

#include <apr_general.h>
#include <apr_hash.h>
#include <stdio.h>
#include <stdlib.h>

#define SEED "YJDBA9Xnr2sVqXD9Vj7XVUnmFZcZrlw8Md7kMW+3XA1"    /* appendices: cryptographic test vectors */
#define SIGNER "domain"
#define DEPTH_MAX 2000
#define EVENTS_MAX 4096

static const mx_json_limits_t limits = { DEPTH_MAX };

/* ---------------------------------------------------------------------- op event */

static void put_error(mx_json_writer_t *w, const char *key, const mx_error_t *err)
{
    mx_jw_key_str(w, key, err ? err->message : "");
}

static void put_signature(mx_json_writer_t *w, mx_event_t *ev, apr_pool_t *pool)
{
    mx_signing_key_t key;
    const char *why, **ids, *servers[MX_EVENT_SIGNERS_MAX];
    int i, n;
    mx_signing_key_parse(&key, &why, "ed25519 1 " SEED "\n", pool);
    mx_jw_key_bool(w, "verified", mx_event_verify(ev, SIGNER, key.key_id, key.key.public));
    mx_jw_key_int(w, "signature_keys", mx_event_signature_keys(&ids, ev, SIGNER, pool));
    n = mx_event_signers(servers, ev);
    mx_jw_key_array(w, "signers");
    for (i = 0; i < n; i++)
        mx_jw_str(w, servers[i]);
    mx_jw_end_array(w);
    if (mx_event_sign(ev, SIGNER, key.key_id, &key.key) == NULL)
        mx_jw_key_raw(w, "signatures", mx_json_scan_get(&ev->scan, "signatures"));
}

static void op_event(mx_json_writer_t *w, const mx_room_version_t *version, const mx_json_t *ask, apr_pool_t *pool)
{
    mx_slice_t text = mx_json_slice(mx_json_get(ask, "pdu")), redacted;
    mx_json_t *json;
    mx_event_t *ev;
    const mx_error_t *err;
    if (mx_json_parse(&json, NULL, text.p, text.len, &limits, pool) == MX_JSON_OK) {
        mx_buf_t *buf = mx_buf_create(pool);
        mx_json_write_canonical_old(buf, json);
        mx_jw_key(w, "canonical");
        mx_jw_strn(w, buf->p, buf->len);
        redacted = mx_event_redact(version, mx_buf_slice(buf), pool);
        mx_jw_key(w, "redacted");
        mx_jw_strn(w, redacted.p, redacted.len);
    }
    err = mx_event_parse_foreign(&ev, version, text, pool);
    put_error(w, "refused", err);
    if (err)
        return;
    mx_jw_key_str(w, "event_id", ev->event_id);
    mx_jw_key_bool(w, "hash_ok", mx_event_content_hash_ok(ev));
    put_signature(w, ev, pool);
}

/* ---------------------------------------------------------------------- rooms */

typedef struct room_t {
    const mx_room_version_t *version;
    mx_event_t **events;
    const char **verdicts;            /* "": allowed */
    mx_state_set_t *after;            /* the state after each event */
    int n;
    apr_hash_t *by_id;                /* event id -> index + 1 */
    apr_pool_t *pool;
} room_t;

static int index_of(const room_t *room, const char *event_id)
{
    return (int)(apr_uintptr_t)apr_hash_get(room->by_id, event_id, APR_HASH_KEY_STRING) - 1;
}

/** What state resolution may ask for. */
static const mx_event_t *accepted(void *baton, const char *event_id)
{
    const room_t *room = baton;
    int i = index_of(room, event_id);
    return i >= 0 && !*room->verdicts[i] ? room->events[i] : NULL;
}

typedef struct view_t {
    const room_t *room;
    const mx_state_set_t *set;        /* NULL: `list` */
    const mx_event_t **list;
    int nlist;
} view_t;

static const mx_event_t *view_get(void *baton, const char *type, const char *state_key)
{
    const view_t *view = baton;
    int i;
    for (i = 0; view->set && i < view->set->nentries; i++) {
        const mx_state_entry_t *e = &view->set->entries[i];
        if (strcmp(e->type, type) == 0 && strcmp(e->state_key, state_key) == 0)
            return view->room->events[index_of(view->room, e->event_id)];
    }
    for (i = 0; i < view->nlist; i++) {
        if (mx_event_is(view->list[i], type, state_key))
            return view->list[i];
    }
    return NULL;
}

static const mx_error_t *check_in(const mx_event_t *ev, const view_t *view, apr_pool_t *pool)
{
    mx_auth_state_t state = { view_get, (void *)(apr_uintptr_t)view, NULL };
    return mx_auth_check(ev, &state, pool);
}

/** SS-API: checks on receipt of a PDU, 4 and 5: by the listed auth events, then by the state before. */
static const mx_error_t *judge(const room_t *room, const mx_event_t *ev, const mx_state_set_t *before)
{
    const mx_event_t **list = apr_pcalloc(room->pool, sizeof(*list) * (apr_size_t)(ev->nauth + 1));
    view_t by_list = { room, NULL, list, ev->nauth }, by_state = { room, before, NULL, 0 };
    const mx_error_t *err;
    int i;
    for (i = 0; i < ev->nauth; i++)
        list[i] = accepted((void *)(apr_uintptr_t)room, ev->auth_events[i]);
    err = mx_auth_check_list(ev, list, ev->nauth, room->pool);
    if (err)
        return err;
    if (room->version->room_id_is_create_hash && room->n) {
        list[ev->nauth] = room->events[0];
        by_list.nlist++;
    }
    err = check_in(ev, &by_list, room->pool);
    return err ? err : check_in(ev, &by_state, room->pool);
}

static mx_state_set_t with_entry(const mx_state_set_t *before, const mx_event_t *ev, apr_pool_t *pool)
{
    mx_state_entry_t *entries = apr_palloc(pool, sizeof(*entries) * (apr_size_t)(before->nentries + 1));
    mx_state_set_t set = { entries, before->nentries };
    int i;
    if (before->nentries)
        memcpy(entries, before->entries, sizeof(*entries) * (apr_size_t)before->nentries);
    for (i = 0; i < set.nentries; i++) {
        if (strcmp(entries[i].type, ev->type) == 0 && strcmp(entries[i].state_key, ev->state_key) == 0)
            break;
    }
    entries[i] = (mx_state_entry_t){ ev->type, ev->state_key, ev->event_id };
    if (i == set.nentries)
        set.nentries++;
    return set;
}

static int by_id(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static void put_state(mx_json_writer_t *w, const mx_state_set_t *set, apr_pool_t *pool)
{
    const char **ids = apr_palloc(pool, sizeof(*ids) * (apr_size_t)(set->nentries + 1));
    int i;
    for (i = 0; i < set->nentries; i++)
        ids[i] = set->entries[i].event_id;
    qsort(ids, (apr_size_t)set->nentries, sizeof(*ids), by_id);
    mx_jw_array(w);
    for (i = 0; i < set->nentries; i++)
        mx_jw_str(w, ids[i]);
    mx_jw_end_array(w);
}

/** The state where these events meet. */
static const mx_error_t *state_at(mx_state_set_t *out, const room_t *room, const char *const *ids, int n)
{
    mx_state_set_t *sets = apr_pcalloc(room->pool, sizeof(*sets) * (apr_size_t)(n + 1));
    int i;
    for (i = 0; i < n; i++) {
        int at = index_of(room, ids[i]);
        if (at < 0)
            return mx_error_make(room->pool, MX_E_NOT_FOUND, "unknown previous event %s", ids[i]);
        sets[i] = room->after[at];
    }
    if (n <= 1) {
        *out = sets[0];
        return NULL;
    }
    return mx_state_resolve(out, room->version, sets, n, accepted, (void *)(apr_uintptr_t)room, room->pool);
}

/** One more event of the room; its id, verdict and, where branches meet, the state before it. */
static const mx_error_t *receive(mx_json_writer_t *w, room_t *room, mx_slice_t text, int redacted)
{
    mx_event_t *ev;
    mx_state_set_t before;
    const mx_error_t *err = mx_event_parse_foreign(&ev, room->version, text, room->pool);
    if (!err && redacted)
        err = mx_event_parse(&ev, room->version, mx_event_redact(room->version, ev->pdu, room->pool), ev->event_id, room->pool);
    if (!err)
        err = state_at(&before, room, ev->prev_events, ev->nprev);
    if (err)
        return err;
    err = judge(room, ev, &before);
    mx_jw_array(w);
    mx_jw_str(w, ev->event_id);
    mx_jw_str(w, err ? err->message : "");
    if (ev->nprev > 1)
        put_state(w, &before, room->pool);
    mx_jw_end_array(w);
    room->events[room->n] = ev;
    room->verdicts[room->n] = err ? err->message : "";
    room->after[room->n] = !err && ev->state_key ? with_entry(&before, ev, room->pool) : before;
    apr_hash_set(room->by_id, ev->event_id, APR_HASH_KEY_STRING, (void *)(apr_uintptr_t)(room->n + 1));
    room->n++;
    return NULL;
}

static int listed(const mx_json_t *list, int i)
{
    apr_size_t k;
    for (k = 0; k < mx_json_len(list); k++) {
        if (mx_json_int(mx_json_at(list, k), -1) == i)
            return 1;
    }
    return 0;
}

static void op_dag(mx_json_writer_t *w, const mx_room_version_t *version, const mx_json_t *ask, apr_pool_t *pool)
{
    const mx_json_t *texts = mx_json_get(ask, "events"), *redact = mx_json_get(ask, "redact"), *tips = mx_json_get(ask, "tips");
    int n = (int)mx_json_len(texts), i;
    room_t room = { .version = version, .by_id = apr_hash_make(pool), .pool = pool };
    const char **ids = apr_palloc(pool, sizeof(*ids) * (mx_json_len(tips) + 1));
    mx_state_set_t last;
    const mx_error_t *err = NULL;
    if (n > EVENTS_MAX)
        n = EVENTS_MAX;
    room.events = apr_palloc(pool, sizeof(*room.events) * (apr_size_t)(n + 1));
    room.verdicts = apr_palloc(pool, sizeof(*room.verdicts) * (apr_size_t)(n + 1));
    room.after = apr_palloc(pool, sizeof(*room.after) * (apr_size_t)(n + 1));
    mx_jw_key_array(w, "events");
    for (i = 0; !err && i < n; i++)
        err = receive(w, &room, mx_json_slice(mx_json_at(texts, (apr_size_t)i)), listed(redact, i));
    mx_jw_end_array(w);
    for (i = 0; i < (int)mx_json_len(tips); i++)
        ids[i] = mx_json_str(mx_json_at(tips, (apr_size_t)i));
    if (!err)
        err = state_at(&last, &room, ids, i);
    put_error(w, "error", err);
    if (!err) {
        mx_jw_key(w, "state");
        put_state(w, &last, pool);
    }
}

/* ---------------------------------------------------------------------- op auth */

static void op_auth(mx_json_writer_t *w, const mx_room_version_t *version, const mx_json_t *ask, apr_pool_t *pool)
{
    const mx_json_t *texts = mx_json_get(ask, "state");
    apr_size_t n = mx_json_len(texts), i;
    const mx_event_t **list = apr_pcalloc(pool, sizeof(*list) * (n + 1));
    view_t view = { NULL, NULL, list, (int)n };
    mx_slice_t text = mx_json_slice(mx_json_get(ask, "event"));
    mx_event_t *ev;
    const mx_error_t *err = NULL;
    for (i = 0; !err && i < n; i++) {
        mx_slice_t one = mx_json_slice(mx_json_at(texts, i));
        err = mx_event_parse_foreign(&ev, version, one, pool);
        list[i] = ev;
    }
    if (!err)
        err = mx_event_parse_foreign(&ev, version, text, pool);
    put_error(w, "error", err);
    if (!err)
        put_error(w, "refused", check_in(ev, &view, pool));
}

static void answer(mx_json_writer_t *w, const char *line, apr_size_t len, apr_pool_t *pool)
{
    static const struct {
        const char *name;
        void (*run)(mx_json_writer_t *, const mx_room_version_t *, const mx_json_t *, apr_pool_t *);
    } ops[] = { { "auth", op_auth }, { "dag", op_dag }, { "event", op_event } };
    mx_json_t *ask;
    const mx_room_version_t *version;
    const char *why = "no such op or version";
    apr_size_t i;
    mx_jw_object(w);
    if (mx_json_parse(&ask, &why, line, len, &limits, pool) == MX_JSON_OK
        && (version = mx_room_version_find(mx_json_get_str(ask, "version"))) != NULL) {
        for (i = 0; i < sizeof(ops) / sizeof(ops[0]); i++) {
            if (mx_str_eq(ops[i].name, mx_json_get_str(ask, "op"))) {
                ops[i].run(w, version, ask, pool);
                why = NULL;
            }
        }
    }
    if (why)
        mx_jw_key_str(w, "fault", why);
    mx_jw_end_object(w);
}

int main(void)
{
    apr_pool_t *pool;
    char *line = NULL;
    size_t cap = 0;
    ssize_t len;
    apr_initialize();
    mx_json_init();
    if (mx_crypto_init() != APR_SUCCESS)
        return EXIT_FAILURE;
    while ((len = getline(&line, &cap, stdin)) > 0) {
        mx_json_writer_t *w;
        apr_pool_create(&pool, NULL);
        w = mx_jw_create(pool);
        answer(w, line, (apr_size_t)len, pool);
        fwrite(w->buf->p, 1, w->buf->len, stdout);
        fputc('\n', stdout);
        fflush(stdout);
        apr_pool_destroy(pool);
    }
    free(line);
    return EXIT_SUCCESS;
}
