/* SPDX-License-Identifier: Apache-2.0 */
/* Registration tokens. Their uses are counted by store/uia.c, with the session that names them. */
#ifndef MX_STORE_REGISTRATION_TOKEN_H
#define MX_STORE_REGISTRATION_TOKEN_H

#include "store/store.h"

/** *pvalid is 1 if the token exists, has not expired, and has a use left that no session has reserved. */
apr_status_t mx_store_registration_token_check(int *pvalid, mx_store_t *store, const char *token, apr_int64_t now_ms,
                                               apr_pool_t *pool);

#endif
