/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The Authorization header of requests between servers. SS-API: request authentication; RFC 9110, section 11.4.
 *
 *   X-Matrix origin="a.example",destination="b.example",key="ed25519:1",sig="..."
 */
#ifndef MX_CORE_X_MATRIX_H
#define MX_CORE_X_MATRIX_H

#include "core/error.h"

/** Bytes of the whole value, and parameters in it (empty list elements count). */
#define MX_X_MATRIX_MAX_BYTES 4096
#define MX_X_MATRIX_PARAMS_MAX 32

typedef struct mx_x_matrix_t {
    const char *origin;              /* a server name */
    const char *destination;         /* a server name; NULL where an older server left it out */
    const char *key;                 /* "algorithm:version" */
    const char *sig;                 /* printable ASCII, not empty; whether it is base64 is seen by who verifies it */
} mx_x_matrix_t;

/** 1 if the value is of the scheme X-Matrix, well-formed or not: what is of another is somebody else's. */
int mx_x_matrix_is(mx_slice_t value);
/**
 * Reads a value. Strings live in `pool`. Scheme and names in any case; values as tokens (colons allowed) or quoted strings;
 * unknown parameters are ignored, doubled ones, missing ones and bytes that HTTP forbids refused. 401 M_UNAUTHORIZED.
 */
const mx_error_t *mx_x_matrix_parse(mx_x_matrix_t *out, mx_slice_t value, apr_pool_t *pool);
/** The value for a request of ours, in the form that older servers read. */
const char *mx_x_matrix_write(const mx_x_matrix_t *params, apr_pool_t *pool);

#endif
