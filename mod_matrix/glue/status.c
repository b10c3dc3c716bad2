/* SPDX-License-Identifier: Apache-2.0 */
/* What mod_status shows of us. */
#include "glue/status.h"

#include "glue/child.h"

#include <mod_status.h>
#include <stddef.h>

typedef struct line_t {
    const char *label;               /* on the page for people */
    const char *key;                 /* with ?auto */
    apr_size_t offset;
} line_t;

static const line_t lines[] = {
    { "polls waiting without a thread", "MatrixParked", offsetof(mx_poke_counts_t, parked) },
    { "polls waiting with a thread", "MatrixBlocked", offsetof(mx_poke_counts_t, blocked) },
    { "polls woken since start", "MatrixWoken", offsetof(mx_poke_counts_t, woken) },
    { "polls answered at once because too many waited", "MatrixBounded", offsetof(mx_poke_counts_t, bounded) },
};

static int show(request_rec *r, int flags)
{
    mx_poke_counts_t sum;
    apr_size_t i;
    if (!mx_child_poke())
        return DECLINED;
    mx_poke_sum(&sum, mx_child_poke());
    if (!(flags & AP_STATUS_SHORT))
        ap_rputs("<hr />\n<h2>Matrix</h2>\n<dl>\n", r);
    for (i = 0; i < sizeof(lines) / sizeof(lines[0]); i++) {
        apr_uint32_t value;
        memcpy(&value, (const char *)&sum + lines[i].offset, sizeof(value));
        if (flags & AP_STATUS_SHORT)
            ap_rprintf(r, "%s: %u\n", lines[i].key, value);
        else
            ap_rprintf(r, "<dt>%u %s</dt>\n", value, lines[i].label);
    }
    if (!(flags & AP_STATUS_SHORT))
        ap_rputs("</dl>\n", r);
    return OK;
}

void mx_status_register(apr_pool_t *pool)
{
    APR_OPTIONAL_HOOK(ap, status_hook, show, NULL, NULL, APR_HOOK_MIDDLE);
}
