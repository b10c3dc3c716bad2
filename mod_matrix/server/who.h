/* SPDX-License-Identifier: Apache-2.0 */
/* Who asks: the owner of an access token. Made by user/token.c, handed down through every floor. */
#ifndef MX_SERVER_WHO_H
#define MX_SERVER_WHO_H

#include <apr_pools.h>

typedef struct mx_who_t {
    const char *user_id;
    apr_int64_t user_nid;
    const char *device_id;               /* never NULL */
    apr_int64_t device_nid;
    int guest, admin;
    unsigned char token_hash[32];
} mx_who_t;

#endif
