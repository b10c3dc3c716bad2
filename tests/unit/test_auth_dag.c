/* SPDX-License-Identifier: Apache-2.0 */
/* The packed auth DAG against walks that follow every edge. Rooms v2: auth chain, auth difference; Rooms v12: subgraph. */
#include "random.h"

#include "core/auth_dag.h"

#define NODES 160

/** Nids 10, 20 …; some auth events are not there. */
static mx_auth_dag_t *random_dag(void)
{
    mx_auth_dag_t *dag = mx_auth_dag_create(NODES, NODES * 4, pool);
    apr_int64_t auth[4];
    unsigned i, k, n;
    for (i = 0; i < NODES; i++) {
        n = i ? rnd(4) : 0;
        for (k = 0; k < n; k++)
            auth[k] = 10 * (1 + (apr_int64_t)rnd(i)) + (rnd(20) == 0);
        ck_assert_int_eq(mx_auth_dag_append(dag, 10 * (apr_int64_t)(i + 1), (apr_int64_t)rnd(9) + 1, auth, (int)n), 1);
    }
    return dag;
}

static void walk(char *seen, const mx_auth_dag_t *dag, apr_uint32_t node)
{
    apr_uint32_t n, i;
    const apr_uint32_t *auth = mx_auth_dag_auth(&n, dag, node);
    for (i = 0; i < n; i++) {
        if (!seen[auth[i]]) {
            seen[auth[i]] = 1;
            walk(seen, dag, auth[i]);
        }
    }
}

static void same(const mx_auth_dag_nodes_t *nodes, const char *expected)
{
    apr_uint32_t i, k = 0;
    for (i = 0; i < NODES; i++) {
        ck_assert_int_eq(k < nodes->n && nodes->nodes[k] == i, expected[i]);
        k += expected[i] != 0;
    }
    ck_assert_int_eq(k, nodes->n);
}

START_TEST(events_are_found_and_only_newer_ones_added)
{
    mx_auth_dag_t *dag = mx_auth_dag_create(2, 8, pool);
    apr_int64_t auth[] = { 5, 7 };
    ck_assert_int_eq(mx_auth_dag_append(dag, 5, 1, NULL, 0), 1);
    ck_assert_int_eq(mx_auth_dag_append(dag, 5, 1, NULL, 0), 0);
    ck_assert_int_eq(mx_auth_dag_append(dag, 9, 2, auth, 2), 1);
    ck_assert_int_eq(mx_auth_dag_append(dag, 11, 2, auth, 2), 0);       /* full */
    ck_assert_int_eq(dag->nedges, 1);                                   /* 7 is not there */
    ck_assert_uint_eq(mx_auth_dag_find(dag, 9), 1);
    ck_assert_uint_eq(mx_auth_dag_find(dag, 7), MX_AUTH_DAG_NONE);
    ck_assert_uint_eq(mx_auth_dag_auth_of(dag, 1, 1), 0);
    ck_assert_uint_eq(mx_auth_dag_auth_of(dag, 1, 2), MX_AUTH_DAG_NONE);
}
END_TEST

START_TEST(chains_and_descendants_are_what_the_edges_say)
{
    int round;
    seed = 5;
    for (round = 0; round < 200; round++) {
        mx_auth_dag_t *dag = random_dag();
        apr_uint32_t heads[] = { rnd(NODES), rnd(NODES) }, i;
        char chain[NODES] = { 0 }, later[NODES] = { 0 };
        mx_auth_dag_nodes_t found = mx_auth_dag_chain(dag, heads, 2, NULL, 0, pool), one = { heads, 1 };
        walk(chain, dag, heads[0]);
        walk(chain, dag, heads[1]);
        same(&found, chain);
        for (i = 0; i < NODES; i++) {
            char below[NODES] = { 0 };
            walk(below, dag, i);
            later[i] = below[heads[0]];
        }
        found = mx_auth_dag_descendants(dag, &one, pool);
        same(&found, later);
    }
}
END_TEST

START_TEST(a_difference_counts_every_set_however_many)
{
    static const unsigned counts[] = { 2, 3, 63, 64, 65, 200 };
    int round;
    seed = 6;
    for (round = 0; round < 120; round++) {
        unsigned nsets = counts[round % 6], i, k;
        mx_auth_dag_t *dag = random_dag();
        apr_uint32_t base[] = { rnd(NODES / 2), NODES / 2 + rnd(NODES / 2) };
        mx_auth_dag_change_t changes[400];
        mx_auth_dag_sets_t sets = { base, 2, changes, 0, nsets, NULL, 0 };
        unsigned reached[NODES] = { 0 };
        char expected[NODES];
        mx_auth_dag_nodes_t found;
        for (i = 0; i < nsets; i++) {
            char chain[NODES] = { 0 };
            unsigned dice = rnd(3);
            apr_uint32_t own = rnd(NODES);
            if (dice != 1)
                walk(chain, dag, base[0]);
            else
                changes[sets.nchanges++] = (mx_auth_dag_change_t){ base[0], i, 1 };
            walk(chain, dag, base[1]);
            if (dice && own != base[0]) {
                walk(chain, dag, own);
                changes[sets.nchanges++] = (mx_auth_dag_change_t){ own, i, 0 };
            }
            for (k = 0; k < NODES; k++)
                reached[k] += chain[k] != 0;
        }
        for (k = 0; k < NODES; k++)
            expected[k] = reached[k] && reached[k] < nsets;
        found = mx_auth_dag_difference(dag, &sets, pool);
        same(&found, expected);
    }
}
END_TEST

START_TEST(what_lies_between_is_on_a_path_of_two)
{
    int round;
    seed = 7;
    for (round = 0; round < 200; round++) {
        mx_auth_dag_t *dag = random_dag();
        apr_uint32_t ends[] = { rnd(NODES), rnd(NODES), rnd(NODES), NODES }, unstored[] = { rnd(NODES) }, i, k, n = 3 + rnd(2);
        char below[NODES] = { 0 }, expected[NODES];
        mx_auth_dag_nodes_t found = mx_auth_dag_between(dag, ends, n, unstored, 1, pool);
        for (k = 0; k < 3; k++)
            walk(below, dag, ends[k]);
        if (n == 4) {
            below[unstored[0]] = 1;
            walk(below, dag, unstored[0]);
        }
        for (i = 0; i < NODES; i++) {
            char chain[NODES] = { 0 };
            walk(chain, dag, i);
            expected[i] = i == ends[0] || i == ends[1] || i == ends[2]
                          || (below[i] && (chain[ends[0]] || chain[ends[1]] || chain[ends[2]]));
        }
        same(&found, expected);
    }
}
END_TEST

UNIT_MAIN("auth_dag", events_are_found_and_only_newer_ones_added, chains_and_descendants_are_what_the_edges_say,
          a_difference_counts_every_set_however_many, what_lies_between_is_on_a_path_of_two)
