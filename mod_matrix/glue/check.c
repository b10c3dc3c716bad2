/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What is wrong with the configuration, one sentence each, and which homeservers it holds. Mistakes in the configuration
 * stop httpd; the state of a database stops `configtest` only: a running Apache must not lose its other sites because a
 * database is late, so the homeserver answers 503 until its database is there (glue/database.c).
 */
#include "glue/glue.h"

#include "base/crypto.h"
#include "core/ident.h"
#include "glue/database.h"
#include "glue/dbd.h"
#include "glue/poke.h"

#include <apr_file_io.h>

#define KEY_FILE_MAX_BYTES 4096

/** One run of the checks. */
typedef struct check_t {
    mx_conf_t *conf;
    apr_pool_t *pconf, *ptemp;
    int problems;
} check_t;

static const char *place_of(const server_rec *s, apr_pool_t *pool)
{
    if (!s->defn_name)
        return "main server";
    return apr_psprintf(pool, "%s:%u", s->defn_name, s->defn_line_number);
}

static void problem(check_t *check, const server_rec *s, const char *fmt, ...) __attribute__((format(printf, 3, 4)));
static void problem(check_t *check, const server_rec *s, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    ap_log_error(APLOG_MARK, APLOG_ERR | APLOG_STARTUP, 0, NULL, "MX0501: %s (virtual host at %s)",
                 apr_pvsprintf(check->ptemp, fmt, ap), place_of(s, check->ptemp));
    va_end(ap);
    check->problems++;
}

/** 0 and a problem if the file is not what MatrixSigningKey needs. */
static int read_key(check_t *check, mx_host_t *host)
{
    const char *name = host->vhost->set.signing_key, *why = NULL;
    const char *path = name ? ap_server_root_relative(check->ptemp, name) : NULL;
    char text[KEY_FILE_MAX_BYTES + 1], buf[120];
    apr_size_t len = 0;
    apr_file_t *file;
    apr_status_t rv;
    if (!path) {
        problem(check, host->server, "MatrixServerName %s needs a MatrixSigningKey", host->name);
        return 0;
    }
    rv = apr_file_open(&file, path, APR_FOPEN_READ, APR_FPROT_OS_DEFAULT, check->ptemp);
    if (!rv) {
        rv = apr_file_read_full(file, text, KEY_FILE_MAX_BYTES, &len);
        apr_file_close(file);
    }
    if (rv && !APR_STATUS_IS_EOF(rv)) {
        problem(check, host->server, "MatrixSigningKey %s cannot be read: %s", path, apr_strerror(rv, buf, sizeof(buf)));
        return 0;
    }
    text[len] = '\0';
    if (!mx_signing_key_parse(&host->key, &why, text, check->pconf))
        return 1;
    problem(check, host->server, "MatrixSigningKey %s is not a signing key: %s", path, why ? why : "it is malformed");
    return 0;
}

/** MSC4143: discovery of transport infrastructure. */
static int is_transport(const mx_json_t *json)
{
    return mx_json_is(json, MX_JSON_OBJECT) && mx_ident_is_namespaced(mx_json_get_str(json, "type"));
}

static void check_transports(check_t *check, const mx_host_t *host)
{
    const char *text = host->vhost->set.rtc_transports, *why = NULL;
    mx_json_t *json = NULL;
    apr_size_t i;
    if (!text)
        return;
    if (mx_json_parse(&json, &why, text, strlen(text), NULL, check->ptemp) != MX_JSON_OK)
        problem(check, host->server, "MatrixRtcTransports is no JSON: %s", why ? why : "it is malformed");
    else if (!mx_json_is(json, MX_JSON_ARRAY))
        problem(check, host->server, "MatrixRtcTransports must be an array of objects");
    for (i = 0; mx_json_is(json, MX_JSON_ARRAY) && i < mx_json_len(json); i++) {
        if (!is_transport(mx_json_at(json, i)))
            problem(check, host->server, "entry %d of MatrixRtcTransports must be an object with the \"type\" of a transport, e.g. \"livekit\"",
                    (int)i + 1);
    }
}

static int check_dbd(check_t *check, const mx_host_t *host)
{
    const mx_vhost_t *vhost = host->vhost;
    if (!mx_dbd_is_loaded())
        problem(check, host->server, "MatrixServerName %s needs mod_dbd: load dbd_module", host->name);
    else if (!vhost->dbd_driver)
        problem(check, host->server, "MatrixServerName %s needs DBDriver pgsql", host->name);
    else if (strcmp(vhost->dbd_driver, "pgsql") != 0)
        problem(check, host->server, "DBDriver %s does not do for MatrixServerName %s: it must be pgsql", vhost->dbd_driver, host->name);
    else if (!vhost->dbd_params || !*vhost->dbd_params)
        problem(check, host->server, "MatrixServerName %s needs DBDParams that name its PostgreSQL database", host->name);
    else
        return 1;
    return 0;
}

static mx_host_t *host_find(const mx_conf_t *conf, const char *name)
{
    mx_host_t *host = conf->hosts;
    while (host && strcmp(host->name, name) != 0)
        host = host->next;
    return host;
}

/** A second vhost of one name is another door to the same homeserver, so it must say the same of it. */
static void check_door(check_t *check, const mx_host_t *host, const server_rec *s, const mx_vhost_t *door)
{
    int i;
    for (i = 0; i < MX_SETTING_COUNT; i++) {
        if (!mx_config_same(host->vhost, door, (mx_setting_e)i))
            problem(check, s, "MatrixServerName %s stands in two virtual hosts that differ in %s: see %s", host->name,
                    mx_config_directive((mx_setting_e)i), place_of(host->server, check->ptemp));
    }
    if (!mx_str_eq(host->vhost->dbd_params, door->dbd_params))
        problem(check, s, "MatrixServerName %s stands in two virtual hosts that differ in DBDParams: see %s", host->name,
                place_of(host->server, check->ptemp));
}

static void host_add(check_t *check, server_rec *s, mx_vhost_t *vhost)
{
    mx_host_t *host = apr_pcalloc(check->pconf, sizeof(*host)), **end = &check->conf->hosts;
    host->name = vhost->set.server_name;
    host->server = s;
    host->vhost = vhost;
    host->log.server = s;
    host->number = check->conf->nhosts++;
    if (!mx_ident_is_server_name(host->name))
        problem(check, s, "MatrixServerName %s is not a server name: it must be a host name or address, perhaps with :port", host->name);
    read_key(check, host);
    check_dbd(check, host);
    check_transports(check, host);
    vhost->host = host;
    while (*end)
        end = &(*end)->next;
    *end = host;
}

/** Two names on one database would mix their users. */
static void check_shared_database(check_t *check, const mx_host_t *host)
{
    const mx_host_t *other;
    for (other = check->conf->hosts; other != host; other = other->next) {
        if (host->vhost->dbd_params && mx_str_eq(host->vhost->dbd_params, other->vhost->dbd_params))
            problem(check, host->server, "DBDParams of MatrixServerName %s are those of %s, and each server name needs a database of its own",
                    host->name, other->name);
    }
}

static void find_hosts(check_t *check, server_rec *main_server)
{
    server_rec *s;
    for (s = main_server; s; s = s->next) {
        mx_vhost_t *vhost = mx_glue_vhost(s);
        mx_host_t *host;
        if (vhost->server != s || !vhost->set.server_name)
            continue;
        host = host_find(check->conf, vhost->set.server_name);
        if (host) {
            check_door(check, host, s, vhost);
            vhost->host = host;
        }
        else
            host_add(check, s, vhost);
    }
}

static void compile_routes(check_t *check, const server_rec *s)
{
    const char *err = NULL;
    int n;
    const mx_route_t *routes = mx_routes(&n);
    check->conf->router = mx_router_create(&err, routes, n, check->pconf);
    if (!check->conf->router)
        problem(check, s, "the module's own table of routes is wrong: %s", err);
}

/** Asks the databases as the children will: as their user. */
static void check_databases(check_t *check)
{
    const mx_host_t *host;
    for (host = check->conf->hosts; host; host = host->next) {
        const char *err = mx_database_ask_as_child(host, MX_DATABASE_LOOK, check->ptemp);
        if (err)
            problem(check, host->server, "%s", err);
    }
}

static int is_run_mode(int mode)
{
    return ap_state_query(AP_SQ_RUN_MODE) == mode;
}

int mx_check_config(apr_pool_t *pconf, apr_pool_t *plog, apr_pool_t *ptemp, server_rec *s)
{
    check_t check = { .conf = apr_pcalloc(pconf, sizeof(mx_conf_t)), .pconf = pconf, .ptemp = ptemp };
    const mx_host_t *host;
    mx_crypto_init();
    mx_glue_vhost(s)->conf = check.conf;
    find_hosts(&check, s);
    for (host = check.conf->hosts; host; host = host->next)
        check_shared_database(&check, host);
    compile_routes(&check, s);
    check.conf->error_texts = mx_errors_texts(pconf);
    if (!check.problems && is_run_mode(AP_SQ_RM_CONFIG_TEST))
        check_databases(&check);
    return check.problems ? HTTP_INTERNAL_SERVER_ERROR : OK;
}

int mx_check_post_config(apr_pool_t *pconf, apr_pool_t *plog, apr_pool_t *ptemp, server_rec *s)
{
    const mx_conf_t *conf = mx_check_conf(s);
    mx_host_t *host;
    if (ap_state_query(AP_SQ_MAIN_STATE) == AP_SQ_MS_CREATE_PRE_CONFIG || !conf)
        return OK;
    if (conf->nhosts && mx_poke_open(s))
        ap_log_error(APLOG_MARK, APLOG_WARNING, 0, s, "MX0504: children cannot tell each other of news: they look every 250 ms");
    for (host = conf->hosts; host; host = host->next) {
        const char *err = mx_database_ask_as_child(host, MX_DATABASE_PREPARE, ptemp);
        host->ready = !err;
        if (err)
            ap_log_error(APLOG_MARK, APLOG_ERR, 0, host->server, "MX0502: %s; %s answers 503 until this is put right", err, host->name);
    }
    return OK;
}

const mx_conf_t *mx_check_conf(const server_rec *main_server)
{
    return mx_glue_vhost(main_server)->conf;
}
