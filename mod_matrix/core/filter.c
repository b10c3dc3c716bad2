/* SPDX-License-Identifier: Apache-2.0 */
/* Reads filters, checks them and applies them. CS-API: filtering. */
#include "core/filter.h"

#include "core/ident.h"

#include <stddef.h>
#include <stdint.h>

#define LIMIT_MAX INT32_MAX

/** A read in progress: the first error ends it. */
typedef struct reader_t {
    const mx_error_t *err;
    apr_pool_t *pool;
} reader_t;

static void fault(reader_t *r, mx_errcode_e code, const char *path, const char *key, const char *what)
{
    if (!r->err)
        r->err = mx_error_make(r->pool, code, "The filter's `%s%s` %s.", path, key, what);
}

typedef int valid_fn(const char *s);

/** A NULL-terminated list of strings, or NULL if the key is absent. `valid` may be NULL. */
static const char **read_list(reader_t *r, const mx_json_t *obj, const char *path, const char *key, valid_fn *valid)
{
    const mx_json_t *list = mx_json_get(obj, key);
    apr_size_t n = mx_json_len(list), i;
    const char **out;
    if (!list)
        return NULL;
    if (!mx_json_is(list, MX_JSON_ARRAY)) {
        fault(r, MX_E_BAD_JSON, path, key, "is no list");
        return NULL;
    }
    out = apr_palloc(r->pool, sizeof(*out) * (n + 1));
    for (i = 0; i < n; i++) {
        const char *s = mx_json_str(mx_json_at(list, i));
        if (!s) {
            fault(r, MX_E_BAD_JSON, path, key, "holds something that is no string");
            return NULL;
        }
        if (valid && !valid(s))
            fault(r, MX_E_INVALID_PARAM, path, key, "holds something that is no valid identifier");
        out[i] = apr_pstrdup(r->pool, s);
    }
    out[n] = NULL;
    return out;
}

static int read_bool(reader_t *r, const mx_json_t *obj, const char *path, const char *key, int fallback)
{
    const mx_json_t *j = mx_json_get(obj, key);
    if (j && !mx_json_is(j, MX_JSON_BOOL))
        fault(r, MX_E_BAD_JSON, path, key, "is neither true nor false");
    return mx_json_bool(j, fallback);
}

static int read_limit(reader_t *r, const mx_json_t *obj, const char *path)
{
    const mx_json_t *j = mx_json_get(obj, "limit");
    apr_int64_t limit = mx_json_int(j, 0);
    if (!j)
        return -1;
    if (!mx_json_is(j, MX_JSON_INT))
        fault(r, MX_E_BAD_JSON, path, "limit", "is no integer");
    else if (limit < 0)   /* the schema wants more than 0, but clients that want no history (initialSyncLimit: 0) send it */
        fault(r, MX_E_INVALID_PARAM, path, "limit", "is negative");
    return limit > LIMIT_MAX ? LIMIT_MAX : (int)limit;
}

static const mx_event_filter_t open_filter = { .limit = -1, .contains_url = -1 };

static void read_event_filter(reader_t *r, mx_event_filter_t *f, const mx_json_t *obj, const char *path)
{
    *f = open_filter;
    if (!obj)
        return;
    if (!mx_json_is(obj, MX_JSON_OBJECT)) {
        fault(r, MX_E_BAD_JSON, path, "", "is no object");
        return;
    }
    f->limit = read_limit(r, obj, path);
    f->types = read_list(r, obj, path, "types", NULL);
    f->not_types = read_list(r, obj, path, "not_types", NULL);
    f->senders = read_list(r, obj, path, "senders", mx_ident_is_user_id);
    f->not_senders = read_list(r, obj, path, "not_senders", mx_ident_is_user_id);
    f->rooms = read_list(r, obj, path, "rooms", mx_ident_is_room_id);
    f->not_rooms = read_list(r, obj, path, "not_rooms", mx_ident_is_room_id);
    f->contains_url = read_bool(r, obj, path, "contains_url", -1);
    f->lazy_load_members = read_bool(r, obj, path, "lazy_load_members", 0);
    f->include_redundant_members = read_bool(r, obj, path, "include_redundant_members", 0);
    f->unread_thread_notifications = read_bool(r, obj, path, "unread_thread_notifications", 0);
}

static void read_room(reader_t *r, mx_filter_t *f, const mx_json_t *room)
{
    if (room && !mx_json_is(room, MX_JSON_OBJECT)) {
        fault(r, MX_E_BAD_JSON, "", "room", "is no object");
        return;
    }
    f->rooms = read_list(r, room, "room.", "rooms", mx_ident_is_room_id);
    f->not_rooms = read_list(r, room, "room.", "not_rooms", mx_ident_is_room_id);
    f->include_leave = read_bool(r, room, "room.", "include_leave", 0);
    read_event_filter(r, &f->timeline, mx_json_get(room, "timeline"), "room.timeline.");
    read_event_filter(r, &f->state, mx_json_get(room, "state"), "room.state.");
    read_event_filter(r, &f->ephemeral, mx_json_get(room, "ephemeral"), "room.ephemeral.");
    read_event_filter(r, &f->room_account_data, mx_json_get(room, "account_data"), "room.account_data.");
}

static mx_filter_format_e read_format(reader_t *r, const mx_json_t *json)
{
    const mx_json_t *j = mx_json_get(json, "event_format");
    const char *format = mx_json_str(j);
    if (!j || mx_str_eq(format, "client"))
        return MX_EVENT_FORMAT_CLIENT;
    if (!mx_str_eq(format, "federation"))
        fault(r, format ? MX_E_INVALID_PARAM : MX_E_BAD_JSON, "", "event_format", "is neither `client` nor `federation`");
    return MX_EVENT_FORMAT_FEDERATION;
}

const mx_filter_t *mx_filter_default(void)
{
    static const mx_filter_t all = {
        .event_format = MX_EVENT_FORMAT_CLIENT,
        .presence = { .limit = -1, .contains_url = -1 },
        .account_data = { .limit = -1, .contains_url = -1 },
        .timeline = { .limit = -1, .contains_url = -1 },
        .state = { .limit = -1, .contains_url = -1 },
        .ephemeral = { .limit = -1, .contains_url = -1 },
        .room_account_data = { .limit = -1, .contains_url = -1 },
    };
    return &all;
}

const mx_error_t *mx_filter_parse(mx_filter_t **pfilter, const mx_json_t *json, apr_pool_t *pool)
{
    reader_t r = { NULL, pool };
    mx_filter_t *f = apr_pcalloc(pool, sizeof(*f));
    if (!mx_json_is(json, MX_JSON_OBJECT))
        return mx_error_make(pool, MX_E_BAD_JSON, "The filter is no object.");
    f->event_format = read_format(&r, json);
    f->event_fields = read_list(&r, json, "", "event_fields", NULL);
    read_event_filter(&r, &f->presence, mx_json_get(json, "presence"), "presence.");
    read_event_filter(&r, &f->account_data, mx_json_get(json, "account_data"), "account_data.");
    read_room(&r, f, mx_json_get(json, "room"));
    if (!r.err)
        *pfilter = f;
    return r.err;
}

const mx_error_t *mx_event_filter_parse(mx_event_filter_t **pfilter, const mx_json_t *json, apr_pool_t *pool)
{
    reader_t r = { NULL, pool };
    mx_event_filter_t *f = apr_pcalloc(pool, sizeof(*f));
    if (!mx_json_is(json, MX_JSON_OBJECT))
        return mx_error_make(pool, MX_E_BAD_JSON, "The filter is no object.");
    read_event_filter(&r, f, json, "");
    if (!r.err)
        *pfilter = f;
    return r.err;
}

/** `*` stands for any run of characters. One step back is all it keeps: a hostile pattern costs its length times the text. */
static int matches(const char *pattern, const char *s)
{
    const char *star = NULL, *back = NULL;
    while (*s) {
        if (*pattern == '*') {
            star = ++pattern;
            back = s;
        } else if (*pattern == *s) {
            pattern++;
            s++;
        } else if (star) {
            pattern = star;
            s = ++back;
        } else
            return 0;
    }
    while (*pattern == '*')
        pattern++;
    return !*pattern;
}

static int list_matches(const char **list, const char *s)
{
    for (; *list; list++) {
        if (matches(*list, s))
            return 1;
    }
    return 0;
}

static int list_has(const char **list, const char *s)
{
    for (; *list; list++) {
        if (strcmp(*list, s) == 0)
            return 1;
    }
    return 0;
}

typedef int list_fn(const char **list, const char *s);

/** In the one list if that is given, and not in the other, which is stronger. */
static int lists_allow(const char **yes, const char **no, const char *s, list_fn *in)
{
    if (!s)
        return 1;
    return !(no && in(no, s)) && (!yes || in(yes, s));
}

int mx_event_filter_allows(const mx_event_filter_t *f, const char *type, const char *sender, const char *room_id, int has_url)
{
    if (f->contains_url >= 0 && !f->contains_url != !has_url)
        return 0;
    return lists_allow(f->types, f->not_types, type, list_matches) && lists_allow(f->senders, f->not_senders, sender, list_has)
           && lists_allow(f->rooms, f->not_rooms, room_id, list_has);
}

int mx_event_filter_is_open(const mx_event_filter_t *f)
{
    return !f->types && !f->not_types && !f->senders && !f->not_senders && !f->rooms && !f->not_rooms && f->contains_url < 0;
}

int mx_filter_allows_room(const mx_filter_t *f, const char *room_id)
{
    return lists_allow(f->rooms, f->not_rooms, room_id, list_has);
}

/** The next name of a path; *ppath moves past it and its dot, to NULL at the end. Appendices: dot-separated property paths. */
static char *path_next(const char **ppath, apr_pool_t *pool)
{
    const char *p = *ppath;
    char *name = apr_palloc(pool, strlen(p) + 1), *q = name;
    for (; *p && *p != '.'; p++) {
        if (*p == '\\' && (p[1] == '.' || p[1] == '\\'))
            p++;
        *q++ = *p;
    }
    *q = '\0';
    *ppath = *p ? p + 1 : NULL;
    return name;
}

/** The value at the path, or NULL. */
static mx_json_t *path_get(const mx_json_t *from, const char *path, apr_pool_t *pool)
{
    mx_json_t *j = (mx_json_t *)(uintptr_t)from;
    while (path && j)
        j = mx_json_get(j, path_next(&path, pool));
    return j;
}

static void path_set(mx_json_t *to, const char *path, mx_json_t *val, apr_pool_t *pool)
{
    for (;;) {
        const char *name = path_next(&path, pool);
        mx_json_t *child = mx_json_get(to, name);
        if (!path) {
            mx_json_set(to, name, mx_json_copy(pool, val));
            return;
        }
        if (child && !mx_json_is(child, MX_JSON_OBJECT))
            return;
        if (!child) {
            child = mx_json_new_object(pool);
            mx_json_set(to, name, child);
        }
        to = child;
    }
}

mx_json_t *mx_filter_cut_fields(const mx_filter_t *f, const mx_json_t *event, apr_pool_t *pool)
{
    mx_json_t *out;
    const char **path;
    if (!f->event_fields)
        return mx_json_copy(pool, event);
    out = mx_json_new_object(pool);
    for (path = f->event_fields; *path; path++) {
        mx_json_t *val = path_get(event, *path, pool);
        if (val)
            path_set(out, *path, val, pool);
    }
    return out;
}
