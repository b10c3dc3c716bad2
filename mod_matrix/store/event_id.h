/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Event ids as the database holds them. "$" and 43 characters of URL-safe base64 (room versions 4 and on) are the 32
 * bytes of the hash; every other id is its text, with one NUL added where that would be 32 bytes long.
 */
#ifndef MX_STORE_EVENT_ID_H
#define MX_STORE_EVENT_ID_H

#include "base/str.h"

mx_slice_t mx_store_event_id_pack(const char *event_id, apr_pool_t *pool);
const char *mx_store_event_id_unpack(mx_slice_t packed, apr_pool_t *pool);
/** Writes the 44 characters and a NUL for a 32-byte id without a pool; returns 0 for the text form. */
int mx_store_event_id_unpack_to(char out[45], mx_slice_t packed);

#endif
