/* SPDX-License-Identifier: Apache-2.0 */
/* Profiles of local users. */
#include "user/profile.h"

#include "core/ident.h"
#include "room/room.h"
#include "store/profile.h"
#include "user/user_private.h"

#define PROFILE_MAX_BYTES (64 * 1024) /* CS-API: the total profile must be under 64 KiB */
#define KEY_MAX_BYTES 255
#define DISPLAYNAME_MAX_BYTES 1024
#define AVATAR_URL_MAX_BYTES 1024
#define TZ_MAX_BYTES 255
#define DISPLAYNAME "displayname"
#define AVATAR_URL "avatar_url"

/* ---- reading ---- */

static mx_json_t *rows_json(const mx_profile_row_t *rows, int n, apr_pool_t *pool)
{
    mx_json_limits_t limits = { MX_JSON_DEPTH_DEFAULT * 10 }; /* it was within MatrixMaxJsonDepth when it came */
    mx_json_t *profile = mx_json_new_object(pool);

    for (int i = 0; i < n; i++) {
        mx_json_t *value = NULL;
        mx_json_parse(&value, NULL, rows[i].value.p, rows[i].value.len, &limits, pool);
        mx_json_set(profile, rows[i].field, value);
    }
    return profile;
}

/** The named fields (nfields 0: all) as an object; M_NOT_FOUND if the user has none of them. */
static const mx_error_t *load(mx_json_t **pprofile, mx_server_t *server, const char *user_id, const char *const *fields,
                              int nfields, apr_pool_t *pool)
{
    mx_profile_row_t *rows = NULL;
    int n = 0;
    apr_status_t rv;

    if (!mx_ident_is_local(user_id, server->name))
        return mx_error_make(pool, MX_E_NOT_FOUND, "This server does not look up profiles of other servers' users.");
    rv = mx_store_profile_load(&rows, &n, server->store, user_id, fields, nfields, pool);
    if (rv == MX_STORE_NONE) return mx_error_make(pool, MX_E_NOT_FOUND, "There is no such user.");
    if (rv) return mx_server_store_error(rv, "reading a profile", pool);
    if (!n) return mx_error_make(pool, MX_E_NOT_FOUND, "The user's profile is empty or has no such field.");
    *pprofile = rows_json(rows, n, pool);
    return NULL;
}

const mx_error_t *mx_user_profile_get(mx_json_t **pprofile, mx_server_t *server, const char *user_id, apr_pool_t *pool)
{
    return load(pprofile, server, user_id, NULL, 0, pool);
}

const mx_error_t *mx_user_profile_get_field(mx_json_t **pfield, mx_server_t *server, const char *user_id,
                                            const char *field, apr_pool_t *pool)
{
    return load(pfield, server, user_id, &field, 1, pool);
}

const mx_error_t *mx_user_profile_for_member(const char **pdisplayname, const char **pavatar_url, mx_server_t *server,
                                             const char *user_id, apr_pool_t *pool)
{
    static const char *const fields[] = { DISPLAYNAME, AVATAR_URL };
    mx_json_t *profile = NULL;
    const mx_error_t *err = load(&profile, server, user_id, fields, 2, pool);

    if (err && err->code != MX_E_NOT_FOUND) return err;
    *pdisplayname = mx_json_get_str(profile, DISPLAYNAME);
    *pavatar_url = mx_json_get_str(profile, AVATAR_URL);
    return NULL;
}

/* ---- what may be stored ---- */

/** Appendices: common namespaced identifier grammar; what the specification does not name must hold a dot. */
static int is_key(const char *key)
{
    int dots = 0;

    if (mx_str_eq(key, DISPLAYNAME) || mx_str_eq(key, AVATAR_URL)) return 1;
    if (*key < 'a' || *key > 'z') return 0;
    for (const char *p = key; *p; p++) {
        int letter = (*p >= 'a' && *p <= 'z') || (*p >= '0' && *p <= '9') || *p == '_' || *p == '-';
        if (*p == '.' && (p[1] < 'a' || p[1] > 'z')) return 0;
        if (!letter && *p != '.') return 0;
        dots += *p == '.';
    }
    return dots > 0;
}

static int is_mxc(const char *uri)
{
    const char *server = uri + strlen("mxc://"), *slash;

    if (strncmp(uri, "mxc://", strlen("mxc://"))) return 0;
    slash = strchr(server, '/');
    return slash && slash > server && slash[1] && !strchr(slash + 1, '/');
}

static const mx_error_t *check_string(const char *field, const mx_json_t *value, apr_size_t max, apr_pool_t *pool)
{
    if (!mx_json_str(value)) return mx_error_make(pool, MX_E_BAD_JSON, "%s must be a string.", field);
    if (strlen(mx_json_str(value)) > max)
        return mx_error_make(pool, MX_E_INVALID_PARAM, "%s may have at most %d bytes.", field, (int)max);
    return NULL;
}

static const mx_error_t *check_value(const char *field, const mx_json_t *value, apr_pool_t *pool)
{
    const mx_error_t *err;

    if (mx_str_eq(field, DISPLAYNAME)) return check_string(field, value, DISPLAYNAME_MAX_BYTES, pool);
    if (mx_str_eq(field, "m.tz")) return check_string(field, value, TZ_MAX_BYTES, pool);
    if (!mx_str_eq(field, AVATAR_URL)) return NULL;
    if ((err = check_string(field, value, AVATAR_URL_MAX_BYTES, pool))) return err;
    if (*mx_json_str(value) && !is_mxc(mx_json_str(value)))
        return mx_error_make(pool, MX_E_INVALID_PARAM, "avatar_url must be an mxc:// URI.");
    return NULL;
}

const mx_error_t *mx_user_profile_may_change(mx_server_t *server, const mx_who_t *who, const char *user_id,
                                             const char *field, apr_pool_t *pool)
{
    if (!mx_str_eq(user_id, who->user_id))
        return mx_error_make(pool, MX_E_FORBIDDEN, "Nobody may change the profile of another user.");
    if (strlen(field) > KEY_MAX_BYTES)
        return mx_error_make(pool, MX_E_KEY_TOO_LARGE, "The name of a profile field may have at most %d bytes.",
                             KEY_MAX_BYTES);
    if (!is_key(field))
        return mx_error_make(
            pool, MX_E_INVALID_PARAM,
            "The name of a profile field is displayname, avatar_url, m.tz or one like org.example.field.");
    /* CS-API: guest access */
    if (who->guest && !mx_str_eq(field, DISPLAYNAME))
        return mx_error_make(pool, MX_E_GUEST_ACCESS_FORBIDDEN,
                             "A guest may change nothing of the profile but the display name.");
    return NULL;
}

/* ---- changing ---- */

/** CS-API: events on change of profile information. Also when nothing changed: a client may repeat what failed half
 * way. */
static const mx_error_t *tell_rooms(mx_server_t *server, const mx_who_t *who, const char *field, apr_pool_t *pool)
{
    if (!mx_str_eq(field, DISPLAYNAME) && !mx_str_eq(field, AVATAR_URL)) return NULL;
    return mx_room_member_profile_changed(server, who->user_id, pool);
}

static const mx_error_t *store_value(mx_server_t *server, const mx_who_t *who, const char *field,
                                     const mx_json_t *value, apr_pool_t *pool)
{
    mx_buf_t *text = mx_buf_create(pool);
    mx_profile_row_t row = { .field = field };
    apr_status_t rv;

    mx_json_write(text, value);
    row.value = mx_buf_slice(text);
    rv = mx_store_profile_set(server->store, who->user_nid, &row, PROFILE_MAX_BYTES, pool);
    if (rv == MX_STORE_NONE)
        return mx_error_make(pool, MX_E_PROFILE_TOO_LARGE, "The whole profile must stay below %d bytes.",
                             PROFILE_MAX_BYTES);
    return rv ? mx_server_store_error(rv, "storing a profile field", pool) : NULL;
}

static const mx_error_t *remove_value(mx_server_t *server, const mx_who_t *who, const char *field, apr_pool_t *pool)
{
    apr_status_t rv = mx_store_profile_delete(server->store, who->user_nid, field, pool);

    return rv ? mx_server_store_error(rv, "removing a profile field", pool) : NULL;
}

static int removes(const char *field, const mx_json_t *value)
{
    return (mx_str_eq(field, DISPLAYNAME) || mx_str_eq(field, AVATAR_URL)) && !*mx_json_str(value);
}

const mx_error_t *mx_user_profile_set(mx_server_t *server, const mx_who_t *who, const char *user_id, const char *field,
                                      const mx_json_t *value, apr_pool_t *pool)
{
    const mx_error_t *err = mx_user_profile_may_change(server, who, user_id, field, pool);

    if (!err) err = check_value(field, value, pool);
    if (!err)
        err = removes(field, value) ? remove_value(server, who, field, pool)
                                    : store_value(server, who, field, value, pool);
    return err ? err : tell_rooms(server, who, field, pool);
}

const mx_error_t *mx_user_profile_delete(mx_server_t *server, const mx_who_t *who, const char *user_id,
                                         const char *field, apr_pool_t *pool)
{
    const mx_error_t *err = mx_user_profile_may_change(server, who, user_id, field, pool);

    if (!err) err = remove_value(server, who, field, pool);
    return err ? err : tell_rooms(server, who, field, pool);
}
