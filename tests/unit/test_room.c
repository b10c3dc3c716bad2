/* SPDX-License-Identifier: Apache-2.0 */
/* Rooms on a real PostgreSQL: what is accepted is stored whole, what is refused leaves nothing. */
#include "homeserver.h"

static mx_server_t *server;

static void fresh(void)
{
    homeserver_reset();
    server = homeserver_child(NULL, pool);
}

static long events(void)
{
    return database_number("select count(*) from event");
}

START_TEST(a_new_room_has_its_state_in_every_mirror)
{
    mx_room_t *room;
    const char *room_id;
    mx_membership_e membership;
    const mx_power_t *power;
    fresh();
    room_id = homeserver_room(server, "12", "public");
    ck_assert_ptr_null(mx_room_get(&room, server, room_id, 0, pool));
    ck_assert_int_eq(room->joined, 1);
    ck_assert_int_eq(events(), 4);
    ck_assert_int_eq(database_number("select count(*) from cur_state"), 4);
    ck_assert_int_eq(database_number("select joined from room_server"), 1);
    ck_assert_int_eq(database_number("select count(*) from room_state_log"), 4);
    ck_assert_ptr_null(mx_room_membership(&membership, server, room, "@creator:h", pool));
    ck_assert_int_eq(membership, MX_MEMBERSHIP_JOIN);
    ck_assert_ptr_null(mx_room_power(&power, server, room, pool));
    ck_assert(mx_power_user(power, "@creator:h") == MX_POWER_CREATOR);
}
END_TEST

START_TEST(a_message_follows_the_one_before)
{
    const char *room_id, *first, *second;
    mx_event_row_t *row;
    mx_event_t *event;
    fresh();
    room_id = homeserver_room(server, "11", "public");
    first = homeserver_send(server, room_id, "@creator:h", "m.room.message", NULL, "{\"body\":\"one\"}");
    second = homeserver_send(server, room_id, "@creator:h", "m.room.message", NULL, "{\"body\":\"two\"}");
    ck_assert_int_eq(mx_store_event_by_id(&row, server->store, second, pool), APR_SUCCESS);
    ck_assert_ptr_null(mx_event_parse(&event, mx_room_version_find("11"), row->pdu, NULL, pool));
    ck_assert_str_eq(event->event_id, second);
    ck_assert_int_eq(event->nprev, 1);
    ck_assert_str_eq(event->prev_events[0], first);
    ck_assert_int_eq(event->depth, 6);
    ck_assert(mx_event_content_hash_ok(event));
}
END_TEST

DATABASE_MAIN("room", a_new_room_has_its_state_in_every_mirror, a_message_follows_the_one_before)
