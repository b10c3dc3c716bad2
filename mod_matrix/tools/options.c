/* SPDX-License-Identifier: Apache-2.0 */
/* The arguments of the programs of tools/. */
#include "tools/options.h"

#include "base/crypto.h"
#include "base/json.h"
#include "store/schema.h"

#include <apr_general.h>
#include <stdio.h>
#include <stdlib.h>

apr_status_t mx_tools_options_start(apr_pool_t **ppool, int *pargc, const char *const **pargv)
{
    apr_status_t rv = apr_app_initialize(pargc, pargv, NULL);
    if (rv != APR_SUCCESS || (rv = mx_crypto_init()) != APR_SUCCESS)
        return rv;
    mx_json_init();
    atexit(apr_terminate);
    return apr_pool_create(ppool, NULL);
}

void mx_tools_options_complain(const char *name, const char *fmt, va_list args)
{
    fprintf(stderr, "%s: ", name);
    vfprintf(stderr, fmt, args);
    fputc('\n', stderr);
}

static void show_usage(const mx_tools_program_t *program)
{
    const apr_getopt_option_t *o;
    fputs(program->usage, stdout);
    for (o = program->options; o->name; o++)
        printf("  --%-14s %s\n", o->name, o->description);
    fputs(program->exits, stdout);
}

static int take(const mx_tools_program_t *program, int option, const char *value)
{
    switch (option) {
    case MX_TOOLS_OPT_HELP:
        show_usage(program);
        return EXIT_SUCCESS;
    case MX_TOOLS_OPT_VERSION:
        printf("%s %s, schema version %d\n", program->name, PACKAGE_VERSION, mx_schema_wanted());
        return EXIT_SUCCESS;
    default:
        return program->take(program->baton, option, value);
    }
}

int mx_tools_options_read(const mx_tools_program_t *program, int argc, const char *const *argv, apr_pool_t *pool)
{
    apr_getopt_t *getopt;
    const char *value, *fault;
    int option, status = -1;
    apr_status_t rv;
    apr_getopt_init(&getopt, pool, argc, argv);
    while (status < 0 && (rv = apr_getopt_long(getopt, program->options, &option, &value)) == APR_SUCCESS)
        status = take(program, option, value);
    if (status >= 0)
        return status;
    if (!APR_STATUS_IS_EOF(rv))         /* getopt has said what is wrong */
        return MX_TOOLS_EXIT_USAGE;
    fault = getopt->ind < argc ? "there is an argument too many." : program->fault(program->baton);
    if (!fault)
        return -1;
    fprintf(stderr, "%s: %s\nTry %s --help.\n", program->name, fault, program->name);
    return MX_TOOLS_EXIT_USAGE;
}
