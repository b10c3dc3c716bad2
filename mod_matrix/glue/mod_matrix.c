/* SPDX-License-Identifier: Apache-2.0 */
/* The module record and its hooks. */
#include "glue/child.h"

#include "glue/park.h"
#include "glue/status.h"

#include <ap_mmn.h>
#include <mpm_common.h>

#if !AP_MODULE_MAGIC_AT_LEAST(20120211, 118)
#error "mod_matrix needs httpd 2.4.49 or newer (pre_translate_name)"
#endif

/* Before mod_log_forensic, which writes the request line down: no token may be in it any more. */
static const char *const before_forensic[] = { "mod_log_forensic.c", NULL };

static int pre_config(apr_pool_t *pconf, apr_pool_t *plog, apr_pool_t *ptemp)
{
    mx_status_register(pconf);
    return OK;
}

static void register_hooks(apr_pool_t *pool)
{
    mx_log_to_httpd();
    mx_errors_register();
    ap_hook_pre_config(pre_config, NULL, NULL, APR_HOOK_MIDDLE);
    ap_hook_check_config(mx_check_config, NULL, NULL, APR_HOOK_MIDDLE);
    ap_hook_post_config(mx_check_post_config, NULL, NULL, APR_HOOK_MIDDLE);
    ap_hook_child_init(mx_child_init, NULL, NULL, APR_HOOK_LAST);      /* after mod_dbd's */
    ap_hook_child_stopping(mx_park_stopping, NULL, NULL, APR_HOOK_MIDDLE);
    ap_hook_suspend_connection(mx_park_suspended, NULL, NULL, APR_HOOK_REALLY_LAST);
    ap_hook_post_read_request(mx_request_post_read, NULL, before_forensic, APR_HOOK_REALLY_FIRST);
    ap_hook_quick_handler(mx_request_quick, NULL, NULL, APR_HOOK_REALLY_FIRST);
    ap_hook_pre_translate_name(mx_request_pre_translate, NULL, NULL, APR_HOOK_REALLY_FIRST);
    ap_hook_translate_name(mx_request_translate, NULL, NULL, APR_HOOK_REALLY_FIRST);
    ap_hook_map_to_storage(mx_request_map_to_storage, NULL, NULL, APR_HOOK_REALLY_FIRST);
    ap_hook_handler(mx_request_handler, NULL, NULL, APR_HOOK_REALLY_FIRST);
    ap_hook_log_transaction(mx_request_log, NULL, NULL, APR_HOOK_REALLY_FIRST);
    ap_hook_insert_error_filter(mx_errors_insert, NULL, NULL, APR_HOOK_MIDDLE);
}

__attribute__((visibility("default"))) module AP_MODULE_DECLARE_DATA matrix_module = {
    STANDARD20_MODULE_STUFF,
    NULL,
    NULL,
    mx_config_create,
    mx_config_merge,
    mx_config_commands,
    register_hooks,
    AP_MODULE_FLAG_NONE,
};
