/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Push rules and ignored users as a child remembers them. What was read at a position holds until the ring sees account data of that
 * user that sets one of the two (sync/ring.h); what cannot be known is read again.
 */
#include "sync/tally.h"

#define OVERHEAD_BYTES 160           /* of an entry of the cache */

/* A value of the cache: one block with what it points to. The rules are kept as text: who needs them compiles them. */
typedef struct kept_t {
    mx_user_push_settings_t settings;
    apr_int64_t position;            /* as of; under the lock of the sync state */
    apr_int64_t ignored[];           /* then the text */
} kept_t;

mx_cache_t *mx_sync_push_settings_cache_create(apr_size_t max_bytes, apr_pool_t *pool)
{
    return mx_cache_create("push settings", max_bytes, mx_cache_value_destroy, pool);
}

mx_user_push_settings_t *mx_sync_push_settings_known_locked(mx_cache_ref_t **pref, mx_sync_state_t *state, const mx_who_t *who,
                                                            apr_pool_t *pool)
{
    mx_user_push_settings_t *out;
    mx_cache_ref_t *ref;
    kept_t *kept = mx_cache_get(&ref, state->push_settings, &who->user_nid, sizeof(who->user_nid));

    if (!kept) return NULL;
    if (!mx_sync_ring_is_settled(&state->ring, who->user_nid, 0, kept->position)) {
        mx_cache_put(ref);
        return NULL;
    }
    if (kept->position < state->ring.head) kept->position = state->ring.head;
    out = apr_pmemdup(pool, &kept->settings, sizeof(*out));
    out->user_id = who->user_id;
    out->rules = out->text.p ? NULL : state->predefined_rules;
    *pref = ref;
    return out;
}

static void keep(mx_sync_state_t *state, const mx_who_t *who, const mx_user_push_settings_t *settings, apr_int64_t position)
{
    apr_size_t ignored_bytes = sizeof(*settings->ignored) * (apr_size_t)settings->nignored;
    apr_size_t bytes = sizeof(kept_t) + ignored_bytes + settings->text.len;
    kept_t *kept = mx_cache_value_create(bytes);
    char *text = (char *)kept + sizeof(*kept) + ignored_bytes;

    kept->settings = *settings;
    kept->position = position;
    kept->settings.rules = NULL;
    kept->settings.user_id = NULL;
    kept->settings.ignored = kept->ignored;
    if (ignored_bytes) memcpy(kept->ignored, settings->ignored, ignored_bytes);
    if (settings->text.p) {
        memcpy(text, settings->text.p, settings->text.len);
        kept->settings.text = mx_slice(text, settings->text.len);
    }
    mx_cache_set(NULL, state->push_settings, &who->user_nid, sizeof(who->user_nid), kept, bytes + OVERHEAD_BYTES, 0);
}

const mx_error_t *mx_sync_push_settings_read(mx_user_push_settings_t **psettings, mx_server_t *server, const mx_who_t *who,
                                             apr_int64_t position, apr_pool_t *pool)
{
    mx_sync_state_t *state = server->sync;
    const mx_error_t *err = mx_user_push_settings_get(psettings, server, who, state->predefined_rules, pool);

    if (!err && !(*psettings)->unknown) keep(state, who, *psettings, position);
    return err;
}
