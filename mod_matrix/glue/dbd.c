/* SPDX-License-Identifier: Apache-2.0 */
/* Leases of mod_dbd connections: as many as DBDMax, each with a small pool of its own, handed out last in, first out. */
#include "glue/dbd.h"

#include <apr_dbd.h>
#include <apr_optional.h>
#include <apr_thread_cond.h>
#include <mod_dbd.h>

#define MOD_DBD_DEFAULT_MAX 10       /* mod_dbd's own default for DBDMax */

typedef struct lease_t {
    apr_pool_t *pool;                /* for a connection that is not kept (DBDPersist off) and for mod_dbd's scratch */
    ap_dbd_t *dbd;
    struct lease_t *next;
} lease_t;

struct mx_dbd_t {
    server_rec *server;
    apr_interval_time_t wait_us;
    apr_thread_mutex_t *mutex;
    apr_thread_cond_t *freed;
    lease_t *idle;
    mx_store_source_t source;
    APR_OPTIONAL_FN_TYPE(ap_dbd_open) *open;
    APR_OPTIONAL_FN_TYPE(ap_dbd_close) *close;
};

int mx_dbd_is_loaded(void)
{
    return APR_RETRIEVE_OPTIONAL_FN(ap_dbd_open) && APR_RETRIEVE_OPTIONAL_FN(ap_dbd_close);
}

/** APR_TIMEUP if none comes free in time. */
static apr_status_t lease_take(lease_t **please, mx_dbd_t *self)
{
    apr_time_t until = 0, left = self->wait_us;
    apr_status_t rv = APR_SUCCESS;
    apr_thread_mutex_lock(self->mutex);
    while (!self->idle && left > 0) {
        if (!until)
            until = apr_time_now() + left;
        apr_thread_cond_timedwait(self->freed, self->mutex, left);
        left = until - apr_time_now();
    }
    if (self->idle) {
        *please = self->idle;
        self->idle = self->idle->next;
    }
    else
        rv = APR_TIMEUP;
    apr_thread_mutex_unlock(self->mutex);
    return rv;
}

static void lease_give(mx_dbd_t *self, lease_t *lease)
{
    apr_pool_clear(lease->pool);
    lease->dbd = NULL;
    apr_thread_mutex_lock(self->mutex);
    lease->next = self->idle;
    self->idle = lease;
    apr_thread_cond_signal(self->freed);
    apr_thread_mutex_unlock(self->mutex);
}

static apr_status_t dbd_get(void *baton, void **phandle, void **please)
{
    mx_dbd_t *self = baton;
    lease_t *lease;
    apr_status_t rv = lease_take(&lease, self);
    if (rv)
        return rv;
    lease->dbd = self->open(lease->pool, self->server);
    if (!lease->dbd || !lease->dbd->handle) {
        lease_give(self, lease);
        return MX_STORE_UNAVAILABLE;
    }
    *phandle = apr_dbd_native_handle(lease->dbd->driver, lease->dbd->handle);
    *please = lease;
    return APR_SUCCESS;
}

static void dbd_put(void *baton, void *please)
{
    mx_dbd_t *self = baton;
    lease_t *lease = please;
    self->close(self->server, lease->dbd);
    lease_give(self, lease);
}

apr_status_t mx_dbd_create(mx_dbd_t **pdbd, const mx_host_t *host, apr_pool_t *pool)
{
    mx_dbd_t *self = apr_pcalloc(pool, sizeof(*self));
    int i, max = host->vhost->dbd_max ? host->vhost->dbd_max : MOD_DBD_DEFAULT_MAX;
    apr_status_t rv = apr_thread_mutex_create(&self->mutex, APR_THREAD_MUTEX_DEFAULT, pool);
    if (!rv)
        rv = apr_thread_cond_create(&self->freed, pool);
    if (rv)
        return rv;
    self->server = host->server;
    self->wait_us = host->vhost->set.database_wait_ms * 1000;
    self->source = (mx_store_source_t){ .get = dbd_get, .put = dbd_put, .baton = self };
    self->open = APR_RETRIEVE_OPTIONAL_FN(ap_dbd_open);
    self->close = APR_RETRIEVE_OPTIONAL_FN(ap_dbd_close);
    for (i = 0; i < max; i++) {
        lease_t *lease = apr_pcalloc(pool, sizeof(*lease));
        apr_pool_create(&lease->pool, pool);
        apr_pool_tag(lease->pool, "mx_dbd_lease");
        lease->next = self->idle;
        self->idle = lease;
    }
    *pdbd = self;
    return APR_SUCCESS;
}

const mx_store_source_t *mx_dbd_source(mx_dbd_t *self)
{
    return &self->source;
}
