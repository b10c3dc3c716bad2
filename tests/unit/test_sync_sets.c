/* SPDX-License-Identifier: Apache-2.0 */
/* What the notifier keeps: the ring, who is in which room, tokens, maps. Without a database. */
#include "unit.h"

#include "sync/sync_private.h"

/* ---- nid map ---- */

START_TEST(map_forgets_what_is_removed_and_keeps_the_rest)
{
    mx_nid_map_t map = { 0 };
    static char values[2000];
    apr_uint32_t at = 0;
    int i, n = 0;
    for (i = 1; i < 2000; i++)
        mx_nid_map_set(&map, i * 7, &values[i]);
    for (i = 1; i < 2000; i += 2)
        ck_assert_ptr_eq(mx_nid_map_remove(&map, i * 7), &values[i]);
    for (i = 1; i < 2000; i++)
        ck_assert_ptr_eq(mx_nid_map_get(&map, i * 7), i % 2 ? NULL : &values[i]);
    while (mx_nid_map_next(&map, &at))
        n++;
    ck_assert_int_eq(n, 999);
    ck_assert_int_eq((int)map.count, 999);
    ck_assert_ptr_null(mx_nid_map_remove(&map, 7));
    mx_nid_map_free(&map);
    ck_assert_ptr_null(mx_nid_map_get(&map, 14));
}
END_TEST

START_TEST(slab_gives_zeroed_records_and_takes_them_back)
{
    mx_slab_t *slab = mx_slab_create(24, pool);
    char *first = mx_slab_get(slab), *second;
    memset(first, 'x', 24);
    mx_slab_put(slab, first);
    second = mx_slab_get(slab);
    ck_assert_ptr_eq(first, second);
    ck_assert_int_eq(second[0] | second[23], 0);
}
END_TEST

/* ---- ring ---- */

static mx_sync_batch_t *batch_of(apr_int64_t from, apr_int64_t to)
{
    mx_sync_batch_t *batch = mx_sync_batch_create(from, to, (int)(to - from));
    for (; from < to; from++)
        batch->entries[batch->n++] = (mx_sync_entry_t){ .kind = MX_ENTRY_EVENT, .position = from + 1, .room_nid = 5,
                                                        .event_id = apr_psprintf(batch->pool, "$%d", (int)from + 1) };
    return batch;
}

START_TEST(ring_drops_its_oldest_batch_past_its_bound)
{
    mx_sync_ring_t ring = { .max_entries = 10, .max_bytes = 1 << 20 };
    mx_sync_ring_reset(&ring, 100);
    mx_sync_ring_append(&ring, batch_of(100, 104));
    mx_sync_ring_append(&ring, batch_of(104, 109));
    ck_assert_int_eq((int)ring.floor, 100);
    mx_sync_ring_append(&ring, batch_of(109, 111));
    ck_assert_int_eq((int)ring.floor, 104);
    ck_assert_int_eq((int)ring.head, 111);
    ck_assert_int_eq(ring.entries, 7);
    mx_sync_ring_reset(&ring, 200);
    ck_assert_int_eq(ring.entries + (int)ring.bytes, 0);
    ck_assert_int_eq((int)(ring.floor + ring.head), 400);
}
END_TEST

START_TEST(ring_begins_reading_in_the_batch_that_holds_the_next_position)
{
    mx_sync_ring_t ring = { .max_entries = 100, .max_bytes = 1 << 20 };
    mx_sync_ring_reset(&ring, 100);
    ck_assert_ptr_null(mx_sync_ring_after(&ring, 100));
    mx_sync_ring_append(&ring, batch_of(100, 103));
    mx_sync_ring_append(&ring, batch_of(103, 106));
    ck_assert_int_eq((int)mx_sync_ring_after(&ring, 100)->from, 100);
    ck_assert_int_eq((int)mx_sync_ring_after(&ring, 102)->from, 100);
    ck_assert_int_eq((int)mx_sync_ring_after(&ring, 103)->from, 103);
    ck_assert_ptr_null(mx_sync_ring_after(&ring, 106));
    mx_sync_ring_reset(&ring, 0);
}
END_TEST

START_TEST(batch_that_somebody_reads_outlives_the_ring)
{
    mx_sync_ring_t ring = { .max_entries = 100, .max_bytes = 1 << 20 };
    mx_sync_batch_t *batch = batch_of(0, 3);
    mx_sync_ring_append(&ring, batch);
    mx_sync_batch_pin(batch);
    mx_sync_ring_reset(&ring, 3);
    ck_assert_str_eq(batch->entries[2].event_id, "$3");
    mx_sync_batch_unpin(batch);
}
END_TEST

START_TEST(redaction_makes_the_entry_of_its_room_stale)
{
    mx_sync_ring_t ring = { .max_entries = 100, .max_bytes = 1 << 20 };
    mx_sync_batch_t *batch = batch_of(0, 3);
    mx_sync_ring_append(&ring, batch);
    mx_sync_ring_redacted(&ring, 6, "$2");
    ck_assert_int_eq((int)batch->entries[1].stale, 0);
    mx_sync_ring_redacted(&ring, 5, "$2");
    ck_assert_int_eq((int)batch->entries[1].stale, 1);
    mx_sync_ring_reset(&ring, 0);
}
END_TEST

/* ---- who is where ---- */

START_TEST(rooms_know_their_users_until_the_last_one_parts)
{
    mx_sync_interest_t in;
    mx_sync_user_t *one, *two;
    mx_sync_interest_init(&in, pool);
    one = mx_sync_interest_add(&in, 1);
    two = mx_sync_interest_add(&in, 2);
    ck_assert_ptr_eq(mx_sync_interest_add(&in, 1), one);
    mx_sync_interest_join(&in, one, 70);
    mx_sync_interest_join(&in, two, 70);
    mx_sync_interest_join(&in, two, 71);
    mx_sync_interest_join(&in, two, 71);
    ck_assert_int_eq((int)mx_sync_interest_room(&in, 70)->users.count, 2);
    mx_sync_interest_part(&in, one, 70);
    mx_sync_interest_part(&in, one, 70);
    ck_assert_int_eq((int)mx_sync_interest_room(&in, 70)->users.count, 1);
    mx_sync_interest_remove(&in, two);
    ck_assert_ptr_null(mx_sync_interest_room(&in, 70));
    ck_assert_ptr_null(mx_sync_interest_room(&in, 71));
    ck_assert_ptr_null(mx_sync_interest_user(&in, 2));
    mx_sync_interest_clear(&in);
    ck_assert_int_eq((int)in.users.count, 0);
}
END_TEST

/* ---- tokens ---- */

START_TEST(token_has_one_form_for_each_position)
{
    static const char *const good[] = { "s0", "s1", "s9223372036854775807" };
    static const char *const bad[] = { "", "s", "s-1", "s-0", "s01", "s00", "s1 ", " s1", "S1", "t1", "1", "s1_2",
                                       "s9223372036854775808", "s+1", "s1.0",
                                       "s\xF0\x9F\x98\x80" };
    apr_int64_t position;
    int i;
    for (i = 0; i < UNIT_COUNT(good); i++) {
        ck_assert_msg(mx_sync_token_read(&position, good[i]), "%s", good[i]);
        ck_assert_str_eq(mx_sync_token_format(position, pool), good[i]);
    }
    for (i = 0; i < UNIT_COUNT(bad); i++)
        ck_assert_msg(!mx_sync_token_read(&position, bad[i]), "%s", bad[i]);
    ck_assert(!mx_sync_token_read(&position, NULL));
}
END_TEST

/* ---- receipts ---- */

START_TEST(receipts_are_one_event_for_each_thread)
{
    mx_sync_receipt_out_t receipts[] = { { "", "$b", "m.read", "@u:h", MX_SLICE_LIT("{\"ts\":1}") },
                                         { "main", "$a", "m.read", "@u:h", MX_SLICE_LIT("{\"ts\":2,\"thread_id\":\"main\"}") },
                                         { "", "$a", "m.read", "@v:h", MX_SLICE_LIT("{\"ts\":3}") },
                                         { "", "$a", "m.read.private", "@u:h", MX_SLICE_LIT("{\"ts\":4}") } };
    mx_json_writer_t *w = mx_jw_create(pool);
    mx_jw_array(w);
    mx_sync_write_receipts(w, receipts, UNIT_COUNT(receipts));
    mx_jw_end_array(w);
    ck_assert_str_eq(unit_canonical(mx_slice_dup(mx_buf_slice(w->buf), pool)),
                     "[{\"content\":{\"$a\":{\"m.read\":{\"@v:h\":{\"ts\":3}},\"m.read.private\":{\"@u:h\":{\"ts\":4}}},"
                     "\"$b\":{\"m.read\":{\"@u:h\":{\"ts\":1}}}},\"type\":\"m.receipt\"},"
                     "{\"content\":{\"$a\":{\"m.read\":{\"@u:h\":{\"thread_id\":\"main\",\"ts\":2}}}},\"type\":\"m.receipt\"}]");
}
END_TEST

UNIT_MAIN("sync_sets", map_forgets_what_is_removed_and_keeps_the_rest, slab_gives_zeroed_records_and_takes_them_back,
          ring_drops_its_oldest_batch_past_its_bound, ring_begins_reading_in_the_batch_that_holds_the_next_position,
          batch_that_somebody_reads_outlives_the_ring, redaction_makes_the_entry_of_its_room_stale,
          rooms_know_their_users_until_the_last_one_parts, token_has_one_form_for_each_position, receipts_are_one_event_for_each_thread)
