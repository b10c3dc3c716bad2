/* SPDX-License-Identifier: Apache-2.0 */
/* What the child knows of one snapshot: its core events ready to use, and the nids of other entries as they were asked for. */
#include "room/room_private.h"

#include "store/event_id.h"

#include <apr_hash.h>
#include <stdlib.h>

#define KNOWN_ENTRIES_MAX 4096          /* entries remembered of one snapshot; past it they are looked up each time */
#define KNOWN_BASE_BYTES 24576          /* pool, four parsed core events */
#define KNOWN_ENTRY_BYTES 160

enum { CORE_CREATE, CORE_POWER_LEVELS, CORE_JOIN_RULES, CORE_HISTORY_VISIBILITY, NCORE };
static const char *const core_types[NCORE] = { MX_ROOM_CORE_TYPES };

struct mx_room_known_t {
    int refs;                           /* atomic */
    apr_pool_t *pool;
    apr_int64_t snap_nid, state_redacted;
    mx_room_current_t core[NCORE];
    const mx_power_t *power;
    apr_thread_mutex_t *lock;           /* of what follows */
    apr_hash_t *entries;                /* type NUL state_key: entry_t */
    apr_size_t bytes;
};

typedef struct entry_t {
    apr_int64_t skey_nid;               /* 0: no room had such state when it was asked for */
    apr_int64_t nid;                    /* 0: there is none */
} entry_t;

apr_pool_t *mx_room_known_pool(const char *tag)
{
    apr_pool_t *pool;
    if (apr_pool_create_unmanaged_ex(&pool, NULL, NULL) != APR_SUCCESS)
        abort();        /* as pools do when memory is gone */
    apr_pool_tag(pool, tag);
    return pool;
}

static int core_index(const char *type, const char *state_key)
{
    int i;
    for (i = 0; !*state_key && i < NCORE; i++) {
        if (strcmp(type, core_types[i]) == 0)
            return i;
    }
    return -1;
}

void mx_room_known_fill(mx_room_current_t *out, const mx_room_version_t *version, apr_int64_t nid, mx_slice_t pdu,
                         const char *event_id, apr_pool_t *pool)
{
    mx_event_t *event;
    mx_slice_t copy = mx_slice(mx_slice_dup(pdu, pool), pdu.len);
    if (mx_event_parse(&event, version, copy, apr_pstrdup(pool, event_id), pool) != NULL)
        return;         /* not possible with what we stored */
    out->nid = nid;
    out->event = event;
    out->membership = strcmp(event->type, "m.room.member") == 0
                          ? mx_membership_parse(mx_json_get_str(mx_event_content(event), "membership"))
                          : (mx_event_content(event), MX_MEMBERSHIP_NONE);
}

static mx_room_known_t *known_new(apr_int64_t snap_nid, apr_int64_t state_redacted)
{
    apr_pool_t *pool = mx_room_known_pool("mx_room_known");
    mx_room_known_t *known = apr_pcalloc(pool, sizeof(*known));
    known->pool = pool;
    known->refs = 1;
    known->snap_nid = snap_nid;
    known->state_redacted = state_redacted;
    known->entries = apr_hash_make(pool);
    known->bytes = KNOWN_BASE_BYTES;
    if (apr_thread_mutex_create(&known->lock, APR_THREAD_MUTEX_DEFAULT, pool) != APR_SUCCESS)
        abort();
    return known;
}

static void known_make_power(mx_room_known_t *known)
{
    if (known->core[CORE_CREATE].event)
        known->power =
            mx_power_create(known->core[CORE_CREATE].event, known->core[CORE_POWER_LEVELS].event, known->pool);
}

mx_room_known_t *mx_room_known_create(const mx_room_row_t *row, const mx_room_version_t *version,
                                      const mx_room_entry_t *core, int n)
{
    mx_room_known_t *known = known_new(row->snap_nid, row->state_redacted);
    int i;
    for (i = 0; i < n; i++) {
        int at = core_index(core[i].type, core[i].state_key);
        if (at >= 0)
            mx_room_known_fill(&known->core[at], version, core[i].event.nid, core[i].event.pdu,
                         mx_store_event_id_unpack(core[i].event.id, known->pool), known->pool);
    }
    known_make_power(known);
    return known;
}

mx_slice_t mx_room_known_key(const char *type, const char *state_key, apr_pool_t *pool)
{
    apr_size_t type_len = strlen(type) + 1, key_len = strlen(state_key);
    char *p = apr_palloc(pool, type_len + key_len + 1);
    memcpy(p, type, type_len);
    memcpy(p + type_len, state_key, key_len + 1);
    return mx_slice(p, type_len + key_len);
}

/** For the owner of a table that nobody else sees yet, or under its lock. */
static void entry_set(mx_room_known_t *known, mx_slice_t key, entry_t entry)
{
    entry_t *there = apr_hash_get(known->entries, key.p, (apr_ssize_t)key.len);
    if (there) {
        *there = entry;
        return;
    }
    if (apr_hash_count(known->entries) >= KNOWN_ENTRIES_MAX)
        return;
    apr_hash_set(known->entries, apr_pmemdup(known->pool, key.p, key.len + 1), (apr_ssize_t)key.len,
                 apr_pmemdup(known->pool, &entry, sizeof(entry)));
    known->bytes += KNOWN_ENTRY_BYTES + key.len;
}

static int by_skey(const void *a, const void *b)
{
    const mx_state_item_t *x = a, *y = b;
    return x->skey_nid < y->skey_nid ? -1 : x->skey_nid > y->skey_nid;
}

void mx_room_known_carry(mx_room_known_t *known, const mx_room_known_t *old, const mx_state_item_t *changed, int n)
{
    apr_hash_index_t *hi;
    apr_thread_mutex_lock(old->lock);
    /* a full table is let go: most of it belongs to those who have been silent for long */
    hi = apr_hash_count(old->entries) < KNOWN_ENTRIES_MAX ? apr_hash_first(known->pool, old->entries) : NULL;
    for (; hi; hi = apr_hash_next(hi)) {
        const void *key;
        apr_ssize_t len;
        void *value;
        mx_state_item_t wanted = { 0, 0 };
        const mx_state_item_t *now;
        entry_t entry;
        apr_hash_this(hi, &key, &len, &value);
        entry = *(const entry_t *)value;
        wanted.skey_nid = entry.skey_nid;
        if (!entry.skey_nid && n)
            continue;                   /* it may have come into being */
        now = n ? bsearch(&wanted, changed, (size_t)n, sizeof(*changed), by_skey) : NULL;
        if (now)
            entry.nid = now->nid;
        entry_set(known, mx_slice(key, (apr_size_t)len), entry);
    }
    apr_thread_mutex_unlock(old->lock);
}

int mx_room_known_count(mx_room_known_t *known)
{
    int n;
    apr_thread_mutex_lock(known->lock);
    n = (int)apr_hash_count(known->entries);
    apr_thread_mutex_unlock(known->lock);
    return n;
}

mx_room_known_t *mx_room_known_next(const mx_room_known_t *old, const mx_room_version_t *version, apr_int64_t snap_nid,
                                    const mx_room_change_t *changes, int n)
{
    mx_room_known_t *known = known_new(snap_nid, old ? old->state_redacted : 0);
    const mx_room_change_t *core[NCORE] = { NULL };
    int i, at;
    if (old)
        mx_room_known_carry(known, old, NULL, 0);
    for (i = 0; i < n; i++) {
        at = core_index(changes[i].type, changes[i].state_key);
        if (at >= 0)
            core[at] = &changes[i];
        else
            entry_set(known, mx_room_known_key(changes[i].type, changes[i].state_key, known->pool),
                      (entry_t){ changes[i].skey_nid, changes[i].nid });
    }
    for (i = 0; i < NCORE; i++) {
        const mx_event_t *event = core[i] ? core[i]->event : old ? old->core[i].event : NULL;
        if (event)
            mx_room_known_fill(&known->core[i], version, core[i] ? core[i]->nid : old->core[i].nid, event->pdu,
                         event->event_id, known->pool);
    }
    known_make_power(known);
    return known;
}

mx_room_known_t *mx_room_known_ref(mx_room_known_t *known)
{
    __atomic_add_fetch(&known->refs, 1, __ATOMIC_RELAXED);
    return known;
}

void mx_room_known_unref(mx_room_known_t *known)
{
    if (__atomic_sub_fetch(&known->refs, 1, __ATOMIC_ACQ_REL) == 0)
        apr_pool_destroy(known->pool);
}

apr_size_t mx_room_known_bytes(const mx_room_known_t *known)
{
    apr_size_t bytes;
    apr_thread_mutex_lock(known->lock);
    bytes = known->bytes;
    apr_thread_mutex_unlock(known->lock);
    return bytes;
}

const mx_power_t *mx_room_known_power(const mx_room_known_t *known)
{
    return known->power;
}

int mx_room_known_find(apr_int64_t *pnid, mx_room_known_t *known, mx_slice_t key)
{
    const entry_t *entry;
    apr_thread_mutex_lock(known->lock);
    entry = apr_hash_get(known->entries, key.p, (apr_ssize_t)key.len);
    if (entry)
        *pnid = entry->nid;
    apr_thread_mutex_unlock(known->lock);
    return entry != NULL;
}

void mx_room_known_learn(mx_room_known_t *known, mx_slice_t key, apr_int64_t skey_nid, apr_int64_t nid)
{
    apr_thread_mutex_lock(known->lock);
    entry_set(known, key, (entry_t){ skey_nid, nid });
    apr_thread_mutex_unlock(known->lock);
}

int mx_room_known_core(mx_room_current_t *out, const mx_room_known_t *known, const char *type, const char *state_key)
{
    int at = core_index(type, state_key);
    if (at >= 0)
        *out = known->core[at];
    return at >= 0;
}
