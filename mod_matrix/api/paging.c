/* SPDX-License-Identifier: Apache-2.0 */
/* dir, from and to. CS-API: pagination. */
#include "api/paging.h"

const mx_error_t *mx_api_paging_dir(mx_dir_e *pdir, mx_req_t *req, const char *fallback)
{
    const char *dir = mx_param_query(req, "dir");

    if (!dir)
        dir = fallback;
    if (!dir)
        return mx_error_make(req->pool, MX_E_MISSING_PARAM, "dir is missing.");
    if (!mx_str_eq(dir, "b") && !mx_str_eq(dir, "f"))
        return mx_error_make(req->pool, MX_E_INVALID_PARAM, "dir must be b or f.");
    *pdir = *dir == 'b' ? MX_DIR_BACKWARD : MX_DIR_FORWARD;
    return NULL;
}

static const mx_error_t *read_place(apr_int64_t *pord, mx_req_t *req, const char *name, apr_int64_t fallback)
{
    const char *token = mx_param_query(req, name);

    *pord = fallback;
    return token ? mx_room_page_token_parse(pord, req->server, token, req->pool) : NULL;
}

const mx_error_t *mx_api_paging_range(apr_int64_t *pfrom, apr_int64_t *pto, mx_req_t *req, mx_dir_e dir)
{
    int backward = dir == MX_DIR_BACKWARD;
    const mx_error_t *err = read_place(pfrom, req, "from", backward ? MX_ROOM_PAGE_LAST : MX_ROOM_PAGE_FIRST);

    return err ? err : read_place(pto, req, "to", backward ? MX_ROOM_PAGE_FIRST : MX_ROOM_PAGE_LAST);
}
