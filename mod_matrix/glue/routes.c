/* SPDX-License-Identifier: Apache-2.0 */
/* The rows of routes.def as a table. */
#include "glue/router.h"

/* A handler that serves two rows is declared twice. */
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wredundant-decls"
#define MX_ROUTE(method, path, cred, rate, body, handler) mx_handler_fn handler;
#include "glue/routes.def"
#undef MX_ROUTE
#pragma GCC diagnostic pop

static const mx_route_t routes[] = {
#define MX_ROUTE(method, path, cred, rate, body, handler) \
    { #method, path, MX_CRED_##cred, MX_RATE_##rate, MX_BODY_##body, handler },
#include "glue/routes.def"
#undef MX_ROUTE
};

const mx_route_t *mx_routes(int *pn)
{
    *pn = (int)(sizeof(routes) / sizeof(routes[0]));
    return routes;
}
