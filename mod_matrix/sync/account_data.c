/* SPDX-License-Identifier: Apache-2.0 */
/* Account data and tags. CS-API: client config; room tagging. */
#include "store/account_data.h"
#include "sync/sync_private.h"

#define SWAP_TRIES 10                /* two clients that change one room's tags at once */

const mx_error_t *mx_sync_account_data_get(mx_slice_t *pcontent, mx_server_t *server, const mx_who_t *who, apr_int64_t room_nid,
                                           const char *type, apr_pool_t *pool)
{
    apr_int64_t stream;
    apr_status_t rv = mx_store_account_data_get(pcontent, &stream, server->store, who->user_nid, room_nid, type, pool);

    if (rv == MX_STORE_NONE) return mx_error_make(pool, MX_E_NOT_FOUND, "There is no account data of that type.");
    return rv == APR_SUCCESS ? NULL : mx_server_store_error(rv, "read account data", pool);
}

const mx_error_t *mx_sync_account_data_put(mx_server_t *server, const mx_who_t *who, apr_int64_t room_nid, const char *type,
                                           const mx_json_t *content, apr_pool_t *pool)
{
    mx_buf_t *text = mx_buf_create(pool);
    apr_status_t rv;

    mx_json_write(text, content);
    rv = mx_store_account_data_put(server->store, who->user_nid, room_nid, type, mx_buf_slice(text), pool);
    if (rv != APR_SUCCESS) return mx_server_store_error(rv, "store account data", pool);
    mx_server_stream_moved(server);
    return NULL;
}

/* The m.tag document as a tree of its own; {} if there is none. *pseen: its position, 0 if there is none. */
static const mx_error_t *load_tags(mx_json_t **pdoc, apr_int64_t *pseen, mx_server_t *server, const mx_who_t *who, apr_int64_t room_nid,
                                   apr_pool_t *pool)
{
    mx_json_limits_t limits = { server->settings->max_json_depth };
    mx_slice_t text = MX_SLICE_NONE;
    const char *why = NULL;
    apr_status_t rv;

    *pseen = 0;
    *pdoc = mx_json_new_object(pool);
    rv = mx_store_account_data_get(&text, pseen, server->store, who->user_nid, room_nid, "m.tag", pool);
    if (rv == MX_STORE_NONE) return NULL;
    if (rv != APR_SUCCESS) return mx_server_store_error(rv, "read a room's tags", pool);
    /* a client may have put something else there as plain account data: then there are no tags */
    mx_json_parse(pdoc, &why, text.p, text.len, &limits, pool);
    return NULL;
}

static mx_json_t *tags_of(mx_json_t *doc, apr_pool_t *pool)
{
    mx_json_t *tags = mx_json_get(doc, "tags");

    return mx_json_is(tags, MX_JSON_OBJECT) ? tags : mx_json_new_object(pool);
}

const mx_error_t *mx_sync_tags_get(mx_json_t **ptags, mx_server_t *server, const mx_who_t *who, apr_int64_t room_nid, apr_pool_t *pool)
{
    mx_json_t *doc = NULL;
    apr_int64_t seen;
    const mx_error_t *err = load_tags(&doc, &seen, server, who, room_nid, pool);

    if (!err) *ptags = tags_of(doc, pool);
    return err;
}

/* One try; *pdone 0: somebody else changed the tags meanwhile. */
static const mx_error_t *try_set(int *pdone, mx_server_t *server, const mx_who_t *who, apr_int64_t room_nid, const char *tag,
                                 const mx_json_t *info, apr_pool_t *pool)
{
    mx_json_t *doc = NULL, *tags;
    mx_buf_t *text = mx_buf_create(pool);
    apr_int64_t seen = 0;
    const mx_error_t *err = load_tags(&doc, &seen, server, who, room_nid, pool);
    apr_status_t rv;

    if (err) return err;
    tags = tags_of(doc, pool);
    if (!info && !mx_json_get(tags, tag)) {
        *pdone = 1;
        return NULL;
    }
    if (info) mx_json_set(tags, tag, mx_json_copy(pool, info));
    else mx_json_del(tags, tag);
    mx_json_set(doc, "tags", tags);
    mx_json_write(text, doc);
    rv = mx_store_account_data_swap(server->store, who->user_nid, room_nid, "m.tag", mx_buf_slice(text), seen, pool);
    *pdone = rv == APR_SUCCESS;
    return rv == APR_SUCCESS || rv == MX_STORE_RETRY ? NULL : mx_server_store_error(rv, "store a room's tags", pool);
}

const mx_error_t *mx_sync_tags_set(mx_server_t *server, const mx_who_t *who, apr_int64_t room_nid, const char *tag,
                                   const mx_json_t *info, apr_pool_t *pool)
{
    const mx_error_t *err = NULL;
    int i, done = 0;

    for (i = 0; !err && !done && i < SWAP_TRIES; i++) err = try_set(&done, server, who, room_nid, tag, info, pool);
    if (err) return err;
    if (!done) return mx_server_store_error(MX_STORE_RETRY, "store a room's tags", pool);
    mx_server_stream_moved(server);
    return NULL;
}
