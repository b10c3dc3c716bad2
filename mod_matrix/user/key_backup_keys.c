/* SPDX-License-Identifier: Apache-2.0 */
/* Backups of room keys: the keys. CS-API: /room_keys/keys, in its three forms. */
#include "user/key_backup_private.h"

#include "core/ident.h"
#include "user/names.h"

/* ---- reading a body ---- */

typedef struct reading_t {
    mx_backup_keys_t keys;
    int max;
    apr_pool_t *pool;
} reading_t;

#define COUNT_MAX ((1LL << 53) - 1)

static void grow(reading_t *rd)
{
    mx_backup_keys_t *k = &rd->keys, old = *k;
    apr_size_t n = (apr_size_t)(rd->max = rd->max ? rd->max * 2 : 64), had = (apr_size_t)old.n;

#define GROW(member)                                                            \
    do {                                                                        \
        k->member = apr_palloc(rd->pool, sizeof(*k->member) * n);               \
        if (had) memcpy(k->member, old.member, sizeof(*k->member) * had);       \
    } while (0)
    GROW(rooms);
    GROW(sessions);
    GROW(first_message);
    GROW(forwarded);
    GROW(verified);
    GROW(data);
#undef GROW
}

static int is_count(const mx_json_t *j)
{
    return mx_json_is(j, MX_JSON_INT) && mx_json_int(j, -1) >= 0 && mx_json_int(j, -1) <= COUNT_MAX;
}

/* CS-API: KeyBackupData */
static const mx_error_t *read_session(reading_t *rd, const char *room, const char *session, const mx_json_t *value)
{
    const mx_json_t *first = mx_json_get(value, "first_message_index"), *forwarded = mx_json_get(value, "forwarded_count");
    const mx_json_t *verified = mx_json_get(value, "is_verified"), *data = mx_json_get(value, "session_data");
    mx_buf_t *text = mx_buf_create(rd->pool);
    mx_backup_keys_t *k = &rd->keys;

    if (!mx_ident_is_opaque(room, MX_BACKUP_NAME_MAX_BYTES) || !mx_ident_is_opaque(session, MX_BACKUP_NAME_MAX_BYTES))
        return mx_error_make(rd->pool, MX_E_INVALID_PARAM, "A room or session has 1 to %d bytes.", MX_BACKUP_NAME_MAX_BYTES);
    if (!mx_json_is(value, MX_JSON_OBJECT)) return mx_error_make(rd->pool, MX_E_BAD_JSON, "A session must be an object.");
    if (!first || !forwarded || !verified || !data)
        return mx_error_make(rd->pool, MX_E_MISSING_PARAM,
                             "A session needs first_message_index, forwarded_count, is_verified and session_data.");
    if (!is_count(first) || !is_count(forwarded) || !mx_json_is(verified, MX_JSON_BOOL) || !mx_json_is(data, MX_JSON_OBJECT))
        return mx_error_make(rd->pool, MX_E_BAD_JSON, "A session has two counts, a boolean is_verified, and an object session_data.");
    if (k->n == rd->max) grow(rd);
    mx_json_write(text, data);
    k->rooms[k->n] = room;
    k->sessions[k->n] = session;
    k->first_message[k->n] = mx_json_int(first, 0);
    k->forwarded[k->n] = mx_json_int(forwarded, 0);
    k->verified[k->n] = mx_json_bool(verified, 0);
    k->data[k->n++] = mx_buf_slice(text);
    return NULL;
}

static const mx_error_t *member_object(const mx_json_t **pobject, const mx_json_t *body, const char *name, apr_pool_t *pool)
{
    *pobject = mx_json_get(body, name);
    if (!*pobject) return mx_error_make(pool, MX_E_MISSING_PARAM, "%s is missing.", name);
    return mx_json_is(*pobject, MX_JSON_OBJECT) ? NULL : mx_error_make(pool, MX_E_BAD_JSON, "%s must be an object.", name);
}

static const mx_error_t *read_room(reading_t *rd, const char *room, const mx_json_t *body)
{
    const mx_json_t *sessions;
    const mx_error_t *err = member_object(&sessions, body, "sessions", rd->pool);
    void *it = NULL;
    const char *session;
    mx_json_t *value;

    while (!err && mx_user_names_next(&err, sessions, &it, &session, &value, rd->pool)) err = read_session(rd, room, session, value);
    return err;
}

static const mx_error_t *read_all(reading_t *rd, const mx_json_t *body)
{
    const mx_json_t *rooms;
    const mx_error_t *err = member_object(&rooms, body, "rooms", rd->pool);
    void *it = NULL;
    const char *room;
    mx_json_t *value;

    while (!err && mx_user_names_next(&err, rooms, &it, &room, &value, rd->pool)) err = read_room(rd, room, value);
    return err;
}

static const mx_error_t *read_body(reading_t *rd, const mx_backup_place_t *place, const mx_json_t *body)
{
    grow(rd);
    if (!place->room_id) return read_all(rd, body);
    return place->session_id ? read_session(rd, place->room_id, place->session_id, body) : read_room(rd, place->room_id, body);
}

/* ---- storing ---- */

/* CS-API: 403 where another version is the current one, 404 where there never was such a version. */
static const mx_error_t *wrong_version(mx_server_t *server, const mx_who_t *who, apr_int64_t version, apr_int64_t latest, apr_pool_t *pool)
{
    mx_backup_version_t named;
    mx_error_t *err;
    apr_status_t rv = mx_store_backup_get(&named, server->store, who->user_nid, version, pool);

    if (rv) return mx_user_key_backup_fault(rv, "reading a key backup", pool);
    err = mx_error_copy(pool, mx_error_make(pool, MX_E_WRONG_ROOM_KEYS_VERSION, "This is not the current version of the backup."));
    err->extra = mx_json_new_object(pool);
    mx_json_set_str(err->extra, "current_version", apr_psprintf(pool, "%" APR_INT64_T_FMT, latest));
    return err;
}

const mx_error_t *mx_user_key_backup_put(mx_backup_version_t *out, mx_server_t *server, const mx_who_t *who, const mx_backup_place_t *place,
                                         const mx_json_t *body, apr_pool_t *pool)
{
    reading_t rd = { .pool = pool };
    apr_int64_t version = 0;
    apr_status_t rv;
    const mx_error_t *err = mx_user_key_backup_version(&version, place->version, pool);

    if (!err) err = read_body(&rd, place, body);
    if (err) return err;
    rv = mx_store_backup_put(out, server->store, who->user_nid, version, &rd.keys, pool);
    if (rv) return mx_user_key_backup_fault(rv, "storing room keys", pool);
    return out->version == version ? NULL : wrong_version(server, who, version, out->version, pool);
}

const mx_error_t *mx_user_key_backup_clear(mx_backup_version_t *out, mx_server_t *server, const mx_who_t *who,
                                           const mx_backup_place_t *place, apr_pool_t *pool)
{
    apr_int64_t version = 0;
    const mx_error_t *err = mx_user_key_backup_version(&version, place->version, pool);
    apr_status_t rv;

    if (err) return err;
    rv = mx_store_backup_clear(out, server->store, who->user_nid, version, place->room_id, place->session_id, pool);
    return mx_user_key_backup_fault(rv, "deleting room keys", pool);
}

/* ---- reading ---- */

typedef struct writing_t {
    mx_json_writer_t *w;
    const mx_backup_place_t *place;
    char *room;                  /* whose sessions are open; NULL: none */
    int n;
    apr_pool_t *pool;
} writing_t;

static void write_session(mx_json_writer_t *w, const mx_backup_key_t *key)
{
    mx_jw_object(w);
    mx_jw_key_int(w, "first_message_index", key->first_message);
    mx_jw_key_int(w, "forwarded_count", key->forwarded);
    mx_jw_key_bool(w, "is_verified", key->verified);
    mx_jw_key_raw(w, "session_data", key->data);
    mx_jw_end_object(w);
}

static void close_room(writing_t *wr)
{
    if (!wr->room) return;
    mx_jw_end_object(wr->w);
    mx_jw_end_object(wr->w);
}

static void write_key(void *baton, const mx_backup_key_t *key)
{
    writing_t *wr = baton;

    wr->n++;
    if (!wr->place->room_id && !mx_str_eq(wr->room, key->room)) {
        close_room(wr);
        wr->room = apr_pstrdup(wr->pool, key->room);
        mx_jw_key_object(wr->w, wr->room);
        mx_jw_key_object(wr->w, "sessions");
    }
    if (!wr->place->session_id) mx_jw_key(wr->w, key->session);
    write_session(wr->w, key);
}

const mx_error_t *mx_user_key_backup_read(mx_json_writer_t *w, mx_server_t *server, const mx_who_t *who, const mx_backup_place_t *place,
                                          apr_pool_t *pool)
{
    writing_t wr = { .w = w, .place = place, .pool = pool };
    mx_backup_version_t have;
    apr_status_t rv;
    const mx_error_t *err = mx_user_key_backup_get(&have, server, who, place->version, pool);

    if (err) return err;
    if (!place->session_id) {
        mx_jw_object(w);
        mx_jw_key_object(w, place->room_id ? "sessions" : "rooms");
    }
    rv = mx_store_backup_each(server->store, who->user_nid, have.version, place->room_id, place->session_id, write_key, &wr, pool);
    if (rv) return mx_server_store_error(rv, "reading room keys", pool);
    if (place->session_id) return wr.n ? NULL : mx_error_make(pool, MX_E_NOT_FOUND, "The backup does not hold this session.");
    close_room(&wr);
    mx_jw_end_object(w);
    mx_jw_end_object(w);
    return NULL;
}
