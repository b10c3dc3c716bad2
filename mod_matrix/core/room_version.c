/* SPDX-License-Identifier: Apache-2.0 */
/* The table of room versions. */
#include "core/room_version.h"

#include <apr_general.h>

static const mx_room_version_t versions[] = {
#define MX_ROOM_VERSION(name, number, creatable, ids, resolution, ...) \
    { name, number, creatable, 1, MX_EVENT_ID_##ids, MX_STATE_RES_##resolution, __VA_ARGS__ },
#include "core/room_versions.def"
#undef MX_ROOM_VERSION
};

#define NVERSIONS ((int)(sizeof(versions) / sizeof(versions[0])))

const mx_room_version_t *mx_room_version_find(const char *name)
{
    int i;
    for (i = 0; i < NVERSIONS; i++) {
        if (mx_str_eq(versions[i].name, name))
            return &versions[i];
    }
    return NULL;
}

const mx_room_version_t *mx_room_version_by_number(int number)
{
    return number >= 1 && number <= NVERSIONS ? &versions[number - 1] : NULL;
}

const mx_room_version_t *mx_room_version_at(int i)
{
    return i >= 0 && i < NVERSIONS ? &versions[i] : NULL;
}
