/* SPDX-License-Identifier: Apache-2.0 */
/* The `filter` of /messages and /context. */
#ifndef MX_API_EVENT_FILTER_H
#define MX_API_EVENT_FILTER_H

#include "api/req.h"
#include "core/filter.h"

/** The query parameter `filter`, a RoomEventFilter as JSON; NULL if absent. M_NOT_JSON, M_BAD_JSON, M_INVALID_PARAM. */
const mx_error_t *mx_api_event_filter(mx_event_filter_t **pfilter, mx_req_t *req);

#endif
