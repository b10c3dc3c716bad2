/* SPDX-License-Identifier: Apache-2.0 */
/* The defaults of all settings. */
#include "server/settings.h"

#define MX_SET_INT(directive, member, def, min, max, help) .member = (def),
#define MX_SET_MSEC(directive, member, def, min, max, help) .member = (def),
#define MX_SET_BYTES(directive, member, def, min, max, help) .member = (def),
#define MX_SET_FLAG(directive, member, def, help) .member = (def),
#define MX_SET_ENUM(directive, member, def, words, help) .member = (def),
#define MX_SET_STR(directive, member, def, help) .member = (def),

void mx_settings_default(mx_settings_t *settings)
{
    *settings = (mx_settings_t){
#include "server/settings.def"
    };
}

#define MX_CACHE_SHARE(name, percent) +percent
_Static_assert(0
#include "server/cache_shares.def"
    == 100, "all caches together take MatrixCacheSize");
#undef MX_CACHE_SHARE

apr_size_t mx_settings_cache_bytes(const mx_settings_t *settings, int percent)
{
    return (apr_size_t)settings->cache_bytes / 100 * (apr_size_t)percent;
}

const char *mx_settings_room_version(const mx_settings_t *settings)
{
    static const char *const names[] = { "12", "11", "10" };     /* the words of the row, in their order */
    return names[settings->room_version];
}
