/* SPDX-License-Identifier: Apache-2.0 */
/* The published room directory: rooms by falling number of members, a stable place in the list as token. */
#include "room/directory.h"

#include "core/power.h"
#include "store/directory.h"

#include <apr_hash.h>
#include <ctype.h>

/** Rooms whose state one query reads. */
#define DIRECTORY_BATCH 100

/* what an entry is made of, in the order of entry_t.content */
enum { OF_CREATE, OF_NAME, OF_TOPIC, OF_ALIAS, OF_AVATAR, OF_JOIN_RULES, OF_HISTVIS, OF_GUESTS, OF_COUNT };
static const char *const entry_types[OF_COUNT] = {"m.room.create",
                                                  "m.room.name",
                                                  "m.room.topic",
                                                  "m.room.canonical_alias",
                                                  "m.room.avatar",
                                                  "m.room.join_rules",
                                                  "m.room.history_visibility",
                                                  "m.room.guest_access"};

/** A listed room with the contents of its state. */
typedef struct entry_t {
    mx_directory_row_t row;
    mx_json_t *content[OF_COUNT];    /* NULL: no such state */
} entry_t;

/** An answer in the making. */
typedef struct listing_t {
    mx_server_t *server;
    const mx_room_directory_ask_t *ask;
    mx_dir_e dir;
    entry_t **entries;               /* in the order read */
    int n;
    int begun;                       /* `from` is set */
    mx_directory_pos_t from;         /* last room read */
    int more;                        /* rooms may follow it */
    apr_pool_t *pool;
} listing_t;

/* ---- tokens: "n<joined>.<room_nid>" what follows that room, "p…" what is before it ---- */

static const char *format_token(char direction, const mx_directory_pos_t *pos, apr_pool_t *pool)
{
    return apr_psprintf(pool, "%c%" APR_INT64_T_FMT ".%" APR_INT64_T_FMT, direction, pos->joined, pos->room_nid);
}

static const mx_error_t *parse_token(listing_t *l)
{
    const char *since = l->ask->since, *dot;

    if (!since)
        return NULL;
    dot = strchr(since, '.');
    if ((since[0] != 'n' && since[0] != 'p') || !dot ||
        mx_str_to_int64(&l->from.joined, apr_pstrmemdup(l->pool, since + 1, dot - since - 1), 0, APR_INT32_MAX) !=
            APR_SUCCESS ||
        mx_str_to_int64(&l->from.room_nid, dot + 1, 0, APR_INT64_MAX) != APR_SUCCESS)
        return mx_error_make(l->pool, MX_E_INVALID_PARAM, "since is not a token of this directory.");
    l->dir = since[0] == 'n' ? MX_DIR_FORWARD : MX_DIR_BACKWARD;
    l->begun = 1;
    return NULL;
}

/* ---- reading and filtering ---- */

/** 1 if `text` holds `term`, whatever the case of ASCII letters. */
static int holds(const char *text, const char *term)
{
    apr_size_t len = strlen(term), i;

    for (; text && *text; text++) {
        for (i = 0; i < len && tolower((unsigned char)text[i]) == tolower((unsigned char)term[i]); i++)
            ;
        if (i == len)
            return 1;
    }
    return 0;
}

static const char *text_of(const entry_t *entry, int what, const char *key)
{
    const char *text = mx_json_get_str(entry->content[what], key);
    return text && *text ? text : NULL;
}

static int fits_term(const entry_t *entry, const char *term)
{
    return !term || !*term || holds(text_of(entry, OF_NAME, "name"), term) ||
           holds(text_of(entry, OF_TOPIC, "topic"), term) || holds(text_of(entry, OF_ALIAS, "alias"), term) ||
           mx_str_eq(entry->row.room_id, term);
}

/** A null in the list stands for rooms without a type. */
static int fits_type(const entry_t *entry, const mx_json_t *room_types)
{
    const char *type = mx_json_get_str(entry->content[OF_CREATE], "type");
    apr_size_t i;

    for (i = 0; i < mx_json_len(room_types); i++) {
        if (mx_str_eq(mx_json_str(mx_json_at(room_types, i)), type))
            return 1;
    }
    return !room_types;
}

static void add_content(apr_hash_t *by_room, const char *type, const mx_event_row_t *row, apr_pool_t *pool)
{
    entry_t *entry = apr_hash_get(by_room, &row->room_nid, sizeof(row->room_nid));
    mx_json_limits_t limits = { MX_JSON_DEPTH_DEFAULT };
    mx_json_scan_t scan;
    mx_slice_t content;
    int i;

    mx_json_scan_trusted(&scan, row->pdu, pool);
    content = mx_json_scan_get(&scan, "content");
    for (i = 0; entry && i < OF_COUNT; i++) {
        if (mx_str_eq(entry_types[i], type))
            mx_json_parse(&entry->content[i], NULL, content.p, content.len, &limits, pool);
    }
}

/** Loads the state of a batch of rooms. */
static const mx_error_t *load_state(entry_t *entries, int n, listing_t *l)
{
    apr_hash_t *by_room = apr_hash_make(l->pool);
    apr_int64_t *nids = apr_palloc(l->pool, (n + 1) * sizeof(*nids));
    mx_event_row_t *rows = NULL;
    const char *type;
    int i, nrows = 0;
    apr_status_t rv;

    for (i = 0; i < n; i++) {
        nids[i] = entries[i].row.pos.room_nid;
        apr_hash_set(by_room, &nids[i], sizeof(*nids), &entries[i]);
    }
    rv = mx_store_directory_state(&rows, &nrows, l->server->store, nids, n, entry_types, OF_COUNT, l->pool);
    for (i = 0; rv == APR_SUCCESS && i < nrows; i++) {
        rv = mx_server_type_name(&type, l->server, rows[i].type_nid, l->pool);
        if (rv == APR_SUCCESS)
            add_content(by_room, type, &rows[i], l->pool);
    }
    return rv == APR_SUCCESS ? NULL : mx_server_store_error(rv, "reading the state of listed rooms", l->pool);
}

/** Takes the entries that fit, up to the limit. */
static void take(listing_t *l, entry_t *entries, int n)
{
    int i;

    for (i = 0; i < n; i++) {
        if (l->n == l->ask->limit) {
            l->more = 1;
            return;
        }
        l->from = entries[i].row.pos;
        l->begun = 1;
        if (fits_term(&entries[i], l->ask->term) && fits_type(&entries[i], l->ask->room_types))
            l->entries[l->n++] = &entries[i];
    }
}

static const mx_error_t *read_batch(int *pread, listing_t *l, int wanted)
{
    mx_directory_row_t *rows = NULL;
    entry_t *entries;
    const mx_error_t *err;
    int i, n = 0;
    apr_status_t rv =
        mx_store_directory_list(&rows, &n, l->server->store, l->begun ? &l->from : NULL, l->dir, wanted, l->pool);

    if (rv != APR_SUCCESS)
        return mx_server_store_error(rv, "reading the room directory", l->pool);
    entries = apr_pcalloc(l->pool, (n + 1) * sizeof(*entries));
    for (i = 0; i < n; i++)
        entries[i].row = rows[i];
    err = n ? load_state(entries, n, l) : NULL;
    if (err)
        return err;
    l->more = n == wanted;
    take(l, entries, n);
    *pread = n;
    return NULL;
}

static const mx_error_t *read_entries(listing_t *l)
{
    int read = 0, scanned = 0;
    const mx_error_t *err = NULL;

    l->entries = apr_pcalloc(l->pool, (l->ask->limit + 1) * sizeof(*l->entries));
    do {
        int wanted = l->ask->limit - l->n + 1;
        err = read_batch(&read, l, wanted < DIRECTORY_BATCH && scanned ? DIRECTORY_BATCH : wanted);
        scanned += read;
    } while (!err && l->more && l->n < l->ask->limit && scanned < MX_ROOM_DIRECTORY_SCAN_MAX);
    return err;
}

/* ---- writing ---- */

static void write_text(mx_json_writer_t *w, const char *name, const char *text)
{
    if (text)
        mx_jw_key_str(w, name, text);
}

/** The plain text topic: m.topic's text/plain form if there is one, else `topic`. */
static const char *topic_of(const entry_t *entry)
{
    mx_json_t *texts = mx_json_get(mx_json_get(entry->content[OF_TOPIC], "m.topic"), "m.text");
    apr_size_t i;

    for (i = 0; i < mx_json_len(texts); i++) {
        const char *mimetype = mx_json_get_str(mx_json_at(texts, i), "mimetype");
        const char *body = mx_json_get_str(mx_json_at(texts, i), "body");
        if (body && *body && (!mimetype || mx_str_eq(mimetype, "text/plain")))
            return body;
    }
    return text_of(entry, OF_TOPIC, "topic");
}

/** CS-API: PublishedRoomsChunk. */
static void write_entry(mx_json_writer_t *w, const entry_t *entry)
{
    mx_jw_object(w);
    mx_jw_key_str(w, "room_id", entry->row.room_id);
    mx_jw_key_int(w, "num_joined_members", entry->row.pos.joined);
    mx_jw_key_bool(w, "world_readable", mx_str_eq(text_of(entry, OF_HISTVIS, "history_visibility"), "world_readable"));
    mx_jw_key_bool(w, "guest_can_join", mx_str_eq(text_of(entry, OF_GUESTS, "guest_access"), "can_join"));
    write_text(w, "name", text_of(entry, OF_NAME, "name"));
    write_text(w, "topic", topic_of(entry));
    write_text(w, "canonical_alias", text_of(entry, OF_ALIAS, "alias"));
    write_text(w, "avatar_url", text_of(entry, OF_AVATAR, "url"));
    write_text(w, "join_rule", text_of(entry, OF_JOIN_RULES, "join_rule"));
    write_text(w, "room_type", text_of(entry, OF_CREATE, "type"));
    mx_jw_end_object(w);
}

static void write_tokens(mx_json_writer_t *w, const listing_t *l)
{
    const mx_directory_pos_t *first = NULL, *last = NULL;
    int backward = l->dir == MX_DIR_BACKWARD;

    if (l->begun) {
        first = backward ? &l->from : (l->n ? &l->entries[0]->row.pos : NULL);
        last = backward ? (l->n ? &l->entries[0]->row.pos : NULL) : &l->from;
    }
    if (last && (backward || l->more))
        mx_jw_key_str(w, "next_batch", format_token('n', last, l->pool));
    if (first && (backward ? l->more : l->ask->since != NULL))
        mx_jw_key_str(w, "prev_batch", format_token('p', first, l->pool));
}

const mx_error_t *mx_room_directory_write(mx_json_writer_t *w, mx_server_t *server, const mx_room_directory_ask_t *ask,
                                          apr_pool_t *pool)
{
    listing_t l = { .server = server, .ask = ask, .dir = MX_DIR_FORWARD, .pool = pool };
    apr_int64_t total = 0;
    const mx_error_t *err = parse_token(&l);
    int i;
    apr_status_t rv;

    if (!err)
        err = read_entries(&l);
    if (err)
        return err;
    rv = mx_store_directory_count(&total, server->store, pool);
    if (rv != APR_SUCCESS)
        return mx_server_store_error(rv, "counting listed rooms", pool);
    mx_jw_object(w);
    mx_jw_key_array(w, "chunk");
    for (i = 0; i < l.n; i++)
        write_entry(w, l.entries[l.dir == MX_DIR_FORWARD ? i : l.n - 1 - i]);
    mx_jw_end_array(w);
    write_tokens(w, &l);
    mx_jw_key_int(w, "total_room_count_estimate", total);
    mx_jw_end_object(w);
    return NULL;
}

/* ---- one room ---- */

const mx_error_t *mx_room_directory_get(int *ppublished, mx_server_t *server, const char *room_id, apr_pool_t *pool)
{
    mx_room_t *room;
    const mx_error_t *err = mx_room_get(&room, server, room_id, 0, pool);
    apr_status_t rv;

    if (err)
        return err;
    rv = mx_store_directory_is_published(ppublished, server->store, room->nid, pool);
    return rv == APR_SUCCESS ? NULL : mx_server_store_error(rv, "reading whether a room is listed", pool);
}

/** M_FORBIDDEN unless the user is joined and may send m.room.canonical_alias, or administers the server. */
static const mx_error_t *check_power(mx_server_t *server, const mx_who_t *who, mx_room_t *room, apr_pool_t *pool)
{
    const mx_power_t *power;
    mx_membership_e membership;
    const mx_error_t *err = mx_room_membership(&membership, server, room, who->user_id, pool);

    if (!err)
        err = mx_room_power(&power, server, room, pool);
    if (err || who->admin)
        return err;
    if (membership != MX_MEMBERSHIP_JOIN ||
        mx_power_user(power, who->user_id) < mx_power_event(power, "m.room.canonical_alias", 1))
        return mx_error_make(pool, MX_E_FORBIDDEN,
                             "You may not change whether %s is listed: that takes the power to set its alias.",
                             room->room_id);
    return NULL;
}

const mx_error_t *mx_room_directory_set(mx_server_t *server, const mx_who_t *who, const char *room_id, int published,
                                        apr_pool_t *pool)
{
    mx_room_t *room;
    const mx_error_t *err = mx_room_get(&room, server, room_id, 1, pool);
    apr_status_t rv;

    if (!err)
        err = check_power(server, who, room, pool);
    if (err)
        return err;
    rv = mx_store_directory_publish(server->store, room->nid, published, pool);
    return rv == APR_SUCCESS ? NULL : mx_server_store_error(rv, "listing a room", pool);
}
