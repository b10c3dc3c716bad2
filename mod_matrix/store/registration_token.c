/* SPDX-License-Identifier: Apache-2.0 */
/* Registration tokens: rows of `registration_token`. */
#include "store/registration_token.h"

MX_STMT(registration_token_check, "sl",
        "select 1 from registration_token where token = $1::text and (expires_ts is null or expires_ts > $2::int8)"
        " and (uses_allowed is null or pending + completed < uses_allowed)");

apr_status_t mx_store_registration_token_check(int *pvalid, mx_store_t *store, const char *token, apr_int64_t now_ms,
                                               apr_pool_t *pool)
{
    mx_rows_t *rows = NULL;
    apr_status_t rv = mx_store_run(&rows, store, pool, &registration_token_check, token, now_ms);

    if (!rv) *pvalid = mx_rows_count(rows) > 0;
    return rv;
}
