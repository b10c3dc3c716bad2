/* SPDX-License-Identifier: Apache-2.0 */
/* What relates to events of a room that other servers write to as well. CS-API: aggregations of child events. */
#include "far.h"

#include "room/relation.h"
#include "room/view.h"

static mx_who_t *who_is(const char *user_id)
{
    mx_who_t *who = apr_pcalloc(pool, sizeof(*who));

    who->user_id = user_id;
    who->device_id = "D";
    ck_assert_int_eq(mx_server_user_nid(&who->user_nid, server, user_id, pool), APR_SUCCESS);
    return who;
}

/** m.relations of the event as the reader is served it; NULL: none. */
static mx_json_t *bundle(const char *event_id, const char *reader)
{
    mx_json_writer_t *w = mx_jw_create(pool);
    mx_event_row_t *row;

    ck_assert_int_eq(mx_store_event_by_id(&row, server->store, event_id, pool), APR_SUCCESS);
    ck_assert_ptr_null(mx_room_view_write_all(w, server, who_is(reader), row, 1, MX_FORMAT_CLIENT, apr_time_now(), pool));
    return mx_json_get(mx_json_get(unit_json(apr_pstrmemdup(pool, w->buf->p, w->buf->len)), "unsigned"), "m.relations");
}

static long thread_count(const char *event_id, const char *reader)
{
    return (long)mx_json_int(mx_json_get(mx_json_get(bundle(event_id, reader), "m.thread"), "count"), 0);
}

static const char *content(const char *rel_type, const char *parent, const char *more)
{
    return apr_psprintf(pool, "{\"body\":\"b\"%s,\"m.relates_to\":{\"rel_type\":\"%s\",\"event_id\":\"%s\"}}", more, rel_type, parent);
}

#define EDITED ",\"m.new_content\":{\"body\":\"c\"}"

static int children(const char *event_id, int recurse)
{
    mx_room_relation_ask_t ask = { .room_id = room_id, .event_id = event_id, .recurse = recurse, .dir = MX_DIR_BACKWARD,
                                   .from = MX_ROOM_PAGE_LAST, .to = MX_ROOM_PAGE_FIRST, .limit = 50 };
    mx_room_page_t page;

    ck_assert_ptr_null(mx_room_relation_page(&page, server, who_is("@creator:h"), &ask, pool));
    return page.n;
}

/* A fork brings the children first, then what they relate to. */
START_TEST(children_may_come_before_what_they_relate_to)
{
    const char *base;
    mx_event_t *parent, *edit;
    mx_json_t *found;

    fresh("11");
    base = far_joins("@u:far");
    parent = make(&(wish_t){ .sender = "@u:far", .type = "m.room.message", .content = "{\"body\":\"a\"}", .prev = { base } });
    edit = make(&(wish_t){ .sender = "@u:far", .type = "m.room.message", .prev = { base },
                           .content = content("m.replace", parent->event_id, EDITED) });
    expect("stored", receive_event(edit));
    homeserver_send(server, room_id, "@creator:h", "m.room.message", NULL, content("m.thread", parent->event_id, ""));
    expect("stored", receive_event(parent));
    found = bundle(parent->event_id, "@creator:h");
    ck_assert_str_eq(mx_json_get_str(mx_json_get(found, "m.replace"), "event_id"), edit->event_id);
    ck_assert_int_eq(thread_count(parent->event_id, "@creator:h"), 1);
    ck_assert_int_eq(children(parent->event_id, 0), 2);
}
END_TEST

/* Who is banned goes on from before the ban: soft-failed, so no timeline shows it and no bundle counts it. */
START_TEST(what_no_timeline_shows_is_no_child)
{
    const char *base, *root;
    mx_event_t *late;

    fresh("11");
    base = far_joins("@u:far");
    root = homeserver_send(server, room_id, "@creator:h", "m.room.message", NULL, "{}");
    homeserver_send(server, room_id, "@creator:h", "m.room.message", NULL, content("m.thread", root, ""));
    late = make(&(wish_t){ .sender = "@u:far", .type = "m.room.message", .content = content("m.thread", root, ""), .prev = { base } });
    homeserver_send(server, room_id, "@creator:h", "m.room.member", "@u:far", "{\"membership\":\"ban\"}");
    expect("soft-failed", receive_event(late));
    ck_assert_int_eq(thread_count(root, "@creator:h"), 1);
    ck_assert_int_eq(children(root, 0), 1);
}
END_TEST

/* A child on a branch where it was hidden stays so, though the room has become open. */
START_TEST(a_child_is_seen_by_the_state_that_it_stands_on)
{
    const char *base, *root;

    fresh("11");
    homeserver_send(server, room_id, "@creator:h", "m.room.history_visibility", "", "{\"history_visibility\":\"world_readable\"}");
    base = far_joins("@u:far");
    root = homeserver_send(server, room_id, "@creator:h", "m.room.message", NULL, "{}");
    homeserver_send(server, room_id, "@creator:h", "m.room.message", NULL, content("m.thread", root, ""));
    homeserver_send(server, room_id, "@creator:h", "m.room.history_visibility", "", "{\"history_visibility\":\"joined\"}");
    homeserver_send(server, room_id, "@creator:h", "m.room.message", NULL, content("m.thread", root, ""));
    expect("stored", receive(.sender = "@u:far", .type = "m.room.message", .content = content("m.thread", root, ""), .prev = { base }));
    homeserver_send(server, room_id, "@creator:h", "m.room.history_visibility", "", "{\"history_visibility\":\"world_readable\"}");
    ck_assert_int_eq(thread_count(root, "@creator:h"), 3);
    ck_assert_int_eq(thread_count(root, "@stranger:h"), 2);
}
END_TEST

/* In old versions servers choose the ids, so events can relate to one another in a circle. */
START_TEST(a_circle_of_relations_ends)
{
    const char *one, *two;

    fresh("11");
    one = homeserver_send(server, room_id, "@creator:h", "m.room.message", NULL, "{}");
    two = homeserver_send(server, room_id, "@creator:h", "m.room.message", NULL, content("m.reference", one, ""));
    database_sql(apr_psprintf(pool, "insert into event_relation (nid, room_nid, ord, parent, rel_type, sender_nid, type_nid, ts)"
                              " select a.nid, a.room_nid, a.ord, b.event_id, 'm.reference', a.sender_nid, a.type_nid, a.ts from event a, event b where a.nid = (select max(nid) - 1 from event)"
                              " and b.nid = (select max(nid) from event)"));
    ck_assert_int_eq(children(one, 1), 2);
    ck_assert_int_eq(children(two, 1), 2);
    ck_assert_int_eq(children(two, 0), 1);
}
END_TEST

DATABASE_MAIN("relation", children_may_come_before_what_they_relate_to, what_no_timeline_shows_is_no_child,
              a_child_is_seen_by_the_state_that_it_stands_on, a_circle_of_relations_ends)
