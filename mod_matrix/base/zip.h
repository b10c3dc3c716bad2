/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Small texts compressed with a dictionary (zstd). An object serves all threads: contexts are lent from a bounded list. A
 * compressed text is one zstd frame that names the dictionary and the length; it begins with the byte MX_ZIP_FIRST_BYTE.
 */
#ifndef MX_BASE_ZIP_H
#define MX_BASE_ZIP_H

#include "base/str.h"

#include <apr_errno.h>

typedef struct mx_zip_t mx_zip_t;

#define MX_ZIP_FIRST_BYTE '\x28'     /* of the magic number of zstd */

/** `dict` stays the caller's and outlives the object, which lives as long as `pool`. APR_EINVAL: not a dictionary. */
apr_status_t mx_zip_create(mx_zip_t **pzip, mx_slice_t dict, int level, apr_pool_t *pool);
/** The text compressed, in `pool`; the text itself where that would not be smaller. */
mx_slice_t mx_zip_pack(mx_zip_t *zip, mx_slice_t text, apr_pool_t *pool);
/** The text of a frame, in `pool`. APR_EINVAL: damaged, of another dictionary, without a length or longer than max_bytes. */
apr_status_t mx_zip_unpack(mx_slice_t *pout, mx_zip_t *zip, mx_slice_t packed, apr_size_t max_bytes, apr_pool_t *pool);

#endif
