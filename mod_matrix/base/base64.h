/* SPDX-License-Identifier: Apache-2.0 */
/* Base64 in the forms Matrix uses: unpadded, standard or URL-safe alphabet (appendices: unpadded base64). */
#ifndef MX_BASE_BASE64_H
#define MX_BASE_BASE64_H

#include "base/str.h"

typedef enum { MX_BASE64_STD, MX_BASE64_URL } mx_base64_e;

/** Characters that `len` bytes take. */
#define MX_BASE64_LEN(len) (((len) * 4 + 2) / 3)
/** Writes MX_BASE64_LEN(len) characters to `out`, without a NUL; returns their number. */
apr_size_t mx_base64_encode_to(char *out, mx_base64_e form, const void *p, apr_size_t len);
/** Unpadded, NUL-terminated, in `pool`. */
char *mx_base64_encode(mx_base64_e form, const void *p, apr_size_t len, apr_pool_t *pool);
/** Accepts padding or none. APR_EINVAL for a foreign character or an impossible length. */
apr_status_t mx_base64_decode(unsigned char **pout, apr_size_t *plen, mx_base64_e form, mx_slice_t text, apr_pool_t *pool);

#endif
