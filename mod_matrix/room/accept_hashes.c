/* SPDX-License-Identifier: Apache-2.0 */
/* The reference hashes beside the event ids of room versions 1 and 2. Rooms v1: event format; SS-API: reference hash. */
#include "room/accept_private.h"

#include "store/event_id.h"

/** An event of the batch; it may still lack its signature, which the hash does not cover. */
static const mx_event_t *find_in_batch(const mx_room_accept_t *b, const char *event_id)
{
    int i;
    for (i = b->rows.nevents; i-- > 0;) {
        if (strcmp(b->events[i]->event_id, event_id) == 0)
            return b->events[i];
    }
    return NULL;
}

/** One that is stored: the stored form may be the redacted one, which has the same hash. */
static const mx_error_t *load_stored(const mx_event_t **pevent, const mx_room_accept_t *b, const char *event_id,
                                     apr_pool_t *pool)
{
    mx_event_row_t *row;
    mx_event_t *event = NULL;
    apr_status_t rv = mx_store_event_by_id(&row, b->server->store, event_id, pool);
    const mx_error_t *err;
    if (rv != APR_SUCCESS)
        return mx_server_store_error(rv, "reading a previous event", pool);
    err = mx_event_parse(&event, b->version, row->pdu, event_id, pool);
    *pevent = event;
    return err;
}

const mx_error_t *mx_room_accept_hashes(mx_event_draft_t *draft, const mx_room_accept_t *batch,
                                        const mx_event_t *const *auth, apr_pool_t *pool)
{
    const mx_error_t *err = NULL;
    int i;
    if (draft->version->event_id != MX_EVENT_ID_SERVER)
        return NULL;
    draft->prev_hashes = apr_pcalloc(pool, sizeof(*draft->prev_hashes) * (apr_size_t)(draft->nprev + 1));
    draft->auth_hashes = apr_pcalloc(pool, sizeof(*draft->auth_hashes) * (apr_size_t)(draft->nauth + 1));
    for (i = 0; i < draft->nauth; i++)
        draft->auth_hashes[i] = mx_event_reference_hash(auth[i], pool);
    for (i = 0; !err && i < draft->nprev; i++) {
        const mx_event_t *prev = find_in_batch(batch, draft->prev_events[i]);
        if (!prev)
            err = load_stored(&prev, batch, draft->prev_events[i], pool);
        if (!err)
            draft->prev_hashes[i] = mx_event_reference_hash(prev, pool);
    }
    return err;
}
