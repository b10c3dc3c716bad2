/* SPDX-License-Identifier: Apache-2.0 */
/* Which of a user's rooms a client asks for: filters, ranges, subscriptions. MSC4186: SlidingRoomFilter; combining room configs. */
#include "base/json_scan.h"
#include "store/sliding.h"
#include "sync/sliding_private.h"
#include <stdlib.h>

/* What the filters of a request look at. */
typedef struct looking_t {
    mx_sliding_t *s;
    apr_hash_t *tags;                /* room nid -> array of const char * */
    apr_hash_t **children;           /* of each list: ids of rooms in its spaces; NULL: not asked */
    int at;                          /* the list */
} looking_t;

/* ---- account data ---- */

static const mx_json_t *parse(mx_slice_t text, apr_pool_t *pool)
{
    mx_json_limits_t limits = { MX_JSON_DEPTH_DEFAULT * 2 };
    mx_json_t *json = NULL;
    const char *why;

    return mx_json_parse(&json, &why, text.p, text.len, &limits, pool) == MX_JSON_OK ? json : NULL;
}

static void add_direct(mx_sliding_t *s, const mx_json_t *content)
{
    apr_hash_t *direct = apr_hash_make(s->pool);
    const char *user;
    mx_json_t *ids;
    void *it = NULL;
    apr_size_t i;

    while (mx_json_next(content, &it, &user, &ids))
        for (i = 0; mx_json_is(ids, MX_JSON_ARRAY) && i < mx_json_len(ids); i++) {
            const char *id = mx_json_str(mx_json_at(ids, i));

            if (id) apr_hash_set(direct, id, APR_HASH_KEY_STRING, "");
        }
    for (i = 0; i < (apr_size_t)s->rooms.n; i++)
        s->rooms.entries[i].direct = apr_hash_get(direct, s->rooms.entries[i].member.room_id, APR_HASH_KEY_STRING) != NULL;
}

static apr_array_header_t *tags_of(const mx_json_t *content, apr_pool_t *pool)
{
    apr_array_header_t *out = apr_array_make(pool, 2, sizeof(const char *));
    const mx_json_t *tags = mx_json_get(content, "tags");
    const char *tag;
    mx_json_t *info;
    void *it = NULL;

    while (mx_json_is(tags, MX_JSON_OBJECT) && mx_json_next(tags, &it, &tag, &info)) APR_ARRAY_PUSH(out, const char *) = tag;
    return out;
}

static const mx_error_t *read_data(mx_sliding_t *s, apr_hash_t *tags)
{
    mx_sliding_data_row_t *rows = NULL;
    int i, n = 0;
    apr_status_t rv = mx_store_sliding_data(&rows, &n, s->server->store, s->ask->who->user_nid, tags != NULL, s->pool);

    if (rv != APR_SUCCESS) return mx_server_store_error(rv, "read direct rooms and tags", s->pool);
    for (i = 0; i < s->rooms.n; i++) s->rooms.entries[i].direct = 0;
    s->rooms.direct_known = 1;
    for (i = 0; i < n; i++) {
        const mx_json_t *content = parse(rows[i].content, s->pool);

        if (!rows[i].room_nid) add_direct(s, content);
        else apr_hash_set(tags, &rows[i].room_nid, sizeof(rows[i].room_nid), tags_of(content, s->pool));
    }
    return NULL;
}

const mx_error_t *mx_sliding_list_direct(mx_sliding_t *s)
{
    return s->rooms.direct_known ? NULL : read_data(s, NULL);
}

/* ---- what rooms are ---- */

static mx_slice_t content_member(mx_slice_t pdu, const char *key, apr_pool_t *pool)
{
    mx_json_scan_t scan;

    mx_json_scan_trusted(&scan, pdu, pool);
    mx_json_scan_trusted(&scan, mx_json_scan_get(&scan, "content"), pool);
    return mx_json_scan_get(&scan, key);
}

static void take_rows(apr_hash_t *by_nid, const mx_sliding_entry_row_t *rows, int n, apr_int64_t create, apr_pool_t *pool)
{
    int i;

    for (i = 0; i < n; i++) {
        mx_sliding_entry_t *entry = apr_hash_get(by_nid, &rows[i].room_nid, sizeof(rows[i].room_nid));

        if (rows[i].skey_nid == create) entry->room_type = mx_json_scan_str(content_member(rows[i].pdu, "type", pool), pool);
        else entry->encrypted = 1;
    }
}

/* Types and encryption of the rooms of which they are not known. */
static const mx_error_t *know_rooms(mx_sliding_t *s)
{
    apr_int64_t *nids = apr_palloc(s->pool, sizeof(*nids) * (apr_size_t)(s->rooms.n + 1)), skeys[2];
    apr_hash_t *by_nid = apr_hash_make(s->pool);
    mx_sliding_entry_row_t *rows = NULL;
    apr_status_t rv;
    int i, n = 0, nrows = 0;

    for (i = 0; i < s->rooms.n; i++) {
        mx_sliding_entry_t *entry = &s->rooms.entries[i];

        if (entry->known) continue;
        entry->known = 1;
        entry->encrypted = 0;
        entry->room_type = NULL;
        nids[n++] = entry->member.room_nid;
        apr_hash_set(by_nid, &entry->member.room_nid, sizeof(apr_int64_t), entry);
    }
    if (!n) return NULL;
    rv = mx_server_skey_nid(&skeys[0], s->server, "m.room.create", "", s->pool);
    if (rv == APR_SUCCESS) rv = mx_server_skey_nid(&skeys[1], s->server, "m.room.encryption", "", s->pool);
    if (rv == APR_SUCCESS) rv = mx_store_sliding_entries(&rows, &nrows, s->server->store, nids, n, skeys, 2, s->pool);
    if (rv != APR_SUCCESS) return mx_server_store_error(rv, "read what rooms are", s->pool);
    take_rows(by_nid, rows, nrows, skeys[0], s->pool);
    mx_sliding_list_keep(s);
    return NULL;
}

/* Rooms that the joined ones among a list's spaces name as children. CS-API: m.space.child: one without `via` is none. */
static const mx_error_t *read_children(looking_t *look, const mx_sliding_filter_t *filter, apr_hash_t **pchildren)
{
    mx_sliding_t *s = look->s;
    apr_int64_t *spaces = apr_palloc(s->pool, sizeof(*spaces) * (apr_size_t)(s->rooms.n + 1));
    mx_sliding_entry_row_t *rows = NULL;
    apr_status_t rv;
    int i, k, n = 0, nrows = 0, type_nid = 0;

    *pchildren = apr_hash_make(s->pool);
    for (i = 0; i < s->rooms.n; i++)
        for (k = 0; s->rooms.entries[i].member.membership == MX_MEMBERSHIP_JOIN && k < filter->spaces->nelts; k++)
            if (mx_str_eq(APR_ARRAY_IDX(filter->spaces, k, const char *), s->rooms.entries[i].member.room_id)) {
                spaces[n++] = s->rooms.entries[i].member.room_nid;
                break;
            }
    if (!n) return NULL;
    rv = mx_server_type_nid(&type_nid, s->server, "m.space.child", s->pool);
    if (rv == APR_SUCCESS) rv = mx_store_sliding_of_type(&rows, &nrows, s->server->store, spaces, n, type_nid, s->pool);
    if (rv != APR_SUCCESS) return mx_server_store_error(rv, "read the rooms of spaces", s->pool);
    for (i = 0; i < nrows; i++)
        if (content_member(rows[i].pdu, "via", s->pool).p) apr_hash_set(*pchildren, rows[i].state_key, APR_HASH_KEY_STRING, "");
    return NULL;
}

/* Reads what the filters need, for all lists at once. */
static const mx_error_t *look_up(looking_t *look)
{
    const mx_sliding_request_t *req = look->s->ask->request;
    int i, direct = 0, tags = 0, known = 0;
    const mx_error_t *err = NULL;

    look->children = apr_pcalloc(look->s->pool, sizeof(*look->children) * (apr_size_t)(req->nlists + 1));
    for (i = 0; !err && i < req->nlists; i++) {
        const mx_sliding_filter_t *filter = &req->lists[i].filter;

        direct |= filter->is_dm >= 0;
        tags |= filter->tags || filter->not_tags;
        known |= filter->is_encrypted >= 0 || filter->room_types || filter->not_room_types;
        if (filter->spaces) err = read_children(look, filter, &look->children[i]);
    }
    if (tags) look->tags = apr_hash_make(look->s->pool);
    if (!err && ((direct && !look->s->rooms.direct_known) || tags)) err = read_data(look->s, look->tags);
    if (!err && known) err = know_rooms(look->s);
    return err;
}

/* ---- asking ---- */

static int has(const apr_array_header_t *list, const char *text)
{
    int i;

    for (i = 0; i < list->nelts; i++)
        if (mx_str_eq(APR_ARRAY_IDX(list, i, const char *), text)) return 1;
    return 0;
}

static int has_tag(const looking_t *look, const apr_array_header_t *asked, apr_int64_t room_nid)
{
    const apr_array_header_t *tags = apr_hash_get(look->tags, &room_nid, sizeof(room_nid));
    int i;

    for (i = 0; tags && i < tags->nelts; i++)
        if (has(asked, APR_ARRAY_IDX(tags, i, const char *))) return 1;
    return 0;
}

static int passes(const looking_t *look, const mx_sliding_filter_t *f, const mx_sliding_entry_t *entry)
{
    const char *id = entry->member.room_id;

    if (f->is_dm >= 0 && (int)entry->direct != f->is_dm) return 0;
    if (f->is_invite >= 0 && (entry->member.membership == MX_MEMBERSHIP_INVITE) != f->is_invite) return 0;
    if (f->is_encrypted >= 0 && (int)entry->encrypted != f->is_encrypted) return 0;
    if (f->spaces && !apr_hash_get(look->children[look->at], id, APR_HASH_KEY_STRING)) return 0;
    if (f->not_room_types && has(f->not_room_types, entry->room_type)) return 0;
    if (f->room_types && !has(f->room_types, entry->room_type)) return 0;
    if (f->not_tags && has_tag(look, f->not_tags, entry->member.room_nid)) return 0;
    return !f->tags || has_tag(look, f->tags, entry->member.room_nid);
}

/* Rooms that a user left by itself are told of as gone, to whom they were told of. */
static int is_listed(const mx_sliding_t *s, const mx_sliding_entry_t *entry)
{
    int membership = entry->member.membership;

    if (entry->member.stream > s->upto) return 0;
    if (membership == MX_MEMBERSHIP_JOIN || membership == MX_MEMBERSHIP_INVITE || membership == MX_MEMBERSHIP_KNOCK) return 1;
    return entry->expelled || mx_sliding_conn_find(&s->conn, entry->member.room_nid);
}

static int in_range(const mx_sliding_list_t *list, int at)
{
    int i;

    if (list->nranges < 0) return 1;
    for (i = 0; i < list->nranges; i++)
        if (at >= list->ranges[i].from && at <= list->ranges[i].to) return 1;
    return 0;
}

static mx_sliding_wanted_t *want(mx_sliding_t *s, apr_hash_t *by_nid, mx_sliding_entry_t *entry, const mx_sliding_config_t *config)
{
    mx_sliding_wanted_t *wanted = apr_hash_get(by_nid, &entry->member.room_nid, sizeof(apr_int64_t));

    if (!wanted) {
        wanted = &s->wanted[s->nwanted++];
        wanted->entry = entry;
        wanted->config = *config;
        wanted->lists = apr_array_make(s->pool, 2, sizeof(int));
        apr_hash_set(by_nid, &entry->member.room_nid, sizeof(apr_int64_t), wanted);
    } else mx_sliding_config_merge(&wanted->config, config, s->pool);
    return wanted;
}

static void want_subscribed(mx_sliding_t *s, apr_hash_t *wanted)
{
    const mx_sliding_request_t *req = s->ask->request;
    apr_hash_t *by_id = apr_hash_make(s->pool);
    int i;

    for (i = 0; req->nsubscriptions && i < s->rooms.n; i++)
        apr_hash_set(by_id, s->rooms.entries[i].member.room_id, APR_HASH_KEY_STRING, &s->rooms.entries[i]);
    for (i = 0; i < req->nsubscriptions; i++) {
        mx_sliding_entry_t *entry = apr_hash_get(by_id, req->subscriptions[i].room_id, APR_HASH_KEY_STRING);

        if (entry && is_listed(s, entry)) want(s, wanted, entry, &req->subscriptions[i].config)->subscribed = 1;
    }
}

static int by_nid(const void *a, const void *b)
{
    const mx_sliding_wanted_t *x = a, *y = b;

    return x->entry->member.room_nid < y->entry->member.room_nid ? -1 : x->entry->member.room_nid > y->entry->member.room_nid;
}

const mx_error_t *mx_sliding_list_choose(mx_sliding_t *s)
{
    const mx_sliding_request_t *req = s->ask->request;
    looking_t look = { .s = s };
    apr_hash_t *wanted = apr_hash_make(s->pool);
    const mx_error_t *err = look_up(&look);
    int i;

    if (err) return err;
    s->wanted = apr_pcalloc(s->pool, sizeof(*s->wanted) * (apr_size_t)(s->rooms.n + 1));
    s->counts = apr_pcalloc(s->pool, sizeof(*s->counts) * (apr_size_t)(req->nlists + 1));
    for (look.at = 0; look.at < req->nlists; look.at++) {
        const mx_sliding_list_t *list = &req->lists[look.at];

        for (i = 0; i < s->rooms.n; i++) {
            mx_sliding_entry_t *entry = &s->rooms.entries[i];

            if (!is_listed(s, entry) || !passes(&look, &list->filter, entry)) continue;
            if (in_range(list, s->counts[look.at]++)) APR_ARRAY_PUSH(want(s, wanted, entry, &list->config)->lists, int) = look.at;
        }
    }
    want_subscribed(s, wanted);
    if (s->nwanted > 1) qsort(s->wanted, (apr_size_t)s->nwanted, sizeof(*s->wanted), by_nid);
    return NULL;
}
