/* SPDX-License-Identifier: Apache-2.0 */
/* An accepted identifier is short, UTF-8, and falls into the parts it was made of. */
#include "fuzz.h"

#include "core/ident.h"

static void check_parts(const char *id, apr_pool_t *pool)
{
    const char *server = mx_ident_server(id);
    FUZZ_CHECK(strlen(id) <= MX_IDENT_MAX_BYTES);
    FUZZ_CHECK(mx_str_is_utf8(id, strlen(id)));
    if (server) {
        FUZZ_CHECK(mx_ident_is_server_name(server));
        FUZZ_CHECK(mx_ident_is_local(id, server));
        FUZZ_CHECK(strcmp(apr_psprintf(pool, "%c%s:%s", *id, mx_ident_localpart(id, pool), server), id) == 0);
    }
}

static void fuzz_one(const char *p, apr_size_t len, apr_pool_t *pool)
{
    const char *s = apr_pstrmemdup(pool, p, len);
    if (mx_ident_is_user_id(s) || mx_ident_is_room_id(s) || mx_ident_is_event_id(s) || mx_ident_is_room_alias(s))
        check_parts(s, pool);
    FUZZ_CHECK(mx_ident_is_user_id(s) + mx_ident_is_room_id(s) + mx_ident_is_event_id(s) + mx_ident_is_room_alias(s) <= 1);
    if (mx_ident_is_server_name(s) && strlen(s) < 250)
        FUZZ_CHECK(mx_ident_is_user_id(apr_pstrcat(pool, "@u:", s, NULL)));
    if (mx_ident_is_new_localpart(s) && strlen(s) < 250)
        FUZZ_CHECK(mx_ident_is_user_id(apr_pstrcat(pool, "@", s, ":h", NULL)));
    if (mx_ident_is_opaque(s, 10))
        FUZZ_CHECK(strlen(s) >= 1 && strlen(s) <= 10);
}
