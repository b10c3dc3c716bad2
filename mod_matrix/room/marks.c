/* SPDX-License-Identifier: Apache-2.0 */
/* Marks of new events. CS-API: forming relationships between events; user and room mentions. */
#include "room/marks.h"
#include "room/heads.h"

#include "base/json_scan.h"
#include "core/ident.h"
#include "core/push_eval.h"
#include "store/event_id.h"

#define REL_TYPE_MAX_BYTES 255       /* longer ones relate to nothing */
#define KEY_MAX_BYTES 4096           /* of an annotation: longer ones are not told apart */

/** The users in m.mentions.user_ids: well-formed ids alone. */
static void read_mentions(mx_store_mark_t *mark, const mx_json_t *content, apr_pool_t *pool)
{
    const mx_json_t *users = mx_json_get(mx_json_get(content, "m.mentions"), "user_ids");
    apr_size_t i, n = mx_json_is(users, MX_JSON_ARRAY) ? mx_json_len(users) : 0;
    if (!n)
        return;
    mark->mentions = apr_palloc(pool, sizeof(*mark->mentions) * n);
    for (i = 0; i < n; i++) {
        const char *user_id = mx_json_str(mx_json_at(users, i));
        if (user_id && mx_ident_is_user_id(user_id))
            mark->mentions[mark->nmentions++] = user_id;
    }
}

/** CS-API: validity of replacement events: what can be said of the replacement alone. */
static int is_edit(const mx_event_t *ev, const char *rel_type, const mx_json_t *content)
{
    if (strcmp(rel_type, "m.replace") != 0 || ev->state_key)
        return 0;
    return strcmp(ev->type, "m.room.encrypted") == 0 || mx_json_is(mx_json_get(content, "m.new_content"), MX_JSON_OBJECT);
}

static void read_relation(mx_store_mark_t *mark, const mx_event_t *ev, const mx_json_t *content, apr_pool_t *pool)
{
    const mx_json_t *relates = mx_json_get(content, "m.relates_to");
    const char *parent = mx_json_get_str(relates, "event_id"), *rel_type = mx_json_get_str(relates, "rel_type"),
               *key = mx_json_get_str(relates, "key");
    if (!parent || !rel_type || !*rel_type || strlen(rel_type) > REL_TYPE_MAX_BYTES || !mx_ident_is_event_id(parent))
        return;
    mark->parent = mx_store_event_id_pack(parent, pool);
    mark->rel_type = rel_type;
    mark->key = key && strlen(key) <= KEY_MAX_BYTES ? key : NULL;
    mark->is_edit = is_edit(ev, rel_type, content);
    if (strcmp(rel_type, "m.thread") == 0)
        mark->thread = parent;
}

static int may_notify_room(const mx_power_t *power, const char *sender)
{
    return power && mx_power_user(power, sender) >= mx_power_notification(power, "room");
}

/**
 * 0 for most messages: a look at the names in the text spares them a tree. Only what is written with \u could hide a name from it.
 */
static int may_have_marks(const mx_event_t *ev, apr_pool_t *pool)
{
    mx_json_scan_t scan;
    if (memmem(ev->content.p, ev->content.len, "\\u", 2))
        return 1;
    mx_json_scan_trusted(&scan, ev->content, pool);
    return mx_json_scan_get(&scan, "m.relates_to").p || mx_json_scan_get(&scan, "m.mentions").p
           || mx_slice_is(mx_json_scan_get(&scan, "msgtype"), "\"m.notice\"");
}

/** What the content says. */
static void read_content(mx_store_mark_t *mark, const mx_event_t *ev, const mx_power_t *power, apr_pool_t *pool)
{
    const mx_json_t *content = mx_event_content(ev);
    mark->marks = mx_push_eval_marks(content);
    if (mark->marks & MX_PUSH_MARK_ROOM && !may_notify_room(power, ev->sender))
        mark->marks &= ~MX_PUSH_MARK_ROOM;
    read_relation(mark, ev, content, pool);
    read_mentions(mark, content, pool);
}

void mx_room_marks_read(mx_store_mark_t **pmarks, int *pn, const mx_event_t *const *events, int nevents, const mx_power_t *power,
                        apr_pool_t *pool)
{
    mx_store_mark_t *marks = apr_pcalloc(pool, sizeof(*marks) * (apr_size_t)(nevents + 1));
    int i, n = 0;
    for (i = 0; i < nevents; i++) {
        mx_store_mark_t *mark = &marks[n];
        if (mx_room_heads_is_dummy(events[i]))
            continue;
        mark->at = i + 1;
        if (may_have_marks(events[i], pool))
            read_content(mark, events[i], power, pool);
        /* a tombstone counts by its type: a row says that it is to be looked at */
        if (mx_event_is(events[i], "m.room.tombstone", ""))
            mark->marks |= MX_PUSH_MARK_STATE;
        if (mark->marks || mark->parent.p || mark->nmentions)
            n++;
        else
            memset(mark, 0, sizeof(*mark));
    }
    *pmarks = marks;
    *pn = n;
}
