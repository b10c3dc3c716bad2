/* SPDX-License-Identifier: Apache-2.0 */
/* A user's push rules, kept as the account data m.push_rules so that /sync tells every change. */
#ifndef MX_STORE_PUSH_RULES_H
#define MX_STORE_PUSH_RULES_H

#include "store/store.h"

/** The saved document and the position it was saved at; MX_SLICE_NONE and 0 if there is none. */
apr_status_t mx_store_push_rules_load(mx_slice_t *pdoc, apr_int64_t *pstream, mx_store_t *store, apr_int64_t user_nid, apr_pool_t *pool);
/** Saves it if nobody saved another since position `seen`; else MX_STORE_RETRY. */
apr_status_t mx_store_push_rules_save(mx_store_t *store, apr_int64_t user_nid, mx_slice_t doc, apr_int64_t seen, apr_pool_t *pool);

#endif
