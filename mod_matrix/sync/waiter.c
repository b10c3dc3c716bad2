/* SPDX-License-Identifier: Apache-2.0 */
/* Waiters: who is woken by what. A waiter that nothing concerned has checked as far as the ring goes, without a write. */
#include "sync/presence.h"

void mx_sync_waiter_wake_locked(mx_sync_waiter_t *waiter)
{
    if (waiter->woken) return;
    waiter->woken = 1;
    waiter->wake(waiter->baton);
}

/* An entry that concerns the waiter's user concerns the waiter. */
static int wants(const mx_sync_waiter_t *waiter, const mx_sync_entry_t *entry)
{
    return entry->position > waiter->checked && (!entry->device_nid || entry->device_nid == waiter->device_nid)
           && mx_sync_entry_passes(entry, waiter->filter);
}

/* The user's waiters whom this entry concerns. */
static void wake_user(mx_sync_user_t *user, const mx_sync_entry_t *entry)
{
    mx_sync_waiter_t *waiter;

    for (waiter = user->waiters; waiter; waiter = waiter->next)
        if (wants(waiter, entry)) mx_sync_waiter_wake_locked(waiter);
}

static void wake_room(const mx_sync_state_t *state, apr_int64_t room_nid, const mx_sync_entry_t *entry)
{
    const mx_sync_room_t *room = mx_sync_interest_room(&state->interest, room_nid);
    const mx_nid_map_slot_t *slot;
    apr_uint32_t at = 0;

    if (!room) return;
    while ((slot = mx_nid_map_next(&room->users, &at)) != NULL) wake_user(slot->value, entry);
}

/* One of our users changed its own membership: it is told in any case, and its rooms are put right. */
static void tell_target(mx_sync_state_t *state, const mx_sync_entry_t *entry)
{
    mx_sync_user_t *user = entry->target_nid ? mx_sync_interest_user(&state->interest, entry->target_nid) : NULL;

    if (!user) return;
    wake_user(user, entry);
    if (!user->loaded || entry->jumps) return;
    if (entry->membership == MX_MEMBERSHIP_JOIN) mx_sync_interest_join(&state->interest, user, entry->room_nid);
    else mx_sync_interest_part(&state->interest, user, entry->room_nid);
}

/* Those who share a room, and the user's other devices; or the one whom it is told. */
static void tell_device_list(mx_sync_state_t *state, const mx_sync_entry_t *entry)
{
    mx_sync_user_t *user = mx_sync_interest_user(&state->interest, entry->viewer_nid ? entry->viewer_nid : entry->user_nid);

    if (user) wake_user(user, entry);
    for (int i = 0; i < entry->nrooms; i++) wake_room(state, entry->rooms[i], entry);
}

/*
 * Presence wakes a user's waiters once in MatrixPresenceInterval at most: what comes sooner is kept back, and told with whatever else
 * wakes them, or when the time is over.
 */
static void hold_or_wake(mx_sync_state_t *state, mx_sync_user_t *user, const mx_sync_entry_t *entry, apr_time_t now)
{
    mx_sync_waiter_t *waiter;
    int holds = now - user->presence_told < apr_time_from_msec(state->server->settings->presence_interval_ms);

    for (waiter = user->waiters; waiter; waiter = waiter->next) {
        if (waiter->woken || !wants(waiter, entry)) continue;
        if (holds && !waiter->held) waiter->held = entry->position;
        if (!holds) mx_sync_waiter_wake_locked(waiter);
        if (!holds) user->presence_told = now;
        if (!holds || user->held) continue;
        user->held = 1;
        user->held_next = state->held;
        state->held = user;
    }
}

void mx_sync_waiter_release_locked(mx_sync_state_t *state, apr_time_t now)
{
    mx_sync_user_t **at = &state->held, *user;
    mx_sync_waiter_t *waiter;

    while ((user = *at) != NULL) {
        if (user->waiters && now - user->presence_told < apr_time_from_msec(state->server->settings->presence_interval_ms)) {
            at = &user->held_next;
            continue;
        }
        *at = user->held_next;
        user->held = 0;
        for (waiter = user->waiters; waiter; waiter = waiter->next) {
            if (!waiter->held || waiter->woken) continue;
            user->presence_told = now;
            mx_sync_waiter_wake_locked(waiter);
        }
    }
}

/* Those in the rooms, up to a bound: nobody's presence may cost more than that, however many hear of it. */
static void tell_presence(mx_sync_state_t *state, const mx_sync_entry_t *entry)
{
    apr_time_t now = apr_time_now();
    mx_sync_user_t *user = mx_sync_interest_user(&state->interest, entry->user_nid);
    const mx_nid_map_slot_t *slot;
    int i, left = MX_PRESENCE_WAKE_MAX;

    if (user) hold_or_wake(state, user, entry, now);
    for (i = 0; i < entry->nrooms && left > 0; i++) {
        const mx_sync_room_t *room = mx_sync_interest_room(&state->interest, entry->rooms[i]);
        apr_uint32_t at = 0;

        while (room && left-- > 0 && (slot = mx_nid_map_next(&room->users, &at)) != NULL)
            if (slot->value != user) hold_or_wake(state, slot->value, entry, now);
    }
}

/* Forks were resolved. What the rows say is true now; of a later change the ring has not heard yet, so until then nobody is sure. */
static void tell_moved(mx_sync_state_t *state, const mx_sync_entry_t *entry)
{
    int i;

    for (i = 0; i < entry->nmoved; i++) {
        const mx_sync_moved_t *moved = &entry->moved[i];
        mx_sync_user_t *user = mx_sync_interest_user(&state->interest, moved->user_nid);

        if (!user) continue;
        wake_user(user, entry);
        if (moved->stream > entry->position && moved->stream > user->unsure_until) user->unsure_until = moved->stream;
        if (!user->loaded) continue;
        if (moved->membership == MX_MEMBERSHIP_JOIN) mx_sync_interest_join(&state->interest, user, entry->room_nid);
        else mx_sync_interest_part(&state->interest, user, entry->room_nid);
    }
}

static void tell(mx_sync_state_t *state, const mx_sync_entry_t *entry)
{
    mx_sync_user_t *user;

    switch (entry->kind) {
    case MX_ENTRY_EVENT:
        wake_room(state, entry->room_nid, entry);
        tell_target(state, entry);
        tell_moved(state, entry);
        break;
    case MX_ENTRY_RECEIPT:
        if (!mx_str_eq(entry->type, "m.read.private")) {
            wake_room(state, entry->room_nid, entry);
            break;
        }
        /* fall through */
    case MX_ENTRY_ACCOUNT_DATA:
    case MX_ENTRY_TO_DEVICE:
    case MX_ENTRY_KEY_STOCK:
        user = mx_sync_interest_user(&state->interest, entry->user_nid);
        if (user) wake_user(user, entry);
        break;
    case MX_ENTRY_DEVICE_LIST:
        tell_device_list(state, entry);
        break;
    case MX_ENTRY_TYPING:
        wake_room(state, entry->room_nid, entry);
        break;
    case MX_ENTRY_PRESENCE:
        tell_presence(state, entry);
        break;
    }
}

void mx_sync_waiter_tell_locked(mx_sync_state_t *state, const mx_sync_batch_t *batch)
{
    int i;

    for (i = 0; i < batch->n; i++) tell(state, &batch->entries[i]);
}

void mx_sync_waiter_wake_all_locked(mx_sync_state_t *state)
{
    const mx_nid_map_slot_t *slot;
    apr_uint32_t at = 0;

    while ((slot = mx_nid_map_next(&state->interest.users, &at)) != NULL) {
        mx_sync_user_t *user = slot->value;
        mx_sync_waiter_t *waiter;

        for (waiter = user->waiters; waiter; waiter = waiter->next) mx_sync_waiter_wake_locked(waiter);
    }
}

/* Does the entry concern the user? The same rule as tell(), asked from the other side. */
static int concerns(const mx_sync_user_t *user, const mx_sync_entry_t *entry)
{
    if (entry->kind == MX_ENTRY_DEVICE_LIST || entry->kind == MX_ENTRY_PRESENCE) return mx_sync_entry_lists(entry, user);
    if (entry->kind == MX_ENTRY_ACCOUNT_DATA || entry->device_nid) return entry->user_nid == user->nid;
    if (entry->kind == MX_ENTRY_RECEIPT && mx_str_eq(entry->type, "m.read.private")) return entry->user_nid == user->nid;
    return entry->target_nid == user->nid || mx_nid_map_get(&user->rooms, entry->room_nid) || mx_sync_entry_moved(entry, user->nid);
}

/* Is there news in the ring that the waiter has not looked at, or is the ring too short to say? */
static int has_news(const mx_sync_state_t *state, const mx_sync_waiter_t *waiter)
{
    const mx_sync_batch_t *batch;
    int i;

    if (waiter->checked < state->ring.floor) return 1;
    for (batch = mx_sync_ring_after(&state->ring, waiter->checked); batch; batch = batch->newer)
        for (i = 0; i < batch->n; i++) {
            const mx_sync_entry_t *entry = &batch->entries[i];

            if (wants(waiter, entry) && concerns(waiter->user, entry)) return 1;
        }
    return 0;
}

void mx_sync_waiter_loaded_locked(mx_sync_state_t *state, mx_sync_user_t *user)
{
    mx_sync_waiter_t *waiter;

    for (waiter = user->waiters; waiter; waiter = waiter->next)
        if (has_news(state, waiter)) mx_sync_waiter_wake_locked(waiter);
}

int mx_sync_waiter_load_locked(mx_sync_state_t *state, mx_sync_user_t *user)
{
    if (user->queued) return 0;
    user->queued = 1;
    user->pending = state->pending;
    state->pending = user;
    return 1;
}

static void link_waiter(mx_sync_waiter_t *waiter, mx_sync_user_t *user)
{
    waiter->user = user;
    waiter->prev = NULL;
    waiter->next = user->waiters;
    if (user->waiters) user->waiters->prev = waiter;
    user->waiters = waiter;
    user->idle_since = 0;
}

static void unlink_waiter(mx_sync_waiter_t *waiter)
{
    if (waiter->next) waiter->next->prev = waiter->prev;
    if (waiter->prev) waiter->prev->next = waiter->next;
    else waiter->user->waiters = waiter->next;
    if (!waiter->user->waiters) waiter->user->idle_since = apr_time_now();
}

void mx_sync_waiter_arm(mx_sync_waiter_t *waiter, void (*wake)(void *baton), void *baton)
{
    mx_sync_state_t *state = waiter->server->sync;
    mx_sync_user_t *user;
    int load = 0;

    waiter->wake = wake;
    waiter->baton = baton;
    apr_thread_mutex_lock(state->lock);
    user = mx_sync_interest_add(&state->interest, waiter->user_nid);
    link_waiter(waiter, user);
    waiter->armed = 1;
    waiter->woken = 0;
    waiter->held = 0;
    state->waiters++;
    mx_sync_notifier_start_locked(state);
    if (user->loaded && state->ready) {
        if (has_news(state, waiter)) mx_sync_waiter_wake_locked(waiter);
    } else
        load = mx_sync_waiter_load_locked(state, user);
    apr_thread_mutex_unlock(state->lock);
    if (load) mx_sync_notifier_poke(state, MX_SYNC_POKE_LOAD);
}

void mx_sync_waiter_disarm(mx_sync_waiter_t *waiter)
{
    mx_sync_state_t *state = waiter->server->sync;

    apr_thread_mutex_lock(state->lock);
    if (waiter->armed) {
        unlink_waiter(waiter);
        waiter->armed = 0;
        state->waiters--;
        if (!waiter->woken && state->ready && waiter->user->loaded && state->ring.head >= waiter->user->unsure_until
            && state->ring.head > waiter->checked)
            waiter->checked = waiter->held ? waiter->held - 1 : state->ring.head;
        waiter->user = NULL;
    }
    apr_thread_mutex_unlock(state->lock);
}
