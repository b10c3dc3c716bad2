/* SPDX-License-Identifier: Apache-2.0 */
/* What a child process holds. Everything here may be called by any thread of it once child_init is over. */
#ifndef MX_GLUE_CHILD_H
#define MX_GLUE_CHILD_H

#include "glue/glue.h"
#include "glue/poke.h"

/** The child_init hook. */
void mx_child_init(apr_pool_t *pchild, server_rec *s);
/** The homeserver behind a vhost; NULL: none (always so in the parent). */
mx_home_t *mx_child_home(const server_rec *s);
/** By number, NULL past the last. */
mx_home_t *mx_child_home_at(int number);
/** The polls that wait; NULL before the child's start and after its end. */
struct mx_lot_t *mx_child_lot(void);
/** The way to the other children; NULL where there is no homeserver. */
mx_poke_t *mx_child_poke(void);
/** NULL in the parent and where no homeserver is configured. */
const mx_conf_t *mx_child_conf(void);

/**
 * Where one turn of work allocates: a request up to its answer, or one turn of a waiting poll. The pools are kept and
 * used again, with an allocator of their own, so that a turn costs no memory of the connection it works for.
 */
typedef struct mx_turn_t {
    apr_pool_t *pool;
    struct mx_turn_t *next;
} mx_turn_t;
mx_turn_t *mx_child_turn_get(void);
/** Clears it. */
void mx_child_turn_put(mx_turn_t *turn);

#endif
