/* SPDX-License-Identifier: Apache-2.0 */
/* Walking an object whose keys name users, devices, keys or rooms. */
#ifndef MX_USER_NAMES_H
#define MX_USER_NAMES_H

#include "core/error.h"

/** As mx_json_next(), but a key with U+0000, which would be seen cut there, ends the walk: *perr is M_INVALID_PARAM then. */
static inline int mx_user_names_next(const mx_error_t **perr, const mx_json_t *obj, void **it, const char **pname, mx_json_t **pval,
                                     apr_pool_t *pool)
{
    mx_slice_t name;

    if (!mx_json_next_slice(obj, it, &name, pval)) return 0;
    if (memchr(name.p, '\0', name.len)) {
        *perr = mx_error_make(pool, MX_E_INVALID_PARAM, "A name in the request holds U+0000.");
        return 0;
    }
    *pname = name.p;
    return 1;
}

#endif
