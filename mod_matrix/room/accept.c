/* SPDX-License-Identifier: Apache-2.0 */
/* Checks, builds and authorises events on top of a room. */
#include "room/accept_private.h"

#include "core/ident.h"
#include "store/event_id.h"

#define MEMBER_TYPE "m.room.member"
#define CREATE_TYPE "m.room.create"
#define REDACTION_TYPE "m.room.redaction"
#define TXN_ID_MAX_BYTES 255

/* ---- what can be judged without the room ---- */

int mx_room_accept_is_plain(const mx_room_draft_t *draft)
{
    return !draft->state_key && !draft->redacts && strcmp(draft->type, REDACTION_TYPE) != 0;
}

static const mx_error_t *check_member(const mx_room_draft_t *d, apr_pool_t *pool)
{
    if (!mx_ident_is_user_id(d->state_key))
        return mx_error_make(pool, MX_E_INVALID_PARAM, "The state key of " MEMBER_TYPE " must be a user id.");
    if (mx_membership_parse(mx_json_get_str(d->content, "membership")) == MX_MEMBERSHIP_NONE)
        return mx_error_make(pool, MX_E_BAD_JSON,
                             "The content of " MEMBER_TYPE " needs a membership that the specification knows.");
    return NULL;
}

static const mx_error_t *check_field(const char *what, const char *value, apr_pool_t *pool)
{
    apr_size_t len = value ? strlen(value) : 0;
    if (len > MX_EVENT_FIELD_MAX_BYTES)
        return mx_error_make(pool, MX_E_TOO_LARGE, "The event's %s is longer than %d bytes.", what,
                             MX_EVENT_FIELD_MAX_BYTES);
    if (!mx_str_is_utf8(value, len))
        return mx_error_make(pool, MX_E_INVALID_PARAM, "The event's %s is no UTF-8.", what);
    return NULL;
}

/** SS-API: size limits; Rooms: event format. */
static const mx_error_t *check_draft(const mx_room_draft_t *d, apr_pool_t *pool)
{
    const mx_error_t *err;
    if (!mx_json_is(d->content, MX_JSON_OBJECT))
        return mx_error_make(pool, MX_E_BAD_JSON, "The content of an event must be an object.");
    if (mx_json_has_uncanonical_number(d->content))
        return mx_error_make(pool, MX_E_BAD_JSON,
                             "Events hold integers between -(2^53)+1 and (2^53)-1 only, no other numbers.");
    if (!*d->type)
        return mx_error_make(pool, MX_E_INVALID_PARAM, "The event's type is empty.");
    err = check_field("type", d->type, pool);
    if (!err)
        err = check_field("state key", d->state_key, pool);
    if (!err)
        err = check_field("redacts", d->redacts, pool);
    if (!err && d->txn_id &&
        (!mx_ident_is_opaque(d->txn_id, TXN_ID_MAX_BYTES) || !mx_str_is_utf8(d->txn_id, strlen(d->txn_id))))
        err = mx_error_make(pool, MX_E_INVALID_PARAM, "A transaction id has 1 to %d bytes of UTF-8.", TXN_ID_MAX_BYTES);
    if (!err && d->state_key && strcmp(d->type, MEMBER_TYPE) == 0)
        err = check_member(d, pool);
    return err;
}

const mx_error_t *mx_room_accept_prepare(mx_room_accept_item_t *item, mx_server_t *server, const mx_room_draft_t *draft,
                                    apr_pool_t *pool)
{
    const mx_error_t *err = check_draft(draft, pool);
    mx_buf_t *buf;
    apr_status_t rv;
    if (err)
        return err;
    memset(item, 0, sizeof(*item));
    item->draft = draft;
    item->pool = pool;
    item->redacts = draft->redacts;
    if (!item->redacts && !draft->state_key && strcmp(draft->type, REDACTION_TYPE) == 0)
        item->redacts = mx_json_get_str(draft->content, "redacts");
    if (strcmp(draft->type, REDACTION_TYPE) == 0 && !mx_ident_is_event_id(item->redacts))
        return mx_error_make(pool, MX_E_INVALID_PARAM, "A redaction must name the event that it redacts.");
    buf = mx_buf_create(pool);
    mx_json_write_canonical(buf, draft->content);
    item->content = mx_buf_slice(buf);
    if (item->content.len > MX_PDU_MAX_BYTES)
        return mx_error_make(pool, MX_E_TOO_LARGE, "The event is larger than %d bytes.", MX_PDU_MAX_BYTES);
    rv = mx_server_user_nid(&item->sender_nid, server, draft->sender, pool);
    if (rv == APR_SUCCESS)
        rv = mx_server_type_nid(&item->type_nid, server, draft->type, pool);
    return rv == APR_SUCCESS ? NULL : mx_server_store_error(rv, "interning a sender or a type", pool);
}

/* ---- a batch ---- */

#define ARRAY(pool, ptr, n) ((ptr) = apr_pcalloc((pool), sizeof(*(ptr)) * (apr_size_t)(n)))

static mx_room_accept_t *open_batch(mx_server_t *server, const mx_room_version_t *version, int max, apr_pool_t *pool)
{
    mx_room_accept_t *b = apr_pcalloc(pool, sizeof(*b));
    b->server = server;
    b->version = version;
    b->pool = pool;
    b->max = max;
    ARRAY(pool, b->items, max);
    ARRAY(pool, b->events, max);
    ARRAY(pool, b->rows.events, max);
    return b;
}

/** What only batches with more than plain messages need. */
static void make_state_room(mx_room_accept_t *b)
{
    if (b->changes)
        return;
    ARRAY(b->pool, b->changes, b->max);
    ARRAY(b->pool, b->rows.snaps, b->max);
    ARRAY(b->pool, b->rows.log_events, b->max);
    ARRAY(b->pool, b->rows.log_snaps, b->max);
    ARRAY(b->pool, b->rows.current, b->max);
    ARRAY(b->pool, b->rows.members, b->max);
    ARRAY(b->pool, b->rows.redactions, b->max);
}

mx_room_accept_t *mx_room_accept_open(mx_server_t *server, mx_room_t *room, int max, apr_pool_t *pool)
{
    mx_room_accept_t *b = open_batch(server, room->version, max, pool);
    const struct mx_room_private_t *priv = room->priv;
    int i;
    b->room = room;
    b->room_id = room->room_id;
    b->rows.room_nid = room->nid;
    b->rows.ver = room->ver;
    b->nprev = priv->nheads < MX_EVENT_MAX_PREV ? priv->nheads : MX_EVENT_MAX_PREV;
    ARRAY(pool, b->prev, b->nprev + 1);
    for (i = 0; i < b->nprev; i++)
        b->prev[i] = mx_store_event_id_unpack(priv->head_ids[i], pool);
    b->depth = priv->depth;
    b->snap = room->snap_nid;
    b->snap_size = priv->snap_size;
    b->snap_hash = priv->snap_hash;
    b->power = priv->power;
    return b;
}

void mx_room_accept_in_turn(mx_room_accept_t *batch, mx_conn_t *turn)
{
    batch->rows.turn = turn;
}

mx_room_accept_t *mx_room_accept_open_new(mx_server_t *server, const mx_room_version_t *version, int max,
                                          apr_pool_t *pool)
{
    mx_room_accept_t *b = open_batch(server, version, max, pool);
    if (!version->room_id_is_create_hash)
        b->room_id = apr_pstrcat(pool, "!", mx_random_string(mx_alphabet_alnum, 18, pool), ":", server->name, NULL);
    ARRAY(pool, b->prev, 1);
    return b;
}

int mx_room_accept_count(const mx_room_accept_t *batch)
{
    return batch->rows.nevents;
}

const char *mx_room_accept_room_id(const mx_room_accept_t *batch)
{
    return batch->room_id;
}

const mx_error_t *mx_room_accept_state_find(mx_room_current_t *out, mx_room_accept_t *b, const char *type,
                                            const char *state_key)
{
    int i;
    memset(out, 0, sizeof(*out));
    for (i = b->nchanges; i-- > 0;) {
        if (mx_event_is(b->changes[i].event, type, state_key)) {
            out->nid = b->changes[i].ref;
            out->event = b->changes[i].event;
            return NULL;
        }
    }
    return b->room ? mx_room_state_find(out, b->server, b->room, type, state_key, b->pool) : NULL;
}

static const mx_event_t *auth_get(void *baton, const char *type, const char *state_key)
{
    mx_room_accept_t *b = baton;
    mx_room_current_t found;
    const mx_error_t *err = mx_room_accept_state_find(&found, b, type, state_key);
    if (!err)
        return found.event;
    b->err = err;
    return NULL;
}

/* ---- one event ---- */

typedef mx_room_accept_adding_t adding_t;

/** SS-API: auth events selection. */
static const mx_error_t *choose_auth_events(const char **ids, int *pn, adding_t *a)
{
    mx_state_key_t keys[MX_AUTH_KEYS_MAX];
    const mx_room_draft_t *d = a->item->draft;
    int i, n = mx_auth_keys(keys, a->b->version, d->type, d->sender, d->state_key, d->content, a->b->pool);
    for (i = 0; i < n; i++) {
        mx_room_current_t found;
        const mx_error_t *err = mx_room_accept_state_find(&found, a->b, keys[i].type, keys[i].state_key);
        if (err)
            return err;
        if (!found.event)
            continue;
        a->row.auth[a->row.nauth++] = found.nid;
        a->auth[*pn] = found.event;
        ids[(*pn)++] = found.event->event_id;
    }
    return NULL;
}

/** CS-API: PUT /rooms/{roomId}/send: before version 11 `redacts` stands at the top of the event, not in the content. */
static mx_slice_t content_for(const adding_t *a)
{
    mx_json_t *content;
    mx_buf_t *buf;
    if (!a->item->redacts || a->item->draft->redacts || a->b->version->updated_redaction)
        return a->item->content;
    content = mx_json_copy(a->item->pool, a->item->draft->content);
    mx_json_del(content, "redacts");
    buf = mx_buf_create(a->item->pool);
    mx_json_write_canonical(buf, content);
    return mx_buf_slice(buf);
}

static const mx_error_t *build(adding_t *a)
{
    mx_room_accept_t *b = a->b;
    const char *auth_ids[MX_AUTH_KEYS_MAX];
    const mx_room_draft_t *d = a->item->draft;
    mx_event_draft_t draft = {.version = b->version,
                              .room_id = b->room_id,
                              .sender = d->sender,
                              .type = d->type,
                              .state_key = d->state_key,
                              .redacts = a->item->redacts,
                              .content = content_for(a),
                              .sticky_ms = d->sticky_ms,
                              .depth = b->depth < MX_ROOM_DEPTH_MAX ? b->depth + 1 : MX_ROOM_DEPTH_MAX,
                              .origin_server_ts = apr_time_as_msec(apr_time_now()),
                              .prev_events = b->prev,
                              .nprev = b->nprev,
                              .auth_events = auth_ids,
                              .origin = b->server->name};
    const mx_error_t *err = choose_auth_events(auth_ids, &draft.nauth, a);
    if (!err)
        err = mx_room_accept_hashes(&draft, b, a->auth, a->item->pool);
    return err ? err : mx_event_build(&a->event, &draft, a->item->pool);
}

static const mx_error_t *authorise(adding_t *a)
{
    mx_room_accept_t *b = a->b;
    mx_auth_state_t state = { auth_get, b, b->power };
    const mx_error_t *err;
    b->err = NULL;
    err = mx_auth_check(a->event, &state, a->item->pool);
    return b->err ? b->err : err;
}

/** 1 if an administrator redacts what a user of this server sent. */
static int is_administrators(const adding_t *a, const mx_event_row_t *target)
{
    const char *sender;
    return a->item->draft->is_admin &&
           mx_server_user_id(&sender, a->b->server, target->sender_nid, a->b->pool) == APR_SUCCESS &&
           mx_ident_is_local(sender, a->b->server->name);
}

/** CS-API: PUT /rooms/{roomId}/redact: one's own events, those of others with the room's redact level. */
static const mx_error_t *check_redaction(mx_event_row_t **ptarget, adding_t *a)
{
    mx_room_accept_t *b = a->b;
    mx_room_accept_item_t *item = a->item;
    mx_event_row_t *target;
    apr_status_t rv = mx_store_event_by_id(&target, b->server->store, item->redacts, b->pool);
    if (rv != APR_SUCCESS && rv != MX_STORE_NONE)
        return mx_server_store_error(rv, "reading the event to redact", item->pool);
    if (rv == MX_STORE_NONE || !b->room || target->room_nid != b->room->nid)
        return mx_error_make(item->pool, MX_E_NOT_FOUND, "The event to redact is not in this room.");
    if (target->sender_nid != item->sender_nid && !is_administrators(a, target)
        && mx_power_user(b->power, item->draft->sender) < mx_power_action(b->power, MX_POWER_REDACT))
        return mx_error_make(item->pool, MX_E_FORBIDDEN, "You may not redact the events of others here.");
    *ptarget = target;
    return NULL;
}

static void add_redaction(adding_t *a, const mx_event_row_t *target)
{
    mx_room_accept_t *b = a->b;
    mx_persist_redaction_t *r;
    if (target->redacted_by)
        return;
    make_state_room(b);
    r = &b->rows.redactions[b->rows.nredactions++];
    r->nid = target->nid;
    r->pdu = mx_event_redact(b->version, target->pdu, b->pool);
    r->by = -(b->rows.nevents + 1);
}

/** 1 if the state is already as the item wants it. */
static int equals_current(const adding_t *a)
{
    const mx_event_t *current = a->replaced.event;
    return current && strcmp(current->sender, a->item->draft->sender) == 0 &&
           mx_slice_eq(current->content, a->item->content);
}

static const mx_error_t *member_change(mx_persist_member_t *out, adding_t *a)
{
    mx_membership_e membership = mx_membership_parse(mx_json_get_str(mx_event_content(a->event), "membership"));
    apr_status_t rv = mx_server_user_nid(&out->user_nid, a->b->server, a->event->state_key, a->b->pool);
    if (rv != APR_SUCCESS)
        return mx_server_store_error(rv, "interning a user id", a->item->pool);
    out->membership = membership;
    out->event = out->since = -(a->b->rows.nevents + 1);
    return NULL;
}

/** Replaces the entry of the same user, or adds one. */
static void put_member(mx_persist_batch_t *rows, const mx_persist_member_t *member)
{
    int i;
    for (i = 0; i < rows->nmembers && rows->members[i].user_nid != member->user_nid; i++) {
    }
    rows->members[i] = *member;
    if (i == rows->nmembers)
        rows->nmembers++;
}

static void put_current(mx_persist_batch_t *rows, apr_int64_t skey_nid, mx_ref_t event)
{
    int i;
    for (i = 0; i < rows->ncurrent && rows->current[i].skey_nid != skey_nid; i++) {
    }
    rows->current[i] = (mx_state_item_t){ skey_nid, event };
    if (i == rows->ncurrent)
        rows->ncurrent++;
}

/** The snapshot after the event. */
static void put_snap(adding_t *a, const unsigned char *key)
{
    mx_room_accept_t *b = a->b;
    mx_persist_batch_t *rows = &b->rows;
    mx_persist_snap_t *snap = &rows->snaps[rows->nsnaps++];
    mx_slice_t old_id = MX_SLICE_NONE;
    if (a->replaced.event)
        old_id = mx_store_event_id_pack(a->replaced.event->event_id, b->pool);
    mx_store_state_hash_change(&b->snap_hash, key, a->row.skey_nid, old_id, a->row.id, b->pool);
    if (!a->replaced.event)
        b->snap_size++;
    snap->pred = b->snap;
    snap->skey_nid = a->row.skey_nid;
    snap->event = -(rows->nevents + 1);
    snap->size = b->snap_size;
    snap->hash = b->snap_hash;
    b->snap = -rows->nsnaps;
    a->row.after = b->snap;
    rows->log_events[rows->nlog] = snap->event;
    rows->log_snaps[rows->nlog++] = b->snap;
}

const mx_error_t *mx_room_accept_put_state(adding_t *a)
{
    mx_room_accept_t *b = a->b;
    mx_ref_t ref = -(b->rows.nevents + 1);
    mx_persist_member_t member;
    const unsigned char *key;
    int is_member = strcmp(a->event->type, MEMBER_TYPE) == 0;
    const mx_error_t *err = mx_room_state_hash_key(&key, b->server, a->item->pool);
    apr_status_t rv = APR_SUCCESS;
    if (!err)
        rv = mx_server_skey_nid(&a->row.skey_nid, b->server, a->event->type, a->event->state_key, b->pool);
    if (!err && rv != APR_SUCCESS)
        err = mx_server_store_error(rv, "interning a state key", a->item->pool);
    if (!err && is_member)
        err = member_change(&member, a);
    if (err)
        return err;
    make_state_room(b);
    if (is_member)
        put_member(&b->rows, &member);
    a->row.replaces = a->replaced.nid;
    put_current(&b->rows, a->row.skey_nid, ref);
    put_snap(a, key);
    b->changes[b->nchanges++] = (mx_room_accept_change_t){ a->event, a->row.skey_nid, ref };
    return NULL;
}

static void refresh_power(mx_room_accept_t *b)
{
    mx_room_current_t create, levels;
    if (mx_room_accept_state_find(&create, b, CREATE_TYPE, "") == NULL && create.event &&
        mx_room_accept_state_find(&levels, b, "m.room.power_levels", "") == NULL)
        b->power = mx_power_create(create.event, levels.event, b->pool);
}

static void fill_row(adding_t *a)
{
    const mx_room_draft_t *d = a->item->draft;
    mx_persist_event_t *row = &a->row;
    row->id = mx_store_event_id_pack(a->event->event_id, a->item->pool);
    row->pdu = a->event->pdu;
    row->ts = a->event->origin_server_ts;
    row->depth = a->event->depth;
    row->sender_nid = a->item->sender_nid;
    row->type_nid = a->item->type_nid;
    row->flags = mx_room_accept_flags(a->event, a->b->server);
    row->sticky_until = mx_room_accept_sticky_until(a->event, row->flags);
    row->before = a->b->snap;
    if (d->txn_id && a->b->room) {
        row->device_nid = d->device_nid;
        row->txn_id = d->txn_id;
        row->txn_scope = mx_room_accept_txn_scope(a->b->room->nid, d->txn_scope, a->item->pool);
    }
}

void mx_room_accept_append(adding_t *a)
{
    mx_room_accept_t *b = a->b;
    const mx_event_t *ev = a->event;
    b->items[b->rows.nevents] = a->item;
    b->events[b->rows.nevents] = ev;
    b->rows.events[b->rows.nevents++] = a->row;
    b->prev[0] = ev->event_id;
    b->nprev = 1;
    b->depth = ev->depth;
    if (!b->room_id)
        b->room_id = ev->room_id;
    if (ev->state_key && !*ev->state_key &&
        (strcmp(ev->type, CREATE_TYPE) == 0 || strcmp(ev->type, "m.room.power_levels") == 0))
        refresh_power(b);
}

const mx_error_t *mx_room_accept_add(mx_room_accept_t *batch, mx_room_accept_item_t *item)
{
    adding_t a = { .b = batch, .item = item };
    mx_event_row_t *target = NULL;
    const mx_error_t *err = build(&a);
    if (!err)
        err = authorise(&a);
    if (!err && item->redacts)
        err = check_redaction(&target, &a);
    if (!err && item->draft->state_key)
        err = mx_room_accept_state_find(&a.replaced, batch, item->draft->type, item->draft->state_key);
    if (err)
        return err;
    if (item->draft->state_key && equals_current(&a)) {
        item->event_id = apr_pstrdup(item->pool, a.replaced.event->event_id);
        item->done = 1;
        return NULL;
    }
    err = mx_event_sign(a.event, batch->server->name, batch->server->key.key_id, &batch->server->key.key);
    if (err)
        return err;
    mx_event_content(a.event);      /* parsed before other threads may read it */
    fill_row(&a);
    if (item->draft->state_key)
        err = mx_room_accept_put_state(&a);
    if (err)
        return err;
    if (target)
        add_redaction(&a, target);
    mx_room_accept_append(&a);
    return NULL;
}
