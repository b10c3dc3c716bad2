/* SPDX-License-Identifier: Apache-2.0 */
/* Grammar of identifiers. Appendices: identifier grammar. */
#include "core/ident.h"

#include <arpa/inet.h>

#define NAMESPACED_MAX_BYTES 255
#define PORT_MAX_DIGITS 5
#define HASH_CHARS 43                 /* of SHA-256 in unpadded base64 */

static int is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static int is_alnum(char c)
{
    return is_digit(c) || ((c | 0x20) >= 'a' && (c | 0x20) <= 'z');
}

/** ":" and one to five digits, or nothing. */
static int is_port_or_end(const char *s)
{
    int digits = 0;
    if (!*s)
        return 1;
    if (*s++ != ':')
        return 0;
    while (is_digit(*s)) {
        s++;
        digits++;
    }
    return !*s && digits >= 1 && digits <= PORT_MAX_DIGITS;
}

static int is_ipv6(const char *s, apr_size_t len)
{
    char text[INET6_ADDRSTRLEN];
    struct in6_addr address;
    if (len >= sizeof(text))
        return 0;
    memcpy(text, s, len);
    text[len] = '\0';
    return inet_pton(AF_INET6, text, &address) == 1;
}

int mx_ident_is_server_name(const char *s)
{
    const char *p;
    apr_size_t len = s ? strlen(s) : 0;
    if (!len || len > MX_IDENT_MAX_BYTES)
        return 0;
    if (*s == '[') {
        p = strchr(s, ']');
        return p && is_ipv6(s + 1, (apr_size_t)(p - s) - 1) && is_port_or_end(p + 1);
    }
    for (p = s; is_alnum(*p) || *p == '-' || *p == '.'; p++)
        ;
    return p > s && is_port_or_end(p);
}

/** sigil, bytes of UTF-8 without ':' and NUL, ':', server name; in all at most 255 bytes. */
static int is_id_with_server(const char *s, char sigil)
{
    const char *colon;
    if (!s || *s != sigil || strlen(s) > MX_IDENT_MAX_BYTES)
        return 0;
    colon = strchr(s, ':');
    return colon && mx_ident_is_server_name(colon + 1) && mx_str_is_utf8(s, (apr_size_t)(colon - s));
}

/** sigil and 43 characters of base64; `url_only`: of the URL-safe alphabet. */
static int is_id_of_hash(const char *s, char sigil, int url_only)
{
    int n = 0;
    if (!s || *s++ != sigil)
        return 0;
    for (; *s; s++, n++) {
        if (n == HASH_CHARS)
            return 0;
        if (!is_alnum(*s) && *s != '-' && *s != '_' && (url_only || (*s != '+' && *s != '/')))
            return 0;
    }
    return n == HASH_CHARS;
}

int mx_ident_is_user_id(const char *s)
{
    return is_id_with_server(s, '@');
}

int mx_ident_is_new_localpart(const char *s)
{
    const char *p;
    if (!s || !*s)
        return 0;
    for (p = s; *p; p++) {
        if (!is_digit(*p) && !(*p >= 'a' && *p <= 'z') && !strchr("._=-/+", *p))
            return 0;
    }
    return p - s <= MX_IDENT_MAX_BYTES;
}

int mx_ident_is_room_id(const char *s)
{
    return is_id_with_server(s, '!') || is_id_of_hash(s, '!', 1);
}

int mx_ident_is_room_alias(const char *s)
{
    return is_id_with_server(s, '#');
}

int mx_ident_is_event_id(const char *s)
{
    return is_id_with_server(s, '$') || is_id_of_hash(s, '$', 0);
}

const char *mx_ident_server(const char *id)
{
    const char *colon = id ? strchr(id, ':') : NULL;
    return colon ? colon + 1 : NULL;
}

char *mx_ident_localpart(const char *id, apr_pool_t *pool)
{
    const char *colon;
    if (!id || !*id)
        return NULL;
    colon = strchr(id, ':');
    return colon ? apr_pstrmemdup(pool, id + 1, (apr_size_t)(colon - id) - 1) : apr_pstrdup(pool, id + 1);
}

int mx_ident_is_local(const char *id, const char *server_name)
{
    const char *server = mx_ident_server(id);
    return server && server_name && strcmp(server, server_name) == 0;
}

int mx_ident_is_opaque(const char *s, apr_size_t max)
{
    apr_size_t len = s ? strlen(s) : 0;
    return len >= 1 && len <= max && mx_str_is_utf8(s, len);
}

int mx_ident_is_namespaced(const char *s)
{
    const char *p;
    if (!s || *s < 'a' || *s > 'z')
        return 0;
    for (p = s; (*p >= 'a' && *p <= 'z') || (*p >= '0' && *p <= '9') || *p == '_' || *p == '.' || *p == '-'; p++)
        ;
    return !*p && p - s <= NAMESPACED_MAX_BYTES;
}
