/* SPDX-License-Identifier: Apache-2.0 */
/* Power levels of a room that replaces another, and of the one that is replaced. CS-API: room upgrades. */
#include "rooms.h"

#include "core/power_upgrade.h"

static const mx_event_t *create_of(const char *version, const char *content)
{
    room_t room = { .version = mx_room_version_find(version) };
    room.room_id = room.version->room_id_is_create_hash ? NULL : "!r:h";
    return room_event(&room, "@old:h", "m.room.create", "", content);
}

static const char *text_of(const mx_json_t *json)
{
    mx_buf_t *buf = mx_buf_create(pool);
    if (!json)
        return "nothing";
    mx_json_write_canonical(buf, json);
    return mx_slice_dup(mx_buf_slice(buf), pool);
}

typedef struct case_t {
    const char *what, *from, *create, *levels, *to, *creators, *wanted;
} case_t;

START_TEST(the_levels_of_the_new_room_fit_its_version)
{
    static const case_t cases[] = {
        { "as they are", "9", "{}", "{\"ban\":60,\"own\":[1],\"users\":{\"@a:h\":1,\"@old:h\":100}}", "11", NULL,
          "{\"ban\":60,\"own\":[1],\"users\":{\"@a:h\":1,\"@old:h\":100}}" },
        { "strings and reals are read", "9", "{}",
          "{\"ban\":\"60\",\"kick\":1.9,\"invite\":\"x\",\"own\":1.5,\"users\":{\"@a:h\":\" 7 \"}}", "10",
          NULL, "{\"ban\":60,\"kick\":1,\"users\":{\"@a:h\":7}}" },
        { "too great for JSON", "5", "{}", "{\"ban\":9223372036854775807,\"kick\":\"-9223372036854775807\"}", "6", NULL,
          "{\"ban\":9007199254740991,\"kick\":-9007199254740991}" },
        { "no user ids", "5", "{}", "{\"users\":{\"a\":1,\"@b:h\":2},\"events\":3}", "6", NULL, "{\"events\":{},\"users\":{\"@b:h\":2}}" },
        { "keys with U+0000", "5", "{}", "{\"users\":{\"@b:h\\u0000x\":2}}", "6", NULL, "{\"users\":{}}" },
        { "creators are not listed", "11", "{}", "{\"users\":{\"@new:h\":100,\"@more:h\":9,\"@old:h\":100}}", "12", "[\"@more:h\"]",
          "{\"events\":{\"m.room.tombstone\":150},\"users\":{\"@old:h\":100}}" },
        { "a tombstone above state_default", "12", "{}", "{\"state_default\":200,\"events\":{\"m.room.tombstone\":150}}", "12", NULL,
          "{\"events\":{\"m.room.tombstone\":201},\"state_default\":200}" },
        { "a lower one that is enough stays", "12", "{}", "{\"events\":{\"m.room.tombstone\":70}}", "12", NULL,
          "{\"events\":{\"m.room.tombstone\":70}}" },
        { "old creators keep their power", "12", "{\"additional_creators\":[\"@second:h\"]}",
          "{\"events\":{\"m.room.tombstone\":150}}", "11", NULL,
          "{\"events\":{\"m.room.tombstone\":150},\"users\":{\"@old:h\":150,\"@second:h\":150}}" },
        { "no levels before", "1", "{\"creator\":\"@other:h\"}", NULL, "3", NULL, "{\"users\":{\"@other:h\":100}}" },
        { "no levels before version 12", "1", "{}", NULL, "12", NULL, "{\"events\":{\"m.room.tombstone\":150}}" },
    };
    int i;
    for (i = 0; i < UNIT_COUNT(cases); i++) {
        const case_t *c = &cases[i];
        mx_power_upgrade_t up = { create_of(c->from, c->create), c->levels ? unit_json(c->levels) : NULL, mx_room_version_find(c->to),
                                  "@new:h", c->creators ? unit_json(c->creators) : NULL };
        const char *got = text_of(mx_power_upgrade(&up, pool));
        ck_assert_msg(strcmp(got, c->wanted) == 0, "%s: %s, wanted %s", c->what, got, c->wanted);
    }
}
END_TEST

START_TEST(the_old_room_takes_50_or_more_than_everybody_has)
{
    static const struct {
        const char *version, *levels, *wanted;
    } cases[] = {
        { "11", "{}", "{\"events_default\":50,\"invite\":50}" },
        { "11", "{\"users_default\":50,\"invite\":90}", "{\"events_default\":51,\"invite\":90,\"users_default\":50}" },
        { "5", "{\"users_default\":\"60\",\"events_default\":\"61\",\"invite\":61}", "nothing" },
        { "11", "{\"events_default\":50,\"invite\":50}", "nothing" },
        { "12", NULL, "{\"events_default\":50,\"invite\":50}" },
        { "10", NULL, "{\"events_default\":50,\"invite\":50,\"users\":{\"@old:h\":100}}" },
    };
    int i;
    for (i = 0; i < UNIT_COUNT(cases); i++) {
        const mx_json_t *levels = cases[i].levels ? unit_json(cases[i].levels) : NULL;
        ck_assert_str_eq(text_of(mx_power_silence(create_of(cases[i].version, "{}"), levels, pool)), cases[i].wanted);
    }
}
END_TEST

UNIT_MAIN("power_upgrade", the_levels_of_the_new_room_fit_its_version, the_old_room_takes_50_or_more_than_everybody_has)
