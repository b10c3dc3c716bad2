/* SPDX-License-Identifier: Apache-2.0 */
/* The only file that knows zstd. */
#include "base/zip.h"

#include <apr_thread_mutex.h>
#include <zstd.h>

#define IDLE_MAX 16      /* contexts of each kind kept while nobody uses them; more are made and freed as they are needed */

struct mx_zip_t {
    ZSTD_CDict *cdict;
    ZSTD_DDict *ddict;
    apr_thread_mutex_t *lock;
    ZSTD_CCtx *packers[IDLE_MAX];
    ZSTD_DCtx *unpackers[IDLE_MAX];
    int npackers, nunpackers;
};

static apr_status_t zip_cleanup(void *data)
{
    mx_zip_t *zip = data;
    while (zip->npackers)
        ZSTD_freeCCtx(zip->packers[--zip->npackers]);
    while (zip->nunpackers)
        ZSTD_freeDCtx(zip->unpackers[--zip->nunpackers]);
    ZSTD_freeCDict(zip->cdict);
    ZSTD_freeDDict(zip->ddict);
    return APR_SUCCESS;
}

apr_status_t mx_zip_create(mx_zip_t **pzip, mx_slice_t dict, int level, apr_pool_t *pool)
{
    mx_zip_t *zip = apr_pcalloc(pool, sizeof(*zip));
    apr_status_t rv = apr_thread_mutex_create(&zip->lock, APR_THREAD_MUTEX_DEFAULT, pool);
    if (rv != APR_SUCCESS)
        return rv;
    zip->cdict = ZSTD_createCDict(dict.p, dict.len, level);
    zip->ddict = ZSTD_createDDict(dict.p, dict.len);
    apr_pool_cleanup_register(pool, zip, zip_cleanup, apr_pool_cleanup_null);
    if (!zip->cdict || !zip->ddict || !ZSTD_getDictID_fromDDict(zip->ddict))
        return APR_EINVAL;
    *pzip = zip;
    return APR_SUCCESS;
}

static ZSTD_CCtx *packer_get(mx_zip_t *zip)
{
    ZSTD_CCtx *cctx;
    apr_thread_mutex_lock(zip->lock);
    cctx = zip->npackers ? zip->packers[--zip->npackers] : NULL;
    apr_thread_mutex_unlock(zip->lock);
    return cctx ? cctx : ZSTD_createCCtx();
}

static void packer_put(mx_zip_t *zip, ZSTD_CCtx *cctx)
{
    apr_thread_mutex_lock(zip->lock);
    if (zip->npackers < IDLE_MAX) {
        zip->packers[zip->npackers++] = cctx;
        cctx = NULL;
    }
    apr_thread_mutex_unlock(zip->lock);
    ZSTD_freeCCtx(cctx);
}

static ZSTD_DCtx *unpacker_get(mx_zip_t *zip)
{
    ZSTD_DCtx *dctx;
    apr_thread_mutex_lock(zip->lock);
    dctx = zip->nunpackers ? zip->unpackers[--zip->nunpackers] : NULL;
    apr_thread_mutex_unlock(zip->lock);
    return dctx ? dctx : ZSTD_createDCtx();
}

static void unpacker_put(mx_zip_t *zip, ZSTD_DCtx *dctx)
{
    apr_thread_mutex_lock(zip->lock);
    if (zip->nunpackers < IDLE_MAX) {
        zip->unpackers[zip->nunpackers++] = dctx;
        dctx = NULL;
    }
    apr_thread_mutex_unlock(zip->lock);
    ZSTD_freeDCtx(dctx);
}

mx_slice_t mx_zip_pack(mx_zip_t *zip, mx_slice_t text, apr_pool_t *pool)
{
    apr_size_t room = text.len;          /* what does not fit is not smaller */
    char *out = apr_palloc(pool, room + 1);
    ZSTD_CCtx *cctx = packer_get(zip);
    size_t n;
    if (!cctx)
        return text;
    n = ZSTD_compress_usingCDict(cctx, out, room, text.p, text.len, zip->cdict);
    packer_put(zip, cctx);
    return ZSTD_isError(n) || n >= text.len ? text : mx_slice(out, n);
}

apr_status_t mx_zip_unpack(mx_slice_t *pout, mx_zip_t *zip, mx_slice_t packed, apr_size_t max_bytes, apr_pool_t *pool)
{
    unsigned long long wanted = ZSTD_getFrameContentSize(packed.p, packed.len);
    ZSTD_DCtx *dctx;
    char *out;
    size_t n;
    if (wanted == ZSTD_CONTENTSIZE_UNKNOWN || wanted == ZSTD_CONTENTSIZE_ERROR || wanted > max_bytes)
        return APR_EINVAL;
    if (ZSTD_getDictID_fromFrame(packed.p, packed.len) != ZSTD_getDictID_fromDDict(zip->ddict))
        return APR_EINVAL;
    dctx = unpacker_get(zip);
    if (!dctx)
        return APR_ENOMEM;
    out = apr_palloc(pool, (apr_size_t)wanted + 1);
    n = ZSTD_decompress_usingDDict(dctx, out, (size_t)wanted, packed.p, packed.len, zip->ddict);
    unpacker_put(zip, dctx);
    if (ZSTD_isError(n) || n != wanted)
        return APR_EINVAL;
    *pout = mx_slice(out, n);
    return APR_SUCCESS;
}
