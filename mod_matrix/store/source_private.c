/* SPDX-License-Identifier: Apache-2.0 */
/* One connection of our own behind a mutex, for tools and unit tests. */
#include "store/pg_private.h"

#include <apr_thread_mutex.h>

typedef struct private_source_t {
    mx_store_source_t source;
    apr_thread_mutex_t *mutex;      /* held while the connection is lent */
    const char *dsn;
    PGconn *pg;
} private_source_t;

static apr_status_t private_connect(private_source_t *self)
{
    if (!self->pg)
        self->pg = mx_store_pg_connect(self->dsn);
    else if (PQstatus(self->pg) != CONNECTION_OK)
        PQreset(self->pg);
    if (PQstatus(self->pg) == CONNECTION_OK)
        return APR_SUCCESS;
    mx_log(NULL, MX_LOG_ERROR, MX_STORE_UNAVAILABLE, "MX0207: cannot connect to the database: %s", PQerrorMessage(self->pg));
    return MX_STORE_UNAVAILABLE;
}

static apr_status_t private_get(void *baton, void **phandle, void **please)
{
    private_source_t *self = baton;
    apr_status_t rv = apr_thread_mutex_lock(self->mutex);
    if (rv != APR_SUCCESS)
        return rv;
    rv = private_connect(self);
    if (rv != APR_SUCCESS) {
        apr_thread_mutex_unlock(self->mutex);
        return rv;
    }
    *phandle = self->pg;
    *please = self;
    return APR_SUCCESS;
}

static void private_put(void *baton, void *lease)
{
    private_source_t *self = baton;
    (void)lease;
    apr_thread_mutex_unlock(self->mutex);
}

static apr_status_t private_cleanup(void *data)
{
    private_source_t *self = data;
    PQfinish(self->pg);
    self->pg = NULL;
    return APR_SUCCESS;
}

apr_status_t mx_store_source_private(mx_store_source_t **psource, const char *dsn, apr_pool_t *pool)
{
    private_source_t *self = apr_pcalloc(pool, sizeof(*self));
    apr_status_t rv = apr_thread_mutex_create(&self->mutex, APR_THREAD_MUTEX_DEFAULT, pool);
    if (rv != APR_SUCCESS)
        return rv;
    self->dsn = apr_pstrdup(pool, dsn);
    self->source = (mx_store_source_t){ private_get, private_put, self };
    apr_pool_cleanup_register(pool, self, private_cleanup, apr_pool_cleanup_null);
    *psource = &self->source;
    return APR_SUCCESS;
}
