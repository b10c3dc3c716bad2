/* SPDX-License-Identifier: Apache-2.0 */
/* Whatever is read as a token of /sync is the very text that its position is written as. */
#include "fuzz.h"

#include "sync/sync.h"

static void fuzz_one(const char *p, apr_size_t len, apr_pool_t *pool)
{
    const char *text = apr_pstrmemdup(pool, p, len);
    apr_int64_t position = -1;
    if (!mx_sync_token_read(&position, text))
        return;
    FUZZ_CHECK(position >= 0);
    FUZZ_CHECK(strcmp(mx_sync_token_format(position, pool), text) == 0);
}
