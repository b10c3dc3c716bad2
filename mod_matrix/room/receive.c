/* SPDX-License-Identifier: Apache-2.0 */
/* The way of an event of another server when what it stands on is missing. SS-API: PDUs, checks performed on receipt of a PDU. */
#include "room/receive_private.h"

#include "store/event_id.h"

#define TAKE_TRIES 3                  /* of one event: auth events may be followed by those of what was fetched for it */

static int is_prev(const mx_event_t *event, const char *event_id)
{
    int i;
    for (i = 0; i < event->nprev && strcmp(event->prev_events[i], event_id) != 0; i++)
        ;
    return i < event->nprev;
}

/** *pmore: something came that the event waited for. */
static const mx_error_t *supply(int *pmore, mx_room_fetching_t *f, const mx_event_t *event, const mx_room_pdu_t *pdu)
{
    mx_slice_t auth[MX_EVENT_MAX_AUTH];
    const mx_error_t *err = NULL;
    int i, nauth = 0, outliers = f->out->outliers, more = 0;
    for (i = 0; i < pdu->nmissing; i++) {
        if (!is_prev(event, pdu->missing[i]))
            auth[nauth++] = mx_store_event_id_pack(pdu->missing[i], f->pool);
    }
    if (nauth)
        err = mx_room_fetch_auth(f, event->event_id, auth, nauth);
    more = f->out->outliers > outliers;
    for (i = 0; !err && i < pdu->nmissing; i++) {
        int done = 0;
        if (is_prev(event, pdu->missing[i]) && f->grounds++ < MX_RECEIVE_GAPS_MAX)
            err = mx_room_fetch_ground(&done, f, pdu->missing[i]);
        more |= done;
    }
    *pmore = more;
    return err;
}

static const mx_error_t *take(mx_room_pdu_t *out, mx_room_fetching_t *f, mx_slice_t text, const mx_event_t *event)
{
    const mx_error_t *err = NULL;
    int i, more = 1;
    for (i = 0; !err && more && i < TAKE_TRIES; i++) {
        err = mx_room_accept_pdu(out, f->server, f->room->room_id, text, f->source->key, f->source->baton, f->pool);
        if (err || out->outcome != MX_PDU_WAITS)
            break;
        err = supply(&more, f, event, out);
    }
    if (!err && more && out->outcome == MX_PDU_WAITS)
        err = mx_room_accept_pdu(out, f->server, f->room->room_id, text, f->source->key, f->source->baton, f->pool);
    return err;
}

/** What is between, oldest first. What cannot be taken leaves those that follow it with a gap. */
static const mx_error_t *take_between(mx_room_fetching_t *f, const mx_event_t *event)
{
    mx_room_pulled_t *pulled = NULL;
    int i, n = 0;
    const mx_error_t *err = mx_room_fetch_between(&pulled, &n, f, event);
    for (i = 0; !err && i < n; i++) {
        mx_room_pdu_t pdu = { MX_PDU_WAITS, NULL, NULL, NULL, 0 };
        err = take(&pdu, f, pulled[i].text, pulled[i].event);
        if (pdu.why)
            mx_room_fetch_trouble(f, pdu.why);
        f->out->between += pdu.outcome != MX_PDU_REFUSED && pdu.outcome != MX_PDU_WAITS && pdu.outcome != MX_PDU_KNOWN;
    }
    return err;
}

static int lacks_prev(const mx_event_t *event, const mx_room_pdu_t *pdu)
{
    int i;
    for (i = 0; i < pdu->nmissing && !is_prev(event, pdu->missing[i]); i++)
        ;
    return i < pdu->nmissing;
}

const mx_error_t *mx_room_receive(mx_room_received_t *out, mx_server_t *server, const char *room_id, mx_slice_t text,
                                  const mx_room_source_t *source, apr_time_t deadline, apr_pool_t *pool)
{
    mx_room_fetching_t f = { .out = out, .server = server, .source = source, .deadline = deadline, .pool = pool };
    mx_event_t *event;
    const mx_error_t *err;
    memset(out, 0, sizeof(*out));
    err = mx_room_accept_pdu(&out->pdu, server, room_id, text, source->key, source->baton, pool);
    if (err || out->pdu.outcome != MX_PDU_WAITS)
        return err;
    err = mx_room_get(&f.room, server, room_id, 0, pool);
    if (err)
        return err;
    f.as = (mx_room_outlier_room_t){ f.room->nid, f.room->room_id, f.room->version, source->key, source->baton };
    f.asked = apr_hash_make(pool);
    err = mx_event_parse_foreign(&event, f.room->version, text, pool);
    if (!err && lacks_prev(event, &out->pdu))
        err = take_between(&f, event);
    return err ? err : take(&out->pdu, &f, text, event);
}
