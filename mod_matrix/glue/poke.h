/* SPDX-License-Identifier: Apache-2.0 */
/*
 * "The stream moved": told by each child of a host to the others, and what mod_status shows of all of them. The parent makes
 * a slot for each child (an eventfd and a record in shared memory, both inherited over fork) once for the life of the
 * process, so that children of before and after a graceful restart still hear each other.
 */
#ifndef MX_GLUE_POKE_H
#define MX_GLUE_POKE_H

#include "glue/glue.h"

/** Counts of a child, in its slot. Changed by its own threads with apr_atomic_*. */
typedef struct mx_poke_counts_t {
    volatile apr_uint32_t parked;    /* polls that wait without a thread, now */
    volatile apr_uint32_t blocked;   /* polls that hold one, now */
    volatile apr_uint32_t woken;     /* turns of parked polls since the start */
    volatile apr_uint32_t bounded;   /* polls answered at once because too many waited */
} mx_poke_counts_t;

typedef struct mx_poke_t mx_poke_t;

/** Parent, post_config; does nothing the second time. */
apr_status_t mx_poke_open(server_rec *s);
/** Child: takes a slot. Without one (NULL slots) the others are not told and look by their timer. */
mx_poke_t *mx_poke_attach(server_rec *s, apr_pool_t *pool);
void mx_poke_detach(mx_poke_t *poke);

/** Tells the other children that the stream of this server moved: at most one write to each of them in a millisecond. */
void mx_poke_send(mx_poke_t *poke, apr_uint64_t server_bit);
/** The bit of a server name; names may share one. */
apr_uint64_t mx_poke_bit(const char *server_name);

/* For the poller, park_poller.c. */
/** The eventfd to watch; -1: none. */
int mx_poke_fd(const mx_poke_t *poke);
/** Sends what was held back, if its time has come; microseconds until it does, -1 if nothing is held back. */
apr_interval_time_t mx_poke_flush(mx_poke_t *poke);
/** The bits that others have sent since. */
apr_uint64_t mx_poke_received(mx_poke_t *poke);
/** Called when something is held back: wakes the poller. */
void mx_poke_on_delay(mx_poke_t *poke, void (*fn)(void *baton), void *baton);

mx_poke_counts_t *mx_poke_counts(mx_poke_t *poke);
/** Sums of all children that live; returns their number. */
int mx_poke_sum(mx_poke_counts_t *out, mx_poke_t *poke);

#endif
