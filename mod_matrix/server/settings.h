/* SPDX-License-Identifier: Apache-2.0 */
/* What the administrator set, one struct per vhost, made from settings.def. Read-only after start. */
#ifndef MX_SERVER_SETTINGS_H
#define MX_SERVER_SETTINGS_H

#include <apr_pools.h>

typedef struct mx_settings_t {
#define MX_SET_INT(directive, member, def, min, max, help) int member;
#define MX_SET_MSEC(directive, member, def, min, max, help) apr_int64_t member;
#define MX_SET_BYTES(directive, member, def, min, max, help) apr_int64_t member;
#define MX_SET_FLAG(directive, member, def, help) int member;
#define MX_SET_ENUM(directive, member, def, words, help) int member;
#define MX_SET_STR(directive, member, def, help) const char *member;
#include "server/settings.def"
#undef MX_SET_INT
#undef MX_SET_MSEC
#undef MX_SET_BYTES
#undef MX_SET_FLAG
#undef MX_SET_ENUM
#undef MX_SET_STR
} mx_settings_t;

/** Percent of MatrixCacheSize. */
enum {
#define MX_CACHE_SHARE(name, percent) MX_CACHE_##name = percent,
#include "server/cache_shares.def"
#undef MX_CACHE_SHARE
};

typedef enum { MX_REGISTRATION_OPEN, MX_REGISTRATION_TOKEN, MX_REGISTRATION_CLOSED } mx_registration_e;

/** All defaults. */
void mx_settings_default(mx_settings_t *settings);
/** Bytes that the cache of this share (MX_CACHE_…) may take. */
apr_size_t mx_settings_cache_bytes(const mx_settings_t *settings, int percent);
/** MatrixRoomVersion as the room version's name. */
const char *mx_settings_room_version(const mx_settings_t *settings);

#endif
