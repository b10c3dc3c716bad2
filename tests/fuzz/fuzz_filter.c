/* SPDX-License-Identifier: Apache-2.0 */
/* Any JSON is a filter or refused with a reason; a filter answers for any event, and an open one lets all through. */
#include "fuzz.h"

#include "core/filter.h"

static void check_event_filter(const mx_event_filter_t *f)
{
    static const char *const types[] = { "m.room.message", "", "*", "a.b" };
    apr_size_t i;
    for (i = 0; i < sizeof(types) / sizeof(types[0]); i++) {
        int passes = mx_event_filter_allows(f, types[i], "@a:b", "!r:b", i & 1);
        FUZZ_CHECK(passes || !mx_event_filter_is_open(f));
    }
}

static void fuzz_one(const char *p, apr_size_t len, apr_pool_t *pool)
{
    mx_json_t *json;
    mx_filter_t *f;
    mx_event_filter_t *ef;
    const mx_error_t *err;
    if (mx_json_parse(&json, NULL, p, len, NULL, pool) != MX_JSON_OK)
        return;
    err = mx_event_filter_parse(&ef, json, pool);
    FUZZ_CHECK(!err || (err->status == 400 && err->message));
    if (!err)
        check_event_filter(ef);
    err = mx_filter_parse(&f, json, pool);
    FUZZ_CHECK(!err || (err->status == 400 && err->message));
    if (err)
        return;
    check_event_filter(&f->timeline);
    check_event_filter(&f->state);
    mx_filter_allows_room(f, "!r:b");
    FUZZ_CHECK(mx_json_type(mx_filter_cut_fields(f, json, pool)) == MX_JSON_OBJECT);
}
