/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Invitations that are not shown: those of ignored users, and those that the user takes no more. They stay what they are in the room.
 * CS-API: ignoring users; invite permission.
 */
#include "sync/full.h"
#include "user/invite_permission.h"

/* The member events of the parts, in `pool`; in no order. */
static const mx_error_t *read_invites(mx_event_row_t **prows, int *pn, const mx_sync_full_t *full)
{
    apr_int64_t *nids = apr_palloc(full->pool, sizeof(*nids) * (apr_size_t)(full->nparts + 1));
    int i, n = 0;
    apr_status_t rv;

    for (i = 0; i < full->nparts; i++)
        if (full->parts[i].section == MX_SECTION_INVITE) nids[n++] = full->parts[i].member->nid;
    if (!n) return NULL;
    rv = mx_store_event_by_nids(prows, pn, full->server->store, nids, n, full->pool);
    return rv == APR_SUCCESS ? NULL : mx_server_store_error(rv, "read invitations", full->pool);
}

static const mx_error_t *is_hidden(int *phidden, const mx_sync_full_t *full, const mx_user_invites_t *invites, apr_int64_t inviter_nid)
{
    const char *inviter = NULL;
    apr_status_t rv = APR_SUCCESS;

    *phidden = mx_user_push_settings_ignores(full->settings, inviter_nid) || invites->block_all;
    if (*phidden || !invites->lists) return NULL;
    rv = mx_server_user_id(&inviter, full->server, inviter_nid, full->pool);
    if (rv != APR_SUCCESS) return mx_server_store_error(rv, "look who invites", full->pool);
    *phidden = mx_user_invites_rule(invites, inviter, full->pool) != MX_INVITE_ALLOW;
    return NULL;
}

const mx_error_t *mx_sync_invites_hide(mx_sync_full_t *full)
{
    mx_user_invites_t invites = { .block_all = 0 };
    mx_event_row_t *rows = NULL;
    int i, k, n = 0, hidden = 0;
    const mx_error_t *err = read_invites(&rows, &n, full);

    if (!err && n) err = mx_user_invites_read(&invites, full->server, full->ask->who->user_nid, full->pool);
    for (i = 0; !err && i < n; i++) {
        err = is_hidden(&hidden, full, &invites, rows[i].sender_nid);
        for (k = 0; !err && hidden && k < full->nparts; k++)
            if (full->parts[k].section == MX_SECTION_INVITE && full->parts[k].member->nid == rows[i].nid)
                full->parts[k].section = MX_SECTION_NONE;
    }
    return err;
}
