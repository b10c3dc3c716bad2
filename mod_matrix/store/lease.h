/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Leases: rows of table `lease`, by which the children of all hosts agree who does a piece of background work. The database's clock
 * counts. A lease that is neither renewed nor given back in time is anybody's, so a crash frees what it held. The holder's work must
 * do no harm if, having lost its lease unnoticed, it goes on for a moment beside the next one's.
 */
#ifndef MX_STORE_LEASE_H
#define MX_STORE_LEASE_H

#include "store/store.h"

/** Makes the rows that are not there; new ones are due at once. */
apr_status_t mx_store_lease_add(mx_store_t *store, const char *const *names, int n, apr_pool_t *pool);

typedef struct mx_lease_t {
    const char *name;
    int fails;                       /* in a row, until now */
    int taken_over;                  /* its last holder let it run out */
} mx_lease_t;
/** Takes that lease of the names which is due longest, for `ms`; MX_STORE_NONE if none is due and free. */
apr_status_t mx_store_lease_take(mx_lease_t *out, mx_store_t *store, const char *const *names, int n, const char *holder, apr_int64_t ms,
                                 apr_pool_t *pool);
/** For `ms` from now; MX_STORE_NONE: it ran out and another has it. */
apr_status_t mx_store_lease_renew(mx_store_t *store, const char *name, const char *holder, apr_int64_t ms, apr_pool_t *pool);
/**
 * Gives it back: the work is due again in `due_ms`, or at once if mx_store_lease_want() was called since it was taken; after a failure
 * in `due_ms`, whatever was called. MX_STORE_NONE: another has it.
 */
apr_status_t mx_store_lease_release(mx_store_t *store, const char *name, const char *holder, apr_int64_t due_ms, int failed,
                                    apr_pool_t *pool);
/** There is work for them now: makes them due at once, but for those that wait after a failure. */
apr_status_t mx_store_lease_want(mx_store_t *store, const char *const *names, int n, apr_pool_t *pool);
/** In how many ms the first of them can be taken; 0: now; MX_STORE_NONE without rows. */
apr_status_t mx_store_lease_next(apr_int64_t *pms, mx_store_t *store, const char *const *names, int n, apr_pool_t *pool);

#endif
