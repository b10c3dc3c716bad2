/* SPDX-License-Identifier: Apache-2.0 */
/* Parameters of the endpoints that page through a room. CS-API: pagination. */
#ifndef MX_API_PAGING_H
#define MX_API_PAGING_H

#include "api/req.h"
#include "room/page.h"

/** `dir`: b or f (M_INVALID_PARAM). `fallback` if it is absent; NULL: then M_MISSING_PARAM. */
const mx_error_t *mx_api_paging_dir(mx_dir_e *pdir, mx_req_t *req, const char *fallback);
/** The tokens `from` and `to` of a page in that direction; where one is absent, that end of the room. M_INVALID_PARAM. */
const mx_error_t *mx_api_paging_range(apr_int64_t *pfrom, apr_int64_t *pto, mx_req_t *req, mx_dir_e dir);

#endif
