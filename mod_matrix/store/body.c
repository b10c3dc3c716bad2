/* SPDX-License-Identifier: Apache-2.0 */
/* Packs and unpacks event bodies. */
#include "store/body_private.h"

#define LEVEL 3                              /* of zstd: 6 gives 10 bytes of 350, and costs 14 us where this takes 5 */
#define PACK_MIN_BYTES 64                    /* shorter ones stay as they are */

struct mx_store_body_t {
    mx_zip_t *zip;
};

apr_status_t mx_store_body_create(mx_store_body_t **pbody, apr_pool_t *pool)
{
    mx_store_body_t *body = apr_palloc(pool, sizeof(*body));
    apr_status_t rv = mx_zip_create(&body->zip, mx_slice((const char *)mx_store_body_dict, MX_STORE_BODY_DICT_BYTES), LEVEL, pool);
    if (rv == APR_SUCCESS)
        *pbody = body;
    return rv;
}

mx_slice_t mx_store_body_pack(mx_store_body_t *body, mx_slice_t pdu, apr_pool_t *pool)
{
    /* What does not begin as an object would not be told from a compressed one. */
    return pdu.len < PACK_MIN_BYTES || pdu.len > MX_STORE_BODY_MAX_BYTES || *pdu.p != '{' ? pdu : mx_zip_pack(body->zip, pdu, pool);
}

apr_status_t mx_store_body_unpack(mx_slice_t *ppdu, mx_store_body_t *body, mx_slice_t stored, apr_pool_t *pool)
{
    if (!stored.len || *stored.p != MX_ZIP_FIRST_BYTE) {
        *ppdu = stored;
        return APR_SUCCESS;
    }
    return mx_zip_unpack(ppdu, body->zip, stored, MX_STORE_BODY_MAX_BYTES, pool);
}
