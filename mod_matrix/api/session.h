/* SPDX-License-Identifier: Apache-2.0 */
/* What the endpoints that open sessions or need user-interactive authentication share. */
#ifndef MX_API_SESSION_H
#define MX_API_SESSION_H

#include "api/req.h"
#include "user/session.h"
#include "user/uia.h"

/** device_id, initial_device_display_name and refresh_token of a body. */
const mx_error_t *mx_api_session_read(mx_user_session_request_t *out, mx_req_t *req, const mx_json_t *body);
/** user_id, home_server, and the device with its tokens if there is one. */
mx_json_t *mx_api_session_json(const mx_user_session_t *session, mx_req_t *req);
/** mx_user_uia_open() for this request; guests are refused. */
const mx_error_t *mx_api_session_uia(mx_uia_t **puia, mx_req_t *req);

#endif
