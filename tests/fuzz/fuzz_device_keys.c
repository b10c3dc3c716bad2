/* SPDX-License-Identifier: Apache-2.0 */
/* Any JSON is an upload of keys or refused with a reason; what is taken has whole columns, and reads the same again. */
#include "fuzz.h"

#include "user/device_keys.h"

static void check_list(const mx_key_list_t *list)
{
    for (int i = 0; i < list->n; i++) {
        FUZZ_CHECK(list->algorithms[i][0] && list->key_ids[i][0] && !strchr(list->algorithms[i], ':'));
        FUZZ_CHECK(list->bodies[i].len > 0 && list->digests[i].len == 16);
    }
}

static void fuzz_one(const char *p, apr_size_t len, apr_pool_t *pool)
{
    mx_json_t *json = NULL, *again = NULL;
    mx_key_upload_t upload;
    const mx_error_t *err;

    if (mx_json_parse(&json, NULL, p, len, NULL, pool) != MX_JSON_OK) return;
    err = mx_user_device_keys_read(&upload, json, "@a:b", "DEV", pool);
    FUZZ_CHECK(!err || ((err->status == 400 || err->status == 413) && err->message));
    if (err) return;
    check_list(&upload.one_time);
    check_list(&upload.fallback);
    if (!upload.body.p) return;
    FUZZ_CHECK(mx_json_parse(&again, NULL, upload.body.p, upload.body.len, NULL, pool) == MX_JSON_OK);
    FUZZ_CHECK(!mx_json_get(again, "signatures") && mx_str_eq(mx_json_get_str(again, "device_id"), "DEV"));
}
