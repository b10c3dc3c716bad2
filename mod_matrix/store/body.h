/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Event bodies as they are stored: compressed with a dictionary (conf/make-body-dictionary) where that makes them smaller, else as they
 * are. A plain body begins with '{', a compressed one never does, so old rows need not be written anew.
 * store/persist.c packs; mx_row_body() unpacks and is what every reader of a pdu column uses.
 */
#ifndef MX_STORE_BODY_H
#define MX_STORE_BODY_H

#include "base/zip.h"

#define MX_STORE_BODY_MAX_BYTES 65536        /* CS-API: size limits; no event is longer */

typedef struct mx_store_body_t mx_store_body_t;

/** For all threads, as long as `pool` lives. */
apr_status_t mx_store_body_create(mx_store_body_t **pbody, apr_pool_t *pool);
/** As it is to be stored, in `pool` or the body itself. */
mx_slice_t mx_store_body_pack(mx_store_body_t *body, mx_slice_t pdu, apr_pool_t *pool);
/** What was packed, in `pool` or the stored bytes themselves. APR_EINVAL: damaged. */
apr_status_t mx_store_body_unpack(mx_slice_t *ppdu, mx_store_body_t *body, mx_slice_t stored, apr_pool_t *pool);

#endif
