/* SPDX-License-Identifier: Apache-2.0 */
/* CS-API: GET /_matrix/client/v3/capabilities */
#include "api/req.h"

#include "core/room_version.h"

/** Capabilities that are only on or off. */
static const struct {
    const char *name;
    int enabled;
} switches[] = {
    { "m.3pid_changes", 0 },
    { "m.change_password", 1 },
    { "m.get_login_token", 0 },
    { "m.profile_fields", 1 },
    { "m.set_avatar_url", 1 },
    { "m.set_displayname", 1 },
};

static void write_room_versions(mx_json_writer_t *w, const mx_settings_t *settings)
{
    const mx_room_version_t *version;
    int i;
    mx_jw_key_object(w, "m.room_versions");
    mx_jw_key_str(w, "default", mx_settings_room_version(settings));
    mx_jw_key_object(w, "available");
    for (i = 0; (version = mx_room_version_at(i)); i++) {
        if (version->creatable)
            mx_jw_key_str(w, version->name, version->stable ? "stable" : "unstable");
    }
    mx_jw_end_object(w);
    mx_jw_end_object(w);
}

/** MSC4140: limits as a capability. Without any delayed events there is nothing to tell. */
static void write_delayed_events(mx_json_writer_t *w, const mx_settings_t *settings)
{
    if (!settings->delayed_events_max)
        return;
    mx_jw_key_object(w, "org.matrix.msc4140.delayed_events");
    mx_jw_key_int(w, "max_delay_ms", settings->event_delay_max_ms);
    mx_jw_key_int(w, "max_scheduled", settings->delayed_events_max);
    mx_jw_end_object(w);
}

const mx_error_t *mx_client_get_capabilities(mx_reply_t *reply, mx_req_t *req)
{
    mx_json_writer_t *w = mx_jw_create(req->pool);
    apr_size_t i;
    mx_jw_object(w);
    mx_jw_key_object(w, "capabilities");
    for (i = 0; i < sizeof(switches) / sizeof(switches[0]); i++) {
        mx_jw_key_object(w, switches[i].name);
        mx_jw_key_bool(w, "enabled", switches[i].enabled);
        mx_jw_end_object(w);
    }
    write_room_versions(w, req->server->settings);
    write_delayed_events(w, req->server->settings);
    mx_jw_end_object(w);
    mx_jw_end_object(w);
    mx_reply_writer(reply, w);
    return NULL;
}
