/* SPDX-License-Identifier: Apache-2.0 */
/* The heap of deadlines. */
#include "glue/heap.h"

#include <string.h>

#define HEAP_FIRST 256

static void put(mx_heap_t *heap, apr_size_t place, mx_heap_node_t *node)
{
    heap->nodes[place] = node;
    node->place = place;
}

static void sift_up(mx_heap_t *heap, apr_size_t place, mx_heap_node_t *node)
{
    while (place > 1 && heap->nodes[place / 2]->when > node->when) {
        put(heap, place, heap->nodes[place / 2]);
        place /= 2;
    }
    put(heap, place, node);
}

static void sift_down(mx_heap_t *heap, apr_size_t place, mx_heap_node_t *node)
{
    while (place * 2 <= heap->n) {
        apr_size_t child = place * 2;
        if (child < heap->n && heap->nodes[child + 1]->when < heap->nodes[child]->when)
            child++;
        if (heap->nodes[child]->when >= node->when)
            break;
        put(heap, place, heap->nodes[child]);
        place = child;
    }
    put(heap, place, node);
}

static void grow(mx_heap_t *heap)
{
    apr_size_t cap = heap->cap ? heap->cap * 2 : HEAP_FIRST;
    mx_heap_node_t **nodes = apr_palloc(heap->pool, cap * sizeof(*nodes));
    if (heap->n)
        memcpy(nodes, heap->nodes, (heap->n + 1) * sizeof(*nodes));
    heap->nodes = nodes;
    heap->cap = cap;
}

void mx_heap_add(mx_heap_t *heap, mx_heap_node_t *node, apr_time_t when)
{
    node->when = when;
    if (heap->n + 1 >= heap->cap)
        grow(heap);
    heap->n++;
    sift_up(heap, heap->n, node);
}

void mx_heap_remove(mx_heap_t *heap, mx_heap_node_t *node)
{
    apr_size_t place = node->place;
    mx_heap_node_t *last;
    if (!place)
        return;
    node->place = 0;
    last = heap->nodes[heap->n--];
    if (last == node)
        return;
    if (place > 1 && heap->nodes[place / 2]->when > last->when)
        sift_up(heap, place, last);
    else
        sift_down(heap, place, last);
}

mx_heap_node_t *mx_heap_first(const mx_heap_t *heap)
{
    return heap->n ? heap->nodes[1] : NULL;
}
