/* SPDX-License-Identifier: Apache-2.0 */
/* How many rounds the writers of several children took. */
#ifndef MX_TESTS_TURNS_H
#define MX_TESTS_TURNS_H

#include "homeserver.h"

#include "room/send_turn.h"

/** The most that anybody took; prints how many were taken how often. */
static inline int most_rounds(mx_server_t *const *children, int n)
{
    int i, c, most = 0;
    printf("rounds:");
    for (i = 0; i < MX_ROOM_ROUNDS_MAX; i++) {
        apr_uint32_t counts[MX_ROOM_ROUNDS_MAX], sum = 0;
        for (c = 0; c < n; c++) {
            mx_room_turn_counts(counts, children[c]);
            sum += counts[i];
        }
        if (sum)
            printf(" %dx%u", i + 1, sum);
        most = sum ? i + 1 : most;
    }
    printf("\n");
    return most;
}

#endif
