/* SPDX-License-Identifier: Apache-2.0 */
/* A sleeper's lock, condition variable and value. */
#include "base/wake.h"

#include <apr_thread_cond.h>
#include <apr_thread_mutex.h>

struct mx_wake_t {
    apr_thread_mutex_t *lock;
    apr_thread_cond_t *cond;
    int value;
};

apr_status_t mx_wake_create(mx_wake_t **pwake, apr_pool_t *pool)
{
    mx_wake_t *wake = apr_pcalloc(pool, sizeof(*wake));
    apr_status_t rv = apr_thread_mutex_create(&wake->lock, APR_THREAD_MUTEX_DEFAULT, pool);
    if (rv == APR_SUCCESS)
        rv = apr_thread_cond_create(&wake->cond, pool);
    if (rv == APR_SUCCESS)
        *pwake = wake;
    return rv;
}

void mx_wake_set(mx_wake_t *wake, int value)
{
    apr_thread_mutex_lock(wake->lock);
    wake->value = value;
    apr_thread_cond_signal(wake->cond);
    apr_thread_mutex_unlock(wake->lock);
}

int mx_wake_wait(mx_wake_t *wake, apr_interval_time_t timeout)
{
    apr_time_t deadline = timeout < 0 ? 0 : apr_time_now() + timeout;
    int value;
    apr_thread_mutex_lock(wake->lock);
    while (!wake->value) {
        apr_interval_time_t left = timeout < 0 ? 0 : deadline - apr_time_now();
        if (timeout < 0)
            apr_thread_cond_wait(wake->cond, wake->lock);
        else if (left > 0)
            apr_thread_cond_timedwait(wake->cond, wake->lock, left);
        else
            break;
    }
    value = wake->value;
    apr_thread_mutex_unlock(wake->lock);
    return value;
}
