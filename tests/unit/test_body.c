/* SPDX-License-Identifier: Apache-2.0 */
/* Event bodies: packed where that helps, read back by every reader, damaged ones refused. */
#include "homeserver.h"

#include "store/body.h"
#include "store/event.h"

#define PDU                                                                                                               \
    "{\"auth_events\":[\"$KqZl0sXnE4uW1cGqV2rJ8mYbT6oPdHfLa9iRxNwCkSe\"],\"content\":{\"body\":\"good morning everyone\"," \
    "\"msgtype\":\"m.text\"},\"depth\":12,\"hashes\":{\"sha256\":\"h8Lx0Vv3Q1m2Zb7Nc9Kd4Jf6Hg5Aq8Ws1Ed3Rf6Tg0Y\"},"        \
    "\"origin_server_ts\":1700000000000,\"prev_events\":[],\"room_id\":\"!r:h\",\"sender\":\"@a:h\",\"type\":\"m.room.message\"}"

START_TEST(a_packed_body_is_smaller_and_comes_back)
{
    mx_store_body_t *body;
    mx_slice_t pdu = mx_slice_str(PDU), packed, back;
    ck_assert_int_eq(mx_store_body_create(&body, pool), APR_SUCCESS);
    packed = mx_store_body_pack(body, pdu, pool);
    ck_assert_uint_lt(packed.len, pdu.len * 2 / 3);      /* most of it is ids, which are random */
    ck_assert_int_eq(mx_store_body_unpack(&back, body, packed, pool), APR_SUCCESS);
    ck_assert(mx_slice_eq(back, pdu));
    ck_assert_int_eq(mx_store_body_unpack(&back, body, pdu, pool), APR_SUCCESS);
    ck_assert_ptr_eq(back.p, pdu.p);
}
END_TEST

START_TEST(a_damaged_body_is_an_error)
{
    mx_store_body_t *body;
    mx_slice_t packed, back;
    apr_size_t i;
    ck_assert_int_eq(mx_store_body_create(&body, pool), APR_SUCCESS);
    packed = mx_store_body_pack(body, mx_slice_str(PDU), pool);
    for (i = 1; i < packed.len; i++)
        ck_assert_int_eq(mx_store_body_unpack(&back, body, mx_slice(packed.p, i), pool), APR_EINVAL);
}
END_TEST

START_TEST(rows_written_before_compression_and_after_read_alike)
{
    mx_server_t *server;
    mx_event_row_t *rows;
    const char *room_id;
    mx_room_t *room;
    mx_slice_t pdu;
    int n;
    homeserver_reset();
    server = homeserver_child(NULL, pool);
    room_id = homeserver_room(server, "12", "public");
    homeserver_send(server, room_id, "@creator:h", "m.room.message", NULL, "{\"body\":\"good morning everyone\",\"msgtype\":\"m.text\"}");
    ck_assert_int_eq(database_number("select count(*) from event where get_byte(pdu, 0) = 40"),
                     database_number("select count(*) from event"));
    ck_assert_ptr_null(mx_room_get(&room, server, room_id, 0, pool));
    ck_assert_int_eq(mx_store_event_by_nids(&rows, &n, server->store, &room->last_stream, 1, pool), APR_SUCCESS);
    pdu = rows[0].pdu;
    ck_assert(pdu.len > 100 && *pdu.p == '{');
    database_sql(apr_psprintf(pool, "update event set pdu = convert_to('%s', 'UTF8') where nid = %" APR_INT64_T_FMT,
                              mx_slice_dup(pdu, pool), room->last_stream));
    ck_assert_int_eq(mx_store_event_by_nids(&rows, &n, server->store, &room->last_stream, 1, pool), APR_SUCCESS);
    ck_assert(mx_slice_eq(rows[0].pdu, pdu));
    database_sql(apr_psprintf(pool, "update event set pdu = '\\x28b52ffd00' where nid = %" APR_INT64_T_FMT, room->last_stream));
    ck_assert_int_eq(mx_store_event_by_nids(&rows, &n, server->store, &room->last_stream, 1, pool), APR_SUCCESS);
    ck_assert_uint_eq(rows[0].pdu.len, 0);
}
END_TEST

DATABASE_MAIN("body", a_packed_body_is_smaller_and_comes_back, a_damaged_body_is_an_error,
              rows_written_before_compression_and_after_read_alike)
