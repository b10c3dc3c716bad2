/* SPDX-License-Identifier: Apache-2.0 */
/* What the programs of tools/ share: their start, their options, and how they say what is wrong. */
#ifndef MX_TOOLS_OPTIONS_H
#define MX_TOOLS_OPTIONS_H

#include <apr_getopt.h>
#include <apr_pools.h>
#include <stdarg.h>

#define MX_TOOLS_EXIT_USAGE 2

/** The last three rows of a program's options. */
enum { MX_TOOLS_OPT_HELP = 1000, MX_TOOLS_OPT_VERSION };
#define MX_TOOLS_OPTIONS                                   \
    { "help", MX_TOOLS_OPT_HELP, 0, "show this" },         \
    { "version", MX_TOOLS_OPT_VERSION, 0, "show the version" }, \
    { NULL, 0, 0, NULL }

typedef struct mx_tools_program_t {
    const char *name;
    const char *usage, *exits;       /* the help, before and after the list of options */
    const apr_getopt_option_t *options;
    /** Takes one option but those above; an exit status, or -1 to go on. */
    int (*take)(void *baton, int option, const char *value);
    /** What the options must say together; NULL if they do. */
    const char *(*fault)(const void *baton);
    void *baton;
} mx_tools_program_t;

/** APR and the libraries; *ppool lives as long as the process. Not APR_SUCCESS: the program cannot run. main(), one thread. */
apr_status_t mx_tools_options_start(apr_pool_t **ppool, int *pargc, const char *const **pargv);
/** Reads all arguments; an exit status (help was shown, or a sentence said what is wrong), or -1: the program can go to work. */
int mx_tools_options_read(const mx_tools_program_t *program, int argc, const char *const *argv, apr_pool_t *pool);
/** "name: sentence" on stderr. */
void mx_tools_options_complain(const char *name, const char *fmt, va_list args);

#endif
