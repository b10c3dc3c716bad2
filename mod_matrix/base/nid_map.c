/* SPDX-License-Identifier: Apache-2.0 */
/* Nid map: linear probing, deletion by shifting back, so that no tombstones pile up in sets that change for ever. */
#include "base/nid_map.h"
#include <stdlib.h>

static apr_uint32_t home(const mx_nid_map_t *map, apr_int64_t nid)
{
    return (apr_uint32_t)(((apr_uint64_t)nid * 0x9E3779B97F4A7C15ULL) >> 32) & (map->cap - 1);
}

/* The slot of the nid, or the empty one where it would go. The map has at least one empty slot. */
static mx_nid_map_slot_t *find(const mx_nid_map_t *map, apr_int64_t nid)
{
    apr_uint32_t i = home(map, nid);

    while (map->slots[i].nid && map->slots[i].nid != nid) i = (i + 1) & (map->cap - 1);
    return &map->slots[i];
}

void *mx_nid_map_get(const mx_nid_map_t *map, apr_int64_t nid)
{
    return map->count ? find(map, nid)->value : NULL;
}

static void grow(mx_nid_map_t *map)
{
    mx_nid_map_t wider = { NULL, map->count, map->cap ? map->cap * 2 : 4 };
    apr_uint32_t i;

    wider.slots = calloc(wider.cap, sizeof(*wider.slots));
    if (!wider.slots) abort();
    for (i = 0; i < map->cap; i++)
        if (map->slots[i].nid) *find(&wider, map->slots[i].nid) = map->slots[i];
    free(map->slots);
    *map = wider;
}

void mx_nid_map_set(mx_nid_map_t *map, apr_int64_t nid, void *value)
{
    mx_nid_map_slot_t *slot;

    if ((map->count + 1) * 4 > map->cap * 3) grow(map);
    slot = find(map, nid);
    if (!slot->nid) map->count++;
    slot->nid = nid;
    slot->value = value;
}

void *mx_nid_map_remove(mx_nid_map_t *map, apr_int64_t nid)
{
    mx_nid_map_slot_t *hole;
    apr_uint32_t mask = map->cap - 1, i, j;
    void *value;

    if (!map->count) return NULL;
    hole = find(map, nid);
    if (!hole->nid) return NULL;
    value = hole->value;
    i = (apr_uint32_t)(hole - map->slots);
    for (j = (i + 1) & mask; map->slots[j].nid; j = (j + 1) & mask) {
        if (((j - home(map, map->slots[j].nid)) & mask) < ((j - i) & mask)) continue;
        map->slots[i] = map->slots[j];
        i = j;
    }
    map->slots[i] = (mx_nid_map_slot_t){ 0, NULL };
    map->count--;
    return value;
}

const mx_nid_map_slot_t *mx_nid_map_next(const mx_nid_map_t *map, apr_uint32_t *at)
{
    while (*at < map->cap) {
        const mx_nid_map_slot_t *slot = &map->slots[(*at)++];

        if (slot->nid) return slot;
    }
    return NULL;
}

void mx_nid_map_free(mx_nid_map_t *map)
{
    free(map->slots);
    *map = (mx_nid_map_t){ NULL, 0, 0 };
}

int mx_nid_cmp(const void *a, const void *b)
{
    apr_int64_t x = *(const apr_int64_t *)a, y = *(const apr_int64_t *)b;

    return x < y ? -1 : x > y;
}
