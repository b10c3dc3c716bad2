/* SPDX-License-Identifier: Apache-2.0 */
/* Event types that the rules ask for again and again: each is one text at one address, so that two of them compare as numbers. Pure. */
#ifndef MX_CORE_EVENT_TYPE_H
#define MX_CORE_EVENT_TYPE_H

#include "base/str.h"

typedef enum { MX_TYPE_OTHER, MX_TYPE_CREATE, MX_TYPE_MEMBER, MX_TYPE_POWER_LEVELS, MX_TYPE_JOIN_RULES, MX_TYPE_THIRD_PARTY_INVITE,
               MX_TYPE_REDACTION, MX_TYPE_ALIASES, MX_TYPE_MESSAGE, MX_TYPE_ENCRYPTED, MX_TYPES } mx_event_type_e;

#define MX_EVENT_TYPE_BYTES 32       /* of one name, its NUL included */
/** Their names; MX_TYPE_OTHER has none. Whoever asks for a type by one of these has it found without a comparison of texts. */
extern const char mx_event_types[MX_TYPES][MX_EVENT_TYPE_BYTES];

/** OTHER for a name that is not in the table. */
mx_event_type_e mx_event_type_find(mx_slice_t name);

/** Which name of the table this pointer is; OTHER for a text from elsewhere, even if it reads the same. */
static inline mx_event_type_e mx_event_type_of(const char *type)
{
    apr_uintptr_t at = (apr_uintptr_t)type - (apr_uintptr_t)mx_event_types;
    return at < sizeof(mx_event_types) ? (mx_event_type_e)(at / MX_EVENT_TYPE_BYTES) : MX_TYPE_OTHER;
}

/** Equality of any two types. */
static inline int mx_event_type_eq(const char *a, const char *b)
{
    if (a == b)
        return 1;
    return !(mx_event_type_of(a) && mx_event_type_of(b)) && strcmp(a, b) == 0;
}
static inline int mx_event_type_is(const char *type, mx_event_type_e known) { return mx_event_type_eq(type, mx_event_types[known]); }

#endif
