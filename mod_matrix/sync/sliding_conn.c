/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Connections of sliding sync: what a client was told, as bytes in the database and in the memory of a child. A version never changes,
 * so what is remembered is true for ever; each required_state is there once, however many rooms have it. MSC4186: connections.
 */
#include "base/crypto.h"
#include "store/sliding.h"
#include "sync/sliding_private.h"

#define FORMAT 1                     /* of the bytes: another one is an unknown position */
#define MEMBERS_MAX 20000            /* users told lazily that a connection remembers: past it a room's are told again */
#define OVERHEAD_BYTES 160           /* of an entry of the cache */
#define TRIES_MAX 3

/* ---- positions: "<version>/<position>" ---- */

int mx_sync_sliding_pos_read(apr_int64_t *pversion, apr_int64_t *psince, const char *pos)
{
    const char *slash = pos ? strchr(pos, '/') : NULL;
    char version[24];

    if (!slash || (apr_size_t)(slash - pos) >= sizeof(version)) return 0;
    apr_cpystrn(version, pos, (apr_size_t)(slash - pos) + 1);
    return mx_str_to_int64(pversion, version, 1, APR_INT64_MAX) == APR_SUCCESS
           && mx_str_to_int64(psince, slash + 1, 0, APR_INT64_MAX) == APR_SUCCESS;
}

/* ---- bytes ---- */

static void put_int(mx_buf_t *b, apr_int64_t value)
{
    apr_uint64_t left = ((apr_uint64_t)value << 1) ^ (apr_uint64_t)(value >> 63);

    for (; left >= 128; left >>= 7) mx_buf_append_char(b, (char)(left | 128));
    mx_buf_append_char(b, (char)left);
}

static void put_text(mx_buf_t *b, const char *text)
{
    put_int(b, (apr_int64_t)strlen(text));
    mx_buf_append_str(b, text);
}

/* Bytes that are read; once they are not what they should be, all that follows is 0. */
typedef struct reading_t {
    const char *p, *end;
    int bad;
    apr_pool_t *pool;
} reading_t;

static apr_int64_t get_int(reading_t *in)
{
    apr_uint64_t value = 0;
    int shift;

    for (shift = 0; shift < 64 && in->p < in->end; shift += 7) {
        unsigned char c = (unsigned char)*in->p++;

        value |= (apr_uint64_t)(c & 127) << shift;
        if (c < 128) return (apr_int64_t)(value >> 1) ^ -(apr_int64_t)(value & 1);
    }
    in->bad = 1;
    in->p = in->end;
    return 0;
}

/* A number of things that take a byte each at least. */
static int get_count(reading_t *in)
{
    apr_int64_t n = get_int(in);

    if (n >= 0 && n <= in->end - in->p) return (int)n;
    in->bad = 1;
    return 0;
}

static const char *get_text(reading_t *in)
{
    int n = get_count(in);
    const char *text = apr_pstrmemdup(in->pool, in->p, (apr_size_t)n);

    in->p += n;
    return text;
}

static void put_config(mx_buf_t *b, const mx_sliding_config_t *config)
{
    int i;

    put_int(b, config->lazy);
    put_int(b, config->nkeys);
    for (i = 0; i < config->nkeys; i++) {
        put_text(b, config->keys[i].type);
        put_text(b, config->keys[i].state_key);
    }
}

static void get_config(mx_sliding_config_t *out, reading_t *in)
{
    int i;

    out->timeline_limit = 0;
    out->lazy = (int)get_int(in);
    out->nkeys = get_count(in);
    out->keys = apr_palloc(in->pool, sizeof(*out->keys) * (apr_size_t)(out->nkeys + 1));
    for (i = 0; i < out->nkeys; i++) {
        out->keys[i].type = get_text(in);
        out->keys[i].state_key = get_text(in);
    }
}

static void put_room(mx_buf_t *b, const mx_sliding_told_t *room, apr_int64_t before, int forget)
{
    int i, n = forget ? 0 : room->nmembers;

    put_int(b, room->room_nid - before);
    for (i = 0; i < MX_SLIDING_WHATS; i++) put_int(b, room->upto[i]);
    put_int(b, room->membership);
    put_int(b, room->timeline_limit);
    put_int(b, room->config);
    put_int(b, n);
    for (i = 0; i < n; i++) put_int(b, room->members[i] - (i ? room->members[i - 1] : 0));
}

static void get_room(mx_sliding_told_t *out, reading_t *in, apr_int64_t before)
{
    int i;

    out->room_nid = before + get_int(in);
    for (i = 0; i < MX_SLIDING_WHATS; i++) out->upto[i] = get_int(in);
    out->membership = (int)get_int(in);
    out->timeline_limit = (int)get_int(in);
    out->config = (int)get_int(in);
    out->nmembers = get_count(in);
    out->members = apr_palloc(in->pool, sizeof(*out->members) * (apr_size_t)(out->nmembers + 1));
    for (i = 0; i < out->nmembers; i++) out->members[i] = get_int(in) + (i ? out->members[i - 1] : 0);
}

mx_slice_t mx_sliding_conn_encode(const mx_sliding_conn_t *conn, apr_pool_t *pool)
{
    mx_buf_t *b = mx_buf_create(pool);
    int i, nmembers = 0;

    put_int(b, FORMAT);
    put_int(b, conn->configs->nelts);
    for (i = 0; i < conn->configs->nelts; i++) put_config(b, &APR_ARRAY_IDX(conn->configs, i, mx_sliding_config_t));
    put_int(b, conn->nrooms);
    for (i = 0; i < conn->nrooms; i++) {
        nmembers += conn->rooms[i].nmembers;
        put_room(b, &conn->rooms[i], i ? conn->rooms[i - 1].room_nid : 0, nmembers > MEMBERS_MAX);
    }
    return mx_buf_slice(b);
}

int mx_sliding_conn_decode(mx_sliding_conn_t *out, mx_slice_t bytes, apr_pool_t *pool)
{
    reading_t in = { bytes.p, bytes.p + bytes.len, 0, pool };
    int i, n;

    if (get_int(&in) != FORMAT) return 0;
    n = get_count(&in);
    out->configs = apr_array_make(pool, n + 4, sizeof(mx_sliding_config_t));
    for (i = 0; i < n; i++) get_config(&APR_ARRAY_PUSH(out->configs, mx_sliding_config_t), &in);
    out->nrooms = get_count(&in);
    out->rooms = apr_palloc(pool, sizeof(*out->rooms) * (apr_size_t)(out->nrooms + 1));
    for (i = 0; i < out->nrooms; i++) {
        get_room(&out->rooms[i], &in, i ? out->rooms[i - 1].room_nid : 0);
        if (out->rooms[i].config < 0 || out->rooms[i].config >= n) in.bad = 1;
    }
    return !in.bad;
}

/* ---- memory and database ---- */

/* A value of the cache. */
typedef struct kept_t {
    apr_size_t len;
    char bytes[];
} kept_t;

mx_cache_t *mx_sliding_conn_cache_create(apr_size_t max_bytes, apr_pool_t *pool)
{
    return mx_cache_create("sliding sync connections", max_bytes, mx_cache_value_destroy, pool);
}

static const char *cache_key(const mx_sliding_ask_t *ask, apr_int64_t version, apr_pool_t *pool)
{
    return apr_psprintf(pool, "%" APR_INT64_T_FMT " %" APR_INT64_T_FMT " %s", ask->who->device_nid, version, ask->request->conn_id);
}

static void keep(mx_server_t *server, const char *key, mx_slice_t bytes)
{
    kept_t *kept = mx_cache_value_create(sizeof(*kept) + bytes.len);

    kept->len = bytes.len;
    memcpy(kept->bytes, bytes.p, bytes.len);
    mx_cache_set(NULL, server->sync->sliding_conns, key, strlen(key), kept, sizeof(*kept) + bytes.len + OVERHEAD_BYTES, 0);
}

static const mx_error_t *unknown_pos(apr_pool_t *pool)
{
    return mx_error_make(pool, MX_E_UNKNOWN_POS, "This position is not known for the connection: begin it anew, without `pos`.");
}

static apr_status_t read_bytes(mx_slice_t *pbytes, mx_server_t *server, const mx_sliding_ask_t *ask, apr_pool_t *pool)
{
    const char *key = cache_key(ask, ask->version, pool);
    mx_cache_ref_t *ref = NULL;
    kept_t *kept = mx_cache_get(&ref, server->sync->sliding_conns, key, strlen(key));
    apr_status_t rv;

    if (kept) {
        *pbytes = mx_slice(apr_pmemdup(pool, kept->bytes, kept->len), kept->len);
        mx_cache_put(ref);
        return APR_SUCCESS;
    }
    rv = mx_store_sliding_get(pbytes, server->store, ask->who->device_nid, ask->request->conn_id, ask->version, pool);
    if (rv == APR_SUCCESS) keep(server, key, *pbytes);
    return rv;
}

const mx_error_t *mx_sliding_conn_load(mx_sliding_conn_t *out, mx_server_t *server, const mx_sliding_ask_t *ask, apr_pool_t *pool)
{
    mx_slice_t bytes = MX_SLICE_NONE;
    apr_status_t rv;

    memset(out, 0, sizeof(*out));
    out->configs = apr_array_make(pool, 4, sizeof(mx_sliding_config_t));
    if (!ask->version) return NULL;
    rv = read_bytes(&bytes, server, ask, pool);
    if (rv == MX_STORE_NONE || (rv == APR_SUCCESS && !mx_sliding_conn_decode(out, bytes, pool))) return unknown_pos(pool);
    if (rv != APR_SUCCESS) return mx_server_store_error(rv, "read a connection of sliding sync", pool);
    out->version = ask->version;
    return NULL;
}

const mx_error_t *mx_sliding_conn_store(mx_sliding_conn_t *conn, mx_server_t *server, const mx_sliding_ask_t *ask, apr_time_t began,
                                        apr_pool_t *pool)
{
    mx_sliding_row_t row = { ask->who->device_nid, ask->request->conn_id, ask->version, 0, apr_time_as_msec(began),
                             mx_sliding_conn_encode(conn, pool) };
    apr_uint64_t random = 0;
    apr_status_t rv = MX_STORE_RETRY;
    int i;

    mx_random_bytes(&random, sizeof(random));
    row.version = (apr_int64_t)(random >> 1) | 1;
    for (i = 0; i < TRIES_MAX && rv == MX_STORE_RETRY; i++)
        rv = mx_store_sliding_put(server->store, &row, server->settings->sliding_connections, apr_time_as_msec(apr_time_now()), pool);
    if (rv == MX_STORE_NONE) return unknown_pos(pool);
    if (rv != APR_SUCCESS) return mx_server_store_error(rv, "store a connection of sliding sync", pool);
    keep(server, cache_key(ask, row.version, pool), row.state);
    conn->version = row.version;
    return NULL;
}

mx_sliding_told_t *mx_sliding_conn_find(const mx_sliding_conn_t *conn, apr_int64_t room_nid)
{
    int low = 0, high = conn->nrooms - 1;

    while (low <= high) {
        int mid = (low + high) / 2;

        if (conn->rooms[mid].room_nid == room_nid) return &conn->rooms[mid];
        if (conn->rooms[mid].room_nid < room_nid) low = mid + 1;
        else high = mid - 1;
    }
    return NULL;
}

int mx_sliding_conn_config(mx_sliding_conn_t *conn, const mx_sliding_config_t *config)
{
    int i;

    for (i = 0; i < conn->configs->nelts; i++)
        if (mx_sliding_config_same_state(&APR_ARRAY_IDX(conn->configs, i, mx_sliding_config_t), config)) return i;
    APR_ARRAY_PUSH(conn->configs, mx_sliding_config_t) = *config;
    return conn->configs->nelts - 1;
}
