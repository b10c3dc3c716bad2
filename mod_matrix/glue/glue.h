/* SPDX-License-Identifier: Apache-2.0 */
/* What the files of glue/ share: a vhost as configured, a homeserver as started, a request as claimed. */
#ifndef MX_GLUE_GLUE_H
#define MX_GLUE_GLUE_H

#include <httpd.h>
#include <http_config.h>
#include <http_core.h>
#include <http_log.h>
#include <http_protocol.h>
#include <http_request.h>
#include <apr_strings.h>

#include "api/req.h"
#include "glue/router.h"

APLOG_USE_MODULE(matrix);

/** One number per row of settings.def. */
typedef enum {
#define MX_SET_INT(directive, member, def, min, max, help) MX_SETTING_##member,
#define MX_SET_MSEC MX_SET_INT
#define MX_SET_BYTES MX_SET_INT
#define MX_SET_FLAG(directive, member, def, help) MX_SETTING_##member,
#define MX_SET_ENUM(directive, member, def, words, help) MX_SETTING_##member,
#define MX_SET_STR(directive, member, def, help) MX_SETTING_##member,
#include "server/settings.def"
#undef MX_SET_INT
#undef MX_SET_MSEC
#undef MX_SET_BYTES
#undef MX_SET_FLAG
#undef MX_SET_ENUM
#undef MX_SET_STR
    MX_SETTING_COUNT
} mx_setting_e;

struct mx_host_t;

/** A <VirtualHost> as configured. pconf. */
typedef struct mx_vhost_t {
    const server_rec *server;                /* whose it is: httpd lends the main server's to vhosts that set nothing */
    mx_settings_t set;
    unsigned char given[MX_SETTING_COUNT];   /* set here or in the main server */
    const char *dbd_driver, *dbd_params;     /* what mod_dbd was told; NULL: nothing */
    int dbd_max;                             /* 0: mod_dbd's default */
    struct mx_host_t *host;                  /* the homeserver this vhost is a door of; NULL: none. Set by check.c */
    struct mx_conf_t *conf;                  /* in the main server's alone */
} mx_vhost_t;

/** What mx_log() of a homeserver leads to. */
struct mx_log_ctx_t {
    server_rec *server;
};

/** A homeserver: one name, one key, one database; several vhosts (plain and TLS) may be its doors. pconf, made by check.c. */
typedef struct mx_host_t {
    const char *name;
    server_rec *server;                      /* its first door */
    const mx_vhost_t *vhost;                 /* that door's configuration */
    mx_signing_key_t key;
    struct mx_log_ctx_t log;
    int number;                              /* 0, 1, … in the order of the configuration */
    int ready;                               /* its database fitted when the parent looked, before there were children */
    struct mx_host_t *next;
} mx_host_t;

/** What the configuration holds besides vhosts; one per configuration, in pconf. */
typedef struct mx_conf_t {
    mx_host_t *hosts;
    int nhosts;
    const mx_router_t *router;
    char **error_texts;              /* errors.c */
} mx_conf_t;

/** A homeserver in this child. */
typedef struct mx_home_t {
    mx_server_t server;
    const mx_host_t *host;
    int broken;                              /* it could not start: logged, 503 */
    apr_uint64_t poke_bit;
    struct mx_dbd_t *dbd;
    apr_thread_mutex_t *ready_mutex;         /* one thread at a time looks at the database */
    volatile apr_uint32_t ready, asked;      /* the schema was seen to fit; it was looked at by this child */
    apr_time_t ready_tried;
    volatile apr_uint32_t waiting, blocking; /* polls parked, polls that hold a thread */
} mx_home_t;

/** A request that is ours, hung on request_rec. r->pool. */
typedef struct mx_claim_t {
    mx_home_t *home;
    mx_slice_t path, query;                  /* of the raw request target, token and all: never logged */
} mx_claim_t;

static inline mx_vhost_t *mx_glue_vhost(const server_rec *s)
{
    return ap_get_module_config(s->module_config, &matrix_module);
}
static inline mx_claim_t *mx_glue_claim(const request_rec *r)
{
    return ap_get_module_config(r->request_config, &matrix_module);
}

/* config.c */
extern const command_rec mx_config_commands[];
void *mx_config_create(apr_pool_t *pool, server_rec *s);
void *mx_config_merge(apr_pool_t *pool, void *base, void *add);
/** The directive of a row, e.g. "MatrixMaxBody". */
const char *mx_config_directive(mx_setting_e setting);
/** 1 if both vhosts say the same for the row. */
int mx_config_same(const mx_vhost_t *a, const mx_vhost_t *b, mx_setting_e setting);

/* check.c */
/** Finds the homeservers of the configuration and what is wrong with them; the check_config hook. */
int mx_check_config(apr_pool_t *pconf, apr_pool_t *plog, apr_pool_t *ptemp, server_rec *s);
/** Looks at (and if allowed upgrades) the databases before children start; the post_config hook. */
int mx_check_post_config(apr_pool_t *pconf, apr_pool_t *plog, apr_pool_t *ptemp, server_rec *s);
const mx_conf_t *mx_check_conf(const server_rec *main_server);

/* request.c: the hooks of a request */
int mx_request_post_read(request_rec *r);
int mx_request_quick(request_rec *r, int lookup);
int mx_request_pre_translate(request_rec *r);
int mx_request_translate(request_rec *r);
int mx_request_map_to_storage(request_rec *r);
int mx_request_handler(request_rec *r);
int mx_request_log(request_rec *r);

/* credentials.c */
/** Reads the token, finds its owner, applies the route's demand. *pwho is NULL where none is needed and none was given. */
const mx_error_t *mx_credentials_check(mx_who_t **pwho, request_rec *r, mx_req_t *req, mx_cred_e need);
/** M_LIMIT_EXCEEDED if the route's class is used up by this user or address. */
const mx_error_t *mx_credentials_rate(mx_req_t *req, mx_rate_class_e rate);

/* reply.c: the only writer of responses */
void mx_reply_cors(apr_table_t *headers);
int mx_reply_send(request_rec *r, mx_reply_t *reply, apr_pool_t *pool);
int mx_reply_error(request_rec *r, const mx_error_t *err, apr_pool_t *pool);
/** Answers OPTIONS: no body, no logic. CS-API: web browser clients. */
int mx_reply_options(request_rec *r, apr_pool_t *pool);

/* errors.c: what httpd answers under our prefixes takes the Matrix form */
void mx_errors_register(void);
/** What a claimed request gets in place of ErrorDocument pages; one table in pconf. */
char **mx_errors_texts(apr_pool_t *pconf);
void mx_errors_claim(request_rec *r, char **texts);
void mx_errors_insert(request_rec *r);

/* log.c */
void mx_log_to_httpd(void);

#endif
