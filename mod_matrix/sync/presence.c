/* SPDX-License-Identifier: Apache-2.0 */
/* Who was seen, and what others are told of it. CS-API: presence. */
#include "sync/presence.h"

#include "core/ident.h"
#include "user/user.h"

#define BEATS 3                      /* how often a device is said to be still there within MatrixPresenceOffline */
#define URGENT_US 1000000            /* activity is written so soon … */
#define ACTIVE_STEPS 6               /* … where it is news: later than the last by this part of MatrixPresenceActive */
#define TICK_DEVICES 1000            /* of one statement */
#define SWEEP_USERS 500

/* A device that was seen here. Times in ms; 0: never. */
typedef struct seen_t {
    mx_presence_device_t device;     /* until_ms: when it was seen last */
    apr_int64_t written_ms, written_active_ms;   /* what of that is stored */
} seen_t;

mx_presence_reach_t mx_sync_presence_reach(const mx_server_t *server)
{
    return (mx_presence_reach_t){ server->settings->presence_max_members, MX_PRESENCE_ROOMS_MAX };
}

static apr_int64_t beat_ms(const mx_server_t *server)
{
    return server->settings->presence_offline_ms / BEATS;
}

static mx_presence_clock_t clock_now(const mx_server_t *server)
{
    return (mx_presence_clock_t){ apr_time_as_msec(apr_time_now()), server->settings->presence_active_ms,
                                  server->settings->presence_idle_ms };
}

/* As it is stored: connected for a beat longer than it may be silent, since that is how late the next word of it may be written. */
static mx_presence_device_t as_stored(const mx_server_t *server, const seen_t *seen)
{
    mx_presence_device_t device = seen->device;

    if (device.until_ms) device.until_ms += server->settings->presence_offline_ms + beat_ms(server);
    return device;
}

static void note_stored(seen_t *seen, const mx_presence_device_t *device)
{
    seen->written_ms = device->until_ms;
    seen->written_active_ms = device->active_ms;
}

/* ---- memory, under the lock ---- */

void mx_sync_presence_init(mx_sync_state_t *state)
{
    state->presence.slab = mx_slab_create(sizeof(seen_t), state->pool);
}

static seen_t *find_or_add(mx_sync_state_t *state, const mx_who_t *who)
{
    seen_t *seen = mx_nid_map_get(&state->presence.devices, who->device_nid);

    if (seen || state->presence.devices.count >= MX_PRESENCE_DEVICES_MAX) return seen;
    seen = mx_slab_get(state->presence.slab);
    seen->device.device_nid = who->device_nid;
    seen->device.user_nid = who->user_nid;
    mx_nid_map_set(&state->presence.devices, who->device_nid, seen);
    return seen;
}

static void forget(mx_sync_state_t *state, apr_int64_t device_nid)
{
    seen_t *seen = mx_nid_map_remove(&state->presence.devices, device_nid);

    if (seen) mx_slab_put(state->presence.slab, seen);
}

/* It does not want to be seen any more; what it did stays to be written. */
static void unsee(mx_sync_state_t *state, apr_int64_t device_nid)
{
    seen_t *seen = mx_nid_map_get(&state->presence.devices, device_nid);

    if (!seen) return;
    seen->device.state = MX_PRESENCE_OFFLINE;
    seen->device.said_ms = seen->device.until_ms = 0;
}

static int is_news(const mx_server_t *server, const seen_t *seen)
{
    return seen->device.active_ms - seen->written_active_ms >= server->settings->presence_active_ms / ACTIVE_STEPS;
}

/* Devices whose poll waits here are there now. */
static void see_waiters_locked(mx_sync_state_t *state, apr_int64_t now_ms)
{
    const mx_nid_map_slot_t *slot;
    apr_uint32_t at = 0;

    while ((slot = mx_nid_map_next(&state->interest.users, &at)) != NULL) {
        const mx_sync_waiter_t *waiter;

        for (waiter = ((const mx_sync_user_t *)slot->value)->waiters; waiter; waiter = waiter->next) {
            seen_t *seen = mx_nid_map_get(&state->presence.devices, waiter->device_nid);

            if (seen && seen->device.said_ms) seen->device.until_ms = now_ms;
        }
    }
}

/* Some of those of whom there is something to write; who has been away for long is forgotten. */
static int collect_locked(mx_presence_device_t *out, mx_sync_state_t *state, apr_int64_t now_ms)
{
    apr_int64_t beat = beat_ms(state->server), gone = now_ms - state->server->settings->presence_offline_ms - 2 * beat;
    apr_int64_t old[TICK_DEVICES];
    const mx_nid_map_slot_t *slot;
    apr_uint32_t at = 0;
    int n = 0, nold = 0;

    while (n < TICK_DEVICES && (slot = mx_nid_map_next(&state->presence.devices, &at)) != NULL) {
        seen_t *seen = slot->value;

        if (seen->device.until_ms - seen->written_ms >= beat / 2 || is_news(state->server, seen)) out[n++] = seen->device;
        else if (seen->device.until_ms < gone && seen->device.active_ms < gone && nold < TICK_DEVICES)
            old[nold++] = slot->nid;
    }
    while (nold) forget(state, old[--nold]);
    return n;
}

static void written_locked(mx_sync_state_t *state, const mx_presence_device_t *devices, int n)
{
    for (int i = 0; i < n; i++) {
        seen_t *seen = mx_nid_map_get(&state->presence.devices, devices[i].device_nid);

        if (seen) note_stored(seen, &devices[i]);
    }
}

/* ---- what is written ---- */

static apr_status_t write_devices(mx_presence_moved_t *moved, mx_sync_state_t *state, mx_conn_t *conn, const mx_presence_device_t *devices,
                                  int n, const apr_int64_t *told, int ntold, apr_pool_t *pool)
{
    mx_presence_device_t *rows = apr_palloc(pool, sizeof(*rows) * (apr_size_t)(n + 1));
    mx_presence_clock_t clock = clock_now(state->server);
    apr_status_t rv;

    for (int i = 0; i < n; i++) {
        seen_t seen = { .device = devices[i] };

        rows[i] = as_stored(state->server, &seen);
    }
    rv = mx_store_presence_touch(moved, conn, rows, n, told, ntold, &clock, pool);
    if (rv != APR_SUCCESS) return rv;
    apr_thread_mutex_lock(state->lock);
    written_locked(state, devices, n);
    apr_thread_mutex_unlock(state->lock);
    return APR_SUCCESS;
}

int mx_sync_presence_is_urgent(const mx_sync_state_t *state)
{
    return __atomic_load_n(&state->presence.urgent, __ATOMIC_RELAXED);
}

static apr_status_t write_seen(apr_int64_t *pmoved, mx_sync_state_t *state, mx_conn_t *conn, apr_pool_t *pool)
{
    mx_presence_device_t *devices = apr_palloc(pool, sizeof(*devices) * TICK_DEVICES);
    apr_int64_t now_ms = apr_time_as_msec(apr_time_now());
    apr_status_t rv = APR_SUCCESS;
    int n = TICK_DEVICES;

    __atomic_store_n(&state->presence.urgent, 0, __ATOMIC_RELAXED);
    apr_thread_mutex_lock(state->lock);
    see_waiters_locked(state, now_ms);
    apr_thread_mutex_unlock(state->lock);
    while (n == TICK_DEVICES && rv == APR_SUCCESS) {
        mx_presence_moved_t moved = { 0, 0 };

        apr_thread_mutex_lock(state->lock);
        n = collect_locked(devices, state, now_ms);
        apr_thread_mutex_unlock(state->lock);
        if (n) rv = write_devices(&moved, state, conn, devices, n, NULL, 0, pool);
        *pmoved += moved.moved;
    }
    return rv;
}

apr_status_t mx_sync_presence_tick(apr_time_t *pnext, mx_sync_state_t *state, mx_conn_t *conn, apr_pool_t *pool)
{
    mx_presence_clock_t clock = clock_now(state->server);
    mx_presence_moved_t swept = { 0, 0 };
    apr_time_t now = apr_time_now(), beat = apr_time_from_msec(beat_ms(state->server));
    apr_int64_t moved = 0;
    apr_status_t rv = write_seen(&moved, state, conn, pool);

    if (rv == APR_SUCCESS) rv = mx_store_presence_sweep(&swept, conn, SWEEP_USERS, &clock, pool);
    if (moved + swept.moved) mx_server_stream_moved(state->server);
    *pnext = now + beat;
    if (swept.due_ms && apr_time_from_msec(swept.due_ms) < *pnext) *pnext = apr_time_from_msec(swept.due_ms);
    if (*pnext < now + URGENT_US) *pnext = now + URGENT_US;
    /* two that wrote the same users: the other one's words count, ours come with the next beat */
    return rv == MX_STORE_RETRY ? APR_SUCCESS : rv;
}

/* ---- what requests say ---- */

/* Where no notifier runs, since nobody waits, a request does its work once in a while. */
static apr_status_t tick_by_request(mx_sync_state_t *state, apr_pool_t *pool)
{
    mx_conn_t *conn = NULL;
    apr_time_t next = 0;
    apr_status_t rv = mx_store_borrow(&conn, state->server->store, pool);

    if (rv == APR_SUCCESS) rv = mx_sync_presence_tick(&next, state, conn, pool);
    mx_store_return(conn);
    return rv;
}

static apr_status_t write_one(mx_sync_state_t *state, const mx_presence_device_t *device, apr_pool_t *pool)
{
    mx_presence_moved_t moved = { 0, 0 };
    mx_conn_t *conn = NULL;
    apr_status_t rv = mx_store_borrow(&conn, state->server->store, pool);

    if (rv == APR_SUCCESS) rv = write_devices(&moved, state, conn, device, 1, NULL, 0, pool);
    mx_store_return(conn);
    if (moved.moved) mx_server_stream_moved(state->server);
    return rv;
}

int mx_sync_presence_parse(mx_presence_e *out, const char *text)
{
    *out = MX_PRESENCE_ONLINE;
    if (!text || !strcmp(text, "online")) return 1;
    *out = !strcmp(text, "unavailable") ? MX_PRESENCE_UNAVAILABLE : MX_PRESENCE_OFFLINE;
    return *out == MX_PRESENCE_UNAVAILABLE || !strcmp(text, "offline");
}

void mx_sync_presence_seen(mx_server_t *server, const mx_who_t *who, mx_presence_e presence, apr_pool_t *pool)
{
    mx_sync_state_t *state = server->sync;
    apr_time_t now = apr_time_now();
    apr_int64_t now_ms = apr_time_as_msec(now);
    mx_presence_device_t device;
    seen_t *seen;
    int changes = 0, ticks = 0;
    apr_status_t rv = APR_SUCCESS;

    if (!server->settings->presence || !who->device_nid) return;
    apr_thread_mutex_lock(state->lock);
    if (presence == MX_PRESENCE_OFFLINE) unsee(state, who->device_nid);
    seen = presence == MX_PRESENCE_OFFLINE ? NULL : find_or_add(state, who);
    if (seen) {
        changes = !seen->device.said_ms || seen->device.state != presence
                  || now_ms - seen->device.until_ms > server->settings->presence_offline_ms;
        seen->device.state = presence;
        seen->device.said_ms = seen->device.until_ms = now_ms;
        device = seen->device;
    }
    if (!changes && !state->running && now >= state->presence.next_by_request) {
        ticks = 1;
        state->presence.next_by_request = now + apr_time_from_msec(beat_ms(server)) / 2;
    }
    apr_thread_mutex_unlock(state->lock);
    if (changes) rv = write_one(state, &device, pool);
    else if (ticks) rv = tick_by_request(state, pool);
    if (rv != APR_SUCCESS) mx_log(server->log, MX_LOG_DEBUG, rv, "presence could not be stored");
}

void mx_sync_presence_active(mx_server_t *server, const mx_who_t *who)
{
    mx_sync_state_t *state = server->sync;
    seen_t *seen;

    if (!server->settings->presence || !who->device_nid) return;
    apr_thread_mutex_lock(state->lock);
    seen = find_or_add(state, who);
    if (seen) {
        seen->device.active_ms = apr_time_as_msec(apr_time_now());
        if (is_news(server, seen)) {
            __atomic_store_n(&state->presence.urgent, 1, __ATOMIC_RELAXED);
            mx_sync_notifier_start_locked(state);       /* it writes that, also where nobody waits */
        }
    }
    apr_thread_mutex_unlock(state->lock);
}

static apr_status_t store_set(mx_presence_moved_t *moved, mx_sync_state_t *state, mx_conn_t *conn, const mx_presence_device_t *device,
                              const char *status_msg, apr_pool_t *pool)
{
    int said = 0;
    apr_status_t rv = mx_store_begin(conn);

    if (rv == APR_SUCCESS) rv = mx_store_presence_status(&said, conn, device->user_nid, status_msg, pool);
    if (rv == APR_SUCCESS) rv = write_devices(moved, state, conn, device, 1, &device->user_nid, said ? 1 : 0, pool);
    return rv == APR_SUCCESS ? mx_store_commit(conn) : rv;
}

const mx_error_t *mx_sync_presence_set(mx_server_t *server, const mx_who_t *who, mx_presence_e presence, const char *status_msg,
                                       apr_pool_t *pool)
{
    apr_int64_t now_ms = apr_time_as_msec(apr_time_now());
    mx_presence_device_t device = { who->device_nid, who->user_nid, presence, now_ms, now_ms, now_ms };
    mx_sync_state_t *state = server->sync;
    mx_presence_moved_t moved = { 0, 0 };
    mx_conn_t *conn = NULL;
    seen_t *seen;
    apr_status_t rv;

    if (!server->settings->presence || !who->device_nid) return NULL;
    apr_thread_mutex_lock(state->lock);
    seen = find_or_add(state, who);
    if (seen) seen->device = device;
    apr_thread_mutex_unlock(state->lock);
    rv = mx_store_borrow(&conn, server->store, pool);
    if (rv == APR_SUCCESS) rv = store_set(&moved, state, conn, &device, status_msg, pool);
    mx_store_return(conn);
    if (rv != APR_SUCCESS) return mx_server_store_error(rv, "store presence", pool);
    if (moved.moved) mx_server_stream_moved(server);
    return NULL;
}

/* ---- what is told ---- */

static void write_content(mx_json_writer_t *w, const mx_presence_row_t *row)
{
    static const char *const words[] = { "offline", "unavailable", "online" };

    mx_jw_object(w);
    mx_jw_key_str(w, "presence", words[row->state]);
    if (row->state == MX_PRESENCE_ONLINE) mx_jw_key_bool(w, "currently_active", row->active);
    if (row->status_msg) mx_jw_key_str(w, "status_msg", row->status_msg);
}

static void append_ago(mx_buf_t *out, apr_int64_t active_ms, apr_int64_t now_ms)
{
    char text[48];

    if (!active_ms) return;
    apr_snprintf(text, sizeof(text), ",\"last_active_ago\":%" APR_INT64_T_FMT, now_ms > active_ms ? now_ms - active_ms : 0);
    mx_buf_append(out, text, strlen(text));
}

void mx_sync_presence_begin(mx_json_writer_t *w, const mx_presence_row_t *row)
{
    mx_jw_object(w);
    mx_jw_key_str(w, "type", "m.presence");
    mx_jw_key_str(w, "sender", row->user_id);
    mx_jw_key(w, "content");
    write_content(w, row);
}

void mx_sync_presence_end(mx_buf_t *out, apr_int64_t active_ms, apr_int64_t now_ms)
{
    append_ago(out, active_ms, now_ms);
    mx_buf_append(out, "}}", 2);
}

/* Rooms the reader came into, and those whose members may have changed. */
static void ask_of_rooms(mx_presence_ask_t *ask, const mx_sync_full_t *full)
{
    apr_int64_t *entered = apr_palloc(full->pool, sizeof(*entered) * (apr_size_t)(full->nparts + 1));
    apr_int64_t *moved = apr_palloc(full->pool, sizeof(*moved) * (apr_size_t)(full->nparts + 1));

    ask->entered = entered;
    ask->moved = moved;
    for (int i = 0; !mx_sync_is_initial(full) && i < full->nparts; i++) {
        const mx_sync_part_t *part = &full->parts[i];

        if (part->section != MX_SECTION_JOIN) continue;
        if (part->fresh) entered[ask->nentered++] = part->member->room_nid;
        else if (part->moved) moved[ask->nmoved++] = part->member->room_nid;
    }
}

/* CS-API: filter.presence; ignoring users: nothing that an ignored user sends but state. */
static int is_wanted(const mx_sync_full_t *full, const mx_presence_row_t *row)
{
    return mx_event_filter_allows(&full->filter->presence, "m.presence", row->user_id, NULL, 0)
           && !mx_user_push_settings_ignores(full->settings, row->user_nid);
}

const mx_error_t *mx_sync_presence_write_full(mx_json_writer_t *w, int *ptold, const mx_sync_full_t *full)
{
    int limit = full->filter->presence.limit >= 0 ? full->filter->presence.limit : MX_PRESENCE_TOLD_MAX, n = 0, told = 0;
    mx_presence_ask_t ask = { .reader_nid = full->ask->who->user_nid, .since = full->ask->since, .upto = full->upto,
                              .reach = { full->server->settings->presence_max_members, MX_PRESENCE_READ_ROOMS_MAX },
                              .limit = MX_PRESENCE_TOLD_MAX };
    mx_presence_row_t *rows = NULL;
    apr_status_t rv;

    if (!full->server->settings->presence || !limit) return NULL;
    ask_of_rooms(&ask, full);
    MX_SYNC_WITH_CONN(rv, full, mx_store_presence_told(&rows, &n, conn, &ask, full->pool));
    if (rv != APR_SUCCESS) return mx_server_store_error(rv, "read presence", full->pool);
    for (int i = 0; i < n && told < limit; i++) {
        if (!is_wanted(full, &rows[i])) continue;
        if (!told++) {
            mx_jw_key_object(w, "presence");
            mx_jw_key_array(w, "events");
        }
        mx_sync_presence_begin(w, &rows[i]);
        append_ago(w->buf, rows[i].active_ms, apr_time_as_msec(full->now));
        mx_jw_end_object(w);
        mx_jw_end_object(w);
    }
    if (told) {
        mx_jw_end_array(w);
        mx_jw_end_object(w);
        *ptold = 1;
    }
    return NULL;
}

/* ---- GET /presence/{userId}/status ---- */

static const mx_error_t *find_user(apr_int64_t *pnid, mx_server_t *server, const mx_who_t *who, const char *user_id, apr_pool_t *pool)
{
    int exists = 1, shares = 0;
    const mx_error_t *err = NULL;
    apr_status_t rv = mx_server_user_nid_find(pnid, server, user_id, pool);

    if (rv == APR_SUCCESS && *pnid == who->user_nid) return NULL;
    if (rv == APR_SUCCESS) rv = mx_store_presence_shares(&shares, server->store, who->user_nid, *pnid, pool);
    if (rv != APR_SUCCESS && rv != MX_STORE_NONE) return mx_server_store_error(rv, "look who shares rooms", pool);
    if (shares) return NULL;
    if (mx_ident_is_local(user_id, server->name)) err = mx_user_exists(&exists, server, user_id, pool);
    if (err) return err;
    return exists ? mx_error_make(pool, MX_E_FORBIDDEN, "You share no room with this user.")
                  : mx_error_make(pool, MX_E_NOT_FOUND, "There is no such user.");
}

const mx_error_t *mx_sync_presence_get(mx_json_writer_t *w, mx_server_t *server, const mx_who_t *who, const char *user_id, apr_pool_t *pool)
{
    mx_presence_row_t row = { .state = MX_PRESENCE_OFFLINE };
    apr_int64_t user_nid = 0, now_ms = apr_time_as_msec(apr_time_now());
    const mx_error_t *err = find_user(&user_nid, server, who, user_id, pool);
    apr_status_t rv = APR_SUCCESS;

    if (err) return err;
    if (server->settings->presence) rv = mx_store_presence_get(&row, server->store, user_nid, pool);
    /* its time has come, and nobody waits who would have looked */
    if (rv == APR_SUCCESS && row.due_ms && row.due_ms <= now_ms) {
        rv = tick_by_request(server->sync, pool);
        if (rv == APR_SUCCESS) rv = mx_store_presence_get(&row, server->store, user_nid, pool);
    }
    if (rv != APR_SUCCESS && rv != MX_STORE_NONE) return mx_server_store_error(rv, "read presence", pool);
    write_content(w, &row);
    append_ago(w->buf, row.active_ms, now_ms);
    mx_jw_end_object(w);
    return NULL;
}
