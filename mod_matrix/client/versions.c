/* SPDX-License-Identifier: Apache-2.0 */
/* CS-API: GET /_matrix/client/versions */
#include "api/req.h"

/* Versions whose endpoints a client can count on here; v1.2 and on ask for more (spaces, media of v1.11). */
static const char *const versions[] = { "r0.0.1", "r0.1.0", "r0.2.0", "r0.3.0", "r0.4.0", "r0.5.0", "r0.6.0", "r0.6.1", "v1.1" };

/* What works before it is in a version listed above. */
static const char *const features[] = {
    "org.matrix.e2e_cross_signing",
    "org.matrix.msc2285.stable",
    "org.matrix.msc3440.stable",
    "org.matrix.msc3715.stable",
    "org.matrix.msc3771",
    "org.matrix.msc3773",
    "org.matrix.msc3814",
    "org.matrix.msc3856.stable",
    "org.matrix.msc3952_intentional_mentions",
    "org.matrix.msc3981",
    "org.matrix.msc4143",
    "org.matrix.msc4155",
    "org.matrix.msc4354",
    "org.matrix.msc4380",
    "org.matrix.msc4380.stable",
    "org.matrix.simplified_msc3575",
    "uk.tcpip.msc4133",
    "uk.tcpip.msc4133.stable",
};

const mx_error_t *mx_client_get_versions(mx_reply_t *reply, mx_req_t *req)
{
    mx_json_writer_t *w = mx_jw_create(req->pool);
    apr_size_t i;
    mx_jw_object(w);
    mx_jw_key_array(w, "versions");
    for (i = 0; i < sizeof(versions) / sizeof(versions[0]); i++)
        mx_jw_str(w, versions[i]);
    mx_jw_end_array(w);
    mx_jw_key_object(w, "unstable_features");
    for (i = 0; i < sizeof(features) / sizeof(features[0]); i++)
        mx_jw_key_bool(w, features[i], 1);
    mx_jw_key_bool(w, "org.matrix.msc4140", req->server->settings->delayed_events_max > 0);
    mx_jw_end_object(w);
    mx_jw_end_object(w);
    mx_reply_writer(reply, w);
    return NULL;
}
