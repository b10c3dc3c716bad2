/* SPDX-License-Identifier: Apache-2.0 */
/* Grammar of identifiers. Appendices: identifier grammar. Pure; every function accepts NULL (and says no). */
#ifndef MX_CORE_IDENT_H
#define MX_CORE_IDENT_H

#include "base/str.h"

#define MX_IDENT_MAX_BYTES 255

/** hostname[:port], IPv4[:port] or [IPv6][:port]; 1 to 255 bytes. */
int mx_ident_is_server_name(const char *s);
/** @localpart:server, historical localparts allowed (any printable), at most 255 bytes. */
int mx_ident_is_user_id(const char *s);
/** The localpart grammar of new users: a-z 0-9 . _ = - / +, not empty. */
int mx_ident_is_new_localpart(const char *s);
/** !opaque:server (versions 1-11) or !43 characters of URL-safe base64 (version 12). */
int mx_ident_is_room_id(const char *s);
/** #alias:server, no NUL, at most 255 bytes. */
int mx_ident_is_room_alias(const char *s);
/** $opaque:server or $43 characters. */
int mx_ident_is_event_id(const char *s);
/** The part after the first ':' of an id, or NULL (room and event ids without a server). Points into `id`. */
const char *mx_ident_server(const char *id);
/** The part between sigil and first ':', copied. */
char *mx_ident_localpart(const char *id, apr_pool_t *pool);
/** 1 if the id's server is `server_name`. */
int mx_ident_is_local(const char *id, const char *server_name);
/** a-z, then a-z 0-9 _ . -, at most 255 bytes. Appendices: common namespaced identifier grammar, the namespace not asked for. */
int mx_ident_is_namespaced(const char *s);
/** Opaque identifiers of the unstable grammar for types, keys, device ids, txn ids: 1 to `max` bytes, no NUL. */
int mx_ident_is_opaque(const char *s, apr_size_t max);

#endif
