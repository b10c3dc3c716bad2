/* SPDX-License-Identifier: Apache-2.0 */
/* Reading one level, shared with the rules on m.room.power_levels itself. */
#ifndef MX_CORE_POWER_PRIVATE_H
#define MX_CORE_POWER_PRIVATE_H

#include "core/power.h"

/** 1 and *plevel if the value is a level: an integer; in versions before 10 also a string or a real (cut off). */
int mx_power_level_read(apr_int64_t *plevel, const mx_json_t *j, int integers_only);

#endif
