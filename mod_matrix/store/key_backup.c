/* SPDX-License-Identifier: Apache-2.0 */
/* Backups of room keys: rows of `backup_version` and `backup_key`. */
#include "store/key_backup.h"

MX_STMT(backup_create, "lsb",
        "insert into backup_version (user_nid, version, algorithm, auth_data)"
        " select $1::int8, coalesce(max(version), 0) + 1, $2::text, $3::bytea from backup_version where user_nid = $1::int8"
        " returning version");
MX_STMT(backup_get, "ll",
        "select version, etag, keys, algorithm, auth_data from backup_version where user_nid = $1::int8 and not deleted"
        " and ($2::int8 = 0 or version = $2::int8) order by version desc limit 1");
MX_STMT(backup_update, "llb",
        "update backup_version set auth_data = $3::bytea where user_nid = $1::int8 and version = $2::int8 and not deleted");
MX_STMT(backup_delete, "ll",
        "with gone as (update backup_version set deleted = true, keys = 0 where user_nid = $1::int8 and version = $2::int8 and not deleted"
        "   returning version), keys as (delete from backup_key where user_nid = $1::int8 and version in (select version from gone))"
        " select version from gone");
MX_STMT(backup_put, "llSSLLIB",
        "with latest as materialized (select version from backup_version where user_nid = $1::int8 and not deleted"
        "   order by version desc limit 1 for update),"
        " put as (insert into backup_key as k (user_nid, version, room_id, session_id, first_message, forwarded, verified, session_data)"
        "   select $1::int8, l.version, q.room_id, q.session_id, q.first_message, q.forwarded, q.verified <> 0, q.session_data"
        "   from latest l cross join unnest($3::text[], $4::text[], $5::int8[], $6::int8[], $7::int4[], $8::bytea[])"
        "     as q(room_id, session_id, first_message, forwarded, verified, session_data)"
        "   where l.version = $2::int8"
        "   on conflict (user_nid, version, room_id, session_id) do update set first_message = excluded.first_message,"
        "     forwarded = excluded.forwarded, verified = excluded.verified, session_data = excluded.session_data"
        "   where (not excluded.verified, excluded.first_message, excluded.forwarded) < (not k.verified, k.first_message, k.forwarded)"
        "   returning (k.xmax = 0) as fresh),"
        " noted as (update backup_version b set etag = b.etag + (exists (select from put))::int4,"
        "     keys = b.keys + (select count(*) from put where fresh)"
        "   from latest l where b.user_nid = $1::int8 and b.version = l.version and l.version = $2::int8 returning b.etag, b.keys)"
        " select l.version, n.etag, n.keys from latest l left join noted n on true");
MX_STMT(backup_clear, "llss",
        "with chosen as materialized (select version from backup_version where user_nid = $1::int8 and version = $2::int8 and not deleted"
        "   for update),"
        " gone as (delete from backup_key k using chosen c where k.user_nid = $1::int8 and k.version = c.version"
        "   and ($3::text is null or k.room_id = $3::text) and ($4::text is null or k.session_id = $4::text) returning 1)"
        " update backup_version b set etag = b.etag + (exists (select from gone))::int4, keys = b.keys - (select count(*) from gone)"
        " from chosen c where b.user_nid = $1::int8 and b.version = c.version returning b.version, b.etag, b.keys");
MX_STMT(backup_forget, "l", "delete from backup_version where user_nid = $1::int8");
MX_STMT(backup_each, "llss",
        "select room_id, session_id, first_message, forwarded, verified, session_data from backup_key"
        " where user_nid = $1::int8 and version = $2::int8 and ($3::text is null or room_id = $3::text)"
        " and ($4::text is null or session_id = $4::text) order by room_id, session_id");

apr_status_t mx_store_backup_create(apr_int64_t *pversion, mx_store_t *store, apr_int64_t user_nid, const char *algorithm,
                                    mx_slice_t auth_data, apr_pool_t *pool)
{
    mx_rows_t *rows = NULL;
    apr_status_t rv = mx_store_run(&rows, store, pool, &backup_create, user_nid, algorithm, auth_data);

    if (!rv) *pversion = mx_row_int(rows, 0, 0);
    return rv;
}

apr_status_t mx_store_backup_get(mx_backup_version_t *out, mx_store_t *store, apr_int64_t user_nid, apr_int64_t version, apr_pool_t *pool)
{
    mx_rows_t *rows = NULL;
    apr_status_t rv = mx_store_run(&rows, store, pool, &backup_get, user_nid, version);

    if (rv) return rv;
    if (!mx_rows_count(rows)) return MX_STORE_NONE;
    *out = (mx_backup_version_t){ mx_row_int(rows, 0, 0), mx_row_int(rows, 0, 1), mx_row_int(rows, 0, 2), mx_row_text(rows, 0, 3),
                                  mx_row_bytes(rows, 0, 4) };
    return APR_SUCCESS;
}

apr_status_t mx_store_backup_update(mx_store_t *store, apr_int64_t user_nid, apr_int64_t version, mx_slice_t auth_data, apr_pool_t *pool)
{
    mx_rows_t *rows = NULL;
    apr_status_t rv = mx_store_run(&rows, store, pool, &backup_update, user_nid, version, auth_data);

    return rv || mx_rows_affected(rows) ? rv : MX_STORE_NONE;
}

apr_status_t mx_store_backup_delete(mx_store_t *store, apr_int64_t user_nid, apr_int64_t version, apr_pool_t *pool)
{
    mx_rows_t *rows = NULL;
    apr_status_t rv = mx_store_run(&rows, store, pool, &backup_delete, user_nid, version);

    return rv || mx_rows_count(rows) ? rv : MX_STORE_NONE;
}

apr_status_t mx_store_backup_forget(mx_conn_t *conn, apr_int64_t user_nid, apr_pool_t *pool)
{
    return mx_store_query(NULL, conn, pool, &backup_forget, user_nid);
}

static apr_status_t read_change(mx_backup_version_t *out, const mx_rows_t *rows)
{
    if (!mx_rows_count(rows)) return MX_STORE_NONE;
    *out = (mx_backup_version_t){ .version = mx_row_int(rows, 0, 0), .etag = mx_row_int(rows, 0, 1), .count = mx_row_int(rows, 0, 2) };
    return APR_SUCCESS;
}

apr_status_t mx_store_backup_put(mx_backup_version_t *out, mx_store_t *store, apr_int64_t user_nid, apr_int64_t version,
                                 const mx_backup_keys_t *keys, apr_pool_t *pool)
{
    mx_rows_t *rows = NULL;
    apr_status_t rv = mx_store_run(&rows, store, pool, &backup_put, user_nid, version, keys->rooms, keys->n, keys->sessions, keys->n,
                                   keys->first_message, keys->n, keys->forwarded, keys->n, keys->verified, keys->n, keys->data, keys->n);

    return rv ? rv : read_change(out, rows);
}

apr_status_t mx_store_backup_clear(mx_backup_version_t *out, mx_store_t *store, apr_int64_t user_nid, apr_int64_t version, const char *room,
                                   const char *session, apr_pool_t *pool)
{
    mx_rows_t *rows = NULL;
    apr_status_t rv = mx_store_run(&rows, store, pool, &backup_clear, user_nid, version, room, session);

    return rv ? rv : read_change(out, rows);
}

typedef struct each_t {
    mx_backup_key_fn *fn;
    void *baton;
} each_t;

static apr_status_t each_row(void *baton, const mx_rows_t *row)
{
    const each_t *each = baton;
    mx_backup_key_t key = { mx_row_text(row, 0, 0), mx_row_text(row, 0, 1), mx_row_int(row, 0, 2), mx_row_int(row, 0, 3),
                            mx_row_bool(row, 0, 4), mx_row_bytes(row, 0, 5) };

    each->fn(each->baton, &key);
    return APR_SUCCESS;
}

apr_status_t mx_store_backup_each(mx_store_t *store, apr_int64_t user_nid, apr_int64_t version, const char *room, const char *session,
                                  mx_backup_key_fn *fn, void *baton, apr_pool_t *pool)
{
    each_t each = { fn, baton };

    return mx_store_each(store, pool, each_row, &each, &backup_each, user_nid, version, room, session);
}
