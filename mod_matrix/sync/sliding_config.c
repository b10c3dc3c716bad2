/* SPDX-License-Identifier: Apache-2.0 */
/* required_state of sliding sync: patterns put together, compared and asked. MSC4186: combining room configs. */
#include "sync/sliding_private.h"
#include <stdlib.h>

static int by_key(const void *a, const void *b)
{
    const mx_sliding_key_t *x = a, *y = b;
    int cmp = strcmp(x->type, y->type);

    return cmp ? cmp : strcmp(x->state_key, y->state_key);
}

void mx_sync_sliding_config_settle(mx_sliding_config_t *config)
{
    int i, kept = 0;

    if (config->nkeys > 1) qsort(config->keys, (apr_size_t)config->nkeys, sizeof(*config->keys), by_key);
    for (i = 0; i < config->nkeys; i++)
        if (!kept || by_key(&config->keys[kept - 1], &config->keys[i])) config->keys[kept++] = config->keys[i];
    config->nkeys = kept;
}

void mx_sliding_config_merge(mx_sliding_config_t *config, const mx_sliding_config_t *more, apr_pool_t *pool)
{
    mx_sliding_key_t *keys;

    if (more->timeline_limit > config->timeline_limit) config->timeline_limit = more->timeline_limit;
    if (mx_sliding_config_same_state(config, more)) return;
    config->lazy |= more->lazy;
    keys = apr_palloc(pool, sizeof(*keys) * (apr_size_t)(config->nkeys + more->nkeys + 1));
    memcpy(keys, config->keys, sizeof(*keys) * (apr_size_t)config->nkeys);
    memcpy(keys + config->nkeys, more->keys, sizeof(*keys) * (apr_size_t)more->nkeys);
    config->keys = keys;
    config->nkeys += more->nkeys;
    mx_sync_sliding_config_settle(config);
}

int mx_sliding_config_same_state(const mx_sliding_config_t *a, const mx_sliding_config_t *b)
{
    int i;

    if (a->lazy != b->lazy || a->nkeys != b->nkeys) return 0;
    if (a->keys == b->keys) return 1;
    for (i = 0; i < a->nkeys; i++)
        if (by_key(&a->keys[i], &b->keys[i])) return 0;
    return 1;
}

static int is_star(const char *text)
{
    return text[0] == '*' && !text[1];
}

int mx_sliding_config_wants(const mx_sliding_config_t *config, const char *type, const char *state_key)
{
    int i, spare = config->lazy && mx_str_eq(type, "m.room.member");

    for (i = 0; i < config->nkeys; i++) {
        const mx_sliding_key_t *key = &config->keys[i];

        if (is_star(key->type) ? spare : strcmp(key->type, type) != 0) continue;
        if (is_star(key->state_key) || mx_str_eq(key->state_key, state_key)) return 1;
    }
    return 0;
}

int mx_sliding_config_is_wild(const mx_sliding_config_t *config)
{
    int i;

    for (i = 0; i < config->nkeys; i++)
        if (is_star(config->keys[i].type) || is_star(config->keys[i].state_key)) return 1;
    return 0;
}
