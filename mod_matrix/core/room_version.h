/* SPDX-License-Identifier: Apache-2.0 */
/* A room version is a row of named flags (room_versions.def): code asks for a property, never for a number. */
#ifndef MX_CORE_ROOM_VERSION_H
#define MX_CORE_ROOM_VERSION_H

#include "base/str.h"

typedef enum { MX_EVENT_ID_SERVER, MX_EVENT_ID_HASH_STD, MX_EVENT_ID_HASH_URL } mx_event_id_format_e;
typedef enum { MX_STATE_RES_1, MX_STATE_RES_2, MX_STATE_RES_2_1 } mx_state_res_e;

typedef struct mx_room_version_t {
    const char *name;                 /* "10" */
    int number;                       /* stored in room.version */
    int creatable;                    /* offered in createRoom and capabilities */
    int stable;                       /* "stable" in capabilities */
    mx_event_id_format_e event_id;
    mx_state_res_e state_res;
    unsigned strict_canonical_json : 1;      /* 6: numbers are checked */
    unsigned special_aliases_auth : 1;       /* 1-5: m.room.aliases rule and redaction keeps */
    unsigned enforce_key_validity : 1;       /* 5 */
    unsigned limit_notifications_power : 1;  /* 6: notifications checked in power level changes */
    unsigned knock : 1;                      /* 7 */
    unsigned restricted_join : 1;            /* 8 */
    unsigned redact_keeps_join_authorised : 1; /* 9: join_authorised_via_users_server survives redaction */
    unsigned knock_restricted : 1;           /* 10 */
    unsigned integer_power_levels : 1;       /* 10: strings as power levels are refused */
    unsigned create_without_creator : 1;     /* 11: content.creator gone */
    unsigned updated_redaction : 1;          /* 11: MSC2174 redacts in content, MSC2176/3821 keeps */
    unsigned room_id_is_create_hash : 1;     /* 12: MSC4291 */
    unsigned privileged_creators : 1;        /* 12: MSC4289 */
} mx_room_version_t;

/** NULL for an unknown version. */
const mx_room_version_t *mx_room_version_find(const char *name);
const mx_room_version_t *mx_room_version_by_number(int number);
/** Row i, NULL past the last. */
const mx_room_version_t *mx_room_version_at(int i);
#define MX_ROOM_VERSION_DEFAULT "12"

#endif
