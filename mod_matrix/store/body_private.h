/* SPDX-License-Identifier: Apache-2.0 */
/* Shared by body.c and the dictionary. */
#ifndef MX_STORE_BODY_PRIVATE_H
#define MX_STORE_BODY_PRIVATE_H

#include "store/body.h"

#define MX_STORE_BODY_DICT_BYTES 3072

extern const unsigned char mx_store_body_dict[MX_STORE_BODY_DICT_BYTES];

#endif
