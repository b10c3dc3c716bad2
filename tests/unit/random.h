/* SPDX-License-Identifier: Apache-2.0 */
/* Numbers that are the same in every run with the same seed. */
#ifndef MX_TESTS_RANDOM_H
#define MX_TESTS_RANDOM_H

#include "unit.h"

static unsigned seed;

/** Below n. */
static inline unsigned rnd(unsigned n)
{
    seed = seed * 1103515245u + 12345u;
    return (seed >> 16) % n;
}

#endif
