/* SPDX-License-Identifier: Apache-2.0 */
/* The lines of mod_status. */
#ifndef MX_GLUE_STATUS_H
#define MX_GLUE_STATUS_H

#include "glue/glue.h"

/** From pre_config or later: mod_status is loaded by then. */
void mx_status_register(apr_pool_t *pool);

#endif
