/* SPDX-License-Identifier: Apache-2.0 */
/* The tree that routes.def is compiled into: one level per segment, static children sorted, one child for parameters. */
#include "glue/router.h"

#include <apr_tables.h>
#include <stdlib.h>

#define STATIC_ESCAPED_MAX 128      /* an escaped segment that is longer can only be a parameter */

/** A row where its path ends, with its parameters' places. */
typedef struct leaf_t {
    const mx_route_t *route;
    int nparams;
    const char *names[MX_ROUTER_PARAMS_MAX];
    unsigned char places[MX_ROUTER_PARAMS_MAX];   /* which segment */
} leaf_t;

typedef struct node_t {
    mx_slice_t text;                 /* of a static child */
    apr_array_header_t *children;    /* node_t *, sorted by text once compiled */
    struct node_t *param;
    apr_array_header_t *leaves;      /* leaf_t *: what ends here */
} node_t;

struct mx_router_t {
    node_t *root;
};

static node_t *node_create(mx_slice_t text, apr_pool_t *pool)
{
    node_t *node = apr_pcalloc(pool, sizeof(*node));
    node->text = text;
    node->children = apr_array_make(pool, 2, sizeof(node_t *));
    node->leaves = apr_array_make(pool, 2, sizeof(leaf_t *));
    return node;
}

static int compare_text(mx_slice_t a, mx_slice_t b)
{
    apr_size_t n = a.len < b.len ? a.len : b.len;
    int cmp = n ? memcmp(a.p, b.p, n) : 0;
    return cmp ? cmp : (a.len > b.len) - (a.len < b.len);
}

static int compare_nodes(const void *a, const void *b)
{
    return compare_text((*(node_t *const *)a)->text, (*(node_t *const *)b)->text);
}

static node_t *child_find(const node_t *node, mx_slice_t text)
{
    int low = 0, high = node->children->nelts;
    while (low < high) {
        int mid = (low + high) / 2;
        node_t *child = APR_ARRAY_IDX(node->children, mid, node_t *);
        int cmp = compare_text(text, child->text);
        if (!cmp)
            return child;
        if (cmp < 0)
            high = mid;
        else
            low = mid + 1;
    }
    return NULL;
}

static node_t *child_make(node_t *node, mx_slice_t text, apr_pool_t *pool)
{
    node_t *child = child_find(node, text);
    if (!child) {
        child = node_create(text, pool);
        APR_ARRAY_PUSH(node->children, node_t *) = child;
        qsort(node->children->elts, (apr_size_t)node->children->nelts, sizeof(node_t *), compare_nodes);
    }
    return child;
}

/** Cuts the segment off: "/a/b" gives "a" and leaves "/b". The path must start with '/'. */
static mx_slice_t segment_cut(mx_slice_t *path)
{
    const char *p = path->p + 1;
    apr_size_t left = path->len - 1;
    const char *slash = left ? memchr(p, '/', left) : NULL;
    mx_slice_t segment = mx_slice(p, slash ? (apr_size_t)(slash - p) : left);
    *path = slash ? mx_slice(slash, left - segment.len) : MX_SLICE_NONE;
    return segment;
}

/** "{name}" or "(a|b)" without its brackets; NULL p if it has none of that kind. */
static mx_slice_t unbracket(mx_slice_t segment, char open, char close)
{
    if (segment.len < 2 || segment.p[0] != open || segment.p[segment.len - 1] != close)
        return MX_SLICE_NONE;
    return mx_slice(segment.p + 1, segment.len - 2);
}

static const char *leaf_fill(leaf_t *leaf, apr_pool_t *pool)
{
    mx_slice_t path = mx_slice_str(leaf->route->path);
    int place;
    for (place = 0; path.len; place++) {
        mx_slice_t name = unbracket(segment_cut(&path), '{', '}');
        if (place == MX_ROUTER_SEGMENTS_MAX || leaf->nparams == MX_ROUTER_PARAMS_MAX)
            return apr_psprintf(pool, "the route %s is too long", leaf->route->path);
        if (name.p) {
            leaf->names[leaf->nparams] = mx_slice_dup(name, pool);
            leaf->places[leaf->nparams++] = (unsigned char)place;
        }
    }
    return NULL;
}

static const char *route_end(node_t *node, const mx_route_t *route, apr_pool_t *pool)
{
    leaf_t *leaf;
    int i;
    for (i = 0; i < node->leaves->nelts; i++) {
        if (strcmp(APR_ARRAY_IDX(node->leaves, i, leaf_t *)->route->method, route->method) == 0)
            return apr_psprintf(pool, "two routes answer %s %s", route->method, route->path);
    }
    leaf = apr_pcalloc(pool, sizeof(*leaf));
    leaf->route = route;
    APR_ARRAY_PUSH(node->leaves, leaf_t *) = leaf;
    return leaf_fill(leaf, pool);
}

static const char *route_add(node_t *node, const mx_route_t *route, mx_slice_t path, apr_pool_t *pool);

/** "(r0|v3)": the rest of the path hangs under each. */
static const char *route_add_choices(node_t *node, const mx_route_t *route, mx_slice_t choices, mx_slice_t rest, apr_pool_t *pool)
{
    const char *err = NULL;
    const char *p = choices.p, *end = choices.p + choices.len;
    while (!err && p <= end) {
        const char *bar = p < end ? memchr(p, '|', (apr_size_t)(end - p)) : NULL;
        const char *stop = bar ? bar : end;
        err = route_add(child_make(node, mx_slice(p, (apr_size_t)(stop - p)), pool), route, rest, pool);
        p = stop + 1;
    }
    return err;
}

static const char *route_add(node_t *node, const mx_route_t *route, mx_slice_t path, apr_pool_t *pool)
{
    mx_slice_t segment, choices;
    if (!path.len)
        return route_end(node, route, pool);
    segment = segment_cut(&path);
    choices = unbracket(segment, '(', ')');
    if (choices.p)
        return route_add_choices(node, route, choices, path, pool);
    if (unbracket(segment, '{', '}').p) {
        if (!node->param)
            node->param = node_create(MX_SLICE_NONE, pool);
        return route_add(node->param, route, path, pool);
    }
    return route_add(child_make(node, segment, pool), route, path, pool);
}

mx_router_t *mx_router_create(const char **perr, const mx_route_t *routes, int n, apr_pool_t *pool)
{
    mx_router_t *router = apr_pcalloc(pool, sizeof(*router));
    int i;
    router->root = node_create(MX_SLICE_NONE, pool);
    for (i = 0; i < n; i++) {
        const char *err = routes[i].path[0] == '/' ? route_add(router->root, &routes[i], mx_slice_str(routes[i].path), pool)
                                                   : apr_psprintf(pool, "the route %s does not start with /", routes[i].path);
        if (err) {
            *perr = err;
            return NULL;
        }
    }
    return router;
}

/** The walk of one match. */
typedef struct walk_t {
    mx_slice_t raw[MX_ROUTER_SEGMENTS_MAX];
    mx_slice_t text[MX_ROUTER_SEGMENTS_MAX];   /* what static children are compared with: decoded */
    char decoded[MX_ROUTER_SEGMENTS_MAX][STATIC_ESCAPED_MAX];
    int nsegments;
    const char *method;
    int known;                       /* some row has this path */
    const leaf_t *leaf;
} walk_t;

static int walk_ends_here(walk_t *walk, const node_t *node)
{
    int i;
    for (i = 0; i < node->leaves->nelts; i++) {
        const leaf_t *leaf = APR_ARRAY_IDX(node->leaves, i, const leaf_t *);
        walk->known = 1;
        if (strcmp(leaf->route->method, walk->method) == 0) {
            walk->leaf = leaf;
            return 1;
        }
    }
    return 0;
}

static int walk_down(walk_t *walk, const node_t *node, int depth)
{
    const node_t *child;
    if (depth == walk->nsegments)
        return walk_ends_here(walk, node);
    child = child_find(node, walk->text[depth]);
    if (child && walk_down(walk, child, depth + 1))
        return 1;
    return node->param && walk_down(walk, node->param, depth + 1);
}

/** The text of a segment for comparing with static ones; a broken escape stays as it is and so matches none. */
static mx_slice_t segment_text(char *buf, mx_slice_t raw)
{
    apr_ssize_t n;
    if (!raw.len || raw.len > STATIC_ESCAPED_MAX || !memchr(raw.p, '%', raw.len))
        return raw;
    n = mx_target_decode_to(buf, raw, MX_DECODE_PATH);
    return n < 0 ? raw : mx_slice(buf, (apr_size_t)n);
}

/** 0 if there are more segments than any row has. */
static int split_segments(walk_t *walk, mx_slice_t path)
{
    int n;
    for (n = 0; path.len; n++) {
        if (n == MX_ROUTER_SEGMENTS_MAX)
            return 0;
        walk->raw[n] = segment_cut(&path);
        walk->text[n] = segment_text(walk->decoded[n], walk->raw[n]);
    }
    walk->nsegments = n;
    return 1;
}

mx_route_result_e mx_router_match(mx_match_t *out, const mx_router_t *router, const char *method, mx_slice_t path)
{
    walk_t walk;                     /* not cleared: two kilobytes, of which a match uses a few words */
    int i;
    walk.method = strcmp(method, "HEAD") == 0 ? "GET" : method;
    walk.known = 0;
    walk.leaf = NULL;
    if (!path.len || path.p[0] != '/' || !split_segments(&walk, path))
        return MX_ROUTE_UNKNOWN_PATH;
    if (!walk_down(&walk, router->root, 0))
        return walk.known ? MX_ROUTE_WRONG_METHOD : MX_ROUTE_UNKNOWN_PATH;
    out->route = walk.leaf->route;
    out->nparams = walk.leaf->nparams;
    for (i = 0; i < out->nparams; i++) {
        out->params[i].name = walk.leaf->names[i];
        out->params[i].raw = walk.raw[walk.leaf->places[i]];
    }
    return MX_ROUTE_FOUND;
}
