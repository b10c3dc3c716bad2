/* SPDX-License-Identifier: Apache-2.0 */
/* What user/ keeps per homeserver and child. */
#ifndef MX_USER_USER_PRIVATE_H
#define MX_USER_USER_PRIVATE_H

#include "base/cache.h"
#include "store/token.h"
#include "user/user.h"

#include <apr_thread_cond.h>
#include <apr_thread_mutex.h>

typedef struct mx_user_state_t {
    mx_cache_t *tokens;                  /* by SHA-256 of the token */
    apr_int64_t epochs[MX_TOKEN_SHARDS]; /* the greatest seen; atomic, only ever grow */
    apr_time_t fresh_until;              /* monotonic us: until then `epochs` may be trusted; atomic */
    int refreshing;                      /* somebody reads the epochs ahead of time; atomic */
    apr_thread_mutex_t *epoch_lock;      /* held by who reads them because they are too old */

    apr_thread_mutex_t *hash_lock; /* password hashing takes tens of megabytes each: bounded */
    apr_thread_cond_t *hash_done;
    int hashing;

    unsigned char seal_key[MX_SEAL_KEY_BYTES]; /* of what uia_session keeps */
} mx_user_state_t;

/** Makes the token cache. */
apr_status_t mx_user_token_init(mx_server_t *server);
/** After a commit that took tokens of the user back: `epoch` is what the statement returned (0: it took none). */
void mx_user_token_moved(mx_server_t *server, apr_int64_t user_nid, apr_int64_t epoch);

#endif
