/* SPDX-License-Identifier: Apache-2.0 */
/* Unread counts in memory. A tally never changes; moving it on makes another. */
#include "sync/judge.h"
#include "sync/tally.h"

#define OVERHEAD_BYTES 160           /* of an entry of the cache */

/* Verdicts on kinds of events: type and marks decide, as long as the members stay as many. */
typedef struct kind_t {
    int type_nid, marks;
    mx_push_verdict_t verdict;       /* notify and highlight alone */
} kind_t;

struct mx_sync_tally_t {
    apr_int64_t position;
    apr_int64_t rules_stream, ignored_stream;   /* of the settings that it was counted by */
    apr_int64_t members;
    int all;                         /* events of every type count */
    int scanned;                     /* by rules that are not plain: so many events were judged one by one */
    int nkinds;
    kind_t kinds[MX_SYNC_TALLY_KINDS];
    int n;
    mx_sync_unread_t lines[];        /* then their threads */
};

typedef struct tally_key_t {
    apr_int64_t user_nid, room_nid;
} tally_key_t;

mx_cache_t *mx_sync_tally_cache_create(apr_size_t max_bytes, apr_pool_t *pool)
{
    return mx_cache_create("unread counts", max_bytes, mx_cache_value_destroy, pool);
}

/* ---- remembering ---- */

static void keep(mx_sync_state_t *state, const mx_who_t *who, const mx_sync_tally_t *head, const mx_sync_unread_room_t *room)
{
    tally_key_t key = { who->user_nid, room->room_nid };
    apr_size_t lines_bytes = sizeof(*room->lines) * (apr_size_t)room->n, bytes = sizeof(*head) + lines_bytes;
    mx_sync_tally_t *tally;
    char *text;
    int i;

    if (room->n > MX_SYNC_TALLY_LINES_MAX) return;
    for (i = 0; i < room->n; i++) bytes += room->lines[i].thread ? strlen(room->lines[i].thread) + 1 : 0;
    tally = mx_cache_value_create(bytes);
    *tally = *head;
    tally->n = room->n;
    text = (char *)tally + sizeof(*tally) + lines_bytes;
    for (i = 0; i < room->n; i++) {
        tally->lines[i] = room->lines[i];
        if (!room->lines[i].thread) continue;
        tally->lines[i].thread = text;
        text = apr_cpystrn(text, room->lines[i].thread, strlen(room->lines[i].thread) + 1) + 1;
    }
    mx_cache_set(NULL, state->tallies, &key, sizeof(key), tally, bytes + OVERHEAD_BYTES, 0);
}

void mx_sync_tally_keep(mx_sync_state_t *state, const mx_who_t *who, const mx_user_push_settings_t *settings,
                        const mx_sync_unread_room_t *room, apr_int64_t upto)
{
    mx_sync_tally_t head = { .position = upto, .rules_stream = settings->rules_stream, .ignored_stream = settings->ignored_stream,
                             .members = room->members, .all = room->all, .scanned = room->scanned };

    if (!settings->plain && room->scanned >= MX_SYNC_UNREAD_SCAN) return;
    keep(state, who, &head, room);
}

/* ---- picking ---- */

void mx_sync_tally_pick_locked(mx_sync_tally_pick_t *out, mx_sync_state_t *state, apr_int64_t user_nid, apr_int64_t room_nid,
                               apr_pool_t *pool)
{
    const mx_sync_entry_t *events[MX_SYNC_TALLY_EVENTS_MAX];
    tally_key_t key = { user_nid, room_nid };
    const mx_sync_tally_t *tally = mx_cache_get(&out->ref, state->tallies, &key, sizeof(key));
    int i, n;

    if (!tally || tally->position > state->ring.head || !mx_sync_ring_is_settled(&state->ring, user_nid, room_nid, tally->position)) return;
    n = mx_sync_ring_events(events, &state->ring, room_nid, tally->position, MX_SYNC_TALLY_EVENTS_MAX);
    if (n < 0) return;
    out->tally = tally;
    out->n = n;
    out->events = apr_pmemdup(pool, events, sizeof(*events) * (apr_size_t)n);
    for (i = 0; i < n; i++) mx_sync_batch_pin(events[i]->batch);
}

void mx_sync_tally_put(mx_sync_tally_pick_t *pick)
{
    while (pick->n) mx_sync_batch_unpin(pick->events[--pick->n]->batch);
    mx_cache_put(pick->ref);
    *pick = (mx_sync_tally_pick_t){ 0 };
}

/* ---- moving on ---- */

/* A tally that moves on. */
typedef struct moving_t {
    mx_sync_tally_t head;
    mx_sync_unread_room_t *room;
    const mx_who_t *who;
    mx_user_push_settings_t *settings;
    mx_sync_judge_t *judge;           /* of rules that are not plain */
    apr_pool_t *pool;
} moving_t;

static int mentions(const mx_sync_entry_t *entry, apr_int64_t user_nid)
{
    int i;

    for (i = 0; i < entry->nmentions; i++)
        if (entry->mentions[i] == user_nid) return 1;
    return 0;
}

static mx_push_verdict_t judge_kind(moving_t *m, const mx_sync_entry_t *entry, int marks)
{
    mx_sync_tally_t *head = &m->head;
    kind_t *kind;
    int i;

    for (i = 0; i < head->nkinds; i++)
        if (head->kinds[i].type_nid == entry->type_nid && head->kinds[i].marks == marks) return head->kinds[i].verdict;
    kind = &head->kinds[head->nkinds < MX_SYNC_TALLY_KINDS ? head->nkinds++ : MX_SYNC_TALLY_KINDS - 1];
    kind->type_nid = entry->type_nid;
    kind->marks = marks;
    kind->verdict = mx_push_eval_kind(mx_user_push_settings_rules(m->settings, m->pool), entry->type,
                                      marks & MX_PUSH_MARK_STATE ? "" : NULL, marks, m->room->room_id, head->members, m->pool);
    kind->verdict.actions = NULL;
    kind->verdict.rule_id = NULL;
    return kind->verdict;
}

/* By its content, which the ring has but for the last brace. */
static mx_push_verdict_t judge_content(moving_t *m, const mx_sync_entry_t *entry)
{
    mx_push_verdict_t verdict;
    apr_pool_t *scratch;
    char *text;

    apr_pool_create(&scratch, m->pool);
    text = apr_palloc(scratch, entry->body.len + 1);
    memcpy(text, entry->body.p, entry->body.len);
    text[entry->body.len] = '}';
    m->head.scanned++;
    verdict = mx_sync_judge_event(NULL, m->judge, mx_slice(text, entry->body.len + 1), scratch);
    verdict.rule_id = NULL;
    apr_pool_destroy(scratch);
    return verdict;
}

/* The same rules as those of unread_events() in sql/0018_unread.sql. */
static void move_by(moving_t *m, const mx_sync_entry_t *entry)
{
    int marks;

    if (entry->user_nid == m->who->user_nid) {
        if (entry->reads) mx_sync_unread_read(m->room, entry->thread);
        return;
    }
    if (!entry->counts || mx_user_push_settings_ignores(m->settings, entry->user_nid)) return;
    if (!m->settings->plain) {
        mx_sync_unread_add(m->room, entry->thread, judge_content(m, entry), 1, m->pool);
        return;
    }
    if (!entry->marked && !m->head.all) return;
    marks = entry->marks | (mentions(entry, m->who->user_nid) ? MX_PUSH_MARK_USER : 0);
    mx_sync_unread_add(m->room, entry->thread, judge_kind(m, entry, marks), 1, m->pool);
}

static void copy_lines(mx_sync_unread_room_t *room, const mx_sync_tally_t *tally, apr_pool_t *pool)
{
    int room_for = 1;

    while (room_for < tally->n) room_for *= 2;     /* as mx_sync_unread_add() counts on */
    room->n = tally->n;
    room->lines = apr_palloc(pool, sizeof(*room->lines) * (apr_size_t)room_for);
    memcpy(room->lines, tally->lines, sizeof(*room->lines) * (apr_size_t)tally->n);
}

/* Rules on contents: all that was counted hangs on the user's name in the room and on its power levels as well. */
static int open_judge(moving_t *m, const mx_sync_tally_pick_t *pick, mx_sync_state_t *state)
{
    int i;

    if (m->settings->plain || !pick->n) return 1;
    if (m->head.scanned + pick->n >= MX_SYNC_UNREAD_SCAN) return 0;
    for (i = 0; i < pick->n; i++) {
        const mx_sync_entry_t *entry = pick->events[i];

        if (entry->target_nid == m->who->user_nid || (entry->is_state && mx_str_eq(entry->type, "m.room.power_levels"))) return 0;
    }
    return !mx_sync_judge_create(&m->judge, state->server, m->who, mx_user_push_settings_rules(m->settings, m->pool), m->room->room_id,
                                 m->pool);
}

int mx_sync_tally_count(mx_sync_unread_room_t *room, const mx_sync_tally_pick_t *pick, mx_sync_state_t *state, const mx_who_t *who,
                        mx_user_push_settings_t *settings, apr_int64_t upto, apr_pool_t *pool)
{
    moving_t m = { .room = room, .who = who, .settings = settings, .pool = pool };
    int i;

    if (!pick->tally) return 0;
    m.head = *pick->tally;
    if (m.head.rules_stream != settings->rules_stream || m.head.ignored_stream != settings->ignored_stream) return 0;
    if (!open_judge(&m, pick, state)) return 0;
    copy_lines(room, pick->tally, pool);
    if (!pick->n) return 1;
    for (i = pick->n - 1; i >= 0; i--) move_by(&m, pick->events[i]);
    m.head.position = upto;
    keep(state, who, &m.head, room);
    return 1;
}
