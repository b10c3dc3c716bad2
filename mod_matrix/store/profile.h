/* SPDX-License-Identifier: Apache-2.0 */
/* Profile fields of local users; a value is the bytes of any JSON value. */
#ifndef MX_STORE_PROFILE_H
#define MX_STORE_PROFILE_H

#include "store/store.h"

typedef struct mx_profile_row_t {
    const char *field;
    mx_slice_t value;
} mx_profile_row_t;

/** The named fields of an account (nfields 0: all) that are there; *pn may be 0. MX_STORE_NONE if there is no account. */
apr_status_t mx_store_profile_load(mx_profile_row_t **pout, int *pn, mx_store_t *store, const char *user_id,
                                   const char *const *fields, int nfields, apr_pool_t *pool);
/** Sets a field if the whole profile, written as one JSON object, then stays below `max_bytes`; else MX_STORE_NONE. */
apr_status_t mx_store_profile_set(mx_store_t *store, apr_int64_t user_nid, const mx_profile_row_t *row,
                                  apr_int64_t max_bytes, apr_pool_t *pool);
apr_status_t mx_store_profile_delete(mx_store_t *store, apr_int64_t user_nid, const char *field, apr_pool_t *pool);

#endif
