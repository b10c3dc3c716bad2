/* SPDX-License-Identifier: Apache-2.0 */
/* A user's push rules: reading and changing the saved document. */
#include "user/push_rules.h"
#include "store/push_rules.h"

#define SAVE_TRIES 10

static mx_json_t *compose(const char *user_id, mx_slice_t saved, apr_pool_t *pool)
{
    mx_json_limits_t limits = { MX_JSON_DEPTH_DEFAULT };
    mx_json_t *stored = NULL;

    if (saved.p) mx_json_parse(&stored, NULL, saved.p, saved.len, &limits, pool);
    return mx_push_rules_compose(user_id, stored, pool);
}

const mx_error_t *mx_user_push_rules_get(mx_json_t **pdoc, mx_server_t *server, const mx_who_t *who, apr_pool_t *pool)
{
    mx_slice_t saved;
    apr_int64_t seen;
    apr_status_t rv = mx_store_push_rules_load(&saved, &seen, server->store, who->user_nid, pool);

    if (rv) return mx_server_store_error(rv, "reading push rules", pool);
    *pdoc = compose(who->user_id, saved, pool);
    return NULL;
}

const mx_error_t *mx_user_push_rules_change(mx_server_t *server, const mx_who_t *who, mx_user_push_rules_edit_fn *edit, void *baton,
                                            apr_pool_t *pool)
{
    apr_status_t rv = MX_STORE_RETRY;

    for (int i = 0; i < SAVE_TRIES && rv == MX_STORE_RETRY; i++) {
        mx_buf_t *text = mx_buf_create(pool);
        const mx_error_t *err;
        mx_slice_t saved;
        mx_json_t *doc;
        apr_int64_t seen;

        rv = mx_store_push_rules_load(&saved, &seen, server->store, who->user_nid, pool);
        if (rv) break;
        doc = compose(who->user_id, saved, pool);
        if ((err = edit(doc, baton, pool))) return err;
        mx_json_write(text, doc);
        rv = mx_store_push_rules_save(server->store, who->user_nid, mx_buf_slice(text), seen, pool);
    }
    if (rv) return mx_server_store_error(rv, "saving push rules", pool);
    mx_server_stream_moved(server);
    return NULL;
}

mx_slice_t mx_user_push_rules_for_sync(const char *user_id, mx_slice_t saved, apr_pool_t *pool)
{
    mx_buf_t *text = mx_buf_create(pool);

    mx_json_write(text, compose(user_id, saved, pool));
    return mx_buf_slice(text);
}
