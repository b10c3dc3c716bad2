/* SPDX-License-Identifier: Apache-2.0 */
/* One event against the authorization rules, and the events that the rules ask for. Rooms vN: authorization rules. */
#include "tools/doctor.h"

#include "store/event_id.h"

#define EVENTS_MAX 8000              /* of the table; then it starts anew */
#define SKEYS_MAX 50000

/* ---- the table of events ---- */

static mx_doctor_known_t *known_add(mx_doctor_room_t *room, const mx_event_row_t *row)
{
    mx_doctor_known_t *known = apr_pcalloc(room->arena, sizeof(*known));
    const char *id = mx_store_event_id_unpack(row->id, room->arena);
    mx_slice_t pdu = mx_slice(mx_slice_dup(row->pdu, room->arena), row->pdu.len);
    mx_event_t *event = NULL;
    known->nid = row->nid;
    known->room_nid = row->room_nid;
    known->flags = row->flags;
    /* the foreign reader: these bytes may be damaged, and the trusting one must not see such */
    if (pdu.len && mx_event_parse_foreign(&event, room->version, pdu, room->arena) == NULL) {
        event->event_id = id;
        known->event = event;
    }
    mx_nid_map_set(&room->by_nid, row->nid, known);
    apr_hash_set(room->by_id, id, APR_HASH_KEY_STRING, known);
    return known;
}

static apr_status_t add_all(mx_doctor_room_t *room, const mx_event_row_t *rows, int n)
{
    int i;
    for (i = 0; i < n; i++) {
        if (!mx_nid_map_get(&room->by_nid, rows[i].nid))
            known_add(room, &rows[i]);
    }
    return APR_SUCCESS;
}

apr_status_t mx_doctor_auth_load_ids(mx_doctor_room_t *room, const char *const *ids, int n)
{
    mx_slice_t *packed = apr_palloc(room->chunk, sizeof(*packed) * (apr_size_t)(n + 1));
    mx_event_row_t *rows;
    int i, wanted = 0, found;
    apr_status_t rv;
    for (i = 0; i < n; i++) {
        if (!apr_hash_get(room->by_id, ids[i], APR_HASH_KEY_STRING))
            packed[wanted++] = mx_store_event_id_pack(ids[i], room->chunk);
    }
    if (!wanted)
        return APR_SUCCESS;
    rv = mx_store_doctor_by_ids(&rows, &found, room->d->store, packed, wanted, room->chunk);
    return rv == APR_SUCCESS ? add_all(room, rows, found) : rv;
}

apr_status_t mx_doctor_auth_load_nids(mx_doctor_room_t *room, const apr_int64_t *nids, int n)
{
    apr_int64_t *missing = apr_palloc(room->chunk, sizeof(*missing) * (apr_size_t)(n + 1));
    mx_event_row_t *rows;
    int i, wanted = 0, found;
    apr_status_t rv;
    for (i = 0; i < n; i++) {
        if (nids[i] && !mx_nid_map_get(&room->by_nid, nids[i]))
            missing[wanted++] = nids[i];
    }
    if (!wanted)
        return APR_SUCCESS;
    rv = mx_store_event_by_nids(&rows, &found, room->d->store, missing, wanted, room->chunk);
    return rv == APR_SUCCESS ? add_all(room, rows, found) : rv;
}

void mx_doctor_auth_trim(mx_doctor_room_t *room)
{
    if (room->nskeys > SKEYS_MAX) {
        apr_hash_clear(room->skeys);
        room->nskeys = 0;
    }
    if (room->arena && room->by_nid.count <= EVENTS_MAX)
        return;
    if (room->arena)
        apr_pool_destroy(room->arena);
    apr_pool_create(&room->arena, room->pool);
    apr_pool_tag(room->arena, "mx_doctor_events");
    mx_nid_map_free(&room->by_nid);
    room->by_id = apr_hash_make(room->arena);
    room->skeys = apr_hash_make(room->arena);
    room->nskeys = 0;
    room->power = NULL;
    room->create = NULL;
}

const mx_doctor_known_t *mx_doctor_auth_known(mx_doctor_room_t *room, const char *id)
{
    return apr_hash_get(room->by_id, id, APR_HASH_KEY_STRING);
}

const mx_doctor_known_t *mx_doctor_auth_get(mx_doctor_room_t *room, apr_int64_t nid)
{
    apr_status_t rv;
    if (!nid)
        return NULL;
    rv = mx_doctor_auth_load_nids(room, &nid, 1);
    if (rv != APR_SUCCESS)
        room->rv = rv;
    return mx_nid_map_get(&room->by_nid, nid);
}

static char *skey_key(apr_size_t *plen, const char *type, const char *state_key, apr_pool_t *pool)
{
    apr_size_t ntype = strlen(type) + 1;
    char *key;
    *plen = ntype + strlen(state_key);
    key = apr_palloc(pool, *plen + 1);
    memcpy(key, type, ntype);
    memcpy(key + ntype, state_key, *plen - ntype + 1);
    return key;
}

static void skey_put(mx_doctor_room_t *room, const char *key, apr_size_t len, apr_int64_t nid)
{
    apr_hash_set(room->skeys, apr_pmemdup(room->arena, key, len), (apr_ssize_t)len, apr_pmemdup(room->arena, &nid, sizeof(nid)));
    room->nskeys++;
}

apr_status_t mx_doctor_auth_load_skeys(mx_doctor_room_t *room, const mx_state_key_t *keys, int n)
{
    mx_state_key_t *wanted = apr_palloc(room->chunk, sizeof(*wanted) * (apr_size_t)(n + 1));
    apr_int64_t *nids = apr_palloc(room->chunk, sizeof(*nids) * (apr_size_t)(n + 1));
    apr_size_t len;
    char *key;
    int i, nwanted = 0;
    apr_status_t rv;
    for (i = 0; i < n; i++) {
        key = skey_key(&len, keys[i].type, keys[i].state_key, room->chunk);
        if (!apr_hash_get(room->skeys, key, (apr_ssize_t)len))
            wanted[nwanted++] = keys[i];
    }
    rv = nwanted ? mx_store_resolve_skeys(nids, room->d->store, wanted, nwanted, room->chunk) : APR_SUCCESS;
    for (i = 0; rv == APR_SUCCESS && i < nwanted; i++) {
        key = skey_key(&len, wanted[i].type, wanted[i].state_key, room->chunk);
        if (!apr_hash_get(room->skeys, key, (apr_ssize_t)len))
            skey_put(room, key, len, nids[i]);
    }
    return rv;
}

apr_int64_t mx_doctor_auth_skey(mx_doctor_room_t *room, const char *type, const char *state_key)
{
    mx_state_key_t wanted = { type, state_key };
    apr_size_t len;
    char *key = skey_key(&len, type, state_key, room->chunk);
    const apr_int64_t *nid = apr_hash_get(room->skeys, key, (apr_ssize_t)len);
    apr_status_t rv = nid ? APR_SUCCESS : mx_doctor_auth_load_skeys(room, &wanted, 1);
    if (rv != APR_SUCCESS)
        room->rv = rv;
    if (!nid)
        nid = apr_hash_get(room->skeys, key, (apr_ssize_t)len);
    return nid ? *nid : 0;
}

/* ---- the rules ---- */

/** What one check of the rules works on. */
typedef struct asking_t {
    mx_doctor_room_t *room;
    const mx_doctor_known_t *listed[MX_EVENT_MAX_AUTH];
    int nlisted;
    mx_doctor_entry_fn *entry;
    void *baton;
    int doubt;                       /* an event was given that lost something by a redaction */
} asking_t;

static const mx_event_t *give(asking_t *a, const mx_doctor_known_t *known)
{
    if (!known)
        return NULL;
    if (known->flags & MX_EVENT_FLAG_REDACTED)
        a->doubt = 1;
    return known->event;
}

/** Version 12: the create event is the room's id, and stands in no list. */
static const mx_doctor_known_t *create_of(mx_doctor_room_t *room)
{
    const char *id = apr_psprintf(room->chunk, "$%s", room->row->room_id + 1);
    apr_status_t rv;
    if (room->create || !room->version->room_id_is_create_hash)
        return room->create;
    rv = mx_doctor_auth_load_ids(room, &id, 1);
    if (rv != APR_SUCCESS)
        room->rv = rv;
    room->create = mx_doctor_auth_known(room, id);
    return room->create;
}

static const mx_event_t *get_listed(void *baton, const char *type, const char *state_key)
{
    asking_t *a = baton;
    int i;
    for (i = 0; i < a->nlisted; i++) {
        const mx_doctor_known_t *known = a->listed[i];
        if (known && known->event && mx_event_is(known->event, type, state_key))
            return give(a, known);
    }
    return strcmp(type, "m.room.create") == 0 && !*state_key ? give(a, create_of(a->room)) : NULL;
}

static const mx_event_t *get_before(void *baton, const char *type, const char *state_key)
{
    asking_t *a = baton;
    apr_int64_t skey_nid = mx_doctor_auth_skey(a->room, type, state_key);
    return skey_nid ? give(a, mx_doctor_auth_get(a->room, a->entry(a->baton, skey_nid))) : NULL;
}

/** Power levels read once for as long as they are the same. */
static const mx_power_t *power_of(asking_t *a)
{
    mx_doctor_room_t *room = a->room;
    apr_int64_t create_nid = a->entry(a->baton, mx_doctor_auth_skey(room, "m.room.create", ""));
    apr_int64_t levels_nid = a->entry(a->baton, mx_doctor_auth_skey(room, "m.room.power_levels", ""));
    const mx_doctor_known_t *create = mx_doctor_auth_get(room, create_nid), *levels = mx_doctor_auth_get(room, levels_nid);
    if (!create || !create->event)
        return NULL;
    give(a, levels);
    if (!room->power || room->power_create != create_nid || room->power_levels != levels_nid) {
        room->power = mx_power_create(create->event, levels ? levels->event : NULL, room->arena);
        room->power_create = create_nid;
        room->power_levels = levels_nid;
    }
    return room->power;
}

static const mx_error_t *check_listed(asking_t *a, const mx_event_t *event, int *prejected)
{
    const mx_event_t *events[MX_EVENT_MAX_AUTH];
    mx_auth_state_t state = { get_listed, a, NULL };
    const mx_error_t *err;
    int i;
    a->nlisted = event->nauth < MX_EVENT_MAX_AUTH ? event->nauth : MX_EVENT_MAX_AUTH;
    for (i = 0; i < a->nlisted; i++) {
        const mx_doctor_known_t *known = mx_doctor_auth_known(a->room, event->auth_events[i]);
        a->listed[i] = known;
        events[i] = known && !(known->flags & MX_EVENT_FLAG_REJECTED) ? known->event : NULL;
        *prejected |= known && (known->flags & MX_EVENT_FLAG_REJECTED);
    }
    err = mx_auth_check_list(event, events, a->nlisted, a->room->chunk);
    return err ? err : mx_auth_check(event, &state, a->room->chunk);
}

static const mx_error_t *check_before(asking_t *a, const mx_event_t *event)
{
    mx_auth_state_t state = { get_before, a, power_of(a) };
    return mx_auth_check(event, &state, a->room->chunk);
}

static int nid_is_among(apr_int64_t nid, const apr_int64_t *nids, int n)
{
    while (n > 0 && nids[n - 1] != nid)
        n--;
    return n > 0;
}

/** state_event.auth_nids are the numbers of those auth events that are here. */
static void check_edges(asking_t *a, const mx_doctor_row_t *row, const mx_event_t *event)
{
    mx_doctor_room_t *room = a->room;
    int i, known = 0;
    if (!row->has_state)
        return;
    for (i = 0; i < a->nlisted; i++) {
        if (!a->listed[i])
            continue;
        known++;
        if (!nid_is_among(a->listed[i]->nid, row->auth_nids, row->nauth))
            mx_doctor_report_add(room->report, MX_DOCTOR_COLUMNS, event->event_id, "auth_nids lacks its auth event %s.",
                                 event->auth_events[i]);
    }
    if (row->nauth > known)
        mx_doctor_report_add(room->report, MX_DOCTOR_COLUMNS, event->event_id, "auth_nids names %d events that are no auth events of it.",
                             row->nauth - known);
}

/**
 * An event that lost by a redaction what the rules read (a restricted join in version 8, invite levels before 11) is judged by what is
 * left: nothing can be said then.
 */
static void judge(asking_t *a, const mx_doctor_row_t *row, const mx_event_t *event, const mx_error_t *listed, const mx_error_t *before,
                  int auth_rejected)
{
    mx_doctor_report_t *report = a->room->report;
    int rejected = (row->event.flags & MX_EVENT_FLAG_REJECTED) != 0, refused = listed || before;
    if (rejected == refused)
        return;
    if (a->doubt || (row->event.flags & MX_EVENT_FLAG_REDACTED)) {
        report->unchecked[MX_DOCTOR_REDACTED_AUTH]++;
        return;
    }
    if (rejected && a->entry && !auth_rejected)
        mx_doctor_report_add(report, MX_DOCTOR_FLAGS, event->event_id, "it is marked as rejected, and the rules allow it.");
    if (!rejected && listed)
        mx_doctor_report_add(report, MX_DOCTOR_AUTH_EVENTS, event->event_id, "its auth events do not allow it: %s", listed->message);
    else if (!rejected && before)
        mx_doctor_report_add(report, MX_DOCTOR_AUTH_STATE, event->event_id, "the state before it does not allow it: %s", before->message);
}

void mx_doctor_auth_check(mx_doctor_room_t *room, const mx_doctor_row_t *row, const mx_event_t *event, mx_doctor_entry_fn *entry,
                          void *baton)
{
    asking_t a = { .room = room, .entry = entry, .baton = baton };
    const mx_error_t *listed, *before = NULL;
    int auth_rejected = 0;
    listed = check_listed(&a, event, &auth_rejected);
    check_edges(&a, row, event);
    if (entry)
        before = check_before(&a, event);
    if (room->rv == APR_SUCCESS)
        judge(&a, row, event, listed, before, auth_rejected);
}
